"""The options of ELMo's language model, a JSON file beside the HDF5 dump of its weights.

https://github.com/allenai/bilm-tf, `bin/dump_weights.py` and `bilm/model.py`: the names in the dump are those of the
TensorFlow variables, and what they don't hold is in the options: the clips, and whether layers are residual.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnprobe.errors import BadInput
from rnnprobe.formats.keras_json import load, parse


@dataclass(frozen=True, slots=True)
class BilmOptions:
    """What an options file says of the LSTMs.

    Attributes:
        path: the file.
        cell_clip, proj_clip: c and the projected h are clipped to ± this, or not.
        residual: every layer but the first has its input added to what it passes on.
        dim: units.
        projection_dim: the width of h, and of the input.
    """

    path: Path
    cell_clip: float | None
    proj_clip: float | None
    residual: bool
    dim: int
    projection_dim: int


def beside(weights: Path) -> Path | None:
    """The options file of a dump: `…_options.json` beside `…_weights.hdf5`, else `options.json`; None without one."""
    names = dict.fromkeys((f"{weights.stem.replace('weights', 'options')}.json", "options.json"))
    return next((path for name in names if (path := weights.with_name(name)).is_file()), None)


def read_options(path: Path) -> BilmOptions:
    """The options in a file.

    Raises:
        BadInput: the file is not there, or holds no options of such a model.
    """
    stored = parse(load(path), path, "the file")
    lstm = stored.get("lstm") if isinstance(stored, dict) else None
    if not isinstance(lstm, dict):
        raise BadInput("holds no options of a bilm-tf model (an object lstm)", path=path)
    residual = lstm.get("use_skip_connections", False)
    if not isinstance(residual, bool):
        raise BadInput(f"says that use_skip_connections is {residual!r}, expected true or false", path=path)
    dim, width = (_number(lstm, key, path) for key in ("dim", "projection_dim"))
    if dim is None or width is None:
        raise BadInput("does not tell dim and projection_dim in its object lstm", path=path)
    clips = (_number(lstm, "cell_clip", path), _number(lstm, "proj_clip", path))
    return BilmOptions(path, *clips, residual, int(dim), int(width))


def _number(lstm: dict[str, Any], key: str, path: Path) -> float | None:
    """A number above 0; None for null, or where there is none."""
    value = lstm.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise BadInput(f"says that {key} is {value!r}, expected a number above 0", path=path)
    return float(value)
