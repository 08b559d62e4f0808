"""The layers between recurrent ones: each is rebuilt, run by Keras 3, and compared with what its release computed."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnprobe.errors import BadInput
from rnnprobe.formats import read
from rnnprobe.formats.keras_json import with_config
from rnnprobe.formats.keras_names import counted
from rnnprobe.recover.keras.behaviour import masked, stepwise, supports_masking
from rnnprobe.recover.keras.builtin import builtin
from rnnprobe.recover.keras.config import MODELS, LayerConfig, era, layer_config, layers_of
from rnnprobe.recover.keras.kinds import KINDS, NOTHING, renamed
from rnnprobe.recover.keras.original import recurrent
from rnnprobe.recover.keras.store import Flat, Place, store
from rnnprobe.recover.keras.tracked import tracked
from rnnprobe.types import KerasLayer, Tensor

DATA = Path(__file__).parents[1] / "data" / "keras" / "builtin"
FILES = [
    ("keras1.2.2", "model.h5"),
    ("keras1.2.2-theano", "model.h5"),
    ("keras2.2.4", "model.h5"),
    ("tf.keras-1.15", "model.h5"),
    ("tf.keras-1.15", "tfw"),
    ("tf_keras-2.21", "model.h5"),
    ("tf_keras-2.21", "model.keras"),
    ("tf_keras-2.21", "tfw"),
    ("keras3.15", "model.h5"),
    ("keras3.15", "model.keras"),
]
VERSIONS = {"keras1.2.2": "1.2.2", "keras2.2.4": "2.2.4", "tf.keras-1.15": "2.2.4-tf", "tf_keras-2.21": "2.21.0"}
# What releases of that time computed in two ways, so that nobody can say which is meant.
REFUSED = {"keras2.2.4": {"bilinear"}, "tf.keras-1.15": {"bilinear"}}
STEPWISE = {
    "act_hard_sigmoid", "act_softmax", "add", "average", "conv_inside", "dense_leaky", "dense_steps", "einsum", "elu",
    "embedding", "layer_norm", "leaky", "maximum", "merge_ave", "merge_max", "merge_mul", "merge_sum", "minimum",
    "multiply", "norm", "norm_bare", "norm_shift", "normal_back", "normal_given", "normalization", "prelu_shared",
    "relu_layer", "relu_more", "rescaled", "rms_norm", "subtract", "td_dense", "thresholded", "unit_norm", "wrapped",
    "wrapped_conv", "wrapped_flat", "wrapped_late", "wrapped_model", "wrapped_seq", "wrapped_twice",
}  # fmt: skip


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("builtin")
    for archive in DATA.glob("*.zip"):
        with zipfile.ZipFile(archive) as found:
            found.extractall(folder / archive.stem)
    return folder


def rebuilt(folder: Path, name: str, version: str) -> Iterator[tuple[LayerConfig, KerasLayer | str]]:
    """The layers of a file, and what is rebuilt of each."""
    checkpoint = read(folder / name)
    if checkpoint.config is None:
        checkpoint = with_config(checkpoint, folder / "config.json")
    assert checkpoint.config is not None
    weights = store(checkpoint) if checkpoint.objects is None else tracked(checkpoint)
    layers = layers_of(layer_config(dict(checkpoint.config.model), "the model"))
    for layer, count in zip(layers, counted(layer.class_name for layer in layers), strict=True):
        if layer.class_name != "InputLayer":
            yield layer, builtin(weights, layer, Place().below(layer.name, count), era(version))


def inputs_of(layer: LayerConfig, data: Any) -> list[np.ndarray]:
    call = layer.calls[0]
    refs = [*call.inputs, *(ref for named in call.named.values() for ref in named or ())]
    return [data[f"in/{ref.layer}"] for ref in refs]


@pytest.mark.parametrize(("release", "name"), FILES)
def test_each_layer_gives_what_its_release_computed(release: str, name: str, unpacked: Path) -> None:
    from rnnprobe.engine.builtin import Runner

    data = np.load(unpacked / release / "data.npz")
    version = VERSIONS.get(release.removesuffix("-theano"), "3.15.1")
    compared, said_stepwise, refused = 0, set(), set()
    for layer, found in rebuilt(unpacked / release, name, version):
        if isinstance(found, str):
            refused.add(layer.name)
            continue
        inputs, wanted = inputs_of(layer, data), data[f"out/{layer.name}"]
        runner = Runner(found, "float32")
        (given,) = runner(inputs)
        np.testing.assert_allclose(np.asarray(given), wanted, atol=1e-5, rtol=0, err_msg=layer.name)
        compared += 1
        if stepwise(found, inputs[0].ndim):
            said_stepwise.add(layer.name)
            cut = 2
            (given,) = Runner(found, "float32")([values[:, :cut] for values in inputs])
            np.testing.assert_allclose(np.asarray(given), wanted[:, :cut], atol=1e-5, rtol=0, err_msg=layer.name)
            (given,) = Runner(found, "float32")([values[:, cut:] for values in inputs])
            np.testing.assert_allclose(np.asarray(given), wanted[:, cut:], atol=1e-5, rtol=0, err_msg=layer.name)
    assert refused == REFUSED.get(release, set())
    assert compared + len(refused) == sum(key.startswith("out/") for key in data)
    stored = {key.removeprefix("out/") for key in data}
    assert said_stepwise >= STEPWISE & stored
    assert all(name in STEPWISE or name.startswith("act_") or name == "merge_concat" for name in said_stepwise)


def test_every_class_is_compared_in_some_release(unpacked: Path) -> None:
    seen = set()
    for release, name in FILES:
        for layer, _ in rebuilt(unpacked / release, name, VERSIONS.get(release.removesuffix("-theano"), "3.15.1")):
            seen.add("Model" if layer.class_name in MODELS else renamed(layer.class_name))
    assert {name for name, kind in KINDS.items() if not kind.recurrent} - seen == {"Identity", "Masking"}


def layer(class_name: str, config: dict[str, Any] | None = None, **more: Any) -> LayerConfig:
    return layer_config({"class_name": class_name, "config": {"name": "it", **(config or {})}, **more}, "it")


def tensor(name: str, *shape: int) -> Tensor:
    return Tensor(name, shape, "float32", lambda rows: np.zeros(shape, "float32")[rows])


def found(class_name: str, config: dict[str, Any] | None = None, *tensors: Tensor, **more: Any) -> KerasLayer | str:
    return builtin(Flat({"it": tensors}), layer(class_name, config, **more), Place().below("it", ""), era("2.2.4"))


@pytest.mark.parametrize(
    ("class_name", "config", "reason"),
    [
        ("Lambda", {"function": ["4wEAAAA=", None, None]}, "is a Lambda layer: the code in it is never run"),
        ("Highway", {}, "is a Highway, which is none of the layers that are rebuilt"),
        ("LSTM", {"units": 3}, "is a LSTM, which is none of the layers that are rebuilt"),
        ("StringLookup", {"vocabulary": "/etc/passwd"}, "is a StringLookup, which is none of the layers"),
        ("Activation", {"activation": "mine"}, "its activation is 'mine', which is none of"),
        ("Dense", {"units": 3}, "has no weights in the file"),
        ("Dense", {"units": "three"}, "its units is 'three', expected a whole number"),
        ("Dense", {"units": 3, "magic": 1}, "it has the argument 'magic', whose meaning is not known here"),
        ("Dense", {"units": 3, "quantization_config": {}}, "is quantized"),
        ("Dense", {"units": 3, "dtype": {"class_name": "QuantizedDTypePolicy"}}, "is quantized"),
        ("BatchNormalization", {"mode": 1}, "Keras 3's class has no mode = 1"),
        ("Attention", {"causal": True}, "Keras 3's class has no causal = True"),
        ("Merge", {"mode": "cos"}, "its mode is 'cos'"),
        ("Conv1D", {"padding": "full"}, "its padding is 'full', expected one of valid, same, causal"),
        ("UpSampling2D", {"interpolation": "bilinear"}, "which releases of that time computed in two ways"),
        (
            "TimeDistributed",
            {"layer": {"class_name": "Lambda", "config": {}}},
            "is a Lambda layer: the code in it is never run",
        ),
        (
            "Sequential",
            {"layers": [{"class_name": "Lambda", "config": {"name": "own"}}]},
            "holds 'own', which is a Lambda layer",
        ),
    ],
)
def test_says_why_a_layer_is_not_rebuilt(class_name: str, config: dict[str, Any], reason: str) -> None:
    said = found(class_name, config)
    assert isinstance(said, str)
    assert reason in said


def test_a_class_of_the_same_name_from_elsewhere_is_not_rebuilt() -> None:
    said = found("Dense", {"units": 3}, module="my_package", registered_name="my_package>Dense")
    assert said == "is a Dense, a class of its own, whose code is not in the file"


@pytest.mark.parametrize(
    ("class_name", "config", "tensors", "message"),
    [
        ("Dense", {"units": 3}, [tensor("it/kernel:0", 4, 5), tensor("it/bias:0", 5)], r"a kernel of \[any, 3\]"),
        ("Dense", {"units": 3}, [tensor("it/kernel:0", 4, 3)], "a Dense with kernel, bias"),
        ("Dense", {"units": 3}, [tensor("it/W:0", 4, 3), tensor("it/x:0", 4)], "stored for it are it/W:0"),
        ("Embedding", {"input_dim": 7, "output_dim": 2}, [tensor("it/embeddings:0", 2, 7)], r"\[7, 2\]"),
        ("TimeDistributed", {"layer": 3}, [], "expected an object"),
    ],
)
def test_a_contradiction_is_an_error(
    class_name: str, config: dict[str, Any], tensors: list[Tensor], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        found(class_name, config, *tensors)


def test_weights_in_a_nested_model_are_told_by_the_names_of_its_layers() -> None:
    kernels = [tensor("outer/outer/first_1/kernel:0", 2, 2), tensor("outer/outer/second/kernel:0", 2, 2)]
    weights = Flat({"outer": kernels})
    config = layer("Dense", {"units": 2, "use_bias": False})
    for name, kernel in zip(("first", "second"), kernels, strict=True):
        made = builtin(weights, config, Place().below("outer", "").below(name, ""), era("2.2.4"))
        assert isinstance(made, KerasLayer)
        assert made.weights == (kernel,)
    assert isinstance(builtin(weights, config, Place().below("outer", "").below("third", ""), era("2.2.4")), str)


@pytest.mark.parametrize("name", sorted(NOTHING))
def test_what_does_nothing_at_inference(name: str) -> None:
    assert found(name, {"rate": 0.5}) == KerasLayer("Identity", {})


def test_what_passes_on_its_input_is_left_out_of_models() -> None:
    made = found("Sequential", {"layers": [{"class_name": "Dropout", "config": {"name": "d", "rate": 0.5}}]})
    assert made == KerasLayer("Identity", {})


def test_attention_that_looks_at_the_past_alone_is_not_rebuilt_in_a_model() -> None:
    start = {"class_name": "InputLayer", "name": "i", "config": {"name": "i"}, "inbound_nodes": []}
    call = [["i", 0, 0, {"use_causal_mask": True}], ["i", 0, 0]]
    attention = {"class_name": "Attention", "name": "a", "config": {"name": "a"}, "inbound_nodes": [call]}
    config = {"layers": [start, attention], "input_layers": [["i", 0, 0]], "output_layers": [["a", 0, 0]]}
    assert found("Functional", config) == "holds 'a', which is called with use_causal_mask"


def test_masks() -> None:
    assert masked(KerasLayer("GlobalAveragePooling1D", {}))
    assert not masked(KerasLayer("Dense", {}))
    two, three = era("2.2.4"), era("3.15.1")
    assert supports_masking("Dense", two)
    assert not supports_masking("Conv1D", three)
    assert supports_masking("Rescaling", three)
    assert not supports_masking("Rescaling", two)
    assert supports_masking("ReLU", two)
    assert not supports_masking("ReLU", era("2.2.4-tf"))


@pytest.mark.parametrize(
    ("made", "rank", "expected"),
    [
        (KerasLayer("Dense", {"units": 3}), 3, True),
        (KerasLayer("Dense", {"units": 3}), 2, False),  # its axes are the batch's and that of the features
        (KerasLayer("Dense", {"units": 3}), None, False),
        (KerasLayer("Embedding", {}), 2, True),
        (KerasLayer("TimeDistributed", {}, inner=(KerasLayer("Flatten", {}),)), None, True),
        (KerasLayer("Softmax", {"axis": -1}), 3, True),
        (KerasLayer("Softmax", {"axis": -2}), 3, False),
        (KerasLayer("BatchNormalization", {"axis": 1}), 3, False),
        (KerasLayer("LayerNormalization", {"axis": [1, 2]}), 3, False),
        (KerasLayer("Concatenate", {"axis": 2}), 3, True),
        (KerasLayer("Concatenate", {"axis": 1}), 3, False),
        (KerasLayer("PReLU", {"shared_axes": None}), 3, False),
        (KerasLayer("EinsumDense", {"equation": "abc,bcd->abd"}), 3, False),
        (KerasLayer("GroupNormalization", {}), 3, False),
        (KerasLayer("Conv1D", {}), 3, False),
        (KerasLayer("MultiHeadAttention", {}), 3, False),
    ],
)
def test_stepwise(made: KerasLayer, rank: int | None, expected: bool) -> None:
    assert stepwise(made, rank) is expected


LSTM_1 = {"output_dim": 3, "inner_activation": "hard_sigmoid", "activation": "tanh", "return_sequences": True}
GRU_2 = {"units": 3, "recurrent_activation": "hard_sigmoid", "dropout": 0.5, "stateful": True, "go_backwards": True}
CELL = {"units": 3, "activation": "relu", "use_bias": False}


@pytest.mark.parametrize(
    ("version", "class_name", "config", "expected"),
    [
        ("1.2.2", "LSTM", LSTM_1, ("LSTM", {"units": 3, "recurrent_activation": "hard_sigmoid"})),
        ("2.2.4", "GRU", GRU_2, ("GRU", {"reset_after": False, "go_backwards": True})),
        ("2.2.4", "CuDNNGRU", {"units": 3}, ("GRU", {"reset_after": True, "recurrent_activation": "sigmoid"})),
        ("3.15.1", "GRU", {"units": 3, "reset_after": True}, ("GRU", {"reset_after": True})),
        ("3.15.1", "LSTM", {"units": 3, "recurrent_activation": "hard_sigmoid"},
         ("LSTM", {"recurrent_activation": "hard_sigmoid_keras3"})),
        ("2.3.1", "SimpleRNN", CELL, ("SimpleRNN", {"units": 3, "activation": "relu", "use_bias": False})),
        ("2.3.1", "ConvLSTM2D", {"filters": 2, "kernel_size": [3, 3], "padding": "same"},
         ("ConvLSTM2D", {"filters": 2, "padding": "same", "recurrent_activation": "hard_sigmoid"})),
        ("1.2.2", "ConvLSTM2D", {"nb_filter": 2, "nb_row": 3, "nb_col": 3, "border_mode": "same", "dim_ordering": "tf"},
         ("ConvLSTM2D", {"filters": 2, "kernel_size": [3, 3], "data_format": "channels_last"})),
        ("3.15.1", "Masking", {"mask_value": -1.0}, ("Masking", {"mask_value": -1.0})),
    ],
)  # fmt: skip
def test_recurrent_layers_as_keras_3_takes_them(
    version: str, class_name: str, config: dict[str, Any], expected: tuple[str, dict[str, Any]]
) -> None:
    from rnnprobe.engine.builtin import build

    made = recurrent(layer(class_name, config), era(version), ("it",))
    assert isinstance(made, KerasLayer)
    assert made.class_name == expected[0]
    assert expected[1].items() <= made.config.items()
    assert not {"dropout", "stateful"} & made.config.keys()
    build(made, "float32")


def test_wrappers_of_recurrent_layers() -> None:
    from rnnprobe.engine.builtin import build

    cells = [{"class_name": "LSTMCell", "config": CELL}, {"class_name": "GRUCell", "config": CELL}]
    stack = {"class_name": "StackedRNNCells", "config": {"cells": cells}}
    inner = {"class_name": "RNN", "config": {"name": "r", "cell": stack, "return_sequences": True}}
    config = layer("Bidirectional", {"layer": inner, "merge_mode": "sum"})
    made = recurrent(config, era("2.4.0"), ("f/0", "f/1", "b/0", "b/1"))
    assert isinstance(made, KerasLayer)
    forward, backward = made.inner
    assert (forward.layers, backward.layers) == (("f/0", "f/1"), ("b/0", "b/1"))
    assert (forward.config.get("go_backwards"), backward.config["go_backwards"]) == (None, True)
    assert [cell.class_name for cell in backward.inner[0].inner] == ["LSTMCell", "GRUCell"]
    build(made, "float32")


def test_recurrent_layers_that_keras_3_does_not_have() -> None:
    own = {"class_name": "mine>Cell", "config": {}}
    said = recurrent(layer("RNN", {"cell": own}), era("3.0"), ())
    assert said == "is built of Cell, a class of its own, whose code is not in the file"
    said = recurrent(layer("RNN", {"cell": {"class_name": "LSTMCell", "config": {}}}), era("2.0.9"), ())
    assert said == "can't be computed by Keras: its configuration does not tell its units"
