"""Text, through a vocabulary."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rnnprobe.errors import BadInput
from rnnprobe.inputs import text
from rnnprobe.inputs.vocabulary import Vocabulary
from rnnprobe.types import Entry
from tests.inputs.forms import read, sequences_of


def vocabulary(*tokens: str) -> Vocabulary:
    return Vocabulary(tokens, {token: number for number, token in enumerate(tokens)})


CHARS = vocabulary("a", "b", "ö", "\n", "😀", " ")
WORDS = vocabulary("the", "cat", "sat", "<unk>")


def texts(path: Path, words: Vocabulary, by: str, said: list[str] | None = None, **more: object) -> list[list[str]]:
    entry = Entry((8,), len(words.tokens), True)
    batches = read(path, entry, said, vocabulary=words, by=by, **more)
    assert all(batch.vocabulary == words.tokens for batch in batches)
    return [[words.tokens[number] for number in sequence] for sequence in sequences_of(batches)]


@pytest.fixture(params=[1, 2, 3, 1 << 20])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Bytes read at a time: characters, lines and words lie across their edges."""
    monkeypatch.setattr(text, "_CHUNK", request.param)
    return int(request.param)


def test_characters(tmp_path: Path, chunk: int) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffaö\r\n😀b\n\n".encode())
    said: list[str] = []
    assert texts(path, CHARS, "char", said) == [list("aö\n😀b\n\n")]
    assert said == [f"{path}: \\r\\n is read as \\n, since the vocabulary has no \\r"]


def test_carriage_returns_that_the_vocabulary_has(tmp_path: Path, chunk: int) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\r\nb\r")
    said: list[str] = []
    assert texts(path, vocabulary("\r", "\n", "a", "b"), "char", said) == [list("a\r\nb\r")]
    assert said == []


def test_lines(tmp_path: Path, chunk: int) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\nab\r\n\n\nö\n".encode())
    said: list[str] = []
    assert texts(path, CHARS, "line", said) == [["a", "b"], ["ö"]]
    assert said == [f"{path}: blank lines are left out: 3, the first is line 1"]
    batch = read(path, Entry((8,), 6, True), vocabulary=CHARS, by="line")[0]
    assert batch.names == ("line 2", "line 5")
    assert texts(path, CHARS, "line", select="line 5") == [["ö"]]


def test_words(tmp_path: Path, chunk: int) -> None:
    path = tmp_path / "a.txt"
    path.write_text("the  cat\tsat\n\n the cat")
    assert texts(path, WORDS, "word") == [["the", "cat", "sat", "the", "cat"]]
    assert texts(path, WORDS, "line-word") == [["the", "cat", "sat"], ["the", "cat"]]


@pytest.mark.parametrize("token", ["\n", "<eos>"])
def test_line_breaks_that_are_tokens(tmp_path: Path, chunk: int, token: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(" the cat \n sat \n")
    words = vocabulary("the", "cat", "sat", token)
    said: list[str] = []
    assert texts(path, words, "word", said) == [["the", "cat", token, "sat", token]]
    assert said == [f"{path}: the vocabulary has {token!r}: each line break is that token"]
    assert texts(path, words, "line-word") == [["the", "cat"], ["sat"]]


def test_line_breaks_where_eos_is_written(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the cat <eos>\nsat <eos>\n")
    words = vocabulary("the", "cat", "sat", "<eos>")
    assert texts(tmp_path / "a.txt", words, "word") == [["the", "cat", "<eos>", "sat", "<eos>"]]


def test_unknown(tmp_path: Path, chunk: int) -> None:
    path = tmp_path / "a.txt"
    path.write_text("the dog\nsat on the  mat\n")
    with pytest.raises(BadInput) as error:
        texts(path, WORDS, "word")
    assert str(error.value) == (
        f"{path}: the vocabulary has no 'dog' (line 1, column 5), nor 2 more: 'on', 'mat'; 3 places in all"
    )
    assert error.value.hint == "--unknown '<unk>' reads such tokens as that one"
    said: list[str] = []
    expected = [["the", "<unk>", "sat", "<unk>", "the", "<unk>"]]
    assert texts(path, WORDS, "word", said, unknown="<unk>") == expected
    assert said == [f"{path}: 3 tokens that the vocabulary lacks became '<unk>', the first at line 1, column 5"]
    assert texts(path, WORDS, "word", unknown=3) == expected
    path.write_text("ab\n\nxa\nx")
    with pytest.raises(BadInput, match=r"has no 'x' \(line 3, column 1\); 2 places in all"):
        texts(path, CHARS, "line")
    assert texts(path, CHARS, "line", unknown="b") == [["a", "b"], ["b", "a"], ["b"]]


def test_a_vocabulary_of_another_size(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("ab")
    said: list[str] = []
    read(path, Entry((8,), 9, True), said, vocabulary=CHARS)
    assert said == ["the vocabulary has ids 0…5; the network takes 0…8"]
    said.clear()
    with pytest.raises(BadInput, match="has no 'b'"):
        read(path, Entry((8,), 1, True), said, vocabulary=CHARS)
    assert said == ["the vocabulary has ids 0…5, the network takes 0…0: the rest counts as unknown"]


def test_a_large_text_stays_small(tmp_path: Path) -> None:
    """A byte a character where the vocabulary allows it."""
    import tracemalloc

    path = tmp_path / "a.txt"
    path.write_bytes(b"ab \n" * 2_500_000)
    read(path, Entry((8,), 6, True), vocabulary=CHARS)
    tracemalloc.start()
    batch = read(path, Entry((8,), 6, True), vocabulary=CHARS)[0]
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert batch.steps == 10_000_000
    np.testing.assert_array_equal(batch.load(9_999_996, 10_000_000), [[0, 1, 5, 3]])
    assert held < 12_000_000
    assert peak < 60_000_000


def test_lone_surrogates_in_json(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('"a\\ud800b"')
    with pytest.raises(BadInput, match=r"has no '\\ud800' \(line 1, character 1\)"):
        texts(tmp_path / "a.jsonl", CHARS, "char")
