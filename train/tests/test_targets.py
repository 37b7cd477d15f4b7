"""targets.py: what is judged, and voices drawn by their opinion score."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import judges
import targets
from data import Cache, Mixer, Recipe, active_rms


@pytest.fixture
def scored(cache, tmp_path):
    """The cache with an opinion of each voice: some 2.9, some 3.5."""
    for name in ("16000.i16", "48000.i16"):
        (tmp_path / name).symlink_to(f"{cache}/{name}")
    with open(f"{cache}/index.json") as f:
        index = json.load(f)
    train = sorted({i["id"] for i in index if i["kind"] == "speech" and i["split"] == "train"})
    for item in index:
        item["mos"] = 0 if item["kind"] != "speech" else 2.9 if item["id"] == train[0] else 3.5
    (tmp_path / "index.json").write_text(json.dumps(index))
    return str(tmp_path), train


def test_voices_are_drawn_by_their_opinion_score(scored):
    folder, train = scored
    rng, cache = np.random.default_rng(1), Cache(folder, "train")
    drawn = Counter(cache.pick(rng, "speech", 16000)["id"] for _ in range(4000))
    assert Cache.quality(dict(mos=3.2)) == pytest.approx(1) and Cache.quality({}) == 1
    share = Cache.quality(dict(mos=2.9)) / (Cache.quality(dict(mos=2.9)) + (len(train) - 1) * Cache.quality(dict(mos=3.5)))
    assert drawn[train[0]] / 4000 == pytest.approx(share, abs=0.02) and share < 0.1
    alike = Counter(targets.Plain(folder, "train").pick(rng, "speech", 16000)["id"] for _ in range(4000))
    assert alike[train[0]] / 4000 == pytest.approx(1 / len(train), abs=0.05)
    held, index = Cache(folder, "valid"), Counter()
    index.update(held.pick(rng, "speech", 16000)["id"] for _ in range(4000))
    assert min(index.values()) > 0.6 * max(index.values())  # those held back are drawn alike


def test_targets_are_what_the_network_is_to_copy(cache):
    mixer = Mixer(Cache(str(cache), "train"), Recipe(seconds=1.0))
    made = [targets.target(mixer, 1, i) for i in range(40)]
    assert any(x is None for x in made) and sum(x is not None for x in made) > 25
    assert all(len(x) == judges.RATE and active_rms(x, judges.RATE) > 1e-6 for x in made if x is not None)
    np.testing.assert_array_equal(made[7], targets.target(mixer, 1, 7))


def test_both_levels_are_judged(cache, monkeypatch):
    """An opinion that is nothing but the level: what is printed second is level alike."""
    monkeypatch.setattr(judges, "dnsmos", lambda x, _: dict.fromkeys(targets.FIGURES, 20 * np.log10(active_rms(x, judges.RATE))))
    rows = np.array(targets.opinions(str(cache), replace(Recipe(), seconds=1.0), True, 1, range(30), "models"))
    assert rows.shape[1:] == (2, 3) and rows[:, 0].std() > 3
    np.testing.assert_allclose(rows[:, 1], targets.LEVEL, atol=0.1)
    assert f"at -27 dBFS  SIG {targets.LEVEL:.2f} (0.00)" in targets.line("as mixed", rows.tolist())
