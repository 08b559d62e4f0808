"""A graph in numbers: its tensors evaluated on several draws of random values, and found again by their values."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from rnnprobe.recover.graph.budget import Budget
from rnnprobe.recover.graph.evaluate import Evaluator
from rnnprobe.recover.graph.values import Variables, joins, number
from rnnprobe.recover.graph.view import LOOP_VARIABLE, Node, Ref, View, attribute
from rnnprobe.types import Array, Tap, Tensor

SCALES = ((1.0, 0.5, False), (8.0, 3.0, True), (200.0, 3.0, False), (1.0, 2.0, False))
"""Of the draws, as `Evaluator` takes them: a clip, or the end of an activation, shows in the wider ones alone."""

_VARIABLES = {"Const", "Variable", "VariableV2", "VarHandleOp", "TemporaryVariable", "AutoReloadVariable"}
_LEAVES = {LOOP_VARIABLE, "Exit", "TensorArrayReadV3", "TensorArrayReadV2", "TensorArrayRead", "TensorListGetItem"}
_BLOCKS = {"LSTMBlockCell": 7, "GRUBlockCell": 4, "BlockLSTM": 7, "BlockLSTMV2": 7}
_WRITES = re.compile(r"(Resource|Sparse)*(Assign|Apply|Scatter)|Save|Restore|Assert|Print")
_CLOSE = 1e-6
_NONE = 1e-9
_MOST_BLOCKS = 32
_SEQUENCES = 4  # of a batch; a cell sees each by itself
_PER_TENSOR = 20_000  # work to make a tensor ready to be found
_PER_SEARCH = 50_000
_SAMPLE = 97  # numbers of a tensor that are compared; odd, so that they come from many columns


@dataclass(slots=True)
class Numbers:
    """The graph's tensors on every draw, and which node reads which.

    Attributes:
        view: the graph.
        variables: the names that its variables are stored under.
        draws: the graph evaluated, once for each scale.
        budget: the work that may yet be done.
        before: what each node reads.
        after: the nodes that read each.
        ports: the outputs of each that something reads.
        rank: each node's place in an order in which all could be computed.
        dynamic: the nodes whose values are no function of the variables alone.
    """

    view: View
    variables: Variables
    draws: tuple[Evaluator, ...]
    budget: Budget
    before: list[list[Ref]] = field(default_factory=list)
    after: list[list[int]] = field(default_factory=list)
    ports: list[set[int]] = field(default_factory=list)
    rank: list[int] = field(default_factory=list)
    dynamic: list[bool] = field(default_factory=list)
    _readers: dict[str, list[int]] = field(default_factory=dict)
    _constants: dict[Ref, float | None] = field(default_factory=dict)
    _keys: dict[Ref, tuple[object, ...]] = field(default_factory=dict)
    _values: dict[Ref, tuple[Array, ...] | None] = field(default_factory=dict)

    def values(self, ref: Ref) -> tuple[Array, ...] | None:
        """A tensor of floats on every draw, a few sequences of it; None where it is unknown on one."""
        if ref not in self._values:
            self._values[ref] = self._evaluated(ref)
        return self._values[ref]

    def _evaluated(self, ref: Ref) -> tuple[Array, ...] | None:
        found = []
        for draw in self.draws:
            value = draw.array(ref)
            if value is None or value.dtype.kind != "f":
                return None
            found.append(value[:_SEQUENCES] if value.ndim > 1 else value)
        return tuple(found)

    def key(self, ref: Ref) -> tuple[object, ...]:
        """What tensors of the same value have in common, rounding set aside; each its own where it is unknown."""
        if ref not in self._keys:
            value = self.values(ref)
            if value is None:
                self._keys[ref] = ref
            else:
                with np.errstate(all="ignore"):
                    rough = [np.asarray(sampled(one), np.float32) for one in value[:1]]
                self._keys[ref] = (value[0].shape, *(one.tobytes() for one in rough))
        return self._keys[ref]

    def constant(self, ref: Ref) -> float | None:
        """The number that a constant is."""
        if ref not in self._constants:
            self._constants[ref] = number(self.view, ref)
        return self._constants[ref]

    def outputs(self, node: int) -> Iterator[Ref]:
        """The outputs of a node that something reads."""
        return ((node, port) for port in sorted(self.ports[node]))

    def tensor(self, tensor: Tensor, draw: int) -> Tensor | None:
        """A stored tensor with the random values that it has on a draw; None where they would be too many."""
        if tensor.pieces:
            found = [self.draws[draw].weight(name) for name in tensor.pieces]
            value = None if any(one is None for one in found) else np.stack([one for one in found if one is not None])
        else:
            value = self.draws[draw].weight(tensor.name)
        if value is None or value.shape != tensor.shape:
            return None
        return replace(tensor, read=_reader(value), problem="")

    def readers(self, tensor: Tensor) -> list[int]:
        """The nodes that bring a stored tensor together with what is no variable, first to last."""
        found = {node for name in tensor.pieces or (tensor.name,) for node in self._readers.get(name, ())}
        return sorted(found, key=self.rank.__getitem__)


def _reader(value: Array) -> Callable[[slice], Array]:
    return lambda rows: value[rows] if value.ndim else value


def numbers(
    view: View,
    variables: Variables,
    tensors: Mapping[str, Tensor],
    weights: Iterable[Tensor],
    moved: bool = True,
    still: Collection[int] = (),
) -> Numbers:
    """Evaluates nothing yet: values are computed as they are asked for.

    Args:
        view: the graph.
        variables: the names that its variables are stored under.
        tensors: what is stored.
        weights: the weights of the layers sought, where they are joined of several stored tensors.
        moved: zeros that states may start from are random instead.
        still: the nodes whose zeros are none of these.
    """
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    shapes.update({tensor.name: tensor.shape for tensor in weights if not tensor.pieces})
    free, budget = _free(view), Budget()
    draws = tuple(Evaluator(view, variables, shapes, *scales, free, moved, budget, still) for scales in SCALES)
    found = Numbers(view, variables, draws, budget)
    _connect(found)
    _classify(found, moved, still)
    _attach(found, shapes)
    return found


def _free(view: View) -> int:
    """How many sequences the graph is made for, where it says so."""
    counts: dict[int, int] = {}
    for node in view.nodes:
        if node.op.startswith("Placeholder"):
            listed = attribute(node, "_output_shapes")
            shape = listed.list.shape[0] if listed is not None and listed.list.shape else None
            own = attribute(node, "shape")
            shape = shape if shape is not None else own.shape if own is not None else None
            if shape is not None and len(shape.dim) > 1 and shape.dim[0].size > 0:
                counts[shape.dim[0].size] = counts.get(shape.dim[0].size, 0) + 1
    return max(counts, key=lambda size: counts[size], default=2)


def _connect(found: Numbers) -> None:
    """Fills in who reads whom, and the order."""
    nodes = found.view.nodes
    found.before = [[] if node.hidden else found.view.inputs(number) for number, node in enumerate(nodes)]
    found.after = [[] for _ in nodes]
    found.ports = [set(range(_BLOCKS.get(node.op, 1))) for node in nodes]
    for at, node in enumerate(nodes):
        if node.hidden:
            continue
        for source, port in found.before[at]:
            found.after[source].append(at)
            found.ports[source].add(port)
    found.rank = [-1] * len(nodes)
    place = 0
    for start in range(len(nodes)):
        waiting = [start]
        while waiting:
            at = waiting[-1]
            if found.rank[at] >= 0:
                waiting.pop()
                continue
            sources = found.before[at][:1] if nodes[at].op == LOOP_VARIABLE else found.before[at]
            needs = [source for source, _ in sources if found.rank[source] == -1]
            if found.rank[at] == -1 and needs:
                found.rank[at] = -2  # open: a circle that is none of a loop is cut here
                waiting += needs
                continue
            waiting.pop()
            found.rank[at] = place
            place += 1


def _classify(found: Numbers, moved: bool, still: Collection[int]) -> None:
    """Marks what depends on more than variables."""
    found.dynamic = [False] * len(found.view.nodes)
    front = [
        number
        for number, node in enumerate(found.view.nodes)
        if _starts(found, number, node, moved and number not in still)
    ]
    while front:
        at = front.pop()
        if not found.dynamic[at]:
            found.dynamic[at] = True
            front += found.after[at]


def _starts(found: Numbers, number: int, node: Node, moved: bool) -> bool:
    if node.hidden or node.op in _LEAVES:
        return not node.hidden
    if not found.before[number] and node.op not in _VARIABLES:
        return True
    zeros = moved and node.op in ("Const", "Fill", "ZerosLike") and found.variables.name((number, 0)) is None
    if not zeros:
        return False
    if node.op == "Const":
        value = attribute(node, "value")
        return value is not None and len(value.tensor.tensor_shape.dim) > 1
    return True


def _attach(found: Numbers, stored: Mapping[str, object]) -> None:
    """Fills in where each stored tensor meets what is no variable."""
    for at, node in enumerate(found.view.nodes):
        if node.hidden or not at:
            continue
        joined = found.variables.name((at, 0)) if joins(found.view, (at, 0)) else None
        for source in found.before[at]:
            name = joined or (found.variables.name(source) if source[0] else None)
            if name is None or name not in stored:
                continue
            readers = found._readers.setdefault(name, [])
            # What joins the shards of a tensor stands for it.
            starts = found.after[at] if joined else [at]
            readers += [one for start in starts for one in _meetings(found, start) if one not in readers]


def _meetings(found: Numbers, start: int) -> list[int]:
    """The first nodes behind a node, itself included, that depend on more than variables."""
    front, seen, met = [start], {start}, []
    while front and len(seen) < 100:
        at = front.pop()
        if found.dynamic[at]:
            met += [at] if not _WRITES.match(found.view.nodes[at].op) else []
            continue
        for after in found.after[at]:
            if after not in seen:
                seen.add(after)
                front.append(after)
    return met


class Pool:
    """Tensors, to be found by their values; the first computed first."""

    def __init__(self, known: Numbers, refs: Sequence[Ref]) -> None:
        self._draws = len(known.draws)
        self._budget = known.budget
        self._budget.take(_PER_TENSOR * len(refs))
        self.values = {ref: value for ref in refs if (value := known.values(ref)) is not None}
        self._wholes: dict[tuple[int, ...], tuple[list[Ref], list[Array]]] = {}
        self._blocks: dict[tuple[int, ...], tuple[list[Tap], list[Array]]] = {}

    def find(self, sought: Sequence[Array], wanted: Collection[Ref] = ()) -> Tap | None:
        """The tensor with these values on the first draws, or the block of columns of one.

        Args:
            sought: the values on each draw.
            wanted: those that are taken rather than others.
        """
        shape: tuple[int, ...] = sought[0].shape
        self._budget.take(_PER_SEARCH)
        if shape not in self._wholes:
            refs = [ref for ref, value in self.values.items() if value[0].shape == shape]
            rows = [
                np.stack([sampled(self.values[ref][k]) for ref in refs]) if refs else np.empty((0, 0))
                for k in range(self._draws)
            ]
            self._wholes[shape] = refs, rows
        refs, rows = self._wholes[shape]
        hits = [refs[hit] for hit in matches(rows, sought)] if refs else []
        best = next((ref for ref in hits if ref in wanted), hits[0] if hits else None)
        return self._block(sought, shape, wanted) if best is None else Tap(best)

    def _block(self, sought: Sequence[Array], shape: tuple[int, ...], wanted: Collection[Ref]) -> Tap | None:
        if not shape or not shape[-1]:
            return None
        if shape not in self._blocks:
            taps: list[Tap] = []
            columns: list[list[Array]] = [[] for _ in range(self._draws)]
            for ref, value in self.values.items():
                count, rest = divmod(value[0].shape[-1], shape[-1]) if value[0].ndim == len(shape) else (0, 0)
                if value[0].ndim and 1 < count <= _MOST_BLOCKS and not rest and value[0].shape[:-1] == shape[:-1]:
                    for block in range(count):
                        taps.append(Tap(ref, block, count))
                        for k, one in enumerate(value):
                            columns[k].append(sampled(one[..., block * shape[-1] : (block + 1) * shape[-1]]))
            self._blocks[shape] = taps, [np.stack(column) if column else np.empty((0, 0)) for column in columns]
        taps, rows = self._blocks[shape]
        hits = [taps[hit] for hit in matches(rows, sought)] if taps else []
        return next((tap for tap in hits if tap.ref in wanted), hits[0] if hits else None)


def matches(rows: Sequence[Array], sought: Sequence[Array]) -> list[int]:
    """The rows that are the values sought, on each of their draws."""
    same = close(rows[0][:, 0], sought[0].flat[0]) if sought[0].size else np.ones(len(rows[0]), bool)
    for matrix, value in zip(rows, sought, strict=False):
        left = np.flatnonzero(same)
        if not len(left):
            break
        same[left] = close(matrix[left], sampled(value)).all(axis=1)
    return [int(row) for row in np.flatnonzero(same)]


def sampled(a: Array) -> Array:
    """Enough of an array to tell it by: all of a small one."""
    return a.ravel()[:: max(1, a.size // _SAMPLE)]


def close(a: Array, b: Array) -> Array:
    """Where two arrays are one number, up to rounding."""
    with np.errstate(invalid="ignore"):
        near = np.abs(a - b) <= _CLOSE * np.maximum(np.abs(a), np.abs(b)) + _NONE
    return np.asarray(near | (a == b) | (np.isnan(a) & np.isnan(b)))
