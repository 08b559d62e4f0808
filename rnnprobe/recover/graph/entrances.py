"""Where values enter a graph: its placeholders, and the signatures of a SavedModel."""

from __future__ import annotations

import re
from typing import Any

from rnnprobe.formats import dtypes
from rnnprobe.formats.graph import signatures
from rnnprobe.recover.graph.loop_words import dtype, sizes, tensor
from rnnprobe.recover.graph.view import View, view
from rnnprobe.types import GraphTensor, Signature

_SAVERS = re.compile(r"Save\w*|Restore\w*|MergeV2Checkpoints|ShardedFilename")
_FILE_NAMES = {"StringJoin", "StaticRegexFullMatch", "Select", "Pack", "PlaceholderWithDefault"}


def entrances(graph: Any) -> tuple[tuple[GraphTensor, ...], tuple[Signature, ...]]:
    """The placeholders and the signatures of a GraphDef or MetaGraphDef."""
    return placeholders(view(graph)), offered(graph)


def placeholders(web: View) -> tuple[GraphTensor, ...]:
    """What must or may be fed, without the names of files for savers."""
    return tuple(
        tensor(web, (number, 0))
        for number, node in enumerate(web.nodes)
        if node.op.startswith("Placeholder") and not node.call and not node.hidden and not _is_file_name(web, number)
    )


def _is_file_name(web: View, number: int) -> bool:
    """Whether a placeholder takes nothing but the name of a file for a saver."""
    if dtype(web, (number, 0)) != "string":
        return False
    saves, front, seen = False, [number], {number}
    while front:
        for consumer, _ in web.consumers((front.pop(), 0)):
            op = web.nodes[consumer].op
            if _SAVERS.fullmatch(op):
                saves = True
            elif op not in _FILE_NAMES:
                return False
            elif consumer not in seen:
                seen.add(consumer)
                front.append(consumer)
    return saves


def offered(graph: Any) -> tuple[Signature, ...]:
    """The signatures of a MetaGraphDef, by name; none of a GraphDef."""
    return tuple(
        Signature(name, stored.method_name, _arguments(stored.inputs), _arguments(stored.outputs))
        for name, stored in signatures(graph).items()
    )


def _arguments(stored: Any) -> tuple[tuple[str, GraphTensor], ...]:
    return tuple(
        (key, GraphTensor(info.name, "", dtypes.name(info.dtype) if info.dtype else "", sizes(info.tensor_shape)))
        for key, info in sorted(stored.items())
    )
