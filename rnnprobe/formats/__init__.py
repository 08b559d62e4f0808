"""From a path to a `Checkpoint`: every tensor listed and checked against the files' lengths, none of them loaded.

`FORMATS` is the registry. A format is a `rnnprobe.formats.format.Format`; to add one, write it in a file of its own and
name it here. The first whose `matches` says yes reads the path, so a format that is told by its content comes before
one that is told by its name alone. What only one format needs (protobuf, h5py) it imports when it reads.
"""

from __future__ import annotations

from pathlib import Path

from rnnprobe.errors import BadInput
from rnnprobe.formats import bundle, files, frozen, saved_model, v1
from rnnprobe.formats.format import Format
from rnnprobe.formats.keras_hdf5 import KERAS_HDF5
from rnnprobe.formats.keras_json import KERAS_JSON
from rnnprobe.formats.keras_zip import KERAS_ZIP
from rnnprobe.formats.locate import locate, without_index
from rnnprobe.formats.series import series as _series
from rnnprobe.types import Checkpoint

__all__ = ["FORMATS", "Format", "lacking", "read", "series"]

FORMATS: tuple[Format, ...] = (
    bundle.FORMAT,
    saved_model.FORMAT,
    v1.FORMAT,
    frozen.FORMAT,
    KERAS_ZIP,
    KERAS_HDF5,
    KERAS_JSON,
)
"""The formats. See the module's docstring for the contract."""

# How files begin that people take for a checkpoint of TensorFlow or Keras.
_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, and not one that Keras wrote"),
    (b"PK\x03\x04", "a zip archive, and no .keras file (PyTorch and NumPy write such)"),
    (b"\x80", "a Python pickle, which is never run"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x1f\x8b", "compressed by gzip: unpack it first"),
)


def read(path: str | Path) -> Checkpoint:
    """What a path holds: a checkpoint's prefix, any one of its files, a directory, a SavedModel or a Keras file.

    Raises:
        BadInput: there is nothing there, or several, or it is damaged, or of no format that is read.
        Refused: a file asks for another one outside of its directory.
    """
    found = locate(Path(path), FORMATS)
    for form in FORMATS:
        if form.matches(found):
            return form.read(found)
    raise _unrecognised(found)


def series(path: str | Path) -> tuple[tuple[int | None, Path], ...]:
    """The training step and the path of every checkpoint of a training directory: see `rnnprobe.formats.series`."""
    return _series(Path(path), FORMATS)


def lacking(path: str | Path) -> tuple[str, ...]:
    """What to say of the checkpoints in a training directory that can't be read for want of their index."""
    names = without_index(Path(path)) if Path(path).is_dir() else []
    if not names:
        return ()
    listed = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    lack = "has data and lacks its index" if len(names) == 1 else "have data and lack their index"
    return (f"left out: {listed} {lack} (.index), without which nothing of them can be read",)


def _unrecognised(path: Path) -> BadInput:
    begins = files.read(path, 0, min(files.length(path), 8))
    what = next((what for magic, what in _FOREIGN if begins.startswith(magic)), "")
    known = ", ".join(form.name for form in FORMATS)
    if not begins:
        return BadInput("is empty", path=path)
    return BadInput(
        f"is {what}" if what else "is no checkpoint that is recognised", path=path, hint=f"read are: {known}"
    )
