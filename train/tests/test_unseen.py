"""unseen.py: the same mixtures for everybody, of the splits that are said."""

import sys

import numpy as np
import pytest

import judges
import unseen
from data import active_rms
from noise import rms


def test_a_voice_is_the_same_whichever_noise_it_meets(cache):
    (a, clean), (b, same) = (unseen.mixture(*unseen.mixers(cache, ("train", noises)), 3) for noises in unseen.SPLITS)
    np.testing.assert_array_equal(clean, same)
    assert not np.array_equal(a, b)
    again, _ = unseen.mixture(*unseen.mixers(cache, ("train", "valid")), 3)
    np.testing.assert_array_equal(b, again)


def test_levels_and_ratios_are_as_said(cache):
    for i in range(6):
        noisy, clean = unseen.mixture(*unseen.mixers(cache, ("valid", "train")), i)
        level = active_rms(clean, judges.RATE)
        assert 20 * np.log10(level) == pytest.approx(unseen.LEVEL, abs=0.1)
        assert unseen.SNR[0] - 0.1 < 20 * np.log10(level / rms(noisy - clean)) < unseen.SNR[1] + 0.1


def test_a_program_is_scored_on_every_combination(cache, tmp_path):
    copy = tmp_path / "copy.py"
    copy.write_text("import shutil, sys; shutil.copy(*sys.argv[1:])")
    means = unseen.main(["--cache", str(cache), "--program", f"{sys.executable} {copy}", "--items", "1", "--jobs", "1", "--judges", "residue"])
    assert set(means) == {(v, n) for v in unseen.SPLITS for n in unseen.SPLITS}
    for found in means.values():
        assert found["SI-SDR out"] == pytest.approx(found["SI-SDR in"], abs=1e-3)
        assert found["left out"] == pytest.approx(found["left in"], rel=1e-3) and found["left in"] > 0
