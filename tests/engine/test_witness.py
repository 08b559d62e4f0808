"""The original run by Keras itself, against the rebuilt graph: networks and their calls made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rnnprobe import engine, formats, inputs, recover
from rnnprobe.analysis.comparison import compare
from rnnprobe.analysis.verification import TOLERANCE, first_beyond
from rnnprobe.cells import CELLS
from rnnprobe.cells.layers import chosen, defaults, fit
from rnnprobe.engine.ear import arrange
from rnnprobe.engine.witness import notes, whole, witness
from rnnprobe.errors import BadInput
from rnnprobe.recover import stacks
from rnnprobe.types import Batch, Embedding, Feed, KerasCall, KerasConfig, KerasLayer, Layer, Mask, Transform, Value

from ..cells.made import layer, network, tensor
from ..conftest import DATA

RANDOM = np.random.default_rng(12)
BY_NAME = {cell.name: cell for cell in CELLS}
KERAS = [cell for cell in CELLS if cell.framework == "keras" and cell.space is None]
RUN = {"return_sequences": True, "return_state": False, "go_backwards": False}


def batch(x: np.ndarray, lengths: list[int] | None = None, start: int = 0) -> Batch:
    """Floats `[batch, time, *shape]` or, where they are whole, ids `[batch, time]`."""
    return Batch(
        np.arange(start, start + len(x)),
        tuple(str(start + k) for k in range(len(x))),
        np.array(lengths or [x.shape[1]] * len(x)),
        x.shape[1],
        None if x.dtype.kind == "i" else x.shape[2:],
        lambda begin, end: x[:, begin:end],
        str(x.dtype),
    )


def sized(cell_name: str, name: str, inputs: int, units: int = 4, **changes) -> Layer:
    """A layer of a Keras cell that takes `inputs` features; `changes` are of the layer, `options` of the cell."""
    cell, random = BY_NAME[cell_name], np.random.default_rng(len(name) + inputs)
    gates = max(1, len(cell.gates))
    rows = (2, 3 * units) if cell_name == "keras_gru_reset_after" else (gates * units,)
    shapes = {"kernel": (inputs, gates * units), "recurrent_kernel": (units, gates * units), "bias": rows}
    weights = {
        role: tensor(f"{name}/{role}", random.normal(0, 0.5, shape).astype("f")) for role, shape in shapes.items()
    }
    options = {key: Value(value, "config") for key, value in changes.pop("options", {}).items()}
    sizes = fit(cell, weights)
    assert sizes is not None
    return replace(Layer(name, name, cell, weights, sizes, defaults(cell, options)), **changes)


def keras(made: Layer, **config) -> KerasLayer:
    """The KerasLayer of a network's layer."""
    options = made.settings
    given = {
        "units": made.units,
        **RUN,
        **{k: options[k] for k in ("activation", "recurrent_activation") if k in options},
    }
    if "reset" in options:
        given["reset_after"] = options["reset"] == "after"
    return KerasLayer(made.cell.classes[0], {**given, **config}, layers=(made.name,))


def call(name: str, what: KerasLayer, *inputs: str, initial: tuple[tuple[str, int], ...] = ()) -> KerasCall:
    return KerasCall(name, what, tuple((one, 0) for one in inputs), initial)


def compared(net, *batches: Batch, original=None, initial=None):
    """Our trace of `net` against the original of `original` (of itself, if not given)."""
    known = engine.extents(net, batches)
    ours = engine.trace(
        known.network, batches, chosen(net.layers, "all"), initial=initial or {}, outcomes=known.outcomes, ordered=True
    )
    found = compare(ours, witness(original or net, batches, initial), net.layers, TOLERANCE["float32"])
    signals = sum(len(names) + len(net[name].cell.states) for name, names in chosen(net.layers, "all").items())
    assert len(found.differences) == signals + len(net.outputs)
    assert not found.missing
    return found


def agree(net, *batches: Batch, **options) -> None:
    found = compared(net, *batches, **options)
    assert found.agrees, first_beyond(found)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype("f")


@pytest.mark.parametrize("cell", KERAS, ids=lambda cell: cell.name)
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_every_keras_cell_by_itself(cell, direction):
    net = network(replace(layer(cell), direction=direction))
    assert not whole(net)
    assert "run by itself" in notes(net)[0]
    agree(net, batch(floats(4, 7, 3), [7, 3, 7, 1]), batch(floats(2, 5, 3), start=4))


@pytest.mark.parametrize("cell", KERAS, ids=lambda cell: cell.name)
@pytest.mark.parametrize("words", [{"recurrent_activation": "hard_sigmoid"}, {"activation": "relu"}])
def test_other_activations(cell, words):
    wide = {option.name: option.choices for option in cell.options}
    words = {key: value for key, value in words.items() if value in wide.get(key, ())}
    agree(network(layer(cell, **words)), batch(floats(2, 5, 3)))


@pytest.mark.parametrize("word", ["hard_sigmoid", "hard_sigmoid_keras3"])
def test_both_hard_sigmoids_inside_a_bidirectional(word):
    """Keras copies its layers through their configuration, which knows one hard_sigmoid alone."""
    options = {"recurrent_activation": word}
    forward = sized("keras_lstm", "forward", 3, options=options)
    backward = sized("keras_lstm", "backward", 3, options=options, direction="backward")
    inner = keras(forward)
    both = KerasLayer("Bidirectional", {"merge_mode": "sum"}, layers=("forward", "backward"), inner=(inner,))
    net = replace(network(forward, backward), original=(call("bi", both, "input"),))
    assert whole(net)
    agree(net, batch(floats(3, 6, 3), [6, 2, 6]))
    other = "hard_sigmoid" if word != "hard_sigmoid" else "hard_sigmoid_keras3"
    turned = replace(inner, config={**inner.config, "recurrent_activation": other})
    strange = replace(net, original=(call("bi", replace(both, inner=(turned,)), "input"),))
    assert not compared(net, batch(floats(3, 6, 3)), original=strange).agrees


@pytest.mark.parametrize("merge", ["concat", "sum", "mul", "ave"])
def test_bidirectional_and_what_follows(merge):
    forward, backward = sized("keras_gru", "fw", 3), sized("keras_gru", "bwd", 3, direction="backward")
    top = sized("keras_lstm", "top", 8 if merge == "concat" else 4, feed=Feed(("fw", "bwd"), merge, evidence="config"))
    both = KerasLayer("Bidirectional", {"merge_mode": merge}, layers=("fw", "bwd"), inner=(keras(forward),))
    calls = (call("bi", both, "input"), call("top", keras(top), "bi"))
    net = replace(network(forward, backward, top), original=calls)
    agree(net, batch(floats(3, 6, 3), [6, 2, 4]))
    agree(replace(net, original=()), batch(floats(3, 6, 3), [6, 2, 4]))


def masked(x: np.ndarray) -> np.ndarray:
    """Floats of which some steps are all zeros: at the front, between, at the end."""
    x[0, [0, 3]] = x[1, -2:] = 0
    return x


@pytest.mark.parametrize("cell", ["keras_simple_rnn", "keras_lstm", "keras_gru", "keras_gru_reset_after"])
@pytest.mark.parametrize("zeros", [False, True])
def test_masking(cell, zeros):
    mask = Mask("input", 0.0, "zeros" if zeros else "last")
    below = sized(cell, "below", 3, feed=Feed(("input",), mask=mask, evidence="config"))
    above = sized(cell, "above", 4, feed=Feed(("below",), mask=mask, evidence="config"))
    calls = (
        call("mask", KerasLayer("Masking", {"mask_value": 0.0}), "input"),
        call("below", keras(below, zero_output_for_mask=zeros), "mask"),
        call("above", keras(above, zero_output_for_mask=zeros), "below"),
    )
    net = replace(network(below, above), original=calls)
    agree(net, batch(masked(floats(3, 7, 3)), [7, 7, 4]))
    agree(replace(net, original=()), batch(masked(floats(3, 7, 3)), [7, 7, 4]))


@pytest.mark.parametrize("zeros", [False, True])
def test_masked_bidirectional_emits_what_its_release_did(zeros):
    """Keras 3 has the layers in a Bidirectional emit zeros; earlier releases copied what was passed on last."""
    mask = Mask("input", 0.0, "zeros" if zeros else "last")
    feed = Feed(("input",), mask=mask, evidence="config")
    forward = sized("keras_lstm", "fw", 3, feed=feed)
    backward = sized("keras_lstm", "bwd", 3, feed=feed, direction="backward")
    top = sized("keras_gru", "top", 8, feed=Feed(("fw", "bwd"), evidence="config"))
    dense = KerasLayer("Activation", {"activation": "linear"})
    calls = (
        call("mask", KerasLayer("Masking", {"mask_value": 0.0}), "input"),
        call("bi", KerasLayer("Bidirectional", {}, layers=("fw", "bwd"), inner=(keras(forward),)), "mask"),
        call("flat", replace(dense, class_name="Reshape", config={"target_shape": [-1, 8]}), "bi"),
        call("top", keras(top), "flat"),
    )
    net = replace(network(forward, backward, top), original=calls)
    agree(net, batch(masked(floats(3, 7, 3)), [7, 7, 4]))


def test_an_embedding_and_its_mask():
    table = tensor("table", floats(9, 3))
    ids = RANDOM.integers(1, 9, (3, 6))
    ids[0, 2] = ids[1, :2] = 0
    made = sized("keras_gru_reset_after", "gru", 3, feed=Feed(("table",), mask=Mask("table", 0.0), evidence="config"))
    calls = (
        call("table", KerasLayer("Embedding", {"input_dim": 9, "output_dim": 3, "mask_zero": True}, (table,)), "ids"),
        call("gru", keras(made), "table"),
    )
    net = replace(network(made), embeddings=(Embedding("table", table, "config", "ids"),), original=calls)
    assert whole(net)
    agree(net, batch(ids, [6, 6, 4]))
    agree(replace(net, original=()), batch(ids, [6, 6, 4]))
    agree(replace(net, original=()), batch(floats(2, 4, 3)))


def test_ids_become_one_hot_where_nothing_embeds_them():
    made = sized("keras_lstm", "lstm", 5)
    agree(replace(network(made), original=(call("lstm", keras(made), "input"),)), batch(RANDOM.integers(0, 5, (2, 6))))


def test_stacked_cells():
    below, above = sized("keras_lstm", "rnn/0", 3), sized("keras_gru", "rnn/1", 4)
    above = replace(above, feed=Feed(("rnn/0",), evidence="config"))
    inner = (
        KerasLayer("LSTMCell", {"units": 4, "recurrent_activation": "hard_sigmoid"}),
        KerasLayer("GRUCell", {"units": 4, "reset_after": False}),
    )
    below = replace(below, options={**below.options, "recurrent_activation": Value("hard_sigmoid", "config")})
    above = replace(above, options={**above.options, "reset": Value("before", "config")})
    stacked = KerasLayer("RNN", RUN, layers=("rnn/0", "rnn/1"), inner=(KerasLayer("StackedRNNCells", {}, inner=inner),))
    for what in (stacked, replace(stacked, inner=inner)):
        net = replace(network(below, above), original=(call("rnn", what, "input"),))
        assert whole(net)
        agree(net, batch(floats(3, 6, 3), [6, 2, 6]))
        given = {"rnn/0": {"c": floats(3, 4)}, "rnn/1": {"h": floats(3, 4)}}
        agree(net, batch(floats(3, 6, 3)), initial=given)


def test_backward_layers_hand_on_their_steps_turned():
    """What reads a layer with go_backwards reads the last step first, so that it too runs against time."""
    first = sized("keras_lstm", "first", 3, direction="backward")
    second = sized("keras_gru", "second", 4, direction="backward", feed=Feed(("first",), evidence="config"))
    third = sized("keras_simple_rnn", "third", 4, feed=Feed(("second",), evidence="config"))
    calls = (
        call("first", keras(first, go_backwards=True), "input"),
        call("second", keras(second), "first"),
        call("third", keras(third, go_backwards=True), "second"),
    )
    net = replace(network(first, second, third), original=calls)
    agree(net, batch(floats(3, 6, 3), [6, 2, 4]))
    agree(replace(net, original=()), batch(floats(3, 6, 3), [6, 2, 4]))


def test_an_encoder_hands_its_states_to_a_decoder():
    encoder = sized("keras_lstm", "encoder", 3)
    ends = {state: Feed(("encoder",), final=state, evidence="config") for state in ("c", "h")}
    decoder = sized("keras_lstm", "decoder", 2, feed=Feed(("target",), evidence="config"), initial=ends)
    told = (("encoder", 1), ("encoder", 2))
    calls = (
        call("encoder", keras(encoder, return_sequences=False, return_state=True), "input"),
        call("decoder", keras(decoder), "target", initial=told),
    )
    shapes = {"input": (None, 3), "target": (None, 2)}
    net = replace(network(encoder, decoder), original=calls, shapes=shapes)
    source = replace(batch(floats(3, 5, 3), [5, 5, 2]), beside={"target": batch(floats(3, 4, 2), [4, 1, 4])})
    assert whole(net)
    agree(net, source)
    agree(replace(net, original=()), source)
    swapped = replace(net, original=(calls[0], replace(calls[1], initial=told[::-1])))
    found = compared(net, source, original=swapped)
    assert not found.agrees
    assert first_beyond(found).startswith("decoder ")
    given = {"decoder": {"h": floats(3, 4)}, "encoder": {"c": floats(3, 4)}}
    agree(net, source, initial=given)


@pytest.mark.parametrize("version", ["2.15.0", "3.15.1"])
def test_a_mask_beside_initial_states(version):
    """Keras 3 overlooks the mask of a layer that is told what to start from, and those before it did not."""
    encoder = sized("keras_gru", "encoder", 3)
    mask = None if version[0] == "3" else Mask("input", 0.0)
    feed = Feed(("input",), mask=mask, evidence="config")
    start = {"h": Feed(("encoder",), final="h", evidence="config")}
    decoder = sized("keras_gru", "decoder", 3, feed=feed, initial=start)
    calls = (
        call("mask", KerasLayer("Masking", {"mask_value": 0.0}), "input"),
        call("encoder", keras(encoder, return_sequences=False, return_state=True), "input"),
        call("decoder", keras(decoder), "mask", initial=(("encoder", 1),)),
    )
    made = network(encoder, decoder)
    checkpoint = replace(made.checkpoint, config=KerasConfig({}, version))
    agree(replace(made, checkpoint=checkpoint, original=calls), batch(masked(floats(3, 7, 3))))
    masking = replace(network(replace(decoder, initial={}, feed=replace(feed, mask=Mask("input", 0.0)))))
    net = replace(masking, checkpoint=checkpoint, original=(calls[0], replace(calls[2], initial=())))
    agree(net, batch(masked(floats(3, 7, 3))), initial={"decoder": {"h": floats(3, 4)}})


def test_layers_between_and_the_output():
    """Conv1D changes the number of steps; a Dense behind the last layer makes the output."""
    kernel, bias = floats(3, 3, 5), floats(5)
    conv = KerasLayer("Conv1D", {"filters": 5, "kernel_size": 3}, (tensor("k", kernel), tensor("b", bias)))
    dense = KerasLayer(
        "Dense", {"units": 2, "activation": "softmax"}, (tensor("d", floats(4, 2)), tensor("e", floats(2)))
    )
    made = sized("keras_lstm", "lstm", 5, feed=Feed(("conv",), evidence="config"))
    calls = (call("conv", conv, "input"), call("lstm", keras(made), "conv"), call("out", dense, "lstm"))
    net = replace(
        network(made),
        transforms=(
            Transform("conv", conv, (Feed(("input",), evidence="config"),), False),
            Transform("out", dense, (Feed(("lstm",), evidence="config"),), True),
        ),
        outputs={"out": Feed(("out",), evidence="config")},
        original=calls,
        results={"out": ("out", 0)},
        shapes={"input": (None, 3)},
    )
    found = compared(net, batch(floats(3, 8, 3), [8, 5, 8]))
    assert found.agrees, first_beyond(found)
    (output,) = (one for one in found.differences if one.signal == "output")
    assert (output.layer, output.compared) == ("out", 2 * (6 + 3 + 6))
    agree(replace(net, original=(), results={}), batch(floats(3, 8, 3), [8, 5, 8]))


def conv_lstm(cell_name: str, **options) -> Layer:
    cell, size = BY_NAME[cell_name], (3, 2)
    if cell_name == "keras1_conv_lstm_2d":
        shapes = {"kernel": (*size, 3, 4), "recurrent_kernel": (*size, 4, 4), "bias": (4,)}
        shapes = {f"{role}_{gate}": shape for role, shape in shapes.items() for gate in "ifgo"}
    else:
        size = size[: int(cell_name[-2])] if cell_name[-2] != "3" else (2, 2, 2)
        shapes = {"kernel": (*size, 3, 16), "recurrent_kernel": (*size, 4, 16), "bias": (16,)}
    weights = {role: tensor(role, RANDOM.normal(0, 0.3, shape).astype("f")) for role, shape in shapes.items()}
    sizes = fit(cell, weights)
    assert sizes is not None
    known = {key: Value(value, "config") for key, value in options.items()}
    return Layer("layer", "layer", cell, weights, sizes, defaults(cell, known))


@pytest.mark.parametrize(
    ("cell", "shape", "options"),
    [
        ("keras_conv_lstm_1d", (6, 3), {}),
        ("keras_conv_lstm_2d", (6, 5, 3), {"padding": "valid", "strides": (2, 1)}),
        ("keras_conv_lstm_2d", (6, 5, 3), {"dilation_rate": 2, "padding": "same"}),
        ("keras_conv_lstm_2d", (3, 6, 5), {"data_format": "channels_first", "recurrent_activation": "sigmoid"}),
        ("keras_conv_lstm_3d", (4, 3, 4, 3), {}),
        ("keras1_conv_lstm_2d", (6, 5, 3), {"padding": "same"}),
    ],
)
def test_convolutional_cells(cell, shape, options):
    net = replace(network(conv_lstm(cell, **options)), shapes={"input": (None, *shape)})
    agree(net, batch(floats(3, 5, *shape), [5, 5, 2]))


def test_cudnn_weights_run_as_lstm_and_gru():
    made = [layer(BY_NAME["keras_cudnn_lstm"], "lstm"), layer(BY_NAME["keras_cudnn_gru"], "gru")]
    feed = Feed(("input",), mask=None, evidence="config")
    made = [replace(one, feed=feed) for one in made]
    calls = (
        call("mask", KerasLayer("Masking", {"mask_value": 0.0}), "input"),
        call("lstm", KerasLayer("CuDNNLSTM", {"units": 4, **RUN}, layers=("lstm",)), "mask"),
        call("gru", KerasLayer("CuDNNGRU", {"units": 4, **RUN}, layers=("gru",)), "mask"),
    )
    net = replace(network(*made), original=calls)
    *_, note = notes(net)
    assert note.startswith("lstm, gru: CuDNNLSTM and CuDNNGRU run on GPUs alone")
    agree(net, batch(masked(floats(3, 7, 3))))


def test_a_layer_with_its_own_input_does_not_run_the_whole_model():
    below, above = sized("keras_lstm", "below", 3), sized("keras_lstm", "above", 4)
    calls = (call("below", keras(below), "input"), call("above", keras(above), "below"))
    alone = replace(above, feed=Feed(("input",), evidence="flag"))
    net = replace(network(alone), original=calls)
    assert not whole(net)
    agree(net, batch(floats(2, 5, 4)))
    # Chosen with what feeds it, it is part of the original, of which no more runs than it needs.
    unread = call("lost", KerasLayer("Dense", {"units": 1}), "another input")
    net = replace(network(below), original=(*calls, unread))
    assert whole(net)
    agree(net, batch(floats(2, 5, 3)))


def test_a_gate_taken_for_another_is_found_at_its_step():
    """i and f exchanged: both gates are wrong from step 0, c too; f alone does nothing to c before step 1."""
    made = sized("keras_lstm", "lstm", 3)
    x = batch(floats(3, 6, 3), [6, 2, 6])
    kernel = made.weights["kernel"].load()
    order = np.r_[4:8, 0:4, 8:16]
    wrong = replace(made, weights={**made.weights, "kernel": tensor("k", kernel[:, order])})
    found = compared(network(wrong), x, original=network(made))
    by_signal = {one.signal: one for one in found.differences}
    assert not found.agrees
    assert {name for name, one in by_signal.items() if one.first == (0, 0)} >= {"i", "f", "c", "h"}
    assert first_beyond(found).startswith("lstm i_pre first at sequence 0, step 0")
    forgetful = np.array(made.weights["bias"].load())
    forgetful[4:8] += 1
    wrong = replace(made, weights={**made.weights, "bias": tensor("b", forgetful)})
    found = compared(network(wrong), x, original=network(made))
    by_signal = {one.signal: one for one in found.differences}
    assert (by_signal["f"].first, by_signal["c"].first, by_signal["h"].first) == ((0, 0), (0, 1), (0, 1))
    assert by_signal["i"].first in (None, (0, 2)) or by_signal["i"].first[1] == 2
    assert by_signal["f"].beyond > 0
    assert first_beyond(found).startswith("lstm f_pre first at sequence 0, step 0")


def test_weights_of_every_layout_come_to_one():
    """Keras 1's arrays of single gates and cuDNN's blocks, put together the way Keras stores them today."""
    packed = sized("keras_lstm", "lstm", 3)
    kernel, recurrent, bias = arrange(packed)
    assert [a.shape for a in (kernel, recurrent, bias)] == [(3, 16), (4, 16), (16,)]
    letters = dict(zip("ifgo", np.split(kernel, 4, 1), strict=True))
    separate = layer(BY_NAME["keras1_lstm"], "lstm")
    weights = dict(separate.weights)
    for gate, array in letters.items():
        weights[f"kernel_{gate}"] = tensor(gate, array)
    np.testing.assert_array_equal(arrange(replace(separate, weights=weights))[0], kernel)
    cudnn = layer(BY_NAME["keras_cudnn_gru"], "gru")
    blocks = [block.T.reshape(3, 4) for block in np.split(floats(3, 12), 3, 1)]
    weights = {**cudnn.weights, "kernel": tensor("k", np.concatenate(blocks, 1))}
    found = arrange(replace(cudnn, weights=weights))
    np.testing.assert_array_equal(found[0], np.concatenate([b.reshape(4, 3).T for b in blocks], 1))
    np.testing.assert_array_equal(found[2], cudnn.weights["bias"].load().reshape(2, 12))


MODELS = sorted(
    path for name in ("model.h5", "m.keras") for path in (DATA / "conformance").glob(f"*[Kk]eras*/*/{name}")
)
# Classes that others wrote for Keras have no counterpart in it.
OWN = ("keras", "tf.keras", "tf_keras")
MODELS = [path for path in MODELS if path.parts[-3].startswith(OWN) and "y" in np.load(path.parent / "data.npz").files]


@pytest.mark.parametrize("path", MODELS, ids=lambda path: "/".join(path.parts[-3:]))
def test_genuine_models_give_what_their_release_did(path):
    """The whole original is built, computes the stored output, and agrees with the rebuilt layers."""
    data = np.load(path.parent / "data.npz")
    found = recover.network(formats.read(path))
    net, _ = stacks.select(found, outputs=bool(found.outputs))
    entries = stacks.entries(net)
    x = data["x"].astype(int) if next(iter(entries.values())).embedded else data["x"]
    source = x if len(entries) == 1 else dict.fromkeys(entries, x)
    batches = inputs.read(source, entries, say=lambda line: None)
    agree(net, *batches)
    assert whole(net)
    (block,) = witness(net, batches)
    (output,) = block.outcomes.values()
    np.testing.assert_allclose(output, data["y"], rtol=0, atol=1e-6)


def test_what_keras_can_not_run_is_refused():
    with pytest.raises(BadInput, match="Keras has no layer that computes it"):
        list(witness(network(layer(BY_NAME["gru"])), [batch(floats(1, 3, 3))]))
    made = sized("keras_lstm", "lstm", 3)
    strange = replace(keras(made), class_name="Lambda")
    with pytest.raises(BadInput, match="none of the Keras layers"):
        list(witness(replace(network(made), original=(call("lstm", strange, "input"),)), [batch(floats(1, 3, 3))]))
    narrow = keras(made, units=3)
    with pytest.raises(BadInput, match="weights of other shapes than Keras asks for"):
        list(witness(replace(network(made), original=(call("lstm", narrow, "input"),)), [batch(floats(1, 3, 3))]))
