# SPDX-License-Identifier: LGPL-2.1-or-later
"""The model in PyTorch, a twin of core/ that shares no code with it.

Written from docs/architecture.md for one purpose: to disagree with the C code when that is wrong. So it is plain where the C code is fast:
attention is a dense matrix with a mask, every expert sees every token, patterns are built token by token from their definition, and all
gradients come from autograd. Parameters are a dictionary of tensors by the names that a bundle has. Nothing here is part of the product.
"""
import math
import re

import torch
import torch.nn.functional as F

DOMAINS = {"summary": 0, "patch": 1, "time": 2, "frequency": 3, "word": 4}


class Tokens:
    """Tokens of several sequences: values [n, dim], and for each token its place and its sequence."""

    def __init__(self, x, place, sequence, times):
        self.x = x
        self.place = place        # of dicts: t, x, y, channel, modality, domain
        self.sequence = sequence  # [n]
        self.times = times        # of the sequences


def norm(p, name, x):
    return F.layer_norm(x, x.shape[-1:], p[name + ".weight"], p[name + ".bias"], 1e-5)


def linear(p, name, x):
    return F.linear(x, p[name + ".weight"], p[name + ".bias"])


def gelu(x):
    return F.gelu(x, approximate="tanh")


def place(modality, domain, t=0.0, x=0.0, y=0.0, channel=0):
    return {"t": t, "x": x, "y": y, "channel": channel, "modality": modality, "domain": domain}


def conv(p, name, x, stride):
    return F.conv2d(x, p[name + ".weight"].permute(0, 3, 1, 2), p[name + ".bias"], stride=stride, padding=1)


# ---- 1. dynamic embedding -----------------------------------------------------------------------------------------------------


def conv_block(p, name, x):
    """x [images, width, side, side]."""
    h = norm(p, name + ".norm", x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    g = gelu(conv(p, name + ".conv", h, 1)).permute(0, 2, 3, 1)
    return x + linear(p, name + ".out", g).permute(0, 3, 1, 2)


def image_features(p, config, m, pixels, times):
    """pixels [images, size, size, channels], 0 to 255."""
    modality = config["modalities"][m]
    prefix = f"embed.{modality['name']}."
    mean, std = torch.tensor(modality["mean"]).to(pixels), torch.tensor(modality["std"]).to(pixels)
    a = ((pixels - mean) / std).permute(0, 3, 1, 2)
    layers = len(modality["stem"])
    for layer in range(layers):
        a = conv(p, f"{prefix}stem.{layer}", a, 2)
        a = gelu(a) if layer < layers - 1 else a
        for block in range(modality.get("blocks", [0] * layers)[layer]):
            a = conv_block(p, f"{prefix}stem.{layer}.block.{block}", a)
    rows, places, sequence = [], [], []
    grid = a.shape[-1]
    for s in range(len(times)):
        rows.append(p[prefix + "summary"])
        places.append(place(m, "summary"))
        for cell in range(grid * grid):
            rows.append(a[s, :, cell // grid, cell % grid])
            places.append(place(m, "patch", x=(cell % grid + 0.5) / grid, y=(cell // grid + 0.5) / grid))
        sequence += [s] * (1 + grid * grid)
    return Tokens(torch.stack(rows), places, sequence, times)


def bands_of(modality):
    last, bands = modality["fft"] // 2, modality["bands"]
    edges = []
    for b in range(bands):
        first = min(max(int(last ** (b / bands)), 1), last)
        edges.append((first, last + 1 if b == bands - 1 else max(first + 1, int(last ** ((b + 1) / bands)))))
    return edges


def stretch_features(modality, z):
    """z [patch], normalised: the features over time and over frequency."""
    bins = z.reshape(modality["time_bins"], -1)
    rms = (bins - bins.mean(1, keepdim=True)).square().mean(1).sqrt()
    over_time = torch.cat([bins.mean(1), (torch.log(1e-3 + rms) + 3.5) / 3.5])
    fft = modality["fft"]
    if fft == 0:
        return over_time, None
    window = torch.hann_window(fft, periodic=True, dtype=z.dtype)
    frames = z.unfold(0, fft, fft // 2) * window
    power = (torch.fft.rfft(frames).abs().square() / window.square().sum()).mean(0)
    level = torch.stack([power[a:b].mean() for a, b in bands_of(modality)])
    return over_time, (torch.log(1e-6 + level) + 5) / 5


def fill_holes(values):
    """The last value before a hole, or the first one there is."""
    last = next(v for v in values if math.isfinite(v))
    filled = []
    for v in values:
        last = v if math.isfinite(v) else last
        filled.append(last)
    return filled


def sensor_features(p, config, m, windows, times):
    """windows [windows, samples, channels], NaN where nothing is."""
    modality = config["modalities"][m]
    prefix, patch = f"embed.{modality['name']}.", modality["patch"]
    rows, places, sequence = [], [], []
    for s in range(len(times)):
        for stretch in range(windows.shape[1] // patch):
            for c in range(modality["channels"]):
                values = windows[s, stretch * patch:(stretch + 1) * patch, c].tolist()
                if 2 * sum(not math.isfinite(v) for v in values) > patch:
                    continue
                z = (torch.tensor(fill_holes(values), dtype=windows.dtype) - modality["mean"][c]) / modality["std"][c]
                for domain, features in zip(("time", "frequency"), stretch_features(modality, z)):
                    rows.append(linear(p, prefix + domain, features) + p[prefix + "channel"][c])
                    places.append(place(m, domain, t=(stretch + 0.5) * patch / modality["rate"], channel=c))
                    sequence.append(s)
    return Tokens(torch.stack(rows), places, sequence, times)


def together_features(p, config, m, windows, times):
    """The same with one token a stretch, time and frequency each, for all channels."""
    modality = config["modalities"][m]
    prefix, patch = f"embed.{modality['name']}.", modality["patch"]
    rows, places, sequence = [], [], []
    for s in range(len(times)):
        for stretch in range(windows.shape[1] // patch):
            parts, vectors = [], []
            for c in range(modality["channels"]):
                values = windows[s, stretch * patch:(stretch + 1) * patch, c].tolist()
                if 2 * sum(not math.isfinite(v) for v in values) > patch:
                    parts.append(None)
                    continue
                z = (torch.tensor(fill_holes(values), dtype=windows.dtype) - modality["mean"][c]) / modality["std"][c]
                parts.append(stretch_features(modality, z))
                vectors.append(p[prefix + "channel"][c])
            there = next((part for part in parts if part), None)
            for k, domain in enumerate(("time", "frequency") if there else ()):
                features = torch.cat([part[k] if part else torch.zeros_like(there[k]) for part in parts])
                rows.append(linear(p, prefix + domain, features) + sum(vectors))
                places.append(place(m, domain, t=(stretch + 0.5) * patch / modality["rate"]))
                sequence.append(s)
    return Tokens(torch.stack(rows), places, sequence, times)


def words_of(text):
    """Runs of letters and digits; a point or comma between digits belongs to the number."""
    words = re.findall(rb"(?:[A-Za-z0-9\x80-\xff]|(?<=[0-9])[.,](?=[0-9]))+", text)
    return [b"<" + w[:64].lower() + b">" for w in words]


def fnv1a(text):
    value = 2166136261
    for byte in text:
        value = ((value ^ byte) * 16777619) % 2**32
    return value


def word_features(table, modality, word):
    """The mean of the rows of a word's n-grams and of itself."""
    grams = [word] + [word[i:i + n] for n in range(modality["ngram_min"], modality["ngram_max"] + 1)
                      for i in range(len(word) - n + 1) if n < len(word)]
    return table[[fnv1a(g) % modality["buckets"] for g in grams]].mean(0)


def text_features(p, config, m, texts, times):
    modality = config["modalities"][m]
    table = p[f"embed.{modality['name']}.table"]
    rows, sequence = [], []
    for s, text in enumerate(texts):
        for word in words_of(text)[-modality["max_tokens"]:]:
            rows.append(word_features(table, modality, word))
            sequence.append(s)
    return Tokens(torch.stack(rows), [place(m, "word") for _ in rows], sequence, times)


def rank_of(quantiles, z):
    """0 to 1 among rising quantiles: straight between two, the middle of those that z equals."""
    n = len(quantiles)
    equal = [k for k in range(n) if quantiles[k] == z]
    if equal:
        return (equal[0] + equal[-1]) / 2 / (n - 1)
    below = sum(q < z for q in quantiles)
    if below in (0, n):
        return 0.0 if below == 0 else 1.0
    return (below - 1 + (z - quantiles[below - 1]) / (quantiles[below] - quantiles[below - 1])) / (n - 1)


def feature_features(p, config, m, readings, times):
    """readings [readings, channels], NaN where nothing is; one without anything is an empty sequence."""
    modality = config["modalities"][m]
    prefix, channels, count = f"embed.{modality['name']}.", modality["channels"], modality["tokens"]
    rows, places, sequence = [], [], []
    for s in range(len(times)):
        if not any(math.isfinite(v) for v in readings[s].tolist()):
            continue
        z = []
        for c, value in enumerate(readings[s].tolist()):
            normed = (value - modality["mean"][c]) / modality["std"][c]
            if modality.get("quantiles", 0) > 0 and math.isfinite(value):
                normed = math.sqrt(12) * (rank_of(p[prefix + "quantiles"][c].tolist(), normed) - 0.5)
            z.append(normed if math.isfinite(value) else 0.0)
        z = torch.tensor(z, dtype=readings.dtype)
        for t in range(count):
            run = slice(t * channels // count, (t + 1) * channels // count)
            rows.append(z[run] @ p[prefix + "weight"][run] + p[prefix + "bias"][t])
            places.append(place(m, "time", channel=t))
            sequence.append(s)
    return Tokens(torch.stack(rows), places, sequence, times)


def fourier(values, frequencies):
    """values [n, k] -> [n, k * 2 * frequencies]: of each value sine and cosine of pi 2^j value."""
    angle = math.pi * values[..., None] * 2.0 ** torch.arange(frequencies, dtype=values.dtype)
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(-3)


def project(p, config, tokens):
    """The shared projection, the modality's own delta, and the place."""
    h = norm(p, "project.norm", tokens.x)
    where = torch.tensor([[q["x"], q["y"], q["t"] / config["window"]] for q in tokens.place], dtype=h.dtype)
    x = linear(p, "project", h) + fourier(where, 4) @ p["place.weight"].T
    m = tokens.place[0]["modality"]
    if config["modalities"][m].get("delta_rank", 0) > 0:
        name = "project.delta." + config["modalities"][m]["name"]
        x = x + h @ p[name + ".a"].T @ p[name + ".b"].T
    x = x + p["place.modality"][m] + p["place.domain"][[DOMAINS[q["domain"]] for q in tokens.place]]
    return Tokens(x, tokens.place, tokens.sequence, tokens.times)


# ---- 2. encoder ---------------------------------------------------------------------------------------------------------------


def attention(p, config, prefix, x, mask, threshold):
    """mask [n, n]: whom each token sees. A gate below the threshold closes its head."""
    n, dim = x.shape
    heads = config["heads"]
    q, k, v = linear(p, prefix + ".qkv", x).reshape(n, 3, heads, dim // heads).permute(1, 2, 0, 3)
    scores = (q @ k.transpose(1, 2)) / math.sqrt(dim // heads)
    weights = scores.masked_fill(~mask, -math.inf).softmax(-1)
    gate = torch.sigmoid(linear(p, prefix + ".gate", x))
    gate = torch.where(gate < threshold, torch.zeros_like(gate), gate)
    mixed = (weights @ v) * gate.T[:, :, None]
    return linear(p, prefix + ".out", mixed.permute(1, 0, 2).reshape(n, dim))


def choose(config, scores):
    """Groups by the sum of their two best experts, then the best experts of the groups that stay; ties to the lower index."""
    size = config["experts"] // config["groups"]
    groups = [scores[g * size:(g + 1) * size] for g in range(config["groups"])]
    rank = sorted(range(len(groups)), key=lambda g: (-sum(sorted(groups[g])[-2:]), g))
    open_experts = [e for e in range(config["experts"]) if e // size in rank[:config["groups_kept"]]]
    return sorted(open_experts, key=lambda e: (-scores[e], e))[:config["top_k"]]


def experts(p, config, layer, x):
    """What the chosen experts give; also the choices and the balance loss."""
    prefix = f"encoder.{layer}."
    a = p["encoder.router.a"] if config["router_shared_a"] else p[prefix + "router.a"]
    probs = (x @ a.T @ p[prefix + "router.b"].T).softmax(-1)
    choices = [choose(config, row) for row in (probs + p[prefix + "router.bias"]).tolist()]
    chosen = torch.zeros_like(probs).scatter(1, torch.tensor(choices), 1.0)
    weights = probs * chosen
    weights = weights / weights.sum(1, keepdim=True)
    hidden = torch.einsum("nd,ewd->enw", x, p[prefix + "experts.up.weight"]) + p[prefix + "experts.up.bias"][:, None]
    each = torch.einsum("enw,edw->end", gelu(hidden), p[prefix + "experts.down.weight"]) + p[prefix + "experts.down.bias"][:, None]
    balance = config["experts"] * (chosen.mean(0) / config["top_k"] * probs.mean(0)).sum()
    return torch.einsum("ne,end->nd", weights, each), choices, balance


def sees_locally(config, modality, a, b, i, j):
    """Tokens a and b of one sequence, the i-th and the j-th of it."""
    radius = config["local_radius"]
    if "summary" in (a["domain"], b["domain"]):
        return True
    if modality["front"] == "image":
        grid = modality["size"] >> len(modality["stem"])
        return all(abs(int(a[axis] * grid) - int(b[axis] * grid)) <= radius for axis in "xy")
    if modality["front"] == "sensor":
        return abs(int(a["t"] * modality["rate"] / modality["patch"]) - int(b["t"] * modality["rate"] / modality["patch"])) <= radius
    return abs(i - j) <= radius


def encoder_mask(config, tokens, mixer):
    n = len(tokens.place)
    mask = torch.zeros(n, n, dtype=torch.bool)
    for i in range(n):
        for j in range(n):
            if tokens.sequence[i] != tokens.sequence[j]:
                continue
            modality = config["modalities"][tokens.place[i]["modality"]]
            mask[i, j] = mixer == "global" or sees_locally(config, modality, tokens.place[i], tokens.place[j], i, j)
    return mask


def encode(p, config, tokens, threshold=0.0):
    """All layers; also the choices [layers, n, top_k] and the sum of the layers' balance losses."""
    x, choices, balance = tokens.x, [], 0.0
    for layer in range(config["layers"]):
        mixer = config["mixer"][min(layer, len(config["mixer"]) - 1)]
        prefix = f"encoder.{layer}"
        x = x + attention(p, config, prefix + ".attention", norm(p, prefix + ".norm1", x), encoder_mask(config, tokens, mixer), threshold)
        y, chosen, loss = experts(p, config, layer, norm(p, prefix + ".norm2", x))
        x, balance = x + y, balance + loss
        choices.append(chosen)
    return Tokens(x, tokens.place, tokens.sequence, tokens.times), choices, balance


# ---- 3. fusion ----------------------------------------------------------------------------------------------------------------


def join(config, streams, window_of, window_times):
    """All streams in one, a sequence a window, by modality and then time; times count from the window's start."""
    rows = []
    for s, tokens in enumerate(streams):
        for i, q in enumerate(tokens.place):
            window = window_of[s][tokens.sequence[i]]
            t = tokens.times[tokens.sequence[i]] - window_times[window] + q["t"]
            rows.append((window, q["modality"], t, len(rows), s, i))
    rows.sort()
    x = torch.stack([streams[s].x[i] for *_, s, i in rows])
    places = [dict(streams[s].place[i], t=t) for _, _, t, _, s, i in rows]
    return Tokens(x, places, [row[0] for row in rows], window_times)


def nearest(tokens, members, i, query, count):
    """Of the tokens `members` of another modality the `count` nearest in time to token `query`, the i-th of its window."""
    moments = {}
    for j in members:
        moments.setdefault(tokens.place[j]["t"], []).append(j)
    t, found = tokens.place[query]["t"], []
    for moment in sorted(moments, key=lambda at: (abs(at - t), at)):
        room = count - len(found)
        group = moments[moment]
        if len(group) > room:
            summaries = [j for j in group if tokens.place[j]["domain"] == "summary"]
            others = [j for j in group if tokens.place[j]["domain"] != "summary"]
            turn = i % len(others)
            group = (summaries + others[turn:] + others[:turn])[:max(room, 0)]
        found += group
    return found


def fusion_mask(config, tokens):
    n = len(tokens.place)
    mask = torch.zeros(n, n, dtype=torch.bool)
    for window in set(tokens.sequence):
        members = [i for i in range(n) if tokens.sequence[i] == window]
        for i, query in enumerate(members):
            mask[query, query] = True
            for m in range(len(config["modalities"])):
                if m == tokens.place[query]["modality"]:
                    continue
                others = [j for j in members if tokens.place[j]["modality"] == m]
                mask[query, nearest(tokens, others, i, query, config["fusion_neighbours"])] = True
            for power in range(n.bit_length()):
                for j in (i - 2**power, i + 2**power):
                    if 0 <= j < len(members):
                        mask[query, members[j]] = True
    return mask


def fuse(p, config, tokens, threshold=0.0):
    t = torch.tensor([[q["t"] / config["window"]] for q in tokens.place], dtype=tokens.x.dtype)
    x = tokens.x + fourier(t, 8) @ p["fusion.time.weight"].T + p["fusion.modality"][[q["modality"] for q in tokens.place]]
    mask = fusion_mask(config, tokens)
    for layer in range(config["fusion_layers"]):
        prefix = f"fusion.{layer}"
        x = x + attention(p, config, prefix + ".attention", norm(p, prefix + ".norm1", x), mask, threshold)
        x = x + linear(p, prefix + ".down", gelu(linear(p, prefix + ".up", norm(p, prefix + ".norm2", x))))
    return Tokens(x, tokens.place, tokens.sequence, tokens.times)


# ---- 4. tasks -----------------------------------------------------------------------------------------------------------------


def adapted(p, task, x):
    name = "tasks." + task["name"]
    if task["rank"] > 0:
        x = x + linear(p, name + ".adapter.up", gelu(linear(p, name + ".adapter.down", norm(p, name + ".adapter.norm", x))))
    return norm(p, name + ".norm", x)


def of_modality(tokens, window, m):
    return [i for i, q in enumerate(tokens.place) if tokens.sequence[i] == window and q["modality"] == m]


def classify(p, config, task, tokens):
    """Logits [windows, classes], and what each modality added [windows, modalities, classes]."""
    name = "tasks." + task["name"]
    u = adapted(p, task, tokens.x)
    score = u @ p[name + ".score.weight"][0]
    shares = []
    for window in range(len(tokens.times)):
        for m in range(len(config["modalities"])):
            rows = of_modality(tokens, window, m)
            pooled = score[rows].softmax(0) @ u[rows] if rows else torch.zeros_like(u[0])
            shares.append(p[name + ".weight"] @ pooled)
    shares = torch.stack(shares).reshape(len(tokens.times), len(config["modalities"]), -1)
    return p[name + ".bias"] + shares.sum(1), shares


def life(task, logits):
    """Of one window's logits [bins]: the probabilities of the grid's points, the last one standing for all longer lives."""
    survival = torch.cat([torch.ones(1, dtype=logits.dtype), torch.cumprod(torch.sigmoid(-logits), 0)])
    return torch.cat([survival[:-1] * torch.sigmoid(logits), survival[-1:]])


def life_loss(task, logits, remaining):
    """-log likelihood; a life between two points is partly at each."""
    p, at = life(task, logits), min(remaining, task["limit"]) / task["limit"] * task["bins"]
    k = int(at)
    share = at - k
    return -(1 - share) * torch.log(p[k]) - (share * torch.log(p[k + 1]) if share else 0)


def life_mean(task, logits):
    return (life(task, logits) * torch.linspace(0, task["limit"], task["bins"] + 1, dtype=logits.dtype)).sum()


def life_quantile(task, logits, level):
    """Where P(T <= t), straight between its values at the points, reaches the level."""
    p = life(task, logits)
    ended = (torch.cumsum(p, 0) - p / 2).tolist()
    points = [task["limit"] * k / task["bins"] for k in range(task["bins"] + 1)]
    for k, value in enumerate(ended):
        if value >= level:
            return points[0] if k == 0 else points[k - 1] + (points[k] - points[k - 1]) * (level - ended[k - 1]) / (value - ended[k - 1])
    return points[-1]


def localise(p, config, task, tokens):
    """The heat maps of all pictures, flat, in the order of the tokens: [defects, side, side] each."""
    up, defects = task["upscale"], len(config["classes"]) - 1
    patches = [i for i, q in enumerate(tokens.place) if q["domain"] == "patch"]
    y = linear(p, f"tasks.{task['name']}.head", adapted(p, task, tokens.x[patches]))
    maps, at = [], 0
    while at < len(patches):
        modality = config["modalities"][tokens.place[patches[at]]["modality"]]
        grid = modality["size"] >> len(modality["stem"])
        cells = y[at:at + grid * grid].reshape(grid, grid, defects * up * up).permute(2, 0, 1)
        maps.append(F.pixel_shuffle(cells, up).flatten())
        at += grid * grid
    return torch.cat(maps)


def anomaly(config, task, memory, tokens):
    """Distances [windows, modalities]; 0 for what is not there."""
    distance = torch.zeros(len(tokens.times), len(config["modalities"]), dtype=tokens.x.dtype)
    for window in range(len(tokens.times)):
        for m, modality in enumerate(config["modalities"]):
            rows = of_modality(tokens, window, m)
            if not rows:
                continue
            x, good = tokens.x[rows], memory[modality["name"]]
            feature = torch.cat([x.mean(0), x.std(0, unbiased=False)])
            apart = (((feature - good["mean"]) / good["std"]) - good["rows"]).norm(dim=1)
            near = apart.sort().values[:task["neighbours"]].mean()
            distance[window, m] = (near - good["calibration"][0]) / good["calibration"][1]
    return distance
