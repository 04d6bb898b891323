# SPDX-License-Identifier: LGPL-2.1-or-later
"""Trains and measures every set, with its baselines, and writes docs/results.md.

    ./run results              all sets (hours)
    ./run results flash-weld   one of them, or several
    ./run results --write      only the page, from what was measured before

What is measured is kept in docs/results.json, one object a set, so that a set can be measured anew alone. Models and verdict lines lie under build/results/SET/ and are
used again while the recipe is the same; --fresh trains anew.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

import page
import sets
import shipped
import stats

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = pathlib.Path(os.environ.get("SEAM_DATA", ROOT.parent / "shared" / "data"))
BUILD = ROOT / "build" / "results"
KEPT = ROOT / "docs" / "results.json"


def run(command):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"results: failed: {' '.join(map(str, command))}")
    return json.loads(done.stdout)


def lines_of(path):
    return [v for v in map(json.loads, path.read_text().splitlines()) if v["type"] == "weld"]


class Trial:
    """One training with a part of the data held back, and what is measured on that part."""

    def __init__(self, task, split, seed, fresh, variant=None, changes=None):
        self.task, self.split, self.seed = task, split, seed
        self.folder = BUILD / task.name / (f"{split.name}-{seed}" + (f", {variant}" if variant else ""))
        self.model, self.lines = self.folder / "model.seam", self.folder / "held.jsonl"
        self.recipe, self.data = ROOT / "pipelines" / task.recipe, DATA / task.data
        self.fresh = fresh
        if changes:
            self.recipe = self.changed_recipe(changes)

    def changed_recipe(self, changes):
        recipe = json.loads(self.recipe.read_text())
        for part, members in changes.items():
            recipe[part].update(members)
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "recipe.json"
        path.write_text(json.dumps(recipe))
        return path

    def train(self):
        """The command's measures of the held part; from an earlier run when the recipe's text is still the same."""
        told, text = self.folder / "train.json", self.recipe.read_text()
        if not self.fresh and told.exists():
            before = json.loads(told.read_text())
            if before["recipe"] == text:
                return before
        self.folder.mkdir(parents=True, exist_ok=True)
        command = ["seam", "train", "--recipe", self.recipe, "--data", self.data, "--out", self.model, "--seed", self.seed, "--fresh", *self.split.options,
                   "--results", self.lines, "--json"]
        begun = time.monotonic()
        result = {"measures": run(command), "seconds": time.monotonic() - begun, "recipe": text}
        told.write_text(json.dumps(result))
        return result

    def evaluate(self, *options):
        return run(["seam", "eval", "--model", self.model, "--data", self.data, "--records", self.held(), "--json", *options])

    def held(self):
        """A file with a line for each record that was held back."""
        path = self.folder / "held.txt"
        path.write_text("".join(v["source"] + "\n" for v in lines_of(self.lines)))
        return path

    def baseline(self, script, *options):
        return run([ROOT / "build/venv/bin/python", ROOT / "tests/baselines" / script, "--data", self.data, "--held", self.held(), "--seed", self.seed, *options])


def wanted(measures, keys):
    """What the page shows of an evaluation; the rest (confusion, classes) stays under build/."""
    return {k: measures[k] for k in keys if k in measures}


def promised(measures):
    """Counts of good and defective records by decision, and how many had a threshold."""
    good = measures["decisions_good"]
    return {"good": good, "defect": {k: v - good[k] for k, v in measures["decisions"].items()},
            "with_threshold": {k: measures["promise"][k]["with_threshold"] for k in ("false_reject", "miss")}}


def measure_question(task, question, fresh, baselines, before):
    """Trains each split and seed; what is asked besides comes from the same models. before: rows of an earlier run, whose baselines stay where none are measured."""
    trials = [Trial(task, split, seed, fresh) for seed in question.seeds for split in question.splits]
    rows, pooled, seconds = [], [], []
    for trial in trials:
        told = trial.train()
        seconds.append(told["seconds"])
        row = {"split": trial.split.name, "seed": trial.seed, "measures": wanted(told["measures"], [*question.measures, "n", "interval"])}
        for name, changes in question.variants.items():
            row[name] = wanted(Trial(task, trial.split, trial.seed, fresh, name, changes).train()["measures"], [*question.measures, "interval"])
        for name, options in question.also.items():
            row[name] = wanted(trial.evaluate(*options), question.measures)
        if trial.seed == question.seeds[0]:
            row["demands"] = [promised(trial.evaluate("--bootstrap", 0, "--demand-miss", miss, "--demand-reject", reject)) for miss, reject in question.demands]
        if question.deletion and trial is trials[0]:
            row["deletion"] = trial.evaluate("--deletion")["deletion"]
        rows.append(row)
        if trial.seed == question.seeds[0]:
            pooled += lines_of(trial.lines)
            if not baselines:
                row.update({"baselines": b["baselines"] for b in before if (b["split"], b["seed"]) == (row["split"], row["seed"]) and "baselines" in b})
            else:
                row["baselines"] = {label: trial.baseline(script, *options) for label, (script, *options) in question.baselines.items()}
    together = question.pooled and len(question.splits) > 1
    return {"question": question.name, "rows": rows, "seconds": max(seconds), "intervals": stats.intervals(pooled) if together else {},
            "pooled": stats.measures(pooled) if together else {}}


def earlier():
    return json.loads(KEPT.read_text()) if KEPT.exists() else {}


def keep(name, value):
    kept = earlier()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout.strip()
    kept[name] = {"date": str(datetime.date.today()), "commit": commit, "command": f"./run results {name}", "machine": f"{platform.machine()}, {os.cpu_count()} cores", **value}
    KEPT.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")


def main():
    parser = argparse.ArgumentParser(prog="./run results", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", choices=[[], "shipped", *sets.SETS], metavar="SET", help=f"of shipped, {', '.join(sets.SETS)}")
    parser.add_argument("--write", action="store_true", help="only write the page")
    parser.add_argument("--fresh", action="store_true", help="train anew although there are models of this recipe")
    parser.add_argument("--without-baselines", action="store_true", help="leave the baselines as they were measured before; they take most of the time")
    o = parser.parse_args()
    if not DATA.is_dir() and not o.write:
        sys.exit(f"results: there is no {DATA}; set SEAM_DATA to the folder of the data sets")
    for name in [] if o.write else o.sets or ["shipped", *sets.SETS]:
        print(f"results: {name}", file=sys.stderr)
        if name == "shipped":
            keep(name, shipped.measure(DATA))
        else:
            task = sets.SETS[name]
            before = {q["question"]: q["rows"] for q in earlier().get(name, {}).get("questions", [])}
            keep(name, {"questions": [measure_question(task, q, o.fresh, not o.without_baselines, before.get(q.name, [])) for q in task.questions]})
    text = page.write(json.loads(KEPT.read_text()), sets.SETS)
    (ROOT / "docs" / "results.md").write_text(text)


main()
