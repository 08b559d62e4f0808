"""An original graph, ready for a session: what is fed into it, and what is fetched."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rnnprobe.engine.original.copies import Entry
from rnnprobe.recover.graph.view import Ref
from rnnprobe.types import Array, Tap


@dataclass(frozen=True, slots=True)
class Fetch:
    """What is recorded of a signal.

    Attributes:
        edges: the tensor `[step, batch, …]`, or one `[batch, …]` for each step; of each, all that are stacked.
        tap: which columns of them.
    """

    edges: tuple[str, ...]
    whole: bool
    tap: Tap


@dataclass(slots=True)
class Built:
    """An original graph, ready for a session.

    Attributes:
        graph: imported.
        signals: layer → signal → what is fetched.
        finals: layer → state → the tensors that its loop leaves, stacked where there are several.
        entries: entry → the placeholders' names.
        starts: layer → state → the placeholder that gives the state to start from.
        open: what else the graph asks for: its own placeholders that are on the path, and what came out of queues and
            iterators; each with the placeholder that takes it.
        begin: the tensors that states start from, of those that are in it.
        variables: placeholder → value.
        limit: the placeholder for the number of steps that there is room for; empty where nothing is grafted.
        random: random numbers are drawn in it.
        notes: what a report has to say of it.
        initials: layer → state → the tensors that it starts from, likewise.
        outcomes: tensors that no loop holds.
        given: placeholder → what the user feeds it.
        entering: layer → what enters it at each step, side by side.
        lengths: layer → how many steps its loop has made by now, where it counts them.
    """

    graph: Any
    signals: dict[str, dict[str, Fetch]]
    finals: dict[str, dict[str, list[str]]]
    entries: dict[Entry, tuple[str, ...]]
    starts: dict[str, dict[str, str]]
    open: dict[Ref, str]
    begin: list[str]
    variables: dict[str, Array]
    limit: str
    random: bool
    notes: tuple[str, ...] = ()
    initials: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    given: dict[str, Any] = field(default_factory=dict)
    entering: dict[str, list[Fetch]] = field(default_factory=dict)
    lengths: dict[str, Fetch] = field(default_factory=dict)

    def shape(self, edge: str) -> tuple[int | None, ...] | None:
        """The static shape of a tensor; None where even its rank is open."""
        shape = self.graph.get_tensor_by_name(edge if ":" in edge else f"{edge}:0").shape
        return None if shape.rank is None else tuple(shape.as_list())

    def beginnings(self) -> list[tuple[int | None, ...] | None]:
        """The static shapes of the tensors that states start from."""
        return [self.shape(edge) for edge in self.begin]

    def dtype(self, edge: str) -> Any:
        """The NumPy dtype of a tensor."""
        return self.graph.get_tensor_by_name(edge if ":" in edge else f"{edge}:0").dtype.as_numpy_dtype
