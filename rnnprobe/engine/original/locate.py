"""Where in a graph a tensor can be had from: fetched as it is, or recorded inside of a loop.

A tensor in a branch of a conditional is there in some runs only. Of such a one, what the conditional hands on is taken:
it has the same value whenever the branch runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from rnnprobe.engine.original import ops
from rnnprobe.recover.graph.frames import Loop, Variable, frames
from rnnprobe.recover.graph.paths import SELECTS
from rnnprobe.recover.graph.view import LOOP_VARIABLE, MERGES, Node, Ref, View

_ENTERS = {"Enter", "RefEnter"}
_SWITCHES = {"Switch", "RefSwitch"}
_WHILES = {"While", "StatelessWhile"}
_MOST = 200


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a tensor is.

    Attributes:
        kind: `graph` (at its top), `frame` (in a loop of version 1), `while` (in the body of a functional one).
        loop: the frame's name, or the While node's.
        edge: how a node there names it: `node:0`, in a function `node:output:0`.
        dtype: its DataType.
    """

    kind: Literal["graph", "frame", "while"]
    loop: str
    edge: str
    dtype: int


class Locator:
    """Finds tensors of a view.

    Args:
        view: of the graph.
        library: the graph's functions.
    """

    def __init__(self, view: View, library: Iterable[Any] = ()) -> None:
        self.view = view
        self.numbers = {
            node.name: number for number, node in enumerate(view.nodes) if node.proto is not None and not node.call
        }
        self._inner = {ref: call for call, ref in view.redirects.items()}
        # The loop variables of a functional loop follow each other, as its body takes them.
        self._first: dict[int, int] = {}
        for number, node in enumerate(view.nodes):
            if node.op == LOOP_VARIABLE and node.proto is None:
                self._first.setdefault(node.call, number)
        self._library = {one.signature.name: one for one in library}
        self._frames, self._around = frames(view)
        self._depths: dict[int, int] = {}

    def find(self, ref: Ref) -> Spot | None:
        """Where a tensor, or what a conditional makes of it, can be had; None where it can't."""
        front, seen = deque([ref]), {ref}
        while front and len(seen) < _MOST:
            at = front.popleft()
            spot = self._at(at)
            if spot is not None:
                return spot
            for consumer, _ in self.view.consumers(at):
                out = (consumer, 0)
                if self.view.nodes[consumer].op in MERGES | SELECTS and out not in seen:
                    seen.add(out)
                    front.append(out)
        return None

    def left(self, ref: Ref) -> Spot | None:
        """Where what a loop leaves of a loop variable can be had."""
        for consumer, _ in self.view.consumers(ref):
            if self.view.nodes[consumer].op == "Exit":
                return self._at((consumer, 0))
        return None

    def following(self, loop: Loop, variable: Variable) -> Spot | None:
        """Where the next value of a loop variable can be had, at every step; None in a loop within another."""
        if isinstance(loop.key, int):
            caller = self.view.nodes[loop.key]
            function = self._library.get(caller.proto.attr["body"].func.name)
            if function is None or not self._is_plain(loop.key) or variable.port >= len(function.signature.output_arg):
                return None
            result = function.signature.output_arg[variable.port]
            return Spot("while", caller.name, function.ret[result.name], result.type)
        for source in self._edges(self.view.nodes[variable.ref[0]]):
            node = self.view.nodes[source]
            if node.proto.op.endswith("NextIteration"):
                return self._edge(node.proto.input[0])
        return None

    def initial(self, loop: Loop, variable: Variable) -> Spot | None:
        """Where what a loop variable starts from can be had; None in a loop within another."""
        if isinstance(loop.key, int):
            caller = self.view.nodes[loop.key]
            spot = self._edge(caller.proto.input[variable.port]) if not caller.call else None
            return spot if spot is not None and spot.kind == "graph" else None
        for source in self._edges(self.view.nodes[variable.ref[0]]):
            node = self.view.nodes[source]
            if node.proto.op in _ENTERS:
                spot = self._edge(node.proto.input[0])
                return spot if spot is not None and spot.kind == "graph" else None
        return None

    def _edge(self, edge: str) -> Spot | None:
        """Where what an edge of the graph itself names can be had."""
        name, _, port = edge.partition(":")
        return self._known(self.numbers[name], int(port or 0)) if name in self.numbers else None

    def _at(self, ref: Ref) -> Spot | None:
        node = self.view.node(ref)
        if node.proto is None:
            if node.call and self._plain(node):
                return self._argument(ref[0], node)
            outer = self._inner.get(ref)
            return None if outer is None else self._known(*outer)
        return self._known(*ref)

    def _known(self, number: int, port: int) -> Spot | None:
        node = self.view.nodes[number]
        made = ops.outputs(node.proto)
        if port >= len(made):
            return None
        group, place, dtype = made[port]
        if not node.call:
            frame = self._frames.get(number, "")
            if node.proto.op in ("Exit", "RefExit"):
                frame = self._around.get(frame, "")
            if self._depth(number) or self._around.get(frame):
                return None
            return Spot("frame" if frame else "graph", frame, f"{node.name}:{port}", dtype)
        if not self._plain(node):
            return None
        return Spot("while", self.view.nodes[node.call].name, f"{node.proto.name}:{group}:{place}", dtype)

    def _plain(self, node: Node) -> bool:
        """Whether a node is in the body of a functional loop at the top of the graph."""
        return node.function == "body" and self._is_plain(node.call)

    def _is_plain(self, number: int) -> bool:
        """Whether a node is a functional loop at the top of the graph."""
        caller = self.view.nodes[number]
        whole = caller.proto is not None and caller.proto.op in _WHILES and not caller.call
        return whole and not self._frames.get(number) and not self._depth(number)

    def _argument(self, number: int, node: Node) -> Spot | None:
        """A loop variable as the body of its loop takes it."""
        caller = self.view.nodes[node.call]
        function = self._library.get(caller.proto.attr["body"].func.name)
        place = number - self._first[node.call]
        if function is None or place >= len(function.signature.input_arg):
            return None
        argument = function.signature.input_arg[place]
        return Spot("while", caller.name, argument.name, argument.type)

    def _edges(self, node: Node) -> list[int]:
        """The nodes that a node of the graph itself waits for."""
        names = (edge.lstrip("^").partition(":")[0] for edge in node.proto.input)
        return [self.numbers[name] for name in names if name in self.numbers]

    def _depth(self, number: int) -> int:
        """In how many conditionals of version 1 a node is."""
        stack = [number]
        while stack:
            at = stack[-1]
            node = self.view.nodes[at]
            sources = [] if at in self._depths else self._edges(node)
            if node.proto.op in MERGES:
                # What comes back from the step before is in no conditional.
                sources = [k for k in sources if not self.view.nodes[k].proto.op.endswith("NextIteration")]
            waiting = [k for k in sources if k not in self._depths]
            if waiting and len(stack) <= len(self.view.nodes):
                stack += waiting
                continue
            stack.pop()
            if at not in self._depths:
                depth = max((self._depths.get(k, 0) for k in sources), default=0)
                self._depths[at] = self._beyond(node, depth, sources)
        return self._depths[number]

    def _beyond(self, node: Node, depth: int, sources: list[int]) -> int:
        if node.proto.op in _SWITCHES:
            return depth + (not any(self.view.nodes[k].proto.op == "LoopCond" for k in sources))
        if node.proto.op in MERGES and len(sources) > 1:
            return max(depth - 1, 0)
        return depth
