"""Plots the loss of training runs over hours of audio.

    python curves.py --run "first=runs/first/log.jsonl" --out curves.png
    python curves.py --against "AdamW=../docs/training/adamw.jsonl" --run "SOAP=../docs/training/soap.jsonl" --out differences.png

A log is the file that `train.py` writes; its loss is smoothed over a hundred steps. --against plots the differences from that run at the
same steps: runs with the same seed use the same items in the same order. --part plots one term of the loss for the items of each
step; repeat it for several plots.
"""

import argparse
import json

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402


def read(run: str) -> tuple[str, dict[int, dict]]:
    """NAME=LOG -> name, the log's lines by step."""
    name, _, path = run.partition("=")
    with open(path) as f:
        lines = [json.loads(line) for line in f]
    return name, {line["step"]: line for line in lines}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--run", action="append", required=True, metavar="NAME=LOG")
    p.add_argument("--against", metavar="NAME=LOG")
    p.add_argument("--part", action="append", help="pesq, sdr, ... (default: the whole loss)")
    p.add_argument("--out", required=True)
    a = p.parse_args()
    name, against = read(a.against) if a.against else (None, None)
    parts = a.part or ["loss"]
    rows, columns = (len(parts) + 1) // 2, min(len(parts), 2)
    figure, panels = plt.subplots(rows, columns, squeeze=False, figsize=(7.5, 0.7 + 2.9 * rows), layout="constrained")
    for axes, part in zip(panels.flat, parts):
        for label, log in map(read, a.run):
            lines = [line for line in log.values() if against is None or line["step"] in against]
            base = [against[line["step"]][part] if against else 0.0 for line in lines]
            axes.plot([line["hours"] for line in lines], [line[part] - b for line, b in zip(lines, base)], label=label)
        if against:
            axes.axhline(0, color="0.4", linewidth=0.8)
        axes.set_xlabel("hours of audio heard")
        axes.set_ylabel(part + (f", difference from {name}" if against else ""))
        axes.grid(alpha=0.3)
    for axes in panels.flat[len(parts) :]:
        axes.set_axis_off()
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    figure.savefig(a.out, dpi=110)


if __name__ == "__main__":
    main()
