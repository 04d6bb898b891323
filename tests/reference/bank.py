# SPDX-License-Identifier: LGPL-2.1-or-later
"""Golden vectors of the memory bank: what the windows of a stream become, which slots stay, and gradients through what earlier windows wrote.

    bank.py [--check] FILE

As golden.py, whose drawing and files it uses. Written another way than the C code goes: slots are a list of tensors that autograd follows, an
empty slot that every token may attend to stands for the 1 in the softmax, tokens that stand for several are repeated.
tests/core/test_golden_bank.c holds the C code against the file.
"""
import math

import numpy
import torch

import golden
import twin

CONFIG = {"dim": 12, "heads": 3, "bank_slots": 5, "bank_write": 2}
LENGTHS = [6, 4, 0, 7, 3, 5]  # the third window is empty; from the third full one on slots are written over
DECAY = 0.95


def draw(random):
    d, heads, p = CONFIG["dim"], CONFIG["heads"], {}

    def add(name, *shape, spread, mean=0.0):
        p["bank." + name] = golden.single(mean + spread * random.standard_normal(shape)).requires_grad_()

    add("norm.weight", d, spread=0.3, mean=1.0)
    add("norm.bias", d, spread=0.3)
    add("query", CONFIG["bank_write"], d, spread=1.0)
    for name, width in {"keep": d, "ask": d, "slot": 2 * d, "gate": heads}.items():
        add(name + ".weight", width, d, spread=0.4)
        add(name + ".bias", width, spread=0.4)
    add("out.weight", d, d, spread=0.4)
    return p


def read(p, u, slots):
    """What a window adds to its tokens [n, dim], and how much each slot was attended to."""
    d, heads = CONFIG["dim"], CONFIG["heads"]
    memory = torch.stack([slot["vector"] for slot in slots])
    key, value = twin.linear(p, "bank.slot", memory).split(d, -1)
    query, gate = twin.linear(p, "bank.ask", u), torch.sigmoid(twin.linear(p, "bank.gate", u))
    parts, seen = [], torch.zeros(len(slots), dtype=u.dtype)
    for h in range(heads):
        of = slice(h * d // heads, (h + 1) * d // heads)
        score = query[:, of] @ key[:, of].T / math.sqrt(d / heads)
        nothing = torch.zeros(len(u), 1, dtype=u.dtype)  # scores 0 and holds 0
        weight = torch.cat([nothing, score], -1).softmax(-1)[:, 1:]
        parts.append(gate[:, h:h + 1] * (weight @ value[:, of]))
        seen = seen + (gate[:, h:h + 1] * weight).detach().mean(0) / heads
    return torch.cat(parts, -1) @ p["bank.out.weight"].T, seen


def write(p, u, sizes):
    """The vectors that a window leaves: tokens are repeated as often as they count."""
    again = u.repeat_interleave(sizes, 0)
    weight = (p["bank.query"] @ again.T / math.sqrt(CONFIG["dim"])).softmax(-1)
    return twin.linear(p, "bank.keep", weight @ again)


def put(slots, vectors, number):
    average = sum(slot["mass"] for slot in slots) / len(slots) if slots else 0.0
    for vector in vectors:
        new = {"vector": vector, "mass": average, "number": number}
        number += 1
        if len(slots) < CONFIG["bank_slots"]:
            slots.append(new)
            continue
        ranked = sorted(range(len(slots)), key=lambda s: (slots[s]["mass"], slots[s]["number"]))
        first, second = slots[ranked[0]]["mass"], slots[ranked[1]]["mass"]
        assert first == second or second - first > 1e-4, "two slots are as good as equal: draw anew"
        slots[ranked[0]] = new
    return number


def stream(p, x, sizes):
    slots, number, out, begin = [], 0, [], 0
    for length in LENGTHS:
        window, size = x[begin:begin + length], sizes[begin:begin + length]
        begin += length
        if length == 0:
            continue
        u = twin.norm(p, "bank.norm", window)
        left = write(p, u, size)
        if slots:
            added, seen = read(p, u, slots)
            window = window + added
            for slot, share in zip(slots, seen.tolist()):
                slot["mass"] = DECAY * slot["mass"] + (1 - DECAY) * share
        number = put(slots, left, number)
        out.append(window)
    return torch.cat(out), slots


def make():
    random = numpy.random.RandomState(SEED)
    p, n = draw(random), sum(LENGTHS)
    x = golden.single(random.standard_normal((n, CONFIG["dim"]))).requires_grad_()
    sizes, weight = torch.tensor(random.randint(1, 4, n)), golden.single(random.standard_normal(x.shape))
    y, slots = stream(p, x, sizes)
    (y * weight).sum().backward()
    out = {"param." + name: value for name, value in p.items()}
    out.update({"grad." + name: value.grad for name, value in p.items()})
    out.update({"x": x, "size": sizes, "weight": weight, "y": y, "dx": x.grad, "slots": torch.stack([slot["vector"] for slot in slots]),
                "mass": torch.tensor([slot["mass"] for slot in slots]), "number": torch.tensor([slot["number"] for slot in slots])})
    kept = sorted(slot["number"] for slot in slots)
    assert kept != list(range(kept[-1] + 1 - len(kept), kept[-1] + 1)), "the newest stay, as in a plain ring: draw anew"
    return {name: numpy.ascontiguousarray(value.detach().numpy().astype(numpy.float32)) for name, value in out.items()}


SEED = 5  # of this draw no choice of a slot is near another

if __name__ == "__main__":
    golden.main(make, lambda: {})
