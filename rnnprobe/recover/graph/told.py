"""The owners whose use no reader follows op by op: told by numbers (`identify`), where that is not too much work."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rnnprobe.cells.layers import defaults
from rnnprobe.cells.options import FREQUENCY_WINDOWS
from rnnprobe.recover.graph.budget import Exhausted
from rnnprobe.recover.graph.cell import Application, Reader
from rnnprobe.recover.graph.identify import Identified, identify
from rnnprobe.recover.graph.numbers import numbers
from rnnprobe.recover.graph.owners import Fit, Owner
from rnnprobe.recover.graph.runs import Run
from rnnprobe.recover.graph.windows import beginnings
from rnnprobe.types import Layer, Tensor, Use


@dataclass(slots=True)
class Told:
    """What numbers say, by the number of the owner.

    Attributes:
        found: what the graph computes with an owner's weights.
        layers: the layers that the owners are.
        uses: run, as `joined` numbers them → its use, as `identify` gives it.
        untried: the scopes of layers for which it would be too much work.
    """

    found: dict[int, Identified] = field(default_factory=dict)
    layers: dict[int, Layer] = field(default_factory=dict)
    uses: dict[int, Use] = field(default_factory=dict)
    untried: list[str] = field(default_factory=list)


def told(
    reader: Reader,
    tensors: Mapping[str, Tensor],
    owners: Sequence[Owner],
    settled: Collection[int],
    applications: Iterable[Application],
) -> Told:
    """What numbers say of the owners that no reader settled.

    Args:
        reader: of the graph.
        tensors: what is stored.
        owners: all of them.
        settled: the numbers of those that are layers already.
        applications: what the readers found.
    """
    read = _read(owners, applications)
    wanted = _wanted(owners, settled, read)
    made = Told()
    if not wanted:
        return made
    tried = [fit for fits in wanted.values() for fit in fits]
    weights = [tensor for fit in tried for tensor in fit.weights.values()]
    swept = [tensor for fit in tried if FREQUENCY_WINDOWS.name in fit.options for tensor in fit.weights.values()]
    known = numbers(reader.view, reader.variables, tensors, weights, still=beginnings(reader, swept))
    for number, fits in wanted.items():
        try:
            got = identify(known, number, fits)
        except Exhausted:
            made.untried.append(owners[number].scope)
            continue
        layer = None if got is None else _layer(owners[number], got)
        if got is not None and layer is not None:
            made.found[number], made.layers[number] = got, layer
    return made


def _read(owners: Sequence[Owner], applications: Iterable[Application]) -> set[int]:
    """The owners of which a use is read with every state: an attention's memory is none that the readers follow."""
    found = set()
    for app in applications:
        layer = owners[app.owner].layer
        seen = {"h", "c", *app.inner}
        if not app.problem and (layer is None or seen.issuperset(layer.cell.states)):
            found.add(app.owner)
    return found


def _wanted(owners: Sequence[Owner], settled: Collection[int], read: Collection[int]) -> dict[int, tuple[Fit, ...]]:
    """Owner → the cells that it may be; those of a candidate's families together, as the first of its owners."""
    found: dict[int, tuple[Fit, ...]] = {}
    first: dict[str, int] = {}
    done = {owners[number].scope for number in settled}
    for number, owner in enumerate(owners):
        if owner.layer is not None:
            layer = owner.layer
            # What is attended to is no input of a step: `attending` follows it.
            if number not in read and layer.cell.attend is None:
                shown = {name: value.value for name, value in layer.options.items() if value.evidence == "graph"}
                found[number] = (Fit(layer.cell, layer.weights, layer.sizes, shown),)
        elif owner.scope not in done and not owner.proposed:
            number = first.setdefault(owner.scope, number)
            found[number] = found.get(number, ()) + owner.fits
    return found


def _layer(owner: Owner, got: Identified) -> Layer | None:
    """The layer that an owner is; None for a candidate of which not every use is read and carries its states on."""
    if owner.layer is not None:
        return owner.layer
    if got.unread or not all(run.recurrent and (run.looped or len(run.steps) > 1) for run in got.runs):
        return None
    fit = got.fit
    return Layer(owner.scope, owner.scope, fit.cell, fit.weights, fit.sizes, defaults(fit.cell))


def joined(made: Told, applications: Sequence[Application], runs: Iterable[Run]) -> tuple[list[Application], list[Run]]:
    """The applications and the runs of all owners, those that numbers tell at the end; fills in `made.uses`."""
    apps = list(applications)
    every = [run for run in runs if run.owner not in made.found]
    for got in made.found.values():
        for run, use in zip(got.runs, got.uses, strict=True):
            made.uses[len(every)] = use
            every.append(replace(run, steps=tuple(step + len(apps) for step in run.steps)))
        apps += got.applications
    return apps, every
