"""Cells of a frozen graph that no name gives away: found by what is done with the product of a constant.

Freezing and folding may leave weights under any name. A cell's first product takes a concat of its input and its h; how
what comes out is split says which cell it may be, and which constants meet it then says what its weights are. This only
proposes: `owners` has each proposal read to its end, and takes those alone whose states come back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rnnprobe.recover.graph.cell import Application, Reader, read_lstm
from rnnprobe.recover.graph.paths import ADDS, clips, combined
from rnnprobe.recover.graph.runs import behind
from rnnprobe.recover.graph.values import joins
from rnnprobe.recover.graph.view import Ref
from rnnprobe.types import Candidate, Tensor

_PRODUCTS = {"MatMul", "BatchMatMul", "BatchMatMulV2"}
_MOST_PRODUCTS = 64
_BIAS_ADDS = {*ADDS, "BiasAdd", "BiasAddV1"}
_PEEPHOLES = {0: "peephole_i", 2: "peephole_f", 3: "peephole_o"}  # by the gate's place: i, g, f, o
_ORDER = ("i", "g", "f", "o")


def proposals(reader: Reader, tensors: Mapping[str, Tensor], known: set[str]) -> Iterator[dict[str, Tensor]]:
    """Role → tensor of each cell that a constant kernel may belong to, kernels in `known` left out.

    Args:
        reader: of the graph.
        tensors: what the checkpoint holds.
        known: names of kernels that are accounted for.
    """
    uses: dict[str, list[Application]] = {}
    for number, node in enumerate(reader.view.nodes):
        kernel = None if node.hidden else reader.kernel(number)
        if kernel is None:
            continue
        name = reader.variables.name(kernel) or ""
        app = reader.start(0, number) if name in tensors and name not in known else None
        # A variable's scope says what it is, but that of a convolution.
        told = node.op != "MatMul" or reader.view.node(kernel).op in ("Const", "Concat", "ConcatV2")
        if app is not None and told:
            uses.setdefault(name, []).append(app)
    for name, apps in uses.items():
        finder = _Finder(reader, tensors)
        if len(tensors[name].shape) > 2:
            yield from finder.convolution(tensors[name], apps[0])
            continue
        biased = finder.bias((apps[0].node, 0))
        if biased is not None and len(tensors[name].shape) == 2:
            yield from finder.cells(tensors[name], *biased, apps)


def unclaimed(reader: Reader, tensors: Mapping[str, Tensor], claimed: set[str]) -> list[Candidate]:
    """A candidate for each constant matrix in a circle of ops: what it is multiplied with depends on the product.

    Args:
        reader: of the graph.
        tensors: what the checkpoint holds.
        claimed: names of the weights that layers and candidates account for.
    """
    view = reader.view
    products: dict[str, int] = {}
    readers: dict[int, list[int]] = {}
    for number, node in enumerate(view.nodes):
        sources = [] if node.hidden else view.inputs(node)
        for source, _ in sources:
            readers.setdefault(source, []).append(number)
        if node.op in _PRODUCTS and len(sources) == 2 and view.node(sources[1]).op == "Const":
            name = reader.variables.name(sources[1]) or ""
            if name in tensors and name not in claimed:
                products.setdefault(name, number)
    found = [name for name, number in list(products.items())[:_MOST_PRODUCTS] if _returns(readers, number)]
    return [
        Candidate(name, (), "what the graph makes of its product in a loop is no cell that is read") for name in found
    ]


def _returns(readers: Mapping[int, Sequence[int]], start: int) -> bool:
    """Whether what a node computes goes into it again."""
    seen, front = {start}, [start]
    while front:
        for reader in readers.get(front.pop(), ()):
            if reader == start:
                return True
            if reader not in seen:
                seen.add(reader)
                front.append(reader)
    return False


class _Finder:
    """Finds the other weights of a cell from its kernel's product on."""

    def __init__(self, reader: Reader, tensors: Mapping[str, Tensor]) -> None:
        self.reader = reader
        self.view = reader.view
        self.tensors = tensors

    def cells(self, kernel: Tensor, out: Ref, bias: Tensor, apps: Sequence[Application]) -> Iterator[dict[str, Tensor]]:
        """The weights that go with a kernel, read off its first use."""
        if self.reader.blocks(out, 4):
            yield self._lstm({"kernel": kernel, "bias": bias}, out, apps)
            return
        candidate = self._candidate(out, apps[0].h_in)
        if candidate is not None:
            yield {"gates_kernel": kernel, "gates_bias": bias, **candidate}
        else:
            yield {"kernel": kernel, "bias": bias}

    def convolution(self, kernel: Tensor, app: Application) -> Iterator[dict[str, Tensor]]:
        """The weights of a convolutional cell: the bias is added before the gates are split, if there is one."""
        biased = self.bias((app.node, 0))
        if biased is not None and self.reader.blocks(biased[0], 4):
            yield {"kernel": kernel, "bias": biased[1]}
        elif self.reader.blocks((app.node, 0), 4):
            yield {"kernel": kernel}

    def bias(self, product: Ref) -> tuple[Ref, Tensor] | None:
        """A product with a stored vector added to it, and the vector."""
        for out, with_ref in combined(self.view, product, _BIAS_ADDS):
            tensor = self._stored(with_ref, 1)
            if tensor is not None:
                return out, tensor
        return None

    def _stored(self, ref: Ref, rank: int) -> Tensor | None:
        tensor = self.tensors.get(self.reader.variables.name(ref) or "")
        return tensor if tensor is not None and len(tensor.shape) == rank else None

    def _lstm(self, weights: dict[str, Tensor], out: Ref, apps: Sequence[Application]) -> dict[str, Tensor]:
        vectors = {name: name for name, tensor in self.tensors.items() if len(tensor.shape) == 1}
        for column, block in enumerate(self.reader.blocks(out, 4)):
            named = next((gate.peephole for gate in self.reader.gates(column, block, vectors) if gate.peephole), "")
            if named and column in _PEEPHOLES:
                weights[_PEEPHOLES[column]] = self.tensors[named]
        reached = set[Ref]().union(*(behind(self.view, app.h_in, {})[0] for app in apps))
        for app in apps:
            read_lstm(self.reader, app, weights, _ORDER)
            projection = self._projection(app.h_out, reached) if app.h_out is not None else None
            if projection is not None:
                return weights | {"projection": projection}
        return weights

    def _projection(self, h: Ref, reached: set[Ref]) -> Tensor | None:
        """The stored matrix that h is multiplied with before it comes back."""
        for consumer, slot in self.view.consumers(h):
            node = self.view.nodes[consumer]
            tensor = self._stored(self.view.input(node, 1), 2) if node.op == "MatMul" and slot == 0 else None
            outs = [(consumer, 0), *(out for _, _, out in clips(self.view, (consumer, 0)))]
            if tensor is not None and not reached.isdisjoint(outs):
                return tensor
        return None

    def _candidate(self, out: Ref, h: Ref) -> dict[str, Tensor] | None:
        """The candidate's kernel and bias, where half of what comes out is multiplied with h and joined to the input.

        The gates may be split before their activation or after it.
        """
        front = [out, *(ref for split in [self.reader.blocks(out, 2)] for ref in split)]
        for ref in list(front):
            activated = [(k, 0) for k, _ in self.view.consumers(ref) if len(self.view.nodes[k].inputs) == 1]
            front += [*activated, *(block for ref in activated for block in self.reader.blocks(ref, 2))]
        for ref in front:
            for reset, with_ref in combined(self.view, ref, {"Mul"}):
                for consumer, _ in self.view.consumers(reset) if with_ref == h else ():
                    if joins(self.view, (consumer, 0))[-1:] != [reset]:
                        continue
                    for product, slot in self.view.consumers((consumer, 0)):
                        kernel = self._stored(self.view.input(product, 1), 2) if slot == 0 else None
                        biased = self.bias((product, 0))
                        if kernel is not None and biased is not None:
                            return {"candidate_kernel": kernel, "candidate_bias": biased[1]}
        return None
