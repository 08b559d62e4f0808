"""Does the rebuilt graph compute what the original does? What a comparison says, in words and as a report.

Reports and the keys of their rows, in JSON as here:

    signals       layer, signal (`final h` for the state in the end; `output` for an output of the model, whose name
                  stands in layer), agrees, compared (how many values), beyond (how many of them), largest (difference;
                  infinite where one side has no value), allowed (where it is largest), sequence, step and unit (where
                  it is largest; unit is a list where the layer has axes in space), first_sequence and first_step (where
                  it is first beyond the tolerance, as the layer runs)
    verification  as `Recording.verification`: status (`verified`, `not verified` or `differs`), reason; where anything
                  was compared, tolerance, largest, largest_layer, largest_signal, compared
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from rnnprobe.analysis import words
from rnnprobe.analysis.comparison import Comparison, Difference
from rnnprobe.errors import BadInput
from rnnprobe.recover import stacks
from rnnprobe.types import Column, Network, Report

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
"""By the floats that both sides compute with."""

GRAPH_TOLERANCE = {"float32": 1e-4, "float64": 1e-9}
"""Likewise, beside a graph of TensorFlow 1: it multiplies the input and h with one kernel at once, and is rounded
otherwise at every step; large states make more of that over a long sequence."""

VERIFIED, NOT_VERIFIED, DIFFERS = "verified", "not verified", "differs"
"""What a trace says of it."""

Verified: TypeAlias = dict[str, str | float | int]


def tolerance(network: Network) -> float:
    """How far a value may be off, relative to the largest of its signal, where the user says nothing else."""
    return (GRAPH_TOLERANCE if network.foreign else TOLERANCE)[stacks.compute_dtype(network.layers)]


def refuse_foreign(network: Network) -> None:
    """Holds a network against what can be run as it stands.

    Raises:
        BadInput: naming the layers that are none of Keras's, and that no stored graph is seen to run.
    """
    strange = [
        f"{layer.name} is a {layer.cell.title}"
        for layer in network.layers
        if layer.cell.framework != "keras" and not network.places.get(layer.name)
    ]
    if strange:
        why = "no graph that runs these layers came with the weights, and without one only Keras models can"
        hint = "`rnnprobe trace` runs the rebuilt layers"
        if network.checkpoint.graph is not None:
            why = "the graph that came with the weights does not show how it runs these layers"
            hint = "`rnnprobe inspect` says why; `rnnprobe trace --engine original` records the graph's own loops"
        raise BadInput(
            f"can't be verified: {why}; {words.few(strange)}",
            path=network.checkpoint.path,
            hint=hint,
        )
    checkpoint = network.checkpoint
    if checkpoint.config is None and checkpoint.graph is not None and not network.places:
        raise BadInput(
            "can't be verified: no configuration came with the weights, and Keras's layers would be made of the same "
            "assumptions, that nothing is masked among them",
            path=checkpoint.path,
            hint="--config FILE gives one; `rnnprobe trace --engine original` records the graph that came along",
        )


def unverified(reason: str) -> Verified:
    """What a trace says where nothing was compared: why."""
    return {"status": NOT_VERIFIED, "reason": reason}


def verification(comparison: Comparison, notes: Sequence[str] = (), original: str = "genuine Keras layers") -> Verified:
    """What a trace says of it, as `Recording.verification`: `status`, `reason`, `tolerance`, `largest`, `compared`.

    Args:
        comparison: what was found.
        notes: on how the original was run.
        original: what that was, in the plural.
    """
    worst, failure = comparison.worst, comparison.failure
    stopped = [f"the original could not be run to its end: {failure}"] if failure else []
    if worst is None:
        return unverified("; ".join([*(stopped or ["nothing was compared"]), *comparison.missing]))
    if beyond := first_beyond(comparison):
        status, reason = DIFFERS, f"{original} on the same weights and input compute something else: {beyond}"
    elif failure:
        status, reason = NOT_VERIFIED, f"as far as {original} ran, they compute the same"
    else:
        status, reason = VERIFIED, f"compared with {original} on the same weights and input"
    return {
        "status": status,
        "reason": "; ".join([reason, *stopped, *notes, *comparison.missing]),
        "tolerance": comparison.tolerance,
        "largest": worst.largest,
        "largest_layer": worst.layer,
        "largest_signal": worst.signal,
        "compared": comparison.compared,
    }


def first_beyond(comparison: Comparison) -> str:
    """The first layer that is beyond the tolerance, in words: its signal, sequence and step."""
    far = [one for one in comparison.differences if one.beyond]
    if not far:
        return ""
    one = far[0]
    firsts = [other for other in far if other.layer == one.layer and other.first and other.first[1] is not None]
    if firsts:
        # A gate that is wrong comes before what it does to the states, in one and the same step.
        one = min(firsts, key=lambda other: (other.along, other.stage))
    return f"{one.layer} {one.signal} first at {_place(one)}; up to {words.number(one.largest)} apart"


def _place(one: Difference) -> str:
    """Where a signal is first beyond the tolerance: `sequence 3, step 1`."""
    sequence, step = one.first if one.first is not None else (0, None)
    return f"sequence {sequence}" + (f", step {step}" if step is not None else "")


_COLUMNS = (
    Column("layer", "layer"),
    Column("signal", "signal"),
    Column("agrees", "agrees", lambda value: "yes" if value else "NO"),
    Column("compared", "values", words.count, right=True),
    Column("largest", "largest difference", words.number, right=True),
    Column("allowed", "allowed", words.number, right=True),
    Column("sequence", "sequence", right=True),
    Column("step", "step", right=True),
    Column("unit", "unit", lambda value: ",".join(map(str, value)) if isinstance(value, list) else str(value), True),
)


def report(comparison: Comparison, verified: Mapping[str, str | float | int]) -> tuple[Report, ...]:
    """A row for each signal of each layer, and what it comes to."""
    notes = [
        f"a value may differ by {words.number(comparison.tolerance)} · max(1, the largest expected of its signal)",
        *comparison.missing,
        *(f"{one.layer} {one.signal} is first beyond at {_place(one)}" for one in comparison.differences if one.first),
    ]
    rows = tuple(_row(one) for one in comparison.differences)
    what = Report(
        "verification", "", (Column("status", "status"), Column("reason", "reason")), (dict(verified),), upright=True
    )
    return Report("signals", "The rebuilt graph and the original", _COLUMNS, rows, tuple(notes)), what


def _row(one: Difference) -> dict[str, object]:
    sequence, step, place = one.where or (None, None, ())
    return {
        "layer": one.layer,
        "signal": one.signal,
        "agrees": not one.beyond,
        "compared": one.compared,
        "beyond": one.beyond,
        "largest": one.largest,
        "allowed": one.allowed,
        "sequence": sequence,
        "step": step,
        "unit": place[0] if len(place) == 1 else list(place) if place else None,
        "first_sequence": one.first[0] if one.first else None,
        "first_step": one.first[1] if one.first else None,
    }
