"""What other frameworks compute from the arrays of a layout, as their documentation has it, in NumPy.

Each takes the arguments and arrays of a module and x `[time, batch, features]`, and returns what the module passes on,
`[time, batch, size]`; both directions side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnprobe.analysis.layouts.module import Module
from rnnprobe.cells import CELLS
from rnnprobe.cells.layers import defaults, fit
from rnnprobe.cells.namespace import NumPy
from rnnprobe.cells.slices import assemble
from rnnprobe.types import Layer, Tensor, Value

Arrays = Mapping[str, np.ndarray]


def sigmoid(a):
    return 1.0 / (1.0 + np.exp(-a))


def arrays(module: Module) -> dict[str, np.ndarray]:
    return {entry.name: entry.values for entry in module.written.entries}


def computed(layer: Layer, x: np.ndarray) -> np.ndarray:
    """What rnnprobe's own equations make of a layer, each row at the time of the input that it read."""
    w, settings = assemble(layer), layer.settings
    sizes = {signal.name: layer.sizes[signal.size] for signal in layer.cell.signals if signal.kind == "state"}
    state = {name: np.zeros((x.shape[1], size), x.dtype) for name, size in sizes.items()}
    steps = []
    for z in turned(layer.cell.project(NumPy, w, x, settings), layer.direction == "backward"):
        state = layer.cell.step(NumPy, w, z, state, settings)
        steps.append(state["h"])
    return turned(np.stack(steps), layer.direction == "backward")


def turned(a: np.ndarray, backward: bool) -> np.ndarray:
    return a[::-1] if backward else a


CELL_OF = {
    "LSTMCell": "lstm",
    "GRUCell": "gru",
    "CudnnCompatibleGRUCell": "cudnn_compatible_gru",
    "BasicRNNCell": "basic_rnn",
    "LSTM": "keras_lstm",
    "SimpleRNN": "keras_simple_rnn",
}


def layer_of(module: Module, name: str = "converted") -> Layer:
    """A module of tf1 or keras as a layer of the registered cell that stores it."""
    held, arguments = arrays(module), dict(module.written.arguments)
    title = module.written.title.rpartition(".")[2]
    gru = "keras_gru_reset_after" if held.get("bias", np.zeros(0)).ndim == 2 else "keras_gru"
    wanted = gru if title == "GRU" else CELL_OF[title]
    cell = next(cell for cell in CELLS if cell.name == wanted)
    weights = {
        weight.role: Tensor(weight.names[0], held[weight.names[0]].shape, "float32", held[weight.names[0]].__getitem__)
        for weight in cell.weights
        if weight.names[0] in held
    }
    assert {weight.name for weight in weights.values()} == held.keys()
    sizes = fit(cell, weights)
    assert sizes is not None
    if "reset_after" in arguments:
        arguments["reset"] = "after" if arguments["reset_after"] else "before"
    options = defaults(cell)
    options |= {key: Value(arguments[key], "flag") for key in options if key in arguments}
    backward = bool(arguments.get("go_backwards")) or any("backward" in note for note in module.written.notes)
    return Layer(name, name, cell, weights, sizes, options, "backward" if backward else "forward")


def torch(arguments: Mapping[str, Any], held: Arrays, x: np.ndarray, kind: str) -> np.ndarray:
    """torch.nn.LSTM, GRU and RNN, as their pages have the equations."""
    for level in range(arguments.get("num_layers", 1)):
        ways = []
        for suffix in ("", "_reverse")[: 1 + arguments.get("bidirectional", False)]:
            w = {name: held.get(f"{name}_l{level}{suffix}") for name in ("weight_ih", "weight_hh", "weight_hr")}
            w |= {name: held.get(f"{name}_l{level}{suffix}", np.zeros(1, "f")) for name in ("bias_ih", "bias_hh")}
            ways.append(turned(_torch_way(w, turned(x, bool(suffix)), kind, arguments), bool(suffix)))
        x = np.concatenate(ways, axis=-1)
    return x


def _torch_way(w: Arrays, x: np.ndarray, kind: str, arguments: Mapping[str, Any]) -> np.ndarray:
    h = np.zeros((x.shape[1], w["weight_hh"].shape[1]), "f")
    c = np.zeros((x.shape[1], arguments["hidden_size"]), "f")
    steps = []
    for x_t in x:
        from_x, from_h = x_t @ w["weight_ih"].T + w["bias_ih"], h @ w["weight_hh"].T + w["bias_hh"]
        if kind == "LSTM":
            i, f, g, o = np.split(from_x + from_h, 4, axis=-1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            h = h if w["weight_hr"] is None else h @ w["weight_hr"].T
        elif kind == "GRU":
            x_r, x_z, x_n = np.split(from_x, 3, axis=-1)
            h_r, h_z, h_n = np.split(from_h, 3, axis=-1)
            z, n = sigmoid(x_z + h_z), np.tanh(x_n + sigmoid(x_r + h_r) * h_n)
            h = (1 - z) * n + z * h
        else:
            h = {"tanh": np.tanh, "relu": lambda a: np.maximum(a, 0)}[arguments["nonlinearity"]](from_x + from_h)
        steps.append(h)
    return np.stack(steps)


_CUDNN = {"lstm": ("LSTM", "ifco"), "gru": ("GRU", "rih"), "rnn_tanh": ("RNN", ""), "rnn_relu": ("RNN", "")}


def cudnn(arguments: Mapping[str, Any], held: Arrays, x: np.ndarray) -> np.ndarray:
    """cuDNN's equations are those of PyTorch, which calls it; a matrix and two biases for each gate."""
    kind, gates = _CUDNN[arguments["rnn_mode"]]
    both = arguments["direction"] == "bidirectional"
    stacked = {}
    for way in (f"l{k}{side}" for k in range(arguments["num_layers"]) for side in ("", "_reverse")[: 1 + both]):
        for name, letter in (("weight_ih", "W"), ("weight_hh", "R"), ("bias_ih", "b_W"), ("bias_hh", "b_R")):
            parts = [held[f"{letter}{f'_{gate}' if gate else ''}_{way}"] for gate in gates or [""]]
            stacked[f"{name}_{way}"] = np.concatenate(parts)
        if f"P_{way}" in held:
            stacked[f"weight_hr_{way}"] = held[f"P_{way}"]
    given = {
        "num_layers": arguments["num_layers"],
        "hidden_size": arguments["num_units"],
        "bidirectional": both,
        "nonlinearity": arguments["rnn_mode"].removeprefix("rnn_"),
    }
    return torch(given, stacked, x, kind)


_ONNX = {
    "Tanh": lambda a, *_: np.tanh(a),
    "Sigmoid": lambda a, *_: sigmoid(a),
    "Relu": lambda a, *_: np.maximum(a, 0),
    "Softsign": lambda a, *_: a / (1 + np.abs(a)),
    "Softplus": lambda a, *_: np.log(1 + np.exp(a)),
    "Affine": lambda a, alpha, beta: alpha * a + beta,
    "Elu": lambda a, alpha, _: np.where(a >= 0, a, alpha * (np.exp(np.minimum(a, 0)) - 1)),
    "LeakyRelu": lambda a, alpha, _: np.where(a >= 0, a, alpha * a),
    "HardSigmoid": lambda a, alpha, beta: np.maximum(0, np.minimum(1, alpha * a + beta)),
}
_ALPHA, _BETA = {"Affine", "Elu", "LeakyRelu", "HardSigmoid"}, {"Affine", "HardSigmoid"}


def onnx(arguments: Mapping[str, Any], held: Arrays, x: np.ndarray, kind: str) -> np.ndarray:
    """The operators LSTM, GRU and RNN, as their specification has the equations."""
    alphas, betas = iter(arguments.get("activation_alpha", ())), iter(arguments.get("activation_beta", ()))
    functions = []
    for name in arguments["activations"]:
        numbers = next(alphas) if name in _ALPHA else None, next(betas) if name in _BETA else None
        functions.append(lambda a, name=name, numbers=numbers: _ONNX[name](a, *numbers))
    ways = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}[arguments["direction"]]
    each = len(functions) // len(ways)
    made = []
    for k, backward in enumerate(ways):
        w = {name: a[k] for name, a in held.items()}
        way = functions[k * each : (k + 1) * each]
        made.append(turned(_onnx_way(w, turned(x, backward), kind, way, arguments), backward))
    return np.concatenate(made, axis=-1)


def _onnx_way(w: Arrays, x: np.ndarray, kind: str, functions: list[Any], arguments: Mapping[str, Any]) -> np.ndarray:
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    h = c = np.zeros((x.shape[1], arguments["hidden_size"]), "f")
    wb, rb = np.split(w.get("B", np.zeros(2 * gates * h.shape[1], "f")), 2)
    p_i, p_o, p_f = np.split(w.get("P", np.zeros(3 * h.shape[1], "f")), 3)
    f_, *rest = functions
    steps = []
    for x_t in x:
        from_x, from_h = x_t @ w["W"].T + wb, h @ w["R"].T + rb
        if kind == "LSTM":
            i, o, f, g = np.split(from_x + from_h, 4, axis=-1)
            i, f = f_(i + p_i * c), f_(f + p_f * c)
            c = f * c + i * rest[0](g)
            h = f_(o + p_o * c) * rest[1](c)
        elif kind == "GRU":
            z, r, x_h = np.split(from_x, 3, axis=-1)
            h_z, h_r, h_h = np.split(from_h, 3, axis=-1)
            z, r = f_(z + h_z), f_(r + h_r)
            if not arguments["linear_before_reset"]:
                units = h.shape[1]
                h_h = (r * h) @ w["R"][2 * units :].T + rb[2 * units :]
                r = 1.0
            h = (1 - z) * rest[0](x_h + r * h_h) + z * h
        else:
            h = f_(from_x + from_h)
        steps.append(h)
    return np.stack(steps)


def ran(module: Module, layout: str, x: np.ndarray) -> np.ndarray:
    """What the target computes from a module; of one that runs backward alone, turned around as its note says."""
    arguments, held = module.written.arguments, arrays(module)
    kind = module.written.title.rpartition(".")[2].rpartition(" ")[2]
    if layout in ("tf1", "keras"):
        return computed(layer_of(module), x)
    if layout == "onnx":
        return onnx(arguments, held, x, kind)
    backward = any("runs backward" in note for note in module.written.notes)
    run = cudnn if layout == "cudnn" else lambda *given: torch(*given, kind)
    return turned(run(arguments, held, turned(x, backward)), backward)
