"""What an original graph writes to its variables: never run, and never to be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rnnprobe.errors import BadInput

_COPIES = {"Enter", "RefEnter", "Exit", "Identity", "NextIteration", "Switch", "Merge"}
_SCATTERS = ("Update", "Add", "Sub", "Mul", "Div", "Min", "Max", "NdUpdate", "NdAdd", "NdSub")
WRITERS = frozenset(
    {
        "AssignVariableOp",
        "AssignAddVariableOp",
        "AssignSubVariableOp",
        *(f"ResourceScatter{what}" for what in _SCATTERS),
    }
)
"""What writes to a variable through its handle. None of it is run, and what would wait for it does not."""


def check_writes(known: Mapping[str, Any], kept: Iterable[str], path: Path) -> None:
    """Holds that nothing that is run reads a variable after the graph would have written it.

    Args:
        known: every node of the graph.
        kept: the names of those that are run.
        path: for messages.

    Raises:
        BadInput: something does.
    """
    written: dict[str, set[str]] = {}
    for node in known.values():
        if node.op in WRITERS and node.input:
            written.setdefault(_origin(node.input[0], known), set()).add(node.name)
    readers: dict[str, list[str]] = {}
    if written:
        for node in known.values():
            for edge in node.input:
                readers.setdefault(edge.lstrip("^").partition(":")[0], []).append(node.name)
    kept = set(kept)
    for variable, writes in written.items():
        if variable not in kept:
            continue
        seen, front = set(writes), list(writes)
        while front:
            for name in readers.get(front.pop(), ()):
                if name in seen:
                    continue
                seen.add(name)
                front.append(name)
                if name in kept and any(_origin(edge, known) == variable for edge in _data(known[name])):
                    raise BadInput(
                        f"can't be run: its graph reads the variable {variable!r} after it has written it "
                        f"({name!r}); nothing is written here",
                        path=path,
                    )


def _data(node: Any) -> list[str]:
    return [edge for edge in node.input if not edge.startswith("^")]


def _origin(edge: str, known: Mapping[str, Any]) -> str:
    """The node that a handle comes from, through its copies."""
    for _ in range(len(known)):
        name, _, port = edge.partition(":")
        node = known.get(name)
        if node is None or (node.op not in _COPIES and node.op != "IdentityN"):
            return name
        place = int(port or 0) if node.op == "IdentityN" else 0
        if place >= len(node.input) or node.input[place].startswith("^"):
            return name
        edge = node.input[place]
    return ""
