"""What a loop's states are: of which layer, of a Keras model by the weights that the loop reads, or of an attention."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from rnnprobe.recover.graph.frames import Loop
from rnnprobe.recover.graph.loop_roles import Roles, grows
from rnnprobe.recover.graph.loop_words import base, tensor
from rnnprobe.recover.graph.paths import SELECTS
from rnnprobe.recover.graph.view import Ref, View
from rnnprobe.types import Layer, Network, Use

_PARTS = {"Split", "SplitV", "Slice", "StridedSlice", "Unpack", "Reshape"}  # of a state that is one tensor
_RESHAPED = {"ExpandDims", "Squeeze", "Reshape", "Transpose", "Cast"}
_PRODUCTS = {"BatchMatMul", "MatMul", "Mul", "Einsum"}
_DEEPEST = 12


def home(use: Use) -> set[int]:
    """The nodes that compute what a loop repeats for a layer."""
    return {tap.ref[0] for tap in use.signals[0].values()} if use.looped and not use.fused and use.signals else set()


def layers_in(loop: Loop, places: Mapping[str, Iterable[Use]]) -> list[str]:
    """The layers that were read off a loop."""
    inside = set(loop.members)
    return [name for name, uses in places.items() if any(home(use) & inside for use in uses)]


def layers_of(network: Network, read: Collection[str]) -> list[str]:
    """The layers whose recurrent weights are all among the variables that a loop reads."""
    return [
        layer.name for layer in network.layers if layer.name not in network.places and _recurrent(layer) <= set(read)
    ]


def _recurrent(layer: Layer) -> set[str]:
    """The weights that meet what the step before computed; all of them where none is told apart."""
    found = {
        layer.weights[weight.role].name
        for weight in layer.cell.weights
        if weight.role in layer.weights and any(part.name == "recurrent_kernel" for part in weight.parts)
    }
    return found or {weight.name for weight in layer.weights.values()}


def by_place(
    web: View, loop: Loop, within: Iterable[str], places: Mapping[str, Iterable[Use]]
) -> Iterator[tuple[Ref, str]]:
    """What layers that were read off the graph call the loop's variables."""
    own = {v.ref for v in loop.variables}
    inside = set(loop.members)
    joined: dict[Ref, list[str]] = {}
    for name in within:
        for use in (use for use in places[name] if home(use) & inside):
            for state, piece in ((state, piece) for state, tap in use.carried.items() for piece in tap.pieces):
                at = web.resolve(piece.ref)
                for _ in range(_DEEPEST):
                    node = web.node(at)
                    if at in own or node.op not in _PARTS:
                        break
                    at = web.input(node, 1 if node.op == "Split" else 0)
                if at in own:
                    joined.setdefault(at, []).append(f"{state} of {name}")
    yield from ((ref, ", ".join(dict.fromkeys(words))) for ref, words in joined.items())


def by_order(network: Network, loop: Loop, roles: Roles, within: Iterable[str]) -> Iterator[tuple[Ref, str]]:
    """The states of Keras layers in a loop of Keras's own, which carries them cell by cell, h first and last of all."""
    states = [v for v in loop.variables if roles.names[v.port] == "state"]
    named = []
    for layer in (network[name] for name in within):
        rest = [state for state in layer.cell.states if state != "h"]
        named += [f"{state} of {layer.name}" for state in ("h", *rest)]
    if named and len(states) >= len(named):
        yield from ((v.ref, name) for v, name in zip(states[len(states) - len(named) :], named, strict=True))


# Attention -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attention:
    """A softmax inside of a loop that weighs something that does not change in it.

    Attributes:
        softmax: what it computes.
        memory: what it weighs.
        kind: in words, how the scores come about.
    """

    softmax: Ref
    memory: Ref
    kind: str


def attentions(web: View, loop: Loop) -> list[Attention]:
    """The attentions of a loop."""
    inside = set(loop.members)
    found = []
    for number in loop.members:
        if web.nodes[number].op == "Softmax" and not web.nodes[number].hidden:
            memory = _weighed(web, (number, 0), inside)
            if memory is not None:
                found.append(Attention((number, 0), memory, _scored(web, number)))
    return found


def _weighed(web: View, softmax: Ref, inside: set[int]) -> Ref | None:
    """What stands outside of the loop and is multiplied by a softmax."""
    front, seen = [softmax], {softmax}
    while front and len(seen) < _DEEPEST:
        at = front.pop()
        for consumer, slot in web.consumers(at):
            node = web.nodes[consumer]
            if consumer not in inside:
                continue
            if base(node) in _PRODUCTS and len(node.inputs) > 1:
                other = _plain(web, web.input(node, 1 - min(slot, 1)))
                if other[0] and other[0] not in inside and web.node(other).op != "Const":
                    return other
            elif node.op in _RESHAPED and slot == 0 and (consumer, 0) not in seen:
                seen.add((consumer, 0))
                front.append((consumer, 0))
    return None


def _plain(web: View, ref: Ref) -> Ref:
    for _ in range(_DEEPEST):
        node = web.node(ref)
        if node.op not in _RESHAPED:
            break
        ref = web.input(node, 0)
    return ref


def _scored(web: View, softmax: int) -> str:
    """How the scores come about that a softmax is taken of."""
    at = web.input(softmax, 0)
    for _ in range(_DEEPEST):
        node = web.node(at)
        if node.op in SELECTS:
            at = web.input(node, 1)  # those of steps that there are
        elif node.op in _RESHAPED:
            at = web.input(node, 0)
        else:
            break
    node = web.node(at)
    if node.op == "Sum" and web.node(web.input(node, 0)).op == "Mul":
        factors = [web.node(ref).op for ref in web.inputs(web.input(node, 0)[0])]
        return "additive, as Bahdanau's" if "Tanh" in factors else ""
    if base(node) in _PRODUCTS:
        return "multiplicative, as Luong's"
    return ""


def of_attention(web: View, loop: Loop, roles: Roles, found: Iterable[Attention]) -> Iterator[tuple[Ref, str]]:
    """What states are that no layer has a name for: what an attention gave, what was handed out, a count."""
    given = {web.resolve(attention.softmax) for attention in found}
    handed = {w.value for v in loop.variables for w in roles.writes.get(v.port, ()) if roles.names[v.port] != "state"}
    for v in loop.variables:
        following = web.resolve(v.following)
        if not v.changes:
            continue
        if following in given:
            yield v.ref, "weights of the attention"
        elif following in handed and roles.names[v.port] == "state":
            yield v.ref, "what was handed out before"
        elif roles.names[v.port] == "state" and grows(web, v):
            yield v.ref, "a count of steps"


def attention_note(web: View, attention: Attention) -> str:
    """For the report."""
    kind = f" ({attention.kind})" if attention.kind else ""
    return f"attention{kind}: at each step {_name(web, attention.softmax)} weighs {_name(web, attention.memory)}"


def _name(web: View, ref: Ref) -> str:
    return tensor(web, ref).name
