# SPDX-License-Identifier: LGPL-2.1-or-later
"""The parts of `./run bench`: each is a function that measures and gives its share of bench.json. It holds what is compared with what; how a thing runs is
said in ours.py, peers.py and experts.py."""
import functools
import os
import statistics
import sys

import machine as machines
import material as materials
import ours as ours_module

COPY_LEAST = 128  # SEAM_PROBE_COPY_LEAST
PICTURES = 25  # of the clip, for the networks
TYPES = {"": "f32", "_bf16": "bf16", "_int8": "i8"}  # our number types: endings of names, and what bench_network calls them
# Where core works once a decision and not once a frame: clocks, boxes, thresholds, and the result's words.
DECISION_FILES = ("result.c", "weld.c", "decide.c", "offset.c")
DECISION_FUNCTIONS = ("seam_verdict", "seam_window_result", "seam_decide", "seam_weld", "seam_offset", "seam_vision_boxes", "find_boxes", "join_cells",
                      "seam_boxes_find")


def say(text):
    print(text, file=sys.stderr, flush=True)


class Bench:
    """What the parts share, made when the first of them asks for it."""

    def __init__(self, args, machine):
        self.args, self.machine = args, machine

    @functools.cached_property
    def material(self):
        say("bench: the clip, its streams and the models")
        return materials.Material(self.machine)

    @functools.cached_property
    def ours(self):
        return ours_module.Ours(self.machine, self.material)

    @functools.cached_property
    def frames(self):
        frames = self.material.frames
        return frames[:: max(1, len(frames) // PICTURES)][:PICTURES]

    def describe(self):
        video, config = self.material.streams["video"], self.material.config
        return {"model": "the preset small on pictures of 160x160",
                "model_bytes": {"f32": ours_module.model_size(self.material.model), "int8": ours_module.model_size(self.material.int8)},
                "clip": f"{materials.WIDTH}x{materials.HEIGHT}, {video['per_second']} frames a second", "clip_format": "I420",
                "window_frames": round(config["window"] * video["per_second"]), "copy_least": COPY_LEAST}

    def in_turn(self, contenders):
        """{name: [result of each round]}, A B C A B C ..."""
        results = {name: [] for name in contenders}
        for i in range(self.args.rounds):
            say(f"  round {i + 1} of {self.args.rounds}")
            for name, measure in contenders.items():
                results[name].append(measure())
        return results

    def rates(self, contenders):
        """{name: {fps, rounds}} of functions that give a rate."""
        return {name: {"fps": statistics.median(rounds), "rounds": rounds} for name, rounds in self.in_turn(contenders).items()}


# ---- pipelines ----------------------------------------------------------------------------------------------------------------------


def pipelines(bench):
    """frames a second of seaminspect"""
    ours, summary = bench.ours, {}
    for name, rounds in bench.in_turn({name: lambda name=name: ours.fps(name, bench.args.windows) for name in ours.pipelines}).items():
        rates, details = zip(*rounds)
        summary[name] = {"fps": statistics.median(rates), "rounds": rates,
                         "cpu_ms_per_frame": statistics.median(1e3 * d["cpu_seconds"] / d["frames"] for d in details),
                         "cores": statistics.median(d["cpu_seconds"] / d["seconds"] for d in details)}
    keys = {"video": "f32", "video_int8": "int8", "all": "f32_all_streams", "all_int8": "int8_all_streams", "decoding": "f32_decoding",
            "shipped": "f32_shipped"}
    return {"seaminspect": summary, "seaminspect_fps": {key: summary[name]["fps"] for name, key in keys.items() if name in summary}}


def start(bench):
    """cold start and resident memory"""
    found = {name: bench.ours.cold_start(name, bench.args.rounds) for name in ("all", "all_int8", "camera", "camera_int8")}
    return {"cold_start_ms": found["all_int8"]["ms"], "resident_mb": found["all_int8"]["mb"], "starts": found}


def delays(bench):
    """from capture to verdict, at the speed of life"""
    windows = min(20, bench.args.frames)
    ours, frames = bench.ours, bench.args.frames
    return {"capture_to_verdict_ms": ours.delays("camera_int8", frames), "capture_to_verdict_f32_ms": ours.delays("camera", max(2, frames // 4)),
            "window_to_verdict_ms": {"f32": ours.delays("all", windows), "int8": ours.delays("all_int8", windows)}}


# ---- what is counted, not timed -----------------------------------------------------------------------------------------------------


def allocator(site):
    """To which sum an allocation belongs. What cannot be told counts against core."""
    function, by_us = site["for"], site["by"] in ("core", "kernels", "unknown")
    if site["room"] in ("core", "kernels", "unknown"):
        if function.startswith(DECISION_FUNCTIONS) or any(f"({file})" in function for file in DECISION_FILES):
            return "decisions"
        return "core_and_kernels" if by_us else "libraries"
    return "elements" if site["room"] == "plugins" else "others"


def memory(bench):
    """allocations and copies a frame"""
    found = bench.ours.allocations(bench.args.windows)
    by = dict.fromkeys(("core_and_kernels", "libraries", "decisions", "elements", "others"), 0.0)
    for site in found["sites"]:
        by[allocator(site)] += site["per_frame"]
    return {"memory": found, "allocations_by": by, "allocations_per_frame": by["core_and_kernels"],
            "allocations_per_decision": by["decisions"] * bench.describe()["window_frames"], "video_copies_per_frame": found["video_copies_per_frame"]}


def elements(bench):
    """processor time of the elements, and what they cost beyond their kernels"""
    times = bench.ours.element_times("all", bench.args.windows)
    rounds = [bench.ours.overhead(20 * bench.args.windows, bench.args.seconds) for _ in range(bench.args.rounds)]
    middle = sorted(rounds, key=lambda r: r["us_per_buffer"])[len(rounds) // 2]
    return {"elements": times, "element_time_us": {name: e["us"] for name, e in times.items()}, "element_overhead": middle,
            "element_overhead_us": middle["us_per_buffer"]}


# ---- networks beside other runtimes -------------------------------------------------------------------------------------------------


def number_types(bench):
    """{ending: name for bench_network}: bf16 only where the machine has instructions for it."""
    has = bench.machine.describe()["instructions"]
    return {ending: name for ending, name in TYPES.items() if name != "bf16" or "avx512_bf16" in has or "amx_bf16" in has}


def our_networks(bench, config, modality, pixels):
    """{type ending + way: function that gives a rate}: a picture at a time, and several."""
    return {ending + way: lambda t=number_type, n=streams: bench.ours.network(config, pixels, bench.args.seconds, n, t, modality=modality)["rate"]
            for ending, number_type in number_types(bench).items() for way, streams in (("", 1), ("_throughput", bench.args.threads))}


def peer_rates(bench, peers, built):
    return {name: lambda run=run, pictures=pictures: peers.rate(run, pictures, bench.args.seconds) for name, (run, pictures) in built.items()}


def named(prefix, contenders):
    return {(prefix, name): measure for name, measure in contenders.items()}


def by_prefix(results):
    """{prefix: {name: result}} of results of `named` contenders."""
    out = {}
    for (prefix, name), result in results.items():
        out.setdefault(prefix, {})[name] = result
    return out


def best(rates, number_type):
    """The best rate of one number type: f32, bf16 or int8."""
    endings = ("bf16", "int8")
    return max(r["fps"] for name, r in rates.items() if next((e for e in endings if e in name), "f32") == number_type)


def dense(bench):
    """the dense network beside the same in other runtimes, f32 and int8"""
    import peers  # loads three runtimes: not before it is needed
    material, video = bench.material, materials.MODALITY["video"]
    pixels = material.scaled(peers.scale(bench.frames, material.modality(video)["size"]).numpy())
    built = peers.dense(bench.frames, material.config, video, bench.args.threads, bench.machine.folder)
    rates = by_prefix(bench.rates({**named("small", our_networks(bench, material.config_of(material.model), video, pixels)),
                                   **named("dense", our_networks(bench, material.dense_config(), video, pixels)),
                                   **named("vit", peer_rates(bench, peers, built))}))
    against = {"f32": "f32", "int8": "int8", **({"bf16": "f32"} if "_bf16" in rates["dense"] else {})}  # no peer runs in bf16 here
    return {"networks": rates, "vit": material.vit(), "dense_vs_best_peer": {t: best(rates["dense"], t) / best(rates["vit"], p) for t, p in against.items()}}


def job(bench):
    """the job: pictures a second beside EfficientNet-Lite0"""
    import peers
    config, modality, size = bench.material.job(bench.args.job_model)
    pixels = bench.material.scaled(peers.scale(bench.frames, size).numpy(), "job.raw")
    rates = by_prefix(bench.rates({**named("ours", our_networks(bench, config, modality, pixels)),
                                   **named("efficientnet_lite0", peer_rates(bench, peers, peers.job(bench.frames, bench.args.threads, bench.machine.folder)))}))
    ratio = {t: best(rates["ours"], t) / best(rates["efficientnet_lite0"], t) for t in ("f32", "int8")}
    return {"job": rates, "job_model": bench.args.job_model or "the recipe of neu-det, with random weights", "job_vs_best_peer": ratio["int8"],
            "job_vs_best_peer_f32": ratio["f32"]}


def experts(bench):
    """the layer of experts, its router included, beside PyTorch and ONNX Runtime"""
    import experts as peers
    rows, absent = [], {}
    ours = {"seam": "f32", "seam_bf16": "bf16", "seam_int8": "i8"}
    program, seconds = bench.machine.path("tests/bench/bench_experts"), bench.args.seconds / 5
    for dim, width in peers.SIZES.items():
        functions, missing = peers.build(dim, bench.args.threads)
        absent.update(missing)
        for n in peers.TOKENS:
            x = peers.tokens(dim, n)
            contenders = {name: functools.partial(peers.microseconds, run, x, seconds) for name, run in functions.items()}
            for name, number_type in ours.items():
                command = [program, "--dim", dim, "--width", width, "--experts", peers.EXPERTS, "--top-k", peers.TOP_K, "--tokens", n, "--type", number_type,
                           "--seconds", seconds]
                contenders[name] = lambda command=command: bench.machine.measure(command)["us"]
            us = {name: statistics.median(rounds) for name, rounds in bench.in_turn(contenders).items()}
            fastest = {t: min((us[name], name) for name in functions if name.endswith("_int8") == (t == "int8")) for t in ("f32", "int8")}
            rows.append({"dim": dim, "width": width, "tokens": n, "us": us, "best_peer": {t: name for t, (_, name) in fastest.items()},
                         "ratio": {"f32": fastest["f32"][0] / us["seam"], "int8": fastest["int8"][0] / us["seam_int8"]}})
    return {"experts": rows, "experts_absent": absent, "expert_vs_best_peer": min(row["ratio"]["f32"] for row in rows),
            "expert_vs_best_peer_int8": min(row["ratio"]["int8"] for row in rows)}


PARTS = {f.__name__: f for f in (pipelines, start, delays, memory, elements, dense, experts, job)}
CHECKED = ("memory",)  # what --check measures: no noise
