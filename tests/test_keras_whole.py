"""Whole Keras models, saved by the Keras that is installed and opened again: the output for the model's own input."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

import rnnprobe
from rnnprobe.cli.verify import command

keras = pytest.importorskip("keras")
CLOSE = 1e-5
# Keras's own saving stumbles over what NumPy 2 wants, and says that HDF5 is out of fashion.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You are saving:UserWarning"),
]


def masked_steps() -> np.ndarray:
    x = np.random.default_rng(2).normal(size=(3, 6, 3)).astype("f")
    x[0, 4:], x[1, 2], x[2, :2] = 0, 0, 0
    return x


def saved(model, tmp_path, name: str = "model.keras"):
    random = np.random.default_rng(4)
    model.set_weights([random.normal(0.1, 0.4, array.shape).astype("f") for array in model.get_weights()])
    model.save(tmp_path / name)
    return rnnprobe.open(tmp_path / name)


@pytest.mark.parametrize("twice", [False, True])
def test_a_mask_beside_turned_steps(tmp_path, twice):
    """Keras hands the mask on as it was, beside steps that `go_backwards` has turned."""
    given = keras.Input((None, 3))
    below = keras.layers.LSTM(4, go_backwards=True, return_sequences=True)(keras.layers.Masking(0.0)(given))
    middle = keras.layers.GRU(5, return_sequences=True, go_backwards=twice)(below)
    model = keras.Model(given, keras.layers.LSTM(3, return_sequences=True)(middle))
    network = saved(model, tmp_path)
    x = masked_steps()
    (output,) = rnnprobe.trace(network, x, record="output").outputs.values()
    assert np.abs(output - model(x).numpy()).max() < CLOSE


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize(
    "wrapped", [lambda: keras.layers.LSTM(4), lambda: keras.layers.Bidirectional(keras.layers.GRU(3))]
)
def test_a_recurrent_layer_that_runs_once_a_step(tmp_path, wrapped, suffix):
    """What stands behind it runs from the model's own input; the layer itself is given one step with its own."""
    given = keras.Input((None, 6, 3))
    top = keras.layers.LSTM(5, name="top")(keras.layers.TimeDistributed(wrapped(), name="each")(given))
    model = keras.Model(given, keras.layers.Dense(2, name="answer")(top))
    network = saved(model, tmp_path, f"model.{suffix}")
    x = np.random.default_rng(3).normal(size=(2, 4, 6, 3)).astype("f")
    trace = rnnprobe.trace(network, x, layers=["top"], record="h,output")
    assert np.abs(trace.outputs["answer"] - model(x).numpy()).max() < CLOSE
    inner = [layer.name for layer in network.layers if layer.name != "top"]
    own = rnnprobe.trace(network, x[0], layers=inner, own_input=True, record="h")
    each = keras.Model(given, model.get_layer("each").output)(x).numpy()
    ends = np.concatenate([own.layers[name].final["h"] for name in inner], axis=-1)
    assert np.abs(ends - each[0]).max() < CLOSE


def test_several_inputs_want_each_their_own(tmp_path):
    question, story = keras.Input((None, 3), name="question"), keras.Input((None, 2), name="story")
    asked = keras.layers.LSTM(4, name="asked")(question)
    told = keras.layers.GRU(5, name="told")(story)
    model = keras.Model(
        [question, story], keras.layers.Dense(2, name="answer")(keras.layers.concatenate([asked, told]))
    )
    network = saved(model, tmp_path)
    random = np.random.default_rng(5)
    x = {"question": random.normal(size=(2, 4, 3)).astype("f"), "story": random.normal(size=(2, 7, 2)).astype("f")}
    trace = rnnprobe.trace(network, x, record="h,output")
    assert np.abs(trace.outputs["answer"] - model([x["question"], x["story"]]).numpy()).max() < CLOSE
    assert trace.layers["told"].signals["h"].shape == (2, 7, 5)
    assert trace.layers["told"].lengths.tolist() == [7, 7]
    with pytest.raises(rnnprobe.BadInput, match="question"):
        rnnprobe.trace(network, x["story"])


@pytest.mark.parametrize("layer", ["LSTM", "GRU"])
def test_verify_where_the_last_step_is_masked(tmp_path, layer):
    """`Bidirectional` makes what it wraps emit zeros at masked steps of a sequence, and not in the place of its end."""
    from rnnprobe import engine
    from rnnprobe.analysis.comparison import compare
    from rnnprobe.analysis.verification import first_beyond
    from rnnprobe.cells.layers import chosen
    from rnnprobe.engine.witness import witness
    from rnnprobe.inputs import read
    from rnnprobe.recover import stacks

    ids = keras.Input((None,), dtype="int32")
    both = keras.layers.Bidirectional(getattr(keras.layers, layer)(4))
    model = keras.Model(ids, keras.layers.Dense(1)(both(keras.layers.Embedding(9, 3, mask_zero=True)(ids))))
    network, layers = stacks.select(saved(model, tmp_path), outputs=True)
    x = np.array([[3, 4, 5, 0, 0], [0, 0, 2, 7, 8], [1, 2, 3, 4, 5]])
    batches = read(x, stacks.entries(network), say=lambda line: None)
    outcomes = engine.extents(network, batches).outcomes
    ours = engine.trace(network, batches, chosen(layers, "all"), outcomes=outcomes, ordered=True)
    found = compare(ours, witness(network, batches), layers, CLOSE)
    assert found.agrees, first_beyond(found)


def test_layers_behind_a_lambda_are_named_with_how_to_run_them(tmp_path):
    given = keras.Input((None, 3))
    first = keras.layers.LSTM(4, return_sequences=True, name="first")(given)
    scaled = keras.layers.Lambda(lambda x: 2.0 * x, name="scale")(first)
    network = saved(keras.Model(given, keras.layers.LSTM(2, name="second")(scaled)), tmp_path)
    x = np.zeros((1, 4, 3), "f")
    with pytest.raises(rnnprobe.Refused, match="'scale' can't be computed") as caught:
        rnnprobe.trace(network, x)
    assert "--layer first\n--layer second --own-input" in caught.value.hint
    assert rnnprobe.trace(network, x, layers="first").layers.keys() == {"first"}


def test_own_input_says_what_a_decoder_no_longer_starts_from(tmp_path):
    written, read = keras.Input((None, 3), name="written"), keras.Input((None, 2), name="read")
    _, h, c = keras.layers.LSTM(4, return_state=True, name="encoder")(written)
    decoded = keras.layers.LSTM(4, return_sequences=True, name="decoder")(read, initial_state=[h, c])
    network = saved(keras.Model([written, read], decoded), tmp_path)
    with pytest.warns(UserWarning, match="decoder starts from the state in which encoder ends"):
        rnnprobe.trace(network, np.zeros((1, 3, 2), "f"), layers="decoder", own_input=True)
    with pytest.raises(rnnprobe.BadInput, match="own input"):
        rnnprobe.trace(network, np.zeros((1, 3, 2), "f"), layers="decoder", own_input=True, record="output")


def test_a_model_is_no_trace_and_objects_say_what_they_are_in_a_line(tmp_path):
    given = keras.Input((None, 3))
    network = saved(keras.Model(given, keras.layers.LSTM(4, name="first")(given)), tmp_path)
    assert repr(network) == f"<Network of {tmp_path / 'model.keras'}: first>"
    trace = rnnprobe.trace(network, np.zeros((2, 4, 3), "f"), record="h")
    assert repr(trace) == "<Trace in memory: 2 sequences, up to 4 steps; first: h>"
    with pytest.raises(rnnprobe.BadInput, match="is a model, and no trace"):
        rnnprobe.load_trace(tmp_path / "model.keras")


@pytest.mark.filterwarnings("ignore:Layer 'functional:UserWarning")
def test_a_mask_comes_along_into_a_nested_model(tmp_path):
    """Its own configuration names none (null), for it was made before anything was masked."""
    inside = keras.Input((None, 3))
    inner = keras.Model(inside, keras.layers.LSTM(4, return_sequences=True)(inside))
    given = keras.Input((None, 3))
    model = keras.Model(given, keras.layers.GRU(2)(inner(keras.layers.Masking(0.0)(given))))
    network = saved(model, tmp_path)
    x = masked_steps()
    (output,) = rnnprobe.trace(network, x, record="output").outputs.values()
    assert np.abs(output - model(x).numpy()).max() < CLOSE


@pytest.mark.parametrize("bare", [False, True])
def test_the_calls_of_a_nested_model_are_told_apart(tmp_path, bare):
    """Keras 3 counts them from 1 among the outputs, and from 0 where a layer is fed by them."""
    inside = keras.Input((None, 3))
    inner = keras.Model(inside, keras.layers.LSTM(4, return_sequences=True)(inside))
    given = keras.Input((None, 3))
    first, second = inner(given), inner(keras.layers.Dense(3)(given))
    outputs = [first, keras.layers.Dense(2)(second)] if bare else [keras.layers.Dense(2)(first), second]
    model = keras.Model(given, outputs)
    network = saved(model, tmp_path)
    x = masked_steps()
    found = rnnprobe.trace(network, x, record="output").outputs.values()
    for output, expected in zip(found, model(x), strict=True):
        assert np.abs(output - expected.numpy()).max() < CLOSE


def test_a_final_state_with_space_is_a_sequence_of_its_rows(tmp_path):
    given = keras.Input((None, 4, 2))
    image = keras.layers.ConvLSTM1D(3, 2, padding="same")(given)
    model = keras.Model(given, keras.layers.Bidirectional(keras.layers.GRU(2))(image))
    network = saved(model, tmp_path)
    x = np.random.default_rng(6).normal(size=(2, 5, 4, 2)).astype("f")
    (output,) = rnnprobe.trace(network, x, record="output").outputs.values()
    assert np.abs(output - model(x).numpy()).max() < CLOSE


def test_what_is_both_ways_emits_zeros_only_in_sequences(tmp_path):
    """Keras's own layers are asked, at whose end a step is skipped."""
    given = keras.Input((None, 3))
    last = keras.layers.Bidirectional(keras.layers.LSTM(4))(keras.layers.Masking(0.0)(given))
    network = saved(keras.Model(given, last), tmp_path)
    np.save(tmp_path / "x.npy", masked_steps())
    result = CliRunner().invoke(command, [str(tmp_path / "model.keras"), "--input", str(tmp_path / "x.npy")])
    assert not result.exception, result.output
    assert {layer.feed.mask.emits for layer in network.layers} == {"last"}


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("operation", [lambda x: x * 2, lambda x: 1 - x, lambda x: keras.ops.maximum(x, 0.1)])
def test_an_operation_with_a_number_is_no_layer_of_its_name(tmp_path, operation, suffix):
    given = keras.Input((None, 3))
    between = operation(keras.layers.GRU(4)(given))
    network = saved(keras.Model(given, keras.layers.Dense(2)(between)), tmp_path, f"model.{suffix}")
    with pytest.raises(rnnprobe.Refused, match="not all of the model is rebuilt"):
        rnnprobe.trace(network, masked_steps(), record="output")


def _summed(given, masked):
    return keras.layers.Multiply()([masked, keras.layers.Dense(3)(given)])


def _zeros_in_the_end(given, masked):
    return keras.layers.RepeatVector(4)(keras.layers.LSTM(3, zero_output_for_mask=True, name="told")(masked))


def _unrolled(given, masked):
    return keras.layers.Bidirectional(keras.layers.LSTM(3, return_sequences=True, unroll=True))(masked)


@pytest.mark.parametrize("between", [_summed, _zeros_in_the_end, _unrolled])
def test_no_output_is_claimed_where_masks_are_not_followed(tmp_path, between):
    given = keras.Input((6, 3))
    below = between(given, keras.layers.Masking(0.0)(given))
    network = saved(keras.Model(given, keras.layers.GRU(2, name="last")(below)), tmp_path)
    assert any("may differ from the original" in note for note in network.notes)
    with pytest.raises(rnnprobe.Refused, match="output can't be computed"):
        rnnprobe.trace(network, masked_steps(), record="output")
