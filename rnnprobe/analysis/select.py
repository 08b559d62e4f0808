"""Which layers, gates and parts the user means."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from rnnprobe.errors import BadInput
from rnnprobe.types import Layer, Network


def select(network: Network, patterns: Sequence[str]) -> tuple[Layer, ...]:
    """The layers of a network that patterns name (`named`), in its order; all of them without a pattern.

    Raises:
        BadInput: a pattern matches no layer, or names one that is not recurrent.
    """
    others = {*(one.name for one in network.transforms), *(one.name for one in network.embeddings)}
    names = [layer.name for layer in network.layers]
    plain = next((pattern for pattern in patterns if pattern in others and not _matching(names, pattern)), None)
    if plain is not None:
        raise BadInput(
            f"{plain!r} is not recurrent: it has no states to show",
            path=network.checkpoint.path,
            hint="the recurrent layers are:\n" + "\n".join(names),
        )
    wanted = named(names, patterns, network.checkpoint.path)
    return tuple(layer for layer in network.layers if layer.name in wanted)


def named(names: Sequence[str], patterns: Sequence[str], path: Path | None, kind: str = "layer") -> frozenset[str]:
    """The names that patterns mean; all of them without a pattern.

    A pattern is a layer's name, or a part of the names of one or more layers, or a glob (`*cell_0*`). A whole name
    means that layer alone, although others may contain it.

    Args:
        names: of the layers.
        patterns: what the user said.
        path: of the file, for the message.
        kind: what has these names, for the message.

    Raises:
        BadInput: a pattern matches none; the hint lists those there are.
    """
    if not patterns:
        return frozenset(names)
    wanted: set[str] = set()
    for pattern in patterns:
        found = _matching(names, pattern)
        if not found:
            raise BadInput(
                f"no {kind} is called {pattern!r}",
                path=path,
                hint=f"the {kind}s are:\n" + "\n".join(names) if names else "nothing recurrent was found in it",
            )
        wanted.update(found)
    return frozenset(wanted)


def choose(kind: str, given: Sequence[str], known: Sequence[str], path: Path | None = None) -> frozenset[str]:
    """The words given, each of them known; all that are known if none is given.

    Args:
        kind: what the words are, for the message: `gate`, `part`.
        given: what the user said.
        known: what the chosen layers have.
        path: of the file, for the message.

    Raises:
        BadInput: a word that is not known; the hint lists those that are.
    """
    for word in given:
        if word not in known:
            listed = ", ".join(dict.fromkeys(known)) or "none"
            raise BadInput(
                f"no {kind} is called {word!r} in the chosen layers", path=path, hint=f"the {kind}s are: {listed}"
            )
    return frozenset(given or known)


def recorded(words: str | Sequence[str]) -> tuple[list[str], bool]:
    """What `--record` names: the words that mean signals, and whether the model's own output is wanted (`output`)."""
    listed = words.replace(",", " ").split() if isinstance(words, str) else list(words)
    return [word for word in listed if word != "output"], "output" in listed


def _matching(names: Sequence[str], pattern: str) -> list[str]:
    if pattern in names:
        return [pattern]
    if any(char in pattern for char in "*?["):
        return [name for name in names if fnmatchcase(name, pattern)]
    return [name for name in names if pattern and pattern in name]
