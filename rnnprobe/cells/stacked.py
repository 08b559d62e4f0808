"""Several cells as one, each given what the one below it emits: a MultiRNNCell inside of a wrapper.

A stack by itself is a layer for each of its cells. Where what comes out on top goes back in at the bottom, as it does
in an AttentionWrapper, no cell can run ahead of the others, and they make one layer. The signals, weights, gates and
sizes of the last cell go by their own names; those of the others have the number of their cell behind them: `h_0`,
`kernel_0`, `units_0`. Options are those of all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rnnprobe.cells.wrappers import emitted_size
from rnnprobe.types import Array, Cell, Option, OptionValue, Part, Weight, Xp

_SYMBOL = re.compile(r"[a-z_]\w*")


def suffix(number: int, count: int) -> str:
    """What the names of one of several cells have behind them."""
    return "" if number == count - 1 else f"_{number}"


def stacked(cells: Sequence[Cell], projected: Sequence[bool]) -> Cell:
    """The cells, the lowest first, as one.

    Args:
        cells: at least two, none of which attends to a memory or convolves.
        projected: for each, whether it has a projection; without one h is as wide as the gates.
    """
    count = len(cells)
    own = [_renamed(cell, number, count) for number, cell in enumerate(cells)]

    def project(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
        return cells[0].project(xp, _weights(w, 0), x, options)

    def step(
        xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
    ) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for number, cell in enumerate(cells):
            behind, mine = suffix(number, count), _weights(w, number)
            states = {name: state[f"{name}{behind}"] for name in cell.states}
            signals = cell.step(xp, mine, z, states, options)
            found |= {f"{name}{behind}": array for name, array in signals.items()}
            if number < count - 1:
                z = cells[number + 1].project(xp, _weights(w, number + 1), signals[cell.emits], options)
        return found

    fed = [(f"input_size_{k}", emitted_size(own[k - 1])) for k in range(1, count)]
    plain = [(f"output_size{suffix(k, count)}", f"units{suffix(k, count)}") for k in range(count) if not projected[k]]
    signals = [signal for cell in own for signal in cell.signals]
    return replace(
        own[-1],
        title=", ".join(cell.title for cell in cells),
        weights=tuple(weight for cell in own for weight in cell.weights),
        gates=tuple(gate for cell in own for gate in cell.gates),
        spelled=tuple(letter for cell in own for letter in cell.spelled),
        order=tuple(group for cell in own for group in cell.order),
        signals=(*(s for s in signals if s.kind == "state"), *(s for s in signals if s.kind != "state")),
        options=_options(cells, projected=any(projected)),
        project=project,
        step=step,
        relations=(*(relation for cell in own for relation in cell.relations), *fed, *plain),
        prepare=_preparing(cells),
        start=None,
    )


def _options(cells: Sequence[Cell], *, projected: bool) -> tuple[Option, ...]:
    """Those of all cells, the first of each name; of projections where there is one."""
    found: dict[str, Option] = {}
    for cell in cells:
        for option in cell.options:
            if projected or option.needs != "projection":
                found.setdefault(option.name, replace(option, needs=""))
    return tuple(found.values())


def _weights(w: Mapping[str, Any], number: int) -> dict[str, Any]:
    """What one of the cells knows by its own names."""
    mark = f"{number}/"
    return {name.removeprefix(mark): array for name, array in w.items() if name.startswith(mark)}


def _preparing(cells: Sequence[Cell]) -> Callable[[dict[str, Array]], dict[str, Array]]:
    """Hands each cell its parts by its own names, `0/kernel`; what is no cell's stays as it is."""

    def prepare(arrays: dict[str, Array]) -> dict[str, Array]:
        rest = dict(arrays)
        found: dict[str, Array] = {}
        for number, cell in enumerate(cells):
            own = {inner: rest.pop(outer) for inner, outer in _names(cell, suffix(number, len(cells))) if outer in rest}
            own = own if cell.prepare is None else cell.prepare(own)
            found |= {f"{number}/{name}": array for name, array in own.items()}
        return {**rest, **found}

    return prepare


def _names(cell: Cell, behind: str) -> Iterator[tuple[str, str]]:
    """What a cell calls its parts, and what they are called in the stack, gates and all."""
    for part in dict.fromkeys(part.name for weight in cell.weights for part in weight.parts):
        yield part, f"{part}{behind}"
        for group in cell.order:
            inner = part if len(cell.order) == 1 else f"{part}_{''.join(group)}"
            yield inner, f"{part}{behind}_{''.join(f'{gate}{behind}' for gate in group)}"


def _renamed(cell: Cell, number: int, count: int) -> Cell:
    """The cell's tables with the names that it has in the stack."""
    behind = suffix(number, count)

    def symbol(found: re.Match[str]) -> str:
        if found[0] == "input_size":
            return "input_size" if number == 0 else f"input_size_{number}"
        return f"{found[0]}{behind}"

    def formula(text: str) -> str:
        return _SYMBOL.sub(symbol, text)

    def part(one: Part) -> Part:
        gates = tuple(f"{gate}{behind}" for gate in one.gates)
        return replace(one, name=f"{one.name}{behind}", rows=formula(one.rows), gates=gates)

    def weight(one: Weight) -> Weight:
        parts, shape = tuple(map(part, one.parts)), tuple(map(formula, one.shape))
        return replace(one, role=f"{one.role}{behind}", shape=shape, parts=parts)

    def name(text: str) -> str:
        return f"{text}{behind}" if text else ""

    return replace(
        cell,
        weights=tuple(map(weight, cell.weights)),
        gates=tuple(map(name, cell.gates)),
        order=tuple(tuple(map(name, group)) for group in cell.order),
        signals=tuple(
            replace(one, name=name(one.name), size=formula(one.size), needs=name(one.needs)) for one in cell.signals
        ),
        relations=tuple((formula(one), formula(other)) for one, other in cell.relations),
        emits=name(cell.emits),
    )
