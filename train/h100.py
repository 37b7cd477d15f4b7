"""Trains in fifteen minutes on an H100: packs the data, checks the machine, times it, trains for a set time.

    python h100.py pack ../recordings/manifest.csv --out PACK --megabytes 50 54 54     at home; one part per transfer
    python h100.py check --out CHECKED                                              there, first: kernels, graph, times
    python h100.py decode PACK/0 CACHE0                                             there, for each part
    python h100.py banks BANKS.npz                                                  there, meanwhile
    python h100.py train CACHE0 CACHE1 --out OUT --minutes 8.5 [-- --batch 64 ...]  there
    python h100.py unite OUT/last-weights.pt OUT/last-optimizer.pt last.pt          at home, afterwards

The other machine needs PyTorch with CUDA and Triton, and wheels for any other missing requirement. `check` writes
CHECKED/check.json; `train --checked CHECKED` reads from it whether to use CUDA graphs.
"""

import argparse
import csv
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SIZES = ["--blocks", "3", "--taps", "6", "--low-hidden", "96", "--full-hidden", "256", "--heads", "2"]
RECIPE = ["--pesq", "0.3", "--stoi", "4", "--sdr", "0.04", "--cut", "0.1", "--envelope", "0.7", "--level", "0.1"]
LEAST_MOS = 2.88  # speech below this is not worth the space


def pack(a) -> None:
    """Copies the best recordings into folders of the given sizes, each with its own manifest; seeded, so that the same
    manifest gives the same parts."""
    source = a.manifest.parent
    with open(a.manifest, newline="") as f:
        rows = list(csv.DictReader(f))
    rng = random.Random(1)
    size = lambda row: (source / row["path"]).stat().st_size  # noqa: E731

    def wanted(row: dict) -> bool:
        if row.get("split") == "valid":
            return row["kind"] == "rir" or rng.random() < 0.35
        return row["kind"] != "speech" or not row.get("mos") or float(row["mos"]) >= LEAST_MOS

    chosen = [row for row in rows if wanted(row)]
    rng.shuffle(chosen)
    # The rarest kind first; then full-band voices; then by quality.
    chosen.sort(key=lambda r: (r.get("split") != "valid" and r["kind"] == "speech", float(r.get("bandwidth_hz") or 0) < 9000, -float(r.get("mos") or 0)))
    room = [m * 2**20 for m in a.megabytes]
    parts: list[list[dict]] = [[] for _ in room]
    left_out = 0
    for row in chosen:
        fits = next((k for k, r in enumerate(room) if r >= size(row)), None)
        if fits is None:
            left_out += 1
            continue
        parts[fits].append(row)
        room[fits] -= size(row)
    for k, part in enumerate(parts):
        folder = a.out / str(k)
        folder.mkdir(parents=True)
        with open(folder / "manifest.csv", "w", newline="") as f:
            out = csv.DictWriter(f, list(rows[0]))
            out.writeheader()
            for i, row in enumerate(part):
                name = f"{i}{Path(row['path']).suffix}"
                shutil.copy(source / row["path"], folder / name)
                out.writerow(row | dict(path=name))
        hours = {kind: sum(float(r.get("seconds") or 0) for r in part if r["kind"] == kind) / 3600 for kind in ("speech", "noise", "rir")}
        print(folder, f"{len(part)} files", "  ".join(f"{kind} {h:.2f} h" for kind, h in hours.items()))
    print(f"left out: {len(rows) - len(chosen)} by choice, {left_out} for lack of space")


def decode(a) -> None:
    from data import list_manifest, prepare

    prepare(list_manifest(str(a.part / "manifest.csv")), str(a.cache), os.cpu_count() or 1)


def banks(a) -> None:
    import mix

    mix.save_banks(str(a.file), mix.make_banks(os.cpu_count() or 1))


def join(caches: list[Path], out: Path) -> None:
    """Several caches of data.py as one, by appending."""
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.i16"):
        old.unlink()
    index, end = [], {}
    for cache in caches:
        for item in json.loads((cache / "index.json").read_text()):
            item["at"] = {r: (first + end.get(r, 0), n) for r, (first, n) in item["at"].items()}
            index.append(item)
        for samples in cache.glob("*.i16"):
            with open(samples, "rb") as source, open(out / samples.name, "ab") as target:
                shutil.copyfileobj(source, target, 1 << 24)
            end[samples.stem] = end.get(samples.stem, 0) + samples.stat().st_size // 2
    (out / "index.json").write_text(json.dumps(index))


def split(checkpoint: Path) -> None:
    """NAME.pt as NAME-weights.pt and NAME-optimizer.pt, for transfers that take small files only."""
    import torch

    state = torch.load(checkpoint, map_location="cpu")
    optimizer = state.pop("opt")
    torch.save(state, checkpoint.with_name(f"{checkpoint.stem}-weights.pt"))
    torch.save(optimizer, checkpoint.with_name(f"{checkpoint.stem}-optimizer.pt"))


def unite(weights: Path, optimizer: Path, checkpoint: Path) -> None:
    """Undoes `split`."""
    import torch

    state = torch.load(weights, map_location="cpu")
    torch.save(state | {"opt": torch.load(optimizer, map_location="cpu")}, checkpoint)


# ---- check ----------------------------------------------------------------------------------------------------------


def check_scan() -> float:
    """Largest relative error of the scans against the equations in float64, including TF32 products; and the time of the wide one."""
    import torch

    import scan
    from model import GhostGru

    worst = 0.0
    for inputs, hidden, ratio, shape, along, reverse in [
        (48, 64, 2, (4, 40, 24), "time", False),
        (48, 16, 1, (4, 40, 24), "frequency", True),
        (192, 96, 2, (20, 40, 1), "time", False),
        (240, 256, 2, (20, 40, 1), "time", False),
    ]:
        torch.manual_seed(0)
        error = scan.worst_error(inputs, hidden, ratio, shape, along, reverse, "cuda")
        print("scan", hidden, along, "worst relative error", f"{error:.1e}", flush=True)
        worst = max(worst, error)
    gru = GhostGru(240, 256, 2).cuda()
    x = torch.randn(32, 300, 1, 240, device="cuda", requires_grad=True)
    for k in range(13):
        if k == 3:  # compiled and warm
            torch.cuda.synchronize()
            since = time.time()
        gru(x, "time").sum().backward()
    torch.cuda.synchronize()
    print(f"scan 256, 32 x 300 frames, there and back: {(time.time() - since) * 100:.2f} ms", flush=True)
    return worst


def random_batch(batch: int, full: int, seconds: float, device: str):
    import torch

    torch.manual_seed(1)
    out = dict(bandwidth=torch.full((batch,), 8000.0), reference=torch.full((batch,), 0.1))
    for rate, count in ((48, full), (16, batch - full)):
        n = int(seconds * rate * 1000)
        pulse = torch.sin(torch.arange(n) * (2 * 3.14159 * 150 / rate / 1000))
        clean = 0.2 * pulse.sign() * (torch.sin(torch.arange(n) * (6.28 * 2 / rate / 1000)) > 0)
        out[f"clean{rate}"] = clean.expand(count, n) * torch.rand(count, 1)
        out[f"noisy{rate}"] = out[f"clean{rate}"] + 0.05 * torch.randn(count, n)
    return {k: v.to(device) for k, v in out.items()}


def arguments(*more: str):
    sys.argv = ["train.py", "--cache", "-", "--out", "-", *SIZES, *RECIPE, *more]
    import train

    return train.parse()


def step_of(batch: int, graph: bool):
    """A complete training step, from random weights."""
    import copy

    import torch

    import train

    a = arguments("--batch", str(batch))
    torch.manual_seed(0)
    model = train.start(a)[0].cuda().train()
    ema, opt = copy.deepcopy(model).eval(), train.optimizer(model, a)
    return train.Step(model, model, ema, opt, train.criterion(a).to("cuda"), a, graph)


def check_step(batch: int, seconds: float, graph: bool, steps: int = 30) -> dict:
    """Milliseconds for a step and for an update of the eigenbases; loss after a few steps."""
    import torch

    step = step_of(batch, graph)
    data = random_batch(batch, batch // 4, seconds, "cuda")
    first = None
    t = time.time()
    for k in range(16):
        total, _, _ = step(data, k, 1e-3)
        if first is None:
            first = float(total)
    torch.cuda.synchronize()
    made = time.time() - t
    t = time.time()
    for k in range(1, steps):
        total, _, _ = step(data, 10000000 + 10 * k, 1e-3)  # never a multiple of ten: no updates
    torch.cuda.synchronize()
    took = (time.time() - t) / (steps - 1) * 1000
    t = time.time()
    step.opt.refresh(step.opt.every)
    torch.cuda.synchronize()
    turn = (time.time() - t) * 1000
    out = dict(
        batch=batch, seconds=seconds, graph=step.graph is not None, ms=round(took, 2), turn_ms=round(turn, 1), start_s=round(made, 1),
        first=round(first, 4), last=round(float(total), 4), gigabytes=round(torch.cuda.max_memory_allocated() / 2**30, 1),
    )  # fmt: skip
    print(out, flush=True)
    return out


def profile(batch: int) -> None:
    """The kernels that take most of a step's time."""
    import torch

    step = step_of(batch, False)
    data = random_batch(batch, batch // 4, 3.0, "cuda")
    for k in range(3):
        step(data, k, 1e-3)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA, torch.profiler.ProfilerActivity.CPU]) as recorded:
        step(data, 3, 1e-3)
        torch.cuda.synchronize()
    kernels: dict = {}
    for event in recorded.events():
        if event.device_type == torch.autograd.DeviceType.CUDA:
            row = kernels.setdefault(event.name, [0, 0.0])
            row[0] += 1
            row[1] += event.device_time
    print(f"{sum(t for _, t in kernels.values()) / 1000:.1f} ms in {sum(n for n, _ in kernels.values())} kernels")
    for name, (n, t) in sorted(kernels.items(), key=lambda kv: -kv[1][1])[:45]:
        print(f"{t / 1000:8.2f} ms {n:5d}  {name[:150]}", flush=True)


def check_golden() -> float:
    """The first loss and gradient of four items, GPU against CPU: the relative difference of the gradient."""
    import torch

    import train
    from loss import Loss

    torch.manual_seed(0)
    model = train.start(arguments())[0].train()
    rows = []
    for device in ("cpu", "cuda"):
        net = model.to(device)
        net.zero_grad(set_to_none=True)
        total, _ = Loss(sdr=0.04, envelope=0.7, level=0.1).to(device)(net, random_batch(4, 1, 1.0, device))
        total.backward()
        rows.append((float(total), torch.cat([p.grad.flatten().cpu() for p in net.parameters() if p.numel()])))
    (a, ga), (b, gb) = rows
    error = float((ga - gb).norm() / ga.norm())
    print(f"golden step: loss {a:.5f} on the CPU, {b:.5f} on the GPU; gradients differ by {error:.1e}", flush=True)
    return error


def check(a) -> None:
    os.environ.setdefault("WISP_NO_CPP", "1")
    import torch

    a.out.mkdir(parents=True, exist_ok=True)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    print(torch.__version__, torch.cuda.get_device_name(0), os.cpu_count(), "cores", flush=True)
    result: dict = dict(graph=True, batch=32)
    result["scan"] = check_scan()
    result["golden"] = check_golden()
    result["steps"] = []
    try:
        for batch, seconds in ((32, 3.0), (64, 3.0), (12, 8.0)):
            result["steps"].append(check_step(batch, seconds, True))
    except RuntimeError as error:
        print("no graph:", str(error)[:2000], flush=True)
        result["graph"] = False
    profile(32)
    (a.out / "check.json").write_text(json.dumps(result, indent=1))


def train(a, more: list[str]) -> None:
    checked = json.loads((a.checked / "check.json").read_text()) if a.checked else dict(graph=True)
    cache = a.out.parent / "cache-joined"
    join(a.caches, cache)
    if a.banks:
        os.replace(a.banks, cache / "banks.npz")
    plain = ["--cache", str(cache), "--out", str(a.out), *SIZES, *RECIPE]
    plain += ["--clock", str(a.minutes), "--lr", "1.2e-3", "--warmup", "300", "--ema", "0.999", "--turn-every", "20"]
    plain += ["--valid", "2000", "--every", "200", "--long-every", "10", "--batch", "24"]
    plain += [] if checked["graph"] else ["--no-graph"]
    env = os.environ | {"WISP_NO_CPP": "1"}
    status = subprocess.run([sys.executable, str(HERE / "train.py"), *plain, *more], env=env).returncode
    for name in ("last", "flat"):
        if (a.out / f"{name}.pt").exists():
            split(a.out / f"{name}.pt")
    raise SystemExit(status)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = p.add_subparsers(dest="what", required=True)
    q = sub.add_parser("pack")
    q.add_argument("manifest", type=Path)
    q.add_argument("--out", type=Path, required=True)
    q.add_argument("--megabytes", type=float, nargs="+", default=[50, 54, 54])
    q = sub.add_parser("check")
    q.add_argument("--out", type=Path, required=True)
    q = sub.add_parser("decode")
    q.add_argument("part", type=Path)
    q.add_argument("cache", type=Path)
    q = sub.add_parser("banks")
    q.add_argument("file", type=Path)
    q = sub.add_parser("train")
    q.add_argument("caches", type=Path, nargs="+")
    q.add_argument("--out", type=Path, required=True)
    q.add_argument("--minutes", type=float, required=True)
    q.add_argument("--banks", type=Path, help="file that banks wrote")
    q.add_argument("--checked", type=Path, help="folder that check wrote to")
    q = sub.add_parser("unite")
    for name in ("weights", "optimizer", "checkpoint"):
        q.add_argument(name, type=Path)
    mine, more = sys.argv[1:], []
    if "--" in mine:
        at = mine.index("--")
        mine, more = mine[:at], mine[at + 1 :]
    a = p.parse_args(mine)
    {
        "pack": pack, "check": check, "decode": decode, "banks": banks, "train": lambda a: train(a, more),
        "unite": lambda a: unite(a.weights, a.optimizer, a.checkpoint),
    }[a.what](a)  # fmt: skip


if __name__ == "__main__":
    main()
