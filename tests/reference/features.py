# SPDX-License-Identifier: LGPL-2.1-or-later
"""Golden vectors of the front end for tables of features, by itself: usage as of golden.py. tests/core/test_golden_features.c reads them."""
import json
import math
import sys

import numpy
import torch

import golden
import twin

TIMES = [0.0, 2.0, 4.0]
CONFIG = {
    "dim": 8, "layers": 1, "heads": 2, "experts": 2, "groups": 1, "groups_kept": 1, "top_k": 1, "expert_width": 4, "router_rank": 2,
    "router_shared_a": True, "mixer": ["global"], "local_radius": 1, "gate_threshold": 0.02, "fusion_layers": 0, "fusion_neighbours": 1,
    "fusion_width": 4, "window": 2.0,
    "modalities": [
        {"name": "plain", "front": "features", "channels": 7, "tokens": 3, "delta_rank": 2, "mean": [1.0, 0.0, -1.0, 0.0, 5.0, 0.0, 2.0],
         "std": [2.0, 1.0, 0.5, 1.0, 1.0, 3.0, 1.0]},
        {"name": "ranked", "front": "features", "channels": 5, "tokens": 2, "quantiles": 6, "mean": [0.0, 1.0, 0.0, 0.0, 0.0],
         "std": [1.0, 0.5, 1.0, 2.0, 1.0]}],
    "classes": ["good", "porosity"], "tasks": [],
}


def draw_parameters(random):
    dim, p = CONFIG["dim"], {}
    for name, (shape, mean) in golden.shapes({**CONFIG, "modalities": []}).items():
        if name.startswith(("project.", "place.domain", "place.weight")):
            p[name] = golden.single(mean + 0.3 * random.standard_normal(shape)).requires_grad_()
    p["place.modality"] = golden.single(random.standard_normal((len(CONFIG["modalities"]), dim))).requires_grad_()
    for m in CONFIG["modalities"]:
        prefix = f"embed.{m['name']}."
        p[prefix + "weight"] = golden.single(0.5 * random.standard_normal((m["channels"], dim))).requires_grad_()
        p[prefix + "bias"] = golden.single(0.5 * random.standard_normal((m["tokens"], dim))).requires_grad_()
        if m.get("delta_rank"):
            p[f"project.delta.{m['name']}.a"] = golden.single(random.standard_normal((m["delta_rank"], dim))).requires_grad_()
            p[f"project.delta.{m['name']}.b"] = golden.single(random.standard_normal((dim, m["delta_rank"]))).requires_grad_()
        if m.get("quantiles"):
            table = numpy.sort(random.standard_normal((m["channels"], m["quantiles"])), 1)
            table[0, 2:4] = 0.5  # equal ones
            p[prefix + "quantiles"] = golden.single(numpy.sort(table, 1))
    return p


def make():
    random = numpy.random.RandomState(5)
    p = draw_parameters(random)
    out = {"param." + name: value for name, value in p.items()}
    loss = 0.0
    for m, modality in enumerate(CONFIG["modalities"]):
        x = golden.single(numpy.array(modality["mean"]) + numpy.array(modality["std"]) * 1.5 * random.standard_normal((3, modality["channels"])))
        x[0, 1] = x[2, 4] = math.nan
        x[1] = math.nan
        if modality.get("quantiles"):
            x[0, 0], x[0, 2], x[2, 2] = 0.5, 50.0, -50.0  # equal to two quantiles; beyond all
        tokens = twin.project(p, CONFIG, twin.feature_features(p, CONFIG, m, x, TIMES))
        weight = golden.single(random.standard_normal(tokens.x.shape))
        loss = loss + (tokens.x * weight).sum()
        name = modality["name"]
        out["input." + name], out["embedded." + name], out["weight." + name] = torch.nan_to_num(x, nan=1e30), tokens.x, weight
    loss.backward()
    for name, value in p.items():
        out["grad." + name] = torch.zeros_like(value) if value.grad is None else value.grad
    return {name: numpy.ascontiguousarray(value.detach().numpy().astype(numpy.float32)) for name, value in out.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    about = {"config": json.dumps(CONFIG)}
    if sys.argv[1] == "--check":
        sys.exit(golden.compare("golden vectors of features", sys.argv[2], make(), about))
    golden.write(sys.argv[1], make(), about)
