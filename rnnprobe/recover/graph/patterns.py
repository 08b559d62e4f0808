"""The tensors of a graph that a pattern names."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from rnnprobe.errors import BadInput
from rnnprobe.recover.graph.view import Node, Ref, View
from rnnprobe.types import Network

_WILD = set("*?[")
# What a pattern with wildcards passes over: these compute nothing.
_SILENT = {"NoOp", "Const", "Enter", "RefEnter", "Exit", "RefExit", "LoopCond", "ControlTrigger", "VarHandleOp"}
_SILENT |= {"Switch", "RefSwitch", "NextIteration", "RefNextIteration", "Placeholder", "VariableV2", "Variable"}
_SILENT |= {"ReadVariableOp"}
_NEAR = 6


def is_wild(pattern: str) -> bool:
    """Whether a pattern has wildcards."""
    return bool(_WILD & set(pattern))


def matches(web: View, pattern: str) -> Iterator[Ref]:
    """The tensors whose names a pattern matches; of one without the number of an output, each node's first."""
    wild = is_wild(pattern)
    name, _, port = pattern.rpartition(":")
    numbered = bool(name) and (port.isdecimal() or bool(_WILD & set(port)))
    for number, node in enumerate(web.nodes):
        if node.proto is None or node.hidden or (wild and node.proto.op in _SILENT):
            continue
        if not numbered:
            if node.name == pattern or (wild and fnmatchcase(node.name, pattern)):
                yield number, 0
        elif node.name == name or (wild and fnmatchcase(node.name, name)):
            yield from ((number, k) for k in _ports(node) if str(k) == port or fnmatchcase(str(k), port))


def _ports(node: Node) -> range:
    """The outputs that a graph speaks of."""
    proto: Any = node.proto
    shapes = len(proto.attr["_output_shapes"].list.shape) if "_output_shapes" in proto.attr else 0
    listed = max((proto.attr[name].i for name in ("num_split", "num") if name in proto.attr), default=0)
    return range(max(1, shapes, listed, 7 if proto.op in ("LSTMBlockCell", "BlockLSTM", "BlockLSTMV2") else 0))


def label(web: View, ref: Ref) -> str:
    """A tensor's name: `node:output`."""
    return f"{web.node(ref).name}:{ref[1]}"


def short(web: View, ref: Ref, scope: str) -> str:
    """`lstm_cell.Sigmoid`: the path below the loop's scope."""
    path = web.node(ref).name.removeprefix(f"{scope}/").replace("/", ".")
    return path if not ref[1] else f"{path}.output_{ref[1]}"


def unmatched(network: Network, web: View, pattern: str) -> BadInput:
    names = list(dict.fromkeys(node.name for node in web.nodes if node.proto is not None and not node.hidden))
    bare = pattern.replace("*", "").rpartition(":")[0] if ":" in pattern else pattern.replace("*", "")
    near = get_close_matches(bare, names, _NEAR, 0.5)
    last = bare.rpartition("/")[2].lower()
    near += [name for name in names if last and last in name.lower()][:_NEAR]
    listed = ", ".join(list(dict.fromkeys(near))[:_NEAR])
    return BadInput(
        f"no tensor of the graph is called {pattern!r}" + (f"; near it are {listed}" if listed else ""),
        path=network.checkpoint.path,
        hint=f"`rnnprobe inspect {network.checkpoint.path} --loops -v` lists them",
    )
