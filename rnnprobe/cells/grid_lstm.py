"""LSTMs that sweep over the features of a step: window after window, with what the window before emitted as an input.

Window w holds `feature_size` features from place w·skip on. Over time it has a c and an h of its own; along the windows
of a step runs another c and h, from zeros on, here `c_freq` and `h_freq`. Of the two LSTMs of a window, for each gate,

    a = [x_w, h, h_freq of the window before]·W + b
    i = σ(a_i + p·c + q·c_freq)      c' = clip(f·c + i·g)            with the LSTM over time
    f = σ(a_f + … + forget_bias)     c_freq' = clip(f·c_freq + i·g)  with the LSTM along the windows
    o = σ(a_o + p·c' + q·c_freq')    h' = o·tanh(c'), h_freq' = o·tanh(c_freq')

    GridLSTMCell               passes on h, h_freq of each window; its two LSTMs may share their weights, and f may be
                               1 - i
    BidirectionalGridLSTMCell  a second grid, whose signals end in `_bwd`, takes the windows from the last to the first:
                               its window 0 is the last one of x
    TimeFreqLSTMCell           has one LSTM, whose h is h_freq, too; it passes on h of each window

How many windows there are and how far they are apart is not among the weights. What x has behind the last window is
never looked at. `contrib/rnn/python/ops/rnn_cell.py`; Sainath and Li 2016; cells.md, section 4.
Not here: windows in several blocks with weights of their own (`start_freqindex_list`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rnnprobe.cells.lstm import clipped
from rnnprobe.cells.options import (
    BACKWARD_SLICE_OFFSET,
    CELL_CLIP,
    FORGET_BIAS,
    FREQUENCY_SKIP,
    FREQUENCY_WINDOWS,
    SIGMOID,
    TANH,
)
from rnnprobe.cells.storage import columns
from rnnprobe.types import Cell, OptionValue, Part, Signal, Weight, Xp

_SIZE = "frequency_windows, units"
_ACROSS = "_freq"
_BACKWARD = "_bwd"


def project(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
    """x_w·W + b, `[..., directions · windows · LSTMs · gates · units]`."""
    products = []
    for direction in _directions(w):
        own = _of(w, direction)
        windows = list(_windows(xp, x, own, options, backward=bool(direction)))
        for window in windows[::-1] if direction else windows:
            products += [xp.matmul(window, own[f"kernel{lstm}"]) + own[f"bias{lstm}"] for lstm in _stored(own)]
    return xp.concatenate(products)


def step(
    xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
) -> dict[str, Any]:
    """One step from z, and c and h `[batch, windows, units]` of each direction."""
    signals: dict[str, Any] = {}
    emitted = []
    directions = _directions(w)
    for direction, entered in zip(directions, xp.split(z, len(directions)), strict=True):
        own = _of(w, direction)
        windows = list(_sweep(xp, own, entered, state[f"c{direction}"], state[f"h{direction}"], options))
        for made in windows:
            emitted += [made["h"], *([made[f"h{_ACROSS}"]] if _two(own) else [])]
        for name in windows[0]:
            signals[_name(name, direction)] = _stacked(xp, [made[name] for made in windows])
    return {**signals, "y": xp.concatenate(emitted)}


def _directions(w: Mapping[str, Any]) -> tuple[str, ...]:
    return ("", _BACKWARD) if any(part.endswith(_BACKWARD) for part in w) else ("",)


def _of(w: Mapping[str, Any], direction: str) -> dict[str, Any]:
    """The parts of one direction, by the names that the forward one has for them."""
    return {
        part.removesuffix(_BACKWARD): a for part, a in w.items() if part.endswith(_BACKWARD) == (direction == _BACKWARD)
    }


def _two(w: Mapping[str, Any]) -> bool:
    """Whether there is an LSTM along the windows besides that over time."""
    return f"kernel{_ACROSS}" in w


def _stored(w: Mapping[str, Any]) -> list[str]:
    """The LSTMs that have weights; where only that along the windows has, the other takes its."""
    return [lstm for lstm in ("", _ACROSS) if f"kernel{lstm}" in w]


def _windows(
    xp: Xp, x: Any, w: Mapping[str, Any], options: Mapping[str, OptionValue], *, backward: bool
) -> Iterator[Any]:
    """What each window holds of x, the first one first."""
    size = w[f"kernel{_stored(w)[0]}"].shape[0]
    skip, count = _whole(options, FREQUENCY_SKIP.name), _whole(options, FREQUENCY_WINDOWS.name)
    offset = _whole(options, BACKWARD_SLICE_OFFSET.name) if backward else 0
    if offset:
        # Zeros stand behind x where windows start later, in front of it where they start earlier.
        zeros = [0.0 * x[..., :1]] * abs(offset)
        x = xp.concatenate([x, *zeros] if offset > 0 else [*zeros, x])
    for k in range(count):
        start = max(offset, 0) + k * skip
        yield x[..., start : start + size]


def _whole(options: Mapping[str, OptionValue], name: str) -> int:
    value = options[name]
    return int(value) if isinstance(value, int | float) else 0


def _sweep(
    xp: Xp, w: Mapping[str, Any], z: Any, c: Any, h: Any, options: Mapping[str, OptionValue]
) -> Iterator[dict[str, Any]]:
    """The signals of each window, one after the other, `[batch, units]` each."""
    stored = _stored(w)
    across = {"c": 0.0 * c[:, 0], "h": 0.0 * h[:, 0]}
    blocks = iter(xp.split(z, c.shape[-2] * len(stored)))
    for k in range(c.shape[-2]):
        totals = {
            lstm: next(blocks)
            + xp.matmul(h[:, k], w[f"recurrent_kernel{lstm}"])
            + xp.matmul(across["h"], w[f"frequency_kernel{lstm}"])
            for lstm in stored
        }
        made = _window(xp, w, totals, c[:, k], across["c"], options)
        across = {name: made[f"{name}{_ACROSS}" if _two(w) else name] for name in across}
        yield made


def _window(
    xp: Xp, w: Mapping[str, Any], totals: Mapping[str, Any], c: Any, c_across: Any, options: Mapping[str, OptionValue]
) -> dict[str, Any]:
    """One window's LSTMs, from the sums of their gates `[batch, gates · units]` and their old c."""
    made: dict[str, Any] = {}
    looks = {"peephole": c, "frequency_peephole": c_across}
    pre, peepholes = {}, {}
    for lstm in ("", _ACROSS) if _two(w) else ("",):
        held = lstm if lstm in totals else _ACROSS
        letters = "ifgo" if totals[held].shape[-1] == 4 * c.shape[-1] else "igo"
        pre[lstm] = dict(zip(letters, xp.split(totals[held], len(letters)), strict=True))
        peepholes[lstm] = {look: _peepholes(xp, w, f"{look}{held}", letters) for look in looks}
        gates = pre[lstm]
        if "f" in gates and options[FORGET_BIAS.name]:
            gates["f"] = gates["f"] + options[FORGET_BIAS.name]
        for gate in set(letters) & set("if"):
            gates[gate] = _peeped(gates[gate], gate, peepholes[lstm], looks)
        i, g = xp.sigmoid(gates["i"]), xp.tanh(gates["g"])
        f = xp.sigmoid(gates["f"]) if "f" in gates else 1.0 - i
        kept = f * (c_across if lstm else c) + i * g
        made |= {f"c{lstm}": clipped(xp, kept, options[CELL_CLIP.name]), f"i{lstm}": i, f"f{lstm}": f, f"g{lstm}": g}
    looks = {"peephole": made["c"], "frequency_peephole": made.get(f"c{_ACROSS}")}
    for lstm, gates in pre.items():
        gates["o"] = _peeped(gates["o"], "o", peepholes[lstm], looks)
        o = made[f"o{lstm}"] = xp.sigmoid(gates["o"])
        made[f"h{lstm}"] = o * xp.tanh(made[f"c{lstm}"])
        made |= {_name(f"{gate}_pre", lstm): a for gate, a in gates.items()}
    return made


def _peepholes(xp: Xp, w: Mapping[str, Any], part: str, letters: str) -> dict[str, Any]:
    """The diagonals of a part by gate."""
    gates = [gate for gate in letters if gate != "g"]
    return dict(zip(gates, xp.split(w[part], len(gates)), strict=True)) if part in w else {}


def _peeped(a: Any, gate: str, peepholes: Mapping[str, Mapping[str, Any]], looks: Mapping[str, Any]) -> Any:
    """A gate's sum with what it sees of each c."""
    for look, diagonals in peepholes.items():
        if gate in diagonals:
            a = a + diagonals[gate] * looks[look]
    return a


def _stacked(xp: Xp, arrays: Sequence[Any]) -> Any:
    """`[batch, units]` each, as `[batch, windows, units]`."""
    return xp.moveaxis(xp.concatenate([a[..., None] for a in arrays]), -1, -2)


# Tables --------------------------------------------------------------------------------------------------------------


def _name(name: str, suffix: str) -> str:
    """The name of something of the LSTM over time, for another: `i_freq`, `i_freq_pre`."""
    letter, pre, _ = name.partition("_pre")
    return f"{letter}{suffix}{pre}"


def _stacked_weights(gates: Sequence[str], suffix: str, kernel: str, bias: str, *, optional: bool) -> Iterator[Weight]:
    """An LSTM's matrix, whose rows meet x_w, h and h_freq, and its bias."""
    own = tuple(f"{gate}{suffix}" for gate in gates)
    width = columns(own)
    parts = (
        Part(f"kernel{suffix}", "feature_size", own),
        Part(f"recurrent_kernel{suffix}", "units", own),
        Part(f"frequency_kernel{suffix}", "units", own),
    )
    yield Weight(f"kernel{suffix}", (kernel,), ("feature_size + 2 * units", width), parts, optional)
    yield Weight(f"bias{suffix}", (bias,), (width,), (Part(f"bias{suffix}", width, own),), optional)


def _diagonals(gates: Sequence[str], suffix: str, part: str, name: str) -> Iterator[Weight]:
    """The peepholes of one LSTM at one c; `#` in the name stands for the gate's letter."""
    for gate in gates:
        if gate != "g":
            held = (Part(f"{part}{suffix}", "units", (f"{gate}{suffix}",)),)
            stored = (name.replace("#", gate.upper()),)
            yield Weight(f"{part}{suffix}_{gate}", stored, ("units",), held, optional=True)


def _grid_weights(gates: Sequence[str], direction: str, scope: str) -> Iterator[Weight]:
    """One direction of a grid: the LSTM over time has weights of its own unless they are shared."""
    for suffix, word, name in (("", "t", "time"), (_ACROSS, "f", "freq")):
        own, shared = f"{suffix}{direction}", not suffix
        yield from _stacked_weights(gates, own, f"{scope}W_{word}_0_0", f"{scope}B_{word}_0", optional=shared)
        yield from _diagonals(gates, own, "peephole", f"{scope}W_#_diag_{name}t_0")
        yield from _diagonals(gates, own, "frequency_peephole", f"{scope}W_#_diag_{name}f_0")


def _signals(gates: Sequence[str], directions: Sequence[str], lstms: Sequence[str], emitted: str) -> Iterator[Signal]:
    """The states of each direction, what is passed on, and what else each LSTM of a window has."""
    for direction in directions:
        yield from (Signal(f"{name}{direction}", "state", _SIZE) for name in "ch")
    yield Signal("y", "output", emitted)
    for suffix in (f"{lstm}{direction}" for direction in directions for lstm in lstms):
        if suffix not in directions:
            yield from (Signal(f"{name}{suffix}", "inner", _SIZE) for name in "ch")
        for gate in "ifgo":
            activation = TANH.name if gate == "g" else SIGMOID.name
            yield Signal(f"{gate}{suffix}", "gate", _SIZE, activation=activation)
        yield from (Signal(_name(f"{gate}_pre", suffix), "pre", _SIZE) for gate in gates)


_GATES = ("i", "g", "f", "o")
_LETTERS = {"i": "i", "g": "j", "f": "f", "o": "o"}
_OPTIONS = (FORGET_BIAS, TANH, SIGMOID, CELL_CLIP, FREQUENCY_SKIP, FREQUENCY_WINDOWS)
_RELATIONS = (("input_size + frequency_skip", "feature_size + frequency_skip * frequency_windows"),)

TIME_FREQ_LSTM = Cell(
    name="time_freq_lstm",
    title="TimeFreqLSTM",
    framework="tf1",
    scopes=("time_freq_lstm_cell", "TimeFreqLSTMCell"),
    classes=("TimeFreqLSTMCell",),
    weights=(
        *_stacked_weights(_GATES, "", "W_0", "B", optional=False),
        *_diagonals(_GATES, "", "peephole", "W_#_diag"),
    ),
    gates=_GATES,
    spelled=tuple(_LETTERS.values()),
    order=(("i", "f", "g", "o"),),
    signals=tuple(_signals(_GATES, ("",), ("",), "frequency_windows * units")),
    options=tuple(replace(one, default=1) if one is FREQUENCY_SKIP else one for one in _OPTIONS),
    project=project,
    step=step,
    relations=_RELATIONS,
    emits="y",
)


def _grid(name: str, title: str, scopes: tuple[str, ...], directions: Mapping[str, str], *, coupled: bool) -> Cell:
    """A grid; `directions`: the suffix of each direction's signals → the scope of its weights."""
    gates = tuple(gate for gate in _GATES if gate != "f") if coupled else _GATES
    suffixes = [f"{lstm}{direction}" for direction in directions for lstm in ("", _ACROSS)]
    order = [gate for gate in "ifgo" if gate in gates]
    return replace(
        TIME_FREQ_LSTM,
        name=f"{name}_coupled" if coupled else name,
        title=f"{title}, couple_input_forget_gates=True" if coupled else title,
        scopes=scopes,
        classes=scopes[-1:],
        weights=tuple(w for direction, scope in directions.items() for w in _grid_weights(gates, direction, scope)),
        gates=tuple(f"{gate}{suffix}" for suffix in suffixes for gate in gates),
        spelled=tuple(f"{_LETTERS[gate]}{suffix}" for suffix in suffixes for gate in gates),
        order=(tuple(f"{gate}{suffix}" for suffix in suffixes for gate in order),),
        signals=tuple(
            _signals(order, tuple(directions), ("", _ACROSS), f"{2 * len(directions)} * frequency_windows * units")
        ),
        options=tuple(
            option
            for option in (*_OPTIONS, *((BACKWARD_SLICE_OFFSET,) if len(directions) > 1 else ()))
            if not (coupled and option is FORGET_BIAS)
        ),
    )


_SCOPES = ("grid_lstm_cell", "GridLSTMCell")
_BOTH_SCOPES = ("bidirectional_grid_lstm_cell", "BidirectionalGridLSTMCell")
_BOTH = {"": "fwd/", _BACKWARD: "bwd/"}

GRID_LSTMS = tuple(
    cell
    for coupled in (False, True)
    for cell in (
        _grid("grid_lstm", "GridLSTM", _SCOPES, {"": ""}, coupled=coupled),
        _grid("bidirectional_grid_lstm", "BidirectionalGridLSTM", _BOTH_SCOPES, _BOTH, coupled=coupled),
    )
)
