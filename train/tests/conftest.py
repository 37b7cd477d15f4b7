"""Recordings that the tests make themselves, and a cache of them."""

import csv
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

TRAIN = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TRAIN))
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Compiled extensions are found beside the interpreter even where no virtual environment is active.
os.environ["PATH"] = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
torch.set_num_threads(1)


def voice(rng, seconds: float, rate: int, pitch: float = 130.0) -> np.ndarray:
    """Syllables of a harmonic sound with breath, and pauses between them."""
    t = np.arange(int(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.1 * np.sin(2 * np.pi * 1.7 * t))) / rate
    x = sum(np.sin(k * phase) / k for k in range(1, 30) if 1.1 * k * pitch < rate / 2)
    x += 0.05 * rng.standard_normal(len(t))
    return (0.2 * x * np.clip(np.sin(2 * np.pi * 2.5 * t + rng.uniform(0, 6)) + 0.4, 0, 1)).astype(np.float32)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """Six voices, two of them at 16 kHz, three noises and a room, with a manifest."""
    root, rng = tmp_path_factory.mktemp("corpus"), np.random.default_rng(1)
    rows = []

    def add(kind, name, x, rate, split, bandwidth=""):
        path = Path(kind, name, "0.wav")
        (root / path).parent.mkdir(parents=True)
        soundfile.write(root / path, x, rate)
        rows.append(dict(path=path, kind=kind, id=name, split=split, bandwidth_hz=bandwidth))

    for i in range(6):
        rate = 16000 if i >= 4 else 48000
        add("speech", f"voice{i}", voice(rng, 4, rate, 90 + 30 * i), rate, "valid" if i % 2 else "train", rate // 2)
    for i in range(3):
        add("noise", f"noise{i}", 0.1 * rng.standard_normal(3 * 48000), 48000, "valid" if i == 2 else "train", 24000)
    room = rng.standard_normal(12000) * np.exp(-np.arange(12000) / 1500)
    room[200] = 12
    add("rir", "room", 0.05 * room, 48000, "train")
    with open(root / "manifest.csv", "w", newline="") as f:
        out = csv.DictWriter(f, rows[0])
        out.writeheader()
        out.writerows(rows)
    return root


@pytest.fixture(scope="session")
def cache(corpus, tmp_path_factory) -> str:
    import data

    folder = str(tmp_path_factory.mktemp("cache"))
    data.prepare(data.list_manifest(str(corpus / "manifest.csv")), folder, 1)
    return folder


@pytest.fixture
def shaken_model():
    """An untrained network whose batch norms are not the identity."""
    from model import Dccrn

    torch.manual_seed(3)
    model = Dccrn().eval()
    with torch.no_grad():
        for name, v in model.named_buffers():
            if name.endswith("running_mean"):
                v.normal_(0, 0.3)
            elif name.endswith("running_var"):
                v.uniform_(0.3, 2)
        for name, v in model.named_parameters():
            if ".norm." in name:
                v.add_(torch.randn_like(v) * 0.2)
    return model


def pytest_terminal_summary(terminalreporter):
    """Reports skipped tests even under `cargo xtask test`, which shows these lines of a step that passed."""
    reasons = {report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", [])}
    for reason in sorted(reasons):
        terminalreporter.write_line(f"note: {reason}")
