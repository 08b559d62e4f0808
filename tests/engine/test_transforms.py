"""What stands between layers, against NumPy and against Keras run on one sequence after the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rnnprobe import engine
from rnnprobe.cells import KERAS_GRU, KERAS_LSTM
from rnnprobe.engine import passes
from rnnprobe.engine.passes import plan
from rnnprobe.errors import BadInput
from rnnprobe.types import Embedding, Feed, Mask, Transform

from ..cells.made import network, tensor
from .networks import batch, keras_layer, outcomes, replay, run, transform

RANDOM = np.random.default_rng(7)
CLOSE = {"rtol": 0, "atol": 3e-6}


def random(*shape: int, dtype: str = "f") -> np.ndarray:
    return RANDOM.normal(0, 0.5, shape).astype(dtype)


def made(*nodes, shapes=None, **changes):
    layers = [node for node in nodes if not isinstance(node, Transform)]
    transforms = tuple(node for node in nodes if isinstance(node, Transform))
    return replace(network(*layers), transforms=transforms, shapes=shapes or {"input": (None, 3)}, **changes)


def alone(made_layer, x, lengths):
    """Each sequence by itself, at its own length: signal h, `[length, units]` each."""
    return [replay(made_layer, row[None, :length])[0]["h"][:, 0] for row, length in zip(x, lengths, strict=True)]


def check(recorded, expected, lengths, **close):
    """`[time, batch, …]` against one array for each sequence, and NaN past its length."""
    for k, (array, length) in enumerate(zip(expected, lengths, strict=True)):
        np.testing.assert_allclose(recorded[:length, k], array, **(close or CLOSE))
        assert np.isnan(recorded[length:, k]).all()


@pytest.mark.parametrize("most", [4096, 3])
@pytest.mark.parametrize("dtype", ["f", "d"])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_dense_between_two_layers(monkeypatch, most, dtype, direction):
    monkeypatch.setattr(passes, "_MOST_STEPS", most)
    kernel, bias = random(4, 6, dtype=dtype), random(6, dtype=dtype)
    below = keras_layer(KERAS_LSTM, "below", dtype=dtype)
    dense = transform("dense", "Dense", "below", weights=(kernel, bias), stepwise=True, units=6, activation="relu")
    above = keras_layer(KERAS_GRU, "above", 6, dtype=dtype, direction=direction, feed=Feed(("dense",)))
    x, lengths = random(3, 10, 3, dtype=dtype), [10, 4, 0]
    ((joined, _, _),) = run(made(below, dense, above), batch(x, lengths))
    below_h = replay(below, x)[0]["h"].swapaxes(0, 1)
    seen = np.maximum(below_h @ kernel + bias, 0)
    expected = replay(above, seen, lengths)[0]
    close = CLOSE if dtype == "f" else {"rtol": 0, "atol": 1e-13}
    for name, array in expected.items():
        np.testing.assert_allclose(joined["above"][name], array, err_msg=name, **close)


def convolve(x, kernel, bias, stride):
    """Conv1D without padding, over one sequence `[length, features]`."""
    size = len(kernel)
    return np.stack(
        [np.einsum("kf,kfo->o", x[s : s + size], kernel) + bias for s in range(0, len(x) - size + 1, stride)]
    )


@pytest.mark.parametrize("most", [4096, 2])
def test_convolution_in_front_sees_each_sequence_at_its_own_length(monkeypatch, most):
    monkeypatch.setattr(passes, "_MOST_STEPS", most)
    kernel, bias = random(3, 3, 5), random(5)
    conv = transform("conv", "Conv1D", "input", weights=(kernel, bias), filters=5, kernel_size=[3], strides=[2])
    fw = keras_layer(KERAS_LSTM, "fw", 5, feed=Feed(("conv",)))
    bw = keras_layer(KERAS_LSTM, "bw", 5, seed=9, feed=Feed(("conv",)), direction="backward")
    beside = keras_layer(KERAS_GRU, "beside")
    x, lengths = random(4, 11, 3), [11, 6, 11, 3]
    x[1, 6:] = x[3, 3:] = 1e6
    net = made(conv, fw, bw, beside)
    known = engine.extents(net, [batch(x, lengths)])
    assert {name: list(one) for name, one in known.lengths.items()} == {"fw": [5, 2, 5, 1], "bw": [5, 2, 5, 1]}
    ((joined, _, final),) = run(net, batch(x, lengths))
    convolved = [convolve(row[:length], kernel, bias, 2) for row, length in zip(x, lengths, strict=True)]
    for layer in (fw, bw):
        expected = [replay(layer, row[None])[0]["h"][:, 0] for row in convolved]
        check(joined[layer.name]["h"], expected, [5, 2, 5, 1])
        ends = [replay(layer, row[None])[1]["c"][0] for row in convolved]
        np.testing.assert_allclose(final[layer.name]["c"], ends, **CLOSE)
    check(joined["beside"]["h"], alone(beside, x, lengths), lengths)


def test_transforms_of_transforms_and_several_feeds():
    """Pooling, then an addition of two branches, one of which is computed step by step."""
    kernel = random(3, 3)
    dense = transform("dense", "Dense", "input", weights=(kernel,), stepwise=True, units=3, use_bias=False)
    halves = [transform(f"pool_{s}", "MaxPooling1D", s, pool_size=[2]) for s in ("dense", "input")]
    both = transform("add", "Add", "pool_dense", "pool_input", stepwise=True)
    top = keras_layer(KERAS_LSTM, "top", feed=Feed(("add",)))
    x, lengths = random(2, 9, 3), [9, 4]
    ((joined, _, _),) = run(made(dense, *halves, both, top), batch(x, lengths))
    expected = []
    for row, length in zip(x, lengths, strict=True):
        pools = [a[: length // 2 * 2].reshape(-1, 2, 3).max(1) for a in (row @ kernel, row)]
        expected.append(replay(top, (pools[0] + pools[1])[None])[0]["h"][:, 0])
    check(joined["top"]["h"], expected, [4, 2])


def test_encoder_repeated_for_a_decoder():
    encoder = keras_layer(KERAS_LSTM, "encoder")
    repeat = transform("repeat", "RepeatVector", Feed(("encoder",), final="h"), n=6)
    decoder = keras_layer(KERAS_GRU, "decoder", 4, feed=Feed(("repeat",)))
    kernel = random(4, 2)
    out = transform("out", "Dense", "decoder", weights=(kernel,), stepwise=True, units=2, use_bias=False)
    x, lengths = random(3, 8, 3), [8, 1, 5]
    net = made(encoder, repeat, decoder, out, outputs={"out": Feed(("out",)), "code": Feed(("encoder",), final="c")})
    known = engine.extents(net, [batch(x, lengths)])
    assert list(known.lengths["decoder"]) == [6, 6, 6]
    assert [(one.name, one.shape) for one in known.outcomes] == [("out", (2,)), ("code", (4,))]
    assert list(known.outcomes[0].lengths) == [6, 6, 6]
    assert known.outcomes[1].lengths is None
    ((joined, _, _),) = run(net, batch(x, lengths))
    code = replay(encoder, x, lengths)[1]
    expected = replay(decoder, np.repeat(code["h"][:, None], 6, 1))[0]["h"]
    np.testing.assert_allclose(joined["decoder"]["h"], expected, **CLOSE)
    (found,) = outcomes(net, batch(x, lengths))
    np.testing.assert_allclose(found["out"], expected.swapaxes(0, 1) @ kernel, **CLOSE)
    np.testing.assert_allclose(found["code"], code["c"], **CLOSE)


def seq2seq(mid=()):
    encoder = keras_layer(KERAS_LSTM, "encoder", feed=Feed(("source",)))
    states = {"h": Feed(("encoder",), final="h"), "c": Feed(("dense" if mid else "encoder",), final="" if mid else "c")}
    decoder = keras_layer(KERAS_LSTM, "decoder", 2, seed=5, feed=Feed(("target",)), initial=states)
    shapes = {"source": (None, 3), "target": (None, 2)}
    return made(encoder, *mid, decoder, shapes=shapes), encoder, decoder


def test_a_decoder_starts_where_the_encoder_ends():
    kernel = random(4, 4)
    dense = transform("dense", "Dense", Feed(("encoder",), final="c"), weights=(kernel,), units=4, use_bias=False)
    net, encoder, decoder = seq2seq((dense,))
    x, y, lengths, others = random(3, 8, 3), random(3, 5, 2), [8, 2, 5], [1, 5, 3]
    given = batch(x, lengths, target=batch(y, others))
    assert list(engine.extents(net, [given]).lengths["decoder"]) == others
    ((joined, initial, _),) = run(net, given)
    ends = replay(encoder, x, lengths)[1]
    begin = {"h": ends["h"], "c": ends["c"] @ kernel}
    expected = replay(decoder, y, others, begin)[0]
    for name, array in expected.items():
        np.testing.assert_allclose(joined["decoder"][name], array, err_msg=name, **CLOSE)
    np.testing.assert_allclose(initial["decoder"]["c"], begin["c"], **CLOSE)


def test_given_states_and_carried_ones_go_before_the_wiring():
    net, encoder, _ = seq2seq()
    x, y = random(1, 4, 3), random(1, 5, 2)
    given = [replace(batch(x, target=batch(y)), rows=np.array([k]), names=(str(k),)) for k in range(2)]
    c = np.stack([np.full(4, 0.5), np.full(4, -0.5)]).astype("f")
    results = run(net, *given, initial={"decoder": {"c": c}})
    h = replay(encoder, x)[1]["h"]
    for k, (_, initial, _) in enumerate(results):
        np.testing.assert_array_equal(initial["decoder"]["c"], c[k : k + 1])
        np.testing.assert_allclose(initial["decoder"]["h"], h, **CLOSE)
    first, second = run(net, *given, carry=True)
    np.testing.assert_allclose(first[1]["decoder"]["h"], h, **CLOSE)
    np.testing.assert_array_equal(second[1]["decoder"]["h"], first[2]["decoder"]["h"])


def test_layers_on_other_steps_do_not_run_together():
    net, *_ = seq2seq()
    assert [[[one.name for one in p.layers] for p in level] for level in plan(net, {"decoder"})] == [
        [["encoder"]],
        [["decoder"]],
    ]
    assert len(plan(net, {"encoder"})) == 1, "what nobody wants does not run"


def test_both_directions_through_a_transform_into_a_backward_layer(monkeypatch):
    monkeypatch.setattr(passes, "_MOST_STEPS", 2)
    fw, bw = keras_layer(KERAS_GRU, "fw"), keras_layer(KERAS_GRU, "bw", seed=6, direction="backward")
    gamma, beta = random(8), random(8)
    norm = Feed(("fw", "bw"), "concat")
    norm = transform("norm", "LayerNormalization", norm, weights=(gamma, beta), stepwise=True, axis=-1, epsilon=1e-3)
    top = keras_layer(KERAS_LSTM, "top", 8, direction="backward", feed=Feed(("norm",)))
    x, lengths = random(2, 7, 3), [7, 4]
    ((joined, _, _),) = run(made(fw, bw, norm, top), batch(x, lengths))
    both = np.concatenate([replay(one, x, lengths)[0]["h"].swapaxes(0, 1) for one in (fw, bw)], -1)
    normed = (both - both.mean(-1, keepdims=True)) / np.sqrt(both.var(-1, keepdims=True) + 1e-3) * gamma + beta
    expected = replay(top, np.nan_to_num(normed), lengths)[0]["h"]
    np.testing.assert_allclose(joined["top"]["h"], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("most", [4096, 2])
@pytest.mark.parametrize("stepwise", [True, False])
def test_a_turned_feed(monkeypatch, most, stepwise):
    """A layer with `go_backwards` gives its steps from the last to the first."""
    monkeypatch.setattr(passes, "_MOST_STEPS", most)
    back = keras_layer(KERAS_LSTM, "back", direction="backward")
    kernel = random(4, 2)
    dense = transform(
        "dense", "Dense", Feed(("back",), turned=True), weights=(kernel,), stepwise=stepwise, units=2, use_bias=False
    )
    top = keras_layer(KERAS_GRU, "top", 2, feed=Feed(("dense",)))
    x, lengths = random(3, 7, 3), [7, 3, 5]
    net = made(back, dense, top, outputs={"back": Feed(("back",), turned=True)})
    ((joined, _, _),) = run(net, batch(x, lengths))
    turned = [row[::-1] for row in alone(back, x, lengths)]
    check(joined["top"]["h"], [replay(top, (row @ kernel)[None])[0]["h"][:, 0] for row in turned], lengths)
    (found,) = outcomes(net, batch(x, lengths))
    check(found["back"].swapaxes(0, 1), turned, lengths)


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("most", [4096, 2])
def test_masks_go_through_stepwise_transforms(monkeypatch, most, zeros):
    """A masked layer passes on what it gave last, or zeros; before its first valid step zeros."""
    monkeypatch.setattr(passes, "_MOST_STEPS", most)
    table, kernel = random(9, 3), random(4, 4)
    mask = Mask("table", 0, "zeros" if zeros else "last")
    below = keras_layer(KERAS_LSTM, "below", feed=Feed(("table",), mask=mask))
    dense = Feed(("below",), mask=mask)
    dense = transform("dense", "Dense", dense, weights=(kernel,), stepwise=True, units=4, use_bias=False)
    above = keras_layer(KERAS_GRU, "above", 4, feed=Feed(("dense",), mask=mask))
    free = keras_layer(KERAS_GRU, "free", 4, feed=Feed(("dense",)))
    ids, lengths = np.array([[0, 3, 0, 5, 6, 0], [1, 0, 2, 0, 0, 0]]), [6, 4]
    net = made(below, dense, above, free, shapes={"ids": (None,)})
    net = replace(net, embeddings=(Embedding("table", tensor("table", table), "config", "ids"),))
    begin = {"below": {"h": np.full((2, 4), 0.3, "f"), "c": np.full((2, 4), -0.2, "f")}}
    ((joined, _, _),) = run(net, batch(ids, lengths), initial=begin)
    valid = (ids != 0) & (np.arange(6) < np.array(lengths)[:, None])
    for k, length in enumerate(lengths):
        state = {name: array[k : k + 1] for name, array in begin["below"].items()}
        h = replay(below, table[ids[k]][valid[k]][None], begin=state)[0]["h"][:, 0]
        passed, last, at = np.zeros((6, 4), "f"), np.zeros(4, "f"), 0
        for t in range(length):
            if valid[k, t]:
                last, at = h[at], at + 1
            passed[t] = last if valid[k, t] or not zeros else 0
        seen = passed @ kernel
        expected = replay(free, seen[None, :length])[0]["h"][:, 0]
        np.testing.assert_allclose(joined["free"]["h"][:length, k], expected, **CLOSE)
        expected = replay(above, seen[valid[k]][None])[0]["h"][:, 0]
        np.testing.assert_allclose(joined["above"]["h"][:, k][valid[k]], expected, **CLOSE)


def test_a_mask_reaches_a_class_that_takes_one_and_features_mask_too():
    mask = Mask("dense", 0.0)
    kernel = np.abs(random(3, 4))
    dense = transform("dense", "Dense", "input", weights=(kernel,), stepwise=True, units=4, use_bias=False)
    mean = transform("mean", "GlobalAveragePooling1D", Feed(("dense",), mask=mask))
    layer = keras_layer(KERAS_LSTM, "layer", 4, feed=Feed(("dense",), mask=mask))
    x, lengths = np.abs(random(2, 5, 3)), [5, 3]
    x[0, 2] = x[0, 4] = x[1, 0] = 0
    net = made(dense, mean, layer, outputs={"mean": Feed(("mean",))})
    (found,) = outcomes(net, batch(x, lengths))
    left = [row[:length][row[:length].any(-1)] @ kernel for row, length in zip(x, lengths, strict=True)]
    np.testing.assert_allclose(found["mean"], [row.mean(0) for row in left], **CLOSE)
    ((joined, _, final),) = run(net, batch(x, lengths))
    np.testing.assert_array_equal(joined["layer"]["h"][2, 0], joined["layer"]["h"][1, 0])
    np.testing.assert_allclose(final["layer"]["h"], [replay(layer, row[None])[1]["h"][0] for row in left], **CLOSE)


def test_inputs_of_one_number_a_step_and_several_embeddings():
    """Features that are no sequence beside ids of two kinds over the same steps."""
    tables = [random(5, 2), random(7, 3)]
    embeddings = tuple(Embedding(n, tensor(n, t), "config", i) for n, t, i in zip("ab", tables, "xy", strict=True))
    layer = keras_layer(KERAS_LSTM, "layer", 5, feed=Feed(("a", "b")), initial={"c": Feed(("start",))})
    kernel = random(6, 4)
    start = transform("start", "Dense", "facts", weights=(kernel,), units=4, activation="tanh", use_bias=False)
    net = made(start, layer, shapes={"x": (None,), "y": (None,), "facts": (6,)}, embeddings=embeddings)
    x, y, facts = np.array([[1, 2, 4], [0, 3, 0]]), np.array([[6, 0, 1], [5, 5, 0]]), random(2, 6)
    given = batch(x, [3, 2], y=batch(y, [3, 2]), facts=batch(facts))
    ((joined, _, _),) = run(net, given)
    begin = {"h": np.zeros((2, 4), "f"), "c": np.tanh(facts @ kernel)}
    expected = replay(layer, np.concatenate([tables[0][x], tables[1][y]], -1), [3, 2], begin)[0]["h"]
    np.testing.assert_allclose(joined["layer"]["h"], expected, **CLOSE)
    with pytest.raises(BadInput, match=r"layer reads step by step .* sequence 1 has a: 2, b: 3"):
        engine.extents(net, [batch(x, [3, 2], y=batch(y), facts=batch(facts))])


def test_outcomes_of_other_shapes():
    """A vector a sequence; one whose width is the number of steps; steps of as many features as there are steps."""
    layer = keras_layer(KERAS_LSTM, "layer")
    dot = transform("dot", "Dot", "layer", "layer", axes=[2, 2])
    mean = transform("mean", "GlobalAveragePooling1D", "layer")
    width = transform("width", "GlobalAveragePooling1D", "turn")
    turn = transform("turn", "Permute", "layer", dims=[2, 1])
    named = ("layer", "dot", "mean", "width")
    net = made(layer, dot, mean, turn, width, outputs={name: Feed((name,)) for name in named})
    batches = [batch(random(2, 5, 3), [5, 3]), batch(random(1, 6, 3), start=2)]
    known = {one.name: one for one in engine.extents(net, batches).outcomes}
    assert [known[name].shape for name in named] == [(4,), (6,), (4,), ()]
    assert all(list(known[name].lengths) == [5, 3, 6] for name in ("layer", "dot", "width"))
    assert known["mean"].lengths is None
    found = outcomes(net, *batches)
    assert [found[0][name].shape for name in named] == [(2, 5, 4), (2, 5, 6), (2, 4), (2, 5)]
    h = found[0]["layer"][1, :3]
    np.testing.assert_allclose(found[0]["dot"][1, :3, :3], h @ h.T, **CLOSE)
    assert np.isnan(found[0]["dot"][1, 3:]).all()
    assert np.isnan(found[0]["dot"][1, :, 3:]).all()
    np.testing.assert_allclose(found[0]["width"][1, :3], h.mean(-1), **CLOSE)
    np.testing.assert_allclose(found[0]["mean"][1], h.mean(0), **CLOSE)


def test_sequences_that_a_transform_can_not_take():
    layer = keras_layer(KERAS_LSTM, "layer")
    flat = transform("flat", "Flatten", "layer")
    dense = transform("dense", "Dense", "flat", weights=(random(20, 4), random(4)), units=4)
    top = keras_layer(KERAS_GRU, "top", 4, feed=Feed(("repeat",)))
    repeat = transform("repeat", "RepeatVector", "dense", n=2)
    net = made(layer, flat, dense, repeat, top, shapes={"input": (5, 3)})
    ((joined, _, _),) = run(net, batch(random(2, 5, 3)))
    assert joined["top"]["h"].shape == (2, 2, 4)
    for lengths in ([5, 4], [4, 4]):
        with pytest.raises(BadInput, match=r"dense \(Dense\) can't take .*\[16\]") as caught:
            engine.extents(net, [batch(random(2, 5, 3), lengths)])
        assert "the model was made for input [5, 3]" in caught.value.hint
        with pytest.raises(BadInput, match="dense"):
            list(engine.trace(net, [batch(random(2, 5, 3), lengths)], {"top": ("h",)}))
    conv = transform("conv", "Conv1D", "input", weights=(random(4, 3, 3), random(3)), filters=3, kernel_size=[4])
    net = made(conv, keras_layer(KERAS_LSTM, "layer", feed=Feed(("conv",))))
    with pytest.raises(BadInput, match=r"conv \(Conv1D\) can't take .*\[2, 3\]"):
        engine.extents(net, [batch(random(2, 5, 3), [5, 2])])
    permute = transform("permute", "Permute", "input", dims=[2, 1])
    net = made(permute, keras_layer(KERAS_LSTM, "layer", 5, feed=Feed(("permute",))))
    assert list(engine.extents(net, [batch(random(2, 5, 3))]).lengths["layer"]) == [3, 3]
    with pytest.raises(BadInput, match="another shape in each sequence"):
        engine.extents(net, [batch(random(2, 5, 3), [5, 2])])
    with pytest.raises(BadInput, match=r"layer takes steps of shape \[5\].*\[4\]"):
        engine.extents(net, [batch(random(2, 4, 3))])


def test_step_by_step_nothing_is_in_memory_as_a_whole(monkeypatch):
    """A transform in front, one between and a layer that goes backward never ask for more than a block."""
    monkeypatch.setattr(passes, "_MOST_STEPS", 4)
    kernels = random(3, 3), random(4, 4)
    front = transform("front", "Dense", "input", weights=kernels[:1], stepwise=True, units=3, use_bias=False)
    below = keras_layer(KERAS_LSTM, "below", feed=Feed(("front",), mask=Mask("input", -1.0)))
    between = transform("between", "Dense", "below", weights=kernels[1:], stepwise=True, units=4, use_bias=False)
    above = keras_layer(KERAS_LSTM, "above", 4, feed=Feed(("between",)), direction="backward")
    x, asked = random(2, 21, 3), []

    def load(start, stop):
        asked.append((start, stop))
        return x[:, start:stop]

    given = replace(batch(x, [21, 13]), load=load)
    net = made(front, below, between, above)
    blocks = list(engine.trace(net, [given], {"above": ("h",), "below": ("c",)}))
    assert max(stop - start for start, stop in asked) == 4
    assert max(len(a) for block in blocks for signals in block.signals.values() for a in signals.values()) == 4
    seen = replay(below, x @ kernels[0], [21, 13])[0]["h"].swapaxes(0, 1) @ kernels[1]
    expected = replay(above, seen, [21, 13])[0]["h"]
    for block in blocks:
        if "above" in block.signals:
            part = block.signals["above"]["h"]
            np.testing.assert_allclose(part, expected[block.start : block.start + len(part)], **CLOSE)


def test_sequences_without_steps():
    """They pass through what works step by step, and end in the states that they start from."""
    kernel = random(3, 3)
    front = transform("front", "Dense", "input", weights=(kernel,), stepwise=True, units=3, use_bias=False)
    encoder = keras_layer(KERAS_LSTM, "encoder", feed=Feed(("front",)))
    repeat = transform("repeat", "RepeatVector", Feed(("encoder",), final="h"), n=3)
    decoder = keras_layer(KERAS_GRU, "decoder", 4, feed=Feed(("repeat",)))
    ((joined, _, final),) = run(made(front, encoder, repeat, decoder), batch(random(2, 0, 3)))
    assert not final["encoder"]["h"].any()
    np.testing.assert_allclose(joined["decoder"]["h"], replay(decoder, np.zeros((2, 3, 4), "f"))[0]["h"], **CLOSE)


def test_a_layer_waits_for_the_state_that_it_starts_from_and_for_other_steps():
    """One that reads the same input as the layer whose end it starts from; one that reads a layer beside an input."""
    first = keras_layer(KERAS_GRU, "first")
    again = keras_layer(KERAS_GRU, "again", seed=6, initial={"h": Feed(("first",), final="h")})
    both = keras_layer(KERAS_LSTM, "both", 6, feed=Feed(("target", "first")))
    x, y = random(2, 5, 3), random(2, 5, 2)
    net = made(both, again, first, shapes={"input": (None, 3), "target": (None, 2)})
    ((joined, _, _),) = run(net, batch(x, target=batch(y)))
    h, ends = replay(first, x)
    np.testing.assert_allclose(joined["again"]["h"], replay(again, x, begin=ends)[0]["h"], **CLOSE)
    seen = np.concatenate([y, h["h"].swapaxes(0, 1)], -1)
    np.testing.assert_allclose(joined["both"]["h"], replay(both, seen)[0]["h"], **CLOSE)
