"""The figures in the model card."""

import math
import os
from pathlib import Path

from model import Sizes, count_macs


def replace_block(card: Path, name: str, text: str) -> None:
    """Put text between <!-- NAME --> and <!-- /NAME -->."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    old = card.read_text(encoding="utf-8")
    head, found, rest = old.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{card}: no {begin} ... {end}")
    part = card.with_name(card.name + ".part")
    part.write_text(f"{head}{begin}\n{text.strip()}\n{end}{tail}", encoding="utf-8")
    os.replace(part, card)


def facts(about: dict, weights: Path) -> str:
    """The weights file's metadata as a table."""
    sizes = Sizes.read(about["sizes"])
    macs = count_macs(sizes)
    rows = [
        ("Sizes", ", ".join(f"{k} {v}" for k, v in about["sizes"].items())),
        ("Parameters", f"{about['parameters']:,} ({weights.stat().st_size / 1024:.0f} KiB as float32)"),
        ("Multiply-adds per second", f"{macs['total'] * 100 / 1e6:.1f} M"),
        ("of these", ", ".join(f"{k} {v * 100 / 1e6:.1f} M" for k, v in macs.items() if k != "total")),
        ("Audio hours seen in training", f"{about['hours']:g} ({about['step']:,} steps)"),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in rows)])


def table(reports: list[dict]) -> str:
    """evaluate.py's JSON reports as a table, and a second one with the judges' scores; a missing score is a dash.
    Scores by band, named "name 60-300", share a column."""
    said = list(dict.fromkeys(k for r in reports for k in r.get("judges", [])))
    own = list(dict.fromkeys(k for r in reports for k in r["mean"] if k not in said))

    def cell(mean: dict, keys: list[str]) -> str:
        values = [mean.get(k) for k in keys]
        digits = [1 if len(keys) > 1 or v is None or abs(v) >= 10 else 3 for v in values]
        return " ".join("-" if v is None or math.isnan(v) else f"{round(v, d) + 0.0:.{d}f}" for v, d in zip(values, digits))

    tables = []
    for keys in filter(None, (own, said)):
        columns: dict[str, list[str]] = {}
        for k in keys:
            name, _, band = k.rpartition(" ")
            columns.setdefault(name if band[:1].isdigit() else k, []).append(k)
        lines = ["| set | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
        for r in reports:
            cells = (cell(r["mean"], group) for group in columns.values())
            lines.append(f"| {r['name']} ({r['pairs']} pairs) | " + " | ".join(cells) + " |")
        tables.append("\n".join(lines))
    return "\n\n".join(tables)
