"""What is found in a graph before any layer is made of it: owners, applications, runs, spots, and what enters them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rnnprobe.recover.graph.cell import Application, Reader
from rnnprobe.recover.graph.masks import Masked, masked
from rnnprobe.recover.graph.owners import Owner, applications, owners, settled
from rnnprobe.recover.graph.runs import Run, runs
from rnnprobe.recover.graph.spots import Spot, attended, entering, outputs, residuals, spots, trials
from rnnprobe.recover.graph.told import joined, told
from rnnprobe.recover.graph.trace import Part, Tracer
from rnnprobe.recover.graph.values import Variables
from rnnprobe.recover.graph.view import Ref, View, view
from rnnprobe.recover.graph.wrapped import rewrapped
from rnnprobe.types import Layer, Network, Use


@dataclass(frozen=True, slots=True)
class Findings:
    """All that was read off a graph. Owners, applications, runs and spots go by their numbers in these lists.

    Attributes:
        network: what names and shapes gave.
        view: the graph.
        variables: what the graph holds of the checkpoint's tensors.
        owners: weights that may be a cell's.
        layers: owner → the layer that it is, for those whose use is understood.
        applications: each time that the graph applies an owner's cell.
        runs: the passes over time of owners that are layers.
        residual: the applications whose input is added to their h.
        spots: the places of the layers, those that feed others first.
        feeds: for each run, what enters it; a part of kind `run` names a run.
        memories: run → what it attends to, for those that attend to something; parts as in `feeds`.
        masks: run → the steps that it skips, for those that skip some.
        dropped: dropout lies on the way of what enters.
        uses: run → its use, for those that were told by numbers (`told`).
        untried: the scopes of layers that it would be too much work to tell by numbers.
    """

    network: Network
    view: View
    variables: Variables
    owners: list[Owner]
    layers: dict[int, Layer]
    applications: list[Application]
    runs: list[Run]
    residual: set[int]
    spots: list[Spot]
    feeds: list[tuple[Part, ...]]
    memories: dict[int, tuple[Part, ...]]
    masks: dict[int, Masked]
    dropped: bool
    uses: dict[int, Use]
    untried: list[str]


def read(network: Network) -> Findings:
    """Reads the graph that came with a network."""
    web = view(network.checkpoint.graph)
    variables = Variables(web, network.checkpoint.tensors)
    reader = Reader(web, variables)
    owned = owners(network, reader)
    apps = applications(reader, owned)
    every = runs(web, apps)
    layers = {
        number: layer
        for number, owner in enumerate(owned)
        if (layer := settled(number, owner, apps, every)) is not None
    }
    layers |= {app.owner: rewrapped(layers[app.owner], app) for app in apps if app.cell is not None}
    numbered = told(reader, network.checkpoint.tensors, owned, layers, apps)
    layers |= numbered.layers
    apps, every = joined(numbered, apps, every)
    sums = residuals(web, apps)
    kept = [number for number, run in enumerate(every) if run.owner in layers and run.recurrent]
    tracer, feeds = _traced(web, variables, apps, [every[number] for number in kept], sums)
    idle = trials(web, apps, [every[number] for number in kept], feeds)
    if idle:
        kept = [number for k, number in enumerate(kept) if k not in idle]
        tracer, feeds = _traced(web, variables, apps, [every[number] for number in kept], sums)
    found = [every[number] for number in kept]
    entries = [apps[run.steps[0]].inputs for run in found]
    return Findings(
        network=network,
        view=web,
        variables=variables,
        owners=owned,
        layers=layers,
        applications=apps,
        runs=found,
        residual=set(sums.values()),
        spots=spots(found, feeds, entries),
        feeds=feeds,
        memories=attended(tracer, apps, found),
        masks={k: mask for k, run in enumerate(found) if (mask := masked(tracer, apps, run)) is not None},
        dropped=bool(tracer.dropped),
        uses={k: numbered.uses[number] for k, number in enumerate(kept) if number in numbered.uses},
        untried=numbered.untried,
    )


def _traced(
    web: View, variables: Variables, apps: Sequence[Application], found: Sequence[Run], sums: Mapping[Ref, int]
) -> tuple[Tracer, list[tuple[Part, ...]]]:
    """What enters each run, and the tracer that found it."""
    tracer = Tracer(web, variables, outputs(apps, found, sums))
    return tracer, [entering(tracer, apps, run) for run in found]
