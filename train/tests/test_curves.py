"""Pictures of training runs, from the logs beside docs/training.md."""

import json
import sys

import matplotlib.pyplot as plt
import pytest

import curves
from conftest import TRAIN

LOGS = TRAIN.parent / "docs/training"


def drawn(monkeypatch, tmp_path, *arguments):
    """The lines that are drawn: label -> (hours, loss)."""
    lines = {}
    monkeypatch.setattr(plt.Figure, "savefig", lambda figure, path, **_: lines.update({
        line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in figure.axes[0].lines
    }))  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["curves.py", *arguments, "--out", str(tmp_path / "out.png")])
    curves.main()
    return lines


def test_losses_are_those_of_the_log(monkeypatch, tmp_path):
    hours, losses = drawn(monkeypatch, tmp_path, "--run", f"SOAP={LOGS}/soap.jsonl")["SOAP"]
    log = [json.loads(line) for line in (LOGS / "soap.jsonl").read_text().splitlines()]
    assert hours == [line["hours"] for line in log] and losses == [line["loss"] for line in log]


def test_differences_are_taken_at_the_same_steps(monkeypatch, tmp_path):
    for name, log in (("a", {10: 1.5, 20: 1.25, 30: 1.0}), ("b", {20: 1.0, 30: 0.5, 40: 0.25})):
        text = "".join(json.dumps(dict(step=k, hours=k / 10, loss=v)) + "\n" for k, v in log.items())
        (tmp_path / name).write_text(text)
    lines = drawn(monkeypatch, tmp_path, "--against", f"A={tmp_path}/a", "--run", f"B={tmp_path}/b")
    assert lines["B"] == ([2.0, 3.0], pytest.approx([-0.25, -0.5]))


def test_a_part_of_the_loss_is_drawn_by_its_name(monkeypatch, tmp_path):
    _, values = drawn(monkeypatch, tmp_path, "--part", "pesq", "--run", f"SOAP={LOGS}/soap.jsonl")["SOAP"]
    assert values == [json.loads(line)["pesq"] for line in (LOGS / "soap.jsonl").read_text().splitlines()]


def test_each_part_has_a_picture_of_its_own(monkeypatch, tmp_path):
    figures = []
    monkeypatch.setattr(plt.Figure, "savefig", lambda figure, path, **_: figures.append(figure))
    arguments = [f"--part={part}" for part in ("pesq", "sdr", "cut")] + ["--run", f"a={LOGS}/speed.jsonl", "--out", str(tmp_path / "out.png")]
    monkeypatch.setattr(sys, "argv", ["curves.py", *arguments])
    curves.main()
    log = [json.loads(line) for line in (LOGS / "speed.jsonl").read_text().splitlines()]
    panels = [axes for axes in figures[0].axes if axes.lines]
    assert [axes.get_ylabel() for axes in panels] == ["pesq", "sdr", "cut"]
    assert [list(axes.lines[0].get_ydata()) for axes in panels] == [[line[part] for line in log] for part in ("pesq", "sdr", "cut")]
