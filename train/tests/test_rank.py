"""Agreement as it is defined, terms that must rank one way, and what the command line and its cache do."""

import math

import numpy as np
import pytest
import soundfile

import rank
from conftest import voice
from rank import Kept, System, agreement, ranking, systems, terms


def test_agreement_knows_right_blind_and_wrong(rng):
    said = rng.uniform(1, 5, (6, 8)) + 10 * rng.standard_normal((6, 1))  # some recordings are harder
    harder = np.arange(6.0)[:, None]
    assert agreement(said, harder - said) == pytest.approx((1, 1))
    assert agreement(said, harder + 3 * said) == pytest.approx((-1, 0))
    r, order = agreement(said, np.broadcast_to(harder, said.shape))  # depends on the recording only, not on the output
    assert math.isnan(r) and order == 0


def test_order_looks_away_where_the_judge_sees_nothing():
    said = np.array([[3.0, 3.02, 4.0]])
    assert agreement(said, np.array([[2.0, 1.0, 0.0]]))[1] == 1  # the first two are one to the judge
    assert agreement(said, np.array([[1.0, 2.0, 1.5]]))[1] == 0.5
    assert math.isnan(agreement(said[:, :2], np.array([[1.0, 2.0]]))[1])


def test_a_pair_with_something_unknown_is_left_out(rng):
    said = rng.uniform(1, 5, (4, 5))
    term = -said
    term[2, 3] = math.nan
    said[2] = said[2, ::-1]
    assert agreement(said, term) == pytest.approx((1, 1))


def test_terms_rank_more_noise_as_worse(rng):
    clean = voice(rng, 2, 16000).astype(float)
    noise = 0.05 * rng.standard_normal(len(clean))
    less, more = (terms(clean, clean + noise, clean + g * noise) for g in (0.1, 0.5))
    blind = [k for k in less if "cut" in k or k in ("gain: time", "judges: voice lost")]
    assert {k for k in less if not less[k] < more[k]} <= set(blind)
    assert {"loss: pesq", "loss: stoi", "loss: residue", "loss: sdr", "log: across, 3 ERB, 20 ms", "mel: L2, 64 ms", "judges: left"} <= less.keys()


def test_terms_tell_left_from_cut_and_even_from_patchy(rng):
    clean = voice(rng, 2, 16000).astype(float)
    noisy = clean + 0.02 * rng.standard_normal(len(clean))
    whole, soft = terms(clean, noisy, clean), terms(clean, noisy, 0.3 * clean)
    assert soft["log: cut, 1 ERB, 20 ms"] > whole["log: cut, 1 ERB, 20 ms"] + 2
    assert soft["log: left, 1 ERB, 20 ms"] == pytest.approx(whole["log: left, 1 ERB, 20 ms"], abs=0.1)
    spectrum = np.fft.rfft(clean)
    f = np.arange(len(spectrum)) * 8000 / (len(spectrum) - 1)
    patchy = np.fft.irfft(spectrum * np.where(np.sin(2 * np.pi * 21.4 * np.log10(1 + 0.00437 * f) / 6) > 0, 1, 0.09), len(clean))
    even, patchy = soft, terms(clean, noisy, patchy)
    assert patchy["log: across, 3 ERB, 20 ms"] > even["log: across, 3 ERB, 20 ms"] + 0.5


def test_terms_do_not_depend_on_the_level(rng):
    clean = voice(rng, 2, 16000).astype(float)
    noisy = clean + 0.05 * rng.standard_normal(len(clean))
    y = clean + 0.3 * (noisy - clean)
    loud, soft = terms(clean, noisy, y), terms(0.05 * clean, 0.05 * noisy, 0.05 * y)
    # judges.py's floor against bins is absolute, 140 dB below full scale.
    assert soft == pytest.approx(loud, rel=1e-2, abs=0.02)


def test_ranking_puts_what_agrees_first_and_keeps_reductions_apart(rng):
    rows = []
    for _ in range(5):
        scores = rng.uniform(1, 4, 4)
        row = []
        for k, s in enumerate(scores):
            said = {"DistillMOS": s, "SIG": s + 0.1, "OVRL": s - 0.1, "BAK": 1.0, "P.808": 1.0, "PESQ-WB": -s}
            row.append((said, {"good": -s, "bad": s, "only without the last": -s if k < 3 else s}))
        rows.append(row)
    ranked = {r["term"]: r for r in ranking(["a", "b", "c", "c@12"], [False, False, False, True], rows)}
    assert list(ranked)[-1] == "bad" and ranked["good"]["mean"] == 1 and ranked["bad"]["mean"] == 0
    assert ranked["good"]["PESQ-WB"]["r"] == pytest.approx(-1)
    assert ranked["only without the last"]["mean"] == 1 and ranked["only without the last"]["OVRL"]["order"] < 1


def test_what_is_kept_is_made_once(tmp_path):
    kept, made = Kept(tmp_path / "k"), []

    def array():
        made.append("array")
        return np.arange(3.0)

    def figures():
        made.append("figures")
        return {"a": 1.5}

    for _ in range(2):
        assert kept.array("x", array).tolist() == [0, 1, 2] and kept.figures("y", figures) == {"a": 1.5}
    assert made == ["array", "figures"]
    assert not list((tmp_path / "k").glob("*.part"))


def test_systems_are_named_by_the_command_line(tmp_path):
    (tmp_path / "w.pt").touch()
    found = systems([f"now={tmp_path}/w.pt", "now@24"], [f"other={tmp_path}"])
    assert [s.name for s in found] == ["noisy", "now", "now@24", "other"]
    assert [s.network for s in found] == [False, True, True, False] and found[2] == System("now@24", tmp_path / "w.pt", 24.0)
    for networks, enhanced, said in [
        (["now@24"], [], "now@24"), ([f"now={tmp_path}/none.pt"], [], "none.pt"), ([f"now={tmp_path}/w.pt", "now@loud"], [], "loud"),
        ([], ["other"], "NAME=DIR"), ([f"now={tmp_path}/w.pt", f"now={tmp_path}/w.pt"], [], "same name"),
    ]:  # fmt: skip
        with pytest.raises(SystemExit, match=said):
            systems(networks, enhanced)


def test_the_command_scores_pairs_and_keeps_what_it_made(tmp_path, rng, monkeypatch, capsys):
    heard = []

    def opinion(y):
        heard.append(1)
        return 5 - 10 * float(np.std(y))

    monkeypatch.setattr(rank.judges, "distillmos", opinion)
    monkeypatch.setattr(rank.judges, "find", lambda *_: (rank.judges.Judges(distillmos=True), []))
    monkeypatch.setattr(rank, "pesq_wb", lambda *_: 2.0)
    monkeypatch.setattr(rank, "ProcessPoolExecutor", Here)
    for name in ("noisy", "clean", "half", "tenth"):
        (tmp_path / name).mkdir()
    for k in range(2):
        clean = voice(rng, 2, 16000).astype(float)
        noise = 0.05 * rng.standard_normal(len(clean))
        for name, share in (("noisy", 1), ("clean", 0), ("half", 0.5), ("tenth", 0.1)):
            soundfile.write(tmp_path / name / f"{k}.wav", clean + share * noise, 16000, subtype="FLOAT")
    argv = ["rank.py", tmp_path, "--enhanced", f"half={tmp_path}/half", "--enhanced", f"tenth={tmp_path}/tenth", "--cache", tmp_path / "kept"]
    monkeypatch.setattr("sys.argv", [str(v) for v in [*argv, "--json", tmp_path / "rank.json"]])
    rank.main()
    said = capsys.readouterr().out
    assert "2 pairs" in said and "| half |" in said and "| loss: magnitude |" in said and len(heard) == 6
    rank.main()
    assert len(heard) == 6
    assert '"term": "loss: magnitude"' in (tmp_path / "rank.json").read_text()


class Here:
    """A pool whose work is done on the spot."""

    def __init__(self, jobs):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, f, *args):
        value = f(*args)
        return type("Done", (), {"result": lambda self: value})()
