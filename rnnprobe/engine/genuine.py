"""A genuine recurrent Keras layer with the weights of a network's layers, listened to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import tensorflow as tf

from rnnprobe.engine.builtin import Runner, cells_of, outputs, plainly
from rnnprobe.engine.ear import Ear, Heard, arrange, units_axis
from rnnprobe.engine.keras_classes import keras
from rnnprobe.errors import BadInput
from rnnprobe.recover.keras.config import era, looks_like_keras_3
from rnnprobe.types import Array, KerasLayer, Network

Initial = Mapping[str, Mapping[str, Array]]
"""Layer → state → `[sequences, *shape]`."""

_CUDNN = {"CuDNNLSTM": "LSTM", "CuDNNGRU": "GRU"}


@dataclass(slots=True)
class Group:
    """Sequences of a batch whose inputs have the same lengths.

    Attributes:
        rows: their numbers in the batch.
        inputs: input → `[group, time, …]`, as the network takes it, at exactly its length.
        initial: layer → state → `[group, *shape]`, what the user gave.
        heard: layer → what its cell computed.
        outcomes: output → `[group, …]`.
    """

    rows: Array
    inputs: Mapping[str, Array]
    initial: Mapping[str, Mapping[str, Array]]
    heard: dict[str, Heard] = field(default_factory=dict)
    outcomes: dict[str, Array] = field(default_factory=dict)


class Recurrent:
    """A genuine recurrent Keras layer with the weights of the network's layers, listened to.

    Args:
        layer: what to make; `layers` names those of the network.
        network: where these are.
        dtype: `float32` or `float64`.

    Attributes:
        heard: layer → what its cell computed in the last call.
    """

    def __init__(self, layer: KerasLayer, network: Network, dtype: str) -> None:
        self.heard: dict[str, Heard] = {}
        self._layer = _on_cpu(layer)
        self._members = [network[name] for name in layer.layers]
        self._dtype = dtype
        self._runner = Runner(self._layer, dtype)
        made = self._runner.made
        self._ways = [made.forward_layer, made.backward_layer] if layer.class_name == "Bidirectional" else [made]
        self._ears: list[Ear] = []
        # Keras 3 has the layers in a Bidirectional that returns sequences emit zeros at skipped steps; the release that
        # wrote the model may have done otherwise.
        mask = self._members[0].feed.mask
        self._masked, self._keras_3 = mask is not None, _keras_3(network)
        for way in self._ways if layer.class_name == "Bidirectional" else ():
            if mask is not None:
                way.zero_output_for_mask = mask.emits == "zeros" and way.return_sequences

    def __call__(self, x: Any, states: Sequence[Any] = (), initial: Initial | None = None) -> list[Any]:
        """What the layer returns for x `[batch, time, …]`.

        Args:
            x: a tensor, with the mask that Keras attached to it.
            states: those to start from, in Keras's order; zeros if there are none.
            initial: those that the user gave, which go over them.
        """
        if any(layer.cell.name.startswith("keras_cudnn") for layer in self._members):
            x = tf.identity(x)  # CuDNNLSTM and CuDNNGRU look at no mask; the copy has none
        with plainly(self._layer.class_name):
            if not self._ears:
                self._build(x)
            given = self._start(len(x), states, initial or {})
            options: dict[str, Any] = {"initial_state": given} if given else {}
            # Keras 3 overlooks the mask of what a layer reads where it is told what to start from. The releases before
            # it did not, and states that the user gives are no part of the model.
            if given and self._masked and not (states and self._keras_3):
                options["mask"] = getattr(x, "_keras_mask", None)
            found = outputs(self._runner.made(x, training=False, **options))
        heard = [cell for ear in self._ears for cell in ear.heard]
        self.heard = {layer.name: one for layer, one in zip(self._members, heard, strict=True)}
        return found

    def _build(self, x: Any) -> None:
        """Makes the weights and sets them to the stored ones."""
        self._runner.made(keras.KerasTensor(tuple(x.shape), self._dtype), training=False)
        cells = [cell for way in self._ways for cell in cells_of(way)]
        if len(cells) != len(self._members):
            raise BadInput(f"{self._layer.class_name} has {len(cells)} cells, {len(self._members)} layers were found")
        for cell, layer in zip(cells, self._members, strict=True):
            arrays = arrange(layer)
            wanted = [tuple(weight.shape) for weight in cell.weights]
            if [array.shape for array in arrays] != wanted:
                raise BadInput(
                    f"layer {layer.name!r} has weights of other shapes than Keras asks for; expected "
                    f"{[list(shape) for shape in wanted]}, found {[list(array.shape) for array in arrays]}"
                )
            cell.set_weights(arrays)
        self._ears = [Ear(way) for way in self._ways]

    def _start(self, batch: int, states: Sequence[Any], initial: Initial) -> list[Any]:
        """The states to start from as the layer takes them, or none where they are zeros."""
        names = [layer.name for layer in self._members]
        if not states and not any(name in initial for name in names):
            return []
        left, members = list(states), iter(self._members)
        given: list[Any] = []
        for way in self._ways:
            of_way = []
            for cell in cells_of(way):
                layer = next(members)
                start = outputs(cell.get_initial_state(batch_size=batch))
                # Keras has h first, then c; the cells have c first.
                for k, state in enumerate(sorted(layer.cell.states, reverse=True)):
                    start[k] = left.pop(0) if left else start[k]
                    if state in initial.get(layer.name, {}):
                        own = np.moveaxis(initial[layer.name][state], -1, units_axis(cell))
                        start[k] = tf.constant(own, self._dtype)
                of_way.append(start)
            given += of_way if hasattr(way.cell, "cells") else of_way[0]
        return given


def _keras_3(network: Network) -> bool:
    """Whether Keras 3 wrote the model."""
    config = network.checkpoint.config
    return config is not None and era(config.version, keras_3=looks_like_keras_3(config)).major >= 3


def _on_cpu(layer: KerasLayer) -> KerasLayer:
    """The layer, CuDNN's classes, which Keras 3 has no more, as those that compute the same."""
    name = _CUDNN.get(layer.class_name, layer.class_name)
    config = {**layer.config, "reset_after": True} if layer.class_name == "CuDNNGRU" else layer.config
    return replace(layer, class_name=name, config=config, inner=tuple(_on_cpu(one) for one in layer.inner))
