"""What is recovered from Keras configurations and bare weights, and what is said of what can't be."""

from __future__ import annotations

import base64
import json
import marshal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rnnprobe.errors import BadInput, Refused
from rnnprobe.formats.keras_json import with_config
from rnnprobe.recover.keras import recover
from rnnprobe.recover.keras.config import activation, era
from rnnprobe.recover.stacks import select
from rnnprobe.types import Feed, Mask, Network, Value

from .keras_models import Json, cell, functional, layer, recover_case, rnn, save, sequential


@pytest.fixture
def saved(tmp_path: Path) -> Any:
    return partial(save, tmp_path)


def sources(network: Network) -> dict[str, tuple[str, ...]]:
    return {found.name: found.feed.sources for found in network.layers}


@pytest.mark.parametrize(
    ("version", "psi", "reset", "hard"),
    [
        ("1.2.2", "hard_sigmoid", "before", "hard_sigmoid"),
        ("2.2.5", "hard_sigmoid", "before", "hard_sigmoid"),
        ("2.2.4-tf", "hard_sigmoid", "before", "hard_sigmoid"),
        ("2.3.1", "sigmoid", "before", "hard_sigmoid"),
        ("2.3.0-tf", "sigmoid", "after", "hard_sigmoid"),
        ("2.21.0", "sigmoid", "after", "hard_sigmoid"),
        ("3.15.1", "sigmoid", "after", "hard_sigmoid_keras3"),
        ("", "sigmoid", "after", "hard_sigmoid"),
    ],
)
def test_what_each_release_took_for_granted(version: str, psi: str, reset: str, hard: str) -> None:
    found = era(version)
    assert (found.recurrent_activation, found.reset, found.hard_sigmoid) == (psi, reset, hard)


def test_activations_in_every_spelling() -> None:
    new = era("3.15.1")
    function = {"module": "builtins", "class_name": "function", "config": "silu", "registered_name": "function"}
    assert activation("hard_sigmoid", new) == ("hard_sigmoid_keras3", "")
    assert activation(None, new) == ("linear", "")
    assert activation(function, new) == ("swish", "")
    assert "LeakyReLU" in activation({"class_name": "LeakyReLU", "config": {}}, new)[1]
    for unknown in ("my_own", "hard_sigmoid_keras3", 3):
        assert activation(unknown, new)[0] == ""


def test_options_carry_their_evidence(saved: Any) -> None:
    network = saved(
        {
            "g": cell("gru", 3, 4),
            "c": cell("lstm", 4, 2, (2,)),
            "n": {k: v for k, v in cell("gru", 2, 2).items() if k != "bias"},
        },
        sequential(
            rnn("GRU", "g", 4, recurrent_activation="hard_sigmoid"),
            layer("CuDNNLSTM", "c", units=2, return_sequences=True),
            rnn("GRU", "n", 2, reset_after=True),
        ),
    )
    assert [found.cell.name for found in network.layers] == ["keras_gru", "keras_cudnn_lstm", "keras_gru"]
    g, c, n = (found.options for found in network.layers)
    assert g["recurrent_activation"] == Value("hard_sigmoid", "config")
    assert g["reset"] == Value("before", "weights")
    assert c["activation"] == Value("tanh", "cell")
    assert n["reset"] == Value("after", "config")
    assert g["residual"] == Value(False, "config")
    assert all(found.feed.evidence == "config" for found in network.layers)


def test_what_keras_passes_through_and_what_stands_outside(saved: Any) -> None:
    network = saved(
        {
            "a": cell("lstm", 3, 4),
            "td": {"kernel": (4, 5), "bias": (5,)},
            "b": cell("rnn", 5, 2),
            "c": cell("gru", 2, 2),
        },
        sequential(
            layer("GaussianNoise", "noise"),
            rnn("LSTM", "a", 4),
            layer("TimeDistributed", "td", layer=layer("Dense", "d", units=5)),
            rnn("SimpleRNN", "b", 2),
            layer("TimeDistributed", "dropped", layer=layer("Dropout", "drop")),
            layer("Activation", "same", activation="linear"),
            rnn("GRU", "c", 2),
        ),
    )
    assert sources(network) == {"a": ("input",), "b": ("td",), "c": ("b",)}
    assert [(found.name, found.feeds[0].sources, found.stepwise) for found in network.transforms] == [
        ("td", ("a",), True)
    ]
    assert network.notes == ()


def test_embeddings_in_front(saved: Any) -> None:
    network = saved(
        {"words": {"embeddings": (10, 3)}, "a": cell("lstm", 3, 4)},
        sequential(layer("Embedding", "words", input_dim=10, output_dim=3, mask_zero=True), rnn("LSTM", "a", 4)),
    )
    assert [(found.name, found.table.shape, found.evidence) for found in network.embeddings] == [
        ("words", (10, 3), "config")
    ]
    assert network["a"].feed == Feed(("words",), "concat", Mask("words", 0.0, "state"), "config")


def test_keras_1_merges_models_at_the_front(saved: Any) -> None:
    branch = [rnn("LSTM", "a", 4), rnn("LSTM", "b", 3)]
    merge = {"name": "merge_1", "mode": "concat", "concat_axis": -1}
    branches = [{"class_name": "Sequential", "config": [value]} for value in branch]
    config = {
        "class_name": "Sequential",
        "config": [{"class_name": "Merge", "config": {**merge, "layers": branches}}, rnn("LSTM", "c", 2)],
    }
    shapes = {
        f"{name}/{leaf}": shape
        for name, units in (("a", 4), ("b", 3))
        for leaf, shape in cell("lstm", 3, units).items()
    }
    network = saved({"merge_1": shapes, "c": cell("lstm", 7, 2)}, config, version="1.2.2")
    assert [found.cell.name for found in network.layers] == ["keras_lstm"] * 3
    assert network.layers[-1].feed.sources == tuple(found.name for found in network.layers[:2])


def test_a_stack_that_runs_once_a_step(saved: Any) -> None:
    network = saved(
        {"td": cell("lstm", 3, 4), "b": cell("lstm", 4, 2)},
        sequential(
            layer("TimeDistributed", "td", layer=rnn("LSTM", "x", 4, return_sequences=False)), rnn("LSTM", "b", 2)
        ),
    )
    assert sources(network) == {"td": ("input of td",), "b": ("td/each_step",)}
    assert [(one.name, one.layer.class_name, one.stepwise) for one in network.transforms] == [
        ("td/each_step", "TimeDistributed", True)
    ]
    assert "runs afresh" in network.notes[0]


def test_go_backwards_turns_what_follows(saved: Any) -> None:
    weights = {"a": cell("lstm", 3, 4), "b": cell("lstm", 4, 4), "c": cell("lstm", 8, 4)}
    network = saved(
        weights,
        functional(
            layer("InputLayer", "in", []),
            rnn("LSTM", "a", 4, ["in"], go_backwards=True),
            rnn("LSTM", "b", 4, ["a"]),
            layer("Concatenate", "both", ["a", "b"], axis=-1),
            rnn("LSTM", "c", 4, ["both"], go_backwards=True),
        ),
    )
    assert [found.direction for found in network.layers] == ["backward", "backward", "forward"]
    assert sources(network)["c"] == ("a", "b")
    network = saved(
        {"a": cell("lstm", 3, 4), "c": cell("lstm", 7, 4)},
        functional(
            layer("InputLayer", "in", []),
            rnn("LSTM", "a", 4, ["in"], go_backwards=True),
            layer("Concatenate", "both", ["a", "in"], axis=-1),
            rnn("LSTM", "c", 4, ["both"]),
        ),
    )
    assert sources(network)["c"] == ("both",), "steps of opposite order can't be joined"


def test_lambda_code_is_reported_and_never_run(saved: Any, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    code = compile(f"lambda x: open({str(marker)!r}, 'w')", "x", "eval")
    function = [base64.b64encode(marshal.dumps(code.co_consts[0])).decode(), None, None]
    network = saved(
        {"a": cell("lstm", 3, 4)},
        sequential(
            layer("Lambda", "code", function=function, function_type="lambda", module="os", output_shape=None),
            rnn("LSTM", "a", 4),
        ),
    )
    assert "'code' is a Lambda layer: the code in it is never run" in network.notes
    assert sources(network) == {"a": ("code",)}
    with pytest.raises(Refused, match="'code' can't be computed") as caught:
        select(network)
    assert "--own-input" in caught.value.hint
    assert not marker.exists()


@pytest.mark.parametrize(
    ("stranger", "said"),
    [
        (layer("AttentionLSTM", "a"), "AttentionLSTM, which is not rebuilt"),
        (layer("JANET", "a", units=4), "JANET"),
        ({**rnn("LSTM", "a", 4), "module": "my.own"}, "whose code is not in the file"),
        ({**rnn("LSTM", "a", 4), "registered_name": "mine>LSTM", "module": None}, "whose code is not in the file"),
        (layer("RNN", "a", cell={"class_name": "MyCell", "config": {"units": 4}}), "MyCell"),
        (rnn("LSTM", "a", 4, activation="my_own"), "my_own"),
        (rnn("LSTM", "a", 4, activation={"class_name": "LeakyReLU", "config": {}}), "LeakyReLU"),
        (layer("Bidirectional", "a", layer=layer("JANET", "x")), "JANET"),
    ],
)
def test_what_is_not_rebuilt_is_a_candidate(saved: Any, stranger: Json, said: str) -> None:
    network = saved({"a": cell("lstm", 3, 4), "b": cell("lstm", 4, 2)}, sequential(stranger, rnn("LSTM", "b", 2)))
    assert sources(network) == {"b": ("a",)}
    assert [said in candidate.reason for candidate in network.candidates] == [True]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (sequential(rnn("LSTM", "a", 5)), "'a' 5 units.*are of 4"),
        (sequential(rnn("GRU", "a", 4)), "'a' is a GRU"),
        (sequential(rnn("LSTM", "a", 4, build_config={"input_shape": [None, 9]})), "'a' 9 features.* take 3"),
        (sequential(rnn("LSTM", "x", 4), rnn("LSTM", "y", 4)), "layers x, y, the weights are those of a"),
        (sequential(rnn("LSTM", "a", 4), rnn("LSTM", "a", 4)), "two layers called 'a'"),
        (functional(layer("InputLayer", "in", []), rnn("LSTM", "a", 4, ["gone"])), "from 'gone'"),
        (functional(layer("InputLayer", "in", []), rnn("LSTM", "a", 4, ["a"])), "in a circle: a"),
        (sequential({"class_name": 3, "config": {}}), "class_name of layer 0 of model is a number"),
        (sequential(layer("Bidirectional", "a", layer=rnn("LSTM", "x", 4), merge_mode="?")), "no such mode|merge_mode"),
    ],
)
def test_configurations_that_contradict_the_weights(saved: Any, config: Json, said: str) -> None:
    two = {"kernel": (3, 16), "recurrent_kernel": (4, 16), "bias": (16,), "kernel_1": (3, 16)}
    shapes = {**two, "recurrent_kernel_1": (4, 16), "bias_1": (16,)} if "merge_mode" in said else cell("lstm", 3, 4)
    with pytest.raises(BadInput, match=said) as caught:
        saved({"a": shapes}, config)
    assert caught.value.path is not None
    assert caught.value.hint == "the configuration is the one in model.h5: --config FILE names another"


def test_a_contradiction_names_both_files(saved: Any, tmp_path: Path) -> None:
    checkpoint = saved({"a": cell("lstm", 3, 4)}, sequential(rnn("LSTM", "a", 4))).checkpoint
    (tmp_path / "other.json").write_text(json.dumps(sequential(rnn("GRU", "a", 4))))
    with pytest.raises(BadInput, match="'a' is a GRU") as caught:
        recover(with_config(checkpoint, tmp_path / "other.json"))
    assert caught.value.path == tmp_path / "model.h5"
    configuration = f"the configuration in {tmp_path / 'other.json'}"
    assert caught.value.hint == f"the weights are in model.h5, {configuration}: --config FILE names another"


def test_widths_that_contradict_the_wiring(saved: Any) -> None:
    with pytest.raises(BadInput, match="'b' with 4 features from a, its weights take 9"):
        saved({"a": cell("lstm", 3, 4), "b": cell("lstm", 9, 2)}, sequential(rnn("LSTM", "a", 4), rnn("LSTM", "b", 2)))


def test_layers_of_other_names_are_taken_in_order(saved: Any) -> None:
    network = saved(
        {"a": cell("lstm", 3, 4), "b": cell("lstm", 4, 2)}, sequential(rnn("LSTM", "x", 4), rnn("LSTM", "y", 2))
    )
    assert [(found.name, found.scope) for found in network.layers] == [
        ("x", "model_weights/a/a"),
        ("y", "model_weights/b/b"),
    ]
    assert "'x' as 'a', 'y' as 'b'" in network.notes[0]


def test_bare_weights_are_chained_where_the_widths_agree(saved: Any) -> None:
    network = saved(
        {
            "embedding_1": {"embeddings": (9, 3)},
            "dropout_1": {},
            "gru_1": cell("gru", 3, 4),
            "rnn_2": cell("lstm", 4, 2, (2,)),
            "dense_1": {"kernel": (2, 5), "bias": (5,)},
            "gru_2": cell("gru", 5, 2, (2, 1)),
            "rnn_3": cell("rnn", 7, 2),
        }
    )
    assert {found.name: found.cell.name for found in network.layers} == {
        "gru_1": "keras_gru",
        "rnn_2": "keras_cudnn_lstm",
        "gru_2": "keras_gru_reset_after",
        "rnn_3": "keras_simple_rnn",
    }
    assert sources(network) == {
        "gru_1": ("embedding_1",),
        "rnn_2": ("gru_1",),
        "gru_2": ("dense_1",),
        "rnn_3": ("input of rnn_3",),
    }
    assert [found.evidence for found in network.embeddings] == ["assumed"]
    options = network["gru_1"].options
    assert options["recurrent_activation"] == Value("hard_sigmoid", "assumed")
    assert options["reset"] == Value("before", "weights")
    assert all(found.feed.evidence == "assumed" for found in network.layers)


def test_bare_bidirectional_stacked_and_nested_layers(saved: Any) -> None:
    def many(names: tuple[str, ...], widths: tuple[int, ...], units: int = 4) -> dict[str, tuple[int, ...]]:
        return {
            f"{name}/{leaf}": shape
            for name, width in zip(names, widths, strict=True)
            for leaf, shape in cell("lstm", width, units).items()
        }

    network = saved(
        {
            "bi": many(("bi/forward_lstm", "bi/backward_lstm"), (3, 3)),
            "rnn": many(("rnn/stacked_rnn_cells/lstm_cell", "rnn/stacked_rnn_cells/lstm_cell_1"), (8, 4)),
            "sequential": many(("first/lstm_cell", "second/lstm_cell"), (4, 4)),
        },
        version="2.21.0",
    )
    assert sources(network) == {
        "bi/forward": ("input",),
        "bi/backward": ("input",),
        "rnn/0": ("bi/forward", "bi/backward"),
        "rnn/1": ("rnn/0",),
        "sequential/first": ("rnn/1",),
        "sequential/second": ("sequential/first",),
    }
    assert network["bi/backward"].direction == "backward"
    assert len({found.scope for found in network.layers}) == 6


def test_bare_weights_of_no_keras_cell(saved: Any) -> None:
    network = saved({"own_1": {"kernel": (2, 8), "recurrent_kernel": (4, 8), "bias": (8,)}})
    assert not network.layers
    assert "kernel [2, 8]" in network.candidates[0].reason
    network = saved({"dense_1": {"kernel": (2, 5), "bias": (5,)}})
    assert network.notes == ("nothing recurrent is stored in it (it holds dense_1)",)


def test_states_handed_over_are_wired() -> None:
    network = recover_case("tf_keras-2.21/seq2seq/m.keras")
    assert {name: (feed.sources, feed.final) for name, feed in network["decoder_lstm"].initial.items()} == {
        "h": (("encoder_lstm",), "h"),
        "c": (("encoder_lstm",), "c"),
    }
    assert not network["encoder_lstm"].initial
    assert "stateful" in recover_case("tf_keras-2.21/stateful/model.h5").notes[0]


def test_shared_layers_share_their_weights() -> None:
    network = recover_case("tf_keras-2.21/shared/m.keras")
    assert [(found.name, found.scope) for found in network.layers[:2]] == [
        ("s", "layers/gru/cell"),
        ("s/call_2", "layers/gru/cell"),
    ]
    assert network["s/call_2"].feed.sources == ("s",)
    assert network["top"].feed.merge == "ave"


def test_nested_models_name_their_layers() -> None:
    network = recover_case("tf_keras-2.21/nested_functional/m.keras")
    names = ["inner/deep", "inner/bi/forward", "inner/bi/backward", "seq/g1", "seq/g2", "end"]
    assert [found.name for found in network.layers] == names


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ({"kernel": (1, 8), "recurrent_kernel": (4, 8), "bias": (8,)}, "4 units whose recurrent kernel holds 2 blocks"),
        ({"kernel": (2, 4), "recurrent_kernel": (4,), "bias": (4,)}, "each of 4 units recur on itself alone"),
        ({"kernel": (2, 7), "recurrent_kernel": (4, 7), "bias": (7,)}, "no row of square blocks"),
    ],
)
def test_what_resembles_a_cell_and_is_none(saved: Any, shapes: dict[str, tuple[int, ...]], said: str) -> None:
    network = saved({"own_1": shapes})
    assert not network.layers
    (candidate,) = network.candidates
    assert said in candidate.reason
    assert "its equations are not in the file" in candidate.reason
    assert all(f"{leaf} {list(shape)}" in candidate.reason for leaf, shape in shapes.items())


@pytest.mark.parametrize(("name", "said"), [("nested_lstm_1", True), ("lstm_3", False), ("encoder", False)])
def test_shapes_of_a_cell_under_a_name_of_somebodys_own(saved: Any, name: str, said: bool) -> None:
    network = saved({name: cell("lstm", 3, 4)})
    assert [found.cell.name for found in network.layers] == ["keras_lstm"]
    assert any("of a class of their own" in note for note in network.notes) == said
