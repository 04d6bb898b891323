# SPDX-License-Identifier: LGPL-2.1-or-later
"""Golden vectors of the token mixers beside plain attention: their outputs and gradients on a few ragged sequences.

    mixers.py FILE          writes them (safetensors)
    mixers.py --check FILE  makes them anew and compares; speaks TAP

Written from the formulas of docs/architecture.md, each another way than the C code goes: the scan as a weighted sum over all earlier tokens, not as a
recurrence; hash and gated as attention with a mask. tests/core/test_golden_mixers.c holds the C code against the file.
"""
import math
import sys

import numpy
import torch
import torch.nn.functional as F

import golden

DIM, HEADS, STATE, LENGTHS = 16, 2, 6, [37, 0, 20]
BUCKET, ROUNDS, STREAM = 4, 2, 5
BUDGET, RADIUS = 0.15, 2
BITS = 2 ** 64


def linear(p, name, x):
    y = x @ p[name + ".weight"].T
    return y + p[name + ".bias"] if name + ".bias" in p else y


def scan_shapes():
    return {"in.weight": (DIM + 2 * STATE + HEADS, DIM), "gate.weight": (DIM, DIM), "gate.bias": (DIM,), "out.weight": (DIM, DIM), "out.bias": (DIM,),
            "step.bias": (HEADS,), "rate": (HEADS,), "skip": (HEADS,)}


def scan(p, x):
    """One sequence x [n, dim]: y_i = sum_(j <= i) exp(l_i - l_j) (C_i . B_j) step_j u_j + skip u_i, l the running sum of -step exp(rate)."""
    n = len(x)
    u, b, c, r = linear(p, "in", x).split([DIM, STATE, STATE, HEADS], -1)
    u, step = u.reshape(n, HEADS, DIM // HEADS), F.softplus(r + p["step.bias"])
    level = torch.cumsum(-step * p["rate"].exp(), 0)
    before = torch.ones(n, n).tril().bool()
    decay = torch.where(before[:, :, None], level[:, None] - level[None], torch.tensor(-torch.inf, dtype=x.dtype)).exp()
    weights = (c @ b.T)[:, :, None] * decay * step[None]
    mixed = torch.einsum("ijh,jhp->ihp", weights, u) + p["skip"][:, None] * u
    return linear(p, "out", torch.sigmoid(linear(p, "gate", x)) * mixed.reshape(n, DIM))


def attention_shapes():
    return {"qkv.weight": (3 * DIM, DIM), "qkv.bias": (3 * DIM,), "gate.weight": (HEADS, DIM), "gate.bias": (HEADS,), "out.weight": (DIM, DIM),
            "out.bias": (DIM,)}


def attend(p, x, mask, weight):
    """mask [n, n]: whom each token sees; weight [n]: of a token's value and of its own gates."""
    n = len(x)
    q, k, v = linear(p, "qkv", x).reshape(n, 3, HEADS, DIM // HEADS).permute(1, 2, 0, 3)
    scores = (q @ k.transpose(1, 2) / math.sqrt(DIM // HEADS)).masked_fill(~mask, -math.inf)
    gate = torch.sigmoid(linear(p, "gate", x)) * weight[:, None]
    mixed = scores.softmax(-1) @ (v * weight[None, :, None]) * gate.T[:, :, None]
    return linear(p, "out", mixed.permute(1, 0, 2).reshape(n, DIM))


def mixed_bits(z):
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % BITS
    z = (z ^ z >> 27) * 0x94D049BB133111EB % BITS
    return z ^ z >> 31


def signs(stream, count):
    """SplitMix64's outputs from a key made of the stream's number; one sign a bit, the lowest first."""
    golden_ratio = 0x9E3779B97F4A7C15
    key = mixed_bits((mixed_bits(golden_ratio) + stream) % BITS)
    draws = [mixed_bits((key + (i + 1) * golden_ratio) % BITS) for i in range((count + 63) // 64)]
    return [1.0 if draws[i // 64] >> (i % 64) & 1 else -1.0 for i in range(count)]


def hash_mask(x, causal):
    """Tokens sorted by bucket in runs of BUCKET; each sees its run and the one before it, in any round."""
    n, mask = len(x), torch.zeros(len(x), len(x), dtype=torch.bool)
    digits = 2 if max(LENGTHS) > 16 * BUCKET else 1
    for r in range(ROUNDS):
        directions = torch.tensor(signs(STREAM + r, DIM * 8 * digits), dtype=x.dtype).reshape(DIM, digits, 8)
        along = torch.einsum("nd,dgk->ngk", x - x.mean(0), directions)
        farthest = along.abs().argmax(-1)
        back = along.gather(-1, farthest[:, :, None])[:, :, 0] < 0
        code = ((2 * farthest + back) * torch.tensor([16 ** g for g in range(digits)])).sum(-1)
        run = torch.empty(n, dtype=torch.long)
        run[code.argsort(stable=True)] = torch.arange(n) // BUCKET
        apart = run[:, None] - run[None]
        mask |= (apart == 0) | (apart == 1)
    return mask & torch.ones(n, n).tril().bool() if causal else mask


def hashed(causal):
    def mixer(p, x):
        return attend(p, x, hash_mask(x.detach(), causal), torch.ones(len(x), dtype=x.dtype)) if len(x) else x
    return mixer


def gated(p, x):
    n = len(x)
    if n == 0:
        return x
    score = linear(p, "score", x)[:, 0]
    chosen = torch.zeros(n, dtype=torch.bool)
    chosen[score.argsort(descending=True, stable=True)[:math.ceil(BUDGET * n)]] = True
    near = (torch.arange(n)[:, None] - torch.arange(n)[None]).abs() <= RADIUS
    return attend(p, x, near | chosen[:, None] | chosen[None], torch.where(chosen, torch.sigmoid(score), torch.ones_like(score)))


def case(name, mixer, shapes, random, out):
    p = {key: golden.single(random.standard_normal(shape) * 0.4) for key, shape in shapes.items()}
    x = golden.single(random.standard_normal((sum(LENGTHS), DIM))).requires_grad_()
    weight = golden.single(random.standard_normal((sum(LENGTHS), DIM)))
    for value in p.values():
        value.requires_grad_()
    y = torch.cat([mixer(p, part) for part in x.split(LENGTHS)])
    (y * weight).sum().backward()
    out.update({f"{name}.x": x, f"{name}.weight": weight, f"{name}.y": y, f"{name}.dx": x.grad})
    for key, value in p.items():
        out[f"{name}.param.{key}"], out[f"{name}.grad.{key}"] = value, value.grad


def make():
    out = {}
    case("scan", scan, scan_shapes(), numpy.random.RandomState(8), out)
    case("hash", hashed(False), attention_shapes(), numpy.random.RandomState(9), out)
    case("causal", hashed(True), attention_shapes(), numpy.random.RandomState(10), out)
    case("gated", gated, {**attention_shapes(), "score.weight": (1, DIM), "score.bias": (1,)}, numpy.random.RandomState(11), out)
    return {name: numpy.ascontiguousarray(value.detach().numpy().astype(numpy.float32)) for name, value in out.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "--check":
        sys.exit(golden.compare("golden mixers", sys.argv[2], make(), {}))
    golden.write(sys.argv[1], make(), {})
