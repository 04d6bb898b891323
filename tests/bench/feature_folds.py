# SPDX-License-Identifier: LGPL-2.1-or-later
"""Trains pipelines/weld-inspection/run-features.json fold by fold and judges what was held back, with all modalities and with every set of
them: the figures of docs/results.md.

    feature_folds.py DATA OUT [SEEDS] [FOLDS]      DATA: ../shared/data/weld-run-features; OUT: a folder for the results (models are removed)

Every weld of the table is held once a seed. Macro-F1 and AUROC are taken over all of them together, a seed, and the mean over the seeds is printed.
"""
import json
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEAM, RECIPE = ROOT / "build/tools/seam", ROOT / "pipelines/weld-inspection/run-features.json"
SETS = ["sensor,audio,image", "sensor", "audio", "image", "audio,image", "sensor,image", "sensor,audio"]


def seam(*arguments):
    subprocess.run([SEAM, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def welds(path):
    """name -> probabilities, of the verdicts in a file of results."""
    with open(path) as lines:
        verdicts = [json.loads(line) for line in lines]
    return {v["source"]: v["probabilities"] for v in verdicts if v["type"] == "weld"}


def labels(data):
    with open(data / "index.csv") as lines:
        rows = [line.rstrip("\n").split(",") for line in lines]
    run, label = rows[0].index("run"), rows[0].index("label")
    return {row[run]: "good" if row[label] == "good_weld" else row[label] for row in rows[1:]}


def macro_f1(truth, judged, classes):
    total = 0.0
    for c in classes:
        hits = sum(truth[w] == c and judged[w] == c for w in truth)
        total += 2 * hits / max(sum(t == c for t in truth.values()) + sum(j == c for j in judged.values()), 1)
    return total / len(classes)


def auroc(scores, positive):
    """Ranks, ties shared (Mann-Whitney)."""
    order, rank, i = sorted(scores), {}, 0
    while i < len(order):
        j = i
        while j < len(order) and order[j] == order[i]:
            j += 1
        rank[order[i]] = (i + j + 1) / 2
        i = j
    n = sum(positive)
    return (sum(rank[s] for s, p in zip(scores, positive) if p) - n * (n + 1) / 2) / (n * (len(scores) - n))


def fold(data, out, seed, k, folds):
    """What the model of fold k says of the welds that it had no part in: set -> name -> probabilities."""
    model, held = out / "fold.seam", out / f"held-{seed}-{k}.jsonl"
    seam("train", "--recipe", RECIPE, "--data", data, "--out", model, "--seed", seed, "--fold", f"{k}/{folds}", "--results", held, "--fresh")
    names, judged = welds(held).keys(), {}
    for only in SETS:
        seam("eval", "--model", model, "--data", data, "--only", only, "--results", out / "set.jsonl")
        judged[only] = {name: p for name, p in welds(out / "set.jsonl").items() if name in names}
    shutil.rmtree(model)
    return judged


def main(data, out, seeds, folds):
    classes = json.loads(RECIPE.read_text())["config"]["classes"]
    truth, rows = labels(data), {only: [] for only in SETS}
    out.mkdir(parents=True, exist_ok=True)
    for seed in range(1, seeds + 1):
        judged = {only: {} for only in SETS}
        for k in range(1, folds + 1):
            for only, said in fold(data, out, seed, k, folds).items():
                judged[only].update(said)
        for only, said in judged.items():
            assert said.keys() == truth.keys()
            top = {name: max(p, key=p.get) for name, p in said.items()}
            score = auroc([1 - p["good"] for p in said.values()], [truth[name] != "good" for name in said])
            rows[only].append((macro_f1(truth, top, classes), score))
            print(seed, only, "macro-F1 %.3f AUROC %.3f" % rows[only][-1], flush=True)
    for only, got in rows.items():
        print("mean", only, "macro-F1 %.3f AUROC %.3f" % tuple(sum(x) / len(got) for x in zip(*got)))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 3, int(sys.argv[4]) if len(sys.argv) > 4 else 5)
