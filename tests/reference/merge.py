# SPDX-License-Identifier: LGPL-2.1-or-later
"""Golden vectors of the compression of tokens: which become one, what they then are, and what pictures get back.

    merge.py [--check] FILE

As golden.py, whose files it uses. Written another way than the C code goes: a merged token is the set of tokens that it is made of, and its value and
place are their plain means. tests/core/test_golden_merge.c holds the C code against the file.
"""
import numpy
import torch

import golden

DIM, BLOCK, LITTLE = 6, 256, 0.1
SUMMARY, PATCH, TIME, FREQUENCY = 0, 1, 2, 3
SHARES = [0.25, 0.5, 0.875]  # halves and quarters, of which single precision loses nothing


def picture(side):
    return [(SUMMARY, 0, 0.0, 0.0, 0.0)] + [(PATCH, 0, 0.0, (i % side + 0.5) / side, (i // side + 0.5) / side) for i in range(side * side)]


def sensors(stretches, channels):
    return [(domain, c, float(i), 0.0, 0.0) for i in range(stretches) for c in range(channels) for domain in (TIME, FREQUENCY)]


SEQUENCES = [picture(5), sensors(9, 2), sensors(300, 1), picture(2), [(SUMMARY, 0, 0.0, 0.0, 0.0)], sensors(1, 1)]
PLACES = [row for sequence in SEQUENCES for row in sequence]


class Sequence:
    def __init__(self, first, n, x, size):
        self.x, self.size = x, size
        self.made_of = {i: [i] for i in range(first, first + n)}  # of every token that is still there
        kinds = sorted({PLACES[i][:2] for i in self.made_of if PLACES[i][0] != SUMMARY})
        self.kinds = [[i for i in self.made_of if PLACES[i][:2] == kind] for kind in kinds]

    def value(self, token, of=None):
        rows = self.made_of[token]
        weight = self.size[rows]
        return (weight[:, None] * (self.x if of is None else of)[rows]).sum(0) / weight.sum()

    def join(self, token, into):
        self.made_of[into] = self.made_of[into] + self.made_of.pop(token)

    def close_ranks(self):
        self.kinds = [[i for i in kind if i in self.made_of] for kind in self.kinds]

    def prune(self, most):
        gone = 0
        for kind in self.kinds:
            room = min(most - gone, len(kind) - 1)
            if room < 1:
                continue
            values = torch.stack([self.value(i) for i in kind])
            info = (values - values.mean(0)).square().sum(1)
            ranked = info.sort().values
            limit = min(LITTLE * info.mean(), ranked[room])
            assert ((info - limit).abs() > 1e-4 * limit).sum() >= len(kind) - 1, "a token is at the border: draw anew"
            least = int(info.argmin())
            for i, token in enumerate(kind):
                if i != least and info[i] < limit and not torch.isclose(info[i], limit):
                    self.join(token, kind[least])
                    gone += 1
        self.close_ranks()
        return gone

    def round(self, most):
        pairs = []
        for kind in self.kinds:
            for begin in range(0, len(kind), BLOCK):
                a, b = kind[begin:begin + BLOCK:2], kind[begin + 1:begin + BLOCK:2]
                if not b:
                    continue
                unit = [torch.nn.functional.normalize(torch.stack([self.value(i) for i in side]), dim=1) for side in (a, b)]
                cosine, partner = (unit[0] @ unit[1].T).max(1)
                pairs += [(float(c), i, b[j]) for c, i, j in zip(cosine, a, partner.tolist())]
        pairs.sort(key=lambda pair: -pair[0])
        assert most >= len(pairs) or pairs[most - 1][0] - pairs[most][0] > 1e-6, "two pairs are as good as equal: draw anew"
        for _, token, into in pairs[:most]:
            self.join(token, into)
        self.close_ranks()
        return len(pairs[:most])

    def compress(self, share):
        take = int(share * sum(len(kind) for kind in self.kinds))
        left = take - self.prune(take // 2)
        while left > 0:
            joined = self.round(left)
            left -= joined
            if joined == 0:
                break


def layers(x):
    """Stands for what is run between merging and its undoing."""
    return 1.5 * x + 0.25


def run(share, x, size):
    places = torch.tensor([row[2:] for row in PLACES], dtype=torch.float64)
    kept, to, start, undone = [], torch.zeros(len(PLACES)), [0], []
    first = 0
    for rows in SEQUENCES:
        s = Sequence(first, len(rows), x, size)
        s.compress(share)
        for token in sorted(s.made_of):
            to[s.made_of[token]] = len(kept)
            value = s.value(token)
            kept.append(torch.cat([value, s.value(token, places), s.size[s.made_of[token]].sum()[None]]))
            if rows[0][0] != SUMMARY or len(rows) == 1:
                undone.append(layers(value))
        if rows[0][0] == SUMMARY and len(rows) > 1:  # a picture: each token with what was added to the one that it is in
            of = {i: token for token, parts in s.made_of.items() for i in parts}
            undone += [x[i] + layers(s.value(of[i])) - s.value(of[i]) for i in range(first, first + len(rows))]
        first += len(rows)
        start.append(len(kept))
    kept = torch.stack(kept)
    return {"x": kept[:, :DIM], "place": kept[:, DIM:DIM + 3], "size": kept[:, -1], "to": to, "start": torch.tensor(start), "undone": torch.stack(undone)}


def make():
    random = numpy.random.RandomState(SEED)
    n = len(PLACES)
    spread = 0.02 + 1.2 * random.random_sample((n, 1)) ** 2  # of many little is to be told, of some nearly nothing
    x, size = golden.single(spread * random.standard_normal((n, DIM)) + 0.3), torch.ones(n, dtype=torch.float64)
    out = {"input": x, "places": torch.tensor(PLACES), "starts": torch.tensor(numpy.cumsum([0] + [len(s) for s in SEQUENCES]))}
    for share in SHARES:
        out.update({f"{share}.{name}": value for name, value in run(share, x, size).items()})
    return {name: numpy.ascontiguousarray(value.detach().numpy().astype(numpy.float32)) for name, value in out.items()}


SEED = 1  # of this draw no choice is near another

if __name__ == "__main__":
    golden.main(make, lambda: {})
