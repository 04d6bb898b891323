# SPDX-License-Identifier: LGPL-2.1-or-later
"""The shipped weld model, on synthetic welds that it never saw and on the few real ones. It runs the `seam` command for every figure and keeps none of the data.
"""
import json
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "pipelines" / "weld-inspection" / "weld.seam"
FRESH = ROOT / "build" / "results-welds"
FRESH_SEED, FRESH_COUNT = 424242, 240


def seam(*arguments):
    """The JSON object that a subcommand prints; progress goes to our own standard error."""
    command = ["seam", *map(str, arguments), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"results: failed: {' '.join(command)}")
    return json.loads(done.stdout)


def number(value, digits=3):
    return "–" if value is None else f"{value:.{digits}f}"


def fresh_welds():
    if not (FRESH / "manifest.csv").exists():
        shutil.rmtree(FRESH, ignore_errors=True)
        subprocess.run(["seam", "synth", "--out", FRESH, "--count", str(FRESH_COUNT), "--seed", str(FRESH_SEED), "--fps", "8", "--good-share", "0.5"], check=True)
    return FRESH


def synthetic():
    welds, rows = fresh_welds(), []
    for only in [None, "video", "sensors", "sound", "photo", "sensors,sound"]:
        r = seam("eval", "--model", MODEL, "--data", welds, *(["--only", only] if only else []))
        d, good = r["decisions"], r["decisions_good"]
        bad = r["defect"]
        rows.append([only or "all", r["n"], number(r["accuracy"]), number(r["macro_f1"]), number(r.get("auroc")), number(r.get("map50")), number(r.get("ece")),
                     f"{good['reject']} of {r['good']}", f"{d['pass'] - good['pass']} of {bad}", f"{100 * d['refer'] / r['n']:.0f} %"])
    return rows


def interval(m):
    return f"{m['auroc']:.2f} [{m['low']:.2f}, {m['high']:.2f}]" if "auroc" in m else "–"


def real(data):
    evaluations = [seam("adapt", "--model", MODEL, "--data", data / "weld-runs", "--evaluate", *extra) for extra in ([], ["--only", "sound,photo"])]
    rows = []
    for i, e in enumerate(evaluations):
        for s in e["subsets"] if i == 0 else e["subsets"][:1]:
            name = "all" if i == 0 and s is e["subsets"][0] else " + ".join(s["modalities"])
            rows.append([name, s["adapted"]["good"], s["adapted"]["defect"], interval(s["as_is_classify"]), interval(s["as_is_anomaly"]), interval(s["adapted"])])
    return rows


def every_weld(data):
    rows = []
    for name in ("weld-runs", "weld-sensor-runs"):
        r = seam("eval", "--model", MODEL, "--data", data / name)
        d = r["decisions"]
        rows.append([name, r["n"], r["without_verdict"], d["pass"], d["reject"], d["refer"]])
    return rows


def measure(data):
    """Rows of the three tables of the page."""
    info = seam("info", MODEL)
    return {"fingerprint": info["fingerprint"], "count": FRESH_COUNT, "seed": FRESH_SEED, "synthetic": synthetic(), "real": real(data), "every": every_weld(data)}
