"""Layers that start from the states in which others end: an encoder that hands its state to a decoder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from rnnprobe.recover.graph.view import LOOP_VARIABLE, Ref, View
from rnnprobe.types import Feed, Layer, Use

_EXITS = {"Exit", "RefExit"}


def started(layers: Iterable[Layer], places: Mapping[str, Sequence[Use]], view: View) -> list[Layer]:
    """The layers, with the states that the graph hands from one to another in `initial`.

    Args:
        layers: all of them.
        places: layer → the passes that the graph makes through it.
        view: of the graph.
    """
    left = {ref: end for name, uses in places.items() for use in uses for ref, end in _left(view, name, use)}
    found = []
    for layer in layers:
        # A layer that an earlier state of its own enters is no decoder.
        taken = {
            state: Feed((giver,), evidence="graph", final=end)
            for use in places.get(layer.name, ())
            for state, ref in _begins(view, use)
            if (giver := left.get(ref, ("", ""))[0]) and giver != layer.name and (end := left[ref][1])
        }
        known = {state: feed for state, feed in taken.items() if state in layer.cell.states}
        found.append(replace(layer, initial={**layer.initial, **known}) if known else layer)
    return found


def _left(view: View, name: str, use: Use) -> Iterator[tuple[Ref, tuple[str, str]]]:
    """The tensors that a pass leaves its states in."""
    for state, carried in use.carried.items():
        if carried.beside:
            continue
        if use.looped:
            for consumer, _ in view.consumers(view.resolve(carried.ref)):
                if view.nodes[consumer].op in _EXITS:
                    yield (consumer, 0), (name, state)
        elif not use.fused:
            tap = use.signals[-1].get(state)
            if tap is not None and tap.blocks == 1:
                yield view.resolve(tap.ref), (name, state)


def _begins(view: View, use: Use) -> Iterator[tuple[str, Ref]]:
    """State → the tensor that the first step of a pass reads."""
    for state, carried in use.carried.items():
        if carried.beside:
            continue
        at = view.resolve(carried.ref)
        node = view.node(at)
        yield state, view.input(node, 0) if use.looped and node.op == LOOP_VARIABLE else at
