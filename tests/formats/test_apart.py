"""What is no weight: names and shapes as the frameworks write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnnprobe import formats
from rnnprobe.formats.apart import apart, notes_on
from rnnprobe.formats.pieces import unreadable
from rnnprobe.types import Tensor
from tests.conftest import DATA

K, B = (7, 16), (16,)
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


def kinds(shapes: dict[str, tuple[int, ...]], dtypes: dict[str, str] | None = None) -> dict[str, str]:
    """`apart` of tensors with these shapes, float32 but for `dtypes`."""
    read = unreadable("not stored", Path("none"))
    return apart(
        {name: Tensor(name, shape, (dtypes or {}).get(name, "float32"), read) for name, shape in shapes.items()}
    )


@pytest.mark.parametrize(
    "slot",
    [
        "Adam", "Adam_1", "Momentum", "Adagrad", "RMSProp", "RMSProp_1", "RMSProp_2", "Adadelta", "Adadelta_1", "Ftrl",
        "Ftrl_1", "MyAdam", "MyAdam_1", "LazyAdam",
    ],
)  # fmt: skip
@pytest.mark.parametrize("prefix", ["", "train/", "OptimizeLoss/", "model/OptimizeLoss/", "m/"])
def test_slots(slot: str, prefix: str) -> None:
    name = "m/rnn/basic_lstm_cell/kernel"
    found = kinds({name: K, "m/rnn/basic_lstm_cell/bias": B, f"{prefix}{name}/{slot}": K})
    assert found == {f"{prefix}{name}/{slot}": f"{slot} slot of {name}"}


def test_a_factored_slot_has_another_shape() -> None:
    assert kinds({"a/kernel": K, "a/kernel/Adafactor": (7,)}) == {"a/kernel/Adafactor": "Adafactor slot of a/kernel"}


def test_averages_are_an_alternative() -> None:
    found = kinds({"a/kernel": K, "a/kernel/ExponentialMovingAverage": K, "a/kernel/Adam": K,
                   "a/kernel/Adam/ExponentialMovingAverage": K})  # fmt: skip
    assert found["a/kernel/ExponentialMovingAverage"] == "moving average of a/kernel"
    (note,) = notes_on(found)
    assert note.startswith("1 weight has")
    assert kinds({"a/kernel/ExponentialMovingAverage": K}) == {}
    assert notes_on({"a": "counter"}) == ()


def test_counters_and_settings() -> None:
    found = kinds(
        {"global_step": (), "train/beta1_power": (), "beta2_power_1": (), "Variable": (), "Variable_1": (),
         "x/alpha": (),
         "Adam/lr": (), "bn/moving_mean": B, "bn/moving_mean/biased": B, "bn/moving_mean/local_step": (), "bn/beta": B,
         "training/Adam/Variable_3": K, "Variable_2": K},
        {"Variable": "int32"},
    )  # fmt: skip
    assert found == {
        "global_step": "counter",
        "Variable": "counter",
        "train/beta1_power": "optimiser state",
        "beta2_power_1": "optimiser state",
        "Adam/lr": "optimiser state",
        "training/Adam/Variable_3": "optimiser state",
        "bn/moving_mean": "statistics of a normalisation",
        "bn/moving_mean/biased": "counter of bn/moving_mean",
        "bn/moving_mean/local_step": "counter of bn/moving_mean",
    }


def test_weights_stay() -> None:
    shapes = {
        "embedding": K, "Variable": K, "rnn/lstm_cell/kernel": K, "rnn/lstm_cell/bias": B, "rnn/lstm_cell/w_i_diag": B,
        "rnn/lstm_cell/w_f_diag": B, "rnn/lstm_cell/projection/kernel": K, "RNN/GRUCell/Gates/Linear/Matrix": K,
        "RNN/GRUCell/Gates/Linear/Bias": B, "RNN/LSTMCell/W_0": K, "RNN/LSTMCell/B": B, "v": B, "v/bias": B,
        "v/kernel": B,
        "rnn/cell/input/gamma": B, "rnn/cell/input/beta": B, "Momentum/rnn/lstm_cell/kernel": K,
    }  # fmt: skip
    assert kinds(shapes) == {}


def test_object_checkpoints() -> None:
    kernel = f"layer-0/cell/kernel{VALUE}"
    found = kinds(
        {
            kernel: K,
            f"layer-0/cell/kernel/.OPTIMIZER_SLOT/optimizer/m{VALUE}": K,
            f"optimizer/iter{VALUE}": (),
            f"optimizer/learning_rate{VALUE}": (),
            f"opt/_variables/3{VALUE}": K,
            f"opt/_iterations{VALUE}": (),
            f"optimizer_net/cell/kernel{VALUE}": K,
            f"save_counter{VALUE}": (),
            f"keras_api/metrics/0/total{VALUE}": (),
            "layer-0/.ATTRIBUTES/OBJECT_CONFIG_JSON": (),
            "_CHECKPOINTABLE_OBJECT_GRAPH": (),
        }
    )
    assert found == {
        f"layer-0/cell/kernel/.OPTIMIZER_SLOT/optimizer/m{VALUE}": f"m slot of {kernel}",
        f"optimizer/iter{VALUE}": "optimiser state",
        f"optimizer/learning_rate{VALUE}": "optimiser state",
        f"opt/_variables/3{VALUE}": "optimiser state",
        f"opt/_iterations{VALUE}": "optimiser state",
        f"save_counter{VALUE}": "counter",
        f"keras_api/metrics/0/total{VALUE}": "metric",
        "layer-0/.ATTRIBUTES/OBJECT_CONFIG_JSON": "configuration",
        "_CHECKPOINTABLE_OBJECT_GRAPH": "object graph",
    }


def test_names_made_to_take_long() -> None:
    deep = "a/" * 30_000 + "Adam"
    found = kinds({deep: K, f"{'/.OPTIMIZER_SLOT/' * 4000}/.ATTRIBUTES/x": K, "/": K, "": K, "//": K})
    assert deep in found


@pytest.mark.parametrize(("name", "weights"), [("tf1.4-drv_adam", 2), ("tf1.8-drv_rms", 2), ("tf1.0-drv_ema", 2)])
def test_what_training_left(name: str, weights: int) -> None:
    checkpoint = formats.read(DATA / "formats" / name)
    assert len(checkpoint.weights) == weights
    assert len(checkpoint.tensors) > weights
    assert any("moving average" in note for note in checkpoint.notes) == name.endswith("ema")


def test_published_training_checkpoints(corpus: Path) -> None:
    g2p = formats.read(corpus / "g2p-tf11/tests/models/decode")
    assert not [name for name in g2p.weights if "OptimizeLoss" in name]
    t2t = formats.read(corpus / "t2t-shards/tests/models/decode")
    assert not [name for name in t2t.weights if "Adam" in name]
