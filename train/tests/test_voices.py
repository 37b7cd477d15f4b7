"""voices.py: speakers, sentences, the model's ids, the folder and its manifest; with the model where it is installed."""

import csv
import io
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

import sentences
import voices
from data import Cache, Mixer, Recipe, list_manifest, prepare

NAMES = [f"{place}{sex}_{name}" for place in "abefijpz" for sex in "fm" for name in ("one", "two")]


def styles(folder: Path) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(1)
    for name in NAMES + ["am_santa"]:
        rng.standard_normal((510, 256)).astype("<f4").tofile(folder / f"{name}.bin")
    return folder


def tone(job: voices.Job, i: int):
    """What `make` returns, of item i's speaker, without the model: a second of a tone."""
    _, split, speaker, speed, word = job.cast(voices.divide(NAMES), i)
    t = np.arange(voices.RATE) / voices.RATE
    x = 0.3 * np.sin(2 * np.pi * (200 + 10 * i) * t * speed)
    flac = io.BytesIO()
    soundfile.write(flac, x, voices.RATE, format="FLAC")
    row = dict.fromkeys(voices.COLUMNS, "") | dict(
        path=job.path(speaker, i, word), kind="speech", id="kokoro_" + speaker.name, seconds=1.0, split=split,
        bandwidth_hz=12000, licence=voices.LICENCE, source_repo=voices.SOURCE, language=speaker.language, mos=3.3,
    )  # fmt: skip
    return row, flac.getvalue()


def nothing(job: voices.Job, i: int):
    return None


def job(**changes) -> voices.Job:
    return voices.Job(**dict(seed=1, styles="", languages=("en", "it"), held=0.2) | changes)


@pytest.mark.parametrize("language", sentences.LANGUAGES)
def test_sentences_are_whole_and_many(language):
    rng = np.random.default_rng(2)
    made = [sentences.sentence(rng, language) for _ in range(500)]
    assert len(set(made)) > 440
    for text in made:
        assert not re.search(r"[<>|\n]|  | [,.!?]", text), text
        assert re.fullmatch(r'[¿¡"]*[A-ZÀ-Ý].*[.!?]"?', text), text
        assert 12 < len(text) < 220, text


@pytest.mark.parametrize("language", sentences.LANGUAGES)
def test_every_rule_is_there_and_used(language):
    rules = sentences.RULES[language]
    asked = set(re.findall(r"<(\w+)>", " ".join(sum(rules.values(), []))))
    assert asked | {"sentence"} == set(rules)
    assert all(all(rule) for rule in rules.values())


def test_held_voices_are_of_both_sexes_and_share_nothing():
    names = voices.divide(NAMES)
    assert set(names["train"]) & set(names["valid"]) == set() and set(names["train"] + names["valid"]) == set(NAMES)
    assert {n[1] for n in names["valid"]} == {"f", "m"} and len(names["valid"]) < len(NAMES) / 4
    heard = {"train": set(), "valid": set()}
    for i in range(400):
        _, split, speaker, speed, _ = job().cast(names, i)
        heard[split] |= set(speaker.voices)
        assert 0.75 <= speed <= 1.35
        assert len({v[1] for v in speaker.voices}) == 1  # a blend of one sex
        assert speaker.language in ("en", "it") and (not speaker.british or all(v[0] == "b" for v in speaker.voices))
    assert heard["train"] == set(names["train"]) and heard["valid"] == set(names["valid"])


@pytest.mark.parametrize("language", sentences.LANGUAGES)
def test_one_language_alone_is_spoken_by_both_splits(language):
    cast = [job(languages=(language,)).cast(voices.divide(NAMES), i) for i in range(60)]
    assert {c[2].language for c in cast} == {language} and {c[1] for c in cast} == {"train", "valid"}


def test_an_item_depends_on_its_number_alone():
    names = voices.divide(NAMES)
    once = [job().cast(names, i)[1:] for i in range(30)]
    again = [job().cast(names, i)[1:] for i in reversed(range(30))][::-1]
    assert once == again and once != [job(seed=2).cast(names, i)[1:] for i in range(30)]


def test_blend_is_between_its_voices(tmp_path):
    made = voices.load_styles(styles(tmp_path / "styles"))
    assert "am_santa" not in made and len(made) == len(NAMES)
    a, b = (made[v][41] for v in ("af_one", "bf_two"))
    for share in (0.3, 0.7):
        blend = voices.Speaker(("af_one", "bf_two"), share, "en", False)
        np.testing.assert_allclose(blend.style(made, 42)[0], share * a + (1 - share) * b, rtol=1e-5)
        assert blend.name == f"af_one-bf_two-{round(10 * share)}"
    alone = voices.Speaker(("af_one",), 1.0, "en", False)
    np.testing.assert_array_equal(alone.style(made, 42)[0], a)
    np.testing.assert_array_equal(alone.style(made, 10_000)[0], made["af_one"][-1])


def test_styles_that_are_none_are_refused(tmp_path):
    with pytest.raises(SystemExit, match="no styles"):
        voices.load_styles(tmp_path)
    np.zeros(100, "<f4").tofile(tmp_path / "af_short.bin")
    with pytest.raises(SystemExit, match="af_short.bin: 100 numbers, expected rows of 256"):
        voices.load_styles(tmp_path)


def test_tokens_leave_out_what_the_model_does_not_know():
    vocabulary = {"a": 5, "b": 6}
    assert voices.tokens("ab?a", vocabulary) == [0, 5, 6, 5, 0]
    assert voices.tokens("?a?", vocabulary) == []  # too short
    assert voices.tokens("a" * 401, vocabulary) == [] and len(voices.tokens("a" * 400, vocabulary)) == 402


def test_trim_keeps_the_sound_and_30_ms():
    x = np.zeros(voices.RATE, np.float32)
    x[8000:16000] = 0.5
    y = voices.trim(x)
    assert abs(len(y) - (8000 + 2 * 720)) <= 1 and y[0] == 0 and y[-1] == 0
    assert voices.trim(np.zeros(voices.RATE, np.float32)) is None and voices.trim(x[:0]) is None
    assert voices.trim(x[:9000]) is None  # 40 ms of sound


def rows(folder: Path) -> list[dict]:
    with open(folder / "manifest.csv", newline="") as f:
        return list(csv.DictReader(f))


def test_folder_is_what_data_reads_and_goes_on(tmp_path):
    a = dict(workers=2, made=tone, names=NAMES)
    seconds = voices.fill(job(), tmp_path / "a", lambda items, s: s >= 12, **a)
    first = rows(tmp_path / "a")
    assert sum(seconds.values()) == 12 == len(first) and seconds["valid"] > 0
    assert {r["path"] for r in first} == {str(p.relative_to(tmp_path / "a")) for p in (tmp_path / "a").rglob("*.flac")}
    # More hours add to what is there; a file that is lost is made again; the number of workers changes nothing.
    lost = tmp_path / "a" / first[3]["path"]
    kept = lost.read_bytes()
    lost.unlink()
    with open(tmp_path / "a" / "manifest.csv", "a") as f:
        f.write("cut off,spee")
    voices.fill(job(), tmp_path / "a", lambda items, s: s >= 20, **a)
    voices.fill(job(), tmp_path / "b", lambda items, s: s >= 20, 1, tone, NAMES)
    assert lost.read_bytes() == kept
    assert sorted(r["path"] for r in rows(tmp_path / "a")) == sorted(r["path"] for r in rows(tmp_path / "b"))
    prepare(list_manifest(str(tmp_path / "a" / "manifest.csv")), str(tmp_path / "cache"), 1)
    # Without any recorded noise: the mixer's own generators.
    cache = Cache(str(tmp_path / "cache"), "train")
    assert cache.items["speech", 48000] and all(i["mos"] == 3.3 and i["bandwidth"] == 12000 for i in cache.items["speech", 16000])
    item = Mixer(cache, Recipe(seconds=1.0)).item(np.random.default_rng(3), False)
    assert np.isfinite(item["noisy"]).all() and len(item["noisy"]) == 16000


def test_words_are_said_by_one_speaker_each_take(tmp_path):
    words = job(words=("up", "down", "no"))
    voices.fill(words, tmp_path, lambda items, _: items >= 9, 1, tone, NAMES)
    made = rows(tmp_path)
    assert [re.search(r"-(\w+)\.flac", r["path"])[1] for r in made] == ["up", "down", "no"] * 3
    assert all(len({r["id"] for r in made[k : k + 3]}) == 1 for k in (0, 3, 6)) and len({r["id"] for r in made}) > 1


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "manifest.csv").write_text("path,kind,id\na.wav,speech,anna\n")
    with pytest.raises(SystemExit, match="choose another --out"):
        voices.fill(job(), tmp_path, lambda items, s: s > 1, 1, tone, NAMES)
    assert (tmp_path / "manifest.csv").read_text() == "path,kind,id\na.wav,speech,anna\n"


def test_a_model_that_makes_nothing_is_given_up(tmp_path):
    with pytest.raises(SystemExit, match="made nothing"):
        voices.fill(job(), tmp_path, lambda items, s: s > 1, 1, nothing, NAMES)


@pytest.mark.skipif(not shutil.which("espeak-ng"), reason="espeak-ng is not installed")
def test_other_languages_by_espeak():
    said = voices.phonemes("Giovanni mangia la pizza, ma non parla.", "it")
    assert said.startswith("ʤ") and "ʦ" in said and "," in said and said.endswith(".")
    assert "tʃ" not in voices.phonemes("La leche es buena.", "es") and "ʧ" in voices.phonemes("La leche es buena.", "es")


STYLES = os.environ.get("KOKORO_STYLES", "package/voices")
LACKING = voices.lacking(["en"]) + ([] if Path(STYLES).is_dir() else [f"the styles of npm's kokoro-js in {STYLES} (or KOKORO_STYLES)"])


@pytest.mark.skipif(bool(LACKING), reason=f"Kokoro: {'; '.join(LACKING)}")
def test_with_the_model(tmp_path):
    assert voices.phonemes("no.", "en") == "nˈO."
    words = job(styles=str(Path(STYLES).resolve()), languages=("en",), words=("yes", "quieter"), held=0.0)
    voices.fill(words, tmp_path, lambda items, _: items >= 2, 1)
    made = rows(tmp_path)
    assert [r["text"] for r in made] == ["yes", "quieter"]
    assert all(0.2 < float(r["seconds"]) < 2 and float(r["bandwidth_hz"]) > 8000 for r in made)
    again, flac = voices.make(words, 1)
    assert flac == (tmp_path / made[1]["path"]).read_bytes() and {k: str(v) for k, v in again.items()} == made[1]
