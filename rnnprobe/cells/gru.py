"""The GRU family.

    r = ψ(x·W_r + h·U_r + b_r)        z = ψ(x·W_z + h·U_z + b_z)        h' = z·h + (1 - z)·n
    n = φ(x·W_n + b_n + (r·h)·U_n)              reset before the product
    n = φ(x·W_n + b_n + r·(h·U_n + d_n))        reset after it; d is the recurrent bias, added for r and z as well

TensorFlow 1 `GRUCell` (`rnn_cell_impl.py`; its u is z), contrib `GRUBlockCell` (`gru_ops.py`), `IndyGRUCell`
(`rnn_cell.py`; each unit has weights for its own h alone, and U is a row) and `CudnnCompatibleGRUCell`
(`cudnn_rnn_ops.py`), whose names cuDNN layers are saved by; Keras `GRU` (`recurrent.py`, `gru.py`; its h is n) and
`CuDNNGRU` (`cudnn_recurrent.py`); cells.md, sections 1 to 4 and 9.3. In all of them z keeps the old state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rnnprobe.cells.activations import activate
from rnnprobe.cells.options import ACTIVATION, RECURRENT_ACTIVATION, RESET, SIGMOID, TANH
from rnnprobe.cells.rnn import recurrent
from rnnprobe.cells.storage import bias, columns, cudnn_bias, kernels, separate, stacked
from rnnprobe.types import Cell, OptionValue, Part, Signal, Weight, Xp


def project(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
    """x·W + b, `[..., 3 · units]`, gates r, z, n; with the recurrent bias of r and z."""
    shares = []
    for group in ("rz", "n"):
        share = xp.matmul(x, w[f"kernel_{group}"])
        if f"bias_{group}" in w:
            share = share + w[f"bias_{group}"]
        shares.append(share)
    if "recurrent_bias_rz" in w:
        shares[0] = shares[0] + w["recurrent_bias_rz"]
    return xp.concatenate(shares)


def step(
    xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
) -> dict[str, Any]:
    """One step from z `[batch, 3 · units]` and h `[batch, units]`."""
    psi, h = options["recurrent_activation"], state["h"]
    x_r, x_z, x_n = xp.split(z, 3)
    h_r, h_z = xp.split(recurrent(xp, h, w["recurrent_kernel_rz"]), 2)
    r_pre, z_pre = x_r + h_r, x_z + h_z
    r, update = activate(xp, psi, r_pre), activate(xp, psi, z_pre)
    if options["reset"] == "before":
        n_pre = x_n + recurrent(xp, r * h, w["recurrent_kernel_n"])
    else:
        h_n = recurrent(xp, h, w["recurrent_kernel_n"])
        if "recurrent_bias_n" in w:
            h_n = h_n + w["recurrent_bias_n"]
        n_pre = x_n + r * h_n
    n = activate(xp, options["activation"], n_pre)
    return {
        "h": update * h + (1.0 - update) * n,
        "r": r,
        "z": update,
        "n": n,
        "r_pre": r_pre,
        "z_pre": z_pre,
        "n_pre": n_pre,
    }


_RESET_BEFORE = replace(RESET, choices=("before",))
_RESET_AFTER = replace(RESET, default="after", choices=("after",))
_TF1_GATES = ("r", "z", "n")
_KERAS_GATES = ("z", "r", "n")


def _tf1_pair(scope: str, gates: tuple[str, ...]) -> tuple[Weight, Weight]:
    """The kernel and bias of one of GRUCell's two products."""
    camel = f"{scope.capitalize()}/Linear"
    return (
        stacked(f"{scope}_kernel", (f"{scope}/kernel", f"{scope}/weights", f"{camel}/Matrix"), gates),
        bias(f"{scope}_bias", (f"{scope}/bias", f"{scope}/biases", f"{camel}/Bias"), gates),
    )


def _one(role: str, name: str, part: str, rows: str, gate: str) -> Weight:
    """A matrix or a bias of a single gate."""
    shape = ("units",) if part.endswith("bias") else (rows, "units")
    return Weight(role, (name,), shape, (Part(part, rows, (gate,)),))


def _indy(scope: str, kernel: str, gates: tuple[str, ...]) -> tuple[Weight, ...]:
    """IndyGRUCell's kernel, row of weights and bias."""
    width = columns(gates)
    return (
        Weight(
            f"{scope}_kernel", (f"{scope}/{kernel}",), ("input_size", width), (Part("kernel", "input_size", gates),)
        ),
        Weight(f"{scope}_recurrent", (f"{scope}/kernel_u",), ("1", width), (Part("recurrent_kernel", "1", gates),)),
        bias(f"{scope}_bias", (f"{scope}/bias",), gates),
    )


GRU = Cell(
    name="gru",
    title="GRU",
    framework="tf1",
    # TensorFlow 1.4 called GRUBlockCellV2 by its class; from 1.5 on it goes by GRUCell's name.
    scopes=("gru_cell", "GRUCell", "GRUBlockCellV2"),
    classes=("GRUCell", "GRUBlockCellV2"),
    weights=(*_tf1_pair("gates", ("r", "z")), *_tf1_pair("candidate", ("n",))),
    gates=_TF1_GATES,
    spelled=("r", "u", "c"),
    order=(("r", "z"), ("n",)),
    signals=(
        Signal("h", "state"),
        *(Signal(gate, "gate", activation="activation" if gate == "n" else "recurrent_activation") for gate in "rzn"),
        *(Signal(f"{gate}_pre", "pre") for gate in "rzn"),
    ),
    options=(ACTIVATION, SIGMOID, _RESET_BEFORE),
    project=project,
    step=step,
)

GRU_BLOCK = replace(
    GRU,
    name="gru_block",
    title="GRUBlock",
    scopes=("gru_cell", "GRUBlockCell"),
    classes=("GRUBlockCell",),
    weights=(
        stacked("gates_kernel", ("w_ru",), ("r", "z")),
        bias("gates_bias", ("b_ru",), ("r", "z")),
        stacked("candidate_kernel", ("w_c",), ("n",)),
        bias("candidate_bias", ("b_c",), ("n",)),
    ),
    options=(TANH, SIGMOID, _RESET_BEFORE),
)

CUDNN_GRU = replace(
    GRU,
    name="cudnn_compatible_gru",
    title="CudnnCompatibleGRU",
    scopes=("cudnn_compatible_gru_cell",),
    classes=("CudnnCompatibleGRUCell", "CudnnGRU"),
    weights=(
        *_tf1_pair("gates", ("r", "z")),
        *(
            weight
            for side, rows, prefix in (("input", "input_size", ""), ("hidden", "units", "recurrent_"))
            for weight in (
                _one(f"candidate_{side}_kernel", f"candidate/{side}_projection/kernel", f"{prefix}kernel", rows, "n"),
                _one(f"candidate_{side}_bias", f"candidate/{side}_projection/bias", f"{prefix}bias", "units", "n"),
            )
        ),
    ),
    options=(TANH, SIGMOID, _RESET_AFTER),
)

INDY_GRU = replace(
    GRU,
    name="indy_gru",
    title="IndyGRU",
    scopes=("indy_gru_cell",),
    classes=("IndyGRUCell",),
    weights=(
        *_indy("gates", "kernel_w", ("r", "z")),
        *_indy("candidate", "kernel", ("n",)),
    ),
)

KERAS_GRU = replace(
    GRU,
    name="keras_gru",
    title="Keras GRU",
    framework="keras",
    scopes=("gru_cell",),
    classes=("GRU", "GRUCell"),
    weights=(*kernels(_KERAS_GATES), bias("bias", ("bias", "b"), _KERAS_GATES, optional=True)),
    gates=_KERAS_GATES,
    spelled=("z", "r", "h"),
    options=(ACTIVATION, RECURRENT_ACTIVATION, RESET),
)
"""Without a second row of biases; without any bias, only the configuration tells whether it resets after."""

KERAS_GRU_RESET_AFTER = replace(
    KERAS_GRU,
    name="keras_gru_reset_after",
    title="Keras GRU, reset after",
    weights=(
        *kernels(_KERAS_GATES),
        Weight(
            "bias",
            ("bias",),
            ("2", "3 * units"),
            (Part("bias", "1", _KERAS_GATES), Part("recurrent_bias", "1", _KERAS_GATES)),
        ),
    ),
    options=(ACTIVATION, RECURRENT_ACTIVATION, _RESET_AFTER),
)

KERAS1_GRU = replace(
    KERAS_GRU,
    name="keras1_gru",
    title="Keras 1 GRU, an array a gate",
    scopes=(),
    weights=separate(_KERAS_GATES, "zrh"),
    options=(ACTIVATION, RECURRENT_ACTIVATION, _RESET_BEFORE),
)

KERAS_CUDNN_GRU = replace(
    KERAS_GRU,
    name="keras_cudnn_gru",
    title="Keras CuDNNGRU",
    scopes=(),
    classes=("CuDNNGRU",),
    weights=(*kernels(_KERAS_GATES, cudnn=True), cudnn_bias(_KERAS_GATES)),
    options=(TANH, SIGMOID, _RESET_AFTER),
)
