"""Makes the goldens of Sonnet 2 in `sonnet-2.0.2`: `python make_sonnet.py [CASE …]`, with dm-sonnet 2.0.2.

Each case is a core with seeded random weights, saved as `tf.train.Checkpoint(module=core)`, and what Sonnet itself
computes from it: `x` `[2, 5, 3]` (of a convolution, `[2, 5, *space, 3]`), `out0` `[2, 5, units]` likewise, the final
states `st0` … and those after every step `step<t>_s<k>`, c before h.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import sonnet as snt
import tensorflow as tf

HERE = Path(__file__).parent / f"sonnet-{snt.__version__}"
SPACE = (4, 5, 3)
CORES = {
    "lstm": lambda: snt.LSTM(4),
    "lstm_projected": lambda: snt.LSTM(4, projection_size=2),
    "unrolled_lstm": lambda: snt.UnrolledLSTM(4),
    "gru": lambda: snt.GRU(4),
    "vanilla_rnn": lambda: snt.VanillaRNN(4),
    **{
        f"conv_lstm_{axes}d": lambda core=core, axes=axes: core((*SPACE[:axes], 3), 2, 3)
        for axes, core in enumerate((snt.Conv1DLSTM, snt.Conv2DLSTM, snt.Conv3DLSTM), 1)
    },
    "deep_rnn": lambda: snt.DeepRNN([snt.LSTM(4), snt.LSTM(3)]),
}


def states(state: object) -> list[tf.Tensor]:
    """A core's state as a flat list, c before h."""
    if isinstance(state, snt.LSTMState):
        return [state.cell, state.hidden]
    if isinstance(state, tuple | list):
        return [tensor for inner in state for tensor in states(inner)]
    return [state]


def make(name: str) -> None:
    """Builds, runs and saves a case."""
    core, random = CORES[name](), np.random.default_rng(sum(map(ord, name)))
    space = SPACE[: int(name[-2])] if name.startswith("conv") else ()
    x = tf.constant(random.normal(size=(2, 5, *space, 3)), tf.float32)
    by_time = tf.experimental.numpy.swapaxes(x, 0, 1)
    state = core.initial_state(2)
    unrolled = isinstance(core, snt.UnrolledLSTM)
    core(by_time if unrolled else x[:, 0], state)  # makes the variables
    for variable in core.variables:
        variable.assign(random.normal(0, 0.7, variable.shape))
    data = {"x": x.numpy()}
    if unrolled:
        sequence, state = core(by_time, state)
        data["out0"] = sequence.numpy().swapaxes(0, 1)
    else:
        outputs = []
        for t in range(x.shape[1]):
            output, state = core(x[:, t], state)
            outputs.append(output.numpy())
            data |= {f"step{t}_s{k}": tensor.numpy() for k, tensor in enumerate(states(state))}
        data["out0"] = np.stack(outputs, 1)
    data |= {f"st{k}": tensor.numpy() for k, tensor in enumerate(states(state))}
    folder = HERE / name
    folder.mkdir(parents=True, exist_ok=True)
    tf.train.Checkpoint(module=core).write(str(folder / "model.ckpt"))
    np.savez(folder / "data.npz", **data)
    variables = {variable.name: list(variable.shape) for variable in core.variables}
    case = {"case": name, "sonnet": snt.__version__, "tf": tf.__version__, "kind": "dyn", "vars": variables}
    (folder / "case.json").write_text(json.dumps(case, indent=1) + "\n")


if __name__ == "__main__":
    for case in sys.argv[1:] or CORES:
        make(case)
