"""SavedModel directories: their variables and the graph meant for use. Read in part: functions, assets, signatures and
the Keras configuration of TensorFlow 2 are not looked at, and nothing is run."""

from __future__ import annotations

from pathlib import Path

from rnnprobe.formats import bundle, files, graph
from rnnprobe.formats.apart import apart, notes_on
from rnnprobe.formats.format import Format
from rnnprobe.types import Checkpoint, Tensor

NAME = "SavedModel"
GRAPH = "saved_model.pb"
PARTIAL = "a SavedModel is read in part: its variables and its graph"


def matches(path: Path) -> bool:
    """Whether `path` is the directory of a SavedModel."""
    return files.is_file(path / GRAPH)


def read(path: Path) -> Checkpoint:
    """The variables of the SavedModel in the directory `path`, and its graph.

    Raises:
        BadInput: the graph or the variables are damaged.
    """
    parsed, writer, notes = graph.saved_model(path / GRAPH)
    tensors: dict[str, Tensor] = {}
    if bundle.matches(path / "variables" / "variables"):
        tensors, more = bundle.contents(path / "variables" / "variables")
        notes = (*notes, *more)
    else:
        notes = (*notes, "there are no variables beside the graph")
    set_apart = apart(tensors)
    return Checkpoint(
        path=path,
        format=NAME,
        tensors=tensors,
        set_apart=set_apart,
        graph=parsed,
        writer=writer,
        notes=(PARTIAL, *notes, *notes_on(set_apart)),
    )


FORMAT = Format(NAME, matches, read)
