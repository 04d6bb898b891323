# SPDX-License-Identifier: LGPL-2.1-or-later
"""Golden vectors of the token mixers beside plain attention: their outputs and gradients on a few ragged sequences.

    mixers.py FILE          writes them (safetensors)
    mixers.py --check FILE  makes them anew and compares; speaks TAP

Written from the formulas of docs/architecture.md, each another way than the C code goes: the scan as a weighted sum over all earlier tokens, not as a
recurrence. tests/core/test_golden_mixers.c holds the C code against the file.
"""
import sys

import numpy
import torch
import torch.nn.functional as F

import golden

DIM, HEADS, STATE, LENGTHS = 16, 2, 6, [37, 0, 20]


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
    return {name: numpy.ascontiguousarray(value.detach().numpy().astype(numpy.float32)) for name, value in out.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "--check":
        sys.exit(golden.compare("golden mixers", sys.argv[2], make(), {}))
    golden.write(sys.argv[1], make(), {})
