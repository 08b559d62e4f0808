"""Graphs that no release wrote: cells that differ from their table in one thing, and graphs that make no sense."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.compat.proto.graph_pb2 import GraphDef

from rnnprobe.recover import graph, names
from rnnprobe.types import Checkpoint, Network, Tensor

SCOPE = "rnn/basic_lstm_cell"
D, N = 3, 4


class Builder:
    """Writes a GraphDef node by node."""

    def __init__(self) -> None:
        self.definition = GraphDef()

    def add(self, name: str, op: str, *inputs: str, **attributes: int) -> str:
        node = self.definition.node.add(name=name, op=op, input=inputs)
        for key, value in attributes.items():
            node.attr[key].i = value
        return name

    def const(self, name: str, value: float, *shape: int) -> str:
        node = self.definition.node.add(name=name, op="Const")
        tensor = node.attr["value"].tensor
        tensor.dtype = 1
        tensor.float_val.append(value)
        for size in shape:
            tensor.tensor_shape.dim.add(size=size)
        return name

    def axis(self, value: int) -> str:
        name = f"axis_{len(self.definition.node)}"
        node = self.definition.node.add(name=name, op="Const")
        node.attr["value"].tensor.dtype = 3
        node.attr["value"].tensor.int_val.append(value)
        return name

    def unary(self, op: str, source: str, name: str) -> str:
        """An activation: an op, or `hard_sigmoid`, `linear`, `swish`."""
        if op == "linear":
            return source
        if op == "swish":
            return self.add(name, "Mul", source, self.add(f"{name}/s", "Sigmoid", source))
        if op in ("hard_sigmoid", "hard_sigmoid_keras3"):
            slope = 0.2 if op == "hard_sigmoid" else 1 / 6
            scaled = self.add(f"{name}/mul", "Mul", source, self.const(f"{name}/slope", slope))
            shifted = self.add(f"{name}/add", "AddV2", scaled, self.const(f"{name}/half", 0.5))
            low = self.add(f"{name}/min", "Minimum", shifted, self.const(f"{name}/one", 1.0))
            return self.add(name, "Maximum", low, self.const(f"{name}/zero", 0.0))
        return self.add(name, op, source)

    def variables(self, scope: str = SCOPE) -> None:
        for leaf in ("kernel", "bias"):
            self.add(f"{scope}/{leaf}", "VariableV2")
            self.add(f"{scope}/{leaf}/read", "Identity", f"{scope}/{leaf}")

    def step(
        self,
        at: str,
        x: str,
        c: str,
        h: str,
        *,
        scope: str = SCOPE,
        forget: float | None = 1.0,
        phi: str = "Tanh",
        phi_out: str = "",
        psi: str = "Sigmoid",
        order: str = "igfo",
        clip: float | None = None,
    ) -> tuple[str, str]:
        """One step of a BasicLSTM; returns the new c and h."""
        joined = self.add(f"{at}/concat", "ConcatV2", x, h, self.axis(1))
        product = self.add(f"{at}/MatMul", "MatMul", joined, f"{scope}/kernel/read")
        total = self.add(f"{at}/BiasAdd", "BiasAdd", product, f"{scope}/bias/read")
        self.add(f"{at}/split", "Split", self.axis(1), total, num_split=4)
        block = {gate: f"{at}/split:{k}" for k, gate in enumerate(order)}
        if forget is not None:
            block["f"] = self.add(f"{at}/forget", "Add", block["f"], self.const(f"{at}/fb", forget))
        i, f, o = (self.unary(psi, block[gate], f"{at}/{gate}") for gate in "ifo")
        g = self.unary(phi, block["g"], f"{at}/g")
        kept = self.add(f"{at}/kept", "Mul", f, c)
        fresh = self.add(f"{at}/fresh", "Mul", i, g)
        c = self.add(f"{at}/c", "Add", kept, fresh)
        if clip is not None:
            low = self.add(f"{at}/low", "Minimum", c, self.const(f"{at}/high", clip))
            c = self.add(f"{at}/clip", "Maximum", low, self.const(f"{at}/bottom", -clip))
        return c, self.add(f"{at}/h", "Mul", o, self.unary(phi_out or phi, c, f"{at}/c_out"))

    def unrolled(self, steps: int, prefix: str = "t", x: Callable[[int], str] | None = None, **options: Any) -> str:
        """A cell over the steps of a placeholder; returns the last h."""
        if x is None:
            self.add(f"{prefix}x", "Placeholder")
            self.add(f"{prefix}unstack", "Unpack", f"{prefix}x", num=steps)
        c = self.const(f"{prefix}c0", 0.0, 1, N)
        h = self.const(f"{prefix}h0", 0.0, 1, N)
        for t in range(steps):
            c, h = self.step(f"{prefix}{t}", x(t) if x else f"{prefix}unstack:{t}", c, h, **options)
        return h


def tensor(name: str, *shape: int) -> Tensor:
    return Tensor(name, shape, "float32", lambda rows: np.zeros(shape, np.float32)[rows])


def network(builder: Builder, *more: Tensor, width: int = D, scope: str = SCOPE) -> Network:
    """What is recovered with the graph of a builder beside one BasicLSTM."""
    stored = (tensor(f"{scope}/kernel", width + N, 4 * N), tensor(f"{scope}/bias", 4 * N), *more)
    checkpoint = Checkpoint(Path("model"), "a bundle", {t.name: t for t in stored}, graph=builder.definition)
    return graph.refine(names.recover(checkpoint))


def read(**options: Any) -> Network:
    """The network of a cell unrolled for three steps."""
    builder = Builder()
    builder.variables()
    builder.unrolled(3, **options)
    return network(builder)


@pytest.mark.parametrize("forget", [None, 0.0, 0.25, 1.0, -3.5])
def test_the_forget_bias_is_what_is_added_and_zero_where_nothing_is(forget: float | None) -> None:
    option = read(forget=forget).layers[0].options["forget_bias"]
    assert (option.value, option.evidence) == (forget or 0.0, "graph")


@pytest.mark.parametrize(
    ("op", "name"),
    [
        ("Tanh", "tanh"),
        ("Sigmoid", "sigmoid"),
        ("Relu", "relu"),
        ("Relu6", "relu6"),
        ("Elu", "elu"),
        ("Selu", "selu"),
        ("Softplus", "softplus"),
        ("Softsign", "softsign"),
        ("hard_sigmoid", "hard_sigmoid"),
        ("hard_sigmoid_keras3", "hard_sigmoid_keras3"),
        ("linear", "linear"),
        ("swish", "swish"),
    ],
)
def test_activations_are_read_off_the_ops(op: str, name: str) -> None:
    found = read(phi=op)
    assert found.notes == ()
    assert (found.layers[0].options["activation"].value, found.layers[0].options["activation"].evidence) == (
        name,
        "graph",
    )


@pytest.mark.parametrize("order", ["ifgo", "gifo", "fgio", "igof"])
def test_gates_in_another_order_are_noted_and_nothing_is_claimed(order: str) -> None:
    found = read(order=order, forget=0.25)
    assert {option.evidence for option in found.layers[0].options.values()} == {"assumed", "cell"}
    assert f"in the order {' '.join(order)}, not i g f o" in found.notes[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"phi_out": "Relu"}, "the candidate goes through tanh, c through relu"),
        ({"phi": "LeakyRelu"}, "not combined as an LSTM combines them"),
    ],
)
def test_a_cell_that_computes_something_else_is_noted(options: dict[str, str], said: str) -> None:
    found = read(**options)
    assert said in found.notes[0]
    assert found.layers[0].options["activation"].evidence == "assumed"


def test_a_recurrent_activation_that_the_cell_does_not_have_is_noted() -> None:
    found = read(psi="hard_sigmoid")
    assert "the graph has hard_sigmoid as recurrent_activation, the cell sigmoid" in found.notes[0]


def test_the_uses_without_dropout_decide_where_copies_differ() -> None:
    builder = Builder()
    builder.variables()
    for prefix in ("train", "use"):
        builder.add(f"{prefix}x", "Placeholder")
        builder.add(f"{prefix}unstack", "Unpack", f"{prefix}x", num=2)

    def dropped(t: int) -> str:
        at = f"drop{t}"
        noise = builder.add(f"{at}/noise", "RandomUniform", "trainx")
        raised = builder.add(f"{at}/add", "Add", builder.const(f"{at}/keep", 0.5), noise)
        mask = builder.add(f"{at}/mask", "Floor", raised)
        scaled = builder.add(f"{at}/div", "RealDiv", f"trainunstack:{t}", f"{at}/keep")
        return builder.add(f"{at}/mul", "Mul", scaled, mask)

    builder.unrolled(2, "use", lambda t: f"useunstack:{t}", forget=0.25)
    builder.unrolled(2, "train", dropped, forget=0.5)
    found = network(builder)
    assert len(found.layers) == 1
    assert found.layers[0].options["forget_bias"].value == 0.25
    assert any("forget_bias differs between its uses" in note for note in found.notes)
    assert any("dropout" in note for note in found.notes)


def test_a_saver_that_stores_under_other_names_is_followed() -> None:
    builder = Builder()
    builder.variables("imported/" + SCOPE)
    builder.unrolled(2, scope="imported/" + SCOPE, forget=0.5)
    saved = builder.definition.node.add(name="names", op="Const")
    saved.attr["value"].tensor.string_val.extend([f"{SCOPE}/bias".encode(), f"{SCOPE}/kernel".encode()])
    builder.add("save", "SaveV2", "prefix", "names", "slices", f"imported/{SCOPE}/bias", f"imported/{SCOPE}/kernel")
    assert network(builder).layers[0].options["forget_bias"].value == 0.5


def test_a_table_in_front_is_an_embedding_whatever_it_is_called() -> None:
    builder = Builder()
    builder.variables()
    builder.add("E", "VariableV2")
    builder.add("ids", "Placeholder")
    builder.add("rows", "Gather", "E", "ids")
    builder.add("steps", "Unpack", "rows", num=2)
    builder.unrolled(2, x=lambda t: f"steps:{t}")
    found = network(builder, tensor("E", 9, D))
    assert found.layers[0].feed.sources == ("E",)
    assert [(e.name, e.evidence) for e in found.embeddings] == [("E", "graph")]


def test_a_table_that_is_scaled_is_left_to_the_user() -> None:
    builder = Builder()
    builder.variables()
    builder.add("embedding", "VariableV2")
    builder.add("ids", "Placeholder")
    builder.add("scaled", "Mul", builder.add("rows", "Gather", "embedding", "ids"), builder.const("k", 2.0))
    builder.add("steps", "Unpack", "scaled", num=2)
    builder.unrolled(2, x=lambda t: f"steps:{t}")
    found = network(builder, tensor("embedding", 9, D))
    assert found.layers[0].feed.sources == ("input",)
    assert found.embeddings == ()
    assert "computed by other parts of the graph (Mul scaled)" in found.notes[0]


def test_a_reversed_list_of_steps_runs_backward() -> None:
    builder = Builder()
    builder.variables()
    builder.add("x", "Placeholder")
    builder.add("steps", "Unpack", "x", num=3)
    builder.unrolled(3, x=lambda t: f"steps:{2 - t}")
    assert network(builder).layers[0].direction == "backward"


def test_the_last_h_of_a_layer_is_no_sequence() -> None:
    builder = Builder()
    upper = "top/basic_lstm_cell"
    builder.variables()
    builder.variables(upper)
    last = builder.unrolled(3)
    builder.unrolled(2, "u", lambda t: last, scope=upper)
    found = network(builder, tensor(f"{upper}/kernel", 2 * N, 4 * N), tensor(f"{upper}/bias", 4 * N))
    assert found[upper].feed.sources == (f"input of {upper}",)


def test_shared_weights_in_two_positions_are_two_layers() -> None:
    builder = Builder()
    builder.variables()
    builder.add("x", "Placeholder")
    builder.add("steps", "Unpack", "x", num=2)
    states = [(builder.const(f"c{k}", 0.0), builder.const(f"h{k}", 0.0)) for k in range(3)]
    for t in range(2):
        below = f"steps:{t}"
        for k in range(3):
            states[k] = builder.step(f"{t}_{k}", below, *states[k])
            below = states[k][1]
    found = network(builder, width=N)
    assert [layer.name for layer in found.layers] == [f"{SCOPE}#{k}" for k in range(3)]
    assert [layer.feed.sources for layer in found.layers] == [("input",), (f"{SCOPE}#0",), (f"{SCOPE}#1",)]
    assert {layer.scope for layer in found.layers} == {SCOPE}


def test_a_cell_clip_makes_an_unnamed_cell_the_one_that_has_it() -> None:
    for clip, cell in ((None, "basic_lstm"), (0.5, "lstm")):
        builder = Builder()
        builder.variables("rnn/mine")
        builder.unrolled(2, scope="rnn/mine", clip=clip)
        found = network(builder, scope="rnn/mine")
        assert found.candidates == ()
        assert found.layers[0].cell.name == cell
        assert found.layers[0].settings.get("cell_clip") == clip


def test_a_dense_layer_after_a_concat_is_no_cell() -> None:
    builder = Builder()
    builder.variables("rnn/mine")
    joined = builder.add("joined", "ConcatV2", builder.add("x", "Placeholder"), builder.add("y", "Placeholder"), "one")
    builder.add("out", "BiasAdd", builder.add("dense", "MatMul", joined, "rnn/mine/kernel/read"), "rnn/mine/bias/read")
    found = network(builder, scope="rnn/mine")
    assert found.layers == ()
    assert len(found.candidates) == 1


def test_a_graph_that_does_not_use_the_layer_leaves_it_and_says_so() -> None:
    builder = Builder()
    builder.add("x", "Placeholder")
    found = network(builder)
    plain = names.recover(replace(found.checkpoint, graph=None))
    assert found.layers == plain.layers
    assert found.notes == (f"{SCOPE}: the graph does not show how it is used; it is left as it was",)


def test_a_state_that_something_else_computes_is_noted() -> None:
    builder = Builder()
    builder.variables()
    other = builder.add("other", "Mul", builder.add("given", "Placeholder"), builder.const("two", 2.0))
    builder.step("t0", builder.add("x", "Placeholder"), builder.const("c0", 0.0, 1, N), other)
    found = network(builder)
    assert found.notes[0] == f"{SCOPE}: the graph does not carry its states on as the cell does; it is left as it was"
    assert found.layers[0].options["forget_bias"].evidence == "assumed"


def convolving(builder: Builder, kernel: str, *, gates: int = 4, state: str = "") -> None:
    """Two steps of a ConvLSTM along one axis, without biases, or of a convolution of a concat that is no cell."""
    builder.add(kernel, "VariableV2")
    builder.add("x", "Unpack", builder.add("all", "Placeholder"), num=2)
    c, h = builder.const("c0", 0.0, 1, 5, N), builder.const("h0", 0.0, 1, 5, N)
    for t in range(2):
        joined = builder.add(f"{t}/joined", "ConcatV2", f"x:{t}", state or h, builder.axis(2))
        wide = builder.add(f"{t}/wide", "ExpandDims", joined, builder.axis(1))
        rows = builder.add(f"{t}/rows", "ExpandDims", kernel, builder.axis(0))
        node = builder.definition.node.add(name=f"{t}/conv", op="Conv2D", input=[wide, rows])
        node.attr["padding"].s = b"SAME"
        node.attr["strides"].list.i.extend([1, 1, 1, 1])
        total = builder.add(f"{t}/squeezed", "Squeeze", f"{t}/conv")
        builder.add(f"{t}/split", "Split", builder.axis(2), total, num_split=gates)
        i, g, f, o = (f"{t}/split:{min(k, gates - 1)}" for k in range(4))
        f = builder.add(f"{t}/fb", "Add", f, builder.const(f"{t}/two", 2.0))
        kept = builder.add(f"{t}/kept", "Mul", builder.add(f"{t}/f", "Sigmoid", f), c)
        fresh = builder.add(f"{t}/new", "Mul", builder.add(f"{t}/i", "Sigmoid", i), builder.add(f"{t}/g", "Tanh", g))
        c = builder.add(f"{t}/c", "Add", kept, fresh)
        h = builder.add(f"{t}/h", "Mul", builder.add(f"{t}/o", "Sigmoid", o), builder.add(f"{t}/t", "Tanh", c))


def convolution(builder: Builder, kernel: str) -> Network:
    stored = {kernel: tensor(kernel, 3, D + N, 4 * N)}
    return graph.refine(names.recover(Checkpoint(Path("model"), "a bundle", stored, graph=builder.definition)))


def test_a_lone_kernel_of_a_convolution_is_a_cell_by_its_use() -> None:
    builder = Builder()
    convolving(builder, "mine/w")
    found = convolution(builder, "mine/w")
    assert [layer.cell.name for layer in found.layers] == ["conv_lstm_1d"]
    assert found.layers[0].options["forget_bias"].value == 2.0
    assert found.layers[0].options["forget_bias"].evidence == "graph"
    assert found.places[found.layers[0].name][0].signals[1].keys() >= {"h", "c", "i", "f_pre"}


@pytest.mark.parametrize("options", [{"gates": 2}, {"state": "all"}])
def test_a_convolution_that_is_no_cell_is_none(options: dict[str, Any]) -> None:
    builder = Builder()
    convolving(builder, "mine/kernel", **options)
    found = convolution(builder, "mine/kernel")
    assert found.layers == ()


def test_a_keras_cell_that_the_graph_does_not_use_is_left_and_said_to_be() -> None:
    shapes = {"kernel": (D, 4 * N), "recurrent_kernel": (N, 4 * N), "bias": (4 * N,)}
    stored = {f"lstm/{leaf}": tensor(f"lstm/{leaf}", *shape) for leaf, shape in shapes.items()}
    plain = names.recover(Checkpoint(Path("model"), "a bundle", stored, graph=Builder().definition))
    found = graph.refine(plain)
    assert found.layers == plain.layers
    assert found.notes[-1] == "lstm: the graph does not show how it is used; it is left as it was"


def test_an_initial_state_that_is_stored_is_noted() -> None:
    builder = Builder()
    builder.variables()
    builder.add("start", "VariableV2")
    builder.step("0", builder.add("x", "Placeholder"), builder.const("c", 0.0), "start")
    found = network(builder, tensor("start", 1, N))
    assert f"{SCOPE}: its h starts from the stored start" in found.notes


@pytest.mark.parametrize("op", ["Identity", "Exit", "Switch", "Transpose", "Merge", "NextIteration", "Fill", "Pack"])
def test_circles_of_ops_end(op: str) -> None:
    builder = Builder()
    builder.variables()
    builder.add("a", op, "b")
    builder.add("b", op, "a", "a")
    builder.step("0", "a", "b", "a")
    assert len(network(builder).layers) == 1


def test_edges_that_lead_nowhere_are_survived() -> None:
    builder = Builder()
    builder.variables()
    builder.unrolled(2)
    for node in builder.definition.node:
        if node.op in ("Mul", "Split", "ConcatV2"):
            node.input[0] = "nowhere:7"
    assert len(network(builder).layers) == 1


def test_functions_that_call_each_other_forever_are_cut_short() -> None:
    builder = Builder()
    for name, other in (("one", "two"), ("two", "one")):
        function = builder.definition.library.function.add()
        function.signature.name = name
        for k in range(2):
            node = function.node_def.add(name=f"call{k}", op="PartitionedCall")
            node.attr["f"].func.name = other
    builder.add("start", "PartitionedCall")
    builder.definition.node[0].attr["f"].func.name = "one"
    started = time.monotonic()
    found = network(builder)
    assert time.monotonic() - started < 20
    assert any("functions of the graph were not read" in note for note in found.notes)


def test_a_long_unrolled_graph_is_read_in_time() -> None:
    builder = Builder()
    builder.variables()
    builder.unrolled(2000)
    found = network(builder)
    assert [layer.feed.sources for layer in found.layers] == [("input",)]
    assert found.layers[0].direction == "forward"
