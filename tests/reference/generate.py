# SPDX-License-Identifier: LGPL-2.1-or-later
"""Golden vectors of the generative heads on drawn tokens: outputs, losses and all gradients.

    generate.py FILE          writes them (safetensors)
    generate.py --check FILE  makes them anew and compares; speaks TAP

Written from the formulas of docs/architecture.md. tests/core/test_golden_generate.c holds the C code against the file.
"""
import sys

import numpy
import torch
import torch.nn.functional as F

import golden
import twin

DIM, TOKENS, START, CHANNELS, RANK = 16, 11, [0, 6, 6, 11], 3, 3
SHARES = torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64)
MEAN, STD = torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64), torch.tensor([2.0, 1.0, 0.5], dtype=torch.float64)


def draw(random, shapes):
    return {name: golden.single((1 if name.endswith("norm.weight") else 0) + 0.4 * random.standard_normal(shape)).requires_grad_() for name, shape in shapes.items()}


def adapter(x, p, prefix):
    low = twin.gelu(twin.linear(p, prefix + "adapter.down", twin.norm(p, prefix + "adapter.norm", x)))
    return x + twin.linear(p, prefix + "adapter.up", low)


ADAPTER = {"adapter.norm.weight": (DIM,), "adapter.norm.bias": (DIM,), "adapter.down.weight": (RANK, DIM), "adapter.down.bias": (RANK,),
           "adapter.up.weight": (DIM, RANK), "adapter.up.bias": (DIM,), "norm.weight": (DIM,), "norm.bias": (DIM,)}


def with_prefix(prefix, shapes):
    return {prefix + name: shape for name, shape in shapes.items()}


# ---- forecast ------------------------------------------------------------------------------------------------------------------

FORECAST = {"query": (CHANNELS, DIM), "weight": (3 * CHANNELS, DIM), "bias": (3 * CHANNELS,)}


def forecast(x, p, truth):
    prefix = "tasks.next."
    u = twin.norm(p, prefix + "norm", adapter(x, p, prefix))
    rows = []
    for first, end in zip(START[:-1], START[1:]):
        part = u[first:end]
        weight = torch.softmax(part @ p[prefix + "query"].T, 0)                      # [tokens, channels]
        pooled = weight.T @ part                                                     # [channels, dim]
        rows.append((p[prefix + "weight"].reshape(CHANNELS, 3, DIM) * pooled[:, None]).sum(-1) + p[prefix + "bias"].reshape(CHANNELS, 3))
    logits = torch.stack(rows)
    m = logits[..., 0]
    quantile = torch.stack([m - F.softplus(logits[..., 1]), m, m + F.softplus(logits[..., 2])], -1)
    error = ((truth - MEAN) / STD)[..., None] - quantile
    pinball = torch.maximum(SHARES * error, (SHARES - 1) * error).mean(-1)
    known = ~torch.isnan(truth)
    return logits, quantile, pinball[known].mean()


# ---- text ----------------------------------------------------------------------------------------------------------------------

WIDTH, HEADS, LENGTH, CLASSES = 16, 4, 64, 2
SAY = "tasks.say."
VALUES = [3, CLASSES + 1, 11, 11, 12, 11, 2]  # of each fact: decision, class, tens and ones of the confidence and of the place, modality
# Facts as rows within each: rejected, class 1, 83 %, at 40 %, the first modality; passed, class 0, 99 %, the rest unknown. Window 1 has no sentence.
FACTS = {0: [1, 2, 1 + 8, 1 + 3, 1 + 4, 1 + 0, 1], 2: [0, 1, 1 + 9, 1 + 9, 0, 0, 0]}
SENTENCES = {0: b"bad 83", 2: b"good"}


def text_shapes():
    block = {"norm1.weight": (WIDTH,), "norm1.bias": (WIDTH,), "attention.qkv.weight": (3 * WIDTH, WIDTH), "attention.qkv.bias": (3 * WIDTH,),
             "attention.gate.weight": (HEADS, WIDTH), "attention.gate.bias": (HEADS,), "attention.out.weight": (WIDTH, WIDTH), "attention.out.bias": (WIDTH,),
             "norm2.weight": (WIDTH,), "norm2.bias": (WIDTH,), "up.weight": (4 * WIDTH, WIDTH), "up.bias": (4 * WIDTH,),
             "down.weight": (WIDTH, 4 * WIDTH), "down.bias": (WIDTH,)}
    return {**ADAPTER, "score.weight": (1, DIM), "weight": (WIDTH, DIM), "bias": (WIDTH,), "fact": (sum(VALUES), WIDTH), "slot": (2, WIDTH),
            "byte": (256, WIDTH), "position": (LENGTH + 1, WIDTH), **with_prefix("block.0.", block), **with_prefix("block.1.", block),
            "last.weight": (WIDTH,), "last.bias": (WIDTH,), "head.weight": (256, WIDTH), "head.bias": (256,)}


def sentence_losses(x, p, window):
    u = twin.norm(p, SAY + "norm", adapter(x, p, SAY))[START[window]:START[window + 1]]
    said = p[SAY + "weight"] @ (torch.softmax(u @ p[SAY + "score.weight"][0], 0) @ u)
    first = [sum(VALUES[:k]) for k in range(len(VALUES))]
    rows = [p[SAY + "fact"][a + b] for a, b in zip(first, FACTS[window])]
    rows += [p[SAY + "slot"][0] + p[SAY + "bias"] + said, p[SAY + "slot"][1] + said]
    prefix, before, target = len(rows), b"\0" + SENTENCES[window], list(SENTENCES[window]) + [0]
    rows += [p[SAY + "byte"][b] + p[SAY + "position"][i] for i, b in enumerate(before)]
    z, mask = torch.stack(rows), torch.ones(len(rows), len(rows)).tril().bool()
    mask[:prefix, :prefix] = True
    for layer in range(2):
        block = f"{SAY}block.{layer}."
        z = z + twin.attention(p, {"heads": HEADS}, block + "attention", twin.norm(p, block + "norm1", z), mask, 0.0)
        z = z + twin.linear(p, block + "down", twin.gelu(twin.linear(p, block + "up", twin.norm(p, block + "norm2", z))))
    logits = twin.linear(p, SAY + "head", twin.norm(p, SAY + "last", z[prefix:]))
    return F.cross_entropy(logits, torch.tensor(target), reduction="none")


def text(x, p):
    return torch.cat([sentence_losses(x, p, window) for window in SENTENCES]).mean()


def make():
    random = numpy.random.RandomState(11)
    x = golden.single(random.standard_normal((TOKENS, DIM))).requires_grad_()
    p = draw(random, with_prefix("tasks.next.", {**ADAPTER, **FORECAST}))
    truth = MEAN + STD * golden.single(random.standard_normal((3, CHANNELS)) * 2)
    truth = golden.single(truth)
    truth[0, 1] = float("nan")
    out = {"x": x, "forecast.truth": torch.nan_to_num(truth, nan=1e30)}
    logits, quantile, loss = forecast(x, p, truth)
    loss.backward()
    out.update({"forecast.logits": logits, "forecast.quantile": quantile, "forecast.loss": loss.reshape(1), "forecast.dx": x.grad.clone()})
    x.grad = None
    p.update(draw(random, with_prefix(SAY, text_shapes())))
    loss = text(x, p)
    loss.backward()
    out.update({"text.loss": loss.reshape(1), "text.dx": x.grad})
    out.update({name: value for name, value in p.items()})
    out.update({"grad." + name: value.grad for name, value in p.items()})
    return {name: numpy.ascontiguousarray(value.detach().numpy().astype(numpy.float32)) for name, value in out.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "--check":
        sys.exit(golden.compare("golden generate", sys.argv[2], make(), {}))
    golden.write(sys.argv[1], make(), {})
