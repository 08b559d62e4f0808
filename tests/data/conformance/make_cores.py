"""Makes goldens of cells around TensorFlow 1.15: `python make_cores.py WHAT [CASE …]`.

WHAT is `sonnet`, `sonnet-1.14`, `contrib` or `…/sketch_rnn/rnn.py`. With TensorFlow 1.15 under Python 3.7: those of
`sonnet-1.36` need dm-sonnet 1.36, those of `sonnet-1.14` that release, those of `magenta-1.3.1` the file
`magenta/models/sketch_rnn/rnn.py` of the wheel of Magenta 1.3.1, whose path is given; those of `contrib-1.15` are of
TensorFlow's own contrib, with masks that are not all ones. Each case is a cell with seeded random weights under
`dynamic_rnn`, saved with its graph, and what TensorFlow computes: `x` `[2, 5, 3]` (of a convolution `[2, 5, *space,
channels]`), `out0` `[2, 5, units]` (where the steps are written out `out0` … `out4`), the final states `st0` … in the
cell's own order and those after every step `step<t>_s<k>`. Batch normalisation goes by its moving statistics, as it
does at inference.
"""

import importlib.util
import inspect
import json
import os
import re
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

HERE = os.path.dirname(os.path.abspath(__file__))
UNITS = 4


def sonnet_cores():
    import sonnet as snt

    trained = {
        "lstm": lambda: snt.LSTM(UNITS, projection_size=3, use_peepholes=True),
        "gru": lambda: snt.GRU(UNITS),
        "batch_norm_lstm": lambda: snt.BatchNormLSTM(UNITS, max_unique_stats=2),
        "conv_lstm_2d": lambda: snt.Conv2DLSTM(input_shape=SPACES[2], output_channels=3, kernel_shape=2),
    }
    full = dict(use_peepholes=True, projection_size=2, hidden_clip_value=0.1, cell_clip_value=0.3, forget_bias=0.5)
    return {
        "lstm": lambda: snt.LSTM(UNITS),
        "lstm_full": lambda: snt.LSTM(UNITS, **full),
        "lstm_named": lambda: snt.LSTM(UNITS, name="my_core"),
        "lstm_layer_norm": lambda: snt.LSTM(UNITS, use_layer_norm=True, use_peepholes=True),
        "gru": lambda: snt.GRU(UNITS),
        "gru_named": lambda: snt.GRU(UNITS, name="reader"),
        "highway": lambda: snt.HighwayCore(UNITS, num_layers=3),
        "vanilla_rnn": lambda: snt.VanillaRNN(UNITS, activation=tf.nn.relu),
        "lstm_block": lambda: snt.LSTMBlockCell(UNITS),
        **{f"{name}_trainable": lambda core=core: trainable(snt, core) for name, core in trained.items()},
        **batch_norm_cores(snt),
        **convolutions(snt),
    }


def trainable(snt, core):
    """A core that starts from variables; batch normalisation as at inference."""
    made = core()
    state = made.initial_state(2, trainable=True)
    inference = isinstance(made, snt.BatchNormLSTM)
    return made.with_batch_norm_control(is_training=False, test_local_stats=False) if inference else made, state


def batch_norm_cores(snt):
    def core(*layers, **options):
        cores = [snt.BatchNormLSTM(UNITS, **options) for _ in range(layers[0] if layers else 1)]
        states = tuple(one.initial_state(2) for one in cores)
        cores = [one.with_batch_norm_control(is_training=False, test_local_stats=False) for one in cores]
        return (cores[0], states[0]) if len(cores) == 1 else (snt.DeepRNN(cores, skip_connections=False), states)

    clips = dict(hidden_clip_value=0.1, cell_clip_value=0.3, forget_bias=0.5)
    every = dict(use_batch_norm_x=True, use_batch_norm_c=True, use_peepholes=True)
    alone = dict(use_batch_norm_h=False, use_batch_norm_c=True)
    return {
        "batch_norm_lstm": core,
        "batch_norm_lstm_full": lambda: core(name="reader", **every, **clips),
        "batch_norm_lstm_x": lambda: core(use_batch_norm_h=False, use_batch_norm_x=True),
        "batch_norm_lstm_x_steps": lambda: core(max_unique_stats=2, use_batch_norm_h=False, use_batch_norm_x=True),
        "batch_norm_lstm_two": lambda: core(2),
        "batch_norm_lstm_steps": lambda: core(max_unique_stats=3, **every),
        "batch_norm_lstm_static": lambda: core(max_unique_stats=2),
        "batch_norm_lstm_c": lambda: core(use_peepholes=True, **alone),
        "batch_norm_lstm_c_steps": lambda: core(max_unique_stats=2, **alone),
    }


# Of a convolutional core: the shape of its steps.
SPACES = {1: (5, 2), 2: (4, 3, 2), 3: (3, 4, 2, 2)}


def skipping(core, axes):
    """A core whose states are as wide as it makes them: its own are too narrow to go on with."""
    shape = [2, *SPACES[axes]]
    made, (_, cell) = core(axes, skip_connection=True, use_bias=axes > 1)
    return made, (tf.zeros([*shape[:-1], 3 + shape[-1]]), cell)


def convolutions(snt):
    from sonnet.python.modules.gated_rnn import ConvLSTM

    def core(axes, **options):
        cells = {1: snt.Conv1DLSTM, 2: snt.Conv2DLSTM, 3: lambda **options: ConvLSTM(conv_ndims=3, **options)}
        made = cells[axes](input_shape=SPACES[axes], output_channels=3, kernel_shape=2, **options)
        return made, made.initial_state(2)

    if "skip_connection" in inspect.signature(ConvLSTM.__init__).parameters:
        return {f"conv_lstm_{axes}d_skip": lambda axes=axes: skipping(core, axes) for axes in SPACES}
    return {
        "conv_lstm_1d": lambda: core(1),
        "conv_lstm_2d": lambda: core(2, rate=2, legacy_bias_behaviour=False, forget_bias=0.5),
        "conv_lstm_2d_named": lambda: core(2, name="eye"),
        "conv_lstm_3d": lambda: core(3, use_bias=False),
        "conv_lstm_1d_layer_norm": lambda: core(1, use_layer_norm=True, use_bias=False),
        "conv_lstm_2d_layer_norm": lambda: core(2, use_layer_norm=True),
        "conv_lstm_3d_layer_norm": lambda: core(3, use_layer_norm=True, legacy_bias_behaviour=False),
    }


def contrib_cells():
    from tensorflow.contrib.model_pruning.python.layers import rnn_cells

    return {
        "masked_basic_lstm": lambda: rnn_cells.MaskedBasicLSTMCell(UNITS),
        "masked_lstm": lambda: rnn_cells.MaskedLSTMCell(UNITS, use_peepholes=True),
    }


def magenta_cells(path):
    spec = importlib.util.spec_from_file_location("rnn", path)
    rnn = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rnn)
    hyper = dict(hyper_num_units=3, hyper_embedding_size=2)
    return {
        "lstm": lambda: rnn.LSTMCell(UNITS),
        "lstm_fb": lambda: rnn.LSTMCell(UNITS, forget_bias=0.25),
        "layer_norm_lstm": lambda: rnn.LayerNormLSTMCell(UNITS),
        "hyper_lstm": lambda: rnn.HyperLSTMCell(UNITS, **hyper),
        "hyper_lstm_plain": lambda: rnn.HyperLSTMCell(UNITS, use_layer_norm=False, **hyper),
    }


def stepped(cell, state, x):
    """The steps written out one by one: what each gives, and its states."""
    outputs, states = [], []
    for step in tf.unstack(x, 5, axis=1):
        output, state = cell(step, state)
        outputs.append(output)
        states.append(tf.nest.flatten(state))
    return outputs, states


def make(folder, name, cell):
    """Builds, runs and saves a case."""
    random = np.random.RandomState(sum(map(ord, name)))
    with tf.Graph().as_default(), tf.Session() as session:
        axes = re.search(r"conv_lstm_([1-3])d", name)
        shape = SPACES[int(axes[1])] if axes else (3,)
        static = name.endswith("_static")
        x = tf.placeholder(tf.float32, [2, 5 if static else None, *shape], name="x")
        made = cell()
        made, initial = made if isinstance(made, tuple) else (made, None)
        if static:
            every, states = stepped(made, initial, x)
        else:
            outputs, state = tf.nn.dynamic_rnn(made, x, initial_state=initial, dtype=tf.float32)
        for variable in tf.global_variables():
            gain = 1.0 if "gamma" in variable.op.name else 0.0
            values = random.normal(gain, 0.5, variable.shape.as_list())
            values = values > 0 if variable.op.name.endswith("/mask") else values
            values = np.exp(values) if variable.op.name.endswith("/moving_variance") else values
            variable.load(np.asarray(values).astype("f"), session)
        where = os.path.join(HERE, folder, name)
        os.makedirs(where, exist_ok=True)
        tf.train.Saver().save(session, os.path.join(where, "model.ckpt"), write_state=False)
        data = {"x": random.normal(size=(2, 5, *shape)).astype("f")}
        for t in range(5):
            fetched, given = ([every, states[t]], 5) if static else ([outputs, tf.nest.flatten(state)], t + 1)
            out, found = session.run(fetched, {x: data["x"][:, :given]})
            for k, tensor in enumerate(found):
                data[f"step{t}_s{k}"] = data[f"st{k}"] = tensor
        data.update({f"out{k}": one for k, one in enumerate(out if static else [out])})
        np.savez(os.path.join(where, "data.npz"), **data)
        variables = {variable.op.name: variable.shape.as_list() for variable in tf.global_variables()}
        with open(os.path.join(where, "case.json"), "w") as file:
            json.dump(
                {"case": name, "tf": tf.__version__, "kind": "static" if static else "dyn", "vars": variables},
                file,
                indent=1,
            )
            file.write("\n")


if __name__ == "__main__":
    what, wanted = sys.argv[1], sys.argv[2:]
    if what == "sonnet":
        place, cases = "sonnet-1.36", sonnet_cores()
    elif what == "sonnet-1.14":
        import sonnet

        place, cases = what, convolutions(sonnet)
    elif what == "contrib":
        place, cases = "contrib-1.15", contrib_cells()
    else:
        place, cases = "magenta-1.3.1", magenta_cells(what)
    for case in wanted or cases:
        make(place, case, cases[case])
