"""The loops of a graph as they are: which variables they carry, what is inside of them, what lets them go on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from rnnprobe.recover.graph.view import LOOP_VARIABLE, MERGES, Node, Ref, View, attribute, view_of

Key: TypeAlias = str | int
"""A loop: the name of its version 1 frame, or the number of its While node; an empty name stands for no loop."""

_WHILES = {"While", "StatelessWhile"}
_ENTERS = {"Enter", "RefEnter"}
_EXITS = {"Exit", "RefExit"}
_NEXT = {"NextIteration", "RefNextIteration"}


@dataclass(frozen=True, slots=True)
class Variable:
    """A loop variable: as the body sees it, what it starts with, what it is next, whether that ever differs."""

    ref: Ref
    initial: Ref
    following: Ref
    changes: bool
    port: int


@dataclass(slots=True)
class Loop:
    """A loop.

    Attributes:
        key: which it is.
        name: of its frame or node.
        variables: in order.
        members: the nodes inside, those of loops within left out.
        parent: the loop around it, or an empty name.
        condition: the tensor that lets it go on, and the view that it is in; None where it was not found.
        placed: of a condition in a view of its own, the tensors there that stand for loop variables → these.
    """

    key: Key
    name: str
    variables: list[Variable]
    members: list[int] = field(default_factory=list)
    parent: Key = ""
    condition: tuple[View, Ref] | None = None
    placed: dict[Ref, Ref] = field(default_factory=dict)

    @property
    def functional(self) -> bool:
        """Whether functions hold its condition and its body."""
        return isinstance(self.key, int)


def loops(web: View, definition: Any) -> tuple[list[Loop], int]:
    """The loops of a graph in its order, and how many more belong to gradients.

    Args:
        web: the graph laid out.
        definition: the GraphDef.
    """
    home, around = _homes(web)
    found: dict[Key, Loop] = {}
    hidden: set[Key] = set()
    for number, node in enumerate(web.nodes):
        if node.op in _WHILES:
            if node.hidden:
                hidden.add(number)
            elif (number, 0) in web.redirects:
                found[number] = _functional(web, number, home[number], definition)
        elif is_variable(web, node):
            frame = home[number]
            if not frame:
                continue
            if node.hidden:
                hidden.add(frame)
                continue
            parent = around.get(str(frame), "")
            # What the frame itself is called differs between releases.
            loop = found.setdefault(frame, Loop(frame, node.name.rpartition("/")[0] or str(frame), [], parent=parent))
            loop.variables.append(_variable(web, (number, 0), len(loop.variables)))
    for number, key in enumerate(home):
        node = web.nodes[number]
        if key in found and not node.hidden and node.proto is not None:
            found[key].members.append(number)
            if node.op == "LoopCond" and node.inputs:
                found[key].condition = (web, node.inputs[0])
    return list(found.values()), len(hidden - found.keys())


def is_variable(web: View, node: Node) -> bool:
    """Whether a node is a variable of a version 1 frame, also one that never changes."""
    if node.call or node.proto is None or node.proto.op not in MERGES:
        return False
    return node.op == LOOP_VARIABLE or any(web.node(source).op in _NEXT for source in node.inputs)


def _variable(web: View, ref: Ref, port: int) -> Variable:
    node = web.node(ref)
    return Variable(ref, node.inputs[0], node.inputs[1], node.op == LOOP_VARIABLE, port)


def _functional(web: View, number: int, parent: Key, definition: Any) -> Loop:
    node = web.nodes[number]
    variables = []
    for port in range(len(node.inputs)):
        left = web.redirects.get((number, port))
        if left is not None:
            variables.append(_variable(web, web.node(left).inputs[0], port))
    loop = Loop(number, node.name, variables, parent=parent)
    part, results = view_of(definition, node.proto, "cond")
    if results:
        loop.condition = (part, part.resolve(results[0]))
        loop.placed = {(1 + variable.port, 0): variable.ref for variable in variables}
    return loop


# Which node is in which loop -----------------------------------------------------------------------------------------


def _homes(web: View) -> tuple[list[Key], dict[str, Key]]:
    """For each node the loop that it is in, and for each frame the one around it."""
    found: list[Key] = [""] * len(web.nodes)
    placed, around = frames(web)
    for number, frame in placed.items():
        found[number] = frame
    for number, node in enumerate(web.nodes):
        if node.call:
            found[number] = _caller(web, node, placed)
    return found, dict(around)


def _caller(web: View, node: Node, placed: Mapping[int, str]) -> Key:
    """The loop that a node of a function is in: that of its call, or the call itself where this is a loop."""
    for _ in range(len(web.nodes)):
        number, function = node.call, node.function
        node = web.nodes[number]
        if node.op in _WHILES:
            return number if function == "body" else ""
        if not node.call:
            return placed.get(number, "")
    return ""


def frames(web: View) -> tuple[dict[int, str], dict[str, str]]:
    """The version 1 frame of each node of the graph itself, and the frame around each frame.

    All that enters a node is in one frame, control edges included; an Enter leads into a frame, an Exit out of it.
    """
    numbers = {node.proto.name: k for k, node in enumerate(web.nodes) if node.proto is not None and not node.call}
    readers: dict[int, list[int]] = {}
    front = []
    for number in numbers.values():
        sources = list(_sources(web.nodes[number], numbers))
        for source in sources:
            readers.setdefault(source, []).append(number)
        if not sources:
            front.append(number)
    found = dict.fromkeys(front, "")
    around: dict[str, str] = {}
    for at in front:
        node = web.nodes[at]
        frame = found[at]
        if _op(node) in _ENTERS:
            name = attribute(node, "frame_name")
            inner = name.s.decode("utf-8", "replace") if name is not None else ""
            around.setdefault(inner, frame)
            frame = inner
        elif _op(node) in _EXITS:
            frame = around.get(frame, "")
        for reader in readers.get(at, ()):
            if reader not in found:
                found[reader] = frame
                front.append(reader)
    return found, around


def _op(node: Node) -> str:
    """The op as the file has it: the view makes copies of what never changes."""
    return str(node.proto.op)


def _sources(node: Node, numbers: Mapping[str, int]) -> Iterator[int]:
    for edge in node.proto.input:
        source = numbers.get(edge.lstrip("^").partition(":")[0])
        if source is not None:
            yield source
