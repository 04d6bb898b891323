# SPDX-License-Identifier: LGPL-2.1-or-later
"""Golden vectors of long texts in chunks: words to features, a scan, attention, and the gradient to all parameters from the last chunk alone.

    text_chunks.py FILE          writes them (safetensors)
    text_chunks.py --check FILE  makes them anew and compares; speaks TAP

Written as a stream goes, chunk after chunk and token after token with the state of the scan handed on, where the C code holds all chunks of a batch side by
side, joined for the scan. tests/core/test_golden_text_chunks.c holds the C code against the file.
"""
import sys

import numpy
import torch
import torch.nn.functional as F

import golden
import mixers
import twin

WORDS, MODALITY = 4, {"buckets": 61, "ngram_min": 3, "ngram_max": 5}
TEXTS = ["14:03 alarm E217 gas flow 12.5 l/min; purge the line \u2014 then weld on", "ok", "five words, one too many"]


def chunks(text):
    """From the end: WORDS each, and what is left at the beginning."""
    words = twin.words_of(text.encode())
    return [words[max(0, end - WORDS):end] for end in range(len(words), 0, -WORDS)][::-1]


def scan(p, x, state):
    """Returns what the layer adds to each token of x, and the state after the last one; state [heads, dim / heads, STATE]."""
    dim, heads, n = mixers.DIM, mixers.HEADS, mixers.STATE
    u, b, c, r = mixers.linear(p, "in", x).split([dim, n, n, heads], -1)
    step, rows = F.softplus(r + p["step.bias"]), []
    for i, ui in enumerate(u.reshape(len(x), heads, dim // heads)):
        state = (-step[i] * p["rate"].exp()).exp()[:, None, None] * state + step[i][:, None, None] * ui[:, :, None] * b[i]
        rows.append((state @ c[i] + p["skip"][:, None] * ui).reshape(dim))
    return mixers.linear(p, "out", torch.sigmoid(mixers.linear(p, "gate", x)) * torch.stack(rows)), state


def make():
    random = numpy.random.RandomState(12)
    shapes = {"table": (MODALITY["buckets"], mixers.DIM), **{"scan." + k: v for k, v in mixers.scan_shapes().items()},
              **{"attention." + k: v for k, v in mixers.attention_shapes().items()}}
    p = {name: golden.single(random.standard_normal(shape) * 0.4).requires_grad_() for name, shape in shapes.items()}
    of = {prefix: {k[len(prefix):]: v for k, v in p.items() if k.startswith(prefix)} for prefix in ("scan.", "attention.")}
    last = []
    for text in TEXTS:
        state = torch.zeros(mixers.HEADS, mixers.DIM // mixers.HEADS, mixers.STATE, dtype=torch.float64)
        for words in chunks(text):
            x = torch.stack([twin.word_features(p["table"], MODALITY, word) for word in words])
            mixed, state = scan(of["scan."], x, state)
            x = x + mixed
            x = x + mixers.attend(of["attention."], x, torch.ones(len(x), len(x), dtype=torch.bool), torch.ones(len(x), dtype=x.dtype))
        last.append(x)
    y = torch.cat(last)
    weight = golden.single(random.standard_normal(y.shape))
    (y * weight).sum().backward()
    out = {"y": y, "weight": weight}
    for name, value in p.items():
        out["param." + name], out["grad." + name] = value, value.grad
    return {name: numpy.ascontiguousarray(value.detach().numpy().astype(numpy.float32)) for name, value in out.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "--check":
        sys.exit(golden.compare("golden text chunks", sys.argv[2], make(), {}))
    golden.write(sys.argv[1], make(), {})
