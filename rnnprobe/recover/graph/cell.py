"""How a graph applies a cell: which tensor is its input, its old and its new h, and with which options.

A cell is found where a product takes its kernel; its gates are told apart by what is done with them (cells.md, section
13.5): f is multiplied with the old c, i with the activated g, o with the activated new c, r with the h that enters the
second product. Names and the order of the columns play no part, so that the order can be held against the cell's own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from rnnprobe.recover.graph.paths import ADDS, activations, clips, combined, plain_convolution, plain_product
from rnnprobe.recover.graph.values import Variables, joins, named, number
from rnnprobe.recover.graph.view import Ref, View, attribute
from rnnprobe.types import Cell, OptionValue, Tap, Tensor

_BIAS_ADDS = {*ADDS, "BiasAdd", "BiasAddV1"}


@dataclass(slots=True)
class Application:
    """One use of a cell: one step, or a whole sequence where `fused`.

    Attributes:
        owner: the number of the layer or candidate whose kernel it is.
        node: the product, or the fused op.
        inputs: what enters, side by side.
        h_in: the old h.
        h_out: the new h, or None where it was not found.
        c: the old and the new c, where the cell has one and both were found.
        options: what the graph says of the cell's options.
        used: the roles of the weights that take part.
        problem: why the options could not be read, or empty.
        fused: the op runs over all steps by itself.
        kind: the op, where it is a block op.
        inner: the signals other than the states, as far as they are tensors of the graph.
        passed: what wrappers around the cell make of its h, or None where there are none.
        memory: what it attends to, `[batch, time, …]`, and the tensor that says how long that is; None where they are
            not there.
        cell: with its wrappers, where the graph shows that it passes on something else than names say, or that they
            lie in another order.
        weights: of that cell, where they are others than names say.
        turned: of a loop whose inputs are whole sequences, it takes the last step first.
    """

    owner: int
    node: int
    inputs: tuple[Ref, ...]
    h_in: Ref
    h_out: Ref | None = None
    c: tuple[Ref, Ref] | None = None
    options: dict[str, OptionValue] = field(default_factory=dict)
    used: frozenset[str] = frozenset()
    problem: str = ""
    fused: bool = False
    kind: str = ""
    inner: dict[str, Tap] = field(default_factory=dict)
    passed: Ref | None = None
    memory: tuple[Ref, Ref | None] | None = None
    cell: Cell | None = None
    weights: Mapping[str, Tensor] | None = None
    turned: bool = False

    @property
    def emitted(self) -> Ref | None:
        """What the layer passes on."""
        return self.h_out if self.passed is None else self.passed


@dataclass(frozen=True, slots=True)
class _Gate:
    """A gate's block of columns on its way: what was added to it, and what it went through."""

    column: int
    out: Ref
    activation: str = "linear"
    added: float = 0.0
    peephole: str = ""
    peeped: Ref = (0, 0)
    before: Ref | None = None

    def taps(self, letter: str) -> dict[str, Tap]:
        """The gate and what it was before its activation, by the names of these signals."""
        found = {letter: Tap(self.out)}
        if self.activation == "linear":
            found[f"{letter}_pre"] = Tap(self.out)
        elif self.before is not None:
            found[f"{letter}_pre"] = Tap(self.before)
        return found


class Reader:
    """Reads applications of cells off a view."""

    def __init__(self, view: View, variables: Variables) -> None:
        self.view = view
        self.variables = variables

    def kernel(self, product: int) -> Ref | None:
        """What a node multiplies or convolves something with; None where it does neither, or not as a cell does."""
        if plain_product(self.view, product):
            return self.view.input(product, 1)
        axes = plain_convolution(self.view, product)
        if not axes:
            return None
        kernel = self.view.input(product, 1)
        return self.view.input(kernel[0], 0) if axes == 1 else kernel

    def start(self, owner: int, product: int) -> Application | None:
        """An application with its inputs alone, from the product with the kernel; None where it takes no concat."""
        if self.kernel(product) is None:
            return None
        taken = self.view.input(product, 0)
        if plain_convolution(self.view, product) == 1:
            # Along one axis: expanded, convolved and squeezed.
            taken = self.view.input(taken[0], 0)
            squeezed = [k for k, _ in self.view.consumers((product, 0)) if self.view.nodes[k].op == "Squeeze"]
            product = squeezed[0] if len(squeezed) == 1 else product
        parts = joins(self.view, taken)
        return Application(owner, product, tuple(parts[:-1]), parts[-1]) if len(parts) > 1 else None

    def biased(self, product: Ref, bias: str) -> Ref | None:
        """The product with the stored bias of this name added."""
        for out, with_ref in combined(self.view, product, _BIAS_ADDS):
            if self.variables.name(with_ref) == bias:
                return out
        return None

    def takes(self, product: int, weight: str) -> bool:
        """Whether a node multiplies something with the stored weight of this name."""
        return plain_product(self.view, product) and self.variables.name(self.view.input(product, 1)) == weight

    def blocks(self, ref: Ref, count: int) -> list[Ref]:
        """The equal blocks into which a tensor is split, in the order of its columns."""
        for consumer, slot in self.view.consumers(ref):
            node = self.view.nodes[consumer]
            splits = attribute(node, "num_split")
            if splits is not None and splits.i == count and slot == (1 if node.op == "Split" else 0):
                return [(consumer, k) for k in range(count)]
        return []

    def gates(self, column: int, block: Ref, peepholes: Mapping[str, str]) -> Iterator[_Gate]:
        """The stages that a gate's block goes through: constants and peepholes added to it, then an activation."""
        stages = [_Gate(column, block)]
        for gate in stages:
            yield gate
            for name, out in activations(self.view, gate.out):
                yield _Gate(column, out, name, gate.added, gate.peephole, gate.peeped, gate.out)
            for out, with_ref in combined(self.view, gate.out, ADDS):
                added = number(self.view, with_ref)
                if added is not None:
                    stages.append(_Gate(column, out, "linear", gate.added + added, gate.peephole, gate.peeped))
                elif not gate.peephole:
                    role, peeped = self._peephole(with_ref, peepholes)
                    if role:
                        stages.append(_Gate(column, out, "linear", gate.added, role, peeped))
            if len(stages) > 16:
                break

    def _peephole(self, ref: Ref, peepholes: Mapping[str, str]) -> tuple[str, Ref]:
        node = self.view.node(ref)
        if node.op == "Mul" and len(node.inputs) == 2:
            sources = self.view.inputs(node)
            for k in (0, 1):
                role = peepholes.get(self.variables.name(sources[k]) or "")
                if role:
                    return role, sources[1 - k]
        return "", ref


def read_rnn(reader: Reader, app: Application, weights: Mapping[str, Tensor], reached: Collection[Ref]) -> None:
    """h' = φ(z). Where φ could be nothing at all, what comes back as h decides: `reached`."""
    z = reader.biased((app.node, 0), named(weights, "bias"))
    if z is None:
        app.problem = "its bias is not added to the product"
        return
    found = [*activations(reader.view, z), ("linear", z)]
    name, app.h_out = next((pair for pair in found if pair[1] in reached), found[0])
    app.options = {"activation": name}
    app.used = frozenset(("kernel", "bias"))
    app.inner = {"h_pre": Tap(z)}


def read_gru(reader: Reader, app: Application, weights: Mapping[str, Tensor], order: tuple[str, ...]) -> None:
    """h' = z·h + (1 - z)·n, with r applied to h before the candidate's product."""
    view = reader.view
    total = reader.biased((app.node, 0), named(weights, "gates_bias"))
    if total is None:
        app.problem = "the bias of its gates is not added to the product"
        return
    outer = [(name, reader.blocks(out, 2)) for name, out in activations(view, total)]
    gates = [_Gate(k, block, name) for name, blocks in outer for k, block in enumerate(blocks)]
    gates += [
        gate for k, block in enumerate(reader.blocks(total, 2)) for gate in reader.gates(k, block, {}) if not gate.added
    ]
    for r in gates:
        for reset, with_ref in combined(view, r.out, {"Mul"}):
            candidate = _candidate(reader, reset, named(weights, "candidate_kernel")) if with_ref == app.h_in else None
            summed = reader.biased(candidate, named(weights, "candidate_bias")) if candidate is not None else None
            if summed is None:
                continue
            for z in gates:
                found = _blend(view, z.out, app.h_in, summed) if z.column != r.column else None
                if found is None:
                    continue
                found_order = tuple(gate for _, gate in sorted([(r.column, "r"), (z.column, "z")]))
                app.h_out = found[1]
                app.used = frozenset(weights)
                app.options = {"activation": found[0], "recurrent_activation": r.activation, "reset": "before"}
                pre = {f"{letter}_pre": Tap(total, gate.column, 2) for letter, gate in (("r", r), ("z", z))}
                app.inner = {**pre, **r.taps("r"), **z.taps("z"), "n": Tap(found[2]), "n_pre": Tap(summed)}
                if found_order != order[:2]:
                    app.problem = f"its gates lie in the order {' '.join(found_order)}, not {' '.join(order[:2])}"
                elif r.activation != z.activation:
                    app.problem = f"r goes through {r.activation}, z through {z.activation}"
                return
    app.problem = "its gates are not combined as a GRU combines them"


def _candidate(reader: Reader, reset: Ref, kernel: str) -> Ref | None:
    """The candidate's product, from r·h on."""
    for consumer, _ in reader.view.consumers(reset):
        parts = joins(reader.view, (consumer, 0))
        for product, slot in reader.view.consumers((consumer, 0)) if parts and parts[-1] == reset else ():
            if slot == 0 and reader.takes(product, kernel):
                return product, 0
    return None


def _blend(view: View, z: Ref, h: Ref, total: Ref) -> tuple[str, Ref, Ref] | None:
    """The activation of the candidate, the new h = z·h + (1 - z)·n, and n."""
    kept = {out for out, with_ref in combined(view, z, {"Mul"}) if with_ref == h}
    rests = [(number_node, 0) for number_node, slot in view.consumers(z) if slot == 1 and _is_rest(view, number_node)]
    for name, n in [*activations(view, total), ("linear", total)]:
        for fresh, with_ref in combined(view, n, {"Mul"}):
            if with_ref in rests:
                for h_out, with_kept in combined(view, fresh, ADDS):
                    if with_kept in kept:
                        return name, h_out, n
    return None


def _is_rest(view: View, consumer: int) -> bool:
    return view.nodes[consumer].op == "Sub" and number(view, view.input(consumer, 0)) == 1.0


def read_lstm(reader: Reader, app: Application, weights: Mapping[str, Tensor], order: tuple[str, ...]) -> None:
    """c' = clip(f·c + i·g), h' = o·φ(c'), projected and clipped."""
    view = reader.view
    total: Ref | None = (app.node, 0)
    if "bias" in weights:
        total = reader.biased((app.node, 0), named(weights, "bias"))
    blocks = reader.blocks(total, 4) if total is not None else []
    if not blocks:
        app.problem = "its product is not split into four gates after its bias is added"
        return
    peepholes = {weights[role].name: role for role in weights if role.startswith("peephole")}
    gates = {gate.out: gate for k, block in enumerate(blocks) for gate in reader.gates(k, block, peepholes)}
    for i, g, f, c_in, c_sum in _cells(view, gates):
        for bound, c_out in [*_symmetric(view, c_sum), (None, c_sum)]:
            for activation, o, h in _outputs(view, gates, c_out, {i.column, g.column, f.column}):
                if i.activation != g.activation and (i.activation == activation or g.activation == f.activation):
                    i, g = g, i
                app.options = {
                    "forget_bias": f.added,
                    "activation": activation,
                    "recurrent_activation": f.activation,
                    "cell_clip": bound,
                }
                app.c = (c_in, c_out)
                roles = {"i": i, "g": g, "f": f, "o": o}
                app.inner = {name: tap for letter, gate in roles.items() for name, tap in gate.taps(letter).items()}
                _project(reader, app, weights, h)
                app.used |= {"kernel"} | weights.keys() & {"bias"}
                app.used |= {gate.peephole for gate in roles.values() if gate.peephole}
                app.problem = app.problem or _doubt(roles, order, c_in, c_out, activation)
                return
    app.problem = "its gates are not combined as an LSTM combines them"


def _cells(view: View, gates: Mapping[Ref, _Gate]) -> Iterator[tuple[_Gate, _Gate, _Gate, Ref, Ref]]:
    """Every i·g + f·c: the gates i, g (which of them is which is open) and f, the old c and the sum."""
    for out, one in gates.items():
        for fresh, with_ref in combined(view, out, {"Mul"}):
            two = gates.get(with_ref)
            if two is None or two.column <= one.column:
                continue
            for c_sum, kept in combined(view, fresh, ADDS):
                node = view.node(kept)
                sources = view.inputs(node) if node.op == "Mul" and len(node.inputs) == 2 else []
                for k, source in enumerate(sources):
                    f = gates.get(source)
                    if f is not None and f.column not in (one.column, two.column):
                        yield one, two, f, sources[1 - k], c_sum


def _outputs(view: View, gates: Mapping[Ref, _Gate], c_out: Ref, taken: set[int]) -> Iterator[tuple[str, _Gate, Ref]]:
    """Every o·φ(c'): φ, the gate o, and the product."""
    for name, activated in [*activations(view, c_out), ("linear", c_out)]:
        for h, with_ref in combined(view, activated, {"Mul"}):
            o = gates.get(with_ref)
            if o is not None and o.column not in taken:
                yield name, o, h


def _symmetric(view: View, ref: Ref) -> Iterator[tuple[float | None, Ref]]:
    return ((high, out) for low, high, out in clips(view, ref) if low == -high)


def _project(reader: Reader, app: Application, weights: Mapping[str, Tensor], h: Ref) -> None:
    """Finds the projection of h and its clip, where the layer stores one."""
    app.h_out, app.options["proj_clip"] = h, None
    if "projection" not in weights:
        return
    products = [
        (consumer, 0)
        for consumer, slot in reader.view.consumers(h)
        if slot == 0 and reader.takes(consumer, weights["projection"].name)
    ]
    if not products:
        app.h_out, app.problem = None, "its projection is not applied to h"
        return
    app.used |= {"projection"}
    app.inner["h_unprojected"] = Tap(h)
    bound, app.h_out = next(_symmetric(reader.view, products[0]), (None, products[0]))
    app.options["proj_clip"] = bound


def _doubt(roles: Mapping[str, _Gate], order: Iterable[str], c_in: Ref, c_out: Ref, activation: str) -> str:
    """What contradicts the cell's equations, or empty."""
    i, g, f, o = (roles[letter] for letter in "igfo")
    found = sorted(roles, key=lambda letter: roles[letter].column)
    if activation == f.activation:
        # With one activation everywhere, i and g can't be told apart; what is left must agree.
        found = [{"g": "i"}.get(letter, letter) for letter in found]
        order = [{"g": "i"}.get(letter, letter) for letter in order]
    if found != list(order):
        return f"its gates lie in the order {' '.join(found)}, not {' '.join(order)}"
    if g.activation != activation:
        return f"the candidate goes through {g.activation}, c through {activation}"
    if i.activation != f.activation or o.activation != f.activation:
        return f"its gates go through {i.activation}, {f.activation} and {o.activation}"
    if i.added or g.added or o.added:
        return "a constant is added to a gate other than f"
    if g.peephole:
        return "the candidate has a peephole"
    for letter, gate, seen in (("i", i, c_in), ("f", f, c_in), ("o", o, c_out)):
        if gate.peephole and (gate.peephole != f"peephole_{letter}" or gate.peeped != seen):
            return f"the peephole of {letter} is another's, or looks at another state"
    return ""
