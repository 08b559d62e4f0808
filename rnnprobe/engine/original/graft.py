"""Recorders in the loops of an original graph: what a tensor inside of one is, at every step.

In a frame of version 1 a TensorArray is threaded through the loop beside its own variables (Enter, Merge, Switch,
TensorArrayWriteV3, NextIteration, Exit, TensorArrayGatherV3), around a counter of its own. A functional loop gets one
more loop variable, a TensorList, in the While node, in its condition and in its body. Either has room for so many steps
and no more, so that a loop without an end ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tensorboard.compat.proto import types_pb2

from rnnprobe.engine.original import ops
from rnnprobe.engine.original.locate import Spot
from rnnprobe.engine.original.program import Program
from rnnprobe.errors import BadInput

_INT, _FLOAT, _RESOURCE = types_pb2.DT_INT32, types_pb2.DT_FLOAT, types_pb2.DT_RESOURCE
_VARIANT = types_pb2.DT_VARIANT


class Recorders:
    """Grafts recorders into a program.

    Attributes:
        limit: the placeholder that takes the number of steps there is room for.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._nodes = {node.name: node for node in program.definition.node}
        self._counters: dict[str, _Counter] = {}
        self._made = 0
        self.limit = program.add(f"{program.prefix}/limit", "Placeholder", dtype=_INT)

    def record(self, loop: str, spots: Sequence[Spot]) -> list[str]:
        """The edges of `[step, …]` of tensors inside of one loop."""
        if spots[0].kind == "frame":
            return [self._in_frame(spot) for spot in spots]
        return self._in_while(loop, spots)

    def _name(self) -> str:
        self._made += 1
        return f"{self._program.prefix}/recorder_{self._made}"

    # Frames ----------------------------------------------------------------------------------------------------------

    def _in_frame(self, spot: Spot) -> str:
        add, name = self._program.add, self._name()
        if spot.loop not in self._counters:
            self._counters[spot.loop] = _Counter(self._program, self._nodes, spot.loop, f"{name}/counter")
        counter = self._counters[spot.loop]
        array = add(
            f"{name}/array",
            "TensorArrayV3",
            [self.limit],
            dtype=spot.dtype,
            clear_after_read=False,
            tensor_array_name=name.encode(),
        )
        handle = counter.enter(f"{name}/handle", f"{array}:0", _RESOURCE, constant=True)
        flow = counter.variable(f"{name}/flow", f"{array}:1", _FLOAT)
        written = add(
            f"{name}/write",
            "TensorArrayWriteV3",
            [handle, counter.now, spot.edge, f"{flow}_switch:1"],
            T=spot.dtype,
        )
        add(f"{flow}_next", "NextIteration", [written], T=_FLOAT)
        left = add(f"{flow}_exit", "Exit", [f"{flow}_switch:0"], T=_FLOAT)
        return add(f"{name}/all", "TensorArrayGatherV3", [f"{array}:0", counter.steps, left], dtype=spot.dtype)

    # Functional loops ------------------------------------------------------------------------------------------------

    def _in_while(self, loop: str, spots: Sequence[Spot]) -> list[str]:
        add, name = self._program.add, self._name()
        node = self._nodes[loop]
        anything = _constant(self._program, f"{name}/any_shape", -1)
        condition, body = (self._copied(node, key, name) for key in ("cond", "body"))
        found = []
        for number, spot in enumerate(spots):
            made = add(
                f"{name}/list_{number}",
                "EmptyTensorList",
                [anything, self.limit],
                element_dtype=spot.dtype,
                shape_type=_INT,
            )
            data = [k for k, edge in enumerate(node.input) if not edge.startswith("^")]
            place = len(data)
            node.input.insert(place, made)
            node.attr["T"].list.type.append(_VARIANT)
            if node.attr["output_shapes"].list.shape:
                node.attr["output_shapes"].list.shape.add()
            argument = f"rnnprobe_list_{number}"
            condition.signature.input_arg.add(name=argument, type=_VARIANT)
            body.signature.input_arg.add(name=argument, type=_VARIANT)
            body.signature.output_arg.add(name=f"{argument}_out", type=_VARIANT)
            edge = _now(body, spot.edge, self._program.path)
            push = body.node_def.add(name=f"{argument}_push", op="TensorListPushBack", input=[argument, edge])
            push.attr["element_dtype"].type = spot.dtype
            body.ret[f"{argument}_out"] = f"{argument}_push:output_handle:0"
            found.append(
                add(
                    f"{name}/all_{number}",
                    "TensorListStack",
                    [f"{loop}:{place}", anything],
                    element_dtype=spot.dtype,
                    num_elements={"i": -1},
                )
            )
        return found

    def _copied(self, node: Any, key: str, prefix: str) -> Any:
        """A copy of a node's function, that the node calls in its place."""
        library = self._program.definition.library
        old = node.attr[key].func.name
        function = next((one for one in library.function if one.signature.name == old), None)
        if function is None:
            raise BadInput(f"can't be run: its graph has no function {old!r}", path=self._program.path)
        made = library.function.add()
        made.CopyFrom(function)
        made.signature.name = f"{prefix}_{key}".replace("/", "_")
        made.attr.clear()
        made.arg_attr.clear()
        node.attr[key].func.name = made.signature.name
        return made


class _Counter:
    """Counts the steps of a frame.

    Attributes:
        now: the number of the step, inside of the loop.
        steps: every number that it had, once the loop has ended.
    """

    def __init__(self, program: Program, nodes: dict[str, Any], frame: str, name: str) -> None:
        self._add, self._frame = program.add, frame.encode()
        inside = [n for n in nodes.values() if n.op == "Enter" and n.attr["frame_name"].s == self._frame]
        self._parallel = inside[0].attr["parallel_iterations"].i or 10
        self._condition = _condition(nodes, {node.name for node in inside}, frame, program)
        zero, one = (_constant(program, f"{name}/{word}", value) for word, value in (("zero", 0), ("one", 1)))
        count = self.variable(f"{name}/count", zero, _INT)
        self.now = self._add(f"{count}_now", "Identity", [f"{count}_switch:1"], T=_INT)
        step = self.enter(f"{name}/step", one, _INT, constant=True)
        more = self._add(f"{count}_more", "AddV2", [self.now, step], T=_INT)
        self._add(f"{count}_next", "NextIteration", [more], T=_INT)
        left = self._add(f"{count}_exit", "Exit", [f"{count}_switch:0"], T=_INT)
        self.steps = self._add(f"{name}/steps", "Range", [zero, left, one], Tidx=_INT)

    def enter(self, name: str, source: str, dtype: int, *, constant: bool = False) -> str:
        """Something from outside, in the loop."""
        return self._add(
            name,
            "Enter",
            [source],
            T=dtype,
            frame_name=self._frame,
            is_constant=constant,
            parallel_iterations={"i": self._parallel},
        )

    def variable(self, name: str, start: str, dtype: int) -> str:
        """A loop variable: its name is the Merge's; `_switch` follows it, and `_next` has to be added."""
        entered = self.enter(f"{name}_enter", start, dtype)
        self._add(name, "Merge", [entered, f"{name}_next"], T=dtype, N={"i": 2})
        self._add(f"{name}_switch", "Switch", [name, self._condition], T=dtype)
        return name


def _condition(nodes: dict[str, Any], entered: set[str], frame: str, program: Program) -> str:
    """The LoopCond of a frame: a Switch of one of its loop variables reads it."""
    merged = {name for name, node in nodes.items() if node.op == "Merge" and _sources(node) & entered}
    for node in nodes.values():
        if node.op == "Switch" and _sources(node) & merged:
            condition: str = node.input[1].partition(":")[0]
            if condition in nodes and nodes[condition].op == "LoopCond":
                return condition
    raise BadInput(f"can't be run: the loop {frame!r} of its graph has no condition", path=program.path)


def _sources(node: Any) -> set[str]:
    return {edge.partition(":")[0] for edge in node.input}


def _now(function: Any, edge: str, path: Path) -> str:
    """A tensor of a function as its node calls it by now: reading a variable has become a copy of its value."""
    name, _, output = edge.partition(":")
    node = next((one for one in function.node_def if one.name == name), None)
    if node is None or not output:
        return edge
    named = [f"{name}:{group}:{place}" for group, place, _ in ops.outputs(node, path)]
    return edge if edge in named else named[0]


def _constant(program: Program, name: str, value: int) -> str:
    program.add(name, "Const", dtype=_INT)
    tensor = program.definition.node[-1].attr["value"].tensor
    tensor.dtype = _INT
    tensor.int_val.append(value)
    return name
