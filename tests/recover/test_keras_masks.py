"""Which steps the layers of a Keras model skip, where their own input tells it, and what is said where it does not."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

import rnnprobe
from rnnprobe.types import Feed, Mask, Network

from .keras_models import DATA, Json, cell, functional, layer, rnn, save, sequential

FILES = sorted(path for path in DATA.glob("*/*/*") if path.suffix in (".h5", ".keras"))


@pytest.fixture
def saved(tmp_path: Path) -> Any:
    return partial(save, tmp_path)


def masks(network: Network) -> dict[str, Mask | None]:
    return {found.name: found.feed.mask for found in network.layers}


def test_a_mask_goes_on_from_layer_to_layer(saved: Any) -> None:
    shapes = {"a": cell("lstm", 3, 4), "b": cell("lstm", 4, 4)}
    network = saved(shapes, sequential(layer("Masking", "m", mask_value=-1), rnn("LSTM", "a", 4), rnn("LSTM", "b", 4)))
    assert network["a"].feed == Feed(("input",), "concat", Mask("input", -1.0, "state"), "config")
    assert network["b"].feed == Feed(("a",), "concat", Mask("input", -1.0, "state"), "config")
    assert not network.notes


def test_a_mask_of_what_the_user_does_not_give_is_said(saved: Any) -> None:
    names = ("a", "b", "c", "e")
    network = saved(
        {"a": cell("lstm", 3, 4), **{name: cell("lstm", 4, 4) for name in names[1:]}},
        sequential(
            layer("Masking", "m", mask_value=-1),
            rnn("LSTM", "a", 4),
            layer("Dense", "d", units=4, activation="own"),
            rnn("LSTM", "b", 4),
            rnn("LSTM", "c", 4),
            layer("Conv1D", "v", activation="own"),
            rnn("LSTM", "e", 4),
        ),
    )
    assert masks(network) == {"a": Mask("input", -1.0, "state"), "b": None, "c": None, "e": None}
    told = (
        "the steps masked by 'm' are not known from what enters 'b', 'c': --lengths can say those that end a sequence"
    )
    assert network.notes[-1] == told


def test_masking_behind_a_layer_compares_what_that_layer_computes(saved: Any) -> None:
    network = saved(
        {"a": cell("lstm", 3, 4), "b": cell("lstm", 4, 4)},
        sequential(rnn("LSTM", "a", 4), layer("Masking", "m", mask_value=0.0), rnn("LSTM", "b", 4)),
    )
    (same,) = network.transforms
    assert (same.layer.class_name, same.feeds[0].sources, same.stepwise) == ("Activation", ("a",), True)
    assert network["b"].feed == Feed((same.name,), "concat", Mask(same.name, 0.0, "state"), "config")


def test_a_layer_that_is_not_rebuilt_hands_its_mask_on(saved: Any) -> None:
    network = saved(
        {"a": cell("lstm", 3, 4), "b": cell("lstm", 4, 4)},
        sequential(layer("Masking", "m"), rnn("LSTM", "a", 4, activation="own"), rnn("LSTM", "b", 4)),
    )
    assert masks(network) == {"b": None}
    assert "masked by 'm' are not known from what enters 'b'" in network.notes[-1]


def test_a_mask_passes_a_dense_layer(saved: Any) -> None:
    network = saved(
        {"words": {"embeddings": (10, 3)}, "d": {"kernel": (3, 5), "bias": (5,)}, "a": cell("lstm", 5, 4)},
        sequential(
            layer("Embedding", "words", input_dim=10, output_dim=3, mask_zero=True),
            layer("Dense", "d", units=5),
            rnn("LSTM", "a", 4),
        ),
    )
    assert network["a"].feed == Feed(("d",), "concat", Mask("words", 0.0, "state"), "config")
    assert not network.notes


@pytest.mark.parametrize("twice", [False, True])
def test_keras_lays_a_mask_over_turned_steps_as_it_was(saved: Any, twice: bool) -> None:
    """Keras 3.15 and tf_keras 2.21 hand the mask on in the order of the input, beside steps in the opposite order.

    Where a second layer runs backward, they stand side by side again: there the mask counts as it was.
    """
    network = saved(
        {"a": cell("lstm", 3, 4), "b": cell("lstm", 4, 4), "c": cell("lstm", 4, 4)},
        functional(
            layer("InputLayer", "in", []),
            layer("Masking", "m", ["in"]),
            rnn("LSTM", "a", 4, ["m"], go_backwards=True),
            rnn("LSTM", "b", 4, ["a"], go_backwards=twice),
            rnn("LSTM", "c", 4, ["b"]),
        ),
    )
    plain, turned = Mask("input", 0.0, "state"), Mask("input", 0.0, "state", turned=True)
    assert masks(network) == {"a": plain, "b": turned, "c": plain if twice else turned}


def test_keras_3_masks_by_the_ids_of_an_embedding(saved: Any) -> None:
    def tensor(name: str) -> Json:
        return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}}

    def called(value: Json, *args: Any, **kwargs: Any) -> Json:
        return {**value, "inbound_nodes": [{"args": list(args), "kwargs": kwargs}]}

    compared = {**layer("NotEqual", "not_equal"), "module": "keras.src.ops.numpy"}
    network = saved(
        {"words": {"embeddings": (10, 3)}, "a": cell("lstm", 3, 4)},
        functional(
            layer("InputLayer", "in", []),
            called(layer("Embedding", "words", input_dim=10, output_dim=3), tensor("in")),
            called(compared, tensor("in"), 0),
            called(rnn("LSTM", "a", 4), tensor("words"), mask=tensor("not_equal")),
        ),
        "3.15.1",
    )
    assert network["a"].feed == Feed(("words",), "concat", Mask("words", 0.0), "config")


@pytest.mark.parametrize("path", FILES, ids=lambda path: "-".join(path.parts[-3:]))
def test_a_mask_speaks_of_what_the_user_gives(path: Path) -> None:
    """Its source is an embedding in front, or the outside name that the layers at the front read."""
    network = rnnprobe.open(path)
    fronts: dict[str, set[str]] = {}
    for found in network.layers:
        fronts[found.name] = set().union(*(fronts.get(source, {source}) for source in found.feed.sources))
        if found.feed.mask is not None:
            assert {found.feed.mask.source} == fronts[found.name]


def test_one_branch_masked_beside_one_that_is_not() -> None:
    for release in ("keras3.15", "tf_keras-2.21"):
        network = rnnprobe.open(DATA / release / "branches" / "m.keras")
        assert {found.name: found.feed.sources for found in network.layers} == {
            "masked": ("input",),
            "bare": ("input",),
        }
        assert masks(network) == {"masked": Mask("input", 0.0), "bare": None}
