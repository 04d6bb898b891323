# SPDX-License-Identifier: LGPL-2.1-or-later
"""`./run bench ablation`: what each mechanism of the architecture costs, saves and does to quality.

    ./run bench ablation             every row; writes docs/ablation.md with its figures and build/ablation.json
    ./run bench ablation NAME ...    some rows anew; the others stay as they were last measured in build/ablation/

A row is a C program beside this file that prints one JSON object (ablation.h says which). This file only runs them, draws their plots and writes the page.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "seam", "font.size": 9, "figure.figsize": (5.2, 3.4), "axes.grid": True, "grid.alpha": 0.3})
from matplotlib import pyplot  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs" / "ablation"
ROWS = {  # program: what it is about, in the order of docs/architecture.md
    "mixers": "Token mixers",
    "gated_attention": "Sparse gated attention",
    "fusion": "Fusion in O(N log N)",
    "router": "Hierarchical low-rank router and balance",
    "needle_bank": "A needle 50,000 tokens ago: memory bank",
    "needle_scan": "A needle 50,000 tokens ago: scan",
    "stream": "An hour of stream",
    "text": "A log of 50,000 bytes",
    "compression": "Token compression",
    "dynamic": "Dynamic paths",
    "deadline": "A deadline under load",
    "generate": "Generative decoder",
    "presets": "Presets",
}


def say(text):
    print(text, file=sys.stderr, flush=True)


def measure(build, name):
    """Runs a program; what it printed is kept, so that the page can be written again without it."""
    say(f"ablation: {name}")
    done = subprocess.run([build / "tests" / "bench" / "ablation" / f"ablation_{name}"], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    if done.returncode != 0:
        sys.exit(f"ablation: {name} failed with {done.returncode}")
    row = json.loads(done.stdout)
    row["date"] = str(datetime.date.today())
    row["commit"] = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout.strip()
    kept = build / "ablation" / f"{name}.json"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(json.dumps(row, indent=1) + "\n")


def cell(value):
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def table(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(map(cell, row)) + " |" for row in rows)])


def draw(plot, path):
    figure, axes = pyplot.subplots()
    for series in plot["series"]:
        axes.plot(series["x"], series["y"], marker="o", markersize=3, linewidth=1.2, label=series["name"])
    if plot.get("log"):
        axes.set_xscale("log")
        axes.set_yscale("log")
    axes.set_xlabel(plot["x"])
    axes.set_ylabel(plot["y"])
    axes.set_title(plot["title"])
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def section(name, title, row):
    parts = [f"## {title}", f"`{name}`, measured {row['date']} at {row['commit']}."]
    if row.get("claim"):
        parts.append(f"**The claim.** {row['claim']}")
    parts.append(f"**What came.** {row['finding']}")
    if row.get("keys"):
        parts.append(table(["key", "value"], [[f"`{k}`", v] for k, v in row["keys"].items()]))
    for t in row.get("tables", []):
        parts.append(f"*{t['title']}*\n\n" + table(t["columns"], t["rows"]))
    for i, plot in enumerate(row.get("plots", [])):
        draw(plot, DOCS / f"{name}-{i}.svg")
        parts.append(f"![{plot['title']}](ablation/{name}-{i}.svg)")
    return "\n\n".join(parts)


def write(build):
    rows = {n: json.loads((build / "ablation" / f"{n}.json").read_text()) for n in ROWS if (build / "ablation" / f"{n}.json").exists()}
    missing = [n for n in ROWS if n not in rows]
    if missing:
        sys.exit(f"ablation: not measured yet: {' '.join(missing)}; docs/ablation.md stays as it is")
    DOCS.mkdir(exist_ok=True)
    for old in DOCS.glob("*.svg"):
        old.unlink()
    head = ("# Ablation\n\nMade by `./run bench ablation` from fixed seeds; do not edit. Each mechanism of the architecture (docs/architecture.md): what its source claims, and what was "
            f"measured here, on {os.cpu_count()} cores ({platform.machine()}). Times are of a machine that may be busy; ratios are of the same run.")
    (ROOT / "docs" / "ablation.md").write_text("\n\n".join([head, *(section(n, ROWS[n], r) for n, r in rows.items())]) + "\n")
    (build / "ablation.json").write_text(json.dumps({k: v for r in rows.values() for k, v in r.get("keys", {}).items()}, indent=1, sort_keys=True) + "\n")


def main():
    parser = argparse.ArgumentParser(prog="./run bench ablation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("rows", nargs="*", metavar="NAME", help=f"of {', '.join(ROWS)}")
    o = parser.parse_args()
    unknown = [n for n in o.rows if n not in ROWS]
    if unknown:
        parser.error(f"there is no row {' '.join(unknown)}; known are {', '.join(ROWS)}")
    for name in o.rows or ROWS:
        measure(o.build.resolve(), name)
    write(o.build.resolve())


main()
