# SPDX-License-Identifier: LGPL-2.1-or-later
"""Golden vectors of a model of remaining lives: channels together in a token, and the survival head.

    rul.py [--check] FILE

As golden.py, whose drawing and files it uses; tests/core/test_golden_rul.c holds the C code against the file.
"""
import json
import math

import numpy
import torch

import golden
import twin

TIMES = [0.0, 2.0, 4.0]
LIVES = [12.5, 37.0, 90.0]  # between two points of the grid, near its end, and past it
LEVELS = [0.05, 0.5, 0.95]
CONFIG = {
    "dim": 16, "layers": 1, "heads": 2, "experts": 2, "groups": 1, "groups_kept": 1, "top_k": 2, "expert_width": 6, "router_rank": 4,
    "router_shared_a": True, "mixer": ["global"], "local_radius": 1, "gate_threshold": 0.0, "fusion_layers": 0, "fusion_neighbours": 0,
    "fusion_width": 8, "window": 2.0,
    "modalities": [{"name": "engine", "front": "sensor", "channels": 3, "rate": 16.0, "patch": 16, "time_bins": 4, "fft": 8, "bands": 3,
                    "arc_channel": -1, "together": True, "delta_rank": 2, "mean": [1.0, -1.0, 0.0], "std": [2.0, 0.5, 1.0]}],
    "classes": [], "tasks": [{"name": "rul", "kind": "rul", "rank": 3, "limit": 40, "bins": 5}],
}


def make():
    random, task = numpy.random.RandomState(23), CONFIG["tasks"][0]
    p, x = golden.draw_parameters(CONFIG, random), golden.single(random.standard_normal((3, 32, 3)) * 1.5)
    x[0, 0:9, 1] = math.nan   # more than half of a stretch of one channel
    x[1, 16:32, :] = math.nan  # a whole stretch: no token
    x[2, 18:22, 0] = math.nan  # a hole
    out = {"param." + name: value for name, value in p.items()}
    out["input"] = torch.where(torch.isfinite(x), x, torch.full_like(x, 1e30))
    tokens = twin.project(p, CONFIG, twin.together_features(p, CONFIG, 0, x, TIMES))
    out["embedded"] = tokens.x
    encoded, _, _ = twin.encode(p, CONFIG, tokens)
    fused = twin.fuse(p, CONFIG, twin.join(CONFIG, [encoded], [[0, 1, 2]], TIMES))
    logits, _ = twin.classify(p, CONFIG, task, fused)
    loss = sum(twin.life_loss(task, z, life) for z, life in zip(logits, LIVES)) / len(LIVES)
    loss.backward()
    out["logits"], out["loss"] = logits, loss.reshape(1)
    out["mean"] = torch.stack([twin.life_mean(task, z) for z in logits])
    out["quantile"] = torch.tensor([[twin.life_quantile(task, z, level) for level in LEVELS] for z in logits])
    for name, value in p.items():
        out["grad." + name] = torch.zeros_like(value) if value.grad is None else value.grad
    return {name: numpy.ascontiguousarray(value.detach().numpy().astype(numpy.float32)) for name, value in out.items()}


if __name__ == "__main__":
    golden.main(make, lambda: {"config": json.dumps(CONFIG)})
