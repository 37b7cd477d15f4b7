"""Training data: folders of speech, noise and room responses -> noisy/clean pairs, mixed on the fly.

    python data.py --speech DIR [DIR ...] --noise DIR [DIR ...] --rir DIR [DIR ...] --cache DIR
    python data.py --manifest manifest.csv --cache DIR

decodes everything once into the cache (16-bit, at 16 kHz and, for recordings with more bandwidth, at 48 kHz). A manifest
has the columns path (relative to it), kind (speech, noise, rir), id (speaker or class), bandwidth_hz and split
(train, valid); without one, the id is the file's folder, the bandwidth is measured and 4 % of the ids or files are held back.

`Mixer` then makes items. A low-band item is entirely at 16 kHz; a full-band item is at 48 kHz.
"""

import argparse
import csv
import hashlib
import json
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import scipy.fft
import soundfile
import soxr
import torch

from noise import altered, crossed, random_curve, rms, synthetic_noise

AUDIO = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff"}
RATES = (16000, 48000)
KINDS = ("speech", "noise", "rir")


# ---- cache ----------------------------------------------------------------------------------------------------------


def measure_bandwidth(x: np.ndarray, rate: int) -> float:
    """Frequency above which the long-term spectrum is 70 dB or more below its peak, Hz."""
    n = 1024
    if len(x) < n:
        return rate / 2
    frames = np.lib.stride_tricks.sliding_window_view(x, n)[:: n // 2] * np.hanning(n)
    power = (np.abs(np.fft.rfft(frames, axis=1)) ** 2).mean(0)
    above = np.nonzero(power > power.max() * 1e-7)[0]
    return float((above[-1] + 1) * rate / n) if len(above) else 0.0


def list_folders(folders: dict) -> list[dict]:
    """Every audio file below the folders. One id in 25 is held back for validation, or one file in 25 if that takes none or
    all of the ids of a kind."""
    items = []
    for kind, roots in folders.items():
        found = []
        for root in roots:
            below = [p for p in sorted(Path(root).rglob("*")) if p.suffix.lower() in AUDIO]
            if not below:
                raise SystemExit(f"{root}: no audio files ({', '.join(sorted(AUDIO))})")
            found += below
        held = [kind != "rir" and int(hashlib.sha1(str(p.parent).encode()).hexdigest(), 16) % 25 == 0 for p in found]
        if kind != "rir" and len(set(held)) == 1 and len(found) > 1:
            held = [i % 25 == 0 for i in range(len(found))]
        for p, h in zip(found, held):
            items.append(dict(path=str(p), kind=kind, id=str(p.parent), bandwidth_hz="", split="valid" if h else "train"))
    return items


def list_manifest(manifest: str) -> list[dict]:
    root = Path(manifest).parent
    with open(manifest, newline="") as f:
        rows = list(csv.DictReader(f))
    missing = {"path", "kind", "id"} - set(rows[0] if rows else ())
    if missing:
        raise SystemExit(f"{manifest}: columns missing: {', '.join(sorted(missing))}")
    return [r | dict(path=str(root / r["path"]), split=r.get("split") or "train") for r in rows]


def _decode(item: dict):
    try:
        x, rate = soundfile.read(item["path"], dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        return item, None, f"{item['path']}: {error}"
    x = x.mean(1)
    if not len(x) or not np.isfinite(x).all():
        return item, None, f"{item['path']}: empty or not finite"
    bandwidth = float(item.get("bandwidth_hz") or 0) or measure_bandwidth(x, rate)
    if item["kind"] == "rir":
        x = x[int(np.abs(x).argmax()) :][: rate * 2]  # direct sound at 0
    x = x / max(np.abs(x).max(), 1e-9) * 0.9
    out = {}
    for r in RATES:
        if r == 16000 or (bandwidth > 9000 and rate > 20000):
            y = soxr.resample(x, rate, r, quality="HQ") if rate != r else x
            out[r] = (np.clip(y, -1, 1) * 32767).astype(np.int16)
    return item | dict(bandwidth=bandwidth), out, None


def prepare(items: list[dict], cache: str, jobs: int) -> None:
    """Decode every item into CACHE/RATE.i16 and CACHE/index.json (written last, so that an incomplete cache is not used)."""
    os.makedirs(cache, exist_ok=True)
    files = {r: open(f"{cache}/{r}.i16", "wb") for r in RATES}
    end = dict.fromkeys(RATES, 0)
    index, bad = [], []
    with ProcessPoolExecutor(jobs) as pool:
        for item, audio, error in pool.map(_decode, items, chunksize=8):
            if error:
                bad.append(error)
                continue
            at = {}
            for r, x in audio.items():
                x.tofile(files[r])
                at[str(r)] = (end[r], len(x))
                end[r] += len(x)
            about = {k: item[k] for k in ("kind", "id", "split", "bandwidth")}
            index.append(about | dict(mos=float(item.get("mos") or 0), at=at))
    for f in files.values():
        f.close()
    for line in bad:
        print("left out:", line)
    with open(f"{cache}/index.json.part", "w") as f:
        json.dump(index, f)
    os.replace(f"{cache}/index.json.part", f"{cache}/index.json")
    hours = {k: sum(i["at"]["16000"][1] for i in index if i["kind"] == k) / 16000 / 3600 for k in KINDS}
    print("  ".join(f"{k}: {h:.2f} h" for k, h in hours.items()), f" left out: {len(bad)}")


class Cache:
    """Random access to the decoded recordings."""

    def __init__(self, folder: str, split: str):
        with open(f"{folder}/index.json") as f:
            index = json.load(f)
        self.data = {r: np.memmap(f"{folder}/{r}.i16", np.int16, "r") for r in RATES if os.path.getsize(f"{folder}/{r}.i16")}
        self.items: dict = {}
        for kind in KINDS:
            for r in RATES:
                self.items[kind, r] = [
                    i for i in index if i["kind"] == kind and i["split"] == split and str(r) in i["at"]
                ]
        self._ids = {}
        for key, items in self.items.items():
            groups: dict = {}
            for i in items:
                groups.setdefault(i["id"], []).append(i)
            groups = list(groups.values())
            # An id counts with the square root of its length: a compromise between equal voices and equal minutes.
            # Training voices are also weighted by quality; held-back voices are not, so that losses stay comparable.
            quality = [[self.quality(i) if split == "train" else 1.0 for i in group] for group in groups]
            weight = np.array([sum(i["at"][str(key[1])][1] for i in group) for group in groups], float) ** 0.5
            weight *= [np.mean(q) for q in quality]
            self._ids[key] = (groups, [np.cumsum(q) / sum(q) for q in quality], np.cumsum(weight) / max(weight.sum(), 1e-9))

    @staticmethod
    def quality(item: dict) -> float:
        """How often a voice is drawn for its opinion score (DNSMOS OVRL, 0: unknown): 3.2 counts 1, 2.9 a sixteenth, 3.5 and more 5."""
        mos = item.get("mos", 0)
        return float(np.clip((mos - 2.6) / 0.6, 0.2, 1.5) ** 4) if mos else 1.0

    def pick(self, rng, kind: str, rate: int) -> dict | None:
        groups, within, weights = self._ids[kind, rate]
        if not groups:
            return None
        group = min(int(np.searchsorted(weights, rng.random())), len(groups) - 1)
        chosen = min(int(np.searchsorted(within[group], rng.random())), len(groups[group]) - 1)
        return groups[group][chosen]

    def read(self, item: dict, rate: int, first: int = 0, many: int | None = None) -> np.ndarray:
        """Samples from `first` on; `many` at most."""
        start, n = item["at"][str(rate)]
        end = start + (n if many is None else min(first + many, n))
        return self.data[rate][start + first : end].astype(np.float32) / 32768


# ---- sources --------------------------------------------------------------------------------------------------------


def active_rms(x: np.ndarray, rate: int) -> float:
    """RMS over the 20 ms frames within 35 dB of the loudest one: the level of the voice, not of its pauses."""
    n = rate // 50
    power = np.square(x[: len(x) // n * n].reshape(-1, n), dtype=np.float64).mean(1)
    return float(np.sqrt(power[power > power.max() * 10**-3.5].mean())) if power.max() > 0 else 0.0


def synthetic_room(rng, rate: int) -> np.ndarray:
    """Direct sound, a few early reflections, an exponential tail that dies sooner at high frequencies."""
    t60 = rng.uniform(0.1, 0.9)
    step = rate // 100
    n = int(100 * min(t60, 0.6)) * step
    t = np.arange(n) / rate
    tail = rng.standard_normal(n) * np.exp(-6.9 * t / t60)
    dark = np.empty(n)
    smooth = rng.uniform(0.1, 0.6)
    for i in range(0, n, step):  # slightly darker every 10 ms
        a = min(0.9, smooth * (0.3 + i / n))
        part = tail[i : i + step]
        dark[i : i + step] = (1 - a) * part + a * np.convolve(part, np.ones(8) / 8, "same")
    ratio = 10 ** (-rng.uniform(-2, 18) / 20)  # reverberant to direct
    h = dark * (t > rng.uniform(0.002, 0.015)) / np.sqrt(np.square(dark).sum() + 1e-12) * ratio
    for _ in range(rng.integers(2, 8)):
        h[int(rng.uniform(0.001, 0.03) * rate)] += rng.normal(0, 0.35) * ratio
    h[0] = 1.0
    return h.astype(np.float32)


def rumble(rng, n: int, rate: int) -> np.ndarray:
    """Infrasound, as from traffic, and as found in good recordings from microphones and converters: 3 Hz up to 12 .. 40 Hz; rms 1."""
    size = scipy.fft.next_fast_len(n, real=True)
    f = scipy.fft.rfftfreq(size, 1 / rate)
    gain = np.zeros(len(f), np.float32)
    some = f < 100
    gain[some] = (f[some] > 3) * np.maximum(f[some], 3) ** -rng.uniform(0, 1.5) / (1 + (f[some] / rng.uniform(12, 40)) ** 8)
    phase = rng.standard_normal(len(f), np.float32) + 1j * rng.standard_normal(len(f), np.float32)
    x = scipy.fft.irfft((gain * phase).astype(np.complex64), size)[:n]
    return x / rms(x)


@dataclass
class Recipe:
    """What to mix, and how often. Levels in dBFS, SNR in dB."""

    seconds: float = 3.0
    full_band: int = 4  # items of a batch at 48 kHz; the rest at 16 kHz
    snr_mean: float = 6.0
    snr_spread: float = 9.0
    snr_range: tuple = (-8.0, 30.0)
    p_clean: float = 0.1
    p_nearly_clean: float = 0.06  # SNR uniform over nearly_clean, as with good microphones
    nearly_clean: tuple = (25.0, 50.0)
    p_noise_only: float = 0.1
    p_reverb: float = 0.1
    p_eq: float = 0.5  # of noises
    p_eq_voice: float = 0.2
    p_soft_slope: float = 0.12  # of all items, voice and noise alike: the roll-off of resamplers and old codecs
    p_turns: float = 0.12  # an alternating second speaker, 5 to 30 dB softer
    p_silence: float = 0.12  # digital silence or dither before the first sound
    p_band_limit: float = 0.05
    p_babble: float = 0.12
    p_babble_alone: float = 0.25  # of noise-only items
    p_synthetic: float = 0.3
    p_altered: float = 0.35  # of recorded noises
    p_two_noises: float = 0.3
    p_crossed: float = 0.3  # of two noises: one below some frequency, the other above
    p_speed: float = 0.6  # of voices, and of noises, that are played faster or slower, to sound like other people and machines
    voice_speed: float = 0.2  # maximum, as a natural logarithm; uniform up to it
    noise_speed: float = 0.35
    p_rumble: float = 0.04  # inaudible rumble in the voice's recording: it stays
    p_rumble_clean: float = 0.1  # the same without any noise that it could belong to
    p_noise_rumble: float = 0.3  # rumble from traffic and buildings
    early_ms: float = 20.0  # reflections that stay in the target
    peak: float = 3.0  # louder items are turned down; samples from hosts may exceed full scale


class Mixer:
    """Makes items from a cache; `item(rng, full)` is a pure function of the generator's state."""

    def __init__(self, cache: Cache, recipe: Recipe):
        self.cache, self.recipe = cache, recipe

    def speed(self, rng, furthest: float) -> float:
        return float(np.exp(rng.uniform(-furthest, furthest))) if rng.random() < self.recipe.p_speed else 1.0

    def length(self, item: dict, rate: int, speed: float) -> int:
        """Number of samples of a recording at that speed; at least one."""
        return max(1, int(item["at"][str(rate)][1] / speed))

    def played(self, item: dict, rate: int, speed: float, first: int, n: int) -> tuple[np.ndarray, float]:
        """n samples of a recording at another speed, including its pitch, from sample `first` of the result; and their
        bandwidth, Hz."""
        if speed == 1:
            return self.cache.read(item, rate, first, n), item["bandwidth"]
        # When slower, frequencies above the item's range move down into it.
        source = max(map(int, item["at"])) if speed < 1 else rate
        ratio = speed * source / rate
        x = soxr.resample(self.cache.read(item, source, int(first * ratio), int(n * ratio) + 1), ratio, 1.0, quality="HQ")[:n]
        return np.pad(x, (0, n - len(x))), min(item["bandwidth"], source / 2) * speed

    def voice(self, rng, rate: int, n: int, turns: bool = False) -> tuple[np.ndarray, float]:
        """n samples of one speaker, clips joined with short pauses, or, as often as the recipe says, of two alternating speakers, one softer;
        and their bandwidth, Hz."""
        item = self.cache.pick(rng, "speech", rate)
        other, most, gain = None, n, 1.0
        if turns and rng.random() < self.recipe.p_turns:
            other, gain = self.cache.pick(rng, "speech", rate), 10 ** (-rng.uniform(5, 30) / 20)
            most = int(n * rng.uniform(0.25, 0.6))  # leaves time for the second speaker
        group = [i for i in self.cache.items["speech", rate] if i["id"] == item["id"]] if rng.random() < 0.2 else [item]
        speed = self.speed(rng, self.recipe.voice_speed)
        out = np.zeros(n, np.float32)
        bandwidth, at, count = np.inf, 0, 0
        while at < n:
            softer = other is not None and count % 2 == 1
            item = other if softer else item
            length, start = self.length(item, rate, speed), 0
            if at == 0 and length > n:
                start = int(rng.integers(length - n + 1))
            elif at == 0 and rng.random() < 0.5:
                start = int(rng.integers(length // 2 + 1))
            x, width = self.played(item, rate, speed, start, min(length - start, n - at, n if at else most))
            out[at : at + len(x)] = x * gain if softer else x
            bandwidth = min(bandwidth, width)
            at += len(x) + int(rng.uniform(0, 0.6) * rate)
            count += 1
            item = group[int(rng.integers(len(group)))]
        return out, bandwidth

    def babble(self, rng, rate: int, n: int) -> np.ndarray:
        x = np.zeros(n, np.float32)
        for _ in range(rng.integers(3, 8)):
            v = self.voice(rng, rate, n)[0]
            x += v / max(active_rms(v, rate), 1e-4) * 10 ** (rng.normal(0, 3) / 20)
        return x

    def noise(self, rng, rate: int, n: int) -> np.ndarray:
        r = self.recipe
        recorded = bool(self.cache.items["noise", rate])
        if recorded and rng.random() < r.p_synthetic:
            return synthetic_noise(rng, n, rate)
        if rng.random() < r.p_babble:
            return self.babble(rng, rate, n)
        if not recorded:
            return synthetic_noise(rng, n, rate)
        x = self.recorded_noise(rng, rate, n)
        return altered(rng, x, rate) if rng.random() < r.p_altered else x

    def recorded_noise(self, rng, rate: int, n: int) -> np.ndarray:
        item, speed = self.cache.pick(rng, "noise", rate), self.speed(rng, self.recipe.noise_speed)
        length = self.length(item, rate, speed)
        if length >= n:
            return self.played(item, rate, speed, int(rng.integers(length - n + 1)), n)[0]
        x = self.played(item, rate, speed, 0, length)[0]
        x = np.tile(x, n // max(len(x), 1) + 2)
        return np.roll(x, int(rng.integers(len(x))))[:n].copy()

    def filtered(
        self, rng, x: np.ndarray, rate: int, p_eq: float, passes: list[tuple[float, float]], room: np.ndarray | None = None
    ):
        """Random EQ, low-passes (frequency, order) and room in one product of spectra -> (input, target)."""
        n = len(x)
        size = scipy.fft.next_fast_len(n + (len(room) if room is not None else rate // 20), real=True)
        f = scipy.fft.rfftfreq(size, 1 / rate).astype(np.float32)
        spectrum = scipy.fft.rfft(x, size)
        gain = np.ones(len(f), np.float32)
        if rng.random() < p_eq:
            gain *= random_curve(rng, f, 4)
        for cut, order in passes:
            gain *= 1 / (1 + (f / np.float32(cut)) ** np.float32(order))
        if room is None:
            y = scipy.fft.irfft((spectrum * gain).astype(np.complex64), size)[:n]
            return y, y
        early = room.copy()
        at = int(self.recipe.early_ms / 1000 * rate)
        early[at:] *= np.exp(-np.arange(len(room) - at) / (0.01 * rate)).astype(np.float32)[: max(len(room) - at, 0)]
        heard, kept = (
            scipy.fft.irfft((spectrum * gain * scipy.fft.rfft(h, size)).astype(np.complex64), size)[:n]
            for h in (room, early)
        )
        return heard, kept

    def room(self, rng, rate: int) -> np.ndarray:
        item = self.cache.pick(rng, "rir", rate) if rng.random() < 0.3 else None
        if item is None:
            return synthetic_room(rng, rate)
        h = self.cache.read(item, rate)[: int(rate * 0.6)]
        return h / np.abs(h).max()

    def item(self, rng, full: bool) -> dict:
        """-> noisy, clean (n samples at 48 or 16 kHz), bandwidth (Hz; the target is unknown above), reference (linear
        level that the loss is scaled by)."""
        r = self.recipe
        rate = 48000 if full else 16000
        n = int(r.seconds * rate)
        kind = rng.random()
        noise_only, clean_only = kind < r.p_noise_only, kind > 1 - r.p_clean
        speech, bandwidth = self.voice(rng, rate, n, turns=True)
        limit, slope = [], []
        if rng.random() < r.p_band_limit:
            limit = [(float(rng.choice([3400, 4000, 5500, 7000, 10000, 12000, 16000])), 24.0)]
        if rng.random() < r.p_soft_slope:
            slope = [(rng.uniform(0.33, 0.5) * rate, rng.uniform(4, 40))]
        reverb = rng.random() < r.p_reverb
        heard, kept = self.filtered(rng, speech, rate, r.p_eq_voice, limit + slope, self.room(rng, rate) if reverb else None)
        if rng.random() < (r.p_rumble_clean if clean_only else r.p_rumble):
            own = rumble(rng, n, rate) * active_rms(heard, rate) * 10 ** (rng.uniform(-30, 0) / 20)
            heard, kept = heard + own, kept + own
        alone = noise_only and rng.random() < r.p_babble_alone
        noise = self.babble(rng, rate, n) if alone else self.noise(rng, rate, n)
        if rng.random() < r.p_two_noises:
            other = self.noise(rng, rate, n)
            if rng.random() < r.p_crossed:
                noise = crossed(rng, noise, other, rate)
            else:
                noise = noise / rms(noise) + other / rms(other) * 10 ** (rng.normal(0, 6) / 20)
        noise = self.filtered(rng, noise, rate, r.p_eq, slope)[0]
        if rng.random() < r.p_noise_rumble:
            noise = noise + rumble(rng, n, rate) * rms(noise) * 10 ** (rng.uniform(-15, 10) / 20)
        voice_level = active_rms(heard, rate)
        if voice_level < 1e-5:
            noise_only = True
        snr = float(np.clip(rng.normal(r.snr_mean, r.snr_spread), *r.snr_range))
        if rng.random() < r.p_nearly_clean:
            snr = rng.uniform(*r.nearly_clean)
        level = rng.choice([rng.normal(-27, 7), rng.uniform(-60, -6), rng.uniform(-15, -3)], p=[0.62, 0.26, 0.12])
        if noise_only:
            noisy = noise / rms(noise) * 10 ** (level / 20)
            clean = np.zeros(n, np.float32)
            bandwidth = rate / 2
        else:
            gain = 10 ** (level / 20) / voice_level
            noise *= voice_level / rms(noise) * 10 ** (-snr / 20) * (0 if clean_only else 1)
            noisy, clean = (heard + noise) * gain, kept * gain
        if rng.random() < r.p_silence:
            before = int(rng.uniform(0, 0.6) * n)
            clean[:before] = 0
            noisy[:before] = rng.standard_normal(before) * 2**-15 if rng.random() < 0.4 else 0
        peak = np.abs(noisy).max()
        if peak > r.peak:
            noisy, clean = noisy * (r.peak / peak), clean * (r.peak / peak)
        there = active_rms(clean, rate)
        reference = there if there > 1e-5 else max(rms(noisy), 1e-5)
        # Above our own low-pass the target is known to be silent; only above the recording's own limit is it unknown.
        return dict(
            noisy=noisy.astype(np.float32), clean=clean.astype(np.float32), bandwidth=bandwidth, reference=reference
        )


class Batches(torch.utils.data.IterableDataset):
    """An endless stream of batches; batch k of worker w of rank r depends on (seed, k, w, r) alone.

    With `taught`, a folder made by teacher.py, that share of the items comes from there; all items then have `wanted`, the
    teacher's output for them, or else the clean voice."""

    def __init__(
        self, folder: str, split: str, recipe: Recipe, batch: int, seed: int, rank: int = 0, start: int = 0,
        taught: str | None = None, share: float = 0.0,
    ):  # fmt: skip
        self.args = folder, split
        self.recipe, self.batch, self.seed, self.rank, self.start = recipe, batch, seed, rank, start
        self.taught, self.share = taught, share

    def __iter__(self):
        torch.set_num_threads(1)
        info = torch.utils.data.get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        mixer = Mixer(Cache(*self.args), self.recipe)
        full = min(self.recipe.full_band, self.batch) if mixer.cache.items["speech", 48000] else 0
        draw = mixer.item if self.taught is None else self.with_wanted(mixer)
        k = self.start + worker
        while True:
            rng = np.random.default_rng([self.seed, self.rank, k])
            items = [draw(rng, i < full) for i in range(self.batch)]
            out = {
                "bandwidth": torch.tensor([i["bandwidth"] for i in items], dtype=torch.float32),
                "reference": torch.tensor([i["reference"] for i in items], dtype=torch.float32),
            }
            for name in ("noisy", "clean", "wanted")[: 2 + (self.taught is not None)]:
                if full:
                    out[name + "48"] = torch.from_numpy(np.stack([i[name] for i in items[:full]]))
                if full < self.batch:
                    out[name + "16"] = torch.from_numpy(np.stack([i[name] for i in items[full:]]))
            yield out
            k += workers

    def with_wanted(self, mixer: Mixer):
        """Draws an item with `wanted`. Kinds of items that the teacher does not get are as frequent among all items as in the
        recipe, but each makes up at most .4 of the untaught ones."""
        from teacher import Taught  # which imports this module

        taught = Taught(self.taught, mixer.cache)
        recipe, rest = mixer.recipe, max(1 - self.share, 1e-9)
        often = {name: min(getattr(recipe, name) / rest, 0.4) for name in ("p_clean", "p_noise_only", "p_turns")}
        mixer = Mixer(mixer.cache, replace(recipe, **often))

        def draw(rng, full: bool) -> dict:
            if rng.random() < self.share:
                return taught.item(rng, full)
            item = mixer.item(rng, full)
            return item | dict(wanted=item["clean"])

        return draw


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for kind in KINDS:
        p.add_argument(f"--{kind}", nargs="+", default=[], metavar="DIR")
    p.add_argument("--manifest", help="CSV instead of folders")
    p.add_argument("--cache", required=True)
    p.add_argument("--jobs", type=int, default=os.cpu_count())
    a = p.parse_args()
    items = list_manifest(a.manifest) if a.manifest else []
    items += list_folders({k: getattr(a, k) for k in KINDS})
    for split in ("train", "valid"):
        if not any(i["kind"] == "speech" and i["split"] == split for i in items):
            raise SystemExit(f"no speech to {split}: pass --speech DIR with two or more files, or a manifest with both splits")
    prepare(items, a.cache, a.jobs)


if __name__ == "__main__":
    main()
