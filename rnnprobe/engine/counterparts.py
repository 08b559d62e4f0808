"""Each recurrent layer's genuine Keras counterpart, made from the layer alone and run on what enters it.

For models of which something is none of Keras's classes, for weights without a configuration, and for layers that are
given an input of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from rnnprobe.engine.builtin import Runner
from rnnprobe.engine.genuine import Group, Recurrent
from rnnprobe.errors import BadInput
from rnnprobe.recover import stacks
from rnnprobe.types import Array, Feed, KerasLayer, Layer, Mask, Network

_CLASSES = ("LSTM", "GRU", "SimpleRNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
_CONVOLUTION = ("strides", "padding", "dilation_rate", "data_format")


def counterpart(layer: Layer) -> KerasLayer:
    """The Keras layer that computes what `layer` does; it returns its sequence in the order in which it reads.

    Raises:
        BadInput: there is none.
    """
    name = next((known for known in layer.cell.classes if known.removeprefix("CuDNN") in _CLASSES), "")
    name = name.removeprefix("CuDNN")
    if not name or layer.cell.framework != "keras":
        raise BadInput(f"layer {layer.name!r} is a {layer.cell.title}; Keras has no layer that computes it")
    kernel = next(tensor for role, tensor in layer.weights.items() if role.startswith("kernel"))
    extents = len(kernel.shape) - 2 if layer.cell.space is not None else 0
    options = layer.settings
    config: dict[str, Any] = {
        ("filters" if extents else "units"): layer.units,
        "use_bias": any(role.startswith("bias") for role in layer.weights),
        "activation": options["activation"],
        "go_backwards": layer.direction == "backward",
        "return_sequences": True,
    }
    if "recurrent_activation" in options:
        config["recurrent_activation"] = options["recurrent_activation"]
    if "reset" in options:
        config["reset_after"] = options["reset"] == "after"
    if extents:
        config["kernel_size"] = kernel.shape[:extents]
        config.update({key: options[key] for key in _CONVOLUTION if key in options})
    return KerasLayer(name, config, layers=(layer.name,))


class Counterparts:
    """The layers and transforms of a network, one after the other, over groups of sequences of one length."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._dtype = stacks.compute_dtype(network.layers)
        self._layers = {la.name: Recurrent(counterpart(la), network, self._dtype) for la in network.layers}
        self._transforms = {one.name: Runner(one.layer, self._dtype) for one in network.transforms}
        self._tables = {one.name: np.asarray(one.table.load()).astype(self._dtype) for one in network.embeddings}

    def __call__(self, group: Group) -> None:
        """Runs a group, and leaves in it what was heard and what came out."""
        known: dict[str, Array] = dict(group.inputs)
        for embedding in self._network.embeddings:
            ids = group.inputs[embedding.ids]
            known[embedding.name] = self._tables[embedding.name][ids] if ids.dtype.kind in "iu" else ids
        nodes: list[Any] = [*self._network.layers, *self._network.transforms]
        waiting = {one.name: one for one in nodes}
        while waiting:
            ready = [one for one in waiting.values() if not _reads(one) & waiting.keys()]
            for one in ready:
                del waiting[one.name]
                if isinstance(one, Layer):
                    known[one.name] = self._run(one, known, group)
                else:
                    known[one.name] = self._transform(one, known, group)
            if not ready:
                raise BadInput(f"the layers feed each other in a circle: {', '.join(sorted(waiting))}")
        for name, feed in self._network.outputs.items():
            found = self._entering(feed, known, group)
            group.outcomes[name] = found[:, ::-1] if feed.turned else found

    def _run(self, layer: Layer, known: Mapping[str, Array], group: Group) -> Array:
        """What a layer passes on, at the time of what it reads."""
        x = self._entering(layer.feed, known, group)
        tensor = tf.constant(x, self._dtype)
        mask = self._mask(layer.feed.mask, known, group)
        if mask is not None:
            tensor._keras_mask = tf.constant(mask)
        given = {state: self._entering(feed, known, group) for state, feed in layer.initial.items()}
        given.update(group.initial.get(layer.name, {}))
        made = self._layers[layer.name]
        h: Array = made(tensor, initial={layer.name: given} if given else None)[0].numpy()
        group.heard.update(made.heard)
        h = h[:, ::-1] if layer.direction == "backward" else h
        return h + x if layer.settings["residual"] else h

    def _transform(self, transform: Any, known: Mapping[str, Array], group: Group) -> Array:
        given = [self._entering(feed, known, group) for feed in transform.feeds]
        given = [x[:, ::-1] if feed.turned else x for x, feed in zip(given, transform.feeds, strict=True)]
        masks = [self._mask(feed.mask, known, group) for feed in transform.feeds]
        found: Array = self._transforms[transform.name](given, masks)[0].numpy()
        return found

    def _entering(self, feed: Feed, known: Mapping[str, Array], group: Group) -> Array:
        """The sources of a feed as one array: `[group, time, …]`, or a final state `[group, …]`."""
        if feed.final:
            parts = [group.heard[source].final[feed.final] for source in feed.sources]
        else:
            parts = [known[source] for source in feed.sources]
        match feed.merge:
            case _ if len(parts) == 1:
                return parts[0]
            case "sum":
                return np.sum(parts, axis=0, dtype=parts[0].dtype)
            case "ave":
                return np.mean(parts, axis=0, dtype=parts[0].dtype)
            case "mul":
                product: Array = np.prod(parts, axis=0, dtype=parts[0].dtype)
                return product
            case _:
                whole: Array = np.concatenate(parts, axis=-1)
                return whole

    def _mask(self, mask: Mask | None, known: Mapping[str, Array], group: Group) -> Array | None:
        """The steps that count, `[group, time]`. What speaks of ids says nothing of floats given in their place."""
        if mask is None:
            return None
        ids = {embedding.name: embedding.ids for embedding in self._network.embeddings}
        given = group.inputs[ids[mask.source]] if mask.source in ids else known[mask.source]
        if mask.source in ids and given.dtype.kind not in "iu":
            return None
        counted: Array = np.asarray((given != mask.value).reshape(*given.shape[:2], -1).any(axis=-1))
        return counted[:, ::-1] if mask.turned else counted


def _reads(one: Any) -> set[str]:
    """The names that a layer or a transform is computed from."""
    masks = [feed.mask.source for feed in one.feeds if feed.mask is not None]
    return {source for feed in one.feeds for source in feed.sources} | set(masks)
