"""Makes goldens of cells in AttentionWrappers: `python make_attention.py [CASE …]`, with TensorFlow 1.15, 1.4 or 1.1.

Each release makes the cases that `KNOWN` lists for it, in its own folder; 1.1 those in a DynamicAttentionWrapper. Each
is a wrapped cell with seeded random weights, saved with its graph, and what TensorFlow computes: `x` `[3, 5, 3]`, the
memory `mem` `[3, 6, 5]` (of `encoded`: what enters the encoder, `[3, 6, 4]`) and its lengths `mem_lens`, `out0`, the
final states `st0` … in the wrapper's own order, and those after every step `step<t>_s<k>`.
"""

import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from tensorflow.contrib import rnn, seq2seq
from tensorflow.python.util import nest

RELEASE = ".".join(tf.__version__.split(".")[:2])
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tf" + RELEASE)
STEPS, PLACES, UNITS = 5, 6, 4


def wrapped(cell, mechanism, size=3, output_attention=True, **options):
    """`(memory, lengths) → AttentionWrapper`."""

    def make(memory, lengths):
        made = mechanism(UNITS, memory, memory_sequence_length=lengths, **options)
        return seq2seq.AttentionWrapper(cell(), made, attention_layer_size=size, output_attention=output_attention)

    return make


def several(cell, *mechanisms, sizes=None, turned=False):
    """Likewise, with several mechanisms; `turned`: the wrapper is given them in the opposite order."""

    def make(memory, lengths):
        made = [one(UNITS, memory, memory_sequence_length=lengths, **options) for one, options in mechanisms]
        return seq2seq.AttentionWrapper(cell(), made[::-1] if turned else made, attention_layer_size=sizes)

    return make


def to_two_memories(memory, lengths):
    """A second mechanism that attends to the memory as it is at its other end."""
    made = [seq2seq.LuongAttention(UNITS, one, lengths) for one in (memory, memory[:, ::-1])]
    return seq2seq.AttentionWrapper(gru(), made, attention_layer_size=[3, 2])


def dynamic(cell, mechanism, size=3, output_attention=True, **options):
    """In TensorFlow 1.1's wrapper."""

    def make(memory, lengths):
        made = mechanism(UNITS, memory, memory_sequence_length=lengths, **options)
        return seq2seq.DynamicAttentionWrapper(cell(), made, size, output_attention=output_attention)

    return make


def stack():
    return rnn.MultiRNNCell([rnn.GRUCell(5), rnn.LSTMCell(UNITS)])


def gru():
    return rnn.GRUCell(UNITS)


def lstm():
    return rnn.BasicLSTMCell(UNITS)


LUONG, BAHDANAU = seq2seq.LuongAttention, seq2seq.BahdanauAttention
KNOWN = {}
if RELEASE == "1.15":
    KNOWN = {
        "attnwrap_gru_norm": wrapped(gru, seq2seq.BahdanauAttention, normalize=True),
        "attnwrap_monotonic_norm": wrapped(
            gru, seq2seq.BahdanauMonotonicAttention, normalize=True, score_bias_init=0.5
        ),
        "attnwrap_luong_monotonic": wrapped(lstm, seq2seq.LuongMonotonicAttention, scale=True, mode="hard"),
        "attnwrap_cell_output": wrapped(lstm, seq2seq.LuongAttention, output_attention=False),
        "attnwrap_cell_output_nolayer": wrapped(gru, seq2seq.BahdanauAttention, size=None, output_attention=False),
        "attnwrap_encoded": wrapped(gru, seq2seq.LuongAttention, scale=True),
        "attnwrap_multi_mixed": wrapped(stack, seq2seq.BahdanauAttention),
        "attnwrap_several": several(gru, (LUONG, {}), (LUONG, {}), sizes=[3, 2]),
        "attnwrap_several_turned": several(
            gru, (BAHDANAU, {}), (BAHDANAU, {"normalize": True}), sizes=[2, 3], turned=True
        ),
        "attnwrap_several_kinds": several(
            lstm,
            (LUONG, {"scale": True}),
            (seq2seq.BahdanauMonotonicAttention, {}),
            (LUONG, {}),
        ),
        "attnwrap_several_multi": several(stack, (LUONG, {}), (BAHDANAU, {}), sizes=[2, 3]),
    }
elif RELEASE == "1.4":
    KNOWN = {"attnwrap_several_old": several(gru, (BAHDANAU, {}), (LUONG, {}), sizes=[2, 3])}
elif RELEASE == "1.1":
    KNOWN = {
        "attnwrap_dynamic": dynamic(gru, LUONG),
        "attnwrap_dynamic_norm": dynamic(lstm, BAHDANAU, normalize=True),
        "attnwrap_dynamic_cell_output": dynamic(gru, BAHDANAU, size=UNITS, output_attention=False),
        "attnwrap_dynamic_multi": dynamic(stack, LUONG, normalize=True),
    }


def make(name):
    """Builds, runs and saves a case."""
    random = np.random.RandomState(sum(map(ord, name)))
    width = 4 if name.endswith("encoded") else 5
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [None, None, 3], name="x")
        memory = given = tf.placeholder(tf.float32, [None, None, width], name="mem")
        lengths = tf.placeholder(tf.int32, [None], name="mem_lens")
        if name.endswith("encoded"):
            with tf.variable_scope("encoder"):
                both = [gru(), rnn.BasicRNNCell(3)]
                memory, _ = tf.nn.bidirectional_dynamic_rnn(*both, given, lengths, dtype=tf.float32)
            memory = tf.concat(memory, -1)
        with tf.variable_scope("decoder"):
            cell = KNOWN[name](memory, lengths)
            output, state = tf.nn.dynamic_rnn(cell, x, dtype=tf.float32)
        for variable in tf.global_variables():
            variable.load(random.normal(0, 0.7, variable.shape.as_list()).astype("f"), session)
        where = os.path.join(HERE, name)
        os.makedirs(where, exist_ok=True)
        tf.train.Saver().save(session, os.path.join(where, "model.ckpt"), write_state=False)
        data = {
            "x": random.normal(size=(3, STEPS, 3)).astype("f"),
            "mem": random.normal(size=(3, PLACES, width)).astype("f"),
            "mem_lens": np.array([4, 6, 1], "i"),
        }
        feed = {given: data["mem"], lengths: data["mem_lens"]}
        for t in range(STEPS):
            out, found = session.run([output, nest.flatten(state)], {x: data["x"][:, : t + 1], **feed})
            for k, array in enumerate(found):
                data[f"step{t}_s{k}"] = data[f"st{k}"] = array
        data["out0"] = out
        np.savez(os.path.join(where, "data.npz"), **data)
        variables = {variable.op.name: variable.shape.as_list() for variable in tf.global_variables()}
        with open(os.path.join(where, "case.json"), "w") as file:
            kind = name if name.endswith("encoded") else "attnwrap"
            json.dump({"case": name, "tf": tf.__version__, "kind": kind, "vars": variables}, file, indent=1)
            file.write("\n")


def keep_graph(name, build, folder):
    """Saves a case that is not rebuilt: without what it computes."""
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [None, None, 3], name="x")
        memory = tf.placeholder(tf.float32, [None, None, 5], name="mem")
        lengths = tf.placeholder(tf.int32, [None], name="mem_lens")
        with tf.variable_scope("decoder"):
            tf.nn.dynamic_rnn(build(memory, lengths), x, dtype=tf.float32)
        session.run(tf.global_variables_initializer())
        os.makedirs(os.path.join(folder, name), exist_ok=True)
        tf.train.Saver().save(session, os.path.join(folder, name, "model.ckpt"), write_state=False)


if __name__ == "__main__":
    if RELEASE == "1.15":
        keep_graph("two_memories", to_two_memories, os.path.join(HERE, "..", "..", "graph", "tf1.15"))
    for case in sys.argv[1:] or KNOWN:
        make(case)
