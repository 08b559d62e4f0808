"""The proof of a run: what the original does on the same input, held against it."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from rnnprobe.analysis import padding
from rnnprobe.analysis.comparison import Comparer, Comparison, compare
from rnnprobe.analysis.verification import (
    DIFFERS,
    NOT_VERIFIED,
    VERIFIED,
    Verified,
    refuse_foreign,
    tolerance,
    unverified,
    verification,
)
from rnnprobe.cells.layers import products
from rnnprobe.errors import AnswerIsNo, BadInput, Refused
from rnnprobe.runs.run import Run, taken
from rnnprobe.types import Batch, Block

if TYPE_CHECKING:
    from rnnprobe.engine.witness import Witness

Record: TypeAlias = Mapping[str, Collection[str]]
"""Layer → signals."""

_CHEAP_PRODUCTS = 5e9
"""Multiplications that an original graph may need to be run without being asked for."""
_CHEAP_VALUES = 16_000_000
"""Values that it may hold at once: it keeps a batch."""


def required(run: Run, record: Record | None = None) -> Witness:
    """What the rebuilt layers are compared with.

    Args:
        run: of rebuilt layers.
        record: layer → the signals that are wanted; None: all.

    Raises:
        BadInput, Refused: nothing can be, and why.
    """
    if run.states:
        raise BadInput(
            "can't be verified: the original starts from its own states, and others were given",
            path=run.network.checkpoint.path,
            hint="leave --initial-state and --carry out",
        )
    if run.witness is not None:
        return run.witness
    from rnnprobe.engine import witness

    refuse_foreign(run.network)
    return witness.call(run.network, run.batches, record=record)


def offered(run: Run, record: Record, batches: Sequence[Batch] | None = None) -> tuple[Witness | None, str]:
    """What the rebuilt layers are compared with unasked, a stored graph that is cheap to run; or why nothing is.

    Args:
        run: of rebuilt layers.
        record: layer → the signals that are wanted.
        batches: those that run; None: all.
    """
    reason = "" if run.witness is not None else _costly(run)
    if reason:
        return None, reason
    try:
        found = required(_only(run, batches), record)
    except (BadInput, Refused) as exc:
        return None, exc.message
    if found.entered is not None and run.witness is None:
        found.close()
        return None, "the graph makes what enters the layers itself, and other sequences were given for it"
    return found, ""


def _only(run: Run, batches: Sequence[Batch] | None) -> Run:
    return run if batches is None else replace(run, batches=tuple(batches))


def original(notes: Sequence[str]) -> Verified:
    """What a trace says that holds the original's own values."""
    return {"status": VERIFIED, "reason": "; ".join(["recorded from the original graph itself", *notes])}


class Compared:
    """The blocks of a run on their way, held against what the original does.

    Args:
        run: what runs.
        asked: True: compare; False: don't; None: where a stored graph is there and cheap to run.
        record: layer → the signals that the run yields.
        batches: those that run; None: all.

    Attributes:
        verification: what came of it, once all blocks have passed (`Recording.verification`).

    Raises:
        BadInput, Refused: comparing was asked for, and can't be done.
    """

    def __init__(self, run: Run, asked: bool | None, record: Record, batches: Sequence[Batch] | None = None) -> None:
        self._asked = bool(asked)
        self._witness: Witness | None = None
        self._comparer = Comparer(run.layers, tolerance(run.network))
        if run.probe is not None:
            self.verification: Verified = original(run.probe.notes)
            return
        reason = "it was not asked for"
        if asked:
            self._witness = required(_only(run, batches), record)
        elif asked is None:
            self._witness, reason = offered(run, record, batches)
        self.verification = unverified(reason or "the run did not come to its end")

    @property
    def running(self) -> bool:
        """Whether the original runs beside: its batches come one after the other."""
        return self._witness is not None

    def close(self) -> None:
        """Ends the original, where it runs beside; the end of `over` does so too."""
        if self._witness is not None:
            self._witness.close()

    def over(self, blocks: Iterator[Block]) -> Generator[Block]:
        """Hands the blocks on."""
        if self._witness is None:
            yield from blocks
            return
        try:
            yield from self._comparer.over(blocks, self._witness.blocks, forgiving=not self._asked)
        finally:
            self.close()
        self.verification = verification(self._comparer.comparison, self._witness.notes, self._witness.name)


def settle(verified: Verified, path: Path) -> None:
    """Ends a run that was compared.

    Raises:
        AnswerIsNo: the two differ.
    """
    if verified["status"] == DIFFERS:
        raise AnswerIsNo(f"differs: {verified['reason']}", path=path)


def combined(parts: Sequence[Verified]) -> Verified:
    """What the parts of a run come to: verified where every one of them is.

    The reason is that of the first part that has the status of the whole; the figures are those of the largest
    difference.
    """
    for status in (DIFFERS, NOT_VERIFIED, VERIFIED):
        having = [one for one in parts if one["status"] == status]
        if having:
            break
    few = f"{len(having)} of {len(parts)} parts: " if len(having) < len(parts) and status != VERIFIED else ""
    found: Verified = {"status": status, "reason": f"{few}{having[0]['reason']}"}
    figures = [one for one in parts if "largest" in one]
    if figures:
        worst = max(figures, key=lambda one: float(one["largest"]))
        found |= {key: worst[key] for key in ("tolerance", "largest", "largest_layer", "largest_signal")}
        found["compared"] = sum(int(one["compared"]) for one in figures)
    return found


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
    beside = _padded(run) if padded else required(run)
    try:
        run = taken(run, beside)
        limit = off if off is not None else tolerance(run.network)
        with closing(run.blocks(run.signals(["all"]))) as blocks:
            return compare(blocks, beside.blocks, run.layers, limit), beside
    finally:
        beside.close()


def _padded(run: Run) -> Witness:
    """What the original makes of every sequence padded to the longest, cut again to the lengths that they have.

    Raises:
        BadInput: nothing needs padding, or the graph makes what enters the layers itself.
    """
    longer = replace(run, batches=padding.padded(run.network, run.batches))
    beside = required(run)
    if beside.entered is not None:
        beside.close()
        raise BadInput(
            "can't be padded: the graph makes what enters the layers itself, of what it is fed",
            path=run.network.checkpoint.path,
            hint="leave --padding out, or give the sequences with --input alone",
        )
    if not beside.told_lengths:
        beside.close()
        beside = required(longer)
        beside = replace(beside, blocks=padding.cut(beside.blocks, run.batches, run.lengths, run.outcomes))
    steps = max(batch.steps for batch in longer.batches)
    return replace(beside, notes=(*beside.notes, f"the original was given every sequence padded to {steps} steps"))


def _costly(run: Run) -> str:
    """Why the original is not run without being asked for; empty where it is."""
    if run.network.checkpoint.graph is None or not run.foreign:
        return "no graph came with the weights" if run.foreign else "Keras's own layers run with --verify"
    steps = sum(int(batch.lengths.sum()) for batch in run.batches)
    multiplied = steps * products(run.network.layers)
    held = max((batch.steps * len(batch.names) for batch in run.batches), default=0)
    values = held * sum(layer.units * len(layer.cell.signals) for layer in run.network.layers)
    if multiplied > _CHEAP_PRODUCTS or values > _CHEAP_VALUES:
        return "the input is long, and the original runs beside the rebuilt layers with --verify only"
    return ""
