"""The keyword study: features, mixing, batches, sizes, and a run on words that are tones."""

import numpy as np
import pytest
import soundfile
import torch

import ghost_keywords as kw
import voices
from data import active_rms, rms
from ghost_keywords import Clip, Variant, variants, weights
from model import GhostGru

TONES = (300, 1200, 4000)


def clips(count: int = 6, seconds: float = 0.4) -> list[Clip]:
    rng, made = np.random.default_rng(4), []
    t = np.arange(int(seconds * kw.RATE)) / kw.RATE
    for i in range(count):
        for word, f in enumerate(TONES):
            x = 0.5 * np.sin(2 * np.pi * f * rng.uniform(0.95, 1.05) * t)
            made.append(Clip(x.astype(np.float32), word, f"speaker{i}"))
    return made


def test_features_of_a_tone():
    t = np.arange(kw.RATE) / kw.RATE
    x = torch.from_numpy(np.sin(2 * np.pi * 1000 * t).astype(np.float32))[None]
    made = kw.features(x)
    assert made.shape == (1, 98, kw.MELS) and torch.isfinite(kw.features(torch.zeros(2, kw.RATE))).all()
    centres = (kw.mel_matrix() * torch.linspace(0, kw.RATE / 2, 257)[:, None]).sum(0)
    assert abs(centres[made[0, 50].argmax()] - 1000) < 60
    assert (centres.diff() > 0).all() and torch.allclose(kw.mel_matrix().sum(0), torch.ones(kw.MELS), atol=1e-5)
    # Ten times the amplitude: 20 dB, two units in 1.5.
    assert (kw.features(10 * x) - made)[0, 50, made[0, 50].argmax()] == pytest.approx(2 / 1.5, abs=1e-2)


@pytest.mark.parametrize("snr", [0, 12, 20])
def test_mix_has_the_snr_that_was_asked_for(snr):
    word, noise = clips(1)[0].sound, kw.noises(1, 1)[0]
    loud = kw.mix(np.random.default_rng(1), word, noise, snr)
    silent = kw.mix(np.random.default_rng(1), word, noise, 300)  # the same word at the same place and level
    assert len(loud) == kw.RATE * kw.SECONDS
    level = active_rms(silent[np.abs(silent) > 0], kw.RATE)
    assert 20 * np.log10(level / rms(loud - silent)) == pytest.approx(snr, abs=0.5)  # frames lie otherwise
    assert -40.2 < 20 * np.log10(level) < -19.8


def test_batches_depend_on_seed_and_step():
    words = kw.Words(clips(), count=4)
    x, y = words.batch(1, 5, 8)
    again, _ = words.batch(1, 5, 8)
    other, _ = words.batch(1, 6, 8)
    assert x.shape == (8, 98, kw.MELS) and torch.equal(x, again) and not torch.equal(x, other) and set(y.tolist()) <= {0, 1, 2}


def test_noises_of_the_test_are_others():
    assert not any(np.array_equal(a, b) for a in kw.noises(1, 5) for b in kw.noises(2, 5))


def test_words_of_the_test_are_of_other_voices():
    names = voices.divide([f"{p}{s}_{n}" for p in "abez" for s in "fm" for n in ("one", "two", "three")])
    heard = {}
    for split, held, seed in (("train", 0.0, 1), ("test", 1.0, 2)):
        job = voices.Job(seed, "", ("en",), held, kw.WORDS)
        heard[split] = {v for i in range(0, 60 * len(kw.WORDS), len(kw.WORDS)) for v in job.cast(names, i)[2].voices}
    assert heard["train"] and heard["test"] and not heard["train"] & heard["test"]


def test_variants_and_their_arithmetic():
    gru, half, quarter, equal = variants()
    count = lambda v: weights(GhostGru(kw.MELS, v.hidden, v.ratio))  # noqa: E731
    assert count(equal) == pytest.approx(count(half), rel=0.02) and count(quarter) < count(half) < 0.6 * count(gru)
    for v in variants():
        net = GhostGru(kw.MELS, v.hidden, v.ratio)
        assert v.macs == net.w.numel() + net.u.numel() + net.g.numel()  # each weight of a matrix is used once a frame
    assert all(t > 0 for t in kw.frame_times((gru, quarter), frames=20, turns=2))


def test_words_are_read_from_a_manifest(tmp_path):
    rows = []
    for i, text in enumerate(("up", "no", "hello")):
        soundfile.write(tmp_path / f"{i}.flac", np.full(24000 * (i + 1), 0.1), 24000)
        rows.append(dict.fromkeys(voices.COLUMNS, "") | dict(path=f"{i}.flac", id="a", text=text))
    voices.write_rows(tmp_path / "manifest.csv", rows)
    found = kw.read_words(tmp_path)
    assert [kw.WORDS[c.word] for c in found] == ["up", "no"] and all(len(c.sound) == kw.RATE for c in found)


def test_small_run_learns_tones_and_is_reported():
    found, words = (Variant("GRU-16", 16, 1), Variant("GhostGRU-16", 16, 2)), kw.Words(clips(), count=6)
    held = clips(4)
    sets = {snr: kw.test_set(held, snr, repeats=2) for snr in kw.SNRS}
    right = {}
    for v in found:
        made = [kw.answers(kw.fit(v, [words.batch(seed, k, 16) for k in range(100)], seed), sets) for seed in (1, 2)]
        right[v] = np.array([[kw.accuracies(m[snr], held) for snr in kw.SNRS] for m in made])
        assert right[v].shape == (2, len(kw.SNRS), 2, len(held))
        assert right[v][:, -1].mean() > 0.7, v.name  # a third by chance
    text = kw.report(found, right, [2.0, 1.5], [c.speaker for c in held], 100, "Tones.")
    assert "| GhostGRU-16 | " in text and "1.5 (0.75)" in text and "over the 4 speakers" in text and "nan" not in text
    whole = 100 * right[found[0]].mean((1, 2, 3))
    assert f"{whole.mean():.1f} ± {whole.std(ddof=1):.1f} ({whole[0]:.1f}, {whole[1]:.1f})" in text
