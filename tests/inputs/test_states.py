"""States to start from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rnnprobe.cells import CELLS
from rnnprobe.cells.gru import GRU
from rnnprobe.cells.layers import signal_shapes
from rnnprobe.cells.lstm import LSTM
from rnnprobe.errors import RnnprobeError
from rnnprobe.inputs import states
from rnnprobe.types import Cell, Feed, Layer
from tests.cells import made

LSTM_LAYER = made.layer(LSTM, "rnn/lstm")
GRU_LAYER = made.layer(GRU, "gru")
RANDOM = np.random.default_rng(0)
C, H = (RANDOM.normal(size=(3, size)).astype("f4") for size in (4, 2))
G = RANDOM.normal(size=(3, 4)).astype("f4")


def read(source: object, *layers: Layer, said: list[str] | None = None, sequences: int = 3) -> Any:
    return states.read(source, layers, sequences, say=(said if said is not None else []).append)


def same(found: Any, expected: Any) -> None:
    assert {name: set(each) for name, each in found.items()} == {name: set(each) for name, each in expected.items()}
    for name, each in expected.items():
        for state, values in each.items():
            np.testing.assert_array_equal(found[name][state], values)


def test_the_projected_cell_has_states_of_two_widths() -> None:
    assert {state: signal_shapes(LSTM_LAYER)[state] for state in LSTM.states} == {"c": (4,), "h": (2,)}


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_every_cell(cell: Cell, tmp_path: Path) -> None:
    layer = made.layer(cell, "a/b")
    shapes = signal_shapes(layer)
    given = {state: RANDOM.normal(size=(3, *shapes[state])).astype("f4") for state in cell.states}
    expected = {"a/b": given}
    np.savez(tmp_path / "s.npz", **given)
    np.savez(tmp_path / "named.npz", **{f"a/b/{state}": values for state, values in given.items()})
    with h5py.File(tmp_path / "s.h5", "w") as file:
        for state, values in given.items():
            file[f"somewhere/a/b/{state}"] = values
    sources = [given, expected, tmp_path / "s.npz", tmp_path / "named.npz", f"{tmp_path}/s.h5:/somewhere"]
    if len(cell.states) == 1:
        (only,) = given.values()
        np.save(tmp_path / "s.npy", only)
        sources += [only, {"a/b": only}, {"state": only}, tmp_path / "s.npy"]
    for source in sources:
        same(read(source, layer), expected)


def test_a_stack() -> None:
    second = replace(LSTM_LAYER, name="rnn/second")
    expected = {"rnn/lstm": {"c": C, "h": H}, "gru": {"h": G}}
    same(read({"rnn/lstm/c": C, "rnn/lstm/h": H, "gru": G}, LSTM_LAYER, GRU_LAYER), expected)
    same(read({"rnn": {"lstm": {"c": C, "h": H}}, "gru": {"h": G}}, LSTM_LAYER, GRU_LAYER), expected)
    said: list[str] = []
    found = read({"rnn/lstm": {"c": C, "h": H}}, LSTM_LAYER, second, said=said)
    same(found, {"rnn/lstm": {"c": C, "h": H}, "rnn/second": {"c": 0 * C, "h": 0 * H}})
    assert said == ["no initial state is given for rnn/second: zeros"]


@pytest.mark.parametrize("suffix", [".h5", ".npz"])
def test_a_trace(tmp_path: Path, suffix: str) -> None:
    """What it ended with, though its signals have the very names of the states."""
    arrays = {
        "inputs/x": np.zeros((3, 5, 3), "f4"),
        "layers/rnn/lstm/h": np.ones((3, 5, 2), "f4"),
        "layers/rnn/lstm/c": np.ones((3, 5, 4), "f4"),
        "layers/rnn/lstm/initial_h": np.ones((3, 2), "f4"),
        "layers/rnn/lstm/final_h": H,
        "layers/rnn/lstm/final_c": C,
    }
    path = tmp_path / f"trace{suffix}"
    if suffix == ".npz":
        np.savez(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, values in arrays.items():
                file[name] = values
    same(read(path, LSTM_LAYER), {"rnn/lstm": {"c": C, "h": H}})


def test_a_trace_with_an_odd_layer_name() -> None:
    layer = replace(GRU_LAYER, name="a%b")
    same(read({"layers/a%25b/final_h": G}, layer), {"a%b": {"h": G}})


def test_one_state_for_all_sequences() -> None:
    expected = {"rnn/lstm": {"c": np.broadcast_to(C[0], (3, 4)), "h": np.broadcast_to(H[0], (3, 2))}}
    said: list[str] = []
    found = read({"c": C[0], "h": H[0]}, LSTM_LAYER, said=said)
    same(found, expected)
    assert said == []
    found["rnn/lstm"]["c"][0] = 7  # its own memory
    same(read({"c": C[:1], "h": H[:1]}, LSTM_LAYER, said=said), expected)
    assert said[0] == "rnn/lstm/c is [1, 4]: each of the 3 sequences starts from it"


def test_dtypes() -> None:
    said: list[str] = []
    found = read({"c": C.astype("f8"), "h": np.zeros((3, 2), int)}, LSTM_LAYER, said=said)
    assert found["rnn/lstm"]["c"].dtype == found["rnn/lstm"]["h"].dtype == np.float32
    assert said == [
        "rnn/lstm/c is float64: it is converted to float32",
        "rnn/lstm/h is int64: it is converted to float32",
    ]
    wide = {role: replace(tensor, dtype="float64") for role, tensor in GRU_LAYER.weights.items()}
    said.clear()
    assert read(G.astype("f8"), replace(GRU_LAYER, weights=wide), said=said)["gru"]["h"].dtype == np.float64
    assert said == []


def test_not_finite_is_said() -> None:
    said: list[str] = []
    bad = G.copy()
    bad[1, 2] = np.nan
    read(bad, GRU_LAYER, said=said)
    assert said == ["gru/h holds nan at [1, 2]"]


PAIR = "the state of rnn/lstm, a LSTM, is a pair: c [3, 4] and h [3, 2]; given: "


@pytest.mark.parametrize(
    ("source", "layers", "message", "hint"),
    [
        (C, [LSTM_LAYER], f"{PAIR}one array float32 [3, 4]", "np.savez(FILE, c=…, h=…)"),
        (np.stack([C, C]), [LSTM_LAYER], f"{PAIR}one array float32 [2, 3, 4]", "np.savez"),
        (np.hstack([C, H]), [LSTM_LAYER], f"{PAIR}one array float32 [3, 6]", "c=state[:, :4], h=state[:, 4:]"),
        ((C, H), [LSTM_LAYER], "a tuple of 2 was given; expected states by name", "TF1 orders them (c, h)"),
        ({"c": C}, [LSTM_LAYER], f"{PAIR}c float32 [3, 4]; h is missing", ""),
        ({}, [LSTM_LAYER], PAIR, ""),
        ({"c": H, "h": C}, [LSTM_LAYER], "rnn/lstm/c is float32 [3, 2]; expected [3, 4]", "swapped"),
        ({"c": C[:2], "h": H}, [LSTM_LAYER], "rnn/lstm/c is float32 [2, 4]; expected [3, 4], a row", ""),
        ({"c": C[:, None], "h": H}, [LSTM_LAYER], "is float32 [3, 1, 4]", "no time axis"),
        ({"c": C, "h": H, "d": H}, [LSTM_LAYER], "'d' is the state of no layer; expected rnn/lstm/c", ""),
        ({"rnn/lstm/c": C, "rnn/lstm/h": H, "lost/h": G}, [LSTM_LAYER, GRU_LAYER], "'lost/h' is the state of no", ""),
        ({"c": C, "h": H}, [LSTM_LAYER, GRU_LAYER], "'c' is the state of no layer; expected rnn/lstm/c", ""),
        ({"gru/c": G, "gru/d": G}, [GRU_LAYER], "the state of gru, a GRU, is one array: h [3, 4]; given", ""),
        (G[:, :3], [GRU_LAYER], "gru/h is float32 [3, 3]; expected [3, 4]", ""),
        (G > 0, [GRU_LAYER], "gru/h is bool [3, 4]", ""),
        (np.array([["a"]]), [GRU_LAYER], "expected integers or floats", ""),
        (np.array([None]), [GRU_LAYER], "holds Python objects", ""),
    ],
)  # fmt: skip
def test_errors(source: object, layers: list[Layer], message: str, hint: str) -> None:
    with pytest.raises(RnnprobeError) as error:
        read(source, *layers)
    assert message in str(error.value)
    assert hint in error.value.hint
    assert error.value.status == (3 if "objects" in message else 2)


def test_errors_of_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", c=C)
    with pytest.raises(RnnprobeError, match=r"s\.npz: the state of rnn/lstm, a LSTM, is a pair"):
        read(tmp_path / "s.npz", LSTM_LAYER)
    with pytest.raises(RnnprobeError, match=r"s\.npz: holds no array at x"):
        read(f"{tmp_path}/s.npz:x", LSTM_LAYER)
    (tmp_path / "s.txt").write_text("1 2 3")
    with pytest.raises(RnnprobeError, match="of no format that states are read from"):
        read(tmp_path / "s.txt", LSTM_LAYER)
    with pytest.raises(RnnprobeError, match="no such file"):
        read(tmp_path / "none.npz", LSTM_LAYER)
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["h"] = h5py.ExternalLink("other.h5", "/h")
    with pytest.raises(RnnprobeError, match="leads out of the file") as error:
        read(tmp_path / "s.h5", GRU_LAYER)
    assert error.value.status == 3


def test_states_in_space() -> None:
    """A convolutional cell's states are images."""
    layer = replace(GRU_LAYER, space=(2, 3))
    images = RANDOM.normal(size=(3, 2, 3, 4)).astype("f4")
    same(read(images, layer), {"gru": {"h": images}})
    same(read({"h": images[0]}, layer), {"gru": {"h": np.broadcast_to(images[0], images.shape)}})
    with pytest.raises(RnnprobeError, match=r"gru/h is float32 \[3, 4\]; expected \[3, 2, 3, 4\], a row for each seq"):
        read(G, layer)
    with pytest.raises(RnnprobeError) as error:
        read(images[:, None], layer)
    assert "gru/h is float32 [3, 1, 2, 3, 4]; expected [3, 2, 3, 4]" in str(error.value)
    assert "no time axis" in error.value.hint
    pair = replace(LSTM_LAYER, space=(2,))
    with pytest.raises(RnnprobeError, match=r"is a pair: c \[3, 2, 4\] and h \[3, 2, 2\]"):
        read(G, pair)


def test_states_that_the_model_wires() -> None:
    """A decoder keeps its encoder's states, unless it is given some."""
    decoder = replace(GRU_LAYER, name="dec", initial={"h": Feed(("gru",), final="h")})
    said: list[str] = []
    same(read({"gru/h": G}, GRU_LAYER, decoder, said=said), {"gru": {"h": G}})
    assert said == []
    same(read({"dec/h": G}, GRU_LAYER, decoder, said=said), {"gru": {"h": 0 * G}, "dec": {"h": G}})
    assert said == [
        "in the model dec starts from the states of gru; here it starts from the states given",
        "no initial state is given for gru: zeros",
    ]
