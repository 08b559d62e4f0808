"""The operations of an original graph that are run: those that compute, and touch nothing but their inputs.

Files, printing, Python, assignments, queues and tables are none of them. What a graph needs beyond this list is refused
by name before a session exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tensorflow.python.framework import op_def_registry

from rnnprobe.errors import BadInput, Refused

_MATHS = """
    Abs Acos Acosh Add AddN AddV2 All Any ArgMax ArgMin Asin Asinh Atan Atan2 Atanh BatchMatMul BatchMatMulV2
    BatchMatMulV3 Ceil ClipByValue Cos Cosh Cumprod Cumsum Digamma Div DivNoNan Einsum Equal Erf Erfc Exp Expm1 Floor
    FloorDiv FloorMod Greater GreaterEqual Inv IsFinite IsInf IsNan L2Loss Less LessEqual Lgamma Log Log1p LogicalAnd
    LogicalNot LogicalOr MatMul Max Maximum Mean Min Minimum Mod Mul MulNoNan Neg NotEqual Pow Prod Range RealDiv
    Reciprocal Rint Round Rsqrt SegmentMax SegmentMean SegmentSum Select SelectV2 Sigmoid Sign Sin Sinh Sqrt Square
    SquaredDifference Sub Sum Tan Tanh TruncateDiv TruncateMod UnsortedSegmentSum Xdivy Xlogy
"""
_ARRAYS = """
    BatchToSpaceND BroadcastArgs BroadcastTo Cast Concat ConcatOffset ConcatV2 Const Diag DiagPart EnsureShape
    ExpandDims Fill Gather GatherNd GatherV2 Identity IdentityN InvertPermutation LinSpace ListDiff MatrixBandPart
    MatrixDiag MirrorPad OneHot OnesLike Pack Pad PadV2 ParallelConcat Placeholder PlaceholderV2 PlaceholderWithDefault
    PreventGradient Rank Reshape Reverse ReverseSequence ReverseV2 ScatterNd Shape ShapeN Size Slice Snapshot
    SpaceToBatchND Split SplitV Squeeze StopGradient StridedSlice TensorScatterUpdate Tile Transpose Unique Unpack Where
    ZerosLike CheckNumerics
"""
_NETWORKS = """
    AvgPool AvgPool3D BiasAdd BiasAddV1 BlockLSTM BlockLSTMV2 Conv2D Conv3D DepthwiseConv2dNative Dilation2D Elu
    FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 GRUBlockCell LeakyRelu LogSoftmax LRN LSTMBlockCell MaxPool
    MaxPool3D MaxPoolV2 Relu Relu6 Selu Softmax Softplus Softsign TopK TopKV2
"""
# What makes features of sounds and pictures; the bytes come from the user, never from a file that the graph names.
_FEATURES = """
    AudioSpectrogram ComplexAbs DecodeRaw DecodeWav FFT IFFT IRFFT Imag Mfcc RFFT Real ResizeBilinear
    ResizeNearestNeighbor Roll SparseToDense
"""
# Random numbers touch nothing; whether what they lead to can be compared is found out by running it twice.
_RANDOM = """
    RandomUniform RandomStandardNormal RandomUniformInt StatelessRandomGetKeyCounter StatelessRandomNormal
    StatelessRandomNormalV2 StatelessRandomUniform StatelessRandomUniformV2 TruncatedNormal
"""
_FLOW = """
    Assert Enter Exit If LoopCond Merge NextIteration NoOp PartitionedCall StatefulPartitionedCall StatelessIf
    StatelessWhile Switch While ControlTrigger EmptyTensorList TensorListConcat TensorListConcatV2
    TensorListElementShape TensorListFromTensor TensorListGather TensorListGetItem TensorListLength TensorListPopBack
    TensorListPushBack TensorListReserve TensorListSetItem TensorListSplit TensorListStack
"""
_ARRAY_OPS = ("", "Read", "Write", "Gather", "Scatter", "Size", "Concat", "Split", "Pack", "Unpack", "Close")

ALLOWED = frozenset(
    (
        *" ".join((_MATHS, _ARRAYS, _NETWORKS, _FEATURES, _RANDOM, _FLOW)).split(),
        *(f"TensorArray{op}{version}" for op in _ARRAY_OPS for version in ("", "V2", "V3")),
    )
)


def check(definition: Any, path: Path) -> None:
    """Holds a graph, and the functions that it calls, against the list.

    Args:
        definition: a GraphDef that holds nothing but what is to be run.
        path: for the message.

    Raises:
        Refused: naming the op and the node.
    """
    # Before release 1.14 a function is called by an operation of its name.
    called = {one.signature.name for one in definition.library.function}
    where = [("", definition.node), *((f"{one.signature.name}/", one.node_def) for one in definition.library.function)]
    for prefix, nodes in where:
        for node in nodes:
            if node.op not in ALLOWED and node.op not in called:
                raise Refused(
                    f"can't be run: the original graph would have to run {node.op} ({prefix}{node.name!r}), which "
                    f"is none of the operations that are run",
                    path=path,
                    hint="`rnnprobe trace` runs the rebuilt layers, without the graph",
                )


def is_random(definition: Any) -> bool:
    """Whether random numbers are drawn anywhere in a GraphDef."""
    names = set(_RANDOM.split())
    bodies = [definition.node, *(function.node_def for function in definition.library.function)]
    return any(node.op in names for nodes in bodies for node in nodes)


def outputs(node: Any, path: Path | None = None) -> list[tuple[str, int, int]]:
    """The outputs of a node: the name of the group, the number in it, and the DataType.

    Args:
        node: a NodeDef.
        path: for the message.

    Raises:
        BadInput: TensorFlow knows no such op.
    """
    known = op_def_registry.get(node.op)
    if known is None:
        raise BadInput(
            f"can't be run: this TensorFlow has no operation {node.op} ({node.name!r})",
            path=path,
            hint="`rnnprobe trace` runs the rebuilt layers, without the graph",
        )
    found = []
    for arg in known.output_arg:
        if arg.type_list_attr:
            types = list(_attribute(node, known, arg.type_list_attr).list.type)
        else:
            kind = arg.type or _attribute(node, known, arg.type_attr).type
            types = [kind] * (_attribute(node, known, arg.number_attr).i if arg.number_attr else 1)
        found += [(arg.name, number, kind) for number, kind in enumerate(types)]
    return found


def _attribute(node: Any, known: Any, name: str) -> Any:
    if name in node.attr:
        return node.attr[name]
    return next(attr.default_value for attr in known.attr if attr.name == name)


def functions(library: Mapping[str, Any], nodes: Iterable[Any]) -> dict[str, Any]:
    """The functions that nodes call, directly or through others, by name."""
    found: dict[str, Any] = {}
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        names = [called.name for value in node.attr.values() for called in (value.func, *value.list.func)]
        for name in (node.op, *names):
            if name in library and name not in found:
                found[name] = library[name]
                waiting += library[name].node_def
    return found
