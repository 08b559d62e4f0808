"""What the values of arguments must be, whoever wrote the file, as Keras 3's classes take them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rnnprobe.recover.keras.config import Era, activation, mapped

Check = Callable[[Any, Era], Any]
MORE = frozenset({"sparsemax"})
"""The activations that layers without recurrence alone use, so that no cell has them."""


class Unfit(Exception):
    """A value that no class of Keras's own takes; says what it is, as the rest of `its padding is …`."""


def plain(value: Any) -> Any:
    """A value without what some releases wrapped NumPy's numbers and tuples in."""
    if isinstance(value, Mapping):
        if value.get("class_name") == "__tuple__":
            return plain(value.get("items"))
        if value.get("class_name") == "__numpy__":
            return plain(mapped(value.get("config")).get("value"))
        return plain(value["value"]) if set(value) == {"type", "value"} else value
    return [plain(one) for one in value] if isinstance(value, list) else value


def whole(value: Any, meaning: Era) -> int:
    """A count; Keras 1 wrote some as floats."""
    value = value[0] if isinstance(value, list) and len(value) == 1 else value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int:
        raise Unfit(f"{value!r}, expected a whole number")
    return value


def number(value: Any, meaning: Era) -> float:
    """A number."""
    value = value[0] if isinstance(value, list) and len(value) == 1 else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unfit(f"{value!r}, expected a number")
    return value


def flag(value: Any, meaning: Era) -> bool:
    """A truth value."""
    if not isinstance(value, bool):
        raise Unfit(f"{value!r}, expected true or false")
    return value


def nested(check: Check) -> Check:
    """What `check` takes, or lists of it."""
    return lambda value, meaning: (
        [nested(check)(one, meaning) for one in value] if isinstance(value, list) else check(value, meaning)
    )


numbers, wholes = nested(number), nested(whole)


def maybe(check: Check) -> Check:
    """What `check` takes, or null."""
    return lambda value, meaning: None if value is None else check(value, meaning)


def word(*choices: str, **older: str) -> Check:
    """One of these words; `older` are others for them."""

    def check(value: Any, meaning: Era) -> str:
        found = older.get(value, value) if isinstance(value, str) else value
        if not isinstance(found, str) or found not in choices:
            raise Unfit(f"{value!r}, expected one of {', '.join(choices)}")
        return found

    return check


def text(value: Any, meaning: Era) -> str:
    if not isinstance(value, str):
        raise Unfit(f"{value!r}, expected a word")
    return value


def axis(value: Any, meaning: Era) -> Any:
    """An axis, or several; tf.keras wrote a single one as a list."""
    value = wholes(value, meaning)
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def sizes(value: Any, meaning: Era) -> Any:
    """A shape with sizes that are open."""
    return [maybe(whole)(one, meaning) for one in value] if isinstance(value, list) else maybe(whole)(value, meaning)


def margins(value: Any, meaning: Era) -> Any:
    """What is cropped or padded on each side; Keras 1 had two more ways to say it."""
    if isinstance(value, Mapping):
        sides = [value.get(key, 0) for key in ("top_pad", "bottom_pad", "left_pad", "right_pad")]
        value = sides[2:] if set(value) <= {"left_pad", "right_pad"} else [sides[:2], sides[2:]]
    if isinstance(value, list) and len(value) == 4:
        value = [value[:2], value[2:]]
    return wholes(value, meaning)


def function(value: Any, meaning: Era) -> str:
    """An activation, by the name of `rnnprobe.cells.activations`, or one of `MORE`."""
    name = value.get("config") if isinstance(value, Mapping) else value
    if isinstance(name, str) and name in MORE:
        return name
    found, problem = activation(value, meaning)
    if problem:
        raise Unfit(problem.removeprefix("its activation is "))
    return found


def interpolation(value: Any, meaning: Era) -> str:
    """How pixels are filled in. Up to Keras 2.3 and TensorFlow 1.13 their corners were taken for their centres."""
    found: str = word("nearest", "bilinear", "bicubic")(value, meaning)
    if found != "nearest" and meaning.major < 3 and meaning.reset != "after":
        raise Unfit(f"{value!r}, which releases of that time computed in two ways")
    return found
