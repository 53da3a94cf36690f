#!/usr/bin/env python3
"""Table and figure of the runs of run.sh: how far models are from recordings of the first half of the training sessions, of the second
half and of held-out sessions, and rates before and after a lesion.

    tools/adapt_experiment/summary.py SCENES OUT

Writes OUT/adapting.md and OUT/adapting.svg. The distance of a distribution from a recorded one is the mean over the tabulated probabilities of the
absolute difference of their quantiles, for rates over the recorded interquartile range, so that cell types count alike; then the mean over the
cell types that both halves and the held-out sessions have. Needs Python 3.8 or newer and nothing else.
"""

import csv
import json
import statistics
import sys
from pathlib import Path

QUANTITIES = {
    "evoked_rate_hz": "rate_evoked_hz",
    "spontaneous_rate_hz": "rate_spontaneous_hz",
    "osi": "osi",
    "dsi": "dsi",
}
MODELS = [
    ("first", "first half, {steps} steps, not adapted"),
    ("adapted_free", "adapted to the second half, {few} steps"),
    ("adapted_kept", "the same with losses.structure.keep"),
    ("all", "both halves from scratch, {steps} steps"),
]
LESION = [
    ("all", "before"),
    ("lesioned", "lesion"),
    ("lesioned_adapted", "lesion, adapted"),
    ("unlesioned_adapted", "no lesion, as many steps"),
]
CLASSES = ["Exc", "PV", "SST", "VIP"]


def targets(folder, split):
    """Quantiles by (cell type, quantity) of the sessions of a split."""
    with open(Path(folder) / "neuropixels_targets.csv", encoding="utf-8") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return {
            (row["cell_type"], row["quantity"]): {k: float(v) for k, v in row.items() if k[0] == "q" and k[1:].isdigit()}
            for row in rows
            if row["split"] == split
        }


def summaries(out, model):
    """The cell types of the last evaluation of a model's runs, by name; a run a seed, as far as they are there."""
    found = []
    for file in sorted(out.glob(f"{model}_[0-9]*/summary.json")):
        whole = json.loads(file.read_text(encoding="utf-8"))
        found.append({entry["cell_type"]: entry for entry in whole["held_out"]})
    return found


def distance(found, recorded, quantities):
    """Mean distance over cell types and quantities."""
    distances = []
    for (cell_type, quantity), quantiles in recorded.items():
        measure = found.get(cell_type, {}).get(QUANTITIES[quantity]) if quantity in quantities else None
        if not measure or not measure["quantiles"]:
            continue
        scale = quantiles["q075"] - quantiles["q025"] if quantity.endswith("hz") else 1.0
        apart = statistics.mean(abs(a - b) for a, b in zip(measure["quantiles"], quantiles.values()))
        distances.append(apart / scale if scale > 0 else apart)
    return statistics.mean(distances)


def class_rates(found):
    """Mean evoked rate of each class over its cells, Hz."""
    rates = {}
    for name in CLASSES:
        of_class = [
            (entry["n_neurons"], entry["rate_evoked_hz"]["mean"])
            for cell_type, entry in found.items()
            if entry["rate_evoked_hz"] and (cell_type.endswith("_" + name) or (name == "Exc" and cell_type[3:] in ("ET", "IT", "NP")))
        ]
        rates[name] = sum(n * rate for n, rate in of_class) / sum(n for n, _ in of_class)
    return rates


def spread(values):
    """Mean and range."""
    if len(values) < 2:
        return f"{values[0]:.3f}" if values else "-"
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def dots(x, y, groups, labels, title, unit):
    """A panel of an SVG: for every label a column of dots, one a seed, with a line at the mean."""
    width, height = 330, 150
    top = 1.1 * max(value for values in groups for value in values)
    parts = [f'<text x="{x}" y="{y - 10}" font-weight="bold">{title}</text>']
    for tick in range(5):
        value = top * tick / 4
        at = y + height * (1 - tick / 4)
        parts.append(f'<line x1="{x}" x2="{x + width}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{x - 4}" y="{at + 4:.1f}" text-anchor="end">{value:.2f}</text>')
    parts.append(f'<text x="{x + width}" y="{y - 10}" text-anchor="end" fill="#555">{unit}</text>')
    for column, (values, label) in enumerate(zip(groups, labels)):
        centre = x + width * (column + 0.5) / len(groups)
        for seed, value in enumerate(values):
            at = y + height * (1 - value / top)
            parts.append(f'<circle cx="{centre + 6 * (seed - 1):.1f}" cy="{at:.1f}" r="3.5" fill="#2f6db5"/>')
        if values:
            at = y + height * (1 - statistics.mean(values) / top)
            parts.append(f'<line x1="{centre - 16:.1f}" x2="{centre + 16:.1f}" y1="{at:.1f}" y2="{at:.1f}" stroke="#222" stroke-width="2"/>')
        parts.append(f'<text x="{centre:.1f}" y="{y + height + 16}" text-anchor="middle">{label}</text>')
    return parts


def main():
    scenes, out = Path(sys.argv[1]), Path(sys.argv[2])
    halves = scenes / "v1_halves"
    beside = {
        "first half": targets(halves / "first", "train"),
        "second half": targets(halves / "second", "train"),
        "held out": targets(scenes / "v1", "heldout"),
    }
    # Cell types that all three have: each half alone has too few units of some.
    common = set.intersection(*(set(recorded) for recorded in beside.values()))
    beside = {name: {key: recorded[key] for key in sorted(common)} for name, recorded in beside.items()}
    n_steps = {}
    for model in ("first", "adapted_free"):
        for file in out.glob(f"{model}_[0-9]*/summary.json"):
            n_steps[model] = json.loads(file.read_text(encoding="utf-8"))["training_step"]
    text, figure = [], []
    kinds = [("rates, over the recorded interquartile range", ["evoked_rate_hz", "spontaneous_rate_hz"]), ("selectivity", ["osi", "dsi"])]
    # Without the experiment on data (PARTS=lesion of run.sh) there is no such table.
    for row, (kind, quantities) in enumerate(kinds if len(n_steps) == 2 else []):
        text += [f"Distance of {kind}; mean of the seeds (range).", "", "| model | " + " | ".join(beside) + " |", "|---|" + "---|" * len(beside)]
        all_values = {}
        for model, label in MODELS:
            found = summaries(out, model)
            values = {name: [distance(f, recorded, quantities) for f in found] for name, recorded in beside.items()}
            all_values[model] = values
            words = label.format(steps=n_steps["first"], few=n_steps["adapted_free"])
            text.append(f"| {words} | " + " | ".join(spread(v) for v in values.values()) + " |")
        text.append("")
        for column, name in enumerate(beside):
            groups = [all_values[model][name] for model, _ in MODELS]
            figure += dots(60 + 400 * column, 50 + 220 * row, groups, ["not adapted", "adapted", "kept", "from scratch"], f"{kind.split(',')[0]}: {name}", "distance")
    lesion = [(model, label) for model, label in LESION if summaries(out, model)]
    text += ["Mean evoked rate, Hz; mean of the seeds (range).", "", "| class | " + " | ".join(label for _, label in lesion) + " |", "|---|" + "---|" * len(lesion)]
    rates = {model: [class_rates(found) for found in summaries(out, model)] for model, _ in lesion}
    text.append("| seeds | " + " | ".join(str(len(rates[model])) for model, _ in lesion) + " |")
    for column, name in enumerate(CLASSES):
        groups = [[rate[name] for rate in rates[model]] for model, _ in lesion]
        text.append(f"| {name} | " + " | ".join(spread(values) for values in groups) + " |")
        if column < 3:
            figure += dots(60 + 400 * column, 490, groups, [label for _, label in lesion], f"evoked rate: {name}", "Hz")
    (out / "adapting.md").write_text("\n".join(text) + "\n", encoding="utf-8")
    head = '<svg xmlns="http://www.w3.org/2000/svg" width="1260" height="690" font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>'
    (out / "adapting.svg").write_text("\n".join([head, *figure, "</svg>"]) + "\n", encoding="utf-8")
    print("\n".join(text))


if __name__ == "__main__":
    main()
