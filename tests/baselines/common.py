# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the baselines share: which records are held, measures, and how they are printed. A baseline trains on every record of a folder that is not held, judges
the held ones, and prints one JSON object. Measures come from scikit-learn, so they also check ours.
"""
import argparse
import json
import os
import pathlib

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
from sklearn import metrics


def arguments(what, **more):
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="data folder")
    parser.add_argument("--held", type=pathlib.Path, required=True, help="file with a line for each record that is judged and not trained on")
    parser.add_argument("--seed", type=int, default=1)
    for name, options in more.items():
        parser.add_argument(f"--{name}", **options)
    return parser.parse_args()


def held_mask(names, path):
    """[n] True where the record is held. Every held name must be a record."""
    held = set(path.read_text().split("\n")) - {""}
    missing = held - set(names)
    if missing:
        raise SystemExit(f"{path}: no such record: {sorted(missing)[0]}")
    return np.array([name in held for name in names])


def classification(truth, probability, classes):
    """Measures of class probabilities [n, classes]; class 0 is the good one where there is one."""
    said = probability.argmax(1)
    out = {"n": len(truth), "accuracy": float((said == truth).mean()), "macro_f1": float(metrics.f1_score(truth, said, average="macro"))}
    defect = truth > 0
    if classes and classes[0] == "good" and 0 < defect.sum() < len(truth):
        out["auroc"] = float(metrics.roc_auc_score(defect, 1 - probability[:, 0]))
        out["average_precision"] = float(metrics.average_precision_score(defect, 1 - probability[:, 0]))
    return out


def average_precision_boxes(found, truth, least=0.5):
    """Mean over classes of the area under precision against recall (all points). found: (picture, class, score, box), truth: (picture, class, box); boxes x0 y0 x1 y1."""
    areas = []
    for c in sorted({t[1] for t in truth}):
        left = {}
        for picture, kind, box in truth:
            if kind == c:
                left.setdefault(picture, []).append([box, False])
        hits = []
        for picture, _, score, box in sorted((f for f in found if f[1] == c), key=lambda f: -f[2]):
            best = max(left.get(picture, []), key=lambda t: overlap(box, t[0]), default=None)
            hit = best is not None and overlap(box, best[0]) >= least and not best[1]
            if hit:
                best[1] = True
            hits.append(hit)
        count = np.cumsum(hits) if hits else np.zeros(1)
        recall, precision = count / sum(map(len, left.values())), count / (1 + np.arange(len(count)))
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        areas.append(float(np.sum(np.diff(np.concatenate([[0], recall])) * precision)))
    return float(np.mean(areas)) if areas else None


def overlap(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)


def show(result):
    print(json.dumps(result))
