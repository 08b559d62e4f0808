"""A trace as `.npz`, read. `rnnprobe.inputs.npz` does the reading, in place where nothing is compressed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rnnprobe.inputs import npz
from rnnprobe.inputs.file import File
from rnnprobe.inputs.found import Grid
from rnnprobe.outputs import layout, reader
from rnnprobe.outputs.trace import Trace

_ATTRIBUTES = "attributes"


def load(file: File) -> Trace:
    """Opens a trace; see `rnnprobe.outputs.load`."""
    if file.suffix == ".keras":
        raise file.bad("is a model, and no trace", hint="`rnnprobe trace MODEL -o FILE` writes one")
    grids = dict(npz.arrays(file))
    attributes = {}
    for name in list(grids):
        if name == layout.VERIFICATION:
            attributes[name] = _object(file, grids.pop(name), name)
        elif name == _ATTRIBUTES or name.endswith(f"/{_ATTRIBUTES}"):
            attributes[name.removesuffix(_ATTRIBUTES).rstrip("/")] = _object(file, grids.pop(name), name)
    return reader.build(Path(file.path), grids, attributes)


def _object(file: File, grid: Grid, name: str) -> dict[str, Any]:
    if grid.dtype.kind != "U" or grid.shape != ():
        raise file.bad(f"is no trace: {name} is {grid.words}, expected one text")
    try:
        found = json.loads(str(grid.whole()))
    except (ValueError, RecursionError) as exc:
        raise file.bad(f"is damaged: {name} is no JSON: {exc}") from exc
    if not isinstance(found, dict):
        raise file.bad(f"is damaged: {name} is no JSON object")
    return found
