"""Whatever is written is read back, from every output."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnprobe import outputs
from rnnprobe.errors import BadInput, CannotWrite, RnnprobeError
from rnnprobe.inputs import filters
from rnnprobe.outputs import Output, Trace
from rnnprobe.outputs.compression import Compression
from rnnprobe.outputs.layout import storable
from rnnprobe.outputs.output import by_suffix
from rnnprobe.types import Array, Block, Feed, Mask, Recording, Value
from tests.outputs.recordings import blocks, foreign, layer, outcome, recording, unseen, whole

CONVOLUTIONAL = layer("conv", "lstm", 2, space=(3, 2))
LAYERS = (
    layer("rnn/a"),
    layer("rnn/b", "lstm", 5, "backward", 2),
    layer("gru", "gru", 4),
    layer("simple", "keras_simple_rnn", 2, "backward"),
)
COMPRESSIONS = [None, "gzip", "lzf", *(["bitshuffle-lz4"] if filters.available(filters.BITSHUFFLE) else [])]
Arrays: TypeAlias = dict[str, dict[str, Array]]
each_output = pytest.mark.parametrize("output", outputs.OUTPUTS, ids=lambda output: output.name)


def write(path: Path, what: Recording, arrays: Arrays, stretch: int = 4, **options: object) -> Trace:
    """Writes a trace and opens it; not compressed where its output can't be."""
    names = by_suffix(path, outputs.OUTPUTS).compressions
    if options.get("compress") not in names:
        options["compress"] = None
    with outputs.open(path, what, **options) as sink:  # type: ignore[arg-type]
        for block in blocks(what, arrays, stretch):
            sink.write(block)
    return outputs.load(path)


def recorded(trace: Trace) -> Arrays:
    """Every array of every layer, under the names that `whole` uses."""
    return {
        name: {
            key: np.asarray(values)
            for key, values in (
                *one.signals.items(),
                *((f"initial {state}", values) for state, values in one.initial.items()),
                *((f"final {state}", values) for state, values in one.final.items()),
            )
        }
        for name, one in trace.layers.items()
    } | ({"": {name: np.asarray(values) for name, values in trace.outputs.items()}} if trace.outputs else {})


def same(found: Arrays, expected: Arrays) -> None:
    assert {name: set(own) for name, own in found.items()} == {name: set(own) for name, own in expected.items()}
    for name, own in expected.items():
        for key, values in own.items():
            np.testing.assert_array_equal(found[name][key], values, f"{name} {key}")


@each_output
@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.lists(st.integers(0, 23), min_size=1, max_size=4), min_size=1, max_size=3),
    stretch=st.integers(1, 30),
    chosen=st.sets(st.integers(0, len(LAYERS) - 1), min_size=1),
    vocabulary=st.none() | st.lists(st.text(max_size=3), min_size=1, max_size=5).map(tuple),
    compress=st.sampled_from(COMPRESSIONS),
)
def test_what_is_written_is_read(
    output: Output,
    lengths: list[list[int]],
    stretch: int,
    chosen: set[int],
    vocabulary: tuple[str, ...] | None,
    compress: str | None,
) -> None:
    what = recording([LAYERS[number] for number in sorted(chosen)], lengths, vocabulary=vocabulary)
    arrays = whole(what)
    with TemporaryDirectory() as folder:
        trace = write(Path(folder) / f"trace{output.suffixes[0]}", what, arrays, stretch, compress=compress)
        same(recorded(trace), arrays)
        assert trace.lengths.tolist() == [length for row in lengths for length in row]
        assert trace.names == tuple(name for batch in what.batches for name in batch.names)
        for batch in what.batches:
            name, fill = ("x", np.nan) if vocabulary is None else ("ids", -1)
            found = np.asarray(trace.inputs[name])[batch.rows]
            loaded = batch.load(0, batch.steps)
            for row, length in enumerate(batch.lengths):
                np.testing.assert_array_equal(found[row, :length], loaded[row, :length])
                np.testing.assert_array_equal(found[row, length:], np.full_like(found[row, length:], fill))


def check_rich(trace: Trace, what: Recording, arrays: Arrays) -> None:
    """Timelines, spaces, outputs and other inputs came as they were announced."""
    same(recorded(trace), arrays)
    for each in what.layers:
        assert trace.layers[each.name].lengths.tolist() == what.lengths_of(each.name).tolist()
        assert trace.layers[each.name].own_time == (each.name in what.lengths)
    assert list(trace.outputs) == [one.name for one in what.outcomes]
    lengths = {one.name: one.lengths.tolist() for one in what.outcomes if one.lengths is not None}
    assert {name: found.tolist() for name, found in trace.output_lengths.items()} == lengths
    others = set(what.batches[0].beside)
    assert set(trace.beside) == others
    for batch in what.batches:
        rows = batch.rows
        for inputs, part in ((trace.inputs, batch), *((trace.beside[name], batch.beside[name]) for name in others)):
            np.testing.assert_array_equal(np.asarray(inputs["lengths"])[rows], part.lengths)
            found, loaded = np.asarray(inputs["x"])[rows], part.load(0, part.steps)
            for row, length in enumerate(part.lengths):
                np.testing.assert_array_equal(found[row, :length], loaded[row, :length])
                assert np.isnan(found[row, length:]).all()


SHAPES = st.lists(st.integers(1, 4), max_size=3).map(tuple)


@st.composite
def rich(draw: st.DrawFn) -> Recording:
    """Recordings with everything that a model may have."""
    lengths = draw(st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=3), min_size=1, max_size=3))
    count = sum(map(len, lengths))
    some = st.lists(st.integers(0, 12), min_size=count, max_size=count)
    layers = [
        layer(name, cell, draw(st.integers(1, 3)), direction, space=draw(SHAPES))
        for name, cell, direction in (("a", "gru", "forward"), ("b/c", "basic_lstm", "backward"))
    ]
    return recording(
        layers,
        lengths,
        record=draw(st.sampled_from([("h",), ("h", "c", "i")])),
        shape=draw(SHAPES),
        own={each.name: draw(some) for each in layers if draw(st.booleans())},
        outcomes=[outcome(name, draw(SHAPES), draw(st.none() | some)) for name in ("y", "y_time", "time")],
        beside={name: draw(some) for name in ("x", "x_feature")},
    )


@each_output
@settings(max_examples=25, deadline=None)
@given(what=rich(), stretch=st.integers(1, 15), compress=st.sampled_from(COMPRESSIONS))
def test_what_is_written_is_read_with_timelines_spaces_and_outputs(
    output: Output, what: Recording, stretch: int, compress: str | None
) -> None:
    arrays = whole(what)
    with TemporaryDirectory() as folder:
        trace = write(Path(folder) / f"trace{output.suffixes[0]}", what, arrays, stretch, compress=compress)
        check_rich(trace, what, arrays)
        assert trace.attributes["format_version"] == 2


@settings(max_examples=25, deadline=None)
@given(what=rich(), stretch=st.integers(1, 15))
def test_in_memory_with_timelines_spaces_and_outputs(what: Recording, stretch: int) -> None:
    arrays = whole(what)
    with outputs.collect(what) as sink:
        for block in blocks(what, arrays, stretch):
            sink.write(block)
    check_rich(sink.trace, what, arrays)


SIGNAL_NAMES = st.text(st.characters(exclude_characters="/"), max_size=4) | st.sampled_from(
    ["h", "c", "unit", "output", "lengths", "attributes", "time", "row", "axis_0", "h_unit", "unit_unit", "h_axis_0",
     "initial_h", "final_c", "initial_h_unit", "%", "%75nit", ".", "..", "Sigmoid_1.0", "n" * 300, "n" * 299 + "m"]
)  # fmt: skip


@st.composite
def general(draw: st.DrawFn) -> Recording:
    """Recordings with recurrences of an original graph: signals of any names and shapes."""
    lengths = draw(st.lists(st.lists(st.integers(0, 7), min_size=1, max_size=3), min_size=1, max_size=2))
    layers = [layer("lstm", units=2)] if draw(st.booleans()) else []
    for name in ("loop", "decoder/loop"):
        shapes = draw(st.dictionaries(SIGNAL_NAMES, SHAPES, min_size=1, max_size=5))
        kinds = {key: draw(st.sampled_from(["state", "output", "inner"])) for key in shapes}
        layers.append(foreign(name, shapes, kinds))
    what = recording(layers, lengths)
    return unseen(what) if draw(st.booleans()) else what


@each_output
@settings(max_examples=40, deadline=None)
@given(what=general(), stretch=st.integers(1, 9), compress=st.sampled_from(COMPRESSIONS))
def test_what_is_written_is_read_with_signals_of_a_graph(
    output: Output, what: Recording, stretch: int, compress: str | None
) -> None:
    arrays = whole(what)
    with TemporaryDirectory() as folder:
        trace = write(Path(folder) / f"trace{output.suffixes[0]}", what, arrays, stretch, compress=compress)
        check_general(trace, what, arrays)
    with outputs.collect(what) as sink:
        for block in blocks(what, arrays, stretch):
            sink.write(block)
    check_general(sink.trace, what, arrays)


def check_general(trace: Trace, what: Recording, arrays: Arrays) -> None:
    stored = {name: {storable(key): values for key, values in own.items()} for name, own in arrays.items()}
    found = recorded(trace)
    if trace.path is None:
        stored = arrays
    same(found, stored)
    assert trace.attributes["format_version"] == 3
    assert ("x" in trace.inputs) == bool(what.batches[0].shape and what.batches[0].shape[0])
    assert trace.steps == what.steps
    for each in what.layers:
        assert list(trace.layers[each.name].signals) == [
            key if trace.path is None else storable(key) for key in what.signals[each.name]
        ]


@each_output
def test_attributes_of_a_recurrence_of_a_graph(output: Output, tmp_path: Path) -> None:
    loop = foreign("loop", {"h": (3,), "alignments": (2, 4), "i.x": ()}, {"h": "output", "alignments": "state"})
    what = recording([loop, layer("a")], [[5]])
    trace = write(tmp_path / f"t{output.suffixes[0]}", what, whole(what))
    own = dict(trace.layers["loop"].attributes)
    assert own == {
        "name": "loop",
        "cell": "graph",
        "title": "while loop",
        "direction": "forward",
        "scope": "",
        "fed_by": [],
        "feed_evidence": "assumed",
        "signals": ["h", "alignments", "i.x"],
        "arrays": ["h", "alignments", "i.x"],
        "states": ["alignments"],
        "state_arrays": ["alignments"],
        "tensors": ["loop/while/h:0", "loop/while/alignments:0", "loop/while/i.x:0"],
    }
    assert trace.layers["a"].attributes["state_arrays"] == ["c", "h"]
    assert "tensors" not in trace.layers["a"].attributes
    assert trace.layers["loop"].initial["alignments"].shape == (1, 2, 4)


VERIFIED = {"status": "verified", "reason": "compared \udc80", "largest": 1e-7, "compared": 9}


@each_output
def test_what_was_found_in_the_end_goes_over_what_was_said_before(output: Output, tmp_path: Path) -> None:
    what = replace(recording(LAYERS[:1], [[5]]), verification={"status": "not verified", "reason": "x", "steps": 3})
    with outputs.open(tmp_path / f"t{output.suffixes[0]}", what) as sink:
        for block in blocks(what, whole(what)):
            sink.write(block)
        sink.verified(VERIFIED)
    found = outputs.load(tmp_path / f"t{output.suffixes[0]}").verification
    assert {**found, "reason": ""} == {**VERIFIED, "reason": ""}
    same(recorded(outputs.load(tmp_path / f"t{output.suffixes[0]}")), whole(what))


def test_what_was_found_in_the_end_in_memory() -> None:
    what = replace(recording(LAYERS[:1], [[5]]), verification={"status": "not verified"})
    with outputs.collect(what) as sink, outputs.summarise(what) as summary:
        for block in blocks(what, whole(what)):
            sink.write(block)
            summary.write(block)
        assert (sink.trace.verification, summary.verification) == (what.verification, what.verification)
        sink.verified(VERIFIED)
        summary.verified(VERIFIED)
    assert (sink.trace.verification, summary.verification) == (VERIFIED, VERIFIED)
    same(recorded(sink.trace), whole(what))


@each_output
def test_steps_wider_than_a_chunk(output: Output, tmp_path: Path) -> None:
    """Images of 0.5 MB a step: chunks hold one step, and blocks cut across sequences of different lengths."""
    what = recording([layer("conv", "basic_rnn", 4, space=(180, 181))], [[7, 2, 0], [3]], record=["h"])
    arrays = whole(what)
    check_rich(write(tmp_path / f"t{output.suffixes[0]}", what, arrays, 3), what, arrays)


@each_output
def test_outputs_alone(output: Output, tmp_path: Path) -> None:
    what = replace(recording([], [[5, 2]], outcomes=[outcome("dense", (3,))]))
    arrays = whole(what)
    check_rich(write(tmp_path / f"t{output.suffixes[0]}", what, arrays), what, arrays)


@each_output
def test_blocks_of_many_chunks(output: Output, tmp_path: Path) -> None:
    """Sequences long and many enough that chunks are cut in both directions, and blocks don't begin where they do."""
    what = recording([layer("a", units=64), layer("b", "gru", 16, "backward")], [[3000, 7, 2100], [1100] * 12])
    arrays = whole(what)
    same(recorded(write(tmp_path / f"t{output.suffixes[0]}", what, arrays, 333)), arrays)


@each_output
@pytest.mark.parametrize("dtype", outputs.DTYPES)
def test_dtype(output: Output, dtype: str, tmp_path: Path) -> None:
    what = recording(LAYERS[:1], [[5, 3]])
    arrays = whole(what)
    trace = write(tmp_path / f"t{output.suffixes[0]}", what, arrays, dtype=dtype)
    for name, values in trace.layers["rnn/a"].signals.items():
        assert values.dtype == dtype
        np.testing.assert_array_equal(np.asarray(values), arrays["rnn/a"][name].astype(dtype))


@each_output
def test_a_value_that_a_dtype_can_not_hold_is_an_error(output: Output, tmp_path: Path) -> None:
    what = recording(LAYERS[:1], [[5]])
    arrays = whole(what)
    arrays["rnn/a"]["c"][0, 2, 1] = 1e6
    path = tmp_path / f"t{output.suffixes[0]}"
    with pytest.raises(CannotWrite, match=r"t\.\w+: .*c reaches 1e\+06, and float16 ends at 65504") as caught:
        write(path, what, arrays, dtype="float16")
    assert "--dtype" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


@each_output
def test_a_stored_array_is_sliced_as_numpy_does(output: Output, tmp_path: Path) -> None:
    what = recording(LAYERS[:1], [[9, 4]])
    arrays = whole(what)
    stored = write(tmp_path / f"t{output.suffixes[0]}", what, arrays).layers["rnn/a"].signals["h"]
    full = arrays["rnn/a"]["h"]
    for key in (0, -1, slice(None), (0, slice(2, 7)), (slice(None), 3, 1), (1, slice(None, None, -2)), (Ellipsis, 0),
                (slice(5, 1),), ([0, 1], slice(0, 2)), (0, slice(-3, None), slice(0, 2))):  # fmt: skip
        np.testing.assert_array_equal(stored[key], full[key], str(key))
    assert (stored.shape, len(stored), stored.dtype) == (full.shape, 2, full.dtype)
    with pytest.raises(IndexError):
        stored[2]


@each_output
def test_attributes_say_where_it_comes_from(output: Output, tmp_path: Path) -> None:
    what = recording(
        LAYERS, [[5]], attributes={"model": "m.ckpt", "model_sha256": "ab" * 32, "command": "rnnprobe \udc80\0"}
    )
    what = replace(what, verification={"compared_with": "graph", "largest": 1e-7, "steps": 5})
    trace = write(tmp_path / f"t{output.suffixes[0]}", what, whole(what))
    assert trace.attributes["format"] == "rnnprobe-trace"
    assert trace.attributes["format_version"] == 1
    assert trace.attributes["command"] == r"rnnprobe \udc80\x00"
    assert trace.verification == {"compared_with": "graph", "largest": 1e-7, "steps": 5}
    assert list(trace.layers) == [each.name for each in LAYERS]
    own = trace.layers["rnn/b"].attributes
    assert own["cell"] == "lstm"
    assert own["gate_order"] == ["i", "g", "f", "o"]
    assert (own["units"], own["output_size"], own["direction"], own["scope"]) == (5, 2, "backward", "scope/rnn/b")
    assert (own["activation"], own["activation_evidence"]) == ("tanh", "graph")
    assert (own["forget_bias"], own["forget_bias_evidence"]) == (1.0, "assumed")
    assert own["cell_clip"] == "none"
    assert trace.layers["simple"].attributes["gate_order"] == []
    assert trace.first_step == 0


@each_output
def test_attributes_of_convolutions_and_of_wiring(output: Output, tmp_path: Path) -> None:
    each = replace(
        CONVOLUTIONAL,
        options=CONVOLUTIONAL.options | {"strides": Value((2, 1), "config")},
        feed=Feed(("pooling",), mask=Mask("input", 0.0, emits="zeros")),
        initial={"c": Feed(("encoder",), final="c")},
    )
    what = recording([each], [[5]], attributes={"first_step": "100"})
    trace = write(tmp_path / f"t{output.suffixes[0]}", what, whole(what))
    own = trace.layers["conv"].attributes
    assert (own["space"], own["strides"], own["strides_evidence"]) == ([3, 2], [2, 1], "config")
    assert (own["fed_by"], own["mask_emits"]) == (["pooling"], "zeros")
    assert (own["initial_c_from"], own["initial_c_from_final"]) == (["encoder"], "c")
    assert (trace.first_step, trace.attributes["first_step"]) == (100, 100)


ODD = (
    "",
    ".",
    "..",
    "/",
    "../../x",
    "/etc/passwd",
    "a//b",
    "a/./b",
    "nul\0",
    "esc\x1b[31m",
    "\udc80",
    "\u202e",
    "\r\n",
)
NAMES = (*ODD, "%2F", "a", "a/h", "a/b/c", "h", "time", "n" * 3000, "n" * 2999 + "m", "inputs", "[red]", "=1+1")


@each_output
def test_names_of_layers_lead_nowhere_and_stay_apart(output: Output, tmp_path: Path) -> None:
    what = recording([layer(name, "basic_rnn", 2) for name in NAMES], [[3]])
    arrays = whole(what)
    trace = write(tmp_path / f"t{output.suffixes[0]}", what, arrays)
    assert list(tmp_path.iterdir()) == [tmp_path / f"t{output.suffixes[0]}"]
    found = recorded(trace)
    assert len(found) == len(NAMES)
    for expected, own in zip(arrays.values(), found.values(), strict=True):
        np.testing.assert_array_equal(own["h"], expected["h"])


@each_output
def test_names_of_outputs_and_inputs_lead_nowhere_and_stay_apart(output: Output, tmp_path: Path) -> None:
    names = (*ODD, "x", "ids", "lengths", "names", "attributes", "feature", "y", "y_lengths", "y_time", "y_feature",
             "%_time", "\n_time", "y/row", "n" * 3000)  # fmt: skip
    lengths = {name: [3, 1] for name in names}
    for outcomes, others in (([outcome(name, (2,), [3, 1]) for name in names], {}), ([], lengths)):
        what = recording(LAYERS[:1], [[5, 4]], record=["h"], outcomes=outcomes, beside=others)
        arrays = whole(what)
        trace = write(tmp_path / f"t{output.suffixes[0]}", what, arrays, force=True)
        assert list(tmp_path.iterdir()) == [tmp_path / f"t{output.suffixes[0]}"]
        assert len(trace.outputs) == len(outcomes)
        assert len(trace.beside) == len(others)
        for one, found in zip(outcomes, trace.outputs.values(), strict=True):
            np.testing.assert_array_equal(np.asarray(found), arrays[""][one.name])
        for name, found in trace.beside.items():
            if name in names:
                np.testing.assert_array_equal(found["x"][0, :3], what.batches[0].beside[name].load(0, 3)[0])


@each_output
def test_an_output_that_does_not_come_is_a_fault(output: Output, tmp_path: Path) -> None:
    what = recording(LAYERS[:1], [[9], [3]], outcomes=[outcome("y", (2,))])
    every = list(blocks(what, whole(what)))
    for some, times in ((every[:-1], 0), ([*every, every[-1]], 2)):

        def leave_out(some: list[Block] = some) -> None:
            with outputs.open(tmp_path / f"t{output.suffixes[0]}", what) as sink:
                for block in some:
                    sink.write(block)

        with pytest.raises(RuntimeError, match=f"y: the batch at 1 gave this output {times} times"):
            leave_out()
        assert list(tmp_path.iterdir()) == []


@each_output
@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"outcomes": {"y": np.zeros((1, 3), "f4")}}, r"outputs/y: \(1, 3\)"),
        ({"outcomes": {"z": np.zeros((1, 8, 2), "f4")}}, r"outputs/z: \(1, 8, 2\)"),
        ({"signals": {"conv": {"h": np.zeros((9, 1, 3, 2, 1), "f4")}}}, r"layers/conv/h: \(1, 9, 3, 2, 1\)"),
        ({"final": {"conv": {"h": np.zeros((1, 2), "f4")}}}, r"layers/conv/final_h: \(1, 2\)"),
    ],
)
def test_an_array_of_another_shape_is_a_fault(output: Output, block: dict, message: str, tmp_path: Path) -> None:
    what = recording([CONVOLUTIONAL], [[9]], outcomes=[outcome("y", (2,)), outcome("z", (2,), [7])])

    def write_it() -> None:
        with outputs.open(tmp_path / f"t{output.suffixes[0]}", what) as sink:
            sink.write(Block(what.batches[0], 0, **({"signals": {}} | block)))

    with pytest.raises(RuntimeError, match=message):
        write_it()
    assert list(tmp_path.iterdir()) == []


@each_output
def test_a_gap_is_a_fault(output: Output, tmp_path: Path) -> None:
    what = recording(LAYERS[:1], [[9]])

    def leave_out() -> None:
        with outputs.open(tmp_path / f"t{output.suffixes[0]}", what) as sink:
            for block in list(blocks(what, whole(what)))[:-1]:
                sink.write(block)

    with pytest.raises(RuntimeError, match="rnn/a: 8 steps"):
        leave_out()
    assert list(tmp_path.iterdir()) == []

    what = recording(LAYERS[:1], [[9]], own={"rnn/a": [7]})
    with pytest.raises(RuntimeError, match="rnn/a: 4 steps recorded of the batch at 0, expected 7"):
        leave_out()


def test_in_memory() -> None:
    what = recording(LAYERS, [[5, 9, 0], [3]], vocabulary=("a", "b\n"))
    arrays = whole(what)
    with outputs.collect(what) as sink:
        for block in blocks(what, arrays):
            sink.write(block)
    same(recorded(sink.trace), arrays)
    assert set(sink.trace.text(1, 0, 9) or ()) <= {"a", "b\n"}


def test_settings_are_checked() -> None:
    with pytest.raises(BadInput) as caught:
        outputs.settings("int8")
    assert "float16, float32, float64" in caught.value.hint
    with pytest.raises(BadInput) as caught:
        outputs.settings(compress="zstd")
    assert "gzip-1" in caught.value.hint
    assert outputs.settings(compress="gzip-9").compress == Compression("gzip", 9)
    assert outputs.settings(compress="lzf").compress == Compression("lzf")


@pytest.mark.parametrize("name", ["lzf", "bitshuffle-lz4"])
def test_an_archive_takes_gzip_alone(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "available", lambda code: True)
    place = outputs.check(tmp_path / "t.npz")
    with pytest.raises(BadInput, match=rf"t\.npz: a NumPy archive can't be compressed by {name}: .*gzip") as caught:
        outputs.settings(compress=name, place=place)
    assert ".h5" in caught.value.hint
    assert outputs.settings(compress="gzip-1", place=place).compress == Compression("gzip", 1)


def test_a_compression_whose_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    with pytest.raises(BadInput, match="bitshuffle-lz4 needs the package hdf5plugin") as caught:
        outputs.settings(compress="bitshuffle-lz4")
    assert "pip install 'rnnprobe[compress]'" in caught.value.hint


def test_no_two_outputs_share_a_suffix() -> None:
    suffixes = [suffix for output in outputs.OUTPUTS for suffix in output.suffixes]
    assert len(set(suffixes)) == len(suffixes)
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in suffixes)


def test_strings_too_wide_for_an_archive(tmp_path: Path) -> None:
    what = recording(LAYERS[:1], [[2]], vocabulary=("x" * 70_000, *(str(n) for n in range(1500))))
    with pytest.raises(RnnprobeError, match=r"tokens as wide as the longest"):
        write(tmp_path / "t.npz", what, whole(what))
    assert write(tmp_path / "t.h5", what, whole(what)).text(0, 0, 2) is not None
