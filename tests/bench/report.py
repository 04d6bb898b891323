# SPDX-License-Identifier: LGPL-2.1-or-later
"""The numbers as tables of Markdown: on the terminal, in the build folder, and in docs/performance.md when asked."""
import textwrap

PIPELINES = {"video": "video alone", "shipped": "video alone, with the shipped model (preset nano, 192x192)", "all": "video, sensors and sound", "decoding": "video alone, with reading and decoding the file"}
NETWORKS = {"small": "ours, as it is (sparse)", "dense": "ours, dense twin"}
OURS = {"": "Seam, a picture at a time", "_throughput": "Seam, several at a time"}
PEERS = {"efficientnet_lite0": "EfficientNet-Lite0, 224x224", "vit": "dense ViT of our width and depth"}
RUNTIMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO, a picture at a time", "openvino_throughput": "OpenVINO, several at a time",
            "pytorch": "PyTorch"}
MOST_PLACES = 12


def table(head, rows):
    rows = [[str(cell) for cell in row] for row in rows]
    width = [max(map(len, column)) for column in zip(head, *rows)]
    line = lambda row: "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, width)) + " |"
    return "\n".join([line(head), "|" + "|".join("-" * (w + 2) for w in width) + "|", *map(line, rows)])


def paragraph(text):
    return textwrap.fill(" ".join(text.split()), 130, break_long_words=False, break_on_hyphens=False)


def spread(rounds):
    return f"{min(rounds):.1f} .. {max(rounds):.1f}"


def number(x):
    return f"{x:.0f}" if x >= 100 or x == 0 else f"{x:.2f}" if x >= 0.005 else f"{x:.1g}"


def head(r):
    m, v = r["machine"], r["versions"]
    runtimes = ", ".join(f"{name} {v[key]}" for key, name in (("gstreamer", "GStreamer"), ("onednn", "oneDNN"), ("onnxruntime", "ONNX Runtime"),
                                                               ("openvino", "OpenVINO"), ("torch", "PyTorch")))
    return ["# Performance",
            paragraph(f"""Made by `{r["command"]}` on {r["date"]}; the numbers as they came are in `build/bench.json`. Machine: {m["architecture"]},
                {m["cores_used"]} of {m["cores"]} cores used ({", ".join(m["instructions"])}), {m["memory_gib"]} GiB, {m["system"]}.
                Seam {v["seam"]}, {runtimes}."""),
            paragraph(f"""All that is timed runs on the same {m["cores_used"]} cores with {r["threads"]} threads and in f32, in turn
                (A B C A B C ...), {r["rounds"]} rounds; given are medians, and the slowest and fastest round. The model: {r["model"]}.
                The clip: a synthetic weld, {r["clip"]}.""")]


def speed(r):
    rows = [[PIPELINES[name], f"{p['fps']:.1f}", spread(p["rounds"]), f"{p['cpu_ms_per_frame']:.1f}", f"{p['cores']:.2f}"]
            for name, p in r["seaminspect"].items()]
    d = r["capture_to_verdict_ms"]
    return ["## Pipelines",
            paragraph(f"""`seaminspect` with every frame judged: from one decision to another, in the middle of a stream, so that neither start
                nor drain counts. Frames lie decoded in memory ({r["clip_format"]}), but in the last row."""),
            table(["seaminspect", "frames/s", "rounds", "processor ms a frame", "cores busy"], rows),
            paragraph(f"""From the start of the process to its first decision (a window of {r["window_frames"]} frames; files cached):
                {r["cold_start_ms"]:.0f} ms. Resident memory: {r["resident_mb"]:.0f} MiB, libraries included."""),
            paragraph(f"""With all streams at the speed of life, from the end of a window to its decision: median {d["p50"]:.1f} ms,
                99th percentile {d["p99"]:.1f} ms, most {d["max"]:.1f} ms ({d["n"]} decisions).""")]


def peer_row(name, peer):
    network = next(n for n in PEERS if name.startswith(n + "_"))
    return [PEERS[network], RUNTIMES[name.removeprefix(network + "_")], f"{peer['fps']:.1f}", spread(peer["rounds"])]


def networks(r):
    rows = [[NETWORKS[name], OURS[way], f"{n['fps']:.1f}", spread(n["rounds"])]
            for name in NETWORKS for way in OURS for n in [r["network"][name + way]]]
    rows += [peer_row(*item) for item in r["peers"].items()]
    return ["## Networks",
            paragraph(f"""The same frames, scaled and normalised beforehand (which favours the peers: `seaminspect` above does that itself). Seam:
                embedding and encoder. The ViT has {r["vit"]}; our dense twin is the same with attention gates and
                low-rank deltas, and our sparse model uses as many weights a token, out of more. The best rate of the dense twin is
                {r["dense_vs_best_peer"]["f32"]:.2f} of the best of another runtime on the ViT."""),
            table(["network", "runtime", "pictures/s", "rounds"], rows)]


def elements(r):
    rows = [[f"`{name}`", number(e["us"]), number(e["pushes"]), number(e["bytes"] / 1024)] for name, e in r["elements"].items()]
    return ["## Elements",
            paragraph("""Processor time of each kind of element (all of its instances), and what comes in, a frame of video; all streams; one
                kernel thread, so that no work hides in another thread. Measured by GStreamer's tracing hooks: the time of a streaming thread
                between two pushes is the element's whose function runs; waiting does not count."""),
            table(["element", "us a frame", "buffers a frame", "KiB a frame"], rows)]


def memory(r):
    a, by = r["memory"], r["allocations_by"]
    rows = [[s["by"], s["for"] or "-", number(s["per_frame"]), number(s["bytes_per_frame"])] for s in a["sites"][:MOST_PLACES]]
    return ["## Memory",
            paragraph(f"""In the steady state, all streams, counted by a preloaded library that unwinds every malloc, calloc and realloc (slices
                of GLib too). **A frame: {number(r["allocations_per_frame"])} allocations in core and kernels**, {number(by["libraries"])} by
                oneDNN, OpenMP and OpenCV on their behalf. A decision: {number(r["allocations_per_decision"])}, for the clocks' offset, the boxes
                and the result's words. Elements, which move buffers: {number(by["elements"])} a frame. GStreamer by itself:
                {number(by["others"])} a frame. The busiest places:"""),
            table(["by", "called from", "a frame", "bytes a frame"], rows),
            paragraph(f"""**Video frames copied: {number(r["video_copies_per_frame"])} a frame** (bytes that memcpy and memmove read from the
                clip's memory, over a frame's bytes). All copies of {r["copy_least"]} bytes or more by memcpy and memmove:
                {number(a["copies_per_frame"])} a frame, {number(a["copied_bytes_per_frame"] / 1024)} KiB, of which
                {number(a["our_copied_bytes_per_frame"] / 1024)} KiB by our library: tokens gathered for their experts, and tokens into and out
                of buffers. Neither sees loops that compilers put in line.""")]


def write(r):
    return "\n\n".join(block for part in (head, speed, networks, elements, memory) for block in part(r)) + "\n"
