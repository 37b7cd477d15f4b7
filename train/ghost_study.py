"""Is a GhostGRU as good as the GRU it replaces? Tests the claim of GhostRNN (Zhou et al., Interspeech 2023, arXiv 2411.14489)
on this project's data: small networks that differ only in the recurrent layer, trained in the same way on the same
hours of audio in the same order, with three seeds each.

    python ghost_study.py train --cache CACHE --out runs/ghost
    python ghost_study.py report --out runs/ghost --sets SET [SET ...]

`train` runs `train.py` for each variant and seed, one after the other, and continues where it was stopped (use --variants to
run several shells in parallel). `report` scores every network on SET/noisy against SET/clean, times them with the Rust engine
(`examples/hops.rs`), and writes the table between the markers in ../docs/ghost-study.md and its pictures.
"""

import argparse
import functools
import json
import math
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import dsp
from evaluate import pairs, read, resample, scores
from card import replace_block
from checkpoint import load_network
from export import export
from model import Dccrn, Sizes, TimeMemory, count_macs

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
SEEDS = (1, 2, 3)
# Five convolutions down to 5 + 4 positions: the recurrence is most of the network, as in the paper.
CHANNELS = (8, 16, 24, 32, 48)
MIX_HIDDEN = 8


@dataclass(frozen=True)
class Variant:
    """A recurrent layer of `hidden` units, of which `hidden / ratio` are computed by gates."""

    name: str
    hidden: int
    ratio: int

    @property
    def sizes(self) -> Sizes:
        return Sizes(CHANNELS, mix_hidden=MIX_HIDDEN, hidden=self.hidden, ratio=self.ratio, blocks=1)


def gru_of_weights(count: int) -> int:
    """The width of the plain GRU whose bottleneck comes closest to `count` weights."""
    return min(range(8, 256), key=lambda h: abs(weights(TimeMemory(CHANNELS[-1], h, 1)) - count))


def weights(part: torch.nn.Module) -> int:
    return sum(p.numel() for p in part.parameters())


def bottleneck(model: Dccrn) -> int:
    """Weights of the recurrent layer and of the layer that maps it back to the channels."""
    return weights(model.memory)


@functools.cache
def variants() -> list[Variant]:
    half = Variant("GhostGRU-128, ratio 2", 128, 2)
    equal = gru_of_weights(bottleneck(Dccrn(half.sizes)))
    return [Variant("GRU-128", 128, 1), half, Variant("GhostGRU-128, ratio 4", 128, 4), Variant(f"GRU-{equal}", equal, 1)]


def folder(out: Path, variant: Variant, seed: int) -> Path:
    return out / f"{variant.hidden}-{variant.ratio}-seed{seed}"


def done_hours(run: Path) -> float:
    """Hours of audio that a run has processed so far."""
    try:
        return torch.load(run / "last.pt", map_location="cpu", weights_only=True)["hours"]
    except FileNotFoundError:
        return 0.0


def train(a) -> None:
    for seed in SEEDS:
        for v in variants():
            run = folder(a.out, v, seed)
            if (a.variants and v.name not in a.variants) or done_hours(run) >= a.hours:
                continue
            print(f"{v.name}, seed {seed}", flush=True)
            options = dict(
                cache=a.cache, out=run, hours=a.hours, batch=4, full_band=0, lr=2e-3, warmup=100, ema=0.995,
                hidden=v.hidden, ratio=v.ratio, mix_hidden=MIX_HIDDEN, blocks=1, seed=seed, every=100, valid=100000, long=0,
            )  # fmt: skip
            command = [sys.executable, "train.py", "--optimizer", "adamw", "--bf16", "--channels", *map(str, CHANNELS)]
            for k, value in options.items():
                command += ["--" + k.replace("_", "-"), str(value)]
            subprocess.run(command, check=True, cwd=ROOT / "train")


# ---- scores ---------------------------------------------------------------------------------------------------------


def sdr(clean: np.ndarray, y: np.ndarray) -> float:
    """SDR of BSS Eval (Vincent et al. 2006), which allows any filter of 512 taps, in dB, by fast-bss-eval."""
    import fast_bss_eval

    return float(fast_bss_eval.sdr(clean[None], y[None], filter_length=512)[0])


def score(checkpoint: str, noisy: Path, clean: Path) -> dict[str, float]:
    torch.set_num_threads(1)
    model, _ = load_network(checkpoint)
    x, rate = read(noisy)
    c, _ = read(clean)
    x, c = resample(x, rate, 16000), resample(c, rate, 16000)  # these networks only process the low band
    with torch.no_grad():
        y = dsp.denoise(model, torch.from_numpy(x).float()[None], 16000)[0].double().numpy()
    n = min(len(c), len(y))
    return scores(c[:n], y[:n], 16000) | {"SDR": sdr(c[:n], y[:n])}


METRICS = ("PESQ-WB", "STOI", "SI-SDR", "SDR")


def all_scores(a) -> dict:
    """{set: {variant: (seeds, pairs, metrics)}}, stored with the runs so that a second report is quick."""
    out = {}
    with ProcessPoolExecutor(a.jobs) as pool:
        for where in a.sets:
            found, rows = pairs(where), {}
            for v in variants():
                per_seed = []
                for seed in SEEDS:
                    run = folder(a.out, v, seed)
                    hours = done_hours(run)
                    if hours < a.hours:
                        raise SystemExit(f"{run}: {hours:.2f} hours, expected {a.hours}: run `train` to the end first")
                    kept = run / f"{where.name}.json"
                    if not kept.exists():
                        made = [pool.submit(score, str(run / "last.pt"), n, c) for n, c in found]
                        kept.write_text(json.dumps([m.result() for m in made]))
                    per_seed.append([[r[m] for m in METRICS] for r in json.loads(kept.read_text())])
                rows[v] = np.array(per_seed)
                print(where.name, v.name, np.nanmean(rows[v], (0, 1)).round(3), flush=True)
            out[where.name] = rows
    return out


def hop_times(a) -> dict[Variant, float]:
    """Microseconds per hop in the Rust engine at 16 kHz, medians of interleaved rounds."""
    files = []
    for v in variants():
        model, about = load_network(folder(a.out, v, SEEDS[0]) / "last.pt")
        files.append(a.out / f"{v.hidden}-{v.ratio}.safetensors")
        export(model, about, files[-1], files[-1].with_suffix(".golden"))
    command = ["cargo", "run", "--release", "--quiet", "--no-default-features", "--example", "hops", "--", "16000"]
    printed = subprocess.run([*command, *map(str, files)], check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout
    return {v: json.loads(line)["microseconds"] for v, line in zip(variants(), printed.splitlines(), strict=True)}


def tables(results: dict, times: dict) -> str:
    lines = [
        "| | bottleneck weights | all weights | KiB | M MAC/s, bottleneck | all | µs per hop |",
        "|---|---|---|---|---|---|---|",
    ]
    base = variants()[0]
    reference = bottleneck(Dccrn(base.sizes))
    for v in variants():
        model, macs = Dccrn(v.sizes), count_macs(v.sizes)
        own, every = bottleneck(model), weights(model)
        change = "" if v == base else f" ({(own / reference - 1) * 100:+.0f} %)"
        lines.append(
            f"| {v.name} | {own:,}{change} | {every:,} | {every * 4 / 1024:.0f} | {macs['memory'] / 1e4:.1f} "
            f"| {macs['total'] / 1e4:.1f} | {times[v]:.1f} |"
        )
    for name, rows in results.items():
        count = next(iter(rows.values())).shape[1]
        lines += ["", f"**{name}** ({count} pairs): mean over seeds ± their standard deviation; in brackets each seed", ""]
        lines += ["| | " + " | ".join(METRICS) + " |", "|---" * (len(METRICS) + 1) + "|"]
        for v, values in rows.items():
            seeds = np.nanmean(values, 1)
            cells = []
            for k, metric in enumerate(METRICS):
                digits = 2 if "SDR" in metric else 3
                each = ", ".join(f"{s[k]:.{digits}f}" for s in seeds)
                cells.append(f"{seeds[:, k].mean():.{digits}f} ± {seeds[:, k].std(ddof=1):.{digits}f} ({each})")
            lines.append(f"| {v.name} | " + " | ".join(cells) + " |")
        lines += ["", f"Difference to {base.name} on the same pair, all seeds, with the 95 % interval of its mean over pairs:", ""]
        lines += ["| | " + " | ".join(METRICS) + " |", "|---" * (len(METRICS) + 1) + "|"]
        for v, values in rows.items():
            if v == base:
                continue
            difference = np.nanmean(values, 0) - np.nanmean(rows[base], 0)  # (pairs, metrics)
            half = 1.96 * difference.std(0, ddof=1) / math.sqrt(len(difference))
            cells = [
                f"{difference[:, k].mean():+.{2 if 'SDR' in m else 3}f} ± {half[k]:.{2 if 'SDR' in m else 3}f}"
                for k, m in enumerate(METRICS)
            ]
            lines.append(f"| {v.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


# ---- pictures -------------------------------------------------------------------------------------------------------


@torch.no_grad()
def hidden_states(checkpoint: Path, noisy: Path) -> np.ndarray:
    """The recurrence's states on a noisy recording, (frames, positions, hidden)."""
    model, _ = load_network(checkpoint)
    kept = []
    model.memory[0].gru.register_forward_hook(lambda _m, _in, out: kept.append(out[0].numpy()))
    x, rate = read(noisy)
    dsp.denoise(model, torch.from_numpy(resample(x, rate, 16000)).float()[None], 16000)
    return kept[0]


def similarity(states: np.ndarray) -> np.ndarray:
    """Cosine similarity of the hidden dimensions, each a vector over frames and positions."""
    flat = states.reshape(-1, states.shape[-1])
    flat = flat / np.maximum(np.linalg.norm(flat, axis=0), 1e-9)
    return flat.T @ flat


def draw_similarity(matrix: np.ndarray, path: Path) -> None:
    import matplotlib.pyplot as plt

    n = 12
    figure, axes = plt.subplots(figsize=(5.6, 4.8))
    image = axes.imshow(matrix[:n, :n], vmin=-1, vmax=1, cmap="RdBu_r")
    for i in range(n):
        for k in range(n):
            shade = "white" if abs(matrix[i, k]) > 0.6 else "black"
            axes.text(k, i, f"{matrix[i, k]:.2f}".replace("0.", "."), ha="center", va="center", fontsize=6.5, color=shade)
    axes.set(xticks=range(n), yticks=range(n), xlabel="hidden dimension", ylabel="hidden dimension")
    figure.colorbar(image, label="cosine similarity")
    save(figure, path)


def draw_states(states: np.ndarray, matrix: np.ndarray, path: Path) -> None:
    """The three most similar of the first dimensions and one that differs, over two seconds at one position."""
    import matplotlib.pyplot as plt

    n, position = 12, 1
    alike = np.abs(matrix[:n, :n]) - np.eye(n)
    i, k = np.unravel_index(alike.argmax(), alike.shape)
    third = max((c for c in range(n) if c not in (i, k)), key=lambda c: alike[i, c] + alike[k, c])
    odd = min((c for c in range(n) if c not in (i, k, third)), key=lambda c: alike[i, c])
    figure, axes = plt.subplots(4, 1, figsize=(7.5, 5.6), sharex=True, sharey=True, layout="constrained")
    t = np.arange(200) / 100
    for ax, c in zip(axes, (i, k, third, odd)):
        ax.plot(t, states[50:250, position, c], lw=1, color="#b5541c" if c == odd else "#1f6f8b")
        note = "" if c == i else f", similarity to {i}: {matrix[i, c]:+.2f}"
        ax.set_title(f"dimension {c}{note}", fontsize=8, loc="left")
        ax.set_ylim(-1.05, 1.05)
    axes[-1].set_xlabel("time, s")
    figure.supylabel("state", fontsize=9)
    save(figure, path)


def draw_cell(path: Path) -> None:
    """The schematic of the cell."""
    import matplotlib.pyplot as plt
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    figure, ax = plt.subplots(figsize=(8, 3.4))
    ax.set(xlim=(0, 80), ylim=(0, 34))
    ax.axis("off")

    def box(x, y, w, h, text, colour):
        ax.add_patch(FancyBboxPatch((x, y), w, h, boxstyle="round,pad=0.3,rounding_size=0.8", fc=colour, ec="#333", lw=1))
        ax.text(x + w / 2, y + h / 2, text, ha="center", va="center", fontsize=8.5)

    def arrow(points, text="", at=(0, 0)):
        for start, end in zip(points, points[1:-1]):
            ax.plot(*zip(start, end), color="#333", lw=1, solid_capstyle="round")
        ax.add_patch(FancyArrowPatch(points[-2], points[-1], arrowstyle="-|>", mutation_scale=9, color="#333", lw=1, shrinkA=0, shrinkB=0))
        ax.text(*at, text, fontsize=8, ha="center", va="center", color="#333")

    box(12, 12, 22, 9, "GRU gates r, z, n\nm intrinsic units", "#d7e8ef")
    box(44, 5, 14, 6, "tanh(G h + b)\nhidden - m ghosts", "#f4dcc9")
    box(66, 9, 10, 14, "state s\n\n[ h ; ghosts ]", "#e6e6e6")
    arrow([(3, 16.5), (11.6, 16.5)], "input x", (5.5, 18.3))
    arrow([(34.4, 19), (65.6, 19)], "h, m units", (49, 20.6))
    arrow([(39, 19), (39, 8), (43.6, 8)])
    arrow([(58.4, 8), (62, 8), (62, 13), (65.6, 13)])
    arrow([(71, 23.4), (71, 30), (23, 30), (23, 21.4)], "the whole previous state, ghosts too, feeds the gates", (47, 31.6))
    arrow([(76.4, 16), (79.5, 16)])
    save(figure, path)


def save(figure, path: Path) -> None:
    import matplotlib.pyplot as plt

    figure.savefig(path, dpi=110, bbox_inches="tight")
    plt.close(figure)


def report(a) -> None:
    import matplotlib

    matplotlib.use("Agg")
    text = tables(all_scores(a), hop_times(a))
    states = hidden_states(folder(a.out, variants()[0], SEEDS[0]) / "last.pt", pairs(a.sets[0])[0][0])
    matrix = similarity(states)
    text += "\n\nPairs of the trained GRU-128's hidden dimensions by the size of their cosine similarity:\n\n"
    text += "| | over 0.5 | over 0.8 | median |\n|---|---|---|---|"
    for name, shown in (("as they are", states), ("each without its mean", states - states.mean((0, 1)))):
        size = np.abs(similarity(shown)[~np.eye(states.shape[-1], dtype=bool)])
        text += f"\n| {name} | {np.mean(size > 0.5) * 100:.0f} % | {np.mean(size > 0.8) * 100:.0f} % | {np.median(size):.2f} |"
    draw_similarity(matrix, DOCS / "ghost-similarity.png")
    draw_states(states, matrix, DOCS / "ghost-states.png")
    draw_cell(DOCS / "ghost-cell.svg")
    replace_block(DOCS / "ghost-study.md", "results", text)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = p.add_subparsers(required=True)
    for name, run in (("train", train), ("report", report)):
        c = commands.add_parser(name)
        c.set_defaults(run=run)
        c.add_argument("--out", type=lambda s: Path(s).resolve(), required=True, help="folder of the runs")
        c.add_argument("--hours", type=float, default=2.0, help="audio hours per run")
        if name == "train":
            c.add_argument("--cache", type=lambda s: Path(s).resolve(), required=True, help="folder made by data.py")
            c.add_argument("--variants", nargs="+", help="only these, by name")
        else:
            c.add_argument("--sets", type=Path, nargs="+", required=True, metavar="SET")
            c.add_argument("--jobs", type=int, default=1)
    a = p.parse_args()
    a.run(a)


if __name__ == "__main__":
    main()
