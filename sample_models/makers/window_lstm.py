"""An LSTM cell of somebody's own, with a window of attention over its last outputs, through the TensorFlow 1 API.

It reads brackets among letters, and where it meets `?` it has to name the bracket that closes the innermost open one.
Nothing in its names or shapes is known to rnnprobe. Runs in TensorFlow 1.15 (which made the sample) and through
`tf.compat.v1` in 2.x.
"""
# ruff: noqa: B905  `zip` has no `strict` in Python 3.7

import json
import os
import time

import numpy as np

from makers.char_lstm import session, tensorflow

SYMBOLS = "abcdefgh([{)]}?"
OPEN, CLOSE, ASK = "([{", ")]}", "?"
UNITS, WINDOW, EMBEDDED = 24, 16, 12
BATCH, LENGTH, STEPS, RATE, SEED = 128, 40, 3000, 4e-3, 20190704
SHOWN = 6


def cell_class(tf):
    """The cell: LSTM over `[x, h, glimpse]`, where the glimpse is a mean of the last outputs, weighted by attention."""

    class WindowCell(tf.nn.rnn_cell.RNNCell):
        @property
        def state_size(self):
            return (UNITS, UNITS, tf.TensorShape([WINDOW, UNITS]))

        @property
        def output_size(self):
            return UNITS

        def zero_state(self, batch_size, dtype):
            sizes = ([UNITS], [UNITS], [WINDOW, UNITS])
            return tuple(tf.zeros(tf.concat([[batch_size], size], 0), dtype) for size in sizes)

        def __call__(self, x, state, scope=None):
            memory_cell, output, window = state
            with tf.variable_scope("reader"):
                with tf.variable_scope("glimpse"):
                    look = tf.get_variable("look", [UNITS, UNITS])
                    seek = tf.get_variable("seek", [EMBEDDED + UNITS, UNITS])
                    score = tf.get_variable("score", [UNITS])
                    keys = tf.tensordot(window, look, [[2], [0]])
                    sought = tf.matmul(tf.concat([x, output], 1), seek)
                    scores = tf.reduce_sum(score * tf.tanh(keys + sought[:, None, :]), 2)
                    attention = tf.nn.softmax(scores, name="attention")
                    glimpse = tf.reduce_sum(attention[:, :, None] * window, 1, name="read")
                mixing = tf.get_variable("mixing", [EMBEDDED + 2 * UNITS, 4 * UNITS])
                offset = tf.get_variable("offset", [4 * UNITS], initializer=tf.zeros_initializer())
                write, erase, new, show = tf.split(tf.matmul(tf.concat([x, output, glimpse], 1), mixing) + offset, 4, 1)
                keep = tf.sigmoid(erase + 1.0, name="keep")
                memory_cell = keep * memory_cell + tf.sigmoid(write, name="write") * tf.tanh(new, name="new")
                output = tf.sigmoid(show, name="show") * tf.tanh(memory_cell)
                window = tf.concat([window[:, 1:], output[:, None, :]], 1)
            return output, (memory_cell, output, window)

    return WindowCell()


def build(tf):
    """The training graph: its tensors by what they are."""
    tf.set_random_seed(SEED)
    ids = tf.placeholder(tf.int32, [None, None], "symbols")
    targets = tf.placeholder(tf.int32, [None, None], "answers")
    table = tf.get_variable("symbol_vectors", [len(SYMBOLS), EMBEDDED])
    x = tf.nn.embedding_lookup(table, ids)
    outputs, final = tf.nn.dynamic_rnn(cell_class(tf), x, dtype=tf.float32)
    weights = tf.get_variable("answer_w", [UNITS, len(CLOSE)])
    logits = tf.tensordot(outputs, weights, [[2], [0]], name="logits")
    asked = tf.cast(targets >= 0, tf.float32)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.maximum(targets, 0), logits=logits)
    loss = tf.reduce_sum(asked * losses) / tf.reduce_sum(asked)
    right = tf.cast(tf.equal(tf.argmax(logits, 2, output_type=tf.int32), targets), tf.float32)
    variables = tf.trainable_variables()
    train = tf.train.AdamOptimizer(RATE).minimize(loss)
    return {
        "ids": ids, "targets": targets, "x": x, "outputs": outputs, "final": final, "logits": logits, "loss": loss,
        "right": tf.reduce_sum(asked * right) / tf.reduce_sum(asked), "train": train, "variables": variables,
    }  # fmt: skip


def sequences(random, count):
    """Symbols and answers, `[count, LENGTH]` int32; -1 where nothing is asked."""
    ids, targets = np.zeros((2, count, LENGTH), np.int32)
    targets[:] = -1
    for row in range(count):
        stack, at = [], 0
        while at < LENGTH:
            draw = random.rand()
            if stack and (draw < 0.25 or len(stack) == 4):
                kind = stack.pop()
                if at + 1 < LENGTH:
                    ids[row, at], targets[row, at] = SYMBOLS.index(ASK), kind
                    at += 1
                symbol = CLOSE[kind]
            elif draw < 0.5:
                stack.append(random.randint(len(OPEN)))
                symbol = OPEN[stack[-1]]
            else:
                symbol = SYMBOLS[random.randint(8)]
            ids[row, at] = SYMBOLS.index(symbol)
            at += 1
    return ids, targets


def train(folder):
    """Trains, and writes the checkpoint and the vocabulary into `folder`, which becomes the working directory."""
    tf = tensorflow()
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    with open("vocab.json", "w") as file:
        json.dump({symbol: number for number, symbol in enumerate(SYMBOLS)}, file, indent=0)
        file.write("\n")
    graph = build(tf)
    saver = tf.train.Saver(graph["variables"])
    random, held = np.random.RandomState(SEED), sequences(np.random.RandomState(SEED + 1), 2000)
    with session(tf) as sess:
        sess.run(tf.global_variables_initializer())
        began = time.time()
        for step in range(1, STEPS + 1):
            ids, targets = sequences(random, BATCH)
            loss, _ = sess.run([graph["loss"], graph["train"]], {graph["ids"]: ids, graph["targets"]: targets})
            if step % 250 == 0:
                right = sess.run(graph["right"], {graph["ids"]: held[0], graph["targets"]: held[1]})
                print(f"step {step} loss {loss:.3f} held out {right:.4f} right {time.time() - began:.0f} s", flush=True)
        saver.save(sess, "./model.ckpt")
    shown, _ = sequences(np.random.RandomState(SEED + 2), SHOWN)
    with open("example.txt", "w") as file:
        file.writelines("".join(SYMBOLS[k] for k in row) + "\n" for row in shown)


def expected(folder):
    """Writes what TensorFlow computes for the example into `expected.npz`: a run of the model for each step."""
    tf = tensorflow()
    os.chdir(folder)
    with open("example.txt") as file:
        ids = np.array([[SYMBOLS.index(symbol) for symbol in line.rstrip("\n")] for line in file], np.int32)
    tf.reset_default_graph()
    graph = build(tf)
    one, names = {}, ("c", "h", "window")
    with tf.variable_scope("rnn", reuse=True):
        x = tf.placeholder(tf.float32, [None, EMBEDDED])
        state = tuple(tf.placeholder(tf.float32, [None, *size]) for size in ([UNITS], [UNITS], [WINDOW, UNITS]))
        before = {op.name for op in tf.get_default_graph().get_operations()}
        _, after = cell_class(tf)(x, state)
        made = [op for op in tf.get_default_graph().get_operations() if op.name not in before]
        for name in ("attention", "keep"):
            one[name] = next(op.outputs[0] for op in made if op.name.split("/")[-1] == name)
        one.update(zip(names, after))
    with session(tf) as sess:
        tf.train.Saver(graph["variables"]).restore(sess, "./model.ckpt")
        whole = sess.run({key: graph[key] for key in ("x", "outputs", "logits", "final")}, {graph["ids"]: ids})
        zeros = [np.zeros([len(ids), *size], "f") for size in ([UNITS], [UNITS], [WINDOW, UNITS])]
        steps, values = [], zeros
        for t in range(ids.shape[1]):
            steps.append(sess.run(one, {x: whole["x"][:, t], **dict(zip(state, values))}))
            values = [steps[-1][name] for name in names]
    found = {name: np.stack([step[name] for step in steps], 1) for name in one}
    assert np.allclose(found["h"], whole["outputs"], atol=1e-6), "the stepwise run is not the whole one"
    np.savez_compressed("expected.npz", ids=ids, logits=whole["logits"], **found)


def make(folder):
    """Everything in `folder/window_lstm`."""
    folder = os.path.join(folder, "window_lstm")
    train(folder)
    expected(".")
