"""A network of several inputs: which array, field or source is meant for which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from rnnprobe.errors import BadInput, RnnprobeError
from rnnprobe.inputs.collection import ASIDE, MAIN, choose, listed
from rnnprobe.inputs.found import Found, Grid, Request

_LENGTHS = ("lengths", "length")


@contextmanager
def inside(name: str, count: int = 2) -> Iterator[None]:
    """Errors say of which input they speak, where there are several."""
    try:
        yield
    except RnnprobeError as exc:
        if count == 1:
            raise
        raise type(exc)(f"input {name!r}: {exc.message}", path=exc.path, hint=exc.hint) from exc


@contextmanager
def located(path: str | None) -> Iterator[None]:
    """Errors that name no file name this one."""
    try:
        yield
    except RnnprobeError as exc:
        if exc.path is not None or path is None:
            raise
        raise type(exc)(exc.message, path=path, hint=exc.hint) from exc


@dataclass(frozen=True, slots=True)
class Fields:
    """What was given for each input.

    Attributes:
        keys: input → the name under which it is given.
        lengths: input → the name under which its lengths are given, for those that have such.
    """

    keys: Mapping[str, str]
    lengths: Mapping[str, str]

    @classmethod
    def of(cls, given: Iterable[str], inputs: Iterable[str], *, partly: bool = False) -> Fields:
        """Matches names: the whole name of an input, or its last component, or either in another case, where that
        leaves no choice; `NAME_lengths` and `lengths_NAME` beside it.

        Args:
            given: the names given.
            inputs: those of the network.
            partly: an input may have nothing.

        Raises:
            BadInput: an input has nothing, or a name is that of no input.
        """
        names, wanted = list(given), list(inputs)
        keys = _matches({name: name for name in names}, wanted)
        rest = [name for name in names if name not in keys.values()]
        lengths = _matches({name: stem for name in rest if (stem := _stem(name))}, wanted)
        missing = [] if partly else [name for name in wanted if name not in keys]
        strange = [name for name in rest if name not in lengths.values()]
        if missing or strange:
            wrong = [f"{', '.join(map(repr, missing))} {'is' if len(missing) == 1 else 'are'} missing"] * bool(missing)
            wrong += [f"{', '.join(map(repr, strange))} {'is' if len(strange) == 1 else 'are'} none"] * bool(strange)
            raise BadInput(
                f"holds {', '.join(map(repr, names)) or 'nothing'}; the network takes {quoted(wanted)}: "
                f"{'; '.join(wrong)}",
                hint="each input is given under its own name; lengths go by NAME_lengths, or lengths for all",
            )
        return cls(keys, lengths)


def quoted(inputs: Iterable[str]) -> str:
    """The names of the inputs, for an error."""
    names = [repr(name) for name in inputs]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _stem(name: str) -> str:
    """What `NAME_lengths` and `lengths_NAME` speak of, or empty."""
    for word in _LENGTHS:
        if name.startswith(f"{word}_"):
            return name.removeprefix(f"{word}_")
        if name.endswith(f"_{word}"):
            return name.removesuffix(f"_{word}")
    return ""


def _matches(given: Mapping[str, str], inputs: list[str]) -> dict[str, str]:
    """Input → the key of `given` whose name means it: the strictest way first, each only where it leaves no choice."""
    found: dict[str, str] = {}
    for last, fold in ((False, False), (True, False), (False, True), (True, True)):
        pairs = [
            (name, key)
            for name in inputs
            for key, word in given.items()
            if name not in found and key not in found.values() and _form(name, last, fold) == _form(word, False, fold)
        ]
        for name, key in pairs:
            if sum(name == other for other, _ in pairs) == sum(key == other for _, other in pairs) == 1:
                found[name] = key
    return {name: found[name] for name in inputs if name in found}


def _form(name: str, last: bool, fold: bool) -> str:
    name = name.rpartition("/")[2] if last else name
    return name.casefold() if fold else name


def gather_each(arrays: Mapping[str, Grid], requests: Mapping[str, Request], path: str) -> dict[str, Found]:
    """The arrays of a file for each input: one of its name, or a group of its name that holds `x` or `ids`, `lengths`
    and `names`. `lengths` and `names` beside them count for every input that has none of its own.

    Raises:
        BadInput: arrays are missing, or there is one that no input has the name of.
        Refused: an array holds Python objects.
    """
    shared = {name: grid for name, grid in arrays.items() if name in ASIDE and name not in requests}
    parts: dict[str, dict[str, Grid]] = {}
    for name, grid in arrays.items():
        if name in shared:
            continue
        group, _, part = name.rpartition("/")
        if name in requests or not group or part not in (*MAIN, *ASIDE):
            group, part = name, MAIN[0]
        parts.setdefault(group, {})[part] = grid
    fields = Fields.of(parts, requests)
    result = {}
    for name, key in fields.keys.items():
        own = {"lengths": parts[fields.lengths[name]][MAIN[0]]} if name in fields.lengths else {}
        common = {word: grid for word, grid in shared.items() if not (word == "lengths" and requests[name].fixed)}
        with inside(name):
            result[name] = choose({**common, **own, **parts[key]}, "", requests[name], path=path)
    return result


def below(arrays: Mapping[str, Grid], key: str) -> dict[str, Grid]:
    """The arrays below a path of a file, by their paths from there; the one that lies right there has an empty one.

    Raises:
        BadInput: there is none.
    """
    key = key.strip("/")
    if not key:
        return dict(arrays)
    found = {name.removeprefix(f"{key}/"): grid for name, grid in arrays.items() if name.startswith(f"{key}/")}
    if not found and key not in arrays:
        raise BadInput(f"holds no array at {key}; there is {listed(arrays)}")
    return found or {"": arrays[key]}
