"""What travels to a GPU and back: parts of the right size, joined caches, checkpoints in pieces."""

import argparse
import csv

import numpy as np
import pytest
import soundfile
import torch

import data
import h100
from conftest import voice
from data import Cache


@pytest.fixture
def manifest(tmp_path, rng):
    """Forty voices, some of them poor, some held back, and six noises, with a manifest that says how good they are."""
    root = tmp_path / "recordings"
    root.mkdir()
    rows = []
    for i in range(46):
        kind, rate = ("noise" if i >= 40 else "speech"), (16000 if i % 4 == 0 else 48000)
        seconds = 0.3 + 0.01 * i
        x = voice(rng, seconds, rate) if kind == "speech" else 0.1 * rng.standard_normal(int(seconds * rate))
        soundfile.write(root / f"{i}.wav", x, rate)
        rows.append(dict(
            path=f"{i}.wav", kind=kind, id=f"{kind}{i}", split="valid" if i % 10 == 9 else "train", bandwidth_hz=rate // 2,
            seconds=seconds, mos=(2.5 if i in (1, 2) else 3.0 + i / 100) if kind == "speech" else "", licence="CC0-1.0",
        ))  # fmt: skip
    with open(root / "manifest.csv", "w", newline="") as f:
        out = csv.DictWriter(f, rows[0])
        out.writeheader()
        out.writerows(rows)
    return root / "manifest.csv"


def packed(manifest, out, *megabytes):
    h100.pack(argparse.Namespace(manifest=manifest, out=out, megabytes=list(megabytes)))
    return [list(csv.DictReader(open(out / str(k) / "manifest.csv", newline=""))) for k in range(len(megabytes))]


def test_parts_are_of_the_right_size(manifest, tmp_path, capsys):
    parts = packed(manifest, tmp_path / "pack", 0.4, 0.3, 0.3)
    said = capsys.readouterr().out
    for k, (rows, most) in enumerate(zip(parts, (0.4, 0.3, 0.3))):
        folder = tmp_path / "pack" / str(k)
        size = sum(f.stat().st_size for f in folder.glob("*.wav"))
        assert most * 2**20 - 60e3 < size <= most * 2**20  # no room left for another recording
        assert {row["path"] for row in rows} == {f.name for f in folder.glob("*.wav")}
    ids = [row["id"] for rows in parts for row in rows]
    assert len(ids) == len(set(ids)) and not {"speech1", "speech2"} & set(ids)
    assert {f"noise{i}" for i in range(40, 46)} <= set(ids)  # what there is least of comes first
    assert "for lack of space" in said and parts[0][0]["licence"] == "CC0-1.0"


def test_a_part_is_a_manifest_of_its_own(manifest, tmp_path):
    rows = packed(manifest, tmp_path / "pack", 0.4)[0]
    listed = data.list_manifest(str(tmp_path / "pack/0/manifest.csv"))
    for row, item in zip(rows, listed):
        source = manifest.parent / f"{row['id'].removeprefix(row['kind'])}.wav"
        assert open(item["path"], "rb").read() == source.read_bytes()
    h100.decode(argparse.Namespace(part=tmp_path / "pack/0", cache=tmp_path / "cache"))
    assert sum(len(Cache(tmp_path / "cache", split).items[kind, 16000]) for split in ("train", "valid") for kind in data.KINDS) == len(rows)


def test_the_same_manifest_makes_the_same_parts(manifest, tmp_path):
    assert packed(manifest, tmp_path / "a", 0.4, 0.3) == packed(manifest, tmp_path / "b", 0.4, 0.3)


def test_a_manifest_may_be_as_short_as_data_allows(corpus, tmp_path):
    parts = packed(corpus / "manifest.csv", tmp_path / "pack", 10)
    assert len(parts[0]) >= 7


def test_joined_caches_read_the_same(cache, manifest, tmp_path):
    held = data.list_manifest(str(manifest))[:12]
    data.prepare(held, str(tmp_path / "other"), 1)
    for _ in range(2):  # a second time makes no more of it
        h100.join([tmp_path.__class__(cache), tmp_path / "other"], tmp_path / "joined")
    for split in ("train", "valid"):
        first, second, both = (Cache(str(c), split) for c in (cache, tmp_path / "other", tmp_path / "joined"))
        for key, items in both.items.items():
            sources = [(first, i) for i in first.items[key]] + [(second, i) for i in second.items[key]]
            assert len(sources) == len(items)
            for (source, item), here in zip(sources, items):
                assert item["id"] == here["id"]
                np.testing.assert_array_equal(both.read(here, key[1]), source.read(item, key[1]))


def test_a_checkpoint_in_pieces_is_the_checkpoint(tmp_path):
    state = dict(model=dict(w=torch.randn(3, 4)), ema=dict(w=torch.randn(3, 4)), opt=dict(stacks=[torch.randn(2, 2)]), step=7, args=dict(lr=1e-3))
    torch.save(state, tmp_path / "last.pt")
    h100.split(tmp_path / "last.pt")
    assert "opt" not in torch.load(tmp_path / "last-weights.pt")
    h100.unite(tmp_path / "last-weights.pt", tmp_path / "last-optimizer.pt", tmp_path / "again.pt")
    torch.testing.assert_close(torch.load(tmp_path / "again.pt"), state, rtol=0, atol=0)
