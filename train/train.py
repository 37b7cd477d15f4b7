"""Train Wisp's network.

    python train.py --cache CACHE --out runs/first --hours 150
    torchrun --nproc-per-node 2 train.py --cache CACHE --out runs/first --hours 150      (gloo on CPUs, NCCL on GPUs)

Resumes from OUT/last.pt if it exists. Writes OUT/log.jsonl, one object per progress line. `hours` counts the audio
processed by all processes. The learning rate warms up, then follows a cosine that ends at --hours.

    python train.py --cache CACHE --out runs/first --clock 9 --batch 32

trains for a time instead: the rate stays constant and falls over the last quarter of --clock minutes. A GPU mixes its own batches
(mix.py), runs the recurrences as Triton kernels (scan.py) and each step as one CUDA graph.
"""

import argparse
import copy
import ctypes
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
from checkpoint import load, load_network
from data import Batches, Cache, Mixer, Recipe
from loss import Loss
from model import Dccrn, Sizes, grow, grown
from soap import Soap
from weights import Folded, calibrate, unfold


def parse() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cache", required=True, help="folder made by data.py")
    p.add_argument("--out", required=True)
    p.add_argument("--hours", type=float, default=150, help="audio hours in all")
    p.add_argument("--batch", type=int, default=16, help="items per process and step")
    p.add_argument("--seconds", type=float, default=3.0)
    p.add_argument("--long-every", type=int, default=0, help="use items of --long-seconds every N steps (GPU only); 0: never")
    p.add_argument("--long-seconds", type=float, default=8.0)
    p.add_argument("--full-band", type=float, default=0.3, help="share of items at 48 kHz")
    p.add_argument("--optimizer", choices=["soap", "adamw"], default="soap")
    p.add_argument("--turn-every", type=int, default=10, help="steps between updates of SOAP's eigenbases")
    p.add_argument("--lr", type=float, default=2e-3)
    p.add_argument("--warmup", type=int, default=200, help="steps")
    p.add_argument("--weight-decay", type=float, default=1e-3)
    p.add_argument("--clip", type=float, default=3.0, help="gradient norm")
    p.add_argument("--freeze-norms", action="store_true", help="batch norms keep their statistics, to continue trained weights")
    p.add_argument("--ema", type=float, default=0.998)
    sizes = p.add_argument_group("sizes", "from --init, otherwise the defaults below")
    sizes.add_argument("--ratio", type=int, help=f"1 trains a plain GRU (default {Sizes.ratio})")
    sizes.add_argument("--hidden", type=int, help=f"units over time (default {Sizes.hidden})")
    sizes.add_argument("--channels", type=int, nargs="+", help=f"after each encoder layer (default {Sizes.channels})")
    sizes.add_argument("--mix-hidden", type=int, help=f"units per direction across frequency (default {Sizes.mix_hidden})")
    sizes.add_argument("--blocks", type=int, help=f"dual-path blocks; --init may have fewer (default {Sizes.blocks})")
    low = f"units of the memory for the lowest bins; --init may have none (default {Sizes.low_hidden})"
    sizes.add_argument("--low-hidden", type=int, help=low)
    sizes.add_argument("--full-hidden", type=int, help=f"units of the full-band memory; --init may have fewer (default {Sizes.full_hidden})")
    sizes.add_argument("--heads", type=int, help=f"2 also filters the previous frame, one hop later (default {Sizes.heads})")
    sizes.add_argument("--taps", type=int, help=f"frames in the complex filter; --init may have fewer (default {Sizes.taps})")
    ahead = f"frames of look-ahead past the filtered one; --init may have fewer (default {Sizes.look_ahead})"
    sizes.add_argument("--look-ahead", type=int, help=ahead)
    sizes.add_argument("--taps-ahead", type=int, help=f"of --taps, those for later frames (default {Sizes.taps_ahead})")
    p.add_argument("--pesq", type=float, default=0.0, help="weight of the PESQ term; 0 leaves it out")
    p.add_argument("--stoi", type=float, default=0.0, help="weight of the STOI term; 0 leaves it out")
    p.add_argument("--long", type=float, default=0.5, help="share of the low band's terms computed over 64 ms")
    p.add_argument("--cut", type=float, default=0.3, help="weight of removed speech")
    p.add_argument("--sdr", type=float, default=0.04, help="weight of the distortion ratio, per dB")
    p.add_argument("--envelope", type=float, default=0.7, help="weight of the log envelope's differences; 0 leaves it out")
    p.add_argument("--level", type=float, default=0.1, help="weight of the log envelope itself; 0 leaves it out")
    p.add_argument("--residue", type=float, default=0.0, help="weight of the noise left where it dominates during speech; 0 leaves it out")
    every = "compute the PESQ and STOI terms every N steps, with N times the weight (CPU only)"
    p.add_argument("--perceptual-every", type=int, default=1, help=every)
    p.add_argument("--taught", metavar="DIR", help="folder made by teacher.py: spectra and envelope follow another denoiser's output (CPU only)")
    p.add_argument("--taught-share", type=float, default=0.65, help="of the items")
    p.add_argument("--resume", metavar="FILE", help="continue from this checkpoint, full or small (checkpoint.py), unless OUT/last.pt exists")
    p.add_argument("--init", help="start a new run from the weights in this checkpoint or weights file")
    grown_rate = "factor on the learning rate of weights that --init lacks, within parameters that it has"
    p.add_argument("--grown-rate", type=float, default=1.0, help=grown_rate)
    alone = "train the gains above 8 kHz alone; what the network does below stays as it is, to the bit"
    p.add_argument("--high-alone", action="store_true", help=alone)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--workers", type=int, default=1, help="data processes per training process")
    p.add_argument("--bf16", nargs="?", choices=["auto", "on", "off"], const="on", default="auto", help="autocast the convolutions; "
                   "auto: on CPUs with AMX, never on a GPU")  # fmt: skip
    p.add_argument("--every", type=int, default=100, help="steps between progress lines")
    p.add_argument("--valid", type=int, default=1000, help="steps between validations on held-back voices")
    p.add_argument("--minutes", type=float, help="stop after this many minutes (resumable)")
    p.add_argument("--clock", type=float, help="end after this many minutes instead of --hours; the rate falls over the last quarter")
    p.add_argument("--pool", type=int, default=12, help="batches that a GPU mixes at once")
    p.add_argument("--no-graph", action="store_true", help="launch a GPU's kernels one by one")
    a = p.parse_args()
    if a.every % a.perceptual_every or a.valid % a.perceptual_every:
        p.error("--every and --valid must be multiples of --perceptual-every")
    return a


def has_amx(cpuinfo: str = "/proc/cpuinfo") -> bool:
    """Whether the processor has bfloat16 matrix units. With only avx512_bf16, steps take longer than in float32."""
    try:
        with open(cpuinfo) as f:
            return "amx_bf16" in next((line.split() for line in f if line.startswith("flags")), [])
    except OSError:  # not Linux
        return False


def keep_memory() -> None:
    """Makes glibc keep freed memory: otherwise every step requests its larger tensors from the system again, page by page."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # another C library
        return
    mallopt(-4, 0)  # M_MMAP_MAX
    mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD


def choose_bf16(asked: str, cuda: bool) -> tuple[bool, str]:
    """Whether to autocast, and why."""
    if asked != "auto":
        return asked == "on", f"--bf16 {asked}"
    if cuda:
        return False, "a GPU: TF32"
    return (True, "the processor has amx_bf16") if has_amx() else (False, "the processor has no amx_bf16")


def rate(step: int, done: float, a) -> float:
    """`done`: share of the run, 0 to 1."""
    warm = min(1.0, (step + 1) / a.warmup)
    if a.clock:
        return a.lr * warm * max(0.0, min(1.0, (1 - done) / 0.25))
    return a.lr * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


def optimizer(model: Dccrn, a) -> torch.optim.Optimizer:
    parameters = [p for p in model.parameters() if p.numel() and p.requires_grad]
    if a.optimizer == "adamw":
        lr, capturable = torch.tensor(a.lr, device=parameters[0].device), parameters[0].is_cuda
        return torch.optim.AdamW(parameters, lr=lr, betas=(0.9, 0.98), weight_decay=a.weight_decay, capturable=capturable)
    return Soap(parameters, lr=a.lr, weight_decay=a.weight_decay, every=a.turn_every)


def criterion(a) -> Loss:
    loss = Loss(cut=a.cut, sdr=a.sdr, pesq=a.pesq, stoi=a.stoi, long=a.long, envelope=a.envelope, level=a.level, residue=a.residue)
    loss.high_alone = a.high_alone
    return loss


def high_gains(model: Dccrn) -> dict[torch.nn.Parameter, torch.Tensor]:
    """The parameters that only gains above 8 kHz depend on, and where each of them does: 1, or 0 for gains below."""
    found = {p: torch.ones_like(p) for p in model.high_out.parameters()}
    if model.full_memory:
        for p in model.full_memory.gains.parameters():
            where = torch.ones_like(p)
            where.view(model.sizes.heads, dsp.LOW_BANDS + dsp.HIGH_BANDS, -1)[:, : dsp.LOW_BANDS] = 0
            found[p] = where
    return found


def asked_sizes(a) -> dict:
    names = [field.name for field in fields(Sizes)]
    asked = {name: value for name, value in vars(a).items() if name in names and value is not None}
    if "channels" in asked:
        asked["channels"] = tuple(asked["channels"])
    return asked


def going_on(a, source: str, checkpoint: dict) -> tuple[Dccrn, dict]:
    """A network with the checkpoint's sizes, and the hours and steps before its run."""
    sizes = Sizes.read(checkpoint["sizes"])
    if replace(sizes, **asked_sizes(a)) != sizes:
        raise SystemExit(f"{source}: {sizes}; a resumed run keeps its sizes")
    return Dccrn(sizes), checkpoint.get("before", dict(hours=0.0, step=0))


def start(a) -> tuple[Dccrn, dict]:
    """The network from --init or random weights, and its hours and steps so far."""
    asked = asked_sizes(a)
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
        model, about = load_network(a.init)
    try:
        return grow(model, replace(model.sizes, **asked)), about
    except ValueError as error:
        raise SystemExit(f"{a.init}: {error}") from error


def to(batch: dict, device) -> dict:
    return {k: v.to(device, non_blocking=True) for k, v in batch.items()}


def faster(model: Dccrn, a) -> list[tuple[torch.nn.Parameter, torch.Tensor]]:
    """Parameters of which a part learns faster, and by how many times its step is to be lengthened."""
    if getattr(a, "grown_rate", 1.0) == 1.0:
        return []
    if not a.init:
        raise SystemExit("--grown-rate needs --init: the weights that have grown are those that its file does not have")
    own = Folded(a.init).sizes if a.init.endswith(".safetensors") else load_network(a.init)[0].sizes
    parameters = dict(model.named_parameters())
    return [(parameters[k], (a.grown_rate - 1) * mask.to(parameters[k].device)) for k, mask in grown(own, model.sizes).items()]


class Step:
    """A step of training on batches of one shape; on a GPU a CUDA graph of it, after the first few steps."""

    EAGER = 12  # steps before the graph is made: every kernel has been compiled, every eigenbasis started

    def __init__(self, net, model: Dccrn, ema: Dccrn, opt, loss: Loss, a, graph: bool, bf16: bool = False):
        self.net, self.opt, self.loss, self.a, self.bf16 = net, opt, loss, a, bf16
        self.parameters = [p for p in model.parameters() if p.numel() and p.requires_grad]
        self.faster = faster(model, a)
        alone = high_gains(model) if getattr(a, "high_alone", False) else {}
        self.kept = [(p, where > 0, p.detach().clone()) for p, where in alone.items()]
        floating = [(e, m) for e, m in zip(ema.state_dict().values(), model.state_dict().values()) if e.is_floating_point()]
        self.averages, self.sources = zip(*floating)
        self.graph, self.wanted, self.taken = None, graph, 0
        self.rate = opt.rate if isinstance(opt, Soap) else opt.param_groups[0]["lr"]
        self.left_out = torch.zeros((), device=self.parameters[0].device)  # steps whose gradient was not finite
        if graph and torch.cuda.current_stream() == torch.cuda.default_stream():
            torch.cuda.set_stream(torch.cuda.Stream())  # no graph can be made on the default one

    def _body(self, batch: dict, decay: float):
        device = self.parameters[0].device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.bf16):
            total, parts = self.loss(self.net, batch)
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.a.clip)
        # A gradient that is not finite changes nothing. No branch, because a graph cannot have one.
        finite = torch.isfinite(norm)
        for p in self.parameters:
            p.grad.copy_(torch.where(finite, p.grad, 0.0))
        self.rate.mul_(finite)
        self.left_out += ~finite
        before = [p.detach().clone() for p, _ in self.faster]
        self.opt.step()
        with torch.no_grad():
            for (p, more), old in zip(self.faster, before):
                p.addcmul_(p - old, more)
            for p, where, old in self.kept:
                p.copy_(torch.where(where, p, old))
            torch._foreach_lerp_(self.averages, self.sources, 1 - decay)
        return total.detach(), parts, norm.detach()

    def __call__(self, batch: dict, step: int, lr: float):
        """-> loss, its parts and the gradient's norm before it was clipped: tensors, overwritten by the next call."""
        self.rate.fill_(lr)
        if self.graph:
            for name, x in batch.items():
                self.batch[name].copy_(x)
            self.graph.replay()
        else:
            self.opt.zero_grad(set_to_none=True)
            every = getattr(self.a, "perceptual_every", 1)
            self.loss.perceptual = 0 if (step + 1) % every else every
            self.result = self._body(batch, min(self.a.ema, (step + 1) / (step + 10)))
            self.taken += 1
            if self.wanted and self.taken >= self.EAGER and step >= self.EAGER:
                self._capture(batch)
        if isinstance(self.opt, Soap):
            self.opt.refresh(step + 1)
        return self.result

    def _capture(self, batch: dict) -> None:
        self.batch = {name: x.clone() for name, x in batch.items()}
        self.opt.zero_grad(set_to_none=True)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
            self.result = self._body(self.batch, self.a.ema)
        self.graph = graph


def device_batches(a, recipe: Recipe, batch: int, device, seed: int):
    """Endless batches mixed on the device."""
    import mix

    if not hasattr(device_batches, "banks"):
        made = os.path.join(a.cache, "banks.npz")
        device_batches.banks = mix.load_banks(made) if os.path.exists(made) else mix.make_banks(os.cpu_count() or 1)
    mixer = mix.DeviceMixer(Cache(a.cache, "train"), recipe, device_batches.banks, device, seed)
    while True:
        yield from mixer.batches(batch, recipe.full_band, a.pool)


class Held:
    """The same eight batches of held-back voices each time."""

    def __init__(self, a, recipe: Recipe):
        batch = min(a.batch, 16)
        recipe = replace(recipe, full_band=round(a.full_band * batch))
        data = iter(Batches(a.cache, "valid", recipe, batch, seed=999))
        self.batches = [next(data) for _ in range(8)]

    @torch.no_grad()
    def look(self, model, loss, device) -> dict:
        """Mean loss and its parts, with the averaged weights."""
        model.eval()
        loss.perceptual = 1
        rows = []
        for batch in self.batches:
            total, parts = loss(model, to(batch, device))
            rows.append({"loss": float(total)} | {k: float(v) for k, v in parts.items()})
        return {f"valid_{k}": round(sum(r[k] for r in rows) / len(rows), 4) for k in rows[0]}


class World:
    """The processes that train together, and this one's device."""

    def __init__(self):
        self.many, self.cuda = int(os.environ.get("WORLD_SIZE", 1)) > 1, torch.cuda.is_available()
        if self.many:
            dist.init_process_group("nccl" if self.cuda else "gloo")
        self.rank, self.size = (dist.get_rank(), dist.get_world_size()) if self.many else (0, 1)
        self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if self.cuda else torch.device("cpu")
        if self.cuda:
            torch.cuda.set_device(self.device)
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        else:
            keep_memory()
            if self.many or "OMP_NUM_THREADS" not in os.environ:
                torch.set_num_threads(1)  # thousands of small products: threads only wait for each other

    def any(self, condition: bool) -> bool:
        """Whether the condition holds for any process."""
        if not self.many:
            return condition
        flag = torch.tensor(float(condition))
        dist.all_reduce(flag, dist.ReduceOp.MAX)
        return bool(flag)


class Run:
    """Network, averaged weights, optimizer, and how far they are; from OUT/last.pt, --resume, --init or random weights."""

    def __init__(self, a, device):
        self.a, self.last = a, f"{a.out}/last.pt"
        source = self.last if os.path.exists(self.last) else a.resume
        kept = load(source, device) if source else None
        self.model, self.before = going_on(a, source, kept) if kept else start(a)
        self.model.to(device)
        if a.high_alone:
            self.model.requires_grad_(False)
            for p in high_gains(self.model):
                p.requires_grad_(True)
        self.opt = optimizer(self.model, a)
        self.ema = copy.deepcopy(self.model).eval()
        self.step, self.hours = 0, 0.0
        if kept:
            used = kept["args"].get("optimizer", "adamw")
            if used != a.optimizer:
                raise SystemExit(f"{source}: trained with --optimizer {used}, expected {a.optimizer}")
            if used == "soap" and "stacks" not in kept["opt"]:
                raise SystemExit(f"{source}: has optimizer state from an earlier version; continue with --init {source} --out another folder")
            for part, name in ((self.model, "model"), (self.ema, "ema"), (self.opt, "opt")):
                part.load_state_dict(kept[name])
            self.step, self.hours = kept["step"], kept["hours"]
        self.model.train()
        for norm in self.model.modules():
            if (a.freeze_norms or a.high_alone) and isinstance(norm, torch.nn.BatchNorm1d):
                norm.eval()

    def save(self, path: str) -> None:
        """Writes everything that another run needs to go on from here."""
        state = dict(
            model=self.model.state_dict(), ema=self.ema.state_dict(), opt=self.opt.state_dict(), step=self.step, hours=self.hours,
            before=self.before, sizes=self.model.sizes.json(), args=vars(self.a),
        )  # fmt: skip
        torch.save(state, path + ".part")
        os.replace(path + ".part", path)


class Clock:
    """How much of the run is over, by --clock or --hours."""

    def __init__(self, a):
        self.a, self.began = a, time.time()

    @property
    def minutes(self) -> float:
        return (time.time() - self.began) / 60

    def share(self, hours: float) -> float:
        return self.minutes / self.a.clock if self.a.clock else hours / self.a.hours

    def over(self, hours: float) -> bool:
        return self.share(hours) >= 1 or (self.a.minutes is not None and self.minutes > self.a.minutes)


class Progress:
    """A line every --every steps, printed and written to OUT/log.jsonl; its loss is a running mean."""

    def __init__(self, a, hours: float):
        self.a, self.hours, self.since, self.loss, self.counted = a, hours, time.time(), 0.0, 0

    def line(self, run: Run, loss: Loss, lr: float, norm, parts: dict, left_out: int) -> dict:
        value, now, every = float(sum(loss.weights[k] * v for k, v in parts.items())), time.time(), self.a.every
        if loss.perceptual:  # otherwise a term is missing
            self.counted += 1
            self.loss += (value - self.loss) * max(0.01 * every / 100, 1 / self.counted)
        line = dict(
            step=run.step, hours=round(run.hours, 3), loss=round(self.loss if self.counted else value, 4), lr=round(lr, 6),
            norm=round(float(norm), 3), hours_per_hour=round((run.hours - self.hours) * 3600 / (now - self.since), 1),
            **{k: round(float(v), 5) for k, v in parts.items()},
        )  # fmt: skip
        self.hours, self.since = run.hours, now
        return line | (dict(left_out=left_out) if left_out else {})

    def write(self, line: dict) -> None:
        print("  ".join(f"{k} {v}" for k, v in line.items()), flush=True)
        with open(f"{self.a.out}/log.jsonl", "a") as f:
            f.write(json.dumps(line) + "\n")


def courses(a, world: World, run: Run, loss: Loss, bf16: bool) -> list:
    """(Step, its batches, seconds of audio per batch): the second one, on a GPU with --long-every, has longer items."""
    alone = world.cuda and not world.many
    net = DistributedDataParallel(run.model, broadcast_buffers=False) if world.many else run.model
    recipe = Recipe(seconds=a.seconds, full_band=round(a.full_band * a.batch))

    def step() -> Step:
        return Step(net, run.model, run.ema, run.opt, loss, a, alone and not a.no_graph, bf16)

    if not alone:
        batches = Batches(a.cache, "train", recipe, a.batch, a.seed, world.rank, run.step, a.taught, a.taught_share)
        loader = torch.utils.data.DataLoader(
            batches, batch_size=None, num_workers=a.workers, prefetch_factor=4 if a.workers else None
        )
        return [(step(), iter(loader), a.batch * a.seconds)]
    all_ = [(step(), device_batches(a, recipe, a.batch, world.device, a.seed + run.step), a.batch * a.seconds)]
    if a.long_every:
        few = max(1, round(a.batch * a.seconds / a.long_seconds))
        longer = replace(recipe, seconds=a.long_seconds, full_band=round(a.full_band * few))
        all_.append((step(), device_batches(a, longer, few, world.device, a.seed + run.step + 1), few * a.long_seconds))
    return all_


def main() -> None:
    a = parse()
    os.makedirs(a.out, exist_ok=True)
    world = World()
    torch.manual_seed(a.seed)
    if world.cuda and a.perceptual_every > 1:
        raise SystemExit("--perceptual-every is for CPUs: on a GPU all steps are the same")
    if world.cuda and not world.many and a.taught:
        raise SystemExit("--taught is for CPUs: a GPU mixes its own items")
    bf16, why = choose_bf16(a.bf16, world.cuda)
    if world.rank == 0:
        print(f"bf16 {'on' if bf16 else 'off'} ({why})", flush=True)
    run = Run(a, world.device)
    loss = criterion(a).to(world.device)
    all_courses = courses(a, world, run, loss, bf16)
    held = Held(a, Recipe(seconds=a.seconds))
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    clock, progress, saved, kept, done = Clock(a), Progress(a, run.hours), time.time(), False, False
    while not done:
        share = clock.share(run.hours)
        lr = rate(run.step, share, a)
        late = run.step % a.long_every == a.long_every - 1 if len(all_courses) > 1 else 0
        take, batches, seconds = all_courses[late]
        _, parts, norm = take(to(next(batches), world.device), run.step, lr)
        run.step += 1
        run.hours += seconds * world.size / 3600
        done = world.any(bool(stop) or clock.over(run.hours))
        if world.rank:
            continue
        if a.clock and not kept and share > 0.75:
            run.save(f"{a.out}/flat.pt")  # the rate falls from here on: another run can continue from this state
            kept = True
        look = done or run.step % a.valid == 0
        if look or run.step % a.every == 0:
            line = progress.line(run, loss, lr, norm, parts, sum(int(course[0].left_out) for course in all_courses))
            progress.write(line | (held.look(run.ema, loss, world.device) if look else {}))
            if look or time.time() - saved > 50:
                run.save(run.last)
                saved = time.time()
    if world.many:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
