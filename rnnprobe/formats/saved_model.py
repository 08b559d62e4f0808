"""SavedModel directories: their variables, the objects and Keras configurations of TensorFlow 2, and the graph meant
for use, its functions laid out. Nothing is run: no initialiser, and no asset is opened.

The object graph of `saved_model.pb` is that of tensorflow/core/protobuf/saved_object_graph.proto; its objects have the
numbers of those in the variables' own object graph, and more follow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rnnprobe.formats import bundle, files, graph, keras_metadata, object_graph
from rnnprobe.formats.apart import apart, notes_on
from rnnprobe.formats.format import Format
from rnnprobe.formats.graph import signatures
from rnnprobe.types import Checkpoint, Tensor

NAME = "SavedModel"
GRAPH = "saved_model.pb"
UNCALLED = "no signature of it calls a function, so that what its functions compute is not in the graph that is read"


def matches(path: Path) -> bool:
    """Whether `path` is the directory of a SavedModel."""
    return files.is_file(path / GRAPH)


def read(path: Path) -> Checkpoint:
    """The variables of the SavedModel in the directory `path`, and its graph.

    Raises:
        BadInput: the graph, the variables, the object graph or a configuration is damaged.
    """
    parsed, writer, notes = graph.saved_model(path / GRAPH)
    tensors: dict[str, Tensor] = {}
    if bundle.matches(path / "variables" / "variables"):
        tensors, more = bundle.contents(path / "variables" / "variables")
        notes = (*notes, *more)
    else:
        notes = (*notes, "there are no variables beside the graph")
    set_apart = apart(tensors)
    if parsed.object_graph_def.concrete_functions and not signatures(parsed):
        notes = (*notes, UNCALLED)
    checkpoint = Checkpoint(
        path=path,
        format=NAME,
        tensors=tensors,
        set_apart=set_apart,
        graph=parsed,
        files=tuple(_files(path, bool(tensors))),
        writer=writer,
        notes=(*notes, *notes_on(set_apart)),
    )
    of_objects = any(name.endswith(object_graph.VALUE) for name in tensors)
    return object_graph.attach(checkpoint, _configs(checkpoint) if of_objects else None)


def _files(path: Path, variables: bool) -> Iterator[Path]:
    yield path / GRAPH
    if files.is_file(path / keras_metadata.FILE):
        yield path / keras_metadata.FILE
    if variables:
        yield from bundle.stored(path / "variables" / "variables")


def _configs(checkpoint: Checkpoint) -> dict[str, Mapping[str, Any]]:
    """An object's path → its Keras configuration."""
    nodes = checkpoint.graph.object_graph_def.nodes
    stored = keras_metadata.configurations(checkpoint.path, nodes)
    found = object_graph.walk(nodes, checkpoint) if stored else []
    return {"/".join(one.path): stored[one.node] for one in found if one.first and one.node in stored}


FORMAT = Format(NAME, matches, read)
