"""Where a layer is in the graph that came with its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

GraphRef: TypeAlias = tuple[int, int]
"""A tensor: the number of its node in `rnnprobe.recover.graph.view.view` of the graph, and which of its outputs."""


@dataclass(frozen=True, slots=True)
class Tap:
    """A tensor of the graph, or one of the equal blocks of columns that it is made of, or several of these.

    Attributes:
        ref: the tensor.
        block: which block of its columns.
        blocks: how many it has.
        beside: those that follow, where several are stacked along the last axis but one: a window of features each.
    """

    ref: GraphRef
    block: int = 0
    blocks: int = 1
    beside: tuple[Tap, ...] = ()

    @property
    def pieces(self) -> tuple[Tap, ...]:
        """What is stacked, the first one first; itself where nothing is."""
        return (replace(self, beside=()), *self.beside)


@dataclass(frozen=True, slots=True)
class Use:
    """A pass over time that a graph makes through a layer.

    Attributes:
        number: unique in the graph.
        inputs: what enters, side by side, for each step that the graph writes out; a single one where a loop or an op
            repeats it.
        signals: signal → where it is, likewise for each step.
        carried: state → what the first step reads.
        starts: state → the tensors that it starts from.
        looped: a loop or an op repeats the step.
        fused: one op computes all steps; its tensors hold them all.
        below: the numbers of the uses of other layers that feed it.
        roots: for each source from outside of the network, the tensors that it comes from: values or ids, of a sequence
            as a whole or of one step each.
        memory: of a layer that attends to something, the tensors that this comes from, likewise.
        reach: the tensor that says how long that is, or None.
    """

    number: int
    inputs: tuple[tuple[GraphRef, ...], ...]
    signals: tuple[Mapping[str, Tap], ...]
    carried: Mapping[str, Tap]
    starts: Mapping[str, tuple[GraphRef, ...]] = field(default_factory=dict)
    looped: bool = False
    fused: bool = False
    below: tuple[int, ...] = ()
    roots: tuple[tuple[GraphRef, ...], ...] = ()
    memory: tuple[tuple[GraphRef, ...], ...] = ()
    reach: GraphRef | None = None
