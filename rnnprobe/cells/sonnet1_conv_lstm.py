"""The convolutional LSTMs of Sonnet 1.

As `rnnprobe.cells.conv_lstm`, but that h is convolved with the input's dilation, that either convolution may have a
bias, and that a layer norm, over space, gates and units together, may come between them and the gates:

    [i, g, f, o] = norm(x∗W + b + h∗U + d)

Each place has a gain and a shift of its own, so that such a layer takes steps of its own extent alone. What keeps the
extent is all that can go on from step to step: no strides, and zeros around it. With a skip connection, which Sonnet
had up to 1.14, h and x side by side are what is emitted, and what the next step sees in place of h: `joined`.

dm-sonnet 1.36, `ConvLSTM` in `python/modules/gated_rnn.py`; cells.md, section 10.2. Input and h have a module `conv`
each, which call themselves `conv` and `conv_1`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any

from rnnprobe.cells import conv_lstm
from rnnprobe.cells.conv_lstm import CONV_LSTMS, EXTENTS, each, keeping, kernel, space, times
from rnnprobe.cells.lstm import TF1_GATES, gated
from rnnprobe.cells.norms import layer_norm
from rnnprobe.cells.options import DILATION, FORGET_BIAS, SIGMOID, TANH
from rnnprobe.cells.sonnet1 import EPSILON, start, starts
from rnnprobe.cells.storage import columns
from rnnprobe.errors import BadInput
from rnnprobe.types import Cell, OptionValue, Part, Signal, Weight, Xp

_STARTS = ("start_depth", "start_height", "start_width")
_DILATION = replace(DILATION, help="Of the convolutions: a number for every axis of space.")


def step(
    xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
) -> dict[str, Any]:
    """One step from z `[batch, *space, 4 · units]`, c and h `[batch, *space, units]`."""
    dilation = each(options, DILATION.name, len(w["kernel"].shape) - 2)
    total = z + keeping(xp, state["h"], w["recurrent_kernel"], dilation)
    normed = {}
    if "norm_gamma" in w:
        shape = total.shape[1:]
        flat = layer_norm(xp, xp.reshape(total, (-1, prod(shape))), w["norm_gamma"], w["norm_beta"], EPSILON)
        total = xp.reshape(flat, (-1, *shape))
        normed = {f"{gate}_norm": a for gate, a in zip("ifgo", xp.split(total, 4), strict=True)}
    return gated(xp, w, total, state, options) | normed


def project_skipping(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
    """x∗W + b and x, `[..., *space, 4 · units + input_size]`."""
    return xp.concatenate([conv_lstm.project(xp, w, x, options), x])


def step_skipping(
    xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
) -> dict[str, Any]:
    """One step, of joined `[batch, *space, units + input_size]` and c `[batch, *space, units]`."""
    width = 4 * state["c"].shape[-1]
    signals = step(xp, w, z[..., :width], {"h": state["joined"], "c": state["c"]}, options)
    return {**signals, "joined": xp.concatenate([signals["h"], z[..., width:]])}


def own_space(shape: tuple[int, ...], sizes: Mapping[str, int], options: Mapping[str, OptionValue]) -> tuple[int, ...]:
    """The extent of the states for input steps of `shape`, which is a layer's own where its weights have one.

    Raises:
        BadInput: the steps are of another extent, or an option is no such number as it should be.
    """
    extent = space(shape, sizes, options)
    starting = tuple(sizes.get(name, 0) for name in _STARTS[-len(extent) :])
    if any(starting) and starting != extent:
        raise BadInput(f"steps are {times(extent)}, and the layer starts from states of {times(starting)}")
    if prod(extent) != sizes.get("places", prod(extent)):
        places = f"{prod(extent)} places, and the layer norm has gains for {sizes['places']}"
        raise BadInput(f"steps of {times(extent)} have {places}")
    return extent


def prepare(w: dict[str, Any]) -> dict[str, Any]:
    """The norm's gains and shifts, `[places · 4 · units]`, with the gates of each place in the order i, f, g, o."""
    units = w["recurrent_kernel"].shape[-2]
    places = [TF1_GATES.index(gate) for gate in "ifgo"]
    for part in ("norm_gamma", "norm_beta"):
        w = {**w, part: w[part].reshape(-1, len(places), units)[:, places].reshape(-1)}
    return w


def _core(cell: Cell, axes: int) -> Cell:
    """The core with as many axes of space as TensorFlow's cell."""
    width = columns(TF1_GATES)
    biases = (
        Weight(part, (f"{name}/b",), (width,), (Part(part, width, TF1_GATES),), optional=True)
        for part, name in (("bias", "conv"), ("recurrent_bias", "conv_1"))
    )
    return replace(
        cell,
        name=f"sonnet1_{cell.name}",
        title=f"Sonnet 1 Conv{axes}DLSTM",
        framework="sonnet",
        # That of three axes has no class, and so no name, of its own.
        scopes=(f"conv_{axes}d_lstm", "conv_lstm"),
        classes=(f"Conv{axes}DLSTM", "ConvLSTM"),
        weights=(
            kernel("kernel", ("conv/w",), axes, "input_size", TF1_GATES),
            kernel("recurrent_kernel", ("conv_1/w",), axes, "units", TF1_GATES),
            *biases,
            *starts({"h": "0", "c": "1"}, _STARTS[-axes:]),
        ),
        signals=(cell.signals[1], cell.signals[0], *cell.signals[2:]),
        options=(FORGET_BIAS, TANH, SIGMOID, _DILATION),
        step=step,
        space=own_space,
        start=start,
    )


def _normed(cell: Cell) -> Cell:
    """The same with `use_layer_norm`."""
    size = f"{columns(TF1_GATES)} * places"
    norms = (
        Weight(part, (f"layer_norm/{name}",), (size,), (Part(part, size),))
        for part, name in (("norm_gamma", "gamma"), ("norm_beta", "beta"))
    )
    return replace(
        cell,
        name=cell.name.replace("sonnet1_", "sonnet1_layer_norm_"),
        title=f"{cell.title}, use_layer_norm=True",
        weights=(*cell.weights, *norms),
        signals=(*cell.signals, *(Signal(f"{gate}_norm", "inner") for gate in "ifgo")),
        prepare=prepare,
    )


def _skipping(cell: Cell) -> Cell:
    """The same with `skip_connection`, of which no state starts from a variable, since Sonnet makes it too narrow."""
    joined = "units + input_size"
    h, c, *others = cell.signals
    weights = [
        replace(weight, shape=(*weight.shape[:-2], joined, weight.shape[-1]), parts=(replace(part, rows=joined),))
        if weight.role == "recurrent_kernel"
        else weight
        for weight in cell.weights
        for part in weight.parts
        if not weight.role.startswith("initial")
    ]
    return replace(
        cell,
        name=cell.name.replace("sonnet1_", "sonnet1_skip_"),
        title=f"{cell.title}, skip_connection=True",
        weights=tuple(weights),
        signals=(Signal("joined", "state", joined), c, replace(h, kind="inner"), *others),
        project=project_skipping,
        step=step_skipping,
        start=None,
        emits="joined",
    )


_CORES = tuple(_core(cell, axes) for axes, cell in zip(EXTENTS, CONV_LSTMS, strict=False))
SONNET1_CONV_LSTMS = (*_CORES, *map(_normed, _CORES), *map(_skipping, _CORES))
