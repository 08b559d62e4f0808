"""Question 15: how do I move the weights to PyTorch, ONNX, Keras, or from CuDNN to CPU?

What genuine frameworks compute with the weights that `rnnprobe weights --layout` wrote, against what rnnprobe records
of the original checkpoint. PyTorch and ONNX Runtime take part where they are installed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import h5py
import numpy as np
import pytest

import rnnprobe

from ..conftest import DATA, SAMPLES

CLOSE = {"rtol": 0, "atol": 1e-5}
EVERY = "tf1 keras torch onnx"
CHECKPOINTS = {
    SAMPLES / "char_lstm" / "model.ckpt-6000": EVERY,
    SAMPLES / "dates.keras": EVERY,
    SAMPLES / "gru_digits.keras": "keras torch onnx",
    SAMPLES / "bilstm_source.h5": "keras onnx",
    DATA / "conformance" / "tf0.12" / "basic_rnn": EVERY,
    DATA / "conformance" / "tf0.12" / "gru": "tf1 keras onnx",
    DATA / "conformance" / "tf0.12" / "lstm_full": "tf1",
    DATA / "conformance" / "tf0.12" / "drv_bidyn_seq": EVERY,
    DATA / "conformance" / "tf1.0" / "lstm_relu": "tf1 keras onnx",
    DATA / "conformance" / "tf1.0" / "basic_lstm_fb": EVERY,
    DATA / "conformance" / "tf1.2" / "multi_shared": EVERY,
    DATA / "conformance" / "tf1.4" / "drv_stackbidyn_seq": EVERY,
    DATA / "conformance" / "tf1.15" / "lstm_full": "tf1",
    DATA / "conformance" / "tf1.15" / "lstm_block_clip": "tf1",
    DATA / "conformance" / "tf1.15" / "lstm_fused_peep": "tf1 onnx",
    DATA / "conformance" / "tf1.15" / "indylstm": EVERY,
    DATA / "conformance" / "tf1.15" / "wn_lstm_full": "tf1",
    DATA / "conformance" / "tf1.15" / "cudnn_compat_lstm": EVERY,
    DATA / "conformance" / "tf1.15" / "cudnn_compat_gru": "keras torch onnx",
    DATA / "conformance" / "contrib-1.15" / "masked_basic_lstm": EVERY,
    DATA / "conformance" / "tf2.21-v2-control-flow" / "drv_bidyn_multi_seq": EVERY,
    DATA / "conformance" / "keras1.2.2" / "simplernn" / "model.h5": EVERY,
    DATA / "conformance" / "keras2.2.4" / "lstm_hard" / "model.h5": "keras onnx",
    DATA / "conformance" / "keras2.2.4" / "gru_ra" / "model.h5": "keras onnx",
    DATA / "conformance" / "keras3.15" / "bilstm_sum" / "m.keras": EVERY,
    DATA / "conformance" / "keras3.15" / "gru_nora" / "m.keras": "tf1 keras onnx",
    DATA / "conformance" / "tf_keras-2.21" / "cudnnlstm" / "model.h5": EVERY,
    DATA / "conformance" / "tf_keras-2.21" / "cudnngru" / "model.h5": "keras torch onnx",
    DATA / "conformance" / "sonnet-2.0.2" / "lstm": EVERY,
    DATA / "conformance" / "sonnet-2.0.2" / "lstm_projected": "tf1 torch",
    DATA / "conformance" / "sonnet-2.0.2" / "gru": "tf1 keras onnx",
    DATA / "conformance" / "magenta-1.3.1" / "lstm_fb": EVERY,
    DATA / "conformance" / "tfa-0.20.0" / "peephole_lstm": "tf1 onnx",
}
"""Checkpoint → the layouts that can hold it."""
NO_LONGER_SHIPPED = "CudnnCompatibleGRUCell"
"""No TensorFlow that runs here has it; `tests/analysis/test_layouts.py` holds its equations against it."""


def hard_sigmoid(a: Any) -> Any:
    """Of Keras 1 and 2, as the report says."""
    import keras

    return keras.ops.clip(0.2 * a + 0.5, 0.0, 1.0)


def in_keras(title: str, arguments: dict[str, Any], held: Mapping[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    import keras

    given = {name: hard_sigmoid if value == "hard_sigmoid" else value for name, value in arguments.items()}
    layer = getattr(keras.layers, title)(**given, return_sequences=True)
    layer.build(x.shape)
    layer.set_weights([held[variable.name] for variable in layer.weights])
    y = np.asarray(layer(x))
    return y[:, ::-1] if arguments.get("go_backwards") else y


def in_tf1(title: str, arguments: dict[str, Any], held: Mapping[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    from .genuine import tf, v1

    given = dict(arguments)
    if "activation" in given:
        given["activation"] = getattr(tf.nn, given["activation"])
    with tf.Graph().as_default(), v1.Session() as session:
        outputs, _ = v1.nn.dynamic_rnn(getattr(v1.nn.rnn_cell, title)(**given), tf.constant(x), dtype=tf.float32)
        variables = {variable.name.split("/", 2)[2].removesuffix(":0"): variable for variable in v1.global_variables()}
        assert variables.keys() == held.keys()
        for name, variable in variables.items():
            variable.load(held[name], session)
        return session.run(outputs)


def in_torch(title: str, arguments: dict[str, Any], held: Mapping[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    import torch

    module = getattr(torch.nn, title)(**arguments, batch_first=True)
    module.load_state_dict({name: torch.from_numpy(values) for name, values in held.items()})
    with torch.no_grad():
        return module(torch.from_numpy(x.copy()))[0].numpy()


def in_onnx(title: str, arguments: dict[str, Any], held: Mapping[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    inputs = ["X", "W", "R", "B" if "B" in held else "", "", "", "", "P"]
    kind = title.rpartition(" ")[2]
    node = helper.make_node(kind, inputs if "P" in held else inputs[:4], ["Y"], **arguments)
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, None, x.shape[-1]])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [None, None, None, arguments["hidden_size"]])],
        [numpy_helper.from_array(values, name) for name, values in held.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"X": x.swapaxes(0, 1).copy()})  # [time, directions, batch, units]
    return np.concatenate([y[:, way].swapaxes(0, 1) for way in range(y.shape[1])], axis=-1)


RUNNERS = {"keras": in_keras, "tf1": in_tf1, "torch": in_torch, "onnx": in_onnx}
PACKAGES = {"keras": ("keras",), "tf1": ("tf_keras",), "torch": ("torch",), "onnx": ("onnx", "onnxruntime")}


def modules_of(path: Path) -> list[tuple[str, dict[str, Any], list[str], dict[str, np.ndarray]]]:
    """What a file of `-o` holds: how each module is made, its arguments, its layers, its arrays."""
    found = []

    def visit(name: str, item: Any) -> None:
        if "call" in item.attrs:
            held: dict[str, np.ndarray] = {}
            item.visititems(lambda at, one: held.update({at: one[()]}) if isinstance(one, h5py.Dataset) else None)
            title = item.attrs["call"].partition("(")[0].rpartition(".")[2]
            found.append((title, json.loads(item.attrs["arguments"]), list(item.attrs["layers"]), held))

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def recorded(network: Any, layers: list[str], x: np.ndarray) -> np.ndarray:
    """h of the layers that nothing in the module reads, side by side, as rnnprobe records the original."""
    names = [name for name in layers if not any(name in network[other].feed.sources for other in layers)]
    trace = rnnprobe.trace(network, x, layers=layers, own_input=True, record="h")
    return np.concatenate([np.asarray(trace.layers[name].signals["h"]) for name in names], axis=-1)


ROWS = [(path, layout) for path, layouts in CHECKPOINTS.items() for layout in layouts.split()]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:decoder starts from the state:UserWarning")
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")  # PyTorch's own
@pytest.mark.parametrize(("path", "layout"), ROWS, ids=lambda value: getattr(value, "stem", value))
def test_15_the_weights_elsewhere_compute_the_same(run, tmp_path, path, layout):
    for package in PACKAGES[layout]:
        pytest.importorskip(package)
    done = run("weights", path, "--layout", layout, "-o", tmp_path / "weights.h5", "-q")
    assert done.status == 0, done.err
    network = rnnprobe.open(path)
    modules = modules_of(tmp_path / "weights.h5")
    assert sorted(name for _, _, names, _ in modules for name in names) == sorted(one.name for one in network.layers)
    random = np.random.default_rng(4)
    for title, arguments, layers, held in modules:
        x = random.normal(size=(3, 7, network[layers[0]].input_size)).astype("f")
        # The others know a direction of its own, or are given the sequence turned around, as the report says.
        turned = layout in ("tf1", "torch") and all(network[name].direction == "backward" for name in layers)
        y = RUNNERS[layout](title, arguments, held, x[:, ::-1] if turned else x)
        np.testing.assert_allclose(y[:, ::-1] if turned else y, recorded(network, layers, x), **CLOSE)


@pytest.mark.parametrize("path", CHECKPOINTS, ids=lambda path: path.stem)
def test_15_what_is_not_exact_is_refused(run, tmp_path, path):
    for layout in {*RUNNERS} - {*CHECKPOINTS[path].split()}:
        done = run("weights", path, "--layout", layout, "-o", tmp_path / "weights.npz")
        if NO_LONGER_SHIPPED in done.out:
            continue
        assert (done.status, done.out) == (2, "")
        assert "layer" in done.err
        assert not list(tmp_path.iterdir())
