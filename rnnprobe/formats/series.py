"""The checkpoints of one training, in order of its steps, told by the numbers in their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rnnprobe.errors import BadInput
from rnnprobe.formats import files, saved_model
from rnnprobe.formats.format import Format
from rnnprobe.formats.locate import STATE, checkpoints, locate, state

_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?|\b(?:nan|inf)\b")
_SUFFIX = re.compile(r"(?:\.weights)?\.(?:h5|hdf5|keras)$")  # the 5 of .h5 is no step


def series(path: Path, formats: Sequence[Format]) -> tuple[tuple[int | None, Path], ...]:
    """The training step and the path of every checkpoint of a training.

    Args:
        path: a training directory, or the start of the names in one (`runs/model.ckpt` for `runs/model.ckpt-100` …),
            or a checkpoint, which is then the only one.

    Returns:
        By rising step; a checkpoint whose name has no number comes last, with None for its step. Where several numbers
        vary from name to name, the last whole one is the step: `epoch_14_gs_27956` is of step 27956 and
        `weights.05-0.31.h5` of step 5.

    Raises:
        BadInput: there is no checkpoint, or there are those of several trainings; the hint lists them.
    """
    stem = "" if path.is_dir() else path.name
    directory = path.parent if stem else path
    found = checkpoints(directory, formats) if directory.is_dir() else []
    chosen = [one for one in found if one.name.startswith(stem)]
    if path in found or (stem and path.exists()) or not chosen or saved_model.matches(path):
        single = locate(path, formats)
        return ((_steps([single])[0], single),)
    families: dict[str, list[Path]] = {}
    for one in chosen:
        families.setdefault(_pattern(one), []).append(one)
    trainings = [family for family in families.values() if len(family) > 1 or len(families) == 1]
    if len(trainings) > 1 and files.is_file(directory / STATE):
        named = state(directory / STATE)[1]
        trainings = [family for family in trainings if set(family) & set(named)] or trainings
    if len(trainings) > 1:
        starts = ", ".join(f"{family[0].name} … {family[-1].name}" for family in trainings)
        hint = f"give the start of the names of one of them: {starts}"
        raise BadInput(f"the checkpoints of {len(trainings)} trainings are here", path=path, hint=hint)
    training = trainings[0] if trainings else []
    steps = sorted(zip(_steps(training), training, strict=True), key=lambda pair: (pair[0] is None, pair[0] or 0))
    rest = [one for family in families.values() if len(family) == 1 and family != training for one in family]
    return (*steps, *((None, one) for one in rest))


def _pattern(path: Path) -> str:
    """A name without what varies along a training: its numbers, and how they are set apart."""
    return re.sub(r"[-_.=#]+", "-", _NUMBER.sub("#", _SUFFIX.sub("", path.name)))


def _steps(training: Sequence[Path]) -> list[int | None]:
    """The last whole number that varies over names of one pattern; the last one of a single name."""
    columns = list(zip(*(_NUMBER.findall(_SUFFIX.sub("", path.name)) for path in training), strict=False))
    whole = [column for column in columns if all(number.isdecimal() for number in column)]
    varying = [column for column in whole if len(set(column)) > 1 or len(training) == 1]
    return [int(number) for number in varying[-1]] if varying else [None] * len(training)
