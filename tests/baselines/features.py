# SPDX-License-Identifier: LGPL-2.1-or-later
"""Logistic regression, extra trees and gradient boosting (scikit-learn) on a folder of feature tables (docs/data.md): all columns, and those of each modality alone.
Settings in index.csv are never an input.
"""
import csv

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import common


def models(seed):
    return {
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=3000, class_weight="balanced")),
        "extra trees": ExtraTreesClassifier(400, class_weight="balanced", random_state=seed, n_jobs=2),
        "gradient boosting": HistGradientBoostingClassifier(random_state=seed, class_weight="balanced"),
    }


def main():
    o = common.arguments(__doc__, only={"default": None, "help": "one modality"})
    rows = list(csv.DictReader((o.data / "index.csv").open()))
    columns = list(csv.DictReader((o.data / "columns.csv").open()))
    x = np.load(o.data / "features.npy")[:, [o.only in (None, c["modality"]) for c in columns]]
    label = ["good" if r["label"].startswith("good") else r["label"] for r in rows]
    classes = sorted(set(label), key=lambda c: (c != "good", c))
    y = np.array([classes.index(c) for c in label])
    held = common.held_mask([r["run"] for r in rows], o.held)
    x = np.nan_to_num(x, nan=0, posinf=0, neginf=0)
    out = {}
    for name, model in models(o.seed).items():
        model.fit(x[~held], y[~held])
        probability = np.zeros((held.sum(), len(classes)))
        probability[:, model.classes_] = model.predict_proba(x[held])
        out[name] = common.classification(y[held], probability, classes)
    common.show(out)


main()
