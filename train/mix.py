"""`data.Mixer` for accelerators: mixes whole batches from recordings in the device's memory.

Random draws are made in numpy for all items together; samples are computed on the device. Anything slow to generate, such as
synthetic noise, rumble and rooms, is made once and drawn from a bank.
"""

import math
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import scipy.fft
import torch
from torch import Tensor

from data import RATES, Cache, Recipe, rumble, synthetic_room
from noise import synthetic_noise

try:
    import triton
    import triton.language as tl
except ImportError:  # then the plain interpolation below, which reads and writes every tap's product
    triton = None

TAPS = 32  # of the interpolation that plays a recording at another speed
ROWS = 4  # items interpolated together by the plain loop, which keeps all their taps in memory
BANK = dict(noise=500, rumble=150, room=1200)  # number of each to make, per rate
BANK_SECONDS = 10.0
BABBLE = 6  # voices


if triton:

    @triton.jit
    def _play(samples, start_p, length_p, at_p, speed_p, out_p, n, LOOP: tl.constexpr, SPREAD: tl.constexpr, N: tl.constexpr, BLOCK: tl.constexpr):
        row = tl.program_id(0).to(tl.int64)
        column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
        live = column < n
        i = row * n + column
        where = i if SPREAD else row + column * 0
        start = tl.load(start_p + where, mask=live, other=0)
        length = tl.load(length_p + where, mask=live, other=1)
        at = tl.load(at_p + i, mask=live, other=0.0)
        speed = tl.load(speed_p + row).to(tl.float32)
        cut = tl.where(speed == 1.0, 1.0, 0.95 / tl.maximum(speed, 1.0))
        floor = tl.floor(at)
        whole = floor.to(tl.int64)
        fraction = (at - floor).to(tl.float32)
        total = tl.zeros((BLOCK,), tl.float32)
        for j in range(1 - N // 2, N // 2 + 1):
            x = j - fraction
            turn = 3.14159265358979 * cut * x
            near = tl.abs(turn) < 1e-4
            sinc = tl.where(near, 1.0, tl.sin(turn) / tl.where(near, 1.0, turn))
            bell = tl.cos(x * (3.14159265358979 / (N + 1)))
            index = whole + j
            if LOOP:
                index = index % length
                index = tl.where(index < 0, index + length, index)
                inside = live
            else:
                inside = live & (index >= 0) & (index < length)
            value = tl.load(samples + start + index, mask=inside, other=0).to(tl.float32)
            total += cut * sinc * bell * bell * value
        tl.store(out_p + i, total / 32768, mask=live)


def _made(args) -> np.ndarray:
    kind, rate, seed = args
    rng = np.random.default_rng([seed, rate])
    if kind == "room":
        h = synthetic_room(rng, rate)
        return np.pad(h, (0, int(0.6 * rate) - len(h)))
    n = int(BANK_SECONDS * rate)
    x = synthetic_noise(rng, n, rate) if kind == "noise" else rumble(rng, n, rate)
    return (x / max(np.abs(x).max(), 1e-9) * 0.9 * 32767).astype(np.int16)


def make_banks(jobs: int, counts: dict | None = None, seed: int = 1) -> dict:
    """{(kind, rate): (count, samples)} of noise and rumble (int16) and rooms (float32); how many of each: `counts`, by kind."""
    counts = counts or BANK
    work = [(kind, rate, seed * 1000003 + k) for rate in RATES for kind, count in counts.items() for k in range(count)]
    with ProcessPoolExecutor(jobs) as pool:
        made = list(pool.map(_made, work, chunksize=8))
    banks: dict = {}
    for (kind, rate, _), x in zip(work, made):
        banks.setdefault((kind, rate), []).append(x)
    return {key: np.stack(rows) for key, rows in banks.items()}


def save_banks(path: str, banks: dict) -> None:
    np.savez(path, **{f"{kind}-{rate}": x for (kind, rate), x in banks.items()})


def load_banks(path: str) -> dict:
    with np.load(path) as f:
        return {(name.split("-")[0], int(name.split("-")[1])): f[name] for name in f.files}


class _Table:
    """Positions of the recordings of one kind and rate, and how often each is drawn."""

    def __init__(self, items: list[dict], rate: int, cache: Cache, base: int = 0):
        items = sorted(items, key=lambda i: i["id"])
        at = np.array([i["at"][str(rate)] for i in items], np.int64).reshape(-1, 2)
        self.start, self.length = at[:, 0] + base, at[:, 1]
        self.bandwidth = np.array([i["bandwidth"] for i in items], float)
        ids = np.array([i["id"] for i in items])
        _, group, count = np.unique(ids, return_inverse=True, return_counts=True)
        first = np.concatenate([[0], np.cumsum(count)[:-1]]).astype(np.int64)
        self.first, self.count = first[group], count[group]
        seconds = np.bincount(group, self.length)
        chance = np.sqrt(seconds)[group] / count[group] * [cache.quality(i) for i in items]
        self.cumulative = np.cumsum(chance) / chance.sum()

    def pick(self, rng, count) -> np.ndarray:
        return np.minimum(np.searchsorted(self.cumulative, rng.random(count)), len(self.start) - 1)

    def same_id(self, rng, index: np.ndarray) -> np.ndarray:
        return self.first[index] + (rng.random(index.shape) * self.count[index]).astype(np.int64)


class DeviceMixer:
    """`batch(count, full)` is a stream of batches that depends only on the seed."""

    def __init__(self, cache: Cache, recipe: Recipe, banks: dict, device, seed: int = 1):
        self.recipe, self.device = recipe, torch.device(device)
        self.rng = np.random.default_rng(seed)
        self.torch_rng = torch.Generator(self.device).manual_seed(seed)
        self.samples, self.tables, self.rooms = {}, {}, {}
        for rate in RATES:
            if rate not in cache.data:
                continue
            parts, end = [np.asarray(cache.data[rate])], len(cache.data[rate])
            for kind in ("speech", "noise"):
                if cache.items[kind, rate]:
                    self.tables[kind, rate] = _Table(cache.items[kind, rate], rate, cache)
            for kind in ("noise", "rumble"):
                bank = banks[kind, rate]
                made = [
                    dict(id=str(k), bandwidth=rate / 2, at={str(rate): (k * bank.shape[1], bank.shape[1])}) for k in range(len(bank))
                ]
                self.tables["made " + kind, rate] = _Table(made, rate, cache, end)
                parts.append(bank.reshape(-1))
                end += bank.size
            self.samples[rate] = torch.from_numpy(np.concatenate(parts)).to(self.device)
            rooms = [banks["room", rate]]
            real = [cache.read(i, rate)[: rooms[0].shape[1]] for i in cache.items["rir", rate]]
            if real:  # makes three in ten rooms real
                real = np.stack([np.pad(h / np.abs(h).max(), (0, rooms[0].shape[1] - len(h))) for h in real]).astype(np.float32)
                rooms += [real] * max(1, round(0.43 * len(rooms[0]) / len(real)))
            self.rooms[rate] = torch.from_numpy(np.concatenate(rooms)).to(self.device)

    # ---- reading ----------------------------------------------------------------------------------------------------

    def put(self, *arrays: np.ndarray) -> list[Tensor]:
        """Copies to the device through pinned memory: from other memory the copy would wait for all earlier work."""
        tensors = [torch.from_numpy(np.ascontiguousarray(a)) for a in arrays]
        if self.device.type != "cuda":
            return tensors
        return [t.pin_memory().to(self.device, non_blocking=True) for t in tensors]

    def normal(self, *shape) -> Tensor:
        return torch.randn(shape, generator=self.torch_rng, device=self.device)

    def played(self, rate: int, start: Tensor, length: Tensor, at: Tensor, speed: Tensor, loop: bool) -> Tensor:
        """Recordings at fractional samples `at` (N, n) float64, by a windowed sinc that also keeps out what would alias;
        start and length (N, n) or (N, 1)."""
        if triton and self.device.type == "cuda":
            y = torch.empty(at.shape, device=self.device)
            spread = start.shape[1] > 1
            tensors = (t.contiguous() for t in (start, length, at, speed.double()))
            grid = (len(at), triton.cdiv(at.shape[1], 1024))
            _play[grid](self.samples[rate], *tensors, y, at.shape[1], LOOP=loop, SPREAD=spread, N=TAPS, BLOCK=1024)
            return y
        out = []
        taps = torch.arange(1 - TAPS // 2, TAPS // 2 + 1, device=self.device)
        for rows in torch.arange(len(at), device="cpu").split(ROWS):
            span = slice(int(rows[0]), int(rows[-1]) + 1)
            whole = at[span].floor()
            x = taps - (at[span] - whole).float()[..., None]
            cut = torch.where(speed[span] == 1, 1.0, 0.95 / speed[span].clamp_min(1)).float()[:, None, None]
            weight = cut * torch.sinc(cut * x) * torch.cos(x * (math.pi / (TAPS + 1))).square()
            index = whole.long()[..., None] + taps
            count = length[span][..., None]
            if loop:
                index = torch.remainder(index, count)
            else:
                weight = weight * ((index >= 0) & (index < count))
                index = index.clamp_min(0).minimum(count - 1)
            values = self.samples[rate][start[span][..., None] + index]
            out.append((values.float() * weight).sum(-1) / 32768)
        return torch.cat(out)

    def speeds(self, count: int, furthest: float) -> np.ndarray:
        rng = self.rng
        return np.where(rng.random(count) < self.recipe.p_speed, np.exp(rng.uniform(-furthest, furthest, count)), 1.0)

    def voices(self, rate: int, count: int, n: int, turns: bool = True) -> tuple[Tensor, np.ndarray]:
        """(count, n): clips of one speaker joined with short pauses, or of alternating speakers; and their bandwidths, Hz."""
        rng, table = self.rng, self.tables["speech", rate]
        slots = n // rate + 2
        speed = self.speeds(count, self.recipe.voice_speed)
        index = np.empty((count, slots), np.int64)
        gain = np.ones((count, slots), np.float32)
        index[:, 0] = table.pick(rng, count)
        group = rng.random(count) < 0.2
        other = (rng.random(count) < self.recipe.p_turns) & turns
        turn = table.pick(rng, count)
        softer = 10 ** (-rng.uniform(5, 30, count) / 20)
        for k in range(1, slots):
            index[:, k] = np.where(group, table.same_id(rng, index[:, 0]), index[:, 0])
            swap = other & (k % 2 == 1)
            index[swap, k] = turn[swap]
            gain[swap, k] = softer[swap]
        length = np.maximum(table.length[index] / speed[:, None], 1).astype(np.int64)
        first = np.zeros((count, slots), np.int64)
        over = length[:, 0] - n
        late = (rng.random(count) < 0.5) * rng.random(count) * (length[:, 0] // 2)
        first[:, 0] = np.where(over > 0, rng.random(count) * (over + 1), late)
        # A second speaker must start within the first 60 %.
        most = np.where(other, (n * rng.uniform(0.25, 0.6, count)).astype(np.int64), n)
        heard = length - first
        heard[:, 0] = np.minimum(heard[:, 0], most)
        pause = (rng.uniform(0, 0.6, (count, slots)) * rate).astype(np.int64)
        begin = np.concatenate([np.zeros((count, 1), np.int64), np.cumsum(heard + pause, 1)[:, :-1]], 1)
        start, source, begin, first, heard, speed_, gain = self.put(
            table.start[index], table.length[index], begin, first, heard, speed, gain
        )
        p = torch.arange(n, device=self.device).expand(count, n).contiguous()
        slot = (torch.searchsorted(begin, p, right=True) - 1).clamp(0, slots - 1)
        local = p - begin.gather(1, slot)
        at = (first.gather(1, slot) + local).double() * speed_[:, None]
        x = self.played(rate, start.gather(1, slot), source.gather(1, slot), at, speed_, False)
        x = x * ((local < heard.gather(1, slot)) * gain.gather(1, slot))
        bandwidth = np.minimum(table.bandwidth[index].min(1), rate / 2) * np.minimum(speed, 1.0) if rate == 16000 else (
            np.minimum(table.bandwidth[index].min(1) * speed, rate / 2)
        )
        return x, bandwidth

    def looped(self, rate: int, kind: str, count: int, n: int, furthest: float) -> Tensor:
        rng, table = self.rng, self.tables[kind, rate]
        index, speed = table.pick(rng, count), self.speeds(count, furthest)
        start, length, offset, speed = self.put(
            table.start[index][:, None], table.length[index][:, None], rng.random((count, 1)) * table.length[index][:, None], speed
        )
        at = offset.floor() + torch.arange(n, device=self.device).double() * speed[:, None]
        return self.played(rate, start, length, at, speed, True)

    # ---- mixing -----------------------------------------------------------------------------------------------------

    @staticmethod
    def rms(x: Tensor) -> Tensor:
        return (x.square().mean(1, keepdim=True) + 1e-20).sqrt()

    @staticmethod
    def active_rms(x: Tensor, rate: int) -> Tensor:
        """As `data.active_rms`, of each row: (N, 1)."""
        n = rate // 50
        power = x[:, : x.shape[1] // n * n].unflatten(1, (-1, n)).square().mean(2)
        loud = power > power.amax(1, keepdim=True) * 10**-3.5
        return ((power * loud).sum(1) / loud.sum(1).clamp_min(1)).sqrt()[:, None]

    def babble(self, rate: int, count: int, n: int) -> Tensor:
        x = self.voices(rate, count * BABBLE, n, turns=False)[0]
        many = self.put(self.rng.integers(3, BABBLE + 1, (count, 1)))[0]
        x = x / self.active_rms(x, rate).clamp_min(1e-4) * 10 ** (self.normal(len(x), 1) * 3 / 20)
        here = torch.arange(BABBLE, device=self.device) < many
        return (x.unflatten(0, (count, BABBLE)) * here[..., None]).sum(1)

    def noises(self, rate: int, count: int, n: int) -> Tensor:
        r = self.recipe
        draw = self.rng.random(count)
        none = ("noise", rate) not in self.tables
        made = np.flatnonzero((draw < r.p_synthetic) | none)
        babble = np.flatnonzero((draw >= r.p_synthetic) & (draw < r.p_synthetic + r.p_babble * (1 - r.p_synthetic)) & ~none)
        real = np.setdiff1d(np.arange(count), np.concatenate([made, babble]))
        x = torch.zeros(count, n, device=self.device)
        if len(made):
            x[self.put(made)[0]] = self.looped(rate, "made noise", len(made), n, r.noise_speed)
        if len(babble):
            x[self.put(babble)[0]] = self.babble(rate, len(babble), n)
        if len(real):
            x[self.put(real)[0]] = self.altered(rate, self.looped(rate, "noise", len(real), n, r.noise_speed))
        return x

    def altered(self, rate: int, x: Tensor) -> Tensor:
        """`noise.altered` of as many rows as the recipe says: backwards, scattered, swelling, or two of these."""
        rng, (count, n) = self.rng, x.shape
        first = np.where(rng.random(count) < self.recipe.p_altered, rng.integers(0, 3, count), -1)
        second = np.where((first >= 0) & (rng.random(count) < 0.3), (first + rng.integers(1, 3, count)) % 3, -1)
        back, scatter, swell = self.put(*(((first == k) | (second == k))[:, None] for k in range(3)))
        x = torch.where(back, x.flip(1), x)
        p = torch.arange(n, device=self.device)

        half = np.maximum(1, np.minimum(rate * np.exp(rng.uniform(math.log(0.015), math.log(0.2), (count, 1))), (n - 1) // 2)).astype(np.int64)
        many = n // int(half.min()) + 2
        half, start = self.put(half, (rng.random((count, many)) * (n - 2 * half)).astype(np.int64))
        grain, at = p // half, p % half
        angle = (at + 0.5) * (math.pi / 2) / half
        grains = x.gather(1, start.gather(1, grain + 1) + at) * angle.sin() + x.gather(1, start.gather(1, grain) + at + half) * angle.cos()
        x = torch.where(scatter, grains, x)

        pace = np.exp(rng.uniform(math.log(0.5), math.log(12), (count, 1)))
        knots = rng.normal(0, 1, (count, int(n / rate * 12) + 3)) * rng.uniform(0.2, 1.0, (count, 1))
        pace, knots, offset = self.put(pace, knots.astype(np.float32), rng.random((count, 1)))
        place = p * (pace / rate) + offset
        knot, rest = place.long(), place.frac().float()
        return torch.where(swell, x * torch.exp(knots.gather(1, knot) * (1 - rest) + knots.gather(1, knot + 1) * rest), x)

    def curves(self, f: Tensor, count: int, depth_db: float) -> Tensor:
        """`data.random_curve`: (count, F)."""
        rng = self.rng
        octave = torch.log2(f.clamp_min(30) / 1000)
        tilt, height, place, width = self.put(
            rng.normal(0, depth_db / 6, (count, 1)).astype(np.float32), rng.normal(0, depth_db, (count, 3, 1)).astype(np.float32),
            rng.uniform(-4, 4, (count, 3, 1)).astype(np.float32), rng.uniform(0.3, 1.5, (count, 3, 1)).astype(np.float32),
        )  # fmt: skip
        db = tilt * octave + (height * torch.exp(-0.5 * ((octave - place) / width) ** 2)).sum(1)
        return 10 ** (db.clamp(-30, 30) / 20)

    def chance(self, count: int, p: float) -> Tensor:
        """(count, 1) of 1 and 0."""
        return self.put((self.rng.random((count, 1)) < p).astype(np.float32))[0]

    @torch.no_grad()
    def items(self, rate: int, count: int) -> dict:
        """-> noisy, clean (count, n), bandwidth, reference (count)."""
        r, rng = self.recipe, self.rng
        n = int(r.seconds * rate)
        kind = rng.random(count)
        speech, bandwidth = self.voices(rate, count, n)
        size = scipy.fft.next_fast_len(n + self.rooms[rate].shape[1], real=True)
        f = torch.fft.rfftfreq(size, 1 / rate, device=self.device)

        def equalised(p: float) -> Tensor:
            choice = self.chance(count, p)
            return self.curves(f, count, 4) * choice + (1 - choice)

        def lowpass(cut: np.ndarray, order: np.ndarray, p: float) -> Tensor:
            choice = self.chance(count, p)
            cut, order = self.put(cut[:, None].astype(np.float32), order[:, None].astype(np.float32))
            return choice / (1 + (f / cut) ** order) + (1 - choice)

        cut = rng.choice([3400, 4000, 5500, 7000, 10000, 12000, 16000], count)
        gain = equalised(r.p_eq_voice) * lowpass(cut, np.full(count, 24.0), r.p_band_limit)
        slope = lowpass(rng.uniform(0.33, 0.5, count) * rate, rng.uniform(4, 40, count), r.p_soft_slope)
        room = self.rooms[rate][self.put(rng.integers(0, len(self.rooms[rate]), count))[0]]
        reverb = self.chance(count, r.p_reverb)
        at = int(r.early_ms / 1000 * rate)
        fade = torch.ones(room.shape[1], device=self.device)
        fade[at:] = torch.exp(-torch.arange(room.shape[1] - at, device=self.device) / (0.01 * rate))
        spectrum = torch.fft.rfft(speech, size) * gain * slope
        heard, kept = (
            torch.fft.irfft(spectrum * (torch.fft.rfft(h, size) * reverb + (1 - reverb)), size)[:, :n] for h in (room, room * fade)
        )
        noise_only, clean_only = (self.put(x[:, None])[0] for x in (kind < r.p_noise_only, kind > 1 - r.p_clean))
        own = self.looped(rate, "made rumble", count, n, 0.0)
        p = torch.where(clean_only, self.chance(count, r.p_rumble_clean), self.chance(count, r.p_rumble))
        own = own / self.rms(own) * self.active_rms(heard, rate) * p * 10 ** (self.put(rng.uniform(-30, 0, (count, 1)))[0].float() / 20)
        heard, kept = heard + own, kept + own

        noise = self.noises(rate, count, n)
        alone = np.flatnonzero((kind < r.p_noise_only) & (rng.random(count) < r.p_babble_alone))
        if len(alone):
            noise[self.put(alone)[0]] = self.babble(rate, len(alone), n)
        second = self.noises(rate, count, n)
        two, cross = self.chance(count, r.p_two_noises), self.chance(count, r.p_crossed)
        sides = torch.fft.rfft(torch.stack([noise, second]), size)
        corner, order = self.put(np.exp(rng.uniform(math.log(150), math.log(0.25 * rate), (count, 1))), rng.uniform(2, 12, (count, 1)))
        below = (1 / (1 + (f.clamp_min(1) / corner) ** order)).float()
        low_part, high_part = torch.fft.irfft(sides * torch.stack([below, 1 - below]), size)[..., :n]
        joined = low_part / self.rms(low_part) + high_part / self.rms(high_part) * 10 ** ((self.normal(count, 1) * 6 - 3) / 20)
        summed = noise / self.rms(noise) + second / self.rms(second) * two * 10 ** (self.normal(count, 1) * 6 / 20)
        noise = torch.where(two * cross > 0, joined, summed)
        noise = torch.fft.irfft(torch.fft.rfft(noise, size) * equalised(r.p_eq) * slope, size)[:, :n]
        low = self.looped(rate, "made rumble", count, n, 0.0)
        loud = self.chance(count, r.p_noise_rumble) * 10 ** (self.put(rng.uniform(-15, 10, (count, 1)))[0].float() / 20)
        noise = noise + low / self.rms(low) * self.rms(noise) * loud

        voice_level = self.active_rms(heard, rate)
        noise_only = noise_only | (voice_level < 1e-5)
        snr = np.clip(rng.normal(r.snr_mean, r.snr_spread, count), *r.snr_range)
        snr = np.where(rng.random(count) < r.p_nearly_clean, rng.uniform(*r.nearly_clean, count), snr)
        levels = np.stack([rng.normal(-27, 7, count), rng.uniform(-60, -6, count), rng.uniform(-15, -3, count)])
        level = levels[rng.choice(3, count, p=[0.62, 0.26, 0.12]), np.arange(count)]
        snr, level = self.put(snr[:, None].astype(np.float32), (10 ** (level[:, None] / 20)).astype(np.float32))
        noise = noise / self.rms(noise)
        gain = level / voice_level.clamp_min(1e-5)
        amount = torch.where(noise_only, level, level * 10 ** (-snr / 20)) * ~(clean_only & ~noise_only)
        noisy = noise * amount + torch.where(noise_only, 0.0, heard * gain)
        clean = torch.where(noise_only, 0.0, kept * gain)
        before = self.put(np.where(rng.random(count) < r.p_silence, rng.uniform(0, 0.6, count), 0.0)[:, None] * n)[0]
        sounding = torch.arange(n, device=self.device) >= before
        dither = self.chance(count, 0.4) * 2**-15 * (self.normal(count, n))
        noisy, clean = torch.where(sounding, noisy, dither), clean * sounding
        peak = noisy.abs().amax(1, keepdim=True)
        down = (r.peak / peak.clamp_min(1e-9)).clamp_max(1)
        noisy, clean = noisy * down, clean * down
        there = self.active_rms(clean, rate)
        reference = torch.where(there > 1e-5, there, self.rms(noisy).clamp_min(1e-5))[:, 0]
        known = torch.where(noise_only[:, 0], rate / 2, self.put(bandwidth)[0]).float()
        return dict(noisy=noisy, clean=clean, bandwidth=known, reference=reference)

    def batches(self, count: int, full: int, many: int) -> list[dict]:
        """`many` batches of `count` items, `full` of each at 48 kHz, as `data.Batches` has them."""
        parts = {rate: self.items(rate, size * many) for rate, size in ((48000, full), (16000, count - full)) if size}
        out = []
        for k in range(many):
            batch: dict = {}
            for rate, size in ((48000, full), (16000, count - full)):
                if not size:
                    continue
                own = {name: x[k * size : (k + 1) * size] for name, x in parts[rate].items()}
                for name in ("noisy", "clean"):
                    batch[f"{name}{rate // 1000}"] = own[name]
                for name in ("bandwidth", "reference"):
                    batch[name] = torch.cat([batch[name], own[name]]) if name in batch else own[name]
            out.append(batch)
        return out
