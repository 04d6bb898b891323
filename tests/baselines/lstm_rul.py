# SPDX-License-Identifier: LGPL-2.1-or-later
"""An LSTM of usual size (two layers of 64, windows of 30 cycles; Zheng 2017) on C-MAPSS, on the split of `seam train`.

    lstm_rul.py --data DIR --held FILE

FILE has a line for each engine that is judged, "UNIT, SEEN cycles", as verdicts of `seam train --fold` name their sources: it is not trained on, and is judged by its
first SEEN cycles. Prints rmse, score (PHM 2008) and n. Targets are cut at --limit. A tenth of the training engines chooses the epoch.
"""
import math

import common
import numpy
import torch

SENSORS = [7, 8, 9, 12, 13, 14, 16, 17, 18, 19, 20, 22, 25, 26]  # columns from 1, those that change


def read_engines(folder):
    """Lives by unit: [cycles, sensors]."""
    (path,) = folder.glob("train_FD*.txt")
    rows = numpy.loadtxt(path)
    return {int(u): rows[rows[:, 0] == u][:, [c - 1 for c in SENSORS]] for u in numpy.unique(rows[:, 0])}


def read_held(path):
    """[(unit, seen)]"""
    names = [line.removesuffix(" cycles").split(", ") for line in path.read_text().split("\n") if line]
    return [(int(unit), int(seen)) for unit, seen in names]


def window(engine, seen, length):
    """The last cycles before `seen`; the first one stands for what was before it."""
    x = engine[max(0, seen - length):seen]
    return numpy.concatenate([numpy.repeat(x[:1], length - len(x), 0), x])


def cases(engines, ends, length, limit):
    x = numpy.stack([window(engines[u], seen, length) for u, seen in ends])
    y = [min(len(engines[u]) - seen, limit) for u, seen in ends]
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(len(SENSORS), 64, 2, dropout=0.2, batch_first=True)
        self.head = torch.nn.Sequential(torch.nn.Linear(64, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])[:, 0]


def predict(net, x, limit):
    net.eval()
    with torch.no_grad():
        return (net(x) * limit).clamp(0, limit)


def train(net, x, y, x_val, y_val, args):
    optimiser, best = torch.optim.Adam(net.parameters(), 1e-3), (math.inf, None)
    for _ in range(args.epochs):
        net.train()
        for batch in torch.randperm(len(x)).split(128):
            optimiser.zero_grad()
            torch.nn.functional.mse_loss(net(x[batch]), y[batch] / args.limit).backward()
            optimiser.step()
        error = (predict(net, x_val, args.limit) - y_val).square().mean().sqrt().item()
        if error < best[0]:
            best = error, {name: value.clone() for name, value in net.state_dict().items()}
    net.load_state_dict(best[1])


def main():
    args = common.arguments(__doc__, limit={"type": float, "default": 125}, window={"type": int, "default": 30}, epochs={"type": int, "default": 15})
    torch.manual_seed(args.seed)
    engines, held = read_engines(args.data), read_held(args.held)
    kept_back = {u for u, _ in held}
    units = [u for u in engines if u not in kept_back]
    order = torch.randperm(len(units)).tolist()
    choose = {units[i] for i in order[:max(1, len(units) // 10)]}
    seen = numpy.concatenate([engines[u] for u in units if u not in choose])
    mean, std = seen.mean(0), seen.std(0)
    engines = {u: (x - mean) / std for u, x in engines.items()}
    ends = [(u, n) for u in units for n in range(args.window, len(engines[u]) + 1)]
    net = Net()
    train(net, *cases(engines, [e for e in ends if e[0] not in choose], args.window, args.limit),
          *cases(engines, [e for e in ends if e[0] in choose], args.window, args.limit), args)
    x, y = cases(engines, held, args.window, args.limit)
    d = (predict(net, x, args.limit) - y).numpy().astype(float)
    score = float(numpy.where(d < 0, numpy.expm1(-d / 13), numpy.expm1(d / 10)).sum())
    common.show({"rmse": float(numpy.sqrt(numpy.mean(d ** 2))), "score": score, "n": len(d)})


if __name__ == "__main__":
    main()
