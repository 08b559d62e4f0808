"""Networks of several inputs: whose source is whose, and what must agree."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnprobe.errors import BadInput, RnnprobeError
from rnnprobe.inputs import batching
from rnnprobe.inputs.named import Fields
from rnnprobe.inputs.vocabulary import Vocabulary
from rnnprobe.types import Batch, Entry
from tests.inputs.forms import LETTERS, floats, ids, padded, read, sequences_of

ENTRIES = {"model/enc": Entry((3,), 3, False), "dec": Entry((4,), 5, True), "extra": Entry((), 0, False, steps=2)}
TWO = {"enc": Entry((3,), 3, False), "dec": Entry((4,), 5, True)}
ENC, DEC = floats(4, 2, 5), ids(3, 6, 1)
EXTRA = np.arange(6, dtype="f4").reshape(3, 2)
GIVEN = {"model/enc": ENC, "dec": DEC, "extra": EXTRA}


def same(batches: tuple[Batch, ...], expected: dict[str, Any]) -> None:
    """The main input's sequences and those beside it; what is true of every batch."""
    main = next(iter(expected))
    found = {main: sequences_of(batches)}
    for batch in batches:
        assert list(batch.beside) == list(expected)[1:]
        for beside in batch.beside.values():
            assert (beside.rows.tolist(), beside.names, dict(beside.beside)) == (batch.rows.tolist(), batch.names, {})
    for name in list(expected)[1:]:
        found[name] = sequences_of(tuple(batch.beside[name] for batch in batches))
    for name, sequences in expected.items():
        assert len(found[name]) == len(sequences)
        for one, other in zip(found[name], sequences, strict=True):
            np.testing.assert_array_equal(one, other)


def flat() -> dict[str, np.ndarray]:
    """The arrays by name, padded, with the lengths beside them."""
    return {
        "enc": padded(ENC),
        "enc_lengths": np.array([4, 2, 5]),
        "Dec": padded(DEC),
        "lengths_DEC": np.array([3, 6, 1]),
        "extra": EXTRA,
    }


def write(form: str, path: Path) -> object:
    if form == "npz":
        np.savez(path, **flat())
    elif form == "hdf5":
        with h5py.File(path, "w") as file:
            file.update(flat())
    elif form == "groups":
        with h5py.File(path, "w") as file:
            file["here/model/enc/x"], file["here/model/enc/lengths"] = padded(ENC), [4, 2, 5]
            file["here/dec/ids"], file["here/dec/lengths"] = padded(DEC), [3, 6, 1]
            file["here/extra"] = EXTRA
        return f"{path}:/here"
    elif form == "jsonl":
        lines = [
            {"enc": enc.tolist(), "dec": dec.tolist(), "extra": extra.tolist()}
            for enc, dec, extra in zip(ENC, DEC, EXTRA, strict=True)
        ]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


FORMS = {"npz": ".npz", "hdf5": ".h5", "groups": ".h5", "jsonl": ".jsonl"}


@pytest.mark.parametrize("form", FORMS)
def test_one_source_with_all(form: str, tmp_path: Path) -> None:
    source = write(form, tmp_path / f"a{FORMS[form]}")
    same(read(source, ENTRIES, batch_size=2), GIVEN)
    same(read(source, ENTRIES, select="2,0"), {name: [each[2], each[0]] for name, each in GIVEN.items()})


def test_mappings(tmp_path: Path) -> None:
    np.save(tmp_path / "dec.npy", padded(DEC))
    np.savez(tmp_path / "enc.npz", *ENC)
    same(read(flat(), ENTRIES), GIVEN)
    same(read(GIVEN, ENTRIES), GIVEN)
    source = {
        "enc": tmp_path / "enc.npz",
        "DEC": str(tmp_path / "dec.npy"),
        "extra": {"x": EXTRA},
        "dec_length": "3,6,1",
    }
    same(read(source, ENTRIES), GIVEN)
    source["dec"] = {"ids": padded(DEC), "lengths": [3, 6, 1]}
    same(read({name: source[name] for name in ("enc", "dec", "extra")}, ENTRIES), GIVEN)


def test_lengths_for_all_and_by_name() -> None:
    source = {"enc": padded(ENC), "dec": padded(DEC)}
    cut = {"enc": [enc[:2] for enc in ENC[:2]], "dec": [dec[:2] for dec in DEC[:2]]}
    for read_so in (
        read({**source, "lengths": [2, 2, 1]}, TWO, select=":2"),
        read(source, TWO, lengths=[2, 2, 1], select=":2"),
        read({**source, "lengths": [1, 1, 1]}, TWO, lengths="2 2 1", select=":2"),
    ):
        same(read_so, cut)
    same(read(source, TWO, lengths={"enc": [4, 2, 5], "Dec": "3,6,1"}), {"enc": ENC, "dec": DEC})
    main = read({**source, "dec": np.maximum(padded(DEC), 0)}, TWO, lengths={"enc": [4, 2, 5]})[0]
    assert (main.lengths.tolist(), main.beside["dec"].lengths.tolist()) == ([4, 2, 5], [6, 6, 6])


def test_lengths_for_all_leave_fixed_steps_alone(tmp_path: Path) -> None:
    entries = {"enc": TWO["enc"], "extra": ENTRIES["extra"]}
    expected = {"enc": ENC, "extra": EXTRA}
    source = {"enc": padded(ENC), "extra": EXTRA}
    same(read(source, entries, lengths=[4, 2, 5]), expected)
    same(read({**source, "lengths": [4, 2, 5]}, entries), expected)
    np.savez(tmp_path / "a.npz", **source, lengths=[4, 2, 5])
    same(read(tmp_path / "a.npz", entries), expected)
    rows = zip(padded(ENC).tolist(), EXTRA.tolist(), (4, 2, 5), strict=True)
    lines = [json.dumps({"enc": enc, "extra": extra, "length": length}) for enc, extra, length in rows]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    found = read(tmp_path / "a.jsonl", entries)[0]
    assert (found.lengths.tolist(), found.beside["extra"].lengths.tolist()) == ([4, 2, 5], [2, 2, 2])
    with pytest.raises(BadInput, match="input 'extra': sequence 0 has 1 of the steps; the network takes exactly 2"):
        read(source, entries, lengths={"enc": [4, 2, 5], "extra": [1, 2, 2]})


def test_names() -> None:
    source = {"enc": padded(ENC), "dec": DEC, "names": ["p", "q", "r"]}
    batch = read(source, TWO, select="r,p")[0]
    assert batch.names == batch.beside["dec"].names == ("r", "p")
    source = {"enc": ENC, "dec": {"ids": np.maximum(padded(DEC), 0), "names": np.array(["p", "q", "r"])}}
    batch = read(source, TWO, select="q,r")[0]
    assert batch.names == batch.beside["dec"].names == ("q", "r")
    source["enc"] = {"x": padded(ENC), "names": np.array(["p", "r", "q"])}
    with pytest.raises(BadInput, match="sequence 1 is 'r' in 'enc' and 'q' in 'dec'; expected the same sequences"):
        read(source, TWO)


def test_steps() -> None:
    alike = {"enc": padded(ENC), "dec": np.arange(15).reshape(3, 5) % 5}
    same(read(alike, TWO, steps="1:3"), {"enc": alike["enc"][:, 1:3], "dec": alike["dec"][:, 1:3]})
    with pytest.raises(BadInput) as error:
        read({"enc": ENC, "dec": DEC}, TWO, steps="1:3")
    assert str(error.value) == (
        "--steps takes the same steps of every input, but sequence 0 has 4 steps in 'enc', 3 in 'dec'"
    )
    same(
        read({"enc": ENC, "dec": [DEC[0], DEC[1][:2], DEC[2]]}, TWO, steps="1:3", select="1"),
        {"enc": [ENC[1][1:3]], "dec": [DEC[1][1:2]]},
    )


def test_text_and_vocabularies(tmp_path: Path) -> None:
    (tmp_path / "enc.txt").write_text("ab\ncde\n")
    (tmp_path / "dec.txt").write_text("xy\nz\n")
    other = Vocabulary(("x", "y", "z"), {"x": 0, "y": 1, "z": 2})
    entries = {"enc": Entry((4,), 5, True), "dec": Entry((4,), 3, True)}
    source = {"enc": tmp_path / "enc.txt", "dec": tmp_path / "dec.txt"}
    found = read(source, entries, by="line", vocabulary={"enc": LETTERS, "dec": other})
    same(found, {"enc": [[0, 1], [2, 3, 4]], "dec": [[0, 1], [2]]})
    assert (found[0].vocabulary, found[0].beside["dec"].vocabulary) == (LETTERS.tokens, other.tokens)
    with pytest.raises(BadInput, match="has no 'x'"):
        read(source, {"enc": entries["enc"], "dec": entries["enc"]}, by="line", vocabulary=LETTERS)
    said: list[str] = []
    source = {"enc": tmp_path / "enc.txt", "dec": [np.zeros((2, 3), "f4")] * 2}
    found = read(source, {"enc": entries["enc"], "dec": Entry((3,), 3, False)}, said, by="line", vocabulary=LETTERS)
    assert said == []
    assert found[0].beside["dec"].vocabulary is None


def test_one_input_by_name(tmp_path: Path) -> None:
    one = {"model/enc": ENTRIES["model/enc"]}
    np.save(tmp_path / "a.npy", ENC[0][None])
    same(read({"enc": tmp_path / "a.npy"}, one), {"model/enc": ENC[:1]})
    same(read({"model/enc": {"x": padded(ENC), "lengths": [4, 2, 5]}}, one), {"model/enc": ENC})
    np.savez(tmp_path / "a.npz", enc=padded(ENC), dec=padded(DEC))
    said: list[str] = []
    same(read(tmp_path / "a.npz", one, said, lengths=[4, 2, 5]), {"model/enc": ENC})
    assert said == ["arrays not read beside 'enc': dec"]
    np.savez(tmp_path / "a.npz", **flat())
    same(read(tmp_path / "a.npz", one), {"model/enc": ENC})
    same(read(flat(), one), {"model/enc": ENC})
    (tmp_path / "a.jsonl").write_text('{"enc": [[1, 2, 3]], "name": "p", "y": 1}')
    found = read(tmp_path / "a.jsonl", one, said := [])
    same(found, {"model/enc": [[[1, 2, 3]]]})
    assert (found[0].names, said) == (("p",), [f"{tmp_path}/a.jsonl: fields not read: y"])


def test_what_is_said_names_the_input() -> None:
    enc = np.zeros((3, 2, 3))
    enc[1, 1, 2] = np.nan
    read({"enc": enc, "dec": padded(DEC)}, TWO, said := [], lengths={"dec": [3, 6, 1]})
    assert said == [
        "input 'enc': the input holds nan at sequence 1, step 1, feature 2 of input 'enc'",
        "input 'enc': the input is float64; the network computes with float32, to which it is rounded",
    ]


def test_large_input_names_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "CHECKED_AT_ONCE", 1)
    batch = read({"enc": padded(ENC), "dec": np.full((3, 2), 7)}, TWO)[0]
    with pytest.raises(BadInput, match="id 7 at sequence 0, step 0 of input 'dec' is outside of 0…4"):
        batch.beside["dec"].load(0, 2)


BOTH = {"enc": ENC, "dec": DEC}
HOLDS = "the network takes 'enc' and 'dec': "


@pytest.mark.parametrize(
    ("source", "message", "more"),
    [
        ({"enc": ENC}, f"the mapping holds 'enc'; {HOLDS}'dec' is missing", {}),
        ({"a": ENC, "dec": DEC}, f"holds 'a', 'dec'; {HOLDS}'enc' is missing; 'a' is none", {}),
        ({**BOTH, "y": ENC, "z_lengths": [1]}, f"{HOLDS}'y', 'z_lengths' are none", {}),
        ({}, f"the mapping holds nothing; {HOLDS}'enc', 'dec' are missing", {}),
        (padded(ENC), "one ndarray was given; the network takes 'enc' and 'dec'", {}),
        ([padded(ENC), padded(DEC)], "one list was given", {}),
        ({"enc": ENC[:2], "dec": DEC}, "as many sequences as the others; 'enc' has 2, 'dec' has 3", {}),
        ({"enc": DEC, "dec": ENC}, "input 'enc': ", {"lengths": [9, 1, 1]}),
        ({"enc": padded(ENC)[..., :2], "dec": DEC}, "input 'enc': the input is float32 [3, 5, 2], 2 features", {}),
        ({"enc": ENC, "dec": [np.array([7])] * 3}, "id 7 at sequence 0, step 0 of input 'dec' is outside", {}),
        ({"enc": "no/such.npy", "dec": DEC}, "no/such.npy: input 'enc': no such file", {}),
        (BOTH, "input 'dec': length 4 of sequence 0 is more than its 3 steps", {"lengths": [4, 2, 1]}),
        (BOTH, "input 'dec': there are 2 lengths for 3", {"lengths": {"dec": [1, 1]}}),
        (BOTH, "the mapping of lengths holds 'q'; the network takes 'enc' and 'dec': 'q' is none",
         {"lengths": {"q": [1]}}),
        (BOTH, "the mapping of lengths holds 'enc_lengths'", {"lengths": {"enc_lengths": [1]}}),
        ({**BOTH, "names": ["a"]}, "input 'enc': the input holds 3 sequences and 1 names", {}),
        (BOTH, "--select '7' names no sequence; there are 3", {"select": "7"}),
    ],
)  # fmt: skip
def test_errors(source: object, message: str, more: dict[str, Any]) -> None:
    with pytest.raises(RnnprobeError) as error:
        read(source, TWO, **more)
    assert message in str(error.value)
    assert error.value.status == 2


def test_errors_of_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", enc=padded(ENC), arr_1=padded(DEC))
    np.save(tmp_path / "a.npy", padded(ENC))
    np.savez(tmp_path / "b.npz", enc=padded(ENC)[..., :2], dec=padded(DEC))
    np.savez(tmp_path / "c.npz", enc=np.array([None]), dec=padded(DEC))
    (tmp_path / "a.jsonl").write_text('{"enc": [[1, 2, 3]], "dec": [1]}\n{"enc": [[1, 2, 3]], "dec": ["a"]}')
    (tmp_path / "b.jsonl").write_text('{"enc": [[1, 2, 3]], "dec": [1]}\n[1]')
    (tmp_path / "c.jsonl").write_text('{"enc": [[1, 2, 3]]}')
    (tmp_path / "a.csv").write_text("1,2,3\n")
    for name, message, status in (
        ("a.npz", f"holds 'enc', 'arr_1'; {HOLDS}'dec' is missing; 'arr_1' is none", 2),
        ("a.npz:g", "holds no array at g; there is enc float32 [3, 5, 3]", 2),
        ("a.npy", "holds one input; the network takes 'enc' and 'dec'", 2),
        ("a.csv", "holds one input", 2),
        ("b.npz", "input 'enc': the input is float32 [3, 5, 2], 2 features a step", 2),
        ("c.npz", "input 'enc': 'enc' holds Python objects", 3),
        ("a.jsonl", "input 'dec': is text, which needs a vocabulary", 2),
        ("b.jsonl", "line 2 holds a list; expected an object with a field for each of enc, dec", 2),
        ("c.jsonl", f"line 1 holds 'enc'; {HOLDS}'dec' is missing", 2),
    ):
        with pytest.raises(RnnprobeError) as error:
            read(f"{tmp_path}/{name}", TWO)
        assert str(error.value).startswith(f"{tmp_path}/{name.partition(':')[0]}: ")
        assert message in str(error.value)
        assert error.value.status == status


def test_lines_with_names_and_lengths(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"name": "p", "length": 2, "enc": [[1, 2, 3], [4, 5, 6], [7, 8, 9]], "dec": [1, 2, 3], "dec_length": 1}\n'
        '{"name": "q", "length": 1, "enc": [[1, 2, 3]], "dec": [4, 4], "dec_length": 2}\n'
    )
    found = read(tmp_path / "a.jsonl", TWO)
    same(found, {"enc": [[[1, 2, 3], [4, 5, 6]], [[1, 2, 3]]], "dec": [[1], [4, 4]]})
    assert found[0].names == ("p", "q")


@pytest.mark.parametrize(
    ("names", "inputs", "keys"),
    [
        (["a", "A"], ["A", "a"], {"A": "A", "a": "a"}),
        (["x", "b/x"], ["a/x", "b/x"], {"a/x": "x", "b/x": "b/x"}),
        (["X"], ["a/x"], {"a/x": "X"}),
        (["lengths_in", "in"], ["lengths_in", "in"], {"lengths_in": "lengths_in", "in": "in"}),
    ],
)
def test_matching(names: list[str], inputs: list[str], keys: dict[str, str]) -> None:
    assert Fields.of(names, inputs).keys == keys


@pytest.mark.parametrize(
    ("names", "inputs"), [(["x"], ["a/x", "b/x"]), (["A"], ["a", "B/a", "c/a"]), (["IN", "In"], ["in"])]
)
def test_matching_leaves_no_choice(names: list[str], inputs: list[str]) -> None:
    with pytest.raises(BadInput, match="the network takes"):
        Fields.of(names, inputs)


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, list[np.ndarray]], list[int], int]:
    count = draw(st.integers(1, 5))
    shapes = draw(st.lists(st.lists(st.integers(1, 3), max_size=3).map(tuple), min_size=2, max_size=4))
    random = np.random.default_rng(draw(st.integers(0, 9)))
    sequences = {
        f"in/{number}": [random.normal(size=(draw(st.integers(1, 4)), *shape)) for _ in range(count)]
        for number, shape in enumerate(shapes)
    }
    chosen = draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=count, unique=True))
    return sequences, chosen, draw(st.integers(1, 3))


@given(cases(), st.sampled_from(["mapping", "npz", "hdf5", "jsonl"]))
@settings(max_examples=80, deadline=None)
def test_any_inputs_come_back(case: tuple[dict[str, list[np.ndarray]], list[int], int], form: str) -> None:
    sequences, chosen, size = case
    entries = {name: Entry(each[0].shape[1:], 0, False, "float64") for name, each in sequences.items()}
    arrays = {name: padded(each) for name, each in sequences.items()}
    arrays |= {f"{name}_lengths": np.array([len(one) for one in each]) for name, each in sequences.items()}
    with tempfile.TemporaryDirectory() as folder:
        source: Any = Path(folder) / f"a.{'h5' if form == 'hdf5' else form}"
        if form == "mapping":
            source = dict(sequences)
        elif form == "npz":
            np.savez(source, **arrays)
        elif form == "hdf5":
            with h5py.File(source, "w") as file:
                file.update(arrays)
        else:
            rows = zip(*sequences.values(), strict=True)
            lines = [json.dumps({n: x.tolist() for n, x in zip(sequences, row, strict=True)}) for row in rows]
            source.write_text("\n".join(lines))
        same(
            read(source, entries, batch_size=size, select=chosen),
            {name: [each[row] for row in chosen] for name, each in sequences.items()},
        )
