"""Any recurrence of an original graph, and any tensor of it, recorded while the graph runs as it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np

from rnnprobe.cells.attention_wrapper import MEMORY_STEPS
from rnnprobe.cells.foreign import foreign
from rnnprobe.cells.layers import signals as declared
from rnnprobe.engine.original import feeding
from rnnprobe.engine.original.copies import Copy, Entry, Unfed
from rnnprobe.engine.original.feeding import Fed
from rnnprobe.engine.original.joining import Extents, Joining
from rnnprobe.engine.original.opening import Opened, Record, Way, by_roots, locator, opened, runner
from rnnprobe.engine.original.probing import Probing
from rnnprobe.engine.original.wanted import Group, Wanted, initial_refs, reading, recorded, runnable, wanted
from rnnprobe.errors import BadInput, Refused, RnnprobeError
from rnnprobe.recover import stacks
from rnnprobe.recover.graph.entries import Place, places
from rnnprobe.recover.graph.patterns import label
from rnnprobe.recover.graph.targets import lengths_of as owners_of
from rnnprobe.recover.graph.targets import readers as finders
from rnnprobe.recover.graph.targets import targets
from rnnprobe.types import Array, Batch, Block, Feed, Layer, Network, Outcome, Signal, Use
from rnnprobe.types.run import in_order, lengths_of


class Probe:
    """A run of an original graph.

    Args:
        network: the whole, of a checkpoint that came with its graph.
        layers: recovered layers, by name.
        recurrences: recurrences that hold no recovered layer, by name or pattern (`rnnprobe.recover.graph.targets`);
            None for every one of them that can be run.
        tensors: patterns of names of tensors.
        batches: the sequences. They go in where the layers' input comes from, or else at placeholders
            (`rnnprobe.recover.graph.entries`).
        feeds: placeholder, or argument of a signature → what is fed, as it is.
        loose: the sequences go in at placeholders, whatever the layers read.
        record: layer → its signals that are wanted besides the states and what is emitted; None: all of all layers.

    Attributes:
        layers: the layers recorded, those of recurrences that nothing rebuilds among them.
        signals: layer → what is recorded of it.
        batches: as given; made from what enters where there were feeds alone.
        lengths: layer → `[sequences]`, of those whose steps are not those of the input.
        outcomes: tensors that no loop holds.

    Raises:
        BadInput: a name that nothing has, something that can't be had, or input that the graph does not take.
        Refused: it would have to run an operation that is not on the list.
    """

    def __init__(
        self,
        network: Network,
        *,
        layers: Sequence[str] = (),
        recurrences: Sequence[str] | None = (),
        tensors: Sequence[str] = (),
        batches: Sequence[Batch] = (),
        feeds: Mapping[str, Any] | None = None,
        loose: bool = False,
        record: Record | None = None,
    ) -> None:
        if network.checkpoint.graph is None:
            raise BadInput("came without a graph that could be run", path=network.checkpoint.path)
        self._network = network
        self._locator = locator(network.checkpoint)
        self._targets = targets(network, self._locator.view, recurrences, tensors)
        self._count = sum(len(batch.names) for batch in batches)
        self._chosen = [network[name] for name in layers]
        self._wanted = self._found(feeds or {}, record, named=recurrences is not None)
        self._record = record
        if not (self._chosen or self._wanted.groups or self._wanted.outcomes):
            raise BadInput("nothing of the graph was asked for, or nothing can be had", path=network.checkpoint.path)
        self._kept: Joining | None = None
        self._extents = Extents()
        self._notes = self._wanted.notes
        self.batches = tuple(batches)
        ways = self._ways(loose)
        self._runner, self._plain = opened(ways, self.batches, network.checkpoint.path, lesser=(Unfed,))
        with ExitStack() as guard:
            guard.callback(self.close)
            if not batches:
                fed = Fed(self._runner, self._wanted, network, self._plain)
                self.batches, self._kept = (fed.batch,), fed.joined
                self._notes = (*self._notes, *fed.notes)
            self.lengths: dict[str, Array] = self._measured()
            self.layers = tuple(self._layers())
            self.signals = {layer.name: tuple(one.name for one in declared(layer)) for layer in self.layers}
            self.outcomes = tuple(Outcome(n, self._extents.outcomes.get(n, ())) for n in self._wanted.outcomes)
            if self._kept is None:  # else nothing is left to run
                guard.pop_all()

    def _found(self, feeds: Mapping[str, Any], record: Record | None, *, named: bool) -> Wanted:
        """Where everything is that is wanted beside layers, as far as it can be run."""
        checkpoint = self._network.checkpoint
        fed = feeding.spots(self._network, feeds, self._locator, self._count)
        found = wanted(self._targets, self._locator, checkpoint.path, fed, named=named)
        alone = not self._chosen
        return runnable(recorded(found, record), checkpoint, self._locator.numbers, named=named, alone=alone)

    # Where the sequences go in ---------------------------------------------------------------------------------------

    def _ways(self, loose: bool) -> list[Way]:
        """By the roots of the layers, and by the placeholders: the one first that suits what is wanted."""
        placeholders = list(self._by_placeholders())
        roots = list(self._by_roots()) if self.batches and self._chosen and not loose else []
        first = any(one.target.states for one in self._wanted.groups)
        return [*placeholders, *roots] if first else [*roots, *placeholders]

    def _by_roots(self) -> Iterator[Way]:
        try:
            selected, _ = stacks.select(self._network, self._chosen)
            starts = initial_refs(self._locator, self._wanted.groups)
            probing = Probing(self._wanted, starts=starts, sequences=self._count)
            yield from by_roots(selected, self._chosen, self.batches, self._locator, probing, self._record)
        except (BadInput, Refused) as exc:
            yield _raising(exc)

    def _by_placeholders(self) -> Iterator[Way]:
        alone = replace(
            self._network,
            layers=tuple(replace(layer, feed=Feed((layer.name + " input",)), initial={}) for layer in self._chosen),
            transforms=(),
        )
        given = {spot.edge for spot in self._wanted.fed}
        names = [layer.name for layer in self._chosen]
        readers = reading(finders(self._network, self._locator.view, names), self._locator) if names else ()
        also = replace(self._wanted, readers=readers)
        for uses in self._passes():
            open_ = places(self._network, self._targets, uses.values(), given)

            def run(uses: dict[str, Use] = uses, open_: list[Place] = open_) -> Opened:
                taken = feeding.taken(self._network, open_, self.batches, self._locator)
                copy = Copy(uses, tuple(Entry(place.name, (place.ref,)) for place in taken))
                refs = {place.name: place.ref for place in taken}
                probing = Probing(
                    also,
                    True,
                    {place.name: place.entry for place in taken},
                    initial_refs(self._locator, also.groups),
                    self._count,
                    # Of one input all lengths are its own.
                    owners_of(self._network, refs, self._locator.view) if len(refs) > 1 else {},
                )
                return runner(alone, copy, self._locator, probing, self._record), alone.layers

            yield run

    def _passes(self) -> Iterator[dict[str, Use]]:
        """One pass for each layer: those that the graph makes first, second …"""
        lost = [layer.name for layer in self._chosen if not self._network.places.get(layer.name)]
        if lost:
            raise BadInput(
                f"the graph does not show how it runs {', '.join(lost)}",
                path=self._network.checkpoint.path,
                hint="`rnnprobe inspect --loops` lists its recurrences",
            )
        uses = {layer.name: self._network.places[layer.name] for layer in self._chosen}
        for number in range(max((len(of) for of in uses.values()), default=1)):
            yield {name: of[min(number, len(of) - 1)] for name, of in uses.items()}

    # What it is like -------------------------------------------------------------------------------------------------

    def _measured(self) -> dict[str, Array]:
        """Runs what has to be run for the sizes and lengths that the graph leaves open."""
        names = [*(layer.name for layer in self._plain), *(group.name for group in self._wanted.groups)]
        own: set[str] = set()
        found: dict[str, list[Array]] = {name: [] for name in names}
        for number in range(len(self.batches)):
            joined = self.join(number)
            if len(self.batches) == 1:
                self._kept = joined
            own |= joined.own
            joined.widen(self._extents)
            for name in names:
                found[name].append(joined.lengths[name])
            if not (own or self._wanted.groups or self._wanted.outcomes):
                return {}
        main = lengths_of(self.batches)
        each = {name: in_order(self.batches, lengths) for name, lengths in found.items() if lengths}
        return {name: lengths for name, lengths in each.items() if name in own and not np.array_equal(lengths, main)}

    def _layers(self) -> Iterator[Layer]:
        chosen = {layer.name for layer in self._chosen}
        for layer in self._chosen:
            seen = self._extents.signals.get(layer.name, {})
            kept = tuple(s for s in layer.cell.signals if s.name in seen or not seen)
            if "alignments" in seen and layer.context is not None:
                layer = replace(layer, sizes={**layer.sizes, MEMORY_STEPS: seen["alignments"][-1]})
            yield replace(layer, cell=replace(layer.cell, signals=kept)) if len(kept) < len(declared(layer)) else layer
        for group in self._wanted.groups:
            if group.name not in chosen:
                yield self._foreign(group)

    def _foreign(self, group: Group) -> Layer:
        seen = self._extents.signals.get(group.name, {})
        recurrence = group.target.recurrence
        listed = [
            Signal(name, kind, ",".join(map(str, seen[name])), tensor=self._tensor(group, name))
            for name, kind in group.kinds.items()
            if name in seen
        ]
        widths = {one.name: seen[one.name][-1] for one in listed if seen[one.name]}
        units = next((widths[s.name] for s in listed if s.kind == "state" and s.name in widths), 0)
        units = units or next(iter(widths.values()), 1)
        main = next((batch for batch in self.batches), None)
        width = main.shape[-1] if main is not None and main.shape else 1
        sizes = {"input_size": width, "units": units, "output_size": widths.get("h", units)}
        return Layer(
            group.name,
            recurrence.name,
            foreign(recurrence.kind, listed),
            {},
            sizes,
            {},
            "backward" if group.backward else "forward",
            Feed(recurrence.inputs or ("input",), evidence="graph"),
        )

    def _tensor(self, group: Group, name: str) -> str:
        target, web = group.target, self._locator.view
        ref = target.outputs.get(name) or target.inner.get(name)
        if ref is None:
            ref = web.resolve(target.states[name].following)
        return label(web, ref)

    # What it gives ---------------------------------------------------------------------------------------------------

    def blocks(self) -> Iterator[Block]:
        """One block for each batch, laid out as those of `rnnprobe.engine.trace`."""
        try:
            for number in range(len(self.batches)):
                yield self._shown(self.join(number).block(self._extents))
        finally:
            self.close()

    def join(self, number: int) -> Joining:
        """What the graph computes of a batch."""
        return self._kept if self._kept is not None else self._runner.join(self.batches[number])

    def _shown(self, block: Block) -> Block:
        names = self.signals
        return replace(
            block,
            signals={
                n: {s: a for s, a in of.items() if s in names[n]} for n, of in block.signals.items() if n in names
            },
            initial={n: of for n, of in block.initial.items() if n in names},
            final={n: of for n, of in block.final.items() if n in names},
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What a report has to say of how it was run."""
        return (*self._runner.notes, *self._notes)

    def close(self) -> None:
        """Ends the session, if it has not ended; the end of `blocks` does so too."""
        self._runner.close()


def _raising(exc: RnnprobeError) -> Way:
    def run() -> Opened:
        raise exc

    return run
