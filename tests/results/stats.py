# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measures of verdict lines (docs/results-format.md, with the label and group that `seam train` and `seam eval` add) and their intervals: a bootstrap over groups, since
the records of one specimen are no independent draws (Davison and Hinkley 1997, sec. 3.8). They come from scikit-learn, so they also check the command's own.
"""
import numpy as np
from scipy.stats import beta
from sklearn import metrics

DRAWS = 1000


def good(label):
    return label in ("good", "good_weld", "normal", "ok")


def measures(lines):
    """{name: value} of verdict lines; what does not apply is absent."""
    truth = np.array(["good" if good(v["label"]) else v["label"] for v in lines])
    said = np.array([v["class"] for v in lines])
    out = {"accuracy": float((truth == said).mean()), "macro_f1": float(metrics.f1_score(truth, said, average="macro", labels=sorted(set(truth)), zero_division=0))}
    defect, score = truth != "good", np.array([v["score"] for v in lines])
    if 0 < defect.sum() < len(lines):
        out["auroc"] = float(metrics.roc_auc_score(defect, score))
        out["average_precision"] = float(metrics.average_precision_score(defect, score))
    return out


def intervals(lines, measure=measures, seed=1):
    """{name: [low, high]}: 95 % percentile intervals, whole groups drawn."""
    rng, groups, draws = np.random.default_rng(seed), {}, {}
    for v in lines:
        groups.setdefault(v["group"], []).append(v)
    names = list(groups)
    for _ in range(DRAWS):
        drawn = [v for i in rng.integers(len(names), size=len(names)) for v in groups[names[i]]]
        for k, value in measure(drawn).items():
            draws.setdefault(k, []).append(value)
    return {k: [float(q) for q in np.percentile(d, (2.5, 97.5))] for k, d in draws.items()}


def spread(rows):
    """{name: (mean, standard deviation)} of dictionaries of numbers."""
    names = [k for k in rows[0] if all(isinstance(r.get(k), (int, float)) for r in rows)]
    return {k: (float(np.mean([r[k] for r in rows])), float(np.std([r[k] for r in rows]))) for k in names}


def exact(hits, n):
    """[low, high] of a share: exact 95 % (Clopper and Pearson 1934), as if records were independent."""
    return [float(beta.ppf(0.025, hits, n - hits + 1)) if hits else 0.0, float(beta.ppf(0.975, hits + 1, n - hits)) if hits < n else 1.0]
