"""What a loop's variables are for, and which function of TensorFlow's wrote it: by structure (cells.md, section 13).

A variable that grows by one and is the index of arrays is the time; one that is written to at each step is an array;
flags of which all must be set end the loop. The order in which these stand, and what is written, tell who wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rnnprobe.recover.graph.frames import Loop, Variable
from rnnprobe.recover.graph.loop_words import base, dtype, extent
from rnnprobe.recover.graph.paths import ADDS, SELECTS
from rnnprobe.recover.graph.values import array, number
from rnnprobe.recover.graph.view import LOOP_VARIABLE, MERGES, Node, Ref, View, attribute

# Slots by op without its version: the array and the index of a read; the array, the index and the value of a write.
READS = {"TensorArrayRead": (2, 1), "TensorListGetItem": (0, 1)}
WRITES = {"TensorArrayWrite": (3, 1, 2), "TensorListSetItem": (0, 1, 2)}
_CHOICES = MERGES | SELECTS
_INTEGERS = {"int32", "int64"}
_FLOATS = {"float16", "float32", "float64", "bfloat16"}
_MOST = 64


@dataclass(frozen=True, slots=True)
class Write:
    """One write to an array: the index, the value, and the node."""

    index: Ref
    value: Ref
    node: int


@dataclass(slots=True)
class Roles:
    """What was found.

    Attributes:
        kind: who wrote the loop.
        names: variable (its port) → role.
        writes: array (its port) → what is written to it at each step.
        reads: the nodes that read a step out of an array that does not change.
        time: the variable that counts the steps, or None.
        down: the time runs from the last step to the first.
        kept: the ports of variables that only pile up what gradients need.
    """

    kind: str
    names: dict[int, str]
    writes: dict[int, list[Write]]
    reads: list[int]
    time: Variable | None
    down: bool
    kept: set[int]


class Sorter:
    """Sorts the variables of one loop."""

    def __init__(self, web: View, loop: Loop) -> None:
        self.web = web
        self.loop = loop
        self.changing = [variable for variable in loop.variables if variable.changes]
        nodes = web.nodes
        self.members = [k for k in loop.members if not nodes[k].hidden]

    def roles(self) -> Roles:
        """The roles and the kind."""
        kept = {v.port for v in self.changing if self._is_kept(v)}
        changing = [v for v in self.changing if v.port not in kept]
        writes = {v.port: written for v in changing if (written := self._writes(v))}
        counters = [v for v in changing if self._step(v) is not None]
        time = self._time(counters)
        finished = self._finished(changing)
        names = {v.port: "unchanged" for v in self.loop.variables}
        for variable in changing:
            names[variable.port] = self._first_guess(variable, writes)
        for counter in counters:
            names[counter.port] = "counter"
        if finished is not None:
            names[finished.port] = "finished flags"
        if time is not None:
            names[time.port] = "time"
            earlier = [v for v in counters if v.port < time.port]
            if earlier and earlier[0].port == changing[0].port:
                names[earlier[0].port] = "iteration counter"
        down = time is not None and (self._step(time) or 0) < 0
        found = Roles("while loop", names, writes, self._array_reads(), time, down, kept)
        self._recognise(found, changing, finished)
        return found

    # Parts ------------------------------------------------------------------------------------------------------------

    def _is_kept(self, variable: Variable) -> bool:
        """Whether a variable piles up what the computation of gradients will need."""
        node = self.web.node(self.web.resolve(variable.following))
        return node.op == "TensorListPushBack" and self.web.input(node, 0) == variable.ref

    def _writes(self, variable: Variable) -> list[Write]:
        """What is written to an array, the last first; nothing for a variable that is none."""
        found: list[Write] = []
        seen = {variable.ref}
        front = [self.web.resolve(variable.following)]
        while front and len(seen) < _MOST:
            at = front.pop()
            if at in seen:
                continue
            seen.add(at)
            node = self.web.node(at)
            slots = WRITES.get(base(node))
            if slots is not None and len(node.inputs) > max(slots):
                sources = self.web.inputs(node)
                found.append(Write(sources[slots[1]], sources[slots[2]], at[0]))
                front.append(sources[slots[0]])
            elif node.op in _CHOICES:
                front += self.web.inputs(node)[1 if node.op in SELECTS else 0 :]
        return found

    def _step(self, variable: Variable) -> float | None:
        return grows(self.web, variable)

    def _time(self, counters: Sequence[Variable]) -> Variable | None:
        """The counter that is the index of arrays, or is compared with lengths; else the last of two, or the only."""
        for wanted in (self._indexes, self._compares):
            using = [v for v in counters if wanted(v)]
            if using:
                return using[0]
        return counters[min(1, len(counters) - 1)] if counters else None

    def _indexes(self, variable: Variable) -> bool:
        near = {variable.ref, self.web.resolve(variable.following)}
        for ref in near:
            for consumer, slot in self.web.consumers(ref):
                op = base(self.web.nodes[consumer])
                if (op in READS and slot == READS[op][1]) or (op in WRITES and slot == WRITES[op][1]):
                    return True
        return False

    def _compares(self, variable: Variable) -> bool:
        return bool(list(compared(self.web, self.loop, variable)))

    def _finished(self, changing: Sequence[Variable]) -> Variable | None:
        """The flags of which the condition asks whether all are set."""
        if self.loop.condition is None:
            return None
        part, result = self.loop.condition
        placed = self.loop.placed if self.loop.functional else {v.ref: v.ref for v in changing}
        flags = {v.ref: v for v in changing if dtype(self.web, v.ref) == "bool"}
        for node in (part.node(ref) for ref in _conjuncts(part, result)):
            inner = part.node(part.input(node, 0)) if node.op == "LogicalNot" else None
            if inner is not None and inner.op == "All":
                found = flags.get(placed.get(part.input(inner, 0), (0, 0)))
                if found is not None:
                    return found
        return None

    def _first_guess(self, variable: Variable, writes: Mapping[int, Sequence[Write]]) -> str:
        if variable.port in writes:
            return "array"
        kind, shape = dtype(self.web, variable.ref), extent(self.web, variable.ref)
        if kind in _FLOATS and shape != ():
            return "state"
        return "carried"

    def _array_reads(self) -> list[int]:
        """The reads of arrays that don't change in the loop, from inside of it."""
        own = {variable.ref for variable in self.changing}
        found = []
        for number_ in self.members:
            node = self.web.nodes[number_]
            slots = READS.get(base(node))
            if slots is not None and len(node.inputs) > max(slots) and self.web.input(node, slots[0]) not in own:
                found.append(number_)
        return found

    # Who wrote it -----------------------------------------------------------------------------------------------------

    def _recognise(self, found: Roles, changing: Sequence[Variable], finished: Variable | None) -> None:
        arrays = [v for v in changing if v.port in found.writes]
        if finished is not None and found.time is not None:
            self._finishing(found, changing, finished, arrays)
        elif found.time is not None and arrays:
            self._timed(found, changing, arrays)
        elif found.time is not None:
            # What it hands out may have been pruned away; what it reads is labelled all the same.
            found.kind = self._labelled(found, ()) or found.kind

    def _timed(self, found: Roles, changing: Sequence[Variable], arrays: Sequence[Variable]) -> None:
        """Loops that run for a number of steps: `tf.scan`, `dynamic_rnn` and Keras's own."""
        rest = [v for v in changing if found.names[v.port] not in ("time", "iteration counter")]
        leading = []
        while rest and rest[0].port in found.writes and self._is_at_time(found, rest[0]):
            leading.append(rest.pop(0))
        states = [v for v in rest if v.port not in found.writes]
        if leading and states and self._is_first(found, changing, leading):
            found.kind = self._labelled(found, leading) or self._driver(found)
            self._name(found, leading, "output array")
            self._name(found, rest, "state")
        elif states and arrays[0].port > states[-1].port and self._hands_out(found, states, arrays):
            found.kind = "tf.scan"
            self._name(found, arrays, "output array")
            self._name(found, states, "state")

    def _finishing(
        self, found: Roles, changing: Sequence[Variable], finished: Variable, arrays: Sequence[Variable]
    ) -> None:
        """Loops that end when all sequences have: `raw_rnn` and `dynamic_decode`."""
        assert found.time is not None
        after = [v for v in changing if v.port > finished.port]
        if finished.port == found.time.port + 1:
            inputs = []
            while after and after[0].port not in found.writes:
                inputs.append(after.pop(0))
            emitted = []
            while after and after[0].port in found.writes:
                emitted.append(after.pop(0))
            if inputs and emitted:
                found.kind = "raw_rnn"
                self._name(found, inputs, "current input")
                self._name(found, emitted, "output array")
                later = [v for v in after if v.port in found.writes or found.names[v.port] != "state"]
                self._name(found, after, "state")
                if later:
                    self._name(found, [v for v in after if v.port >= later[0].port], "loop state")
                self._placeholder(found, (after or emitted)[-1])
        elif arrays and arrays[-1].port < finished.port and (not after or self._is_counting(after[0])):
            found.kind = "dynamic_decode"
            self._name(found, arrays, "output array")
            self._name(found, after[:1], "lengths")
            self._next_inputs(found, changing, finished)

    def _placeholder(self, found: Roles, last: Variable) -> None:
        """The number that raw_rnn carries where there is no loop state."""
        for variable in self.loop.variables:
            if variable.port > last.port:
                value = array(self.web, variable.initial)
                if not variable.changes and value is not None and value.dtype.kind == "i" and value.ndim == 0:
                    found.names[variable.port] = "no loop state"
                break

    def _next_inputs(self, found: Roles, changing: Sequence[Variable], finished: Variable) -> None:
        """In `dynamic_decode` what is read next stands right before the flags."""
        before = [v for v in changing if v.port < finished.port and v.port not in found.writes]
        if before and found.names[before[-1].port] in ("state", "carried"):
            found.names[before[-1].port] = "current input"

    def _is_counting(self, variable: Variable) -> bool:
        return dtype(self.web, variable.ref) in _INTEGERS and extent(self.web, variable.ref) != ()

    def _name(self, found: Roles, variables: Iterable[Variable], role: str) -> None:
        for variable in variables:
            found.names[variable.port] = role

    def _hands_out(self, found: Roles, states: Sequence[Variable], arrays: Sequence[Variable]) -> bool:
        """Whether what is written is what the states become, as `tf.scan` does."""
        becomes = [self.web.resolve(state.following) for state in states]
        return [found.writes[v.port][0].value for v in arrays] == becomes

    def _is_first(self, found: Roles, changing: Sequence[Variable], leading: Sequence[Variable]) -> bool:
        """Whether nothing but counters stands before the arrays."""
        before = [found.names[v.port] for v in changing if v.port < leading[0].port]
        return all(role in ("time", "iteration counter") for role in before)

    def _is_at_time(self, found: Roles, variable: Variable) -> bool:
        """Whether each value that an array holds is written at the time, or all at 0, where Keras keeps the last."""
        writes = found.writes[variable.port]
        at_time = found.time is not None and all(w.index == found.time.ref for w in writes)
        return at_time or (self.loop.functional and all(number(self.web, w.index) == 0 for w in writes))

    def _labelled(self, found: Roles, arrays: Sequence[Variable]) -> str:
        """Who labelled the arrays that are written or read: TensorFlow's own label, not a name that the user chose."""
        nodes = [found.writes[v.port][0].node for v in arrays] + found.reads
        labels = {self._label(self.web.node(self.web.input(k, 0))) for k in nodes}
        if any(f"dynamic_rnn/{side}put_" in label for label in labels for side in ("in", "out")):
            return "dynamic_rnn"
        return "Keras K.rnn" if any(label.startswith(("input_ta", "output_ta")) for label in labels) else ""

    def _label(self, node: Node) -> str:
        value = attribute(node, "tensor_array_name")
        return value.s.decode("utf-8", "replace") if value is not None else ""

    def _driver(self, found: Roles) -> str:
        """`dynamic_rnn` or Keras's own loop, which carry the same things in the same order.

        The first bounds the time by the longest length, from release 1.6 on, and Keras does not.
        """
        if self._is_bounded(found):
            return "dynamic_rnn"
        return "Keras K.rnn" if "iteration counter" in found.names.values() else "dynamic_rnn or K.rnn"

    def _is_bounded(self, found: Roles) -> bool:
        """Whether the condition compares the time with the smaller of two bounds, as dynamic_rnn does from 1.6 on."""
        if self.loop.condition is None or found.time is None:
            return False
        part, result = self.loop.condition
        initial = {v.ref: v.initial for v in self.loop.variables}
        for ref in _conjuncts(part, result):
            node = part.node(ref)
            bound = part.input(node, 1) if node.op == "Less" else (0, 0)
            if self.loop.functional:
                placed = self.loop.placed.get(bound)
                bound = self.web.resolve(initial[placed]) if placed is not None else (0, 0)
            if self.web.node(bound).op == "Minimum":
                return True
        return False


def _conjuncts(part: View, ref: Ref) -> Iterator[Ref]:
    """The conditions that one joins by `and`."""
    front = [part.resolve(ref)]
    for _ in range(_MOST):
        if not front:
            return
        at = front.pop()
        node = part.node(at)
        if node.op == "LogicalAnd":
            front += part.inputs(node)
        else:
            yield at


def grows(web: View, variable: Variable) -> float | None:
    """By how much a whole number without axes grows at each step, or None."""
    if dtype(web, variable.ref) not in _INTEGERS:
        return None
    node = web.node(web.resolve(variable.following))
    sources = web.inputs(node)
    if len(sources) != 2 or extent(web, variable.ref) not in ((), None):
        return None
    for k in (0, 1):
        value = number(web, sources[1 - k])
        if sources[k] == variable.ref and value is not None:
            if node.op in ADDS:
                return value
            if node.op == "Sub" and k == 0:
                return -value
    return None


def compared(web: View, loop: Loop, time: Variable) -> Iterator[Ref]:
    """The lengths with which a loop compares its time, in the body: `time >= lengths`."""
    inside = set(loop.members)
    for ref in (time.ref, web.resolve(time.following)):
        for consumer, slot in web.consumers(ref):
            node = web.nodes[consumer]
            if consumer in inside and node.op == "GreaterEqual" and slot == 0:
                lengths = web.input(node, 1)
                if web.node(lengths).op != LOOP_VARIABLE and extent(web, lengths) != ():
                    yield lengths
