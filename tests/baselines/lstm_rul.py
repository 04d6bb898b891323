# SPDX-License-Identifier: LGPL-2.1-or-later
"""An LSTM of usual size (two layers of 64, windows of 30 cycles; Zheng 2017) on C-MAPSS, on the split of `seam train`.

    seam train ... --fold 1/5 --results FILE.jsonl     the engines that are held, and where each was cut
    lstm_rul.py --data DIR --results FILE.jsonl        trains on all others, and says how it does on these

Prints one JSON object: rmse, score (PHM 2008), n. Targets are cut at --limit. A tenth of the training engines chooses the epoch.
"""
import argparse
import glob
import json
import math
import os

import numpy
import torch

SENSORS = [7, 8, 9, 12, 13, 14, 16, 17, 18, 19, 20, 22, 25, 26]  # columns from 1, those that change


def read_engines(folder):
    """Lives by unit: [cycles, sensors]."""
    (path,) = glob.glob(os.path.join(folder, "train_FD*.txt"))
    rows = numpy.loadtxt(path)
    return {int(u): rows[rows[:, 0] == u][:, [c - 1 for c in SENSORS]] for u in numpy.unique(rows[:, 0])}


def read_held(path):
    """The verdicts' sources, "UNIT, SEEN cycles": [(unit, seen)]."""
    held = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            verdict = json.loads(line)
            if verdict["type"] == "weld":
                unit, seen = verdict["source"].removesuffix(" cycles").split(", ")
                held.append((int(unit), int(seen)))
    return held


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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--results", required=True)
    parser.add_argument("--limit", type=float, default=125)
    parser.add_argument("--window", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    engines, held = read_engines(args.data), read_held(args.results)
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
    print(json.dumps({"rmse": float(numpy.sqrt(numpy.mean(d ** 2))), "score": score, "n": len(d)}))


if __name__ == "__main__":
    main()
