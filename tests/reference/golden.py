# SPDX-License-Identifier: LGPL-2.1-or-later
"""Golden vectors: a small model with all its parts, inputs with all their awkwardness, and what the twin makes of them.

    golden.py FILE          writes them (safetensors)
    golden.py --check FILE  makes them anew and compares; speaks TAP

tests/core/test_golden.c holds the C code against the file. Everything is drawn by numpy's RandomState, whose stream does not change between
versions, and computed in double precision.
"""
import json
import math
import struct
import sys

import numpy
import torch

import twin

WINDOWS = [0.0, 2.0, 4.0]
THRESHOLD = 0.7
CONFIG = {
    "dim": 16, "layers": 2, "heads": 2, "experts": 6, "groups": 3, "groups_kept": 2, "top_k": 2, "expert_width": 6, "router_rank": 4,
    "router_shared_a": True, "mixer": ["local", "global"], "local_radius": 1, "gate_threshold": THRESHOLD, "fusion_layers": 2,
    "fusion_neighbours": 3, "fusion_width": 12, "window": 2.0,
    "modalities": [
        {"name": "video", "front": "image", "channels": 1, "size": 16, "stem": [4, 16], "delta_rank": 2, "mean": [120.0], "std": [60.0]},
        {"name": "photo", "front": "image", "channels": 3, "size": 8, "stem": [3, 5, 16], "blocks": [1, 0, 2], "sparse": True,
         "mean": [120.0, 100.0, 90.0], "std": [50.0, 60.0, 70.0]},
        {"name": "sensors", "front": "sensor", "channels": 2, "rate": 16.0, "patch": 16, "time_bins": 4, "fft": 8, "bands": 3, "arc_channel": 0,
         "delta_rank": 3, "mean": [1.0, -1.0], "std": [2.0, 0.5]},
        {"name": "text", "front": "text", "buckets": 31, "ngram_min": 3, "ngram_max": 4, "max_tokens": 3, "sparse": True}],
    "classes": ["good", "porosity", "burn through"],
    "tasks": [{"name": "classify", "kind": "classify", "rank": 3}, {"name": "localise", "kind": "localise", "rank": 2, "upscale": 2},
              {"name": "anomaly", "kind": "anomaly", "rank": 0, "memory": 5, "neighbours": 2}],
}
TEXTS = ["Gas flow 12.5 l/min, LOW", "wei\u00df ok"]
TIMES = {"video": [0.25, 1.5, 2.5], "photo": [0.25, 4.75], "sensors": [0.0, 2.0], "text": [0.5, 2.75]}
BALANCE = 0.1  # weight of the balance loss; the other losses are weighted sums of logits


def shapes(config):
    """Every parameter by its name: shape, and where its values lie (their mean)."""
    d, out = config["dim"], {}

    def add(name, *shape, mean=0.0):
        out[name] = (shape, mean)

    def add_norm(name, width=d):
        add(name + ".weight", width, mean=1.0)
        add(name + ".bias", width)

    def add_linear(name, n_in, n_out, bias=0.0):
        add(name + ".weight", n_out, n_in)
        add(name + ".bias", n_out, mean=bias)

    def add_attention(name):
        add_linear(name + ".qkv", d, 3 * d)
        add_linear(name + ".gate", d, config["heads"], bias=1.0)
        add_linear(name + ".out", d, d)

    add_norm("project.norm")
    add_linear("project", d, d)
    add("place.weight", d, 24)
    add("place.modality", len(config["modalities"]), d)
    add("place.domain", len(twin.DOMAINS), d)
    for m in config["modalities"]:
        embed, delta = f"embed.{m['name']}.", "project.delta." + m["name"]
        if m.get("delta_rank"):
            add(delta + ".a", m["delta_rank"], d)
            add(delta + ".b", d, m["delta_rank"])
        if m["front"] == "image":
            widths = [m["channels"]] + m["stem"]
            for layer, width in enumerate(m["stem"]):
                add(f"{embed}stem.{layer}.weight", width, 3, 3, widths[layer])
                add(f"{embed}stem.{layer}.bias", width)
                for block in range(m.get("blocks", [0] * len(m["stem"]))[layer]):
                    name = f"{embed}stem.{layer}.block.{block}"
                    add_norm(name + ".norm", width)
                    add(name + ".conv.weight", width, 3, 3, width)
                    add(name + ".conv.bias", width)
                    add_linear(name + ".out", width, width)
            add(embed + "summary", d)
        elif m["front"] == "sensor":
            wide = m["channels"] if m.get("together") else 1
            add_linear(embed + "time", wide * 2 * m["time_bins"], d)
            add_linear(embed + "frequency", wide * m["bands"], d)
            add(embed + "channel", m["channels"], d)
        else:
            add(embed + "table", m["buckets"], d)
    add("encoder.router.a", config["router_rank"], d)
    for layer in range(config["layers"]):
        prefix, e, w = f"encoder.{layer}.", config["experts"], config["expert_width"]
        add_norm(prefix + "norm1")
        add_attention(prefix + "attention")
        add_norm(prefix + "norm2")
        add(prefix + "router.b", e, config["router_rank"])
        add(prefix + "router.bias", e)
        add(prefix + "experts.up.weight", e, w, d)
        add(prefix + "experts.up.bias", e, w)
        add(prefix + "experts.down.weight", e, d, w)
        add(prefix + "experts.down.bias", e, d)
    add("fusion.time.weight", d, 16)
    add("fusion.modality", len(config["modalities"]), d)
    for layer in range(config["fusion_layers"]):
        prefix = f"fusion.{layer}."
        add_norm(prefix + "norm1")
        add_attention(prefix + "attention")
        add_norm(prefix + "norm2")
        add_linear(prefix + "up", d, config["fusion_width"])
        add_linear(prefix + "down", config["fusion_width"], d)
    for task in config["tasks"]:
        prefix, classes = f"tasks.{task['name']}.", len(config["classes"])
        if task["kind"] == "anomaly":
            continue
        add_norm(prefix + "adapter.norm")
        add_linear(prefix + "adapter.down", d, task["rank"])
        add_linear(prefix + "adapter.up", task["rank"], d)
        add_norm(prefix + "norm")
        if task["kind"] in ("classify", "rul"):
            logits = task.get("bins", classes)
            add(prefix + "score.weight", 1, d)
            add(prefix + "weight", logits, d)
            add(prefix + "bias", logits)
        else:
            add_linear(prefix + "head", d, (classes - 1) * task["upscale"] ** 2)
    return out


def single(values):
    """Rounded to single precision, as the C code gets them; double from here on."""
    return torch.from_numpy(numpy.asarray(values, dtype=numpy.float32).astype(numpy.float64))


def draw_parameters(config, random):
    p = {}
    for name, (shape, mean) in shapes(config).items():
        fan_in = math.prod(shape[1:]) if len(shape) == 2 or "stem" in name else shape[-1] if len(shape) > 2 else 4
        spread = 0.1 if name.endswith("router.bias") else 0.8 / math.sqrt(fan_in)
        p[name] = single(mean + spread * random.standard_normal(shape)).requires_grad_()
    return p


def draw_inputs(config, random):
    inputs = {}
    for m in config["modalities"]:
        if m["front"] == "image":
            inputs[m["name"]] = single(random.randint(0, 256, (len(TIMES[m["name"]]), m["size"], m["size"], m["channels"])))
        elif m["front"] == "sensor":
            x = single(random.standard_normal((2, 32, m["channels"])) * 1.5)
            x[0, 0:9, 1] = math.nan        # more than half of a stretch: it gives no token
            x[0, 3:7, 0] = math.nan        # a hole
            x[1, 16:20, 1] = math.nan      # at a stretch's start
            inputs[m["name"]] = x
    inputs["memory"] = {m["name"]: {"rows": single(random.standard_normal((5, 2 * config["dim"]))),
                                    "mean": single(0.3 * random.standard_normal(2 * config["dim"])),
                                    "std": single(0.5 + random.random_sample(2 * config["dim"])),
                                    "calibration": single([5.0, 0.75])} for m in config["modalities"]}
    return inputs


def embed_all(p, config, inputs):
    streams = []
    for m, modality in enumerate(config["modalities"]):
        name, times = modality["name"], TIMES[modality["name"]]
        if modality["front"] == "image":
            features = twin.image_features(p, config, m, inputs[name], times)
        elif modality["front"] == "sensor":
            features = twin.sensor_features(p, config, m, inputs[name], times)
        else:
            features = twin.text_features(p, config, m, [t.encode() for t in TEXTS], times)
        streams.append(twin.project(p, config, features))
    return streams


def run(p, config, inputs, threshold, out, prefix):
    """The whole model; every stage's output goes into `out`. Returns logits, heat maps and the balance loss."""
    streams, balance = [], 0.0
    for modality, tokens in zip(config["modalities"], embed_all(p, config, inputs)):
        encoded, choices, loss = twin.encode(p, config, tokens, threshold)
        out[f"{prefix}embedded.{modality['name']}"] = tokens.x
        out[f"{prefix}encoded.{modality['name']}"] = encoded.x
        out[f"{prefix}routes.{modality['name']}"] = torch.tensor(choices, dtype=torch.float64)
        streams.append(encoded)
        balance = balance + loss
    window_of = [[int(t // config["window"]) for t in s.times] for s in streams]
    fused = twin.fuse(p, config, twin.join(config, streams, window_of, WINDOWS), threshold)
    logits, shares = twin.classify(p, config, config["tasks"][0], fused)
    heat = twin.localise(p, config, config["tasks"][1], fused)
    out[prefix + "fused"], out[prefix + "logits"], out[prefix + "contributions"], out[prefix + "heat"] = fused.x, logits, shares, heat
    out[prefix + "distance"] = twin.anomaly(config, config["tasks"][2], inputs["memory"], fused)
    return logits, heat, balance


def make():
    random = numpy.random.RandomState(38)  # no choice and no gate of this draw is within 3e-4 of another
    p, inputs = draw_parameters(CONFIG, random), draw_inputs(CONFIG, random)
    out = {"param." + name: value for name, value in p.items()}
    for m in CONFIG["modalities"]:
        if m["front"] != "text":
            x = inputs[m["name"]]
            out["input." + m["name"]] = torch.where(torch.isfinite(x), x, torch.full_like(x, 1e30))  # files hold no NaN
        out.update({f"memory.{m['name']}.{key}": value for key, value in inputs["memory"][m["name"]].items()})
    run(p, CONFIG, inputs, THRESHOLD, out, "closed.")
    logits, heat, balance = run(p, CONFIG, inputs, 0.0, out, "")
    out["weight.logits"], out["weight.heat"] = single(random.standard_normal(logits.shape)), single(random.standard_normal(heat.shape))
    loss = (logits * out["weight.logits"]).sum() + (heat * out["weight.heat"]).sum() + BALANCE * balance
    loss.backward()
    out["loss"], out["balance"] = loss.reshape(1), balance.reshape(1)
    for name, value in p.items():
        out["grad." + name] = torch.zeros_like(value) if value.grad is None else value.grad
    return {name: numpy.ascontiguousarray(value.detach().numpy().astype(numpy.float32)) for name, value in out.items()}


def metadata():
    return {"config": json.dumps(CONFIG), "balance": str(BALANCE), **{f"text.{i}": text for i, text in enumerate(TEXTS)}}


def write(path, arrays, about):
    header, offset = {"__metadata__": about}, 0
    for name, array in arrays.items():
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            file.write(array.tobytes())


def read(path):
    with open(path, "rb") as file:
        data = file.read()
    size = struct.unpack("<Q", data[:8])[0]
    header, body = json.loads(data[8:8 + size]), data[8 + size:]
    about = header.pop("__metadata__")
    return about, {name: numpy.frombuffer(body[slice(*h["data_offsets"])], numpy.float32).reshape(h["shape"]) for name, h in header.items()}


def compare(title, path, made, expected):
    about, stored = read(path)
    problems = []
    if about != expected or stored.keys() != made.keys():
        problems.append("the file has another configuration or other tensors: write it anew")
    for name in stored.keys() & made.keys():
        a, b = stored[name].astype(float), made[name].astype(float)
        if a.shape != b.shape or numpy.linalg.norm(a - b) > 1e-5 * max(numpy.linalg.norm(b), 1e-2):
            problems.append(f"{name} differs")
    print("1..1")
    for problem in problems:
        print("# " + problem)
    print(f"not ok 1 {title}" if problems else f"ok 1 {title}")
    return 1 if problems else 0


def main(make, metadata):
    torch.set_num_threads(1)
    if sys.argv[1] == "--check":
        sys.exit(compare("golden vectors", sys.argv[2], make(), metadata()))
    write(sys.argv[1], make(), metadata())


if __name__ == "__main__":
    main(make, metadata)
