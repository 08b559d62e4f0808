"""Writes the checkpoints of this folder with genuine TensorFlow 1.15 (`contrib.seq2seq`): `python make.py`.

An encoder hands its state to a decoder that decodes greedily, with `dynamic_decode`. `plain` has an LSTM decoder,
`attention` a GRU in an AttentionWrapper that looks at the encoder's outputs.
"""

import os
import sys

import numpy as np
import tensorflow as tf

HERE = os.path.dirname(os.path.abspath(__file__))
WORDS, SIZE, UNITS, MOST, END = 6, 4, 5, 9, 1
SOURCE = np.array([[2, 3, 4, 5, 2], [5, 4, 3, 0, 0], [2, 2, 4, 3, 0]], "i")
LENGTHS = np.array([5, 3, 4], "i")


def encode(cell):
    """The source's embedding, and what `cell` makes of it."""
    ids = tf.placeholder(tf.int32, [None, None], "source")
    lengths = tf.placeholder(tf.int32, [None], "source_lengths")
    table = tf.get_variable("embedding", [WORDS, SIZE])
    outputs, state = tf.nn.dynamic_rnn(
        cell, tf.nn.embedding_lookup(table, ids), lengths, dtype=tf.float32, scope="encoder"
    )
    return table, lengths, outputs, state


def decode(cell, table, state, batch):
    """Greedy decoding: `dynamic_decode`'s outputs and final state."""
    helper = tf.contrib.seq2seq.GreedyEmbeddingHelper(table, tf.zeros([batch], tf.int32), END)
    layer = tf.layers.Dense(WORDS, use_bias=False, name="words")
    decoder = tf.contrib.seq2seq.BasicDecoder(cell, helper, state, layer)
    outputs, final, lengths = tf.contrib.seq2seq.dynamic_decode(decoder, maximum_iterations=MOST)
    return {"logits": outputs.rnn_output, "words": outputs.sample_id, "lengths": lengths}, final


def plain():
    table, lengths, outputs, state = encode(tf.nn.rnn_cell.BasicLSTMCell(UNITS))
    found, final = decode(tf.nn.rnn_cell.BasicLSTMCell(UNITS), table, state, tf.shape(lengths)[0])
    return dict(found, encoder=outputs, encoder_c=state.c, encoder_h=state.h, final_c=final.c, final_h=final.h)


def attention():
    table, lengths, outputs, state = encode(tf.nn.rnn_cell.GRUCell(UNITS))
    mechanism = tf.contrib.seq2seq.LuongAttention(UNITS, outputs, lengths)
    cell = tf.contrib.seq2seq.AttentionWrapper(
        tf.nn.rnn_cell.GRUCell(UNITS), mechanism, attention_layer_size=3, alignment_history=True
    )
    batch = tf.shape(lengths)[0]
    start = cell.zero_state(batch, tf.float32).clone(cell_state=state)
    found, final = decode(cell, table, start, batch)
    return dict(
        found, encoder=outputs, alignments=final.alignment_history.stack(), final_h=final.cell_state,
        final_attention=final.attention,
    )  # fmt: skip


def main():
    tf.logging.set_verbosity(tf.logging.ERROR)
    for case in (plain, attention):
        with tf.Graph().as_default(), tf.Session() as session:
            results = case()
            session.run(tf.global_variables_initializer())
            feed = {"source:0": SOURCE, "source_lengths:0": LENGTHS}
            # Weights with which the sequences end at three different steps.
            for seed in range(1000):
                random = np.random.RandomState(seed)
                for variable in tf.global_variables():
                    variable.load(random.normal(0, 1.2, variable.shape.as_list()).astype("f"), session)
                if len(set(session.run(results["lengths"], feed)) - {MOST}) == len(SOURCE):
                    break
            folder = os.path.join(HERE, case.__name__)
            if not os.path.isdir(folder):
                os.makedirs(folder)
            np.savez(
                os.path.join(folder, "data.npz"), source=SOURCE, source_lengths=LENGTHS, **session.run(results, feed)
            )
            tf.train.Saver().save(session, os.path.join(folder, "model.ckpt"))
            os.remove(os.path.join(folder, "checkpoint"))


if __name__ == "__main__":
    sys.exit(main())
