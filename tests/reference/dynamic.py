# SPDX-License-Identifier: LGPL-2.1-or-later
"""Golden vectors of dynamic paths: exit heads, experts by mass, and the penalties that training adds inside of layers.

    dynamic.py [--check] FILE

As golden.py, whose drawing and files it uses. Written another way than the C code goes: every expert sees every token and the gates are a matrix with
zeros; a sequence that has left is a mask. tests/core/test_golden_dynamic.c holds the C code against the file.
"""
import json

import numpy
import torch

import golden
import twin

TIMES = [0.0, 2.0, 4.0, 6.0]
LABELS = [2, 0, -1, 1]  # the third is not known
CLASS_WEIGHT, SMOOTHING, EXIT = [1.0, 2.0, 0.5], 0.1, 0.6
GATE_WEIGHT, GATE_TARGET, ROUTER_Z = 0.8, 0.3, 0.05
MASS, MARGIN = 0.7, 0.25
CONFIG = {
    "dim": 16, "layers": 4, "heads": 2, "experts": 5, "groups": 1, "groups_kept": 1, "top_k": 3, "expert_width": 6, "router_rank": 4,
    "router_shared_a": True, "mixer": ["global"], "local_radius": 1, "gate_threshold": 0.0, "fusion_layers": 0, "fusion_neighbours": 0,
    "fusion_width": 8, "window": 2.0, "exit_every": 1,
    "modalities": [{"name": "sensors", "front": "sensor", "channels": 3, "rate": 16.0, "patch": 8, "time_bins": 4, "fft": 8, "bands": 3,
                    "arc_channel": -1, "together": True, "delta_rank": 2, "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}],
    "classes": ["good", "porosity", "overlap"], "tasks": [{"name": "classify", "kind": "classify", "rank": 3}],
}
HEADS = range(CONFIG["layers"] - 1)  # a head behind each layer but the last


def draw(random):
    p, dim, classes = golden.draw_parameters(CONFIG, random), CONFIG["dim"], len(CONFIG["classes"])
    for layer in HEADS:
        name = f"exits.{layer}."
        p[name + "norm.weight"] = golden.single(1 + 0.3 * random.standard_normal(dim)).requires_grad_()
        p[name + "norm.bias"] = golden.single(0.3 * random.standard_normal(dim)).requires_grad_()
        p[name + "head.weight"] = golden.single(0.4 * random.standard_normal((classes, dim))).requires_grad_()
        p[name + "head.bias"] = golden.single(0.4 * random.standard_normal(classes)).requires_grad_()
    return p


def gates(p, layer, x, mass):
    """The weight of every expert for every token [n, experts], zero where it is not chosen; and the logits."""
    logits = x @ p["encoder.router.a"].T @ p[f"encoder.{layer}.router.b"].T
    score, weight = logits.softmax(-1) + p[f"encoder.{layer}.router.bias"], torch.zeros_like(logits)
    for i, row in enumerate(score.tolist()):
        ranked = sorted(range(len(row)), key=lambda e: -row[e])
        chosen = ranked[:CONFIG["top_k"]]
        assert row[chosen[-1]] - row[ranked[len(chosen)]] > 3e-4, "a choice is at the border: draw anew"
        gate = {e: g for e, g in zip(chosen, logits[i, chosen].softmax(-1))}
        if mass > 0:
            falling, kept = sorted(chosen, key=lambda e: -gate[e].item()), []
            while sum(gate[e].item() for e in kept) < mass:
                assert abs(sum(gate[e].item() for e in kept) - mass) > 3e-4, "a token is at the border: draw anew"
                kept.append(falling[len(kept)])
            gate = {e: gate[e] / sum(gate[k] for k in kept) for e in kept}
        for e, g in gate.items():
            weight[i, e] = g
    return weight, logits


def experts(p, layer, x, mass):
    prefix = f"encoder.{layer}.experts."
    weight, logits = gates(p, layer, x, mass)
    hidden = torch.einsum("nd,ewd->new", x, p[prefix + "up.weight"]) + p[prefix + "up.bias"]
    y = torch.einsum("new,edw->ned", twin.gelu(hidden), p[prefix + "down.weight"]) + p[prefix + "down.bias"]
    return torch.einsum("ne,ned->nd", weight, y), logits


def encoder_layer(p, layer, x, mask, mass=0.0):
    """The layer's output, its mean gate and the z-loss of its router."""
    h = twin.norm(p, f"encoder.{layer}.norm1", x)
    mean_gate = torch.sigmoid(twin.linear(p, f"encoder.{layer}.attention.gate", h)).mean()
    x = x + twin.attention(p, CONFIG, f"encoder.{layer}.attention", h, mask, 0.0)
    y, logits = experts(p, layer, twin.norm(p, f"encoder.{layer}.norm2", x), mass)
    return x + y, mean_gate, logits.logsumexp(-1).square().mean()


def head(p, layer, x, belongs):
    """Logits of every sequence; belongs [seqs, n]: whose token each is."""
    mean = (belongs @ x) / belongs.sum(1, keepdim=True)
    return twin.linear(p, f"exits.{layer}.head", twin.norm(p, f"exits.{layer}.norm", mean))


def cross_entropy(logits):
    known = [s for s, label in enumerate(LABELS) if label >= 0]
    loss = 0.0
    for s in known:
        q = torch.full((len(CLASS_WEIGHT),), SMOOTHING / len(CLASS_WEIGHT), dtype=logits.dtype)
        q[LABELS[s]] += 1 - SMOOTHING
        loss = loss - CLASS_WEIGHT[LABELS[s]] * (q * logits[s].log_softmax(-1)).sum() / len(known)
    return loss


def train(p, x, mask, belongs, weight):
    exits = gate_loss = z_loss = 0.0
    for layer in range(CONFIG["layers"]):
        x, mean_gate, z = encoder_layer(p, layer, x, mask)
        gate_loss, z_loss = gate_loss + torch.relu(mean_gate - GATE_TARGET), z_loss + z
        if layer in HEADS:
            exits = exits + cross_entropy(head(p, layer, x, belongs)) / len(HEADS)
    loss = (x * weight).sum() + EXIT * exits + GATE_WEIGHT * gate_loss + ROUTER_Z * z_loss
    return x, loss, torch.stack([exits, gate_loss, z_loss])


def infer(p, x, mask, belongs):
    """Each token stays as it is once its sequence has left; also behind how many layers each sequence stands at the end."""
    left, depth = torch.zeros(len(belongs), dtype=torch.bool), torch.full((len(belongs),), CONFIG["layers"])
    for layer in range(CONFIG["layers"]):
        after, _, _ = encoder_layer(p, layer, x, mask, MASS)
        gone = (belongs.T @ left.to(x.dtype)).bool()
        x = torch.where(gone[:, None], x, after)
        if layer in HEADS:
            two = head(p, layer, x, belongs).softmax(-1).topk(2).values
            margin = two[:, 0] - two[:, 1]
            assert ((margin - MARGIN).abs() > 2e-3).all(), "a head is at the border: draw anew"
            depth[(margin > MARGIN) & ~left] = layer + 1
            left = left | (margin > MARGIN)
    return x, depth


def make():
    random = numpy.random.RandomState(SEED)
    p, windows = draw(random), golden.single(random.standard_normal((len(TIMES), 32, 3)) * 1.5)
    windows[0, 8:32, :] = numpy.nan  # three stretches are missing: sequences of two, eight, eight and eight tokens
    out = {"param." + name: value for name, value in p.items()}
    out["input"] = torch.where(torch.isfinite(windows), windows, torch.full_like(windows, 1e30))
    tokens = twin.project(p, CONFIG, twin.together_features(p, CONFIG, 0, windows, TIMES))
    start = tokens.x.detach().clone().requires_grad_()  # the encoder alone is looked at
    sequence = torch.tensor(tokens.sequence)
    mask, belongs = sequence[:, None] == sequence[None], (torch.arange(len(TIMES))[:, None] == sequence[None]).to(start.dtype)
    weight = golden.single(random.standard_normal(start.shape))
    encoded, loss, losses = train(p, start, mask, belongs, weight)
    loss.backward()
    out["start"], out["weight"], out["encoded"], out["loss"], out["losses"], out["dstart"] = start, weight, encoded, loss.reshape(1), losses, start.grad
    out["sequence"] = sequence
    out["left.encoded"], out["left.depth"] = infer(p, start, mask, belongs)
    assert len(set(out["left.depth"].tolist())) > 2, "too few depths are seen: draw anew"
    for name, value in p.items():
        out["grad." + name] = torch.zeros_like(value) if value.grad is None else value.grad
    return {name: numpy.ascontiguousarray(value.detach().numpy().astype(numpy.float32)) for name, value in out.items()}


SEED = 83  # of this draw no choice, gate or head is near its border, and all depths are seen

if __name__ == "__main__":
    golden.main(make, lambda: {"config": json.dumps(CONFIG)})
