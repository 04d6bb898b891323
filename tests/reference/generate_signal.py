# SPDX-License-Identifier: LGPL-2.1-or-later
"""Golden vectors of the head that tells what a sensor's gaps hide, on drawn tokens: outputs, loss and all gradients.

    generate_signal.py FILE          writes them (safetensors)
    generate_signal.py --check FILE  makes them anew and compares; speaks TAP

Written from the formulas of docs/architecture.md, as attention with masks over all windows at once where the C code goes from window to window.
tests/core/test_golden_generate_signal.c holds the C code against the file.
"""
import math
import sys

import numpy
import torch
import torch.nn.functional as F

import generate
import golden
import twin

DIM, TOKENS, CHANNELS, STRETCHES = generate.DIM, generate.TOKENS, generate.CHANNELS, 5
PREFIX, WINDOW, STRETCH = "tasks.fill.", 2.0, 0.4
QUERIES = [(0, 1, 0), (0, 4, 2), (1, 0, 1), (2, 0, 0), (2, 2, 1), (2, 2, 2), (2, 3, 0)]  # window (1 is empty), stretch, channel
SHAPES = {"query": (CHANNELS, DIM), "time": (DIM, 16), "weight": (3 * CHANNELS, DIM), "bias": (3 * CHANNELS,)}


def fourier(seconds):
    angle = math.pi * 2.0 ** torch.arange(8, dtype=torch.float64) * (seconds / WINDOW)[:, None]
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)


def signal(x, time, size, p, truth):
    window, stretch, channel = (torch.tensor(column) for column in zip(*QUERIES))
    of = torch.cat([torch.full((end - first,), w) for w, (first, end) in enumerate(zip(generate.START[:-1], generate.START[1:]))])
    u = twin.norm(p, PREFIX + "norm", generate.adapter(x, p, PREFIX))
    q = p[PREFIX + "query"][channel] + fourier((stretch + 0.5) * STRETCH) @ p[PREFIX + "time"].T
    key = u + fourier(time) @ p[PREFIX + "time"].T
    score = (q @ key.T + torch.log(size)).masked_fill(window[:, None] != of, -math.inf)
    pooled = torch.nan_to_num(torch.softmax(score, 1)) @ u                           # a window without tokens gives 0
    logits = torch.einsum("kqd,kd->kq", p[PREFIX + "weight"].reshape(CHANNELS, 3, DIM)[channel], pooled) + p[PREFIX + "bias"].reshape(CHANNELS, 3)[channel]
    quantile = torch.stack([logits[:, 0] - F.softplus(logits[:, 1]), logits[:, 0], logits[:, 0] + F.softplus(logits[:, 2])], 1)
    error = ((truth - generate.MEAN[channel]) / generate.STD[channel])[:, None] - quantile
    return logits, torch.maximum(generate.SHARES * error, (generate.SHARES - 1) * error).mean()


def make():
    random = numpy.random.RandomState(12)
    x = golden.single(random.standard_normal((TOKENS, DIM))).requires_grad_()
    time = golden.single(WINDOW * random.uniform(size=TOKENS))
    size = golden.single(1 + numpy.arange(TOKENS) % 3)
    p = generate.draw(random, generate.with_prefix(PREFIX, {**generate.ADAPTER, **SHAPES}))
    truth = golden.single(2 * random.standard_normal(len(QUERIES)))
    logits, loss = signal(x, time, size, p, truth)
    loss.backward()
    out = {"x": x, "time": time, "size": size, "truth": truth, "logits": logits, "loss": loss.reshape(1), "dx": x.grad, **p,
           **{"grad." + name: value.grad for name, value in p.items()}}
    return {name: numpy.ascontiguousarray(value.detach().numpy().astype(numpy.float32)) for name, value in out.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "--check":
        sys.exit(golden.compare("golden generate_signal", sys.argv[2], make(), {}))
    golden.write(sys.argv[1], make(), {})
