"""Text from files to windows: reading, dividing, aligning, and what is refused before anything is trained."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micro.config import parse_config
from micro.datasets.alignment import align
from micro.datasets.pairs import divided_pairs
from micro.datasets.text import text_parts
from micro.detection.vocabulary import FIRST, PADDING, UNKNOWN, Vocabulary, windows
from micro.errors import DataError

MODELS = {"teacher": {}, "student": {}}


def parts_of(folder, models=MODELS, **data):
    return text_parts(parse_config({"job": "text", "data": {"files": "*.txt", **data}, **models}, folder))


def pairs_of(folder, **data):
    return parts_of(folder, **{"form": "pairs", "files": "*.tsv", "target_tokens": "characters", **data})


def write_pairs(path, pairs):
    path.write_text("".join(f"{source}\t{target}\n" for source, target in pairs), encoding="utf-8")


@given(st.text(max_size=20), st.integers(0, 5), st.integers(-1, 4))
def test_windows_hold_what_is_around_each_place_and_padding_beyond(text, before, after):
    if before + 1 + after < 1:
        return
    vocabulary = Vocabulary(("a", "b", "é"))
    tokens = vocabulary.tokens(text)
    found = windows(tokens, before, after)
    assert found.shape == (len(text), before + 1 + after)
    for place, row in enumerate(found):
        for offset, token in enumerate(row.tolist()):
            at = place - before + offset
            inside = 0 <= at < len(text)
            wanted = {"a": FIRST, "b": FIRST + 1, "é": FIRST + 2}.get(text[at], UNKNOWN) if inside else PADDING
            assert token == wanted


def test_lower_case_never_changes_how_many_characters_there_are():
    vocabulary = Vocabulary(("i", "σ"), lowercase=True)
    assert vocabulary.tokens("İIΣ").tolist() == [UNKNOWN, FIRST, FIRST + 1]


def test_running_text_is_divided_in_time_and_each_part_sees_itself_alone(tmp_path):
    (tmp_path / "a.txt").write_text("ab" * 450 + "cd" * 50)
    parts = parts_of(tmp_path, context=3, stride=2)
    assert [len(part.x) for part in (parts.train, parts.validation, parts.test)] == [400, 100, 100]
    assert parts.text.vocabulary.characters == ("a", "b")
    assert parts.train.x[0].tolist() == [PADDING] * 3
    assert parts.train.x[1].tolist() == [PADDING, 2, 3]
    assert set(parts.test.labels.tolist()) == {-1}
    assert any("100 characters of the test's 100 are none that training had" in note for note in parts.notes)


def test_windows_without_an_output_are_counted_in_notes(tmp_path):
    (tmp_path / "a.txt").write_text("ab" * 400 + "abcb" * 25 + "ab" * 50)
    notes = parts_of(tmp_path).notes
    assert any("25 validation windows of 100 are left out: no output stands for" in note for note in notes)
    (tmp_path / "a.txt").write_text("aab" * 200 + "c" * 20 + "ab" * 250)
    notes = parts_of(tmp_path, most_characters=2).notes
    assert any("20 training windows of" in note and "are left out" in note for note in notes)


def test_running_text_is_divided_by_files_where_they_are_named(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.txt").write_text(f"{name}x" * 20)
    parts = parts_of(tmp_path, test_files="c.txt", validation_files="b.txt", limit=7)
    assert set(parts.train.origins) == {"a.txt"}
    assert len(parts.train.x) == 7
    assert set(parts.test.origins) == {"c.txt"}
    assert any("7 of 40 training windows are learned from (limit)" in note for note in parts.notes)


def test_a_text_in_two_parts_is_refused_with_both_files(tmp_path):
    words = np.random.default_rng(0).choice(list("abcdef "), 4000)
    text = "".join(words)
    (tmp_path / "a.txt").write_text(text)
    (tmp_path / "b.txt").write_text(text[::-1])
    (tmp_path / "copy.txt").write_bytes(b"\xef\xbb\xbf" + text.replace(" ", " ").encode() + b"\n")
    (tmp_path / "part.txt").write_text(text[500:1500])
    for name in ("copy.txt", "part.txt"):
        with pytest.raises(DataError, match=rf"a\.txt \(training\) and {name} \(test\) hold the same text"):
            parts_of(tmp_path, files=["a.txt", "b.txt", name], test_files=name)
    # Divided by beginnings and ends, copies are divided alike; what repeats is no copy.
    parts_of(tmp_path, files=["a.txt", "copy.txt"])
    (tmp_path / "part.txt").write_text("the quick brown fox " * 50)
    (tmp_path / "long.txt").write_text("the quick brown fox " * 90)
    parts_of(tmp_path, files=["long.txt", "b.txt", "part.txt"], test_files="part.txt")


def test_a_teacher_may_see_more_than_its_student(tmp_path):
    (tmp_path / "a.txt").write_text("the quick brown fox " * 50)
    models = {"teacher": {"context": 9}, "student": {"context": 4}}
    parts = parts_of(tmp_path, models)
    assert (parts.text.teacher.length, parts.text.student.length, parts.train.x.shape[1]) == (9, 4, 9)


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 11)), min_size=1, max_size=30), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_alignments_spell_their_targets_and_are_missing_only_where_there_is_none(lengths, seed):
    rng = np.random.default_rng(seed)
    sources = [rng.integers(0, 4, letters).tolist() for letters, _ in lengths]
    targets = [rng.integers(0, 3, tokens).tolist() for _, tokens in lengths]
    for source, target, chunks in zip(sources, targets, align(sources, targets, 4, 3)[0]):
        assert (chunks is None) == (len(target) > 2 * len(source))
        if chunks is not None:
            assert len(chunks) == len(source)
            assert max(map(len, chunks)) <= 2
            assert [token for chunk in chunks for token in chunk] == target


def test_one_long_target_takes_no_memory():
    """Padded to it, the pairs would take 12 GB."""
    sources, targets = [[0, 1, 2]] * 1000, [[0, 1, 2]] * 999 + [[0] * 500_000]
    chunks = align(sources, targets, 3, 3)[0]
    assert chunks[-1] is None
    assert chunks[0] == [(0,), (1,), (2,)]


def test_no_part_is_larger_than_its_share_whatever_the_groups(tmp_path):
    words = [f"{letter}{letter}x" for letter in "cdefghijklmnopqrstuvwyz"]
    write_pairs(tmp_path / "a.tsv", [(f"a{'b' * n}", "ab") for n in range(95)] + [(word, word[1:]) for word in words])
    data = parse_config(
        {"job": "text", "data": {"form": "pairs", "files": "*.tsv", "target_tokens": "characters"}, **MODELS}, tmp_path
    ).data
    for seed in range(60):
        parts = divided_pairs(data, seed)
        assert 1 <= len(parts.test) <= 12
        assert 1 <= len(parts.validation) <= 12


def test_words_that_all_hang_together_are_not_divided(tmp_path):
    write_pairs(tmp_path / "a.tsv", [(f"a{'b' * n}", "ab") for n in range(20)])
    with pytest.raises(DataError, match="name test_files"):
        pairs_of(tmp_path)


def test_letters_are_aligned_with_what_they_become():
    """x becomes two tokens, h none, every other letter its own."""
    rng = random.Random(0)
    words = ["".join(rng.choices("abchx", k=rng.randint(2, 7))) for _ in range(300)]
    becomes = {"a": [0], "b": [1], "c": [2], "h": [], "x": [3, 4]}
    sources = [["abchx".index(letter) for letter in word] for word in words]
    targets = [list(itertools.chain(*(becomes[letter] for letter in word))) for word in words]
    found = align(sources, targets, 5, 5)[0]
    exact = sum(chunks == [tuple(becomes[letter]) for letter in word] for word, chunks in zip(words, found))
    assert exact > 0.95 * len(words)


def typos(count, seed=0):
    rng = random.Random(seed)
    pairs = []
    for _ in range(count):
        word = "".join(rng.choices("abcdefgh", k=rng.randint(4, 8)))
        at = rng.randrange(len(word))
        pairs += [(word[:at] + word[at + 1 :], word), (word[:at] + word[at] * 2 + word[at + 1 :], word)]
    return pairs


@pytest.mark.parametrize("target_tokens", ["characters", "words"])
def test_no_word_is_on_two_sides_and_what_is_left_out_is_counted(tmp_path, target_tokens):
    write_pairs(tmp_path / "a.tsv", [(a, b if target_tokens == "characters" else " ".join(b)) for a, b in typos(100)])
    parts = pairs_of(tmp_path, target_tokens=target_tokens, most_symbols=20)
    tested = {pair.source for pair in parts.text.pairs}
    words = {"".join(pair.target) for pair in parts.text.pairs}
    assert 10 <= len(parts.text.pairs) <= 30
    learned = sum(map(len, (pair[0] for pair in typos(100) if pair[0] not in tested)))
    assert len(parts.train.x) + len(parts.validation.x) <= learned
    if target_tokens == "characters":
        assert not words & {word for source, word in typos(100) if source not in tested}
    assert any("are not learned from: they need rarer outputs" in note for note in parts.notes)
    assert len(parts.text.symbols) == 20
    again = pairs_of(tmp_path, target_tokens=target_tokens, most_symbols=20)
    assert np.array_equal(again.train.x, parts.train.x)
    assert again.text.pairs == parts.text.pairs


def test_training_pairs_whose_word_is_in_the_named_test_are_left_out(tmp_path):
    write_pairs(tmp_path / "train.tsv", [*typos(60), ("xyyx", "xyx"), ("abba", "aba")])
    write_pairs(tmp_path / "val.tsv", typos(10, seed=1))
    write_pairs(tmp_path / "test.tsv", [("xyyx", "yyy"), ("qaba", "aba"), ("toolong", "a" * 40)])
    parts = pairs_of(tmp_path, test_files="test.tsv", validation_files="val.tsv")
    assert any("2 pairs of training were left out, as validation or test has the same word" in n for n in parts.notes)
    assert [pair.source for pair in parts.text.pairs] == ["xyyx", "qaba", "toolong"]
    assert len(parts.test.x) == 4 + 4 + 7


@pytest.mark.parametrize(
    ("content", "data", "says"),
    [
        (b"abc\xff", {}, "a.txt, line 1: not UTF-8 (byte 0xff)"),
        (b"ab\ncd\xe9\n", {}, "a.txt, line 2: not UTF-8"),
        (b"\xef\xbb\xbfabc\xff", {}, "a.txt, line 1: not UTF-8 (byte 0xff)"),
        (b"\xef\xbb\xbfab\n\xff", {}, "a.txt, line 2: not UTF-8 (byte 0xff)"),
        (b"ab\ncd\0e\n", {}, "a.txt, line 2: a null character"),
        (b"a\tx\nb\ty\0\n", {"form": "pairs"}, "a.txt, line 2: a null character"),
        (b"", {}, "a.txt is empty"),
        (b" \n\n", {}, "a.txt is empty"),
        (b"aaaaaaaaaaaaaaaaaaaaaa", {}, "holds one character alone, 'a'"),
        (b"ab", {}, "part holds no character"),
        (b"abab" * 9, {"test_files": "b.txt"}, "test_files: 'b.txt' matches none of 1 file"),
        (b"abab" * 9, {"test_files": "a.txt"}, "leaves no file to train on"),
        (b"a\tb\nab\n", {"form": "pairs"}, "a.txt, line 2: no tab"),
        (b"a\tb\tc\n", {"form": "pairs"}, "a.txt, line 1: 2 tabs"),
        (b"a\t\n", {"form": "pairs"}, "a.txt, line 1: the target is empty"),
        (b"\tb\n", {"form": "pairs"}, "a.txt, line 1: the source is empty"),
        (b"a" * 300 + b"\tb\n", {"form": "pairs"}, "a.txt, line 1: a source of 300 characters"),
        (b"a\tb\n", {"form": "pairs"}, "all of them are of one word"),
        (b"a\tx\nb\tx\nc\tx\nd\tx\n", {"form": "pairs"}, "one output alone"),
        (b"a\tx x x\nb\ty y y\nc\tz z z\nd\tx y z\n", {"form": "pairs"}, "at most two tokens"),
        (b"a\tx\nb\ty\nc\tx\nd\ty\n", {"form": "pairs", "unlabeled_files": "no.txt"}, "no file matches 'no.txt'"),
    ],
)
def test_bad_files_end_before_training_and_are_named(tmp_path, content, data, says):
    (tmp_path / "a.txt").write_bytes(content)
    level = {"distill": {"level": "both"}} if "unlabeled_files" in data else {}
    with pytest.raises(DataError) as error:
        parts_of(tmp_path, {**MODELS, **level}, **data)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"data": {"before": 3}}, 'before is for form = "pairs"'),
        ({"data": {"form": "pairs", "context": 3}}, 'context is for form = "text"'),
        ({"student": {"before": 1}}, 'student.before is not for form = "text"'),
        ({"data": {"form": "pairs"}, "teacher": {"context": 1}}, 'teacher.context is not for form = "pairs"'),
        ({"teacher": {"path": "a.keras"}}, "teacher.path is not for task 'sequence'"),
        ({"detect": {"history": 2}}, "[detect] is for an alarm, and this sequence raises none"),
        ({"recognize": {"history": 2}}, "[recognize] is for a classification"),
        ({"estimate": {"coverage": 0.8}}, "[estimate] is for task 'regression'"),
        ({"features": {"bands": 3}}, "[features] is for recordings"),
        ({"teacher": {"features": {"window": 512}}}, "teacher.features is not for task 'sequence'"),
        ({"teacher": {"columns": ["x"]}}, "teacher.columns is not for task 'sequence'"),
        (
            {"augment": {"copies": 2, "layers": [{"class": "RandomGain", "low": 0.5, "high": 2.0}]}},
            "[augment] is for recordings",
        ),
        ({"distill": {"level": "both"}}, 'distill.level is for form = "pairs"'),
        (
            {"data": {"form": "pairs"}, "distill": {"level": "sequence", "recipe": "dkd", "temperature": 7}},
            'distill.recipe is not for level = "sequence"',
        ),
        ({"data": {"form": "pairs"}, "distill": {"level": "sequence", "recipe": "auto"}}, "distill.recipe is not for"),
        (
            {"data": {"form": "pairs"}, "distill": {"level": "sequence", "objective": "logit_matching"}},
            "distill.objective is not for",
        ),
        ({"data": {"form": "pairs"}, "distill": {"level": "sequence", "temperature": 7}}, "distill.temperature is not"),
        ({"data": {"form": "pairs"}, "distill": {"level": "sequence", "weight": 0.3}}, "distill.weight is not for"),
        ({"data": {"form": "pairs"}, "distill": {"level": "sequence", "hard_weight": 1}}, "distill.hard_weight is not"),
        ({"data": {"form": "pairs", "unlabeled_files": "a"}}, "data.unlabeled_files are learned from with"),
        ({"student": {"family": "gru"}}, "family 'gru' is for a teacher"),
        ({"teacher": {"detectors": ["neighbors"]}}, "teacher.detectors are for task 'anomaly'"),
        ({"data": {"form": "letters"}}, "form"),
        ({"distill": {"objective": "reconstruction"}}, "does not suit task 'sequence'"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_name(tmp_path, changes, says):
    raw = {"job": "text", **MODELS, **changes, "data": {"files": "*.txt", **changes.get("data", {})}}
    with pytest.raises(ValueError, match=r"^config") as error:
        parse_config(raw, tmp_path)
    assert says in str(error.value)


@pytest.mark.parametrize("setting", [{"embedding": 4}, {"context": 3}, {"before": 1}, {"after": 0}])
def test_settings_of_text_are_refused_elsewhere(setting):
    with pytest.raises(
        ValueError, match=f"student.{next(iter(setting))} is for task 'sequence', and task is 'anomaly'"
    ):
        parse_config({"job": "rig", "data": {}, "teacher": {}, "student": {"sizes": [4], **setting}})
    with pytest.raises(ValueError, match=r"distill\.level is for task 'sequence'"):
        parse_config({"job": "rig", "data": {}, "teacher": {}, "student": {"sizes": [4]}, "distill": {"level": "both"}})
