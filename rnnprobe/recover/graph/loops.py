"""The recurrences of a graph: what each carries, reads and hands out.

Loops of either control flow, unrolled steps, and ops that compute all steps at once. Where the layers of the network
were read off the same graph, the states are told by the names that the layers have for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rnnprobe.formats.graph import definition
from rnnprobe.recover.graph import loop_meanings as told
from rnnprobe.recover.graph.entrances import offered, placeholders
from rnnprobe.recover.graph.frames import Key, Loop, Variable, is_variable, loops
from rnnprobe.recover.graph.loop_roles import READS, Roles, Sorter, compared
from rnnprobe.recover.graph.loop_words import Speller, base, dtype, extent, sizes, start, tensor
from rnnprobe.recover.graph.values import Variables, array, own_names
from rnnprobe.recover.graph.view import MERGES, Ref, View, attribute, view
from rnnprobe.types import Emitted, Extent, GraphTensor, LoopVariable, Network, Recurrence, Survey, Use

_WHOLES = {"TensorArrayScatter": 2, "TensorArrayUnpack": 2, "TensorListFromTensor": 0}
_GATHERS = {"TensorArrayGather": 2, "TensorArrayPack": 1, "TensorArrayConcat": 1, "TensorListStack": 0}
_COPIES = {"Transpose", "Reverse", "ReverseSequence", "Cast", "Reshape"}
_FUSED = {"BlockLSTM", "BlockLSTMV2", "CudnnRNN", "CudnnRNNV2", "CudnnRNNV3"}
_STEPS = {"LSTMBlockCell", "GRUBlockCell"}
_PORTS = {"BlockLSTM": 6, "BlockLSTMV2": 6, "LSTMBlockCell": 6, "GRUBlockCell": 3}  # the output that is h
_NEEDLESS = {"Const", "NoOp", "Enter", "RefEnter", "Exit", "RefExit", "LoopCond", "ControlTrigger", "VarHandleOp"}
_NEEDLESS |= {"Switch", "RefSwitch", "NextIteration", "RefNextIteration"}
_DEEPEST = 12


def survey(network: Network) -> Survey:
    """The recurrences of the graph that came with a network.

    Args:
        network: as `rnnprobe.recover.network` gives it; its checkpoint has a graph.
    """
    graph = network.checkpoint.graph
    return _Surveyor(view(graph), definition(graph), network).survey(graph)


class _Surveyor:
    def __init__(self, web: View, graph: Any, network: Network) -> None:
        self.web = web
        self.network = network
        self.variables = Variables(web, network.checkpoint.tensors, own_names(network.checkpoint))
        self.loops, self.gradients = loops(web, graph)
        self.names: dict[Key, str] = {loop.key: loop.name for loop in self.loops}
        self.places = {
            name: places for name, places in network.places.items() if name in {one.name for one in network.layers}
        }

    def survey(self, graph: Any) -> Survey:
        """All of it."""
        found = [self._loop(loop) for loop in self.loops]
        found += [self._unrolled(name, use) for name, uses in self.places.items() for use in uses if _is_unrolled(use)]
        found += list(self._ops())
        return Survey(tuple(found), self.gradients, placeholders(self.web), offered(graph), tuple(self.web.unread))

    # Loops ------------------------------------------------------------------------------------------------------------

    def _loop(self, loop: Loop) -> Recurrence:
        roles = Sorter(self.web, loop).roles()
        stored = self._stored(loop.members)
        within = told.layers_in(loop, self.places) or told.layers_of(self.network, stored)
        attentions = told.attentions(self.web, loop)
        meanings = dict(told.of_attention(self.web, loop, roles, attentions))
        if any(name in self.places for name in within):
            meanings |= dict(told.by_place(self.web, loop, within, self.places))
        else:
            meanings |= dict(told.by_order(self.network, loop, roles, within))
        listed = [v for v in loop.variables if v.port not in roles.kept and (v.changes or not loop.functional)]
        listed += [v for v in loop.variables if loop.functional and roles.names[v.port] == "no loop state"]
        emitted = tuple(self._emitted(loop, roles))
        inputs, turned = self._inputs(roles)
        return Recurrence(
            loop.name,
            roles.kind,
            "function" if loop.functional else "frame",
            tuple(self._variable(loop, variable, roles, meanings) for variable in listed),
            len(loop.variables) - len(listed),
            self._condition(loop, roles),
            emitted,
            tuple(inputs),
            tuple(self._lengths(loop, roles)),
            tuple(self._names(stored)),
            # A layer's direction is that of its input; a time that counts down is the loop's own.
            self._direction(within if not roles.down else (), turned),
            tuple(within),
            self.names.get(loop.parent, ""),
            tensors=tuple(self._tensors(loop.members)),
            notes=(*self._notes(loop, roles), *(told.attention_note(self.web, one) for one in attentions)),
        )

    def _variable(self, loop: Loop, v: Variable, roles: Roles, meanings: dict[Ref, str]) -> LoopVariable:
        kind, shape = dtype(self.web, v.ref), self._shape(loop, v)
        meaning = meanings.get(v.ref, "")
        writes = roles.writes.get(v.port)
        if writes:
            kind, shape = dtype(self.web, writes[0].value), extent(self.web, writes[0].value)
            meaning = f"written at {self._index(loop, roles, writes[0].index)}"
        starts = start(self.web, self.variables, v.initial)
        if writes and starts == "0":
            # Before release 1.0 what stands for an array's contents is a number.
            starts = "empty array"
        role = roles.names[v.port]
        name = f"{self.web.node(v.ref).name}:0" if not loop.functional else ""
        return LoopVariable(v.port, role, meaning, kind, shape, starts, name)

    def _shape(self, loop: Loop, v: Variable) -> Extent:
        """As the loop declares it, which may be wider than what it starts with."""
        declared = attribute(self.web.nodes[loop.key], "output_shapes") if isinstance(loop.key, int) else None
        if declared is not None and v.port < len(declared.list.shape):
            return sizes(declared.list.shape[v.port])
        return extent(self.web, v.ref)

    def _condition(self, loop: Loop, roles: Roles) -> str:
        if loop.condition is None:
            return ""
        part, result = loop.condition
        names = {v.ref: self._short(roles, v) for v in loop.variables if v.changes}
        if loop.functional:
            outer = Speller(self.web, {})
            names |= {v.ref: outer.spell(v.initial) for v in loop.variables if not v.changes}
            names = {here: names[there] for here, there in loop.placed.items()}
        return Speller(part, names).spell(result)

    def _short(self, roles: Roles, v: Variable) -> str:
        role = roles.names[v.port]
        return {"finished flags": "finished", "iteration counter": "counter"}.get(role, role)

    def _index(self, loop: Loop, roles: Roles, ref: Ref) -> str:
        names = {} if roles.time is None else {roles.time.ref: "time"}
        names = {v.ref: f"#{v.port}" for v in loop.variables if v.changes} | names
        return Speller(self.web, names).spell(ref)

    def _emitted(self, loop: Loop, roles: Roles) -> Iterator[Emitted]:
        for v in loop.variables:
            for write in roles.writes.get(v.port, ())[:1]:
                stacked, axes = self._stacked(v)
                yield Emitted(
                    tensor(self.web, write.value), self._index(loop, roles, write.index), stacked, axes, v.port
                )

    def _stacked(self, v: Variable) -> tuple[GraphTensor | None, str]:
        """What becomes of an array behind the loop."""
        left = next(self._exits(v), None)
        for consumer, slot in self.web.consumers(left) if left is not None else ():
            if _GATHERS.get(base(self.web.nodes[consumer])) == slot:
                for after, _ in self.web.consumers((consumer, 0)):
                    if base(self.web.nodes[after]) == "Transpose" and self._turns(after):
                        return tensor(self.web, (after, 0)), "batch, time"
                return tensor(self.web, (consumer, 0)), "time, batch"
        return None, ""

    def _turns(self, transpose: int) -> bool:
        """Whether a Transpose puts the batch before the time; one whose order is computed is the framework's own."""
        order = array(self.web, self.web.input(transpose, 1))
        return order is None or (order.ndim == 1 and list(order[:2]) == [1, 0])

    def _exits(self, v: Variable) -> Iterator[Ref]:
        for consumer, _ in self.web.consumers(v.ref):
            if self.web.nodes[consumer].op in ("Exit", "RefExit"):
                yield consumer, 0

    def _inputs(self, roles: Roles) -> tuple[list[str], set[bool]]:
        """The sequences of which a loop reads a step, and whether time runs backward through them."""
        found: dict[str, bool] = {}
        for number in roles.reads:
            node = self.web.nodes[number]
            at, turned = self.web.input(node, READS[base(node)][0]), False
            slot = _WHOLES.get(base(self.web.node(at)))
            if slot is None:
                continue
            at = self.web.input(at[0], slot)
            for _ in range(_DEEPEST):
                op = base(self.web.node(at))
                if op not in _COPIES:
                    break
                turned ^= op.startswith("Reverse")
                at = self.web.input(at[0], 0)
            if dtype(self.web, at) != "bool":
                found[tensor(self.web, at).name] = turned ^ roles.down
        return list(found), set(found.values())

    def _direction(self, within: Iterable[str], turned: set[bool]) -> str:
        told = {self.network[name].direction for name in within}
        if len(told) == 1:
            return told.pop()
        if told or len(turned) != 1:
            return ""
        return "backward" if turned == {True} else "forward"

    def _lengths(self, loop: Loop, roles: Roles) -> list[str]:
        if roles.time is None:
            return []
        refs = compared(self.web, loop, roles.time)
        return list(dict.fromkeys(tensor(self.web, ref).name for ref in refs))

    def _stored(self, members: Iterable[int]) -> set[str]:
        """The checkpoint's variables that nodes read."""
        return {name for number in members for ref in self.web.inputs(number) if (name := self.variables.name(ref))}

    def _names(self, stored: Iterable[str]) -> list[str]:
        """Variables by name; those of object checkpoints by their own names."""
        objects = self.network.checkpoint.objects
        return sorted({name if objects is None else objects.names.get(name, name) for name in stored})

    def _tensors(self, members: Iterable[int]) -> Iterator[GraphTensor]:
        """What is computed inside; constants, control flow and what carries no data left out."""
        for number in members:
            node = self.web.nodes[number]
            if node.proto is not None and node.proto.op not in _NEEDLESS and not is_variable(self.web, node):
                shapes = attribute(node, "_output_shapes")
                # A Merge tells besides which branch it took.
                ports = 1 if shapes is None or node.proto.op in MERGES else max(1, len(shapes.list.shape))
                for port in range(ports):
                    found = tensor(self.web, (number, port))
                    yield GraphTensor(found.name, node.proto.op, found.dtype, found.shape)

    def _notes(self, loop: Loop, roles: Roles) -> Iterator[str]:
        indices = {self._index(loop, roles, write.index) for writes in roles.writes.values() for write in writes}
        if roles.kind == "raw_rnn":
            yield (
                "raw_rnn calls loop_fn once before the first step; what emit_output returns at each step is stacked in "
                "time first, [time, *emitted], and nothing turns it round; past a sequence's end it is zeros"
            )
        if roles.kind == "raw_rnn" and "time + 1" in indices:
            yield (
                "an array in the loop state is written at time + 1: its element 0 is from the call before the first "
                "step, so element t + 1 goes with step t of the output"
            )
        if roles.kind == "Keras K.rnn" and "0" in indices:
            yield "each step writes over what was handed out before: the output after the last step is all that is left"
        if roles.kind == "tf.scan":
            yield "tf.scan hands out every new state, time first: element t is the state after reading step t"

    # What is no loop ------------------------------------------------------------------------------------------------

    def _unrolled(self, name: str, use: Use) -> Recurrence:
        layer = self.network[name]
        variables = []
        pieces = [(state, k, old.ref) for state, tap in use.carried.items() for k, old in enumerate(tap.pieces)]
        for number, (state, k, old) in enumerate(pieces):
            starts = dict.fromkeys(start(self.web, self.variables, one) for one in use.starts.get(state, ()))
            tap = use.signals[-1].get(state)
            new = tap.pieces[k].ref if tap is not None else None
            shape = extent(self.web, new) if new is not None else None
            kind = dtype(self.web, new) if new is not None else ""
            variables.append(
                LoopVariable(
                    number, "state", f"{state} of {name}", kind, shape, ", ".join(starts) or "", self._name(old)
                )
            )
        # Where each window has an h of its own, what is passed on is one tensor of them all.
        wide = any("h" in signals and signals["h"].beside for signals in use.signals)
        passed = layer.cell.emits if wide else "h"
        taps = [signals[passed].ref for signals in use.signals if passed in signals]
        members = sorted({one.ref[0] for signals in use.signals for tap in signals.values() for one in tap.pieces})
        below = [f"h of {other}" for other, uses in self.places.items() if any(one.number in use.below for one in uses)]
        return Recurrence(
            self.web.node(taps[0]).name.rpartition("/")[0] if taps else layer.scope,
            "unrolled",
            "steps",
            tuple(variables),
            emitted=tuple(Emitted(tensor(self.web, ref), f"step {k}") for k, ref in enumerate(taps)),
            inputs=(*below, *dict.fromkeys(self._name(ref) for roots in use.roots for ref in roots)),
            reads=tuple(weight.name for weight in layer.weights.values()),
            direction=layer.direction,
            layers=(name,),
            steps=len(use.inputs),
            tensors=tuple(self._tensors(members)),
        )

    def _name(self, ref: Ref) -> str:
        return tensor(self.web, self.web.resolve(ref)).name

    def _ops(self) -> Iterator[Recurrence]:
        """Ops that compute all steps at once, and steps of a block cell that stand in no loop or layer."""
        looped = {number for loop in self.loops for number in loop.members}
        used = {
            one.ref[0]
            for uses in self.places.values()
            for use in uses
            if _is_unrolled(use)
            for signals in use.signals
            for tap in signals.values()
            for one in tap.pieces
        }
        for number, node in enumerate(self.web.nodes):
            if node.hidden or not (node.op in _FUSED or (node.op in _STEPS and number not in looped | used)):
                continue
            layers = [
                name
                for name, uses in self.places.items()
                if any(tap.ref[0] == number for use in uses for signals in use.signals for tap in signals.values())
            ]
            yield Recurrence(
                node.name,
                node.op,
                "op",
                emitted=(Emitted(tensor(self.web, (number, _PORTS.get(node.op, 0))), axes="time, batch"),),
                inputs=(self._name(node.inputs[1 if node.op.startswith("BlockLSTM") else 0]),) if node.inputs else (),
                lengths=(self._name(node.inputs[0]),) if node.op.startswith("BlockLSTM") and node.inputs else (),
                reads=tuple(self._names(self._stored([number]))),
                direction=self._direction(layers, set()),
                layers=tuple(layers),
            )


def _is_unrolled(use: Use) -> bool:
    """Whether the graph writes out each step."""
    return not use.looped and not use.fused and len(use.inputs) > 1
