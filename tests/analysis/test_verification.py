"""Two streams of blocks held against each other: what is largest, where it is, and where it begins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rnnprobe.analysis import verification
from rnnprobe.analysis.comparison import Comparer, compare
from rnnprobe.analysis.verification import first_beyond, refuse_foreign, report
from rnnprobe.cells import CELLS
from rnnprobe.errors import BadInput
from rnnprobe.types import Batch, Block, Signal

from ..cells.made import layer, network

BY_NAME = {cell.name: cell for cell in CELLS}
LSTM = layer(BY_NAME["keras_lstm"], "lstm")
BACK = replace(layer(BY_NAME["keras_gru"], "back"), direction="backward")


def batch(sequences: int, steps: int, start: int = 0) -> Batch:
    names = tuple(map(str, range(start, start + sequences)))
    return Batch(
        np.arange(start, start + len(names)),
        names,
        np.full(sequences, steps),
        steps,
        (1,),
        lambda a, b: np.zeros(0),
        "float32",
    )


def made(of: Batch, seed: int = 1, units: int = 4) -> dict:
    random = np.random.default_rng(seed)
    shape = (of.steps, len(of.names), units)
    return {
        "lstm": {name: random.normal(size=shape).astype("f") for name in ("c", "h", "f_pre", "f")},
        "back": {name: random.normal(size=shape).astype("f") for name in ("h", "z")},
    }


def stretched(whole: Block, size: int) -> list[Block]:
    """The same in stretches: forward layers in the order of time, backward ones from the end."""
    starts = range(0, whole.batch.steps, size)
    forward = {"lstm": whole.signals["lstm"]}
    backward = {"back": whole.signals["back"]}
    cut = lambda signals, t: {la: {s: a[t : t + size] for s, a in of.items()} for la, of in signals.items()}  # noqa: E731
    blocks = [Block(whole.batch, t, cut(forward, t)) for t in starts]
    blocks += [Block(whole.batch, t, cut(backward, t)) for t in reversed(starts)]
    blocks[-1] = replace(blocks[-1], final=whole.final, outcomes=whole.outcomes)
    return blocks


def pair(change=None, size: int = 100):
    """Two batches as they are expected, and ours after `change(signals of the second batch)`."""
    first, second = batch(3, 7), batch(2, 5, 3)
    expected = [
        Block(one, 0, made(one, seed), final={"lstm": {"h": np.ones((len(one.names), 4), "f")}})
        for seed, one in enumerate((first, second))
    ]
    signals = made(second, 1)
    if change is not None:
        change(signals)
    ours = [*stretched(expected[0], size), *stretched(replace(expected[1], signals=signals), size)]
    return ours, expected


def rows(comparison) -> dict:
    return {(one.layer, one.signal): one for one in comparison.differences}


@pytest.mark.parametrize("size", [1, 2, 100])
def test_the_same_agrees_whatever_the_blocks(size):
    ours, expected = pair(size=size)
    found = compare(ours, expected, (LSTM, BACK), 0.0)
    assert found.agrees
    assert found.compared == 6 * 4 * (3 * 7 + 2 * 5) + 4 * (3 + 2)
    assert [(one.layer, one.signal) for one in found.differences] == [
        *(("lstm", name) for name in ("c", "h", "f_pre", "f", "final h")),
        *(("back", name) for name in ("h", "z")),
    ]
    verified = verification.verification(found)
    assert (verified["status"], verified["largest"], verified["tolerance"]) == ("verified", 0.0, 0.0)


@pytest.mark.parametrize("size", [1, 2, 100])
def test_where_it_is_largest_and_where_it_begins(size):
    def change(signals):
        signals["lstm"]["c"][2:, 1, 3] += 0.5
        signals["lstm"]["c"][4, 0, 2] -= 2
        signals["back"]["h"][:4, 0] += 0.1

    ours, expected = pair(change, size)
    found = compare(ours, expected, (LSTM, BACK), 1e-5)
    assert not found.agrees
    c, back = rows(found)["lstm", "c"], rows(found)["back", "h"]
    assert (c.where, c.first, c.beyond) == ((3, 4, (2,)), (4, 2), 4)
    assert c.largest == pytest.approx(2)
    assert back.first == (3, 3), "a backward layer begins at the end"
    assert (c.place, back.place) == ((3,), (0,)), "the first unit that is beyond where it begins"
    ours_there, expected_there = c.values
    assert expected_there == expected[1].signals["lstm"]["c"][2, 1, 3]
    assert ours_there == pytest.approx(expected_there + 0.5)
    assert (c.along, back.along) == (2, -3)
    assert rows(found)["lstm", "h"].first is None
    assert first_beyond(found) == "lstm c first at sequence 4, step 2; up to 2.00 apart"
    verified = verification.verification(found, ["a note"])
    assert verified["status"] == "differs"
    assert "lstm c first at sequence 4, step 2" in str(verified["reason"])
    assert str(verified["reason"]).endswith("; a note")
    assert (verified["largest_layer"], verified["largest_signal"]) == ("lstm", "c")


def test_the_cause_within_a_step_comes_first():
    def change(signals):
        for name in ("c", "h", "f_pre", "f"):
            signals["lstm"][name][1:] += 1

    found = compare(*pair(change), (LSTM, BACK), 1e-5)
    assert first_beyond(found).startswith("lstm f_pre first at sequence 3, step 1")


def test_the_tolerance_grows_with_the_signal():
    def change(signals):
        signals["lstm"]["c"][0, 0, 0] += 0.05

    ours, expected = pair(change)
    assert not compare(ours, expected, (LSTM, BACK), 1e-3).agrees
    large = [replace(one, signals={**one.signals, "lstm": {"c": one.signals["lstm"]["c"] * 100}}) for one in expected]
    for block in ours:
        if "lstm" in block.signals:
            block.signals["lstm"]["c"] *= 100
    found = compare(ours, large, (LSTM, BACK), 1e-1)
    c = rows(found)["lstm", "c"]
    assert c.largest == pytest.approx(5, rel=1e-3)
    assert c.allowed == pytest.approx(10 * np.abs(expected[1].signals["lstm"]["c"]).max(), rel=1e-5)
    assert c.beyond == 0


def test_what_is_allowed_for_one_signal_and_blocks_of_the_expected_that_begin_later():
    def change(signals):
        signals["lstm"]["c"] += 0.05
        signals["lstm"]["h"] += 0.05

    ours, expected = pair(change, 2)
    comparer = Comparer((LSTM, BACK), 1e-5, {("signal", "lstm", "c"): 0.06})
    for block in ours:
        whole = next(one for one in expected if one.batch.first == block.batch.first)
        stop = block.start + 2
        signals = {name: {s: a[block.start : stop] for s, a in of.items()} for name, of in whole.signals.items()}
        comparer.add(block, replace(whole, start=block.start, signals=signals))
    c, h = rows(comparer.comparison)["lstm", "c"], rows(comparer.comparison)["lstm", "h"]
    assert (c.beyond, c.allowed) == (0, 0.06)
    assert (h.beyond, h.first) == (5 * 2 * 4, (3, 0))


def test_a_value_on_one_side_alone_is_beyond_any_tolerance():
    def change(signals):
        signals["lstm"]["f"][3, 1] = np.nan

    found = compare(*pair(change), (LSTM, BACK), 1e9)
    f = rows(found)["lstm", "f"]
    assert (f.largest, f.first, f.beyond) == (np.inf, (4, 3), 4)
    ours, expected = pair()
    for block in (*ours, *expected):
        for signals in block.signals.values():
            for array in signals.values():
                array[:, 1] = np.nan
                array[0, 0, 0] = np.inf
    found = compare(ours, expected, (LSTM, BACK), 0.0)
    assert found.agrees, "NaN on both sides is nothing to compare, the same infinity no difference"
    assert found.compared == 6 * 4 * (2 * 7 + 5) + 4 * (3 + 2)


def test_steps_that_the_original_has_not():
    ours, expected = pair()
    short = [
        replace(one, signals={k: {s: a[:3] for s, a in of.items()} for k, of in one.signals.items()})
        for one in expected
    ]
    found = compare(ours, short, (LSTM, BACK), 1e-5)
    assert rows(found)["lstm", "h"].first == (0, 3)


def test_outputs_and_final_states():
    ours, expected = pair()
    outcome = np.ones((2, 5, 3), "f")
    expected[1] = replace(expected[1], outcomes={"out": outcome, "other": outcome})
    wrong = outcome.copy()
    wrong[1, 2, 0] = 4
    final = {"lstm": {"h": np.full((2, 4), 1.25, "f")}}
    ours[-1] = replace(ours[-1], outcomes={"out": wrong, "other": wrong[:, :2]}, final=final)
    found = compare(ours, expected, (LSTM, BACK), 1e-5)
    by_name = rows(found)
    assert by_name["out", "output"].where == (4, None, (2, 0))
    assert by_name["lstm", "final h"].where == (3, None, (0,))
    assert by_name["lstm", "final h"].first == (3, None)
    assert found.missing == ("output other was not compared: [2, 2, 3] here, [2, 5, 3] from the original",)
    assert first_beyond(found).startswith("lstm final h first at sequence 3;")


@pytest.mark.parametrize("size", [1, 100])
def test_blocks_are_handed_on_as_they_are(size):
    ours, expected = pair(size=size)
    comparer = Comparer((LSTM, BACK), 0.0)
    passed = comparer.over(iter(ours), iter(expected))
    assert next(passed) is ours[0]
    early = comparer.comparison.compared
    assert 0 < early < compare(ours, expected, (LSTM, BACK), 0.0).compared
    assert list(passed) == ours[1:]
    assert comparer.comparison == compare(ours, expected, (LSTM, BACK), 0.0)


def test_an_original_that_ends_early_is_a_fault():
    ours, expected = pair()
    with pytest.raises(RuntimeError, match="nothing of the batch at 3"):
        compare(ours, expected[:1], (LSTM, BACK), 1e-5)


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("differs", [False, True])
def test_an_original_that_fails(after, differs):
    ours, expected = pair()
    if differs:
        expected[0].signals["lstm"]["c"] = expected[0].signals["lstm"]["c"] + 1

    def failing():
        yield from expected[:after]
        raise BadInput("the operation Foo failed", path="model.pb")

    comparer = Comparer((LSTM, BACK), 1e-5)
    with pytest.raises(BadInput, match="Foo failed"):
        list(comparer.over(ours, failing()))
    comparer = Comparer((LSTM, BACK), 1e-5)
    assert list(comparer.over(ours, failing(), forgiving=True)) == ours
    found = comparer.comparison
    assert not found.agrees
    said = verification.verification(found)
    assert said["status"] == ("differs" if differs and after else "not verified")
    assert "the original could not be run to its end: model.pb: the operation Foo failed" in said["reason"]


def test_what_a_difference_is_of():
    ours, expected = pair()
    outcome = np.ones((2, 5, 3), "f")
    expected[1] = replace(expected[1], outcomes={"final h": outcome})
    ours[-1] = replace(ours[-1], outcomes={"final h": outcome}, final={"lstm": {"h": np.ones((2, 4), "f")}})
    kinds = {(one.kind, one.layer, one.name) for one in compare(ours, expected, (LSTM, BACK), 1e-5).differences}
    assert kinds >= {("final", "lstm", "h"), ("output", "final h", ""), ("signal", "lstm", "h")}


def test_signals_of_any_shape():
    one = batch(3, 7)
    random = np.random.default_rng(0)
    signals = {"n": random.normal(size=(7, 3)), "m": random.normal(size=(7, 3, 2, 4)), "other": np.zeros((7, 3, 5))}
    final = {"n": random.normal(size=3)}
    changed = {name: values.copy() for name, values in signals.items()}
    changed["n"][4, 2] += 1
    changed["m"][5, 1, 1, 3] += 1
    changed["other"] = np.zeros((7, 3, 6))
    expected = Block(one, 0, {"lstm": signals}, final={"lstm": final})
    found = compare([replace(expected, signals={"lstm": changed})], [expected], (LSTM,), 1e-5)
    assert rows(found)["lstm", "n"].where == (2, 4, ())
    assert rows(found)["lstm", "m"].where == (1, 5, (1, 3))
    assert rows(found)["lstm", "final n"].compared == 3
    assert found.missing == ("lstm other was not compared: [3, 6] here, [3, 5] from the original",)
    (report_of_signals, _) = report(found, verification.verification(found))
    assert [row["unit"] for row in report_of_signals.rows] == [None, [1, 3], None]


def test_the_cause_within_a_step_comes_first_whatever_the_names():
    cell = replace(LSTM.cell, signals=(Signal("m", "state"), Signal("a", "inner"), Signal("zz", "pre")))
    one = batch(1, 3)
    signals = {name: np.zeros((3, 1, 2)) for name in ("m", "a", "zz")}
    wrong = {name: values + 1 for name, values in signals.items()}
    found = compare(
        [Block(one, 0, {"lstm": wrong})], [Block(one, 0, {"lstm": signals})], (replace(LSTM, cell=cell),), 0.1
    )
    assert first_beyond(found).startswith("lstm zz first")


def test_the_tolerance_is_that_of_what_the_original_is():
    assert verification.tolerance(network(LSTM)) == 1e-5
    assert verification.tolerance(network(layer(BY_NAME["gru"]))) == 1e-4


def test_the_words_of_what_was_not_verified():
    assert verification.unverified("why") == {"status": "not verified", "reason": "why"}


def test_nothing_compared_is_not_verified():
    ours, expected = pair()
    found = compare(ours, [replace(one, signals={}, final={}) for one in expected], (LSTM, BACK), 1e-5)
    assert not found.agrees
    assert len(found.missing) == 7
    assert "lstm final h was not compared: the original does not show it" in found.missing
    assert verification.verification(found)["status"] == "not verified"


def test_the_report_has_a_row_for_each_signal():
    def change(signals):
        signals["lstm"]["c"][2:, 1, 3] += 0.5

    found = compare(*pair(change), (LSTM, BACK), 1e-5)
    signals, verified = report(found, verification.verification(found))
    assert len(signals.rows) == 7
    by_name = {(row["layer"], row["signal"]): row for row in signals.rows}
    assert by_name["lstm", "c"]["agrees"] is False
    assert by_name["lstm", "c"]["first_step"] == 2
    assert by_name["lstm", "c"]["unit"] == 3
    assert by_name["lstm", "h"]["first_step"] is None
    assert "1.00e-05" in signals.notes[0]
    assert verified.rows[0]["status"] == "differs"
    for row in signals.rows:
        for column in signals.columns:
            if row[column.key] is not None:
                assert column.text(row[column.key])


def test_what_is_none_of_keras_is_refused_by_name():
    refuse_foreign(network(LSTM))
    with pytest.raises(BadInput, match="only Keras models can; layer is a GRU"):
        refuse_foreign(network(layer(BY_NAME["gru"])))
