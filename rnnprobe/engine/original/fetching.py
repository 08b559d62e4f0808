"""What is fetched of layers and recurrences, and the recorders that it takes inside of loops."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from rnnprobe.engine.original.built import Fetch
from rnnprobe.engine.original.copies import Copy
from rnnprobe.engine.original.graft import Recorders
from rnnprobe.engine.original.locate import Locator, Spot
from rnnprobe.engine.original.program import Program
from rnnprobe.engine.original.wanted import Group, Wanted
from rnnprobe.types import Cell, Tap, Use


@dataclass(slots=True)
class Seen:
    """Where what a pass through a layer computes is, for each of its steps; once where a loop repeats them.

    Attributes:
        use: the pass.
        signals: signal → where it is, of each step all that is stacked, and which columns there.
        entering: what enters the step, side by side.
    """

    use: Use
    signals: dict[str, tuple[list[Spot], Tap]] = field(default_factory=dict)
    entering: list[list[Spot]] = field(default_factory=list)

    @property
    def every(self) -> Iterator[Spot]:
        """All of it."""
        for spots, _ in self.signals.values():
            yield from spots
        for spots in self.entering:
            yield from spots


def seen(locator: Locator, use: Use, cell: Cell, record: Collection[str] | None) -> Seen:
    """What of a pass can be had; nothing, unless h is there, or what the layer emits.

    Args:
        locator: of the graph.
        use: the pass.
        cell: of the layer.
        record: the signals that are wanted besides h, the states and what is emitted; None: all.
    """
    names = list(dict.fromkeys(name for step in use.signals for name in step))
    if record is not None:
        names = [name for name in names if name in {"h", *cell.states, cell.emits, *record}]
    taps = {name: [step[name] for step in use.signals if name in step] for name in names}
    signals = {name: (_located(locator, of, use), of[0]) for name, of in taps.items()}
    leading = signals.get("h", ([], None))[0] or signals.get(cell.emits, ([], None))[0]
    width = min(len(inputs) for inputs in use.inputs)
    entering = [_located(locator, [Tap(inputs[place]) for inputs in use.inputs], use) for place in range(width)]
    # What a loop repeats is recorded in it, beside h; a tensor from outside of it is there once.
    place = {(spot.kind, spot.loop) for spot in leading}

    def beside(spots: list[Spot]) -> bool:
        return bool(spots) and {(spot.kind, spot.loop) for spot in spots} <= place

    return Seen(
        use,
        {name: found for name, found in signals.items() if beside(found[0])},
        [spots for spots in entering if beside(spots)],
    )


def _located(locator: Locator, taps: list[Tap], use: Use) -> list[Spot]:
    """Where the tensors of each step are, all that are stacked; nowhere, if they can't be had of all steps."""
    spots = [locator.find(piece.ref) for tap in taps for piece in tap.pieces]
    known = [spot for spot in spots if spot is not None]
    return known if len(known) == len(use.inputs) * len(taps[0].pieces) == len(spots) else []


class Fetching:
    """Fetches of a program; recorders are grafted where something is inside of a loop.

    Args:
        copy: the passes through the layers.
        found: layer → what can be had of it.
        made: the program.
        fed: edge → the placeholder that takes its place.
        also: what else is recorded.

    Attributes:
        signals, entering, lengths: as those of `rnnprobe.engine.original.built.Built`.
        limit: the placeholder for the number of steps that there is room for; empty where nothing is grafted.
    """

    def __init__(
        self, copy: Copy, found: Mapping[str, Seen], made: Program, fed: Mapping[str, str], also: Wanted
    ) -> None:
        self._fed = fed
        self._recorded: dict[Spot, str] = {}
        self.limit = ""
        groups = (*also.groups, *also.readers)
        self._graft(made, [spot for one in found.values() for spot in one.every], [s for g in groups for s in g.every])
        self.signals = {name: dict(self._of_layer(found[name])) for name in copy.uses}
        self.entering = {name: [self._fetch(found[name], s) for s in found[name].entering] for name in copy.uses}
        self.lengths: dict[str, Fetch] = {}
        for group in groups:
            self._add(group)

    def _graft(self, made: Program, *spots: Collection[Spot]) -> None:
        inside: dict[tuple[str, str], dict[Spot, None]] = {}
        for spot in (spot for of in spots for spot in of if spot.kind != "graph"):
            inside.setdefault((spot.kind, spot.loop), {})[spot] = None
        if not inside:
            return
        recorders = Recorders(made)
        self.limit = recorders.limit
        for (_, loop), kept in inside.items():
            self._recorded.update(zip(kept, recorders.record(loop, list(kept)), strict=True))

    def _of_layer(self, found: Seen) -> Iterator[tuple[str, Fetch]]:
        for signal, (spots, tap) in found.signals.items():
            yield signal, self._fetch(found, spots, tap)

    def _fetch(self, found: Seen, spots: list[Spot], tap: Tap | None = None) -> Fetch:
        whole = found.use.fused or bool(found.use.looped and spots[0] in self._recorded)
        return Fetch(tuple(self._edge(spot) for spot in spots), whole, tap or Tap((0, 0)))

    def _add(self, group: Group) -> None:
        def known(spot: Spot | None) -> bool:
            # A tensor from outside of the loop is there once.
            return spot is not None and (spot in self._recorded or group.whole)

        def fetch(spot: Spot) -> Fetch:
            return Fetch((self._edge(spot),), True, Tap((0, 0)))

        self.signals[group.name] = {signal: fetch(spot) for signal, spot in group.spots.items() if known(spot)}
        self.entering[group.name] = [fetch(spot) for spot in group.entering if known(spot)]
        if group.lengths is not None and known(group.lengths):
            self.lengths[group.name] = fetch(group.lengths)

    def _edge(self, spot: Spot) -> str:
        return self._recorded.get(spot, self._fed.get(spot.edge, spot.edge))
