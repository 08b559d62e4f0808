"""Keras weights without a configuration: cells from names and shapes, options as their era had them, wiring as a chain.

All of it is assumed, and said to be; a configuration (`--config`) settles it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, permutations

from rnnprobe.cells.layers import defaults
from rnnprobe.formats.keras_names import snake_case
from rnnprobe.formats.natural import natural
from rnnprobe.recover.keras import others
from rnnprobe.recover.keras.cells import assumed
from rnnprobe.recover.keras.config import Era
from rnnprobe.recover.keras.others import STORED
from rnnprobe.recover.keras.store import (
    CONTAINERS,
    KERAS_CELLS,
    CellWeights,
    Fitting,
    Flat,
    Nested,
    by_cell,
    fitting,
    is_table,
    matches,
    numbered,
    positional,
)
from rnnprobe.recover.keras.strange import published, resemblance, unlike_keras
from rnnprobe.types import Candidate, Checkpoint, Embedding, Feed, Layer, Network, Tensor

_CELL_WORD = re.compile(r"(?:lstm|gru|simple_rnn)_cell(?:_\d+)?")
_COUNTER = re.compile(r"_\d+$")
_CELL_OBJECT = re.compile(r"(?:^|/)cell(?:/cells/[^/]+)?$")
_CALL = re.compile(r"\[[^\[]*\]$")  # what tells cells of one scope apart
_KERAS_CLASSES = frozenset(snake_case(name) for cell in KERAS_CELLS for name in cell.classes) | {"rnn"}
# Groups without weights that change what passes through them, by the names that Keras gives them.
_CHANGES = re.compile(
    r"(?:reshape|permute|flatten|repeat_?vector|concatenate|merge|lambda|add|multiply|average|maximum|dot|subtract|"
    r"activation|(?:zero_?)?padding|max_?pooling|average_?pooling|global_|up_?sampling|cropping)\w*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Stage:
    """Layers that read the same input and together make one output: one, or a forward and a backward one."""

    layers: tuple[Layer, ...]

    @property
    def input_size(self) -> int:
        return self.layers[0].input_size

    @property
    def width(self) -> int:
        return sum(layer.output_size for layer in self.layers)

    def fed(self, feed: Feed) -> _Stage:
        """Both halves of a wrapper read the same input, as their names say."""
        if len(self.layers) > 1:
            feed = replace(feed, evidence="weights")
        return _Stage(tuple(replace(layer, feed=feed) for layer in self.layers))


@dataclass(frozen=True, slots=True)
class _Before:
    """What may enter the next stage: a source of known width, or something outside."""

    sources: tuple[str, ...] = ("input",)
    width: int | None = None
    last: str = ""

    def feed(self, stage: _Stage) -> Feed:
        """The feed of a stage that comes here, as far as the widths agree."""
        if self.width is None or self.width == stage.input_size:
            return Feed(self.sources)
        return Feed((self.last or f"input of {stage.layers[0].name}",))


def recover(checkpoint: Checkpoint, weights: Flat | Nested, era: Era, cell: str | None = None) -> Network:
    """The network of weights that came without a configuration.

    Args:
        checkpoint: what was read.
        weights: those of the file.
        era: what the release that wrote it took for granted.
        cell: the name of the cell that the user says candidates are.
    """
    finder = _Finder(era, cell)
    chained = finder.flat(weights) if isinstance(weights, Flat) else finder.nested(weights)
    used = {source for stage in chained for layer in stage.layers for source in layer.feed.sources}
    embeddings = tuple(found for found in finder.embeddings if found.name in used)
    notes = []
    if chained:
        notes.append(
            f"no configuration came with the weights: options are the defaults of {era.words}, the wiring is "
            f"a chain, and nothing is masked: all assumed (--config FILE settles it)"
        )
    if chained and era.words.endswith("2.2.4-tf"):
        notes.append("2.2.4-tf was written by TensorFlow 1.13 to 2.1, whose recurrent_activation differs")
    if not chained and not finder.candidates:
        held = ", ".join(sorted(checkpoint.groups)[:6]) or ", ".join(list(checkpoint.tensors)[:6]) or "nothing"
        notes.append(f"nothing recurrent is stored in it (it holds {held})")
    layers = tuple(layer for stage in chained for layer in stage.layers)
    return Network(checkpoint, layers, embeddings, tuple(finder.candidates), (*notes, *finder.notes))


class _Finder:
    """Collects layers, tables and candidates from groups."""

    def __init__(self, era: Era, cell: str | None) -> None:
        self.era = era
        self.cell = cell
        self.embeddings: list[Embedding] = []
        self.candidates: list[Candidate] = []
        self.notes: list[str] = []
        self._group: Sequence[Tensor] = ()

    def flat(self, weights: Flat) -> list[_Stage]:
        """The stages of a `.h5`, whose groups stand in the order of the model's layers."""
        before, found = _Before(), list[_Stage]()
        for group, tensors in weights.groups.items():
            if not tensors:
                before = replace(before, last=group)
                before = _Before((group,)) if _CHANGES.fullmatch(group) else before
                continue
            cut = by_cell(group, tensors)
            self._group = tensors
            stages = self._stages(group, cut)
            if not stages:
                table = tensors[0] if len(tensors) == 1 and is_table(tensors[0]) else None
                before = self._table(group, table) if table is not None else _Before((group,))
            for stage in stages:
                stage = stage.fed(before.feed(stage))
                found.append(stage)
                before = _Before(tuple(layer.name for layer in stage.layers), stage.width)
        return found

    def _table(self, name: str, table: Tensor) -> _Before:
        self.embeddings.append(Embedding(name, table, "assumed"))
        return _Before((name,), table.shape[1])

    def _stages(self, group: str, cut: Sequence[CellWeights]) -> list[_Stage]:
        """The stages that one group of a `.h5` holds."""
        if len(cut) == 1:
            return self._single(group, cut[0])
        words = [" ".join(held.words) for held in cut]
        turned = [k for k, word in enumerate(words) if "backward" in word]
        if len(cut) == 2 and (turned == [1] or (group.startswith("bidirectional") and not turned)):
            return self._pair(group, cut[0], cut[1])
        paths = [(*held.words[:-1], _CALL.sub("", held.words[-1])) for held in cut]
        named = {path[:-1] if _CELL_WORD.fullmatch(path[-1]) else path for path in paths}
        own = [next((word for word in reversed(path) if not _CELL_WORD.fullmatch(word)), "") for path in paths]
        names = own if len(named) == len(cut) and len(set(own)) == len(cut) else [str(k) for k in range(len(cut))]
        return [stage for name, held in zip(names, cut, strict=True) for stage in self._single(f"{group}/{name}", held)]

    def _single(self, name: str, held: CellWeights) -> list[_Stage]:
        layer = self._layer(name, held)
        return [_Stage((layer,))] if layer else []

    def _pair(self, name: str, first: CellWeights, second: CellWeights) -> list[_Stage]:
        forward, backward = self._layer(f"{name}/forward", first), self._layer(f"{name}/backward", second)
        if forward is None or backward is None:
            return []
        return [_Stage((forward, replace(backward, direction="backward")))]

    def _layer(self, name: str, held: CellWeights) -> Layer | None:
        """A layer of the one cell that its shapes allow, or that its names tell; or a candidate."""
        allowed = [found for cell in others.CELLS for found in fitting(cell, held)]
        forced = [found for found in (*matches(held), *allowed) if found[0].name == self.cell]
        other = None if forced else others.of_names((*name.split("/"), *held.words), held.tensors)
        found = forced or (matches(held) if other is None else fitting(other.cell, held))
        if not found:
            could = tuple(cell.name for cell, _, _ in allowed)
            reason = resemblance(held, self._group or held.tensors.values(), could)
            self.candidates.append(Candidate(held.scope, could, reason))
            return None
        layer = self._claimed(name, held, found[0], other)
        note = unlike_keras(name, layer.cell.title) if other is None else published(layer, other)
        self.notes += [note] if note and not forced else []
        return layer

    def _claimed(self, name: str, held: CellWeights, found: Fitting, other: others.Other | None) -> Layer:
        cell, weights, sizes = found
        told = other or next((one for one in others.OTHERS if one.cell is cell and cell.framework != "keras"), None)
        known = assumed(cell, held, self.era) if told is None else told.assumed(self.era)
        return Layer(name, held.scope, cell, weights, sizes, defaults(cell, known))

    def nested(self, weights: Nested) -> list[_Stage]:
        """The stages of a `.weights.h5`, whose groups stand in no order but that of their names."""
        halves: dict[str, dict[str, CellWeights]] = {}
        stacks: dict[str, list[tuple[str, CellWeights]]] = {}
        unusual = list[_Stage]()
        for key, tensors in sorted(weights.groups.items(), key=lambda item: natural(item[0])):
            parts = tensors[0].name.rpartition("/vars/")[0].split("/")
            name = "/".join(part for part in key.split("/") if part not in CONTAINERS).removesuffix("/cell")
            if len(tensors) == 1 and len(tensors[0].shape) == 2 and _COUNTER.sub("", parts[-1]) == "embedding":
                self._table(name, tensors[0])
            holder = parts[:-1] if parts[-1] == "cell" else parts[: parts.index("cell")] if "cell" in parts else parts
            kind = _COUNTER.sub("", holder[-1])
            if parts[-1] != "cell" and "cells" not in parts and kind not in _KERAS_CLASSES:
                continue
            inner = _objects(weights, parts)
            if _CELL_OBJECT.search("/".join(parts[:-1])):
                continue  # of an object in a cell
            known = kind in _KERAS_CLASSES or kind in ("forward_layer", "backward_layer", "layer")
            if not known or inner or len(tensors) > len(STORED):
                unusual += self._unusual(name, parts, tensors, inner)
            elif "cells" in parts:
                stack = name.partition("/cell/cells/")[0]
                stacks.setdefault(stack, []).append((name, positional(tensors)))
            elif kind in ("forward_layer", "backward_layer"):
                halves.setdefault(name.rpartition("/")[0], {})[kind] = positional(tensors)
            else:
                stacks.setdefault(name, []).append((name, positional(tensors)))
        stages = [stage for name, found in stacks.items() for stage in self._stack(name, [held for _, held in found])]
        stages += unusual
        for name, pair in halves.items():
            if len(pair) == 2:
                stages += self._pair(name, pair["forward_layer"], pair["backward_layer"])
        return self._chain(_ordered(sorted(stages, key=lambda stage: natural(stage.layers[0].name))))

    def _unusual(
        self, name: str, parts: Sequence[str], tensors: Sequence[Tensor], inner: Mapping[str, Sequence[Tensor]]
    ) -> list[_Stage]:
        """The stage of a class that is none of Keras's, or that has more variables; none where nothing tells it."""
        words = {_COUNTER.sub("", part) for part in parts}
        could = list[str]()
        for other in others.OTHERS:
            unbiased = [leaf for leaf in other.leaves if leaf != "bias"]
            cut = [held for leaves in (other.leaves, unbiased) if (held := numbered(tensors, inner, leaves))]
            for cell_weights, found in [(one, found) for one in cut for found in fitting(other.cell, one)]:
                named = inner and set(other.telling) & set(cell_weights.tensors)
                if words & other.words or named or other.cell.name == self.cell:
                    layer = self._claimed(name, cell_weights, found, other)
                    self.notes.append(published(layer, other))
                    return [_Stage((layer,))]
                could.append(other.cell.name)
        stored = ", ".join(str(list(t.shape)) for t in (*tensors, *(t for held in inner.values() for t in held)))
        settles = f"; --cell {' or '.join(could)} says that it is one" if could else ""
        reason = f"its variables, which have no names but numbers, are of no cell of Keras: {stored}{settles}"
        self.candidates.append(Candidate("/".join(parts), tuple(could), reason))
        return []

    def _stack(self, name: str, cut: Sequence[CellWeights]) -> list[_Stage]:
        if len(cut) == 1:
            return self._single(name, cut[0])
        found = [stage for held in cut for stage in self._single(name, held)]
        ordered = _ordered(found)
        return [_Stage((replace(stage.layers[0], name=f"{name}/{k}"),)) for k, stage in enumerate(ordered)]

    def _chain(self, stages: list[_Stage]) -> list[_Stage]:
        tables = [e for e in self.embeddings if stages and e.table.shape[1] == stages[0].input_size]
        before = _Before((tables[0].name,), tables[0].table.shape[1]) if len(tables) == 1 else _Before()
        found = []
        for stage in stages:
            found.append(stage.fed(before.feed(stage)))
            before = _Before(tuple(layer.name for layer in stage.layers), stage.width)
        return found


def _objects(weights: Nested, parts: Sequence[str]) -> dict[str, Sequence[Tensor]]:
    """The variables of each object in a cell: its norms."""
    start = "/".join(parts) + "/"
    paths = {tensors[0].name.rpartition("/vars/")[0]: tensors for tensors in weights.groups.values() if tensors}
    return {path.removeprefix(start): tensors for path, tensors in paths.items() if path.startswith(start)}


def _ordered(stages: list[_Stage]) -> list[_Stage]:
    """The stages in an order in which each fits the one before, where there is one; else as they were."""
    if len(stages) <= 5:
        for order in permutations(stages):
            if all(below.width == above.input_size for below, above in pairwise(order)):
                return list(order)
    return stages
