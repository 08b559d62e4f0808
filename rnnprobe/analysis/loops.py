"""The recurrences of a graph: the reports of `rnnprobe inspect --loops`.

Reports and the keys of their rows, in JSON as here:

    graph           path, recurrences (how many), gradients (how many loops of gradients are left out), unread
                    (functions that were not looked into)
    loops           loop (its number), name, kind, form (`frame`, `function`, `steps`, `op`), condition (null where it
                    is no loop), steps (that are written out, or null), inputs, lengths, direction (null where nothing
                    tells), layers, inside (the loop around it, or null), reads (the checkpoint's variables), captured
                    (variables of a functional loop that never change)
    loop_variables  loop, number, role, meaning, dtype, shape (null for a size that is open, or for all of it where the
                    graph does not say; those of an array are its elements'), start, tensor (inside, or null)
    emitted         loop, variable (the array's number, or null), index, tensors (one, or one for each step), dtype,
                    shape, stacked (the tensor of all steps, or null), stackedshape, axes (`time, batch` or the other
                    way round)
    loop_tensors    loop, tensor, op, dtype, shape; with -v

and those of `rnnprobe.analysis.entrances`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rnnprobe.analysis import words
from rnnprobe.analysis.entrances import TENSOR, entrances, row, shape, sizes
from rnnprobe.errors import BadInput
from rnnprobe.types import Column, Network, Recurrence, Report, Survey

_EXTENT = "T: how many steps there are, an extent of a tensor of the graph"


def loops(network: Network, *, tensors: bool) -> tuple[Report, ...]:
    """The reports on the recurrences of the graph that came with a network.

    Args:
        network: what was recovered, from the graph too.
        tensors: list every tensor that is computed inside each.

    Raises:
        BadInput: no graph came along.
    """
    from rnnprobe.recover.graph.loops import survey

    checkpoint = network.checkpoint
    if checkpoint.graph is None:
        raise BadInput(
            "came without a graph, so there are no loops to list",
            path=checkpoint.path,
            hint="expected PREFIX.meta beside the checkpoint, a frozen graph or a SavedModel; without --loops, inspect "
            "shows what names and shapes tell",
        )
    found = survey(network)
    each = [
        report
        for number, one in enumerate(found.recurrences, 1)
        for report in _recurrence(number, one, tensors=tensors)
    ]
    names = ("loops", "loop_variables", "emitted", *(("loop_tensors",) if tensors else ()))
    none = () if each else tuple(Report(name, "", (), ()) for name in names)
    return (_graph(network, found), *each, *none, *entrances(found.placeholders, found.signatures))


def _graph(network: Network, found: Survey) -> Report:
    row = {
        "path": str(network.checkpoint.path),
        "recurrences": len(found.recurrences),
        "gradients": found.gradients,
        "unread": list(found.unread),
    }
    columns = (
        Column("path", "path"),
        Column("recurrences", "recurrences", words.count),
        Column("gradients", "left out", lambda count: f"{words.counted(count, 'loop')} of gradients" if count else ""),
        Column("unread", "not read", lambda names: words.few(names) if names else ""),
    )
    notes = [_EXTENT] if any("T" in one.condition.split() for one in found.recurrences) else []
    if not found.recurrences:
        notes.append("no loop, no unrolled recurrence that could be read, and no op that computes one is in the graph")
    return Report("graph", "Graph", columns, (row,), tuple(notes), upright=True)


# One recurrence ------------------------------------------------------------------------------------------------------


def _recurrence(number: int, one: Recurrence, *, tensors: bool) -> tuple[Report, ...]:
    reports = [_loop(number, one), _variables(number, one), _emitted(number, one)]
    if tensors:
        reports.append(_tensors(number, one))
    return tuple(reports)


def _loop(number: int, one: Recurrence) -> Report:
    row = {
        "loop": number,
        "name": one.name,
        "kind": one.kind,
        "form": one.form,
        "condition": one.condition or None,
        "steps": one.steps or None,
        "inputs": list(one.inputs),
        "lengths": list(one.lengths),
        "direction": one.direction or None,
        "layers": list(one.layers),
        "inside": one.inside or None,
        "reads": list(one.reads),
        "captured": one.captured,
    }
    columns = (
        Column("kind", "kind"),
        Column("form", "written as", _FORMS.__getitem__),
        Column("inside", "inside of"),
        Column("condition", "runs while"),
        Column("steps", "steps", words.count),
        Column("inputs", "reads from", ", ".join),
        Column("lengths", "lengths", ", ".join),
        Column("direction", "direction"),
        Column("layers", "layers", ", ".join),
        Column("reads", "weights", ", ".join),
    )
    return Report("loops", f"{number}. {one.name}", columns, (row,), one.notes, upright=True)


_FORMS = {
    "frame": "a while loop of version 1 control flow",
    "function": "a While op with functions",
    "steps": "step after step",
    "op": "one op",
}


def _variables(number: int, one: Recurrence) -> Report:
    rows = tuple(
        {
            "loop": number,
            "number": variable.number,
            "role": variable.role,
            "meaning": variable.meaning or None,
            "dtype": variable.dtype or None,
            "shape": sizes(variable.shape),
            "start": variable.start,
            "tensor": variable.name or None,
        }
        for variable in one.variables
    )
    columns = (
        Column("number", "#", right=True),
        Column("role", "carries"),
        Column("meaning", "which is"),
        Column("dtype", "dtype"),
        Column("shape", "shape", shape, right=True),
        Column("start", "starts from"),
    )
    return Report("loop_variables", "", _told(columns, rows), rows)


def _emitted(number: int, one: Recurrence) -> Report:
    """What is handed out; the steps of an unrolled recurrence together."""
    groups = [list(one.emitted)] if one.form == "steps" else [[emitted] for emitted in one.emitted]
    rows = tuple(
        {
            "loop": number,
            "variable": group[0].variable,
            "index": group[0].index if len(group) == 1 else "each step",
            "tensors": [emitted.tensor.name for emitted in group],
            "dtype": group[0].tensor.dtype or None,
            "shape": sizes(group[0].tensor.shape),
            "stacked": group[0].stacked.name if group[0].stacked else None,
            "stacked_shape": sizes(group[0].stacked.shape) if group[0].stacked else None,
            "axes": group[0].axes or None,
        }
        for group in groups
    )
    columns = [
        Column("tensors", "hands out at each step", _first_and_last),
        Column("shape", "shape", shape, right=True),
        Column("index", "at"),
    ]
    if any(row["stacked"] for row in rows):
        columns.append(Column("stacked", "all steps together"))
        columns.append(Column("stacked_shape", "shape", shape, right=True))
    columns.append(Column("axes", "axes first"))
    return Report("emitted", "", _told(columns, rows), rows)


def _told(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    """The columns in which anything stands."""
    return tuple(column for column in columns if any(row[column.key] not in (None, "") for row in rows))


def _first_and_last(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"


def _tensors(number: int, one: Recurrence) -> Report:
    rows = tuple({"loop": number, **row(tensor)} for tensor in one.tensors)
    return Report("loop_tensors", f"Tensors inside of {one.name}" if rows else "", TENSOR, rows)
