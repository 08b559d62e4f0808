"""The proof of a run: what the original does on the same input, held against it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from rnnprobe.analysis import padding
from rnnprobe.analysis.comparison import Comparer, Comparison, compare
from rnnprobe.analysis.verification import Verified, refuse_foreign, tolerance, unverified, verification
from rnnprobe.errors import AnswerIsNo, BadInput, Refused
from rnnprobe.run import Run, taken
from rnnprobe.types import Block

if TYPE_CHECKING:
    from rnnprobe.engine.witness import Witness

_CHEAP_PRODUCTS = 5e9
"""Multiplications that an original graph may need to be run without being asked for."""
_CHEAP_VALUES = 16_000_000
"""Values that it may hold at once: it keeps a batch."""


def witness(run: Run, asked: bool | None, *, states: bool) -> Witness | str:
    """What the rebuilt layers are compared with while they run; or why nothing is.

    Args:
        run: of rebuilt layers.
        asked: True: compare; False: don't; None: where a stored graph is there and cheap to run.
        states: the states to start from are given, or carried on.

    Raises:
        BadInput, Refused: comparing was asked for, and can't be done.
    """
    if asked is False:
        return "it was not asked for"
    if states:
        problem = "the original starts from its own states, and others were given"
        if asked:
            raise BadInput(f"can't be verified: {problem}", path=run.network.checkpoint.path)
        return problem
    if run.witness is not None:
        return run.witness
    if asked is None:
        reason = _costly(run)
        if reason:
            return reason
    from rnnprobe.engine import witness as engine_witness

    try:
        refuse_foreign(run.network)
        found = engine_witness.call(run.network, run.batches)
    except (BadInput, Refused) as exc:
        if asked:
            raise
        return exc.message
    if found.entered is not None and not asked:
        return "the graph makes what enters the layers itself, and other sequences were given for it"
    return found


class Compared:
    """The blocks of a run on their way, held against what the original does.

    Args:
        run: what runs.
        asked: as `witness` takes it.
        states: the states to start from are given, or carried on.

    Attributes:
        verification: what came of it, once all blocks have passed (`Recording.verification`).

    Raises:
        BadInput, Refused: comparing was asked for, and can't be done.
    """

    def __init__(self, run: Run, asked: bool | None, *, states: bool) -> None:
        self._asked = asked
        self._witness: Witness | None = None
        self._comparer: Comparer | None = None
        if run.probe is not None:
            reason = "; ".join(["recorded from the original graph itself", *run.probe.notes])
            self.verification: Verified = {"status": "verified", "reason": reason}
            return
        found = witness(run, asked, states=states)
        if isinstance(found, str):
            self.verification = unverified(found)
        else:
            self._witness = found
            self._comparer = Comparer(run.layers, tolerance(run.network))

    def over(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """Hands the blocks on."""
        if self._witness is None or self._comparer is None:
            yield from blocks
            return
        yield from self._comparer.over(blocks, self._witness.blocks, forgiving=not self._asked)
        self.verification = verification(self._comparer.comparison, self._witness.notes, self._witness.name)

    def settle(self, path: Path) -> None:
        """Ends it.

        Raises:
            AnswerIsNo: the two differ.
        """
        if self.verification["status"] == "differs":
            raise AnswerIsNo(f"differs: {self.verification['reason']}", path=path)


def prove(run: Run, off: float | None = None, *, padded: bool = False) -> tuple[Comparison, Witness]:
    """Runs the rebuilt layers and the original, and holds every signal of the one against the other.

    Args:
        run: of rebuilt layers.
        off: how far a value may be off, relative (`rnnprobe.analysis.comparison`); None: as the original wants it.
        padded: the original is given every sequence padded to the longest, and is held against the rebuilt layers on
            the sequences as long as they are. A graph that is told lengths is told them; to any other original a
            padded sequence has as many steps as the longest.

    Raises:
        BadInput, Refused: the original can't be run.
    """
    beside = witness(run, True, states=False)
    assert not isinstance(beside, str)
    if padded and not beside.told_lengths:
        longer = replace(run, batches=padding.padded(run.network, run.batches))
        beside = witness(longer, True, states=False)
        assert not isinstance(beside, str)
        steps = max(batch.steps for batch in longer.batches)
        told = (*beside.notes, f"the original was given every sequence padded to {steps} steps")
        beside = replace(beside, notes=told, blocks=padding.cut(beside.blocks, run.batches, run.lengths, run.outcomes))
    run = taken(run, beside)
    limit = off if off is not None else tolerance(run.network)
    blocks = run.blocks(run.signals(["all"]))
    return compare(blocks, beside.blocks, run.layers, limit), beside


def _costly(run: Run) -> str:
    """Why the original is not run without being asked for; empty where it is."""
    if run.network.checkpoint.graph is None or not run.foreign:
        return "no graph came with the weights" if run.foreign else "Keras's own layers run with --verify"
    steps = sum(int(batch.lengths.sum()) for batch in run.batches)
    products = steps * sum(prod(t.shape) for layer in run.network.layers for t in layer.weights.values())
    held = max((batch.steps * len(batch.names) for batch in run.batches), default=0)
    values = held * sum(layer.units * len(layer.cell.signals) for layer in run.network.layers)
    if products > _CHEAP_PRODUCTS or values > _CHEAP_VALUES:
        return "the input is long, and the original runs beside the rebuilt layers with --verify only"
    return ""
