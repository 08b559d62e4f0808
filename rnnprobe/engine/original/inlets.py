"""Where the inputs of a network go into its graph, and how they lie there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice, product
from pathlib import Path

import numpy as np

from rnnprobe.engine.original.arrange import Form, forms
from rnnprobe.engine.original.built import Built
from rnnprobe.engine.original.copies import Entry
from rnnprobe.engine.original.given import Given
from rnnprobe.engine.original.session import Mismatch
from rnnprobe.errors import BadInput
from rnnprobe.types import Array, Batch

_MOST_TRIALS = 48


class Inlets:
    """The tensors of a graph that take the inputs.

    Args:
        built: the graph.
        given: the inputs.
        path: of the checkpoint, for messages.

    Attributes:
        forms: entry → how its sequences lie in it, once that is known or to be tried.
    """

    def __init__(self, built: Built, given: Given, path: Path) -> None:
        self._built, self._given, self._path = built, given, path
        self.forms: dict[Entry, Form] = {}

    @property
    def notes(self) -> list[str]:
        """What a report has to say of how the inputs went in."""
        return [
            f"{entry.source} went into the graph as {form.words}"
            + ("" if len(entry.roots) == 1 else f", in {len(entry.roots)} tensors, one for each step")
            for entry, form in self.forms.items()
        ]

    def fixed(self, axis: str) -> int | None:
        """How many sequences (`b`) or steps (`t`) they take, where that is fixed."""
        sizes = (
            form.fixed(self._built.shape(self._built.entries[entry][0]), axis)
            for entry, form in self.forms.items()
            if axis == "b" or not entry.whole
        )
        return next((size for size in sizes if size is not None), None)

    def choices(self, batch: Batch) -> list[dict[Entry, Form]]:
        """The arrangements of all entries that their static shapes allow; only so many of them.

        Raises:
            BadInput: the graph takes ids, and floats were given, or nothing shows which features go where.
        """
        each = [list(self._choices(entry, batch)) for entry in self._built.entries]
        return [dict(zip(self._built.entries, of, strict=True)) for of in islice(product(*each), _MOST_TRIALS)]

    def feed(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """What to feed for inputs, `[rows, steps, …]`.

        Raises:
            Mismatch: there is more to attend to than there is room for.
        """
        found: dict[str, Array] = {}
        for entry, form in self.forms.items():
            found.update(self._fed(entry, form, values[entry.source]))
        return found

    def _choices(self, entry: Entry, batch: Batch) -> Iterator[Form]:
        """The arrangements of one entry that its static shape allows."""
        edge = self._built.entries[entry][0]
        ids = self._takes_ids(edge)
        one = self._given.chunk(batch, np.flatnonzero(batch.lengths)[:1], 0, 1)
        values = self._own(entry, self._given.taken(entry.source, one.values[entry.source], ids=ids))
        width = values.shape[-1] if values.ndim > 2 else 1
        space = max(values.ndim - 3, 0)
        found = forms(self._built.shape(edge), width, ids=ids, single=len(entry.roots) > 1, space=space)
        # What is attended to has no steps of the loop's, by which another order would be told.
        yield from (form for form in found if not entry.whole or form.axes == ("b", "t", "d"))

    def _own(self, entry: Entry, values: Array) -> Array:
        """The features that one of several tensors holds, of those side by side in the input.

        Raises:
            BadInput: nothing shows how many each of them holds.
        """
        place, count = entry.beside
        if count == 1:
            return values
        group = sorted(
            (other for other in self._built.entries if (other.source, other.beside[1]) == (entry.source, count)),
            key=lambda other: other.beside,
        )
        shapes = [self._built.shape(self._built.entries[other][0]) for other in group]
        known = [shape[-1] if shape else None for shape in shapes]
        rest = values.shape[-1] - sum(width or 0 for width in known)
        widths = [rest if width is None else width for width in known]
        if len(group) != count or known.count(None) > 1 or sum(widths) != values.shape[-1] or min(widths) < 1:
            raise BadInput(
                f"can't be run: the {values.shape[-1]} features of {entry.source!r} go into {count} tensors of the "
                f"graph, and nothing shows which into which",
                path=self._path,
            )
        return values[..., sum(widths[:place]) : sum(widths[: place + 1])]

    def _takes_ids(self, edge: str) -> bool:
        return np.dtype(self._built.dtype(edge)).kind in "iu"

    def _fed(self, entry: Entry, form: Form, values: Array) -> dict[str, Array]:
        names = self._built.entries[entry]
        taken = self._own(entry, self._given.taken(entry.source, values, ids=self._takes_ids(names[0])))
        dtype = self._built.dtype(names[0])
        if entry.whole:
            taken = self._padded(form, names[0], taken)
        if len(names) == 1:
            return {f"{names[0]}:0": form(taken).astype(dtype)}
        order = names[::-1] if form.turned else names
        return {f"{name}:0": form(taken[:, k : k + 1]).astype(dtype) for k, name in enumerate(order)}

    def _padded(self, form: Form, edge: str, values: Array) -> Array:
        """What is attended to, with zeros up to as many steps as its tensor has.

        Raises:
            Mismatch: it has more.
        """
        steps = form.fixed(self._built.shape(edge), "t")
        if steps is None or steps == values.shape[1]:
            return values
        if steps < values.shape[1]:
            raise Mismatch(f"its graph attends to up to {steps} steps, and {values.shape[1]} were given")
        return np.pad(values, [(0, 0), (0, steps - values.shape[1]), (0, 0)])
