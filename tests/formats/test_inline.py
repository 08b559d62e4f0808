"""Calls of functions laid out: what comes out, what is left, and that no graph is too much."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from tensorboard.compat.proto import graph_pb2

from rnnprobe import formats
from rnnprobe.formats import inline, op_outputs
from rnnprobe.recover.graph.view import view
from tests.conftest import DATA

FLOAT, BOOL = 1, 10
GENUINE = sorted(path.name for path in (DATA / "functions").glob("*-*"))


class Builder:
    """A GraphDef and its functions, written briefly: `"add = AddV2 x y:0 ^z"`."""

    def __init__(self, *lines: str) -> None:
        self.graph = graph_pb2.GraphDef()
        self.nodes(self.graph.node, lines)

    def nodes(self, into: Any, lines: tuple[str, ...]) -> None:
        for line in lines:
            name, _, rest = line.partition(" = ")
            op, *inputs = rest.split()
            op, _, called = op.partition("@")
            node = into.add(name=name, op=op, input=inputs)
            if op in inline.CALLS:
                node.attr["f"].func.name = called
                node.attr["Tin"].list.type.extend([FLOAT] * sum(edge[0] != "^" for edge in inputs))
            elif called:
                node.attr["cond"].func.name, node.attr["body"].func.name = called.split(",")

    def function(self, head: str, *lines: str, control: tuple[str, ...] = ()) -> Builder:
        """`"f x y -> a=add:z:0 b=x"`."""
        before, _, after = head.partition(" -> ")
        name, *arguments = before.split()
        function = self.graph.library.function.add()
        function.signature.name = name
        for argument in arguments:
            function.signature.input_arg.add(name=argument, type=FLOAT)
        for result in after.split():
            key, _, edge = result.partition("=")
            function.signature.output_arg.add(name=key, type=FLOAT)
            function.ret[key] = edge
        for node in control:
            function.control_ret[node] = node
        self.nodes(function.node_def, lines)
        return self

    def flat(self) -> dict[str, tuple[str, list[str]]]:
        """Node → op and inputs of the graph laid out."""
        return written(inline.flat(self.graph).node)


def written(nodes: Any) -> dict[str, tuple[str, list[str]]]:
    found = {node.name: (node.op, list(node.input)) for node in nodes}
    assert len(found) == len(nodes)
    return found


def test_a_call_becomes_what_its_function_does() -> None:
    made = Builder("a = Placeholder", "call = PartitionedCall@f a:1 b", "b = Placeholder", "out = Neg call:1")
    made.function("f x y -> sum=add:z:0 same=x", "add = AddV2 x twice:y:0", "twice = Square y")
    assert made.flat() == {
        "a": ("Placeholder", []),
        "b": ("Placeholder", []),
        "call": ("IdentityN", ["call/add", "a:1"]),
        "call/add": ("AddV2", ["a:1", "call/twice"]),
        "call/twice": ("Square", ["b"]),
        "out": ("Neg", ["call:1"]),
    }
    (call,) = (node for node in inline.flat(made.graph).node if node.name == "call")
    assert list(call.attr["T"].list.type) == [FLOAT, FLOAT]


def test_the_graph_that_is_given_stays_as_it_is() -> None:
    made = Builder("call = PartitionedCall@f").function("f -> a=c:output:0", "c = Const")
    before = made.graph.SerializeToString(deterministic=True)
    inline.flat(made.graph)
    assert made.graph.SerializeToString(deterministic=True) == before
    plain = Builder("a = Placeholder").graph
    assert inline.flat(plain) is plain


def test_outputs_that_a_function_names_are_counted_in_the_graph() -> None:
    made = Builder("call = StatefulPartitionedCall@f a", "a = Placeholder")
    made.function(
        "f x -> h=cell:h:0 o=lstm:h:0 last=parts:output:2 where=top:indices:0",
        "cell = GRUBlockCell x x x x x x",
        "lstm = BlockLSTM x x x x x x x x x",
        "parts = Split x x",
        "top = TopKV2 x x",
    )
    assert made.flat()["call"][1] == ["call/cell:3", "call/lstm:6", "call/parts:2", "call/top:1"]


def test_calls_in_calls_and_names_that_are_taken() -> None:
    made = Builder("call/inner/c = Const", "call = PartitionedCall@outer", "call_2 = PartitionedCall@outer")
    made.function("outer -> a=inner:output:0", "inner = PartitionedCall@inner")
    made.function("inner -> a=c:output:0", "c = Const")
    found = made.flat()
    assert found["call"] == ("IdentityN", ["call/inner"])
    assert found["call/inner"] == ("IdentityN", ["call/inner/c_1"])
    assert found["call/inner/c_1"] == ("Const", [])
    assert found["call_2/inner"] == ("IdentityN", ["call_2/inner/c"])


def test_control_edges_of_a_call_and_of_its_function() -> None:
    made = Builder("first = NoOp", "second = NoOp", "a = Placeholder", "call = PartitionedCall@f a ^first ^second")
    made.nodes(made.graph.node, ("after = NoOp ^call", "bare = StatefulPartitionedCall@g"))
    made.function("f x -> y=n:y:0", "n = Neg x", "c = Const", "s = Print c:output:0 ^n ^x", control=("s",))
    made.function("g", "s = NoOp", control=("s",))
    assert made.flat() == {
        "first": ("NoOp", []),
        "second": ("NoOp", []),
        "a": ("Placeholder", []),
        "call": ("IdentityN", ["call/n", "^call/s"]),
        "call/waits": ("NoOp", ["^first", "^second"]),
        "call/n": ("Neg", ["a", "^call/waits"]),
        "call/c": ("Const", ["^call/waits"]),
        "call/s": ("Print", ["call/c", "^call/n", "^a"]),
        "after": ("NoOp", ["^call"]),
        "bare": ("NoOp", ["^bare/s"]),
        "bare/s": ("NoOp", []),
    }


def test_beside_version_1_control_flow_constants_stay_in_their_frame() -> None:
    made = Builder("a = Placeholder", "in = Switch a a", "call = PartitionedCall@f in:1")
    made.function("f x -> y=add:z:0", "c = Const", "add = AddV2 x c:output:0")
    found = made.flat()
    assert found["call/given"] == ("Identity", ["in:1"])
    assert found["call/c"] == ("Const", ["^call/given"])
    assert found["call/add"] == ("AddV2", ["in:1", "call/c"])


def test_loops_keep_their_functions_and_calls_in_these_are_laid_out_there() -> None:
    made = Builder("a = Placeholder", "call = PartitionedCall@model a")
    made.function("model x -> y=loop:output:0", "loop = While@cond,body x")
    made.function("cond x -> more=less:output:0", "less = PartitionedCall@less x")
    made.function("less x -> more=l:z:0", "l = Less x x")
    made.function("body x -> y=step:output:0", "step = PartitionedCall@step x")
    made.function("step x -> y=t:y:0", "t = Tanh cell:h:0", "cell = GRUBlockCell x x x x x x")
    flat = inline.flat(made.graph)
    assert written(flat.node)["call/loop"] == ("While", ["a"])
    library = {function.signature.name: function for function in flat.library.function}
    assert written(library["body"].node_def) == {
        "step": ("IdentityN", ["step/t:y:0"]),
        "step/t": ("Tanh", ["step/cell:h:0"]),
        "step/cell": ("GRUBlockCell", ["x"] * 6),
    }
    assert written(library["cond"].node_def)["less"] == ("IdentityN", ["less/l:z:0"])
    assert written(library["model"].node_def)["loop"] == ("While", ["x"])
    assert not view(flat).unread


def test_attributes_that_stand_for_those_of_the_function() -> None:
    made = Builder("a = Placeholder", "call = PartitionedCall@f a", "open = PartitionedCall@f a")
    made.function("f x -> y=n:y:0", "n = Neg x")
    (function,) = made.graph.library.function
    function.node_def[0].attr["T"].placeholder = "kind"
    made.graph.node[1].attr["f"].func.attr["kind"].type = BOOL
    flat = inline.flat(made.graph)
    assert next(node for node in flat.node if node.name == "call/n").attr["T"].type == BOOL
    assert written(flat.node)["open"][0] == "PartitionedCall"


# What is left --------------------------------------------------------------------------------------------------------

LEFT: dict[str, Callable[[], Builder]] = {
    "a function that is missing": lambda: Builder("call = PartitionedCall@nowhere"),
    "no function": lambda: Builder("call = PartitionedCall@"),
    "itself": lambda: Builder("call = PartitionedCall@f").function("f -> a=c:output:0", "c = PartitionedCall@nowhere"),
    "too few": lambda: Builder("call = PartitionedCall@f").function("f x -> a=x"),
    "too many": lambda: Builder("call = PartitionedCall@f call call").function("f x -> a=x"),
    "an unknown node": lambda: Builder("call = PartitionedCall@f").function("f -> a=b:z:0"),
    "an unknown source": lambda: Builder("call = PartitionedCall@f").function("f -> a=n:y:0", "n = Neg gone:y:0"),
    "an unknown wait": lambda: Builder("call = PartitionedCall@f").function("f -> a=n:y:0", "n = Neg ^gone"),
    "no result": lambda: Builder("call = PartitionedCall@f").function("f -> a=", "n = Const"),
    "two of a name": lambda: Builder("call = PartitionedCall@f").function("f -> a=n:y:0", "n = Neg", "n = Abs"),
    "a number that is none": lambda: Builder("call = PartitionedCall@f").function("f -> a=n:y:x", "n = Neg"),
    "a number beyond all": lambda: Builder("call = PartitionedCall@f").function("f -> a=n:y:99999999999", "n = Neg"),
    "an output that it lacks": lambda: Builder("call = PartitionedCall@f").function("f -> a=n:q:0", "n = TopKV2"),
    "two outputs of an op that nobody knows": lambda: Builder("call = PartitionedCall@f").function(
        "f -> a=n:p:0 b=n:q:0", "n = Custom>Op"
    ),
    "a wait before the data": lambda: Builder("call = PartitionedCall@f").function("f -> a=n:y:0", "n = Neg ^n n:y:0"),
    "a result that nothing waits for": lambda: Builder("call = PartitionedCall@f").function("f", control=("gone",)),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_can_not_be_laid_out_is_left_and_said(name: str) -> None:
    made = LEFT[name]()
    flat = inline.flat(made.graph)
    unread = view(flat).unread
    if name == "itself":
        assert unread == ["call/c"]
    else:
        assert written(flat.node) == written(made.graph.node)
        assert unread == ["call"]


def test_functions_that_call_each_other_end() -> None:
    made = Builder("call = PartitionedCall@one")
    made.function("one -> a=c:output:0", "c = PartitionedCall@two", "d = PartitionedCall@two")
    made.function("two -> a=c:output:0", "c = PartitionedCall@one", "d = PartitionedCall@one")
    flat = inline.flat(made.graph)
    assert written(flat.node)["call/c/d"][0] == "PartitionedCall"
    assert sorted(view(flat).unread) == ["call/c/c", "call/c/d", "call/d/c", "call/d/d"]


def test_functions_that_double_are_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two calls in each of 40 functions would be a million million nodes."""
    monkeypatch.setattr(inline, "MOST_NODES", 20_000)
    made = Builder("call = PartitionedCall@f0", "loop = While@f0,f0")
    for k in range(40):
        made.function(
            f"f{k} -> a=c:output:0", f"c = PartitionedCall@f{k + 1}", f"d = PartitionedCall@f{k + 1}", *["n = Const"]
        )
    made.function("f40 -> a=c:output:0", "c = Const")
    started = time.monotonic()
    flat = inline.flat(made.graph)
    assert time.monotonic() - started < 30
    assert len(flat.node) <= inline.MOST_NODES + 100
    assert view(flat).unread


def test_a_long_chain_of_calls_is_cut_short() -> None:
    made = Builder("call = PartitionedCall@f0")
    for k in range(2000):
        made.function(f"f{k} -> a=c:output:0", f"c = PartitionedCall@f{k + 1}")
    found = inline.flat(made.graph)
    assert len(found.node) == 1 + inline.DEEPEST
    assert len(view(found).unread) == 1


def test_large_functions_are_not_copied_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inline, "MOST_EDGES", 100_000)
    monkeypatch.setattr(inline, "MOST_BYTES", 1 << 24)
    wide = Builder(*(f"call{k} = PartitionedCall@f" for k in range(1000)))
    wide.function("f " + "-> " + " ".join(f"r{k}=c:output:0" for k in range(1000)), "c = Const")
    large = Builder(*(f"call{k} = PartitionedCall@f" for k in range(1000)))
    large.function("f -> a=c:output:0", "c = Const")
    large.graph.library.function[0].node_def[0].attr["value"].s = b"x" * (1 << 20)
    named = Builder(*(f"{'x' * 100_000}{k} = PartitionedCall@f" for k in range(20)))
    named.function("f -> a=c0:output:0", *(f"c{k} = Const" for k in range(1000)))
    for made in (wide, large, named):
        started = time.monotonic()
        flat = inline.flat(made.graph)
        assert time.monotonic() - started < 10
        assert flat.ByteSize() < 2 * inline.MOST_BYTES
        assert view(flat).unread


def test_nodes_of_one_name_end() -> None:
    made = Builder(*["call = PartitionedCall@f"] * 20_000).function("f -> a=c:output:0", "c = Const")
    started = time.monotonic()
    assert len({node.name for node in inline.flat(made.graph).node}) == 20_001
    assert time.monotonic() - started < 20


# Genuine -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", GENUINE)
def test_genuine_models_have_no_calls_left(case: str) -> None:
    checkpoint = formats.read(DATA / "functions" / case / "sm")
    definition = checkpoint.graph.graph_def
    web = view(checkpoint.graph)
    assert not web.unread
    assert not {node.op for node in definition.node} & inline.CALLS
    named = {node.name for node in definition.node}
    assert {edge.lstrip("^").partition(":")[0] for node in definition.node for edge in node.input} <= named
    outputs = checkpoint.graph.signature_def["serving_default"].outputs.values()
    assert all(output.name.partition(":")[0] in named for output in outputs)


def test_the_table_of_outputs() -> None:
    node = graph_pb2.GraphDef().node.add(op="ParseExample")
    assert op_outputs.place(node, "sparse_indices") == 0
    assert op_outputs.place(node, "dense_values") is None
    node.attr["Nsparse"].i = 2
    node.attr["sparse_types"].list.type.extend([FLOAT, FLOAT])
    assert op_outputs.place(node, "dense_values") == 6
    assert op_outputs.place(node, "nothing") is None


def test_the_table_is_that_of_tensorflow() -> None:
    registry = pytest.importorskip("tensorflow.python.framework.op_def_registry")
    for op, names in op_outputs._table().items():
        known = registry.get(op)
        if known is None:  # an op that this release has no more
            continue
        wanted = [
            arg.name + (f"*{arg.number_attr or arg.type_list_attr}" if arg.number_attr or arg.type_list_attr else "")
            for arg in known.output_arg
        ]
        assert list(names) == wanted, op
