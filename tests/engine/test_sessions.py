"""The sessions of original graphs: how long they live, what they are asked for, and how their loops run."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from rnnprobe import errors
from rnnprobe.engine import witness
from rnnprobe.engine.original import OriginalGraph, Probe, runner, session
from rnnprobe.engine.original.build import build
from rnnprobe.engine.original.copies import copies
from rnnprobe.engine.original.opening import locator
from rnnprobe.types import Network

from ..conftest import DATA
from .probed import decoding, saved, windowed
from .test_original import batch, opened

RANDOM = np.random.default_rng(11)
FRAMES = DATA / "conformance" / "tf1.15" / "lstm_full" / "model.ckpt"
FUNCTIONS = DATA / "conformance" / "tf2.21-v2-control-flow" / "basic_lstm_fb" / "model.ckpt"
WHILES = {"While", "StatelessWhile"}


@pytest.fixture
def open_sessions(monkeypatch) -> Iterator[list[session.Session]]:
    """Those that were opened and not closed."""
    living: list[session.Session] = []

    class Counted(session.Session):
        def __init__(self, built):
            super().__init__(built)
            living.append(self)

        def close(self):
            super().close()
            if self in living:
                living.remove(self)

    monkeypatch.setattr(runner, "Session", Counted)
    return living


@pytest.fixture(scope="module")
def loop(tmp_path_factory) -> Network:
    return saved(tmp_path_factory.mktemp("loop"), windowed, functional=False)


def sequences(width: int = 3, start: int = 0):
    return batch(RANDOM.normal(size=(2, 5, width)).astype("f"), [5, 3], start)


def network() -> Network:
    return opened(FRAMES)


# How long they live --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [False, True], ids=["all", "stopped early"])
def test_the_end_of_the_blocks_ends_the_session(loop, open_sessions, stop):
    batches = [sequences(), sequences(start=2)]
    for make in (
        lambda: Probe(loop, recurrences=None, batches=batches),
        lambda: OriginalGraph(network(), batches),
        lambda: witness.call(network(), batches),
    ):
        run = make()
        assert len(open_sessions) == 1
        blocks = run.blocks if isinstance(run, witness.Witness) else run.blocks()
        next(blocks)
        blocks.close() if stop else list(blocks)
        assert not open_sessions
        run.close()


def test_it_may_be_closed_before_it_has_run(loop, open_sessions):
    batches = [sequences(), sequences(start=2)]
    for make in (
        lambda: Probe(loop, recurrences=None, batches=batches),
        lambda: OriginalGraph(network(), batches),
        lambda: witness.call(network(), batches),
    ):
        run = make()
        assert len(open_sessions) == 1
        run.close()
        run.close()
        assert not open_sessions


def test_a_probe_of_one_batch_has_run_when_it_is_made(loop, open_sessions):
    probe = Probe(loop, recurrences=None, batches=[sequences()])
    assert not open_sessions
    (block,) = probe.blocks()
    assert np.isfinite(block.signals["loop"]["h"][:3]).all()


@pytest.mark.parametrize("error", [errors.BadInput, errors.OutOfResources, KeyboardInterrupt])
def test_what_fails_while_it_is_tried_leaves_none_open(loop, open_sessions, monkeypatch, error):
    def failing(self, feed, room):
        assert open_sessions
        raise error("no more")

    monkeypatch.setattr(session.Session, "run", failing)
    for make in (
        lambda: Probe(loop, recurrences=None, batches=[sequences()]),
        lambda: Probe(loop, recurrences=None, feeds={"x": np.zeros((2, 5, 3), "f")}),
        lambda: OriginalGraph(network(), [sequences()]),
    ):
        with pytest.raises(error):
            make()
        assert not open_sessions


def test_what_fails_after_it_was_tried_leaves_none_open(loop, open_sessions, monkeypatch):
    monkeypatch.setattr(Probe, "join", lambda self, number: [][number])
    with pytest.raises(IndexError):
        Probe(loop, recurrences=None, batches=[sequences(), sequences(start=2)])
    assert not open_sessions


# What they are asked for ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [FRAMES, FUNCTIONS], ids=["frames", "functions"])
def test_only_what_is_wanted_is_recorded(path, monkeypatch):
    whole = opened(path)
    (name,) = (layer.name for layer in whole.layers)
    asked: list[int] = []

    def counting(self, feed, room):
        asked.append(
            sum(node.op in ("TensorArrayV3", "EmptyTensorList") for node in self._built.graph.as_graph_def().node)
        )
        return run(self, feed, room)

    run = session.Session.run
    monkeypatch.setattr(session.Session, "run", counting)
    batches = [sequences(whole.layers[0].input_size)]
    every, wanted = (next(iter(witness.call(whole, batches, record=record).blocks)) for record in (None, {name: ["f"]}))
    assert set(wanted.signals[name]) == {"f", "h", "c"}
    for signal, array in wanted.signals[name].items():
        assert np.array_equal(array, every.signals[name][signal], equal_nan=True)
    for state, array in wanted.final[name].items():
        assert np.array_equal(array, every.final[name][state])
    assert asked[-1] <= asked[0] - 3
    probe = Probe(whole, layers=[name], batches=batches, record={name: ["f"]})
    assert set(probe.signals[name]) == {"f", "h", "c"}
    assert set(next(iter(probe.blocks())).signals[name]) == {"f", "h", "c"}


def test_of_a_recurrence_states_and_outputs_are_always_recorded(loop):
    given = {"tensors": ["loop/cell/*"], "batches": [sequences()]}
    every = Probe(loop, recurrences=["loop"], **given)
    few = Probe(loop, recurrences=["loop"], **given, record={})
    inner = {signal.name for signal in every.layers[0].cell.signals if signal.kind == "inner"}
    assert inner
    assert set(few.signals["loop"]) == set(every.signals["loop"]) - inner
    kept = min(inner)
    some = Probe(loop, recurrences=["loop"], **given, record={"loop": [kept]})
    assert set(some.signals["loop"]) == set(few.signals["loop"]) | {kept}


# How their loops run -------------------------------------------------------------------------------------------------


def test_functional_loops_are_lowered_as_their_own_graph_says():
    """A call of a function for each step takes nearly twice the time."""
    whole = opened(FUNCTIONS)
    place = locator(whole.checkpoint)
    for says in (True, False):
        for node in place.view.nodes:
            if node.op in WHILES and node.proto is not None:
                node.proto.attr["_lower_using_switch_merge"].b = says
        built = build(whole, copies(whole, 5)[0], place, carry=False)
        loops = [node for node in built.graph.as_graph_def().node if node.op in WHILES]
        assert loops
        assert all(node.attr["_lower_using_switch_merge"].b == says for node in loops)


@pytest.mark.parametrize("functional", [False, True], ids=["frames", "functions"])
def test_a_loop_without_an_end_ends(tmp_path, monkeypatch, functional):
    monkeypatch.setattr(runner, "_MOST_STEPS", 50)
    endless = saved(tmp_path, decoding, functional=functional)
    with pytest.raises(errors.BadInput, match="can't be run"):
        Probe(endless, recurrences=["decode"], batches=[sequences()], feeds={"limit": 10**9})
