"""Train Wisp's network.

    python train.py --cache CACHE --out runs/first --hours 150
    torchrun --nproc-per-node 2 train.py --cache CACHE --out runs/first --hours 150      (gloo on CPUs, NCCL on GPUs)

Resumes from OUT/last.pt when it is there. Writes OUT/log.jsonl, one object per line of progress. `hours` counts audio
seen by all processes. The learning rate warms up, then follows a cosine that ends at --hours.
"""

import argparse
import copy
import json
import math
import os
import signal
import time
from dataclasses import fields, replace

import numpy as np
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

import dsp
from data import Batches, Cache, Mixer, Recipe
from export import Folded, calibrate, grow, load_checkpoint, unfold
from loss import Loss
from model import Dccrn, Sizes


def parse() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cache", required=True, help="folder made by data.py")
    p.add_argument("--out", required=True)
    p.add_argument("--hours", type=float, default=150, help="audio hours in all")
    p.add_argument("--batch", type=int, default=16, help="items per process and step")
    p.add_argument("--seconds", type=float, default=3.0)
    p.add_argument("--full-band", type=float, default=0.3, help="share of 48 kHz items")
    p.add_argument("--optimizer", choices=["soap", "adamw"], default="soap")
    p.add_argument("--lr", type=float, default=2e-3)
    p.add_argument("--warmup", type=int, default=200, help="steps")
    p.add_argument("--weight-decay", type=float, default=1e-3)
    p.add_argument("--clip", type=float, default=3.0, help="gradient norm")
    p.add_argument("--ema", type=float, default=0.998)
    sizes = p.add_argument_group("sizes", "those of --init; without it as said here")
    sizes.add_argument("--ratio", type=int, help=f"1 trains a plain GRU (default {Sizes.ratio})")
    sizes.add_argument("--hidden", type=int, help=f"units over time (default {Sizes.hidden})")
    sizes.add_argument("--channels", type=int, nargs="+", help=f"after each encoder layer (default {Sizes.channels})")
    sizes.add_argument("--mix-hidden", type=int, help=f"units per direction across frequency (default {Sizes.mix_hidden})")
    sizes.add_argument("--blocks", type=int, help=f"dual-path blocks; --init may have fewer (default {Sizes.blocks})")
    low = f"units of the lowest bins' own memory; --init may have none (default {Sizes.low_hidden})"
    sizes.add_argument("--low-hidden", type=int, help=low)
    sizes.add_argument("--taps", type=int, help=f"frames in the complex filter; --init may have fewer (default {Sizes.taps})")
    p.add_argument("--pesq", type=float, default=0.0, help="weight of the PESQ term; 0 leaves it out")
    p.add_argument("--stoi", type=float, default=0.0, help="weight of the STOI term; 0 leaves it out")
    p.add_argument("--long", type=float, default=0.5, help="share of the low band's terms that is taken over 64 ms")
    p.add_argument("--cut", type=float, default=0.3, help="weight of speech that is taken away")
    p.add_argument("--sdr", type=float, default=0.04, help="weight of the distortion ratio, per dB")
    p.add_argument("--init", help="start from this checkpoint's or weights' file's weights (a new run, not a resumed one)")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--workers", type=int, default=1, help="data processes per training process")
    p.add_argument("--bf16", action="store_true", help="autocast the convolutions")
    p.add_argument("--every", type=int, default=100, help="steps between lines of progress")
    p.add_argument("--valid", type=int, default=1000, help="steps between looks at the held-back voices")
    p.add_argument("--minutes", type=float, help="stop (resumable) after this long")
    return p.parse_args()


def rate(step: int, hours: float, a) -> float:
    warm = min(1.0, (step + 1) / a.warmup)
    return a.lr * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(hours / a.hours, 1.0))))


def optimizer(model: Dccrn, a) -> torch.optim.Optimizer:
    """SOAP (Vyas et al. 2024, arXiv 2409.11321): Adam in the eigenbasis of Shampoo's preconditioner."""
    if a.optimizer == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=a.lr, betas=(0.9, 0.98), weight_decay=a.weight_decay)
    from pytorch_optimizer import SOAP

    return SOAP(model.parameters(), lr=a.lr, betas=(0.95, 0.95), weight_decay=a.weight_decay, precondition_frequency=10)


def start(a) -> tuple[Dccrn, dict]:
    """The network as --init or chance has it, and the hours and steps that it has seen."""
    names = [field.name for field in fields(Sizes)]
    asked = {name: value for name, value in vars(a).items() if name in names and value is not None}
    if "channels" in asked:
        asked["channels"] = tuple(asked["channels"])
    if not a.init:
        return Dccrn(Sizes(**asked)), dict(hours=0.0, step=0)
    if a.init.endswith(".safetensors"):
        folded = Folded(a.init, torch.float32)
        model, about = unfold(folded.w, folded.sizes), {k: folded.about[k] for k in ("hours", "step")}
        mixer = Mixer(Cache(a.cache, "train"), Recipe(seconds=a.seconds))
        rng = np.random.default_rng(0)
        noisy = torch.from_numpy(np.stack([mixer.item(rng, True)["noisy"] for _ in range(8)]))
        calibrate(model, *dsp.features(dsp.stft(noisy, 48000)))
    else:
        model, about = load_checkpoint(a.init)
    try:
        return grow(model, replace(model.sizes, **asked)), about
    except ValueError as error:
        raise SystemExit(f"{a.init}: {error}") from error


def to(batch: dict, device) -> dict:
    return {k: v.to(device, non_blocking=True) for k, v in batch.items()}


def save(path: str, state: dict) -> None:
    torch.save(state, path + ".part")
    os.replace(path + ".part", path)


@torch.no_grad()
def validate(model, a, loss, device, recipe) -> dict:
    """Mean loss and low-band distortion ratio over the same 8 batches each time."""
    model.eval()
    data = iter(Batches(a.cache, "valid", recipe, a.batch, seed=999))
    rows = []
    for _ in range(8):
        total, parts = loss(model, to(next(data), device))
        rows.append(dict(loss=float(total), **parts))
    return {f"valid_{k}": round(sum(r.get(k, 0) for r in rows) / len(rows), 4) for k in rows[0]}


def main() -> None:
    a = parse()
    os.makedirs(a.out, exist_ok=True)
    many = int(os.environ.get("WORLD_SIZE", 1)) > 1
    cuda = torch.cuda.is_available()
    if many:
        dist.init_process_group("nccl" if cuda else "gloo")
    rank, world = (dist.get_rank(), dist.get_world_size()) if many else (0, 1)
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    elif many or "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)  # thousands of small products: threads only wait for each other
    torch.manual_seed(a.seed)

    recipe = Recipe(seconds=a.seconds, full_band=round(a.full_band * a.batch))
    model, before = start(a)
    model.to(device)
    opt = optimizer(model, a)
    step, hours = 0, 0.0
    last = f"{a.out}/last.pt"
    ema = copy.deepcopy(model).eval()
    if os.path.exists(last):
        c = torch.load(last, map_location=device)
        used = c["args"].get("optimizer", "adamw")
        if used != a.optimizer:
            raise SystemExit(f"{last}: trained with --optimizer {used}, expected {a.optimizer}")
        model.load_state_dict(c["model"])
        ema.load_state_dict(c["ema"])
        opt.load_state_dict(c["opt"])
        step, hours, before = c["step"], c["hours"], c.get("before", before)
    loss = Loss(cut=a.cut, sdr=a.sdr, pesq=a.pesq, stoi=a.stoi, long=a.long)
    net = DistributedDataParallel(model, broadcast_buffers=False) if many else model
    batches = Batches(a.cache, "train", recipe, a.batch, a.seed, rank, step)
    loader = torch.utils.data.DataLoader(batches, batch_size=None, num_workers=a.workers, prefetch_factor=4 if a.workers else None)

    def state() -> dict:
        return dict(
            model=model.state_dict(), ema=ema.state_dict(), opt=opt.state_dict(), step=step, hours=hours, before=before,
            sizes=model.sizes.json(), args=vars(a),
        )  # fmt: skip

    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    begin, since, smooth = time.time(), time.time(), None
    hours0 = hours
    model.train()
    for batch in loader:
        lr = rate(step, hours, a)
        for group in opt.param_groups:
            group["lr"] = lr
        with torch.autocast(device.type, torch.bfloat16, enabled=a.bf16):
            total, parts = loss(net, to(batch, device))
        opt.zero_grad(set_to_none=True)
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), a.clip)
        if torch.isfinite(norm):
            opt.step()
        else:
            print(f"step {step}: gradient not finite, step left out", flush=True)
        with torch.no_grad():
            decay = min(a.ema, (step + 1) / (step + 10))
            for e, m in zip(ema.state_dict().values(), model.state_dict().values()):
                if e.dtype.is_floating_point:
                    e.lerp_(m, 1 - decay)
                else:
                    e.copy_(m)
        step += 1
        hours += a.batch * world * a.seconds / 3600
        value = float(total.detach())
        smooth = value if smooth is None else smooth + (value - smooth) * max(0.01, 1 / (step + 1))
        done = torch.tensor(
            float(hours >= a.hours or bool(stop) or (a.minutes is not None and time.time() - begin > 60 * a.minutes))
        )
        if many:
            dist.all_reduce(done, dist.ReduceOp.MAX)
        look = step % a.valid == 0 or bool(done)
        if rank == 0 and (step % a.every == 0 or look):
            now = time.time()
            line = dict(
                step=step, hours=round(hours, 3), loss=round(smooth, 4), lr=round(lr, 6), norm=round(float(norm), 3),
                x_real_time=round((hours - hours0) * 3600 / (now - since), 1), **{k: round(v, 5) for k, v in parts.items()},
            )  # fmt: skip
            hours0, since = hours, now
            if look:
                line |= validate(ema, a, loss, device, recipe)
            print("  ".join(f"{k} {v}" for k, v in line.items()), flush=True)
            with open(f"{a.out}/log.jsonl", "a") as f:
                f.write(json.dumps(line) + "\n")
            save(last, state())
        if done:
            break
    if many:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
