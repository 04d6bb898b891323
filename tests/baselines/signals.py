# SPDX-License-Identifier: LGPL-2.1-or-later
"""Extra trees and logistic regression (scikit-learn) on folders of signals (docs/data.md). Welds in row files: mean, standard deviation, least and most of each eighth of the first 600
rows, three channels. Vibration in audio files: log power spectrum and envelope spectrum (Randall 2011, ch. 5) of windows of one second, low-passed at 5 kHz; a recording is judged by
the mean over its windows.
"""
import csv

import numpy as np
import soundfile
from scipy import signal
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import common

ROWS, PARTS, COLUMNS = 600, 8, (1, 2, 3)


def eighths(path):
    x = np.loadtxt(path, delimiter="|", usecols=COLUMNS)[:ROWS]
    return [np.concatenate([f(p, axis=0) for p in np.array_split(x, PARTS) for f in (np.mean, np.std, np.min, np.max)])]


def pool(spectrum, bands):
    return np.log(1e-12 + np.array([p.mean() for p in np.array_split(spectrum, bands)]))


def spectra(path):
    x, rate = soundfile.read(path, always_2d=True)
    x = signal.sosfiltfilt(signal.butter(8, 5000, fs=rate, output="sos"), x[:, 0])
    out = []
    for at in range(0, len(x) - rate + 1, rate // 2):
        w = x[at:at + rate] / x[at:at + rate].std()
        envelope = np.abs(signal.hilbert(signal.sosfilt(signal.butter(4, (1500, 4900), "band", fs=rate, output="sos"), w)))
        spectrum = np.abs(np.fft.rfft(envelope - envelope.mean()))[:500] ** 2
        out.append(np.concatenate([pool(signal.welch(w, rate, nperseg=1024)[1][:427], 64), pool(spectrum, 125) - np.log(spectrum.mean())]))
    return out


def main():
    o = common.arguments(__doc__)
    rows = list(csv.DictReader((o.data / "manifest.csv").open()))
    label = ["good" if r["label"] in ("good", "normal") else r["label"] for r in rows]
    classes = sorted(set(label), key=lambda c: (c != "good", c))
    y = np.array([classes.index(c) for c in label])
    held = common.held_mask([r["file"] for r in rows], o.held)
    windows = [(eighths if r["file"].endswith(".txt") else spectra)(o.data / r["file"]) for r in rows]
    seen = np.flatnonzero(~held)
    x, target = np.concatenate([windows[i] for i in seen]), np.concatenate([[y[i]] * len(windows[i]) for i in seen])
    out = {}
    for name, model in {"extra trees": ExtraTreesClassifier(400, class_weight="balanced", random_state=o.seed, n_jobs=2),
                        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=3000, class_weight="balanced"))}.items():
        model.fit(x, target)
        probability = np.zeros((held.sum(), len(classes)))
        probability[:, model.classes_] = [model.predict_proba(windows[i]).mean(0) for i in np.flatnonzero(held)]
        out[name] = common.classification(y[held], probability, classes)
    common.show(out)


main()
