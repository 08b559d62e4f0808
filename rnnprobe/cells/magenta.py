"""The LSTMs of Magenta's sketch_rnn, whose kernels W and U are tensors of their own.

LSTM            as `rnnprobe.cells.lstm`
LayerNormLSTM   each gate's sum is normalised and c' for h alone: h' = o·φ(norm(c')); no bias
HyperLSTM       a smaller LSTM beside it, given [x, h], emits ĥ; of ĥ come, for each gate k, what scales its products:

    z_k = ĥ·Z_k + b      s_k = (z_k·A_k)·(x·W_k) + (z'_k·A'_k)·(h·U_k) + (ĥ·Y_k)·B_k + b_k

    s_k then go on as in LayerNormLSTM, or without norms of the gates; z'_k is another z_k, for h. The smaller LSTM is a
    LayerNormLSTM or an LSTM; its signals are named with `hyper_` in front.

Magenta 1.3, `models/sketch_rnn/rnn.py`; Ha et al. 2016; cells.md, section 10.3. The states of one tensor: LSTM [c, h],
LayerNormLSTM [h, c], HyperLSTM [h, hyper_h, c, hyper_c], but without norms [h, hyper_c, c, hyper_h].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from rnnprobe.cells.lstm import BASIC_LSTM, SIGNALS, TF1_GATES, gated
from rnnprobe.cells.options import FORGET_BIAS, SIGMOID, TANH
from rnnprobe.cells.storage import bias, columns
from rnnprobe.types import Cell, OptionValue, Part, Signal, Weight, Xp

EPSILON = 1e-3
"""Of its norms."""

_WIDTH = columns(TF1_GATES)


def norm_step(
    xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
) -> dict[str, Any]:
    """One step of LayerNormLSTM from z `[batch, 4 · units]`, c and h `[batch, units]`."""
    return gated(xp, w, z + xp.matmul(state["h"], w["recurrent_kernel"]), state, options, EPSILON)


def _kernels() -> tuple[Weight, Weight]:
    return (
        Weight("kernel", ("W_xh",), ("input_size", _WIDTH), (Part("kernel", "input_size", TF1_GATES),)),
        Weight("recurrent_kernel", ("W_hh",), ("units", _WIDTH), (Part("recurrent_kernel", "units", TF1_GATES),)),
    )


def _gate_norms() -> Iterator[Weight]:
    for name in ("gamma", "beta"):
        yield Weight(name, (f"ln_all/ln_{name}",), (_WIDTH,), (Part(name, _WIDTH, TF1_GATES),))


def _c_norm() -> Iterator[Weight]:
    for name in ("gamma", "beta"):
        yield Weight(f"c_{name}", (f"ln_c/ln_{name}",), ("units",), (Part(f"c_{name}", "units"),))


_GATE_NORMS = tuple(Signal(f"{gate}_norm", "inner") for gate in "ifgo")
_C_NORM = Signal("c_norm", "inner")

MAGENTA_LSTM = replace(
    BASIC_LSTM,
    name="magenta_lstm",
    title="Magenta LSTM",
    framework="magenta",
    scopes=("LSTMCell",),
    classes=("LSTMCell",),
    weights=(*_kernels(), bias("bias", ("bias",), TF1_GATES)),
    options=(FORGET_BIAS, TANH, SIGMOID),
)

MAGENTA_LAYER_NORM_LSTM = replace(
    MAGENTA_LSTM,
    name="magenta_layer_norm_lstm",
    title="Magenta LayerNormLSTM",
    scopes=("LayerNormLSTMCell",),
    classes=("LayerNormLSTMCell",),
    weights=(*_kernels(), *_gate_norms(), *_c_norm()),
    signals=(SIGNALS[1], SIGNALS[0], *SIGNALS[2:], *_GATE_NORMS, _C_NORM),
    step=norm_step,
)


# HyperLSTM -----------------------------------------------------------------------------------------------------------

_LETTERS = dict(zip(TF1_GATES, "ijfo", strict=True))


def project(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
    """x·W, `[..., 4 · units]`, gates i, f, g, o, and the share of x in the sums of the smaller LSTM."""
    wide = xp.matmul(x, w["kernel_ifgo"])
    return xp.concatenate([wide, xp.matmul(x, w["hyper_kernel_hyper_ihyper_fhyper_ghyper_o"])])


def step(
    xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
) -> dict[str, Any]:
    """One step from z, c and h `[batch, units]`, hyper_c and hyper_h `[batch, hyper_units]`."""
    own, small = _parted(w)
    width = own["kernel"].shape[-1]
    x_own, x_small = z[..., :width], z[..., width:]
    total = x_small + xp.matmul(state["h"], small["h_kernel"])
    total = total + xp.matmul(state["hyper_h"], small["recurrent_kernel"])
    entered = {"c": state["hyper_c"], "h": state["hyper_h"]}
    # The smaller LSTM is made without a forget bias of its own choosing: Magenta leaves it the default.
    made = gated(xp, small, total + small.get("bias", 0.0), entered, {**options, "forget_bias": 1.0}, EPSILON)
    hyper = made["h"]
    products = zip("ifgo", xp.split(x_own, 4), xp.split(xp.matmul(state["h"], own["recurrent_kernel"]), 4), strict=True)
    sums, scales = [], {}
    for gate, x, h in products:
        scales[f"{gate}_x_scale"] = _scale(xp, w, f"{gate}_x", hyper)
        scales[f"{gate}_h_scale"] = _scale(xp, w, f"{gate}_h", hyper)
        scales[f"{gate}_h_shift"] = xp.matmul(xp.matmul(hyper, w[f"{gate}_h_zb"]), w[f"{gate}_h_beta"])
        sums.append(scales[f"{gate}_x_scale"] * x + scales[f"{gate}_h_scale"] * h + scales[f"{gate}_h_shift"])
    signals = gated(xp, own, xp.concatenate(sums) + own["bias"], state, options, EPSILON)
    return signals | {f"hyper_{name}": value for name, value in made.items()} | scales


def _parted(w: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parts of the LSTM and those of the smaller one, by the names of `rnnprobe.cells.lstm`."""
    small = {
        name.removeprefix("hyper_").removesuffix("_hyper_ihyper_fhyper_ghyper_o"): a
        for name, a in w.items()
        if name.startswith("hyper_")
    }
    own = {name.removesuffix("_ifgo"): a for name, a in w.items() if not name.startswith("hyper_")}
    return own, small


def _scale(xp: Xp, w: Mapping[str, Any], name: str, hyper: Any) -> Any:
    return xp.matmul(xp.matmul(hyper, w[f"{name}_zw"]) + w[f"{name}_zw_bias"], w[f"{name}_alpha"])


def _generators() -> Iterator[Weight]:
    """What makes scales and shifts of what the smaller LSTM emits, for each gate."""
    for gate, letter in _LETTERS.items():
        for of in "xh":
            for name, rows, width in (
                ("zw", "hyper_units", "embedding"),
                ("alpha", "embedding", "units"),
                ("zb", "hyper_units", "embedding"),
                ("beta", "embedding", "units"),
            ):
                if of == "x" and name in ("zb", "beta"):
                    continue
                part, stored = f"{gate}_{of}_{name}", f"hyper_{letter}{of}/{name}/super_linear"
                yield Weight(part, (f"{stored}_w",), (rows, width), (Part(part, rows),))
                if name == "zw":
                    yield Weight(f"{part}_bias", (f"{stored}_b",), (width,), (Part(f"{part}_bias", width),))


def _small(cell: Cell) -> Iterator[Weight]:
    """The weights of the smaller LSTM, which is given x and h side by side."""
    scope = cell.scopes[0]
    gates = tuple(f"hyper_{gate}" for gate in TF1_GATES)
    for weight in cell.weights:
        rows = {"kernel": "input_size + units", "recurrent_kernel": "hyper_units"}.get(weight.role)
        last = weight.shape[-1].replace("units", "hyper_units")
        parts = tuple(
            Part(f"hyper_{part.name}", part.rows.replace("units", "hyper_units"), gates if part.gates else ())
            for part in weight.parts
        )
        if weight.role == "kernel":
            parts = (Part("hyper_kernel", "input_size", gates), Part("hyper_h_kernel", "units", gates))
        yield Weight(
            f"hyper_{weight.role}",
            tuple(f"{scope}/{name}" for name in weight.names),
            (rows, last) if rows else (last,),
            parts,
        )


def _hyper_signals(cell: Cell) -> Iterator[Signal]:
    for signal in cell.signals:
        yield replace(signal, name=f"hyper_{signal.name}", size="hyper_units")


def _hyper(cell: Cell, name: str, title: str, norms: tuple[Weight, ...], inner: tuple[Signal, ...]) -> Cell:
    own = {signal.name: signal for signal in SIGNALS}
    small = {signal.name: signal for signal in _hyper_signals(cell)}
    first, second = cell.states  # of one tensor, whose halves lie beside h and beside c
    states = (own["h"], small[f"hyper_{first}"], own["c"], small[f"hyper_{second}"])
    rest = [s for s in (*SIGNALS, *inner, *small.values()) if s.kind != "state"]
    return replace(
        MAGENTA_LSTM,
        name=name,
        title=title,
        scopes=("HyperLSTMCell",),
        classes=("HyperLSTMCell",),
        weights=(*MAGENTA_LSTM.weights, *norms, *_c_norm(), *_small(cell), *_generators()),
        gates=(*TF1_GATES, *(f"hyper_{gate}" for gate in TF1_GATES)),
        spelled=(*"ijfo", *(f"hyper_{letter}" for letter in "ijfo")),
        order=(("i", "f", "g", "o"), ("hyper_i", "hyper_f", "hyper_g", "hyper_o")),
        signals=(
            *states,
            *rest,
            *(Signal(f"{gate}_{what}", "inner") for gate in "ifgo" for what in ("x_scale", "h_scale", "h_shift")),
        ),
        project=project,
        step=step,
    )


MAGENTA_HYPER_LSTM = _hyper(
    MAGENTA_LAYER_NORM_LSTM,
    "magenta_hyper_lstm",
    "Magenta HyperLSTM",
    tuple(_gate_norms()),
    (*_GATE_NORMS, _C_NORM),
)
MAGENTA_HYPER_LSTM_PLAIN = _hyper(
    MAGENTA_LSTM, "magenta_hyper_lstm_plain", "Magenta HyperLSTM, use_layer_norm=False", (), (_C_NORM,)
)
