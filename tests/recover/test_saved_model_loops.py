"""The loops of SavedModels whose loops hide in functions: which layer each is, what it carries, where values enter."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rnnprobe import formats, recover
from rnnprobe.recover.graph.loops import survey
from rnnprobe.types import Network, Survey
from tests.conftest import DATA

FUNCTIONS = DATA / "functions"


def opened(case: str) -> tuple[Network, Survey]:
    network = recover.network(formats.read(FUNCTIONS / case / "sm"))
    return network, survey(network)


# case → for each loop: its layers, its direction, its states as they go
FOUND = {
    "tf.keras-1.15-gru_ra": [(("gru",), "forward", ["h of gru"])],
    "tf.keras-1.15-masking_bi": [
        (("bidirectional/forward",), "forward", ["what was handed out before", *"hc"]),
        (("bidirectional/backward",), "backward", ["what was handed out before", *"hc"]),
    ],
    "tf.keras-1.15-seq2seq": [(("encoder_lstm",), "forward", [*"hc"]), (("decoder_lstm",), "forward", [*"hc"])],
    "tf_keras-2.21-lstm": [(("lstm",), "forward", ["h of lstm", "c of lstm"])],
    "tf_keras-2.21-masking_last": [(("lstm",), "forward", ["what was handed out before", *"hc"])],
    "tf_keras-2.21-rnn_stacked_mixed": [(("rnn/0", "rnn/1"), "forward", ["h of rnn/0", "c of rnn/0", "h of rnn/1"])],
    "tf_keras-2.21-stateful": [(("lstm",), "forward", [*"hc"])],
}


@pytest.mark.parametrize("case", FOUND)
def test_each_loop_is_told_with_its_layers_and_states(case: str) -> None:
    network, found = opened(case)
    assert not found.unread
    assert [one.kind for one in found.recurrences] == ["Keras K.rnn"] * len(FOUND[case])
    loops = {one.layers: one for one in found.recurrences}
    for layers, direction, states in FOUND[case]:
        one = loops[layers]
        meanings = [variable.meaning for variable in one.variables if variable.role == "state"]
        assert meanings == [state if len(state) > 1 else f"{state} of {layers[0]}" for state in states]
        assert one.direction == direction
        assert one.form == "function"
        weights = {tensor.name for name in layers for tensor in network[name].weights.values()}
        assert network.checkpoint.objects is not None
        assert set(one.reads) == {network.checkpoint.objects.names[name] for name in weights}
        assert one.tensors
        assert all("/while/" in tensor.name for tensor in one.tensors)


def test_where_values_enter() -> None:
    _, found = opened("tf_keras-2.21-lstm")
    (placeholder,) = found.placeholders  # without the saver's
    assert (placeholder.name, placeholder.shape) == ("serving_default_lstm_input:0", (None, 5, 3))
    (signature,) = found.signatures  # without what runs when the model is loaded
    assert (signature.name, signature.method) == ("serving_default", "tensorflow/serving/predict")
    ((argument, taken),) = signature.inputs
    assert (argument, taken.name, taken.shape, taken.dtype) == ("lstm_input", placeholder.name, (None, 5, 3), "float32")
    ((result, given),) = signature.outputs
    assert (result, given.shape) == ("lstm", (None, 5, 4))


def test_keras_keeps_the_last_output_alone() -> None:
    _, found = opened("tf_keras-2.21-masking_last")
    (loop,) = found.recurrences
    (handed,) = loop.emitted
    assert (handed.index, handed.stacked.shape) == ("0", (None, 1, 4))
    assert any("after the last step" in note for note in loop.notes)


def test_states_that_start_from_what_is_stored_or_from_another_loop() -> None:
    _, found = opened("tf_keras-2.21-stateful")
    starts = [v.start for v in found.recurrences[0].variables if v.role == "state"]
    assert all(start.startswith("stored ") for start in starts)
    _, found = opened("tf.keras-1.15-seq2seq")
    decoder = next(one for one in found.recurrences if one.layers == ("decoder_lstm",))
    assert all("encoder_lstm" in v.start for v in decoder.variables if v.role == "state")


def test_a_layer_whose_loop_is_missing_is_in_none() -> None:
    network = recover.network(formats.read(FUNCTIONS / "tf_keras-2.21-lstm" / "sm"))
    graph = network.checkpoint.graph.graph_def
    loop = next(node for node in graph.node if node.op in ("While", "StatelessWhile"))
    loop.attr["body"].func.name = "nowhere"
    found = survey(network)
    assert (found.recurrences, found.unread) == ((), (loop.name,))


def test_inspect_lists_signatures_and_placeholders(run) -> None:
    done = run("inspect", FUNCTIONS / "tf_keras-2.21-lstm" / "sm")
    assert done.status == 0
    lines = [line.split() for line in done.out.splitlines()]
    assert ["serving_default_lstm_input:0", "Placeholder", "float32", "any", "×", "5", "×", "3"] in lines
    assert [line[:3] for line in lines if line[:1] == ["serving_default"]] == [
        ["serving_default", "input", "lstm_input"],
        ["serving_default", "output", "lstm"],
    ]
    assert "saver_filename" not in done.out
    assert "__saved_model_init_op" not in done.out


# Every case ----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif("RNNPROBE_CONFORMANCE" not in os.environ, reason="RNNPROBE_CONFORMANCE does not name a folder")
@pytest.mark.parametrize("release", ["tf.keras-1.15", "tf_keras-2.21"])
def test_every_saved_model(release: str) -> None:
    folders = sorted(path.parent for path in (Path(os.environ["RNNPROBE_CONFORMANCE"]) / release).glob("*/sm"))
    assert len(folders) > 30
    for folder in folders:
        network = recover.network(formats.read(folder / "sm"))
        found = survey(network)
        assert not found.unread, folder
        if folder.name != "unroll":
            assert {one.kind for one in found.recurrences} == {"Keras K.rnn"}, folder
            told = [name for one in found.recurrences for name in one.layers]
            assert sorted(told) == sorted(layer.name for layer in network.layers), folder
        assert len(found.placeholders) == len(found.signatures[0].inputs), folder
