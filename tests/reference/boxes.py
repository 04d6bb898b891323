# SPDX-License-Identifier: LGPL-2.1-or-later
"""Golden vectors of the boxes that cells give: which cells own which true box, the loss and its gradient, and which boxes stay.

    boxes.py FILE          writes them (safetensors)
    boxes.py --check FILE  makes them anew and compares; speaks TAP

Written from the formulas of docs/architecture.md (TOOD's assignment, cross-entropy, GIoU), whole tensors at a time where the C code walks over
cells. tests/core/test_golden_boxes.c holds the C code against the file.
"""
import sys

import numpy
import torch
import torch.nn.functional as F

import golden

SIDE, CLASSES, OWNERS, CLASS_SCALE, BOX_SCALE = 8, 3, 10, 0.25, 0.5


def cell_boxes(sides):
    """[4, side, side] logs of distances -> [cells, 4] edges x0, y0, x1, y1."""
    at = (torch.arange(SIDE, dtype=torch.float64) + 0.5) / SIDE
    v, u = torch.meshgrid(at, at, indexing="ij")
    d = torch.exp(sides.clamp(-6, 3)) / 8
    return torch.stack([u - d[0], v - d[1], u + d[2], v + d[3]], -1).reshape(-1, 4)


def areas(a, b):
    """Intersections, unions and hulls of boxes, broadcast against each other."""
    inside = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).prod(-1)
    return inside, (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - inside, hull


def assign(maps, truth, kind):
    boxes, p = cell_boxes(maps[CLASSES:]), torch.sigmoid(maps[:CLASSES]).reshape(CLASSES, -1)
    inside, union, _ = areas(truth[:, None], boxes[None])
    overlap = inside / union
    centre = cell_boxes(torch.full((4, SIDE, SIDE), -6.0, dtype=torch.float64))
    centre = (centre[:, :2] + centre[:, 2:]) / 2
    within = ((centre[None] > truth[:, None, :2]) & (centre[None] < truth[:, None, 2:])).all(-1)
    for b in torch.nonzero(~within.any(1)).flatten():
        within[b, ((centre - (truth[b, :2] + truth[b, 2:]) / 2) ** 2).sum(-1).argmin()] = True
    fit = torch.where(within, p[kind] ** 0.5 * overlap ** 6, torch.tensor(-1.0, dtype=torch.float64))
    wanted = torch.zeros_like(within)
    for b in range(len(truth)):
        order = fit[b].argsort(descending=True, stable=True)[:OWNERS]
        wanted[b, order[fit[b, order] >= 0]] = True
    masked = torch.where(wanted, overlap, torch.tensor(-1.0, dtype=torch.float64))
    owner = torch.where(wanted.any(0), masked.argmax(0), torch.tensor(-1))
    most_fit, most_overlap = (fit * wanted).amax(1), (overlap * wanted).amax(1)
    chosen = owner.clamp(min=0)
    score = fit.gather(0, chosen[None])[0] / most_fit[chosen] * most_overlap[chosen]
    return owner, torch.where(owner >= 0, score, torch.zeros_like(score))


def loss_of(maps, truth, kind, owner, target):
    y = F.one_hot(kind[owner.clamp(min=0)], CLASSES).T * torch.where(owner >= 0, target, torch.zeros_like(target))
    z = maps[:CLASSES].reshape(CLASSES, -1)
    score = F.binary_cross_entropy_with_logits(z, y, reduction="sum")
    inside, union, hull = areas(cell_boxes(maps[CLASSES:]), truth[owner.clamp(min=0)])
    giou = inside / union - (hull - union) / hull
    return CLASS_SCALE * score + BOX_SCALE * (target * (1 - giou))[owner >= 0].sum()


def find(maps):
    """Rows of class, x0, y0, x1, y1, score, best first."""
    boxes, p = cell_boxes(maps[CLASSES:]), torch.sigmoid(maps[:CLASSES]).reshape(CLASSES, -1)
    rows = []
    for c in range(CLASSES):
        left = p[c] >= 0.01
        while left.any():
            best = int(torch.where(left, p[c], torch.zeros_like(p[c])).argmax())
            inside, union, _ = areas(boxes[best], boxes)
            overlap = inside / union
            weight = torch.where(left & (overlap >= 0.5), p[c] * overlap ** 2, torch.zeros_like(p[c]))
            agreed = ((weight[:, None] * boxes).sum(0) / weight.sum()).clamp(0, 1)
            rows.append(torch.cat([torch.tensor([c], dtype=torch.float64), agreed, p[c, best][None]]))
            left = left & ~(overlap > 0.45)
    return torch.stack(sorted(rows, key=lambda row: -float(row[5])))


def make():
    random = numpy.random.RandomState(5)
    maps = golden.single(numpy.concatenate([random.standard_normal((CLASSES, SIDE, SIDE)) * 2 - 3,
                                            random.standard_normal((4, SIDE, SIDE)) * 0.7])).requires_grad_()
    # Large, small (between the centres of cells), two that share cells, and two of one class.
    truth = golden.single([[0.05, 0.1, 0.8, 0.9], [0.51, 0.76, 0.55, 0.8], [0.3, 0.3, 0.6, 0.7], [0.35, 0.2, 0.7, 0.65]])
    kind = torch.tensor([0, 1, 2, 1])
    with torch.no_grad():
        owner, target = assign(maps, truth, kind)
        found = find(maps)
    loss = loss_of(maps, truth, kind, owner, target)
    loss.backward()
    out = {"maps": maps, "truth": truth, "kind": kind, "owner": owner, "target": target, "loss": loss.reshape(1), "grad": maps.grad, "found": found}
    return {name: numpy.ascontiguousarray(value.detach().numpy().astype(numpy.float32)) for name, value in out.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "--check":
        sys.exit(golden.compare("golden boxes", sys.argv[2], make(), {}))
    golden.write(sys.argv[1], make(), {})
