# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/results.md out of docs/results.json: tables and the words around them. It measures nothing."""
import stats

NAMES = {"accuracy": "accuracy", "macro_f1": "macro-F1", "auroc": "AUROC", "average_precision": "average precision", "map50": "mAP50", "pixel_auroc": "pixel AUROC", "aupro": "AUPRO",
         "window_accuracy": "accuracy of windows", "rmse": "RMSE", "score": "score", "coverage": "coverage of 90 %", "interval_width": "width of the interval"}
LARGE = {"rmse", "score", "interval_width"}  # no shares: fewer digits


def number(key, value):
    return "–" if value is None else f"{value:.{1 if key in LARGE else 3}f}"


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


# ---- the sets --------------------------------------------------------------------------------------------------------------------

def with_interval(key, value, interval):
    text = number(key, value)
    return f"{text} [{number(key, interval[0])}, {number(key, interval[1])}]" if interval else text


def summary(keys, found):
    """Mean and, where there are several, spread of the measures of several trainings."""
    s = stats.spread(found)
    return [(number(k, s[k][0]) + (f" ± {number(k, s[k][1])}" if len(found) > 1 else "")) if k in s else "–" for k in keys]


def baselines(rows):
    """{name: [measures, ...]} over the splits; a script may hold several models."""
    found = {}
    for row in rows:
        for label, value in row.get("baselines", {}).items():
            several = all(isinstance(v, dict) for v in value.values())
            for model, measures in (value if several else {"": value}).items():
                found.setdefault(", ".join(filter(None, (model, label))), []).append(measures)
    return found


def question(asked, kept):
    keys, rows = asked.measures, kept["rows"]
    body = []
    if len(rows) > 1 and len(asked.seeds) == 1:
        for row in rows:
            body.append([row["split"], row["measures"].get("n", "–"), *[with_interval(k, row["measures"].get(k), row["measures"].get("interval", {}).get(k)) for k in keys]])
    body.append(["**Seam**" + (", mean and spread" if len(rows) > 1 else ""), "", *summary(keys, [r["measures"] for r in rows])] if len(rows) > 1 else
                ["**Seam**", rows[0]["measures"].get("n", "–"), *[with_interval(k, rows[0]["measures"].get(k), rows[0]["measures"].get("interval", {}).get(k)) for k in keys]])
    if kept["pooled"] and len(rows) > 1:
        body.append(["**Seam**, held parts together", "", *[with_interval(k, kept["pooled"].get(k), kept["intervals"].get(k)) for k in keys]])
    for name in [*asked.variants, *asked.also]:
        if all(name in r for r in rows):
            body.append([f"Seam, {name}", "", *summary(keys, [r[name] for r in rows])])
    for name, found in baselines(rows).items():
        body.append([name, "", *summary(keys, found)])
    return f"*{asked.name}.* Longest training: {kept['seconds'] / 60:.0f} minutes.\n\n" + table(["", "n", *[NAMES[k] for k in keys]], body) + demands(
        asked, kept) + deletion(kept)


# ---- promises -----------------------------------------------------------------------------------------------------------------

def kept_promise(rate, hits, n, with_threshold):
    """A rate that was promised and what came; nothing is kept where nothing could be decided."""
    if n == 0:
        return "–"
    if with_threshold == 0:
        return f"≤ {100 * rate:g} %: no threshold, too few were calibrated"
    low, high = stats.exact(hits, n)
    return f"≤ {100 * rate:g} %: {100 * hits / n:.1f} % [{100 * low:.1f}, {100 * high:.1f}] " + ("held" if hits <= rate * n else "within chance" if low <= rate else "broken")


def demands(asked, kept):
    """Over the splits of the first seed: what was demanded, whether it was kept, and what it costs."""
    rows = [r["demands"] for r in kept["rows"] if r.get("demands")]
    body = []
    for k, (miss, reject) in enumerate(asked.demands if rows else ()):
        total = {of: {d: sum(r[k][of][d] for r in rows) for d in ("pass", "refer", "reject")} for of in ("good", "defect")}
        able = {d: sum(r[k]["with_threshold"][d] for r in rows) for d in ("miss", "false_reject")}
        n = {of: sum(total[of].values()) for of in total}
        shares = [" / ".join(f"{100 * total[of][d] / n[of]:.0f} %" if n[of] else "–" for of in ("good", "defect")) for d in ("pass", "refer", "reject")]
        body.append([kept_promise(miss, total["defect"]["pass"], n["defect"], able["miss"]),
                     kept_promise(reject, total["good"]["reject"], n["good"], able["false_reject"]), *shares])
    if not body:
        return ""
    return "\n\nPromises (conformal), demanded and seen on the held parts of the first seed; exact 95 % intervals as if records were independent:\n\n" + table(
        ["defective passed", "good rejected", "passed, good / defective", "referred", "rejected"], body)


# ---- attribution ---------------------------------------------------------------------------------------------------------------

def deletion(kept):
    found = [r["deletion"] for r in kept["rows"] if "deletion" in r]
    body = []
    for name, key in (("hottest cells of the heat map", "pictures"), ("modality of the highest contribution", "modalities")):
        for test in (d[key] for d in found if d[key]["n"] > 0):
            body.append([name, test["n"], f"{test['pointed']:.2f}", f"{test['elsewhere']:.2f}", number("share", test["share"]) + " [{:.3f}, {:.3f}]".format(*test["share_interval"])])
    if not body:
        return ""
    return ("\n\nAttribution by deletion: how far the defect's margin over good (logits; over the next class where no record is good; where nothing classifies, the distance from good ones) falls when what is pointed at is taken away, and when as much elsewhere is:\n\n"
            + table(["taken away", "n", "pointed at", "elsewhere", "share in which the first is larger"], body))


def section(task, kept):
    head = f"## {task.name}\n\nRecipe `pipelines/{task.recipe}`. {task.shipped} Measured {kept['date']} at {kept['commit']} by `{kept['command']}` ({kept['machine']}).\n\n"
    body = "\n\n".join(question(asked, q) for asked, q in zip(task.questions, kept["questions"]))
    return head + f"**The trap.** {task.trap}\n\n" + body


# ---- the shipped model ------------------------------------------------------------------------------------------------------------

SHIPPED = """## The shipped weld model

Model {fingerprint} (`pipelines/weld-inspection/weld.seam`), measured {date} by `{command}`.

**Synthetic welds.** {count} welds of a seed (`{seed}`) that neither training nor calibration saw; the model was trained and calibrated on such welds (`weld.json`). This tells that the
machinery works, not what a plant would see. Thresholds: at most 0.5 % of good welds rejected and 1 % of defective ones passed, promised by conformal calibration; what is neither is
referred to a person.

{synthetic}

A single modality's errors may lie over the promise by chance at this size: one in 122 is 0.8 % already.

**Real welds** (weld-runs). The model has seen synthetic welds only. AUROC of defective against good, 95 % bootstrap interval over welds. *As it is*: by the classifier, and by the anomaly
memory of synthetic good welds. *Adapted*: the memory is made of the good welds of the other groups (a group is one plate set, day and joint), each group left out in turn, so that no weld
is judged by its neighbours.

{real}

*The trap.* In this family of welds the process settings were changed to make the defects, so settings give the label away, and current and voltage partly are the settings: a figure with
`sensors` (or `all`) tells a set-up from another as much as a defect from a good weld. Sound and photographs alone are the figures that count. Twenty welds are few: read the intervals.
A baseline (nearest neighbour on plain statistics, other welds of the family): sensors 1.00, sound 0.79, both 0.94.

Adapting to few groups does not help with a group that is none of them: a memory of five set-ups finds every sixth one strange. On a line the part that is judged is the part that was
adapted to, which these welds cannot show: of no group there are good and defective ones enough.

These twenty welds are development data: every model on the way was measured on them, the way in which `adapt` scales distances was chosen while looking at them, and one other memory (the
synthetic good welds kept beside the real ones) was tried and left. So all of this table is optimistic by an unknown amount; welds kept apart decide.

Every real weld flows through the model and gets a verdict. The model as it is knows nothing of these plants, so the decisions below say that it does not break, not that they are right;
thresholds for real welds come from `seam adapt`.

{every}

The same figures on welds of your own: `seam eval --model M.seam --data DIR [--only sound]`, `seam adapt --model M.seam --data DIR --evaluate`."""

INTRO = """# Results

Made by `./run results` out of what it measured (`docs/results.json`). Do not edit.

Every set is judged on records that were neither trained on, nor used to choose or to calibrate. Intervals are 95 %, by a bootstrap over groups (specimens, runs, engines); ± is the spread
over splits and seeds. Baselines were trained and judged on the same split (`tests/baselines/`)."""


def shipped(kept):
    t = {"synthetic": table(["modalities", "welds", "accuracy", "macro-F1", "AUROC", "mAP50", "ECE", "good rejected", "defective passed", "referred"], kept["synthetic"]),
         "real": table(["modalities", "good", "defective", "as it is, classes", "as it is, anomaly", "adapted, anomaly"], kept["real"]),
         "every": table(["set", "welds", "without verdict", "pass", "reject", "refer"], kept["every"])}
    return SHIPPED.format(**{**kept, **t})


def write(kept, tasks):
    parts = [INTRO, *([shipped(kept["shipped"])] if "shipped" in kept else []), *[section(t, kept[n]) for n, t in tasks.items() if n in kept]]
    return "\n\n".join(parts) + "\n"
