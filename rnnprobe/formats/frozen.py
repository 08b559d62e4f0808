"""Frozen graphs: a GraphDef or MetaGraphDef, binary (`.pb`) or text (`.pbtxt`), whose weights are constants.

The messages are tensorflow/core/framework/{graph,node_def}.proto and tensorflow/core/protobuf/meta_graph.proto. Parsed,
never run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rnnprobe.errors import BadInput
from rnnprobe.formats import files, graph
from rnnprobe.formats.apart import apart, notes_on
from rnnprobe.formats.constants import VARIABLES, constants
from rnnprobe.formats.format import Format
from rnnprobe.formats.table import varint
from rnnprobe.types import Checkpoint

NAME = "TensorFlow frozen graph"
SUFFIXES = (".pb", ".pbtxt")
MAX_BINARY = (1 << 31) - 1  # what protocol buffers hold
MAX_TEXT = 1 << 28  # bytes; text takes many times its own size while it is parsed
MAX_NODES = 1_000_000
_META = re.compile(rb"^\s*(?:meta_info_def|graph_def)\b", re.M)
_SCHEMA = 1 << 3  # the tag of SavedModel.saved_model_schema_version, a number; in a graph, field 1 is a message
_INNER = 2 << 3 | 2  # MetaGraphDef.graph_def, GraphDef.library
_OP = re.compile(r"[A-Za-z0-9_.>]+")
# No name or op holds such a byte, and text writes it as an escape; a binary graph has one in its first node.
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")


def matches(path: Path) -> bool:
    """Whether `path` is a file that is called as a graph is; `read` says whether it holds one."""
    return path.suffix in SUFFIXES and files.is_file(path)


def read(path: Path) -> Checkpoint:
    """The constants of the graph at `path` that are weights, and the graph.

    Raises:
        BadInput: it is no graph, is damaged, or has no weights in it.
    """
    parsed, writer = _graph(path)
    parsed = graph.flat(parsed)
    tensors, kinds, notes = constants(graph.definition(parsed), path)
    set_apart = kinds | apart({name: tensor for name, tensor in tensors.items() if name not in kinds})
    if len(set_apart) == len(tensors):
        variables = sum(node.op in VARIABLES for node in graph.definition(parsed).node)
        what = f"the values of its {variables} variables are stored elsewhere" if variables else "no constant is one"
        hint = "give the checkpoint that was saved with this graph" if variables else ""
        raise BadInput(f"holds a graph without weights: {what}", path=path, hint=hint)
    return Checkpoint(
        path=path,
        format=NAME,
        tensors=tensors,
        set_apart=set_apart,
        graph=parsed,
        files=(path,),
        writer=writer,
        notes=(*notes, *notes_on(set_apart)),
    )


FORMAT = Format(NAME, matches, read)


# The graph -----------------------------------------------------------------------------------------------------------


def _graph(path: Path) -> tuple[Any, str]:
    """The GraphDef or MetaGraphDef of a file, and the release that wrote it where it says so."""
    from tensorboard.compat.proto import graph_pb2, meta_graph_pb2

    size = files.length(path)
    if not size:
        raise BadInput("is empty", path=path)
    text = not _CONTROL.search(files.read(path, 0, min(size, 1 << 12)))
    limit = MAX_TEXT if text else MAX_BINARY
    if size > limit:
        raise BadInput(f"has {size} bytes; a graph in this form is read up to {limit}", path=path)
    data = files.read(path, 0, size)
    if not text:
        _check_top(data, path)
    fill = _from_text if text else _from_bytes
    kinds = [graph_pb2.GraphDef(), meta_graph_pb2.MetaGraphDef()]
    if text and _META.search(data):
        kinds.reverse()
    problems = []
    for message in kinds:
        problem = fill(message, data)
        definition = graph.definition(message)
        if not problem and definition.node and all(_OP.fullmatch(node.op) and node.name for node in definition.node):
            _check_names(definition, path)
            return message, graph.writer(message) if message is not definition else ""
        problems.append(problem or "not one operation with a name is in it")
    raise BadInput(f"is no TensorFlow graph, or a damaged one: {problems[0]}", path=path)


def _from_bytes(message: Any, data: bytes) -> str:
    """Fills a message from its binary form; returns what is wrong, or nothing."""
    from google.protobuf.message import DecodeError

    try:
        message.ParseFromString(data)
    except DecodeError:
        return "it does not parse as a protocol buffer"
    return ""


def _from_text(message: Any, data: bytes) -> str:
    """Fills a message from its text form; returns what is wrong, or nothing."""
    from google.protobuf import text_format

    try:
        text_format.Parse(data.decode("utf-8"), message)
    except (text_format.ParseError, UnicodeDecodeError) as exc:
        return f"its text does not parse: {str(exc).splitlines()[0][:200]}"
    except RecursionError:
        return "its messages are nested too deeply"
    return ""


def _check_top(data: bytes, path: Path) -> None:
    """Walks over the outermost fields, so that nothing is parsed that has the size of no graph. Raises `BadInput`."""
    count = 0
    try:
        for tag, start, stop in _fields(data, 0, len(data)):
            if tag == _SCHEMA and not count:
                raise BadInput(
                    "is a SavedModel's graph under another name",
                    path=path,
                    hint="call it saved_model.pb and give the directory that holds it and its variables",
                )
            # The graph of a MetaGraphDef, the functions of a GraphDef.
            count += 1 + (sum(1 for _ in _fields(data, start, stop)) if tag == _INNER else 0)
            if count > MAX_NODES:
                raise BadInput(f"has over {MAX_NODES} operations, far more than any model's", path=path)
    except ValueError as exc:
        raise BadInput(f"is no TensorFlow graph, or a damaged one: {exc}", path=path) from exc


def _fields(data: bytes, at: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """The fields of a message that lies at `at … stop`: tag, and where the value lies. Raises `ValueError`."""
    for _ in range(MAX_NODES + 1):
        if at >= stop:
            return
        tag, start = varint(data, at)
        size = {1: 8, 5: 4}.get(tag & 7, 0)
        if tag & 7 == 2:
            size, start = varint(data, start)
        elif tag & 7 == 0:
            _, start = varint(data, start)
        elif not size:
            raise ValueError(f"what stands at byte {at} is no field of a protocol buffer")
        if start + size > stop:
            raise ValueError(f"the field at byte {at} reaches to byte {start + size}, past the end at {stop}")
        yield tag, start, start + size
        at = start + size


def _check_names(definition: Any, path: Path) -> None:
    seen: set[str] = set()
    for node in definition.node:
        if node.name in seen:
            raise BadInput(f"is damaged: two operations are called {node.name!r}", path=path)
        seen.add(node.name)
