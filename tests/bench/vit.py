# SPDX-License-Identifier: LGPL-2.1-or-later
"""The dense peer of our model: a ViT of the width and depth of the small preset, in PyTorch, with random weights.

It has the stem, the summary token and the pre-norm layers of Seam, but what every runtime knows by heart: full attention without gates, and
one MLP whose width is that of the experts that a token uses (top_k * expert_width). So it costs what our sparse network costs a token, and
less than our dense twin in kernels, which still has a router of one expert and gates.
"""
import torch
from torch import nn
from torch.nn import functional as F


class Layer(nn.Module):
    def __init__(self, dim, heads, mlp):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, mlp), nn.Linear(mlp, dim)

    def forward(self, x):
        batch, tokens, dim = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(batch, tokens, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, tokens, dim)
        x = x + self.out(mixed)
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Vit(nn.Module):
    def __init__(self, channels, size, stem, dim, layers, heads, mlp, classes):
        super().__init__()
        widths = [channels, *stem]
        self.stem = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in zip(widths, widths[1:]))
        tokens = 1 + (size >> len(stem)) ** 2
        self.summary = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.place = nn.Parameter(torch.randn(1, tokens, dim) * 0.02)
        self.norm, self.project = nn.LayerNorm(dim), nn.Linear(dim, dim)
        self.layers = nn.ModuleList(Layer(dim, heads, mlp) for _ in range(layers))
        self.head = nn.Linear(dim, classes)

    def forward(self, x):
        for i, conv in enumerate(self.stem):
            x = conv(x)
            if i + 1 < len(self.stem):
                x = F.gelu(x)
        x = torch.cat([self.summary.expand(x.shape[0], -1, -1), x.flatten(2).transpose(1, 2)], 1)
        x = self.project(self.norm(x)) + self.place
        for layer in self.layers:
            x = layer(x)
        return self.head(x[:, 0])


def from_config(config, modality):
    """The dense ViT of a model.json configuration with all its sizes, for one of its picture streams."""
    picture = next(m for m in config["modalities"] if m["name"] == modality)
    torch.manual_seed(1)
    return Vit(picture["channels"], picture["size"], picture["stem"], config["dim"], config["layers"], config["heads"],
               config["top_k"] * config["expert_width"], len(config["classes"])).eval()
