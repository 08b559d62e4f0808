"""What lies beside Sonnet 1's cores is theirs, and the cells of a grid that is not known are none by themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rnnprobe.analysis.account import account
from rnnprobe.formats.apart import apart
from rnnprobe.recover import names, network
from rnnprobe.types import Checkpoint, Objects, Tensor

Shapes = dict[str, tuple[int, ...]]


def checkpoint(shapes: Shapes) -> Checkpoint:
    """Tensors of these shapes, sorted as the reader does."""
    tensors = {name: Tensor(name, shape, "float32", lambda rows: np.zeros(0, "f")) for name, shape in shapes.items()}
    return Checkpoint(Path("model.ckpt"), "TensorFlow V2 bundle", tensors, apart(tensors))


def core(name: str, norm: str = "h") -> Shapes:
    """A BatchNormLSTM of 4 units without its statistics."""
    kernels = {f"{name}/w_gates_H": (4, 16), f"{name}/w_gates_X": (3, 16)}
    return kernels | {f"{name}/b_gates": (16,), f"{name}/gamma_{norm}": (16,)}


def statistics(*modules: str, steps: int = 1) -> Shapes:
    below = ["batch_norm", *(f"batch_norm_{step}" for step in range(1, steps))]
    kinds = ("mean", "variance")
    return {f"{module}/{one}/moving_{kind}": (1, 16) for module in modules for one in below for kind in kinds}


H, H1, H2 = "batch_norm_h", "batch_norm_h_1", "batch_norm_h_2"
READABLE = [
    ({**core("batch_norm_lstm"), **statistics(H)}, {"batch_norm_lstm": H}),
    # In the order in which the cores were made, whatever that of the file.
    (
        {**core("core"), **core("core_10"), **core("core_2"), **statistics(H1, H, H2)},
        {"core": H, "core_2": H1, "core_10": H2},
    ),
    # Each place has its own.
    (
        {**core("a/reader"), **core("b/writer"), **statistics(f"a/{H}", f"b/{H}")},
        {"a/reader": f"a/{H}", "b/writer": f"b/{H}"},
    ),
]


@pytest.mark.parametrize(("shapes", "modules"), READABLE)
def test_each_core_has_its_own_statistics(shapes, modules):
    found = names.recover(checkpoint(shapes))
    assert {layer.cell.name for layer in found.layers} == {"sonnet1_batch_norm_lstm_h"}
    assert {layer.scope: layer.weights["mean_h"].pieces for layer in found.layers} == {
        scope: (f"{module}/batch_norm/moving_mean",) for scope, module in modules.items()
    }
    assert [*account(found).set_apart, *account(found).other] == []


@pytest.mark.parametrize("norm", ["h", "x"])
def test_the_statistics_of_the_first_steps_are_one_after_the_other(norm):
    shapes = core("reader", norm) | statistics(f"batch_norm_{norm}", steps=11)
    (layer,) = names.recover(checkpoint(shapes)).layers
    assert layer.cell.name == f"sonnet1_batch_norm_lstm_{norm}_steps"
    assert layer.sizes["further_statistics"] == 10
    assert layer.weights[f"mean_{norm}"].shape == (11, 1, 16)
    assert [piece.split("/")[1] for piece in layer.weights[f"mean_{norm}"].pieces[:3]] == [
        "batch_norm",
        "batch_norm_1",
        "batch_norm_2",
    ]


UNREADABLE = {
    "nothing says whose": core("reader") | core("writer") | statistics(H, H1),
    "there are none": core("reader"),
    "there are fewer": core("core") | core("core_1") | statistics(H),
    "a step is missing": core("core") | {n: s for n, s in statistics(H, steps=3).items() if "norm_1/" not in n},
    "there is no variance": core("core") | {f"{H}/batch_norm/moving_mean": (1, 16)},
}


@pytest.mark.parametrize("shapes", UNREADABLE.values(), ids=UNREADABLE)
def test_a_core_without_statistics_of_its_own_is_a_candidate(shapes):
    found = names.recover(checkpoint(shapes))
    assert found.layers == ()
    assert {candidate.scope for candidate in found.candidates} == {
        name.rpartition("/")[0] for name in shapes if name.endswith("/b_gates")
    }
    assert all("statistics" in candidate.reason for candidate in found.candidates)


def test_what_the_states_of_a_core_start_from():
    """Its name repeats the core's scope below the scope that the states were made in."""
    lstm = {"model/lstm/w_gates": (7, 16), "model/lstm/b_gates": (16,)}
    starts = {f"model/model/lstm_initial_state_{name}/w": (1, 4) for name in ("hidden", "cell")}
    (layer,) = names.recover(checkpoint(lstm | starts)).layers
    assert (layer.cell.name, layer.scope) == ("sonnet1_lstm", "model/lstm")
    assert [layer.weights[role].pieces for role in ("initial_h", "initial_c")] == [(name,) for name in starts]
    strange = {"model/lstm/kernel": (7, 16), "model/lstm/bias": (16,)}
    assert names.recover(checkpoint(strange | starts)).layers == names.recover(checkpoint(strange)).layers


@pytest.mark.parametrize("scope", ["rnn/GridRNNCell", "rnn/my_own_grid"])
@pytest.mark.parametrize("inner", ["recurrent/lstm_cell", "recurrent/cell_1/basic_lstm_cell"])
def test_the_cells_of_a_grid_that_is_not_known_are_none_by_themselves(scope, inner):
    shapes = {f"{scope}/{inner}/kernel": (16, 16), f"{scope}/{inner}/bias": (16,), f"{scope}/project_m_0": (3, 4)}
    found = names.recover(checkpoint(shapes))
    assert found.layers == ()
    assert [candidate.scope for candidate in found.candidates] == [scope]
    alone = names.recover(checkpoint({f"{scope}/project_m_0": (3, 4)}))
    assert (alone.layers, alone.candidates) == ((), ())
    outside = {name: shape for name, shape in shapes.items() if "project" not in name}
    assert [layer.scope for layer in names.recover(checkpoint(outside)).layers] == [f"{scope}/{inner}"]


def test_two_convolutions_are_a_cell_by_their_name_alone():
    shapes = {"conv/w": (2, 2, 3, 16), "conv/b": (16,), "conv_1/w": (2, 2, 4, 16), "conv_1/b": (16,)}
    called = names.recover(checkpoint({f"conv_2d_lstm_1/{name}": shape for name, shape in shapes.items()}))
    assert [layer.cell.name for layer in called.layers] == ["sonnet1_conv_lstm_2d"]
    tower = names.recover(checkpoint({f"tower/{name}": shape for name, shape in shapes.items()}))
    assert tower.layers == ()
    assert [(one.scope, one.cells) for one in tower.candidates] == [("tower", ("sonnet1_conv_lstm_2d",))]
    stacked = {**shapes, "conv_1/w": (2, 2, 16, 16)}
    plain = names.recover(checkpoint({f"tower/{name}": shape for name, shape in stacked.items()}))
    assert (plain.layers, plain.candidates) == ((), ())


def test_two_convolutions_of_an_object_are_no_cell():
    """Their attributes are called as Sonnet 1's variables are, and Sonnet 1 saved no objects."""
    shapes = {"conv/w": (2, 2, 3, 16), "conv/b": (16,), "conv_1/w": (2, 2, 4, 16), "conv_1/b": (16,)}
    keys = {f"net/{name}/.ATTRIBUTES/VARIABLE_VALUE": name for name in shapes}
    stored = checkpoint({key: shapes[name] for key, name in keys.items()})
    paths = {key: ("net", *name.split("/")) for key, name in keys.items()}
    found = network(replace(stored, objects=Objects(paths), groups={"net": tuple(keys)}))
    assert found.layers == ()
