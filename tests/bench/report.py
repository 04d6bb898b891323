# SPDX-License-Identifier: LGPL-2.1-or-later
"""The numbers as tables of Markdown: on the terminal, in the build folder, and in docs/performance.md when asked."""
import textwrap

PIPELINES = {"video": "video alone", "video_int8": "video alone, int8", "all": "video, sensors and sound", "all_int8": "video, sensors and sound, int8",
             "decoding": "video alone, with reading and decoding the file", "shipped": "video alone, with the shipped model (preset nano, 192x192)"}
STARTS = {"all": "all streams, a decision a window, f32", "all_int8": "all streams, a decision a window, int8", "camera": "a camera alone, a decision a frame, f32",
          "camera_int8": "a camera alone, a decision a frame, int8"}
NETWORKS = {"small": "ours, as it is (sparse)", "dense": "ours, dense twin", "vit": "dense ViT of our width and depth"}
JOB = {"ours": "ours", "efficientnet_lite0": "EfficientNet-Lite0"}
OURS = {"": "Seam, a picture at a time", "_throughput": "Seam, several at a time"}
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
    last = max(r["parts"].values(), key=lambda p: p["date"])
    m, v = last["machine"], last["versions"]
    runtimes = ", ".join(f"{name} {v[key]}" for key, name in (("gstreamer", "GStreamer"), ("onednn", "oneDNN"), ("onnxruntime", "ONNX Runtime"),
                                                               ("openvino", "OpenVINO"), ("torch", "PyTorch")))
    made = sorted({f"`{p['command']}` on {p['date']} at {p['commit']}" for p in r["parts"].values()})
    return ["# Performance",
            paragraph(f"""Made by {", ".join(made)}; do not edit. The numbers as they came are in `build/bench.json`. Machine: {m["architecture"]},
                {m["cores_used"]} of {m["cores"]} cores used ({", ".join(m["instructions"])}), {m["memory_gib"]} GiB, {m["system"]}.
                Seam {v["seam"]}, {runtimes}."""),
            paragraph(f"""All that is timed runs on the same {m["cores_used"]} cores with {last["threads"]} threads, in turn
                (A B C A B C ...), {last["rounds"]} rounds; given are medians, and the slowest and fastest round. The model: {r["model"]}, in single
                precision (f32) where nothing else is said. The clip: a synthetic weld, {r["clip"]}.""")]


def pipelines(r):
    rows = [[PIPELINES[name], f"{p['fps']:.1f}", spread(p["rounds"]), f"{p['cpu_ms_per_frame']:.1f}", f"{p['cores']:.2f}"]
            for name, p in r["seaminspect"].items()]
    return ["## Pipelines",
            paragraph(f"""`seaminspect` with every frame judged: from one decision to another, in the middle of a stream, so that neither start
                nor drain counts. Frames lie decoded in memory ({r["clip_format"]}), but where the file is read."""),
            table(["seaminspect", "frames/s", "rounds", "processor ms a frame", "cores busy"], rows)]


def start(r):
    rows = [[STARTS[name], f"{s['ms']:.0f}", f"{s['mb']:.0f}"] for name, s in r["starts"].items()]
    return ["## Start",
            paragraph(f"""From the start of the process to its first decision, files cached; a window has {r["window_frames"]} frames, all of which are
                judged before it is decided. Resident memory includes the libraries."""),
            table(["seaminspect", "first decision after, ms", "resident, MiB"], rows)]


def delays(r):
    rows = [[name, *(f"{d[key]:.1f}" for key in ("p50", "p99", "max")), d["n"]]
            for name, d in (("a camera alone, int8: a frame", r["capture_to_verdict_ms"]), ("a camera alone, f32: a frame", r["capture_to_verdict_f32_ms"]),
                            ("all streams, int8: a window", r["window_to_verdict_ms"]["int8"]), ("all streams, f32: a window", r["window_to_verdict_ms"]["f32"]))]
    return ["## From capture to verdict",
            paragraph("""At the speed of life: from the moment when a camera has a frame to the decision on it, by a model whose window is a frame; and from
                the end of a window of all streams to its decision."""),
            table(["what", "median ms", "99th percentile", "most", "decisions"], rows)]


def runtime(name):
    """A contender's name in words: (number type, runtime or way)."""
    number_type = next((t for t in ("int8", "bf16") if t in name), "f32")
    way = name.replace("_" + number_type, "")
    return number_type, OURS.get(way) or RUNTIMES[way]


def rate_rows(rates, labels):
    return [[labels[kind], *runtime(name), f"{e['fps']:.1f}", spread(e["rounds"])] for kind in labels for name, e in rates[kind].items()]


def dense(r):
    ratio = r["dense_vs_best_peer"]
    said = [f"in {t} {ratio[t]:.2f} of the best of another runtime in {p}" for t, p in (("f32", "f32"), ("int8", "int8"), ("bf16", "f32")) if t in ratio]
    return ["## Networks",
            paragraph(f"""The same frames, scaled and normalised beforehand (which favours the peers: `seaminspect` above does that itself). Seam:
                embedding and encoder. The ViT has {r["vit"]}; our dense twin is the same with attention gates and
                low-rank deltas, and our sparse model uses as many weights a token, out of more. The best rate of the dense twin is
                {", ".join(said)}. The peers in int8 are quantised after training: ONNX Runtime and OpenVINO statically, weights by output channel,
                calibrated on the same frames; PyTorch dynamically, linear maps alone."""),
            table(["network", "numbers", "runtime", "pictures/s", "rounds"], rate_rows(r["networks"], NETWORKS))]


def job(r):
    return ["## The job",
            paragraph(f"""Pictures a second of what inspects a surface, scaled and normalised beforehand. Ours: {r["job_model"]} (speed does not know weights);
                beside it EfficientNet-Lite0 at 224x224, which gives a class and no boxes. How well each does it is in docs/results.md. The best of ours in int8
                is {r["job_vs_best_peer"]:.2f} of the best of EfficientNet-Lite0 in int8; in f32 {r["job_vs_best_peer_f32"]:.2f}. Both flatter us: of
                ours the embedding and the encoder are timed, without fusion and task heads, and of EfficientNet-Lite0 all of it; quality is not made equal."""),
            table(["network", "numbers", "runtime", "pictures/s", "rounds"], rate_rows(r["job"], JOB))]


def experts(r):
    rows = [[row["dim"], row["tokens"], *[number(row["us"][name]) for name in ("seam", "seam_bf16", "seam_int8")],
             *[f"{number(row['us'][row['best_peer'][t]])} ({row['best_peer'][t]})" for t in ("f32", "int8")],
             *[f"{row['ratio'][t]:.2f}" for t in ("f32", "int8")]] for row in r["experts"]]
    absent = "".join(f" Not there: {name}: {why}." for name, why in r["experts_absent"].items())
    return ["## Experts",
            paragraph(f"""One layer of 16 experts as wide as a token, of which a token uses 4, the router included: microseconds a call. Peers: PyTorch, with a loop over
                experts and with rows sorted by expert, and its dynamic quantisation; the operations MoE and QMoE of ONNX Runtime. The peers agree with PyTorch's
                loop (within 0.5 % of the largest output, in int8 20 %). The layers are alike, not the same: ours has a router of rank 8 and biases, the peers a dense
                router and none; weights and tokens are drawn apart, so loads differ. A peer's call comes from Python, which counts where tokens are few, and the same tokens
                come again and again, so small weights stay in caches. int8 is compared with int8 alone; an f32 peer is sometimes faster.{absent} At least {r["expert_vs_best_peer"]:.2f} times as fast as the best peer in f32, {r["expert_vs_best_peer_int8"]:.2f} in int8."""),
            table(["width", "tokens", "f32", "bf16", "int8", "best peer, f32", "best peer, int8", "times as fast, f32", "int8"], rows)]


def elements(r):
    rows = [[f"`{name}`", number(e["us"]), number(e["pushes"]), number(e["bytes"] / 1024)] for name, e in r["elements"].items()]
    o = r["element_overhead"]
    return ["## Elements",
            paragraph("""Processor time of each kind of element (all of its instances), and what comes in, a frame of video; all streams; one
                kernel thread, so that no work hides in another thread. Measured by GStreamer's tracing hooks: the time of a streaming thread
                between two pushes is the element's whose function runs; waiting does not count."""),
            table(["element", "us a frame", "buffers a frame", "KiB a frame"], rows),
            paragraph(f"""**Beyond its kernels an element takes {number(o["us_per_buffer"])} us a buffer.** Measured with a model of hardly any arithmetic: its
                `seamvideoembed` and `seamencoder` take {number(o["elements_us"])} us a frame for {number(o["buffers"])} buffers, of which embedding and encoder called
                directly take {number(o["kernels_us"])}. The hooks' own time, about a microsecond a push, counts as the elements'.""")]


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


SECTIONS = {"pipelines": pipelines, "start": start, "delays": delays, "elements": elements, "memory": memory, "dense": dense, "experts": experts, "job": job}


def write(r):
    """The page of all parts that there are, and its figures {name: plot}."""
    blocks, figures = head(r), {}
    for part, section in SECTIONS.items():
        if part in r["parts"]:
            blocks += section(r)
    return "\n\n".join(blocks) + "\n", figures


def save(text, figures, path):
    """The page, and its figures in the folder of its name beside it."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
