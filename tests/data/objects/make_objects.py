"""Makes the object checkpoints beside it: `TF_USE_LEGACY_KERAS=1 python make_objects.py`, with TensorFlow 2.21.

`NAME.index` and `.data-…` are weights, `NAME/` is a SavedModel without its functions (`strip`), `NAME.npz` holds what
Keras or TensorFlow computed: `x/LAYER`, what enters a layer, and `h/LAYER`, every step of what it passes on.
`python make_objects.py saved_model.pb` strips another one.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

HERE = Path(__file__).parent
L = tf.keras.layers
RANDOM = np.random.default_rng(7)


def strip(path: Path) -> None:
    """Leaves out of a `saved_model.pb` what is not read: its functions, which are nearly all of it."""
    model = saved_model_pb2.SavedModel()
    model.ParseFromString(path.read_bytes())
    for graph in model.meta_graphs:
        graph.graph_def.ClearField("node")
        graph.graph_def.ClearField("library")
        graph.object_graph_def.ClearField("concrete_functions")
        graph.ClearField("signature_def")
    path.write_bytes(model.SerializeToString(deterministic=True))


def randomise(variables: list[tf.Variable]) -> None:
    """Fills every variable, biases too."""
    for variable in variables:
        variable.assign(RANDOM.normal(0, 0.5, variable.shape))


class Subclassed(tf.keras.Model):
    """A model with code of its own: attributes, a list, a pair of directions."""

    def __init__(self) -> None:
        super().__init__()
        self.table = L.Embedding(7, 3)
        self.encoder = L.LSTM(4, return_sequences=True)
        self.stack = [L.GRU(3, return_sequences=True), L.GRU(2, return_sequences=True, reset_after=False)]
        self.both = L.Bidirectional(L.LSTM(2, return_sequences=True))
        self.head = L.Dense(2)

    def call(self, ids):
        x = self.encoder(self.table(ids))
        y = x
        for layer in self.stack:
            y = layer(y)
        return self.head(y), self.both(x)


def subclassed() -> None:
    """Its weights, and what each layer computes."""
    model, ids = Subclassed(), RANDOM.integers(0, 7, (2, 5))
    model(ids)
    randomise(model.variables)
    model.save_weights(HERE / "subclassed", save_format="tf")
    embedded = model.table(ids)
    x = model.encoder(embedded)
    first, second = model.stack[0](x), model.stack[1](model.stack[0](x))
    pair = model.both(x)
    np.savez(
        HERE / "subclassed.npz",
        **{"ids": ids, "h/encoder": model.encoder(embedded), "x/stack": x, "h/stack/0": first, "h/stack/1": second},
        **{"x/both": x, "h/both/forward": pair[..., :2], "h/both/backward": pair[..., 2:]},
    )


class Mixed(tf.keras.Model):
    """A Sequential model as an attribute, beside a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.front = tf.keras.Sequential(
            [
                L.Embedding(7, 3, mask_zero=True, name="embedding"),
                L.LSTM(4, return_sequences=True, activation="relu", name="lstm"),
            ]
        )
        self.top = L.GRU(2, recurrent_activation="hard_sigmoid", return_sequences=True)

    def call(self, ids):
        return self.top(self.front(ids))


def mixed() -> None:
    """A SavedModel whose objects have configurations, and its root none that tells its layers."""
    model, ids = Mixed(), RANDOM.integers(1, 7, (2, 5))
    model(ids)
    randomise(model.variables)
    shutil.rmtree(HERE / "mixed", ignore_errors=True)
    model.save(HERE / "mixed", save_format="tf")
    (HERE / "mixed" / "fingerprint.pb").unlink()
    (HERE / "mixed" / "assets").rmdir()
    strip(HERE / "mixed" / "saved_model.pb")
    x = model.front(ids)
    np.savez(HERE / "mixed.npz", **{"ids": ids, "h/front/lstm": x, "x/top": x, "h/top": model.top(x)})


class Fronted(tf.keras.Model):
    """A model as an attribute, in which layers without recurrence stand between recurrent ones."""

    def __init__(self) -> None:
        super().__init__()
        x = tf.keras.Input((5, 3), name="x")
        first, h, c = L.LSTM(4, return_sequences=True, return_state=True, name="first")(x)
        between = L.Dense(2, activation="relu", name="between")(first)
        second = L.LSTM(4, return_sequences=True, name="second")(between, initial_state=[h, c])
        self.inner = tf.keras.Model(x, L.Dense(3, name="head")(second))

    def call(self, x):
        return 2.0 * self.inner(x)


def fronted() -> None:
    """A SavedModel of it."""
    model, x = Fronted(), RANDOM.normal(size=(2, 5, 3)).astype("f")
    model(x)
    randomise(model.variables)
    shutil.rmtree(HERE / "fronted", ignore_errors=True)
    model.save(HERE / "fronted", save_format="tf")
    (HERE / "fronted" / "fingerprint.pb").unlink()
    (HERE / "fronted" / "assets").rmdir()
    strip(HERE / "fronted" / "saved_model.pb")
    second = tf.keras.Model(model.inner.input, model.inner.get_layer("second").output)(x)
    np.savez(HERE / "fronted.npz", **{"x": x, "h/inner/second": second, "y": model.inner(x)})


def training() -> None:
    """`tf.train.Checkpoint(model=…, optimizer=…)` after a step of training, and the model's configuration."""
    model = tf.keras.Sequential(
        [L.LSTM(4, return_sequences=True, name="one", input_shape=(5, 3)), L.LSTM(2, name="two")]
    )
    model.compile("adam", "mse")
    x = RANDOM.normal(size=(2, 5, 3)).astype("f")
    model.fit(x, np.zeros((2, 2)), verbose=0)
    randomise(model.variables)
    tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(HERE / "training"))
    (HERE / "training.json").write_text(json.dumps(json.loads(model.to_json()), indent=1) + "\n")
    np.savez(HERE / "training.npz", **{"x": x, "h/one": model.layers[0](x)})


def pair() -> None:
    """Stacked cells that run in both directions, in a Keras model's weights."""
    both = L.Bidirectional(L.RNN([L.GRUCell(4), L.LSTMCell(3)], return_sequences=True), input_shape=(5, 3))
    model = tf.keras.Sequential([both])
    randomise(model.variables)
    x = RANDOM.normal(size=(2, 5, 3)).astype("f")
    model.save_weights(HERE / "pair", save_format="tf")
    h = model(x)
    np.savez(HERE / "pair.npz", **{"x": x, "h/forward": h[..., :3], "h/backward": h[..., 3:]})


def legacy() -> None:
    """TensorFlow 1's cells as objects, whose variables' names hold slashes."""
    cells = tf.compat.v1.nn.rnn_cell
    cell = cells.MultiRNNCell(
        [cells.BasicLSTMCell(4), cells.LSTMCell(3, use_peepholes=True, num_proj=2), cells.GRUCell(3)]
    )
    x = RANDOM.normal(size=(2, 5, 3)).astype("f")
    state = cell.zero_state(2, tf.float32)
    cell(tf.constant(x[:, 0]), state)
    randomise(cell.variables)
    outputs = []
    for t in range(5):
        output, state = cell(tf.constant(x[:, t]), state)
        outputs.append(output)
    tf.train.Checkpoint(cell=cell).write(str(HERE / "legacy"))
    np.savez(HERE / "legacy.npz", **{"x": x, "h/cell/cell-2": np.stack(outputs, 1)})


def module() -> None:
    """A `tf.Module` with a cell in a dict and stacked cells; a layer of a class of its own beside them."""
    root = tf.Module()
    root.cells = {"a": L.LSTMCell(4)}
    root.rnn = L.RNN([L.LSTMCell(4), L.GRUCell(3)], return_sequences=True)
    root.odd = tf.Module()
    root.odd.kernel, root.odd.recurrent_kernel = tf.Variable(np.ones((3, 4))), tf.Variable(np.ones(4))
    root.cells["a"].build((None, 3))
    x = RANDOM.normal(size=(2, 5, 3)).astype("f")
    root.rnn(x)
    randomise([*root.cells["a"].variables, *root.rnn.variables])
    tf.train.Checkpoint(net=root).write(str(HERE / "module"))
    np.savez(HERE / "module.npz", **{"x": x, "h/net/rnn/1": root.rnn(x)})


class Backward(tf.keras.Model):
    """Cells of TensorFlow 1, alone and stacked, in layers that run them from the last step to the first."""

    def __init__(self) -> None:
        super().__init__()
        cells = tf.compat.v1.nn.rnn_cell
        self.one = L.RNN(cells.BasicLSTMCell(3), return_sequences=True, go_backwards=True)
        stack = cells.MultiRNNCell([cells.GRUCell(3), cells.GRUCell(2)])
        self.two = L.RNN(stack, return_sequences=True, go_backwards=True)

    def get_config(self):
        return {}

    def call(self, x):
        return self.one(x), self.two(x)


def backward() -> None:
    """A SavedModel of it."""
    model, x = Backward(), RANDOM.normal(size=(2, 5, 3)).astype("f")
    model(x)
    randomise(model.variables)
    shutil.rmtree(HERE / "backward", ignore_errors=True)
    model.save(HERE / "backward", save_format="tf")
    (HERE / "backward" / "fingerprint.pb").unlink()
    (HERE / "backward" / "assets").rmdir()
    strip(HERE / "backward" / "saved_model.pb")
    one, two = (h[:, ::-1] for h in model(x))
    np.savez(HERE / "backward.npz", **{"x": x, "h/one": one, "h/two/cell/cell-1": two})


if __name__ == "__main__":
    if len(sys.argv) > 1:
        strip(Path(sys.argv[1]))
    else:
        for make in (subclassed, mixed, training, pair, legacy, module, fronted, backward):
            make()
        (HERE / "checkpoint").unlink()
