"""A character LSTM of two layers on Python's own standard library, through the TensorFlow 1 API.

Runs in TensorFlow 1.15 (which made the sample) and through `tf.compat.v1` in 2.x.
"""
# ruff: noqa: B905  `zip` has no `strict` in Python 3.7

import json
import os
import time

import numpy as np

from makers import source_text, units

EMBEDDED, UNITS, LAYERS = 32, 112, 2
STREAMS, WINDOW = 64, 100
STEPS, KEPT = 6000, (100, 400, 1200, 3000, 6000)
RATE, CLIP, SEED = 4e-3, 1.0, 20191015
EXPECTED_STARTS, EXPECTED_STEPS = (0, 640), 60


def tensorflow():
    """The TensorFlow 1 API of the release at hand."""
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    import tensorflow

    tf = tensorflow.compat.v1
    tf.disable_v2_behavior()
    tf.logging.set_verbosity(tf.logging.ERROR)
    return tf


def session(tf):
    """One thread inside an operation and one beside it: the same numbers at every run."""
    return tf.Session(config=tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1))


def build(tf, vocabulary):
    """The training graph, as people wrote it: its tensors by what they are."""
    tf.set_random_seed(SEED)
    ids = tf.placeholder(tf.int32, [None, None], "ids")
    targets = tf.placeholder(tf.int32, [None, None], "targets")
    embedding = tf.get_variable("embedding", [vocabulary, EMBEDDED])
    cell = tf.nn.rnn_cell.MultiRNNCell([tf.nn.rnn_cell.BasicLSTMCell(UNITS) for _ in range(LAYERS)])
    start = cell.zero_state(tf.shape(ids)[0], tf.float32)
    inputs = tf.nn.embedding_lookup(embedding, ids)
    outputs, final = tf.nn.dynamic_rnn(cell, inputs, initial_state=start)
    weights = tf.get_variable("softmax_w", [UNITS, vocabulary])
    bias = tf.get_variable("softmax_b", [vocabulary], initializer=tf.zeros_initializer())
    logits = tf.add(tf.tensordot(outputs, weights, [[2], [0]]), bias, name="logits")
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits), name="loss")
    step = tf.train.get_or_create_global_step()
    variables = tf.trainable_variables()
    gradients, _ = tf.clip_by_global_norm(tf.gradients(loss, variables), CLIP)
    optimiser = tf.train.AdamOptimizer(tf.train.cosine_decay(RATE, step, STEPS, alpha=0.02))
    train = optimiser.apply_gradients(zip(gradients, variables), global_step=step, name="train")
    return {
        "ids": ids, "targets": targets, "start": start, "inputs": inputs, "outputs": outputs, "final": final,
        "logits": logits, "loss": loss, "train": train, "step": step, "variables": variables,
    }  # fmt: skip


def feed(graph, ids, state, targets=None):
    """What to feed: the ids, the state to start from, and the targets where there are any."""
    fed = {graph["ids"]: ids}
    if state is not None:
        for cell, value in zip(graph["start"], state):
            fed.update({cell.c: value.c, cell.h: value.h})
    if targets is not None:
        fed[graph["targets"]] = targets
    return fed


def encode(text, vocabulary):
    """`[len(text)]` int32."""
    return np.array([vocabulary[char] for char in text], np.int32)


def streams(texts, vocabulary):
    """The files in a shuffled order, one after another, cut into `STREAMS` rows: `[STREAMS, steps]`."""
    names = sorted(texts)
    np.random.RandomState(SEED).shuffle(names)
    every = encode("".join(texts[name] for name in names), vocabulary)
    steps = len(every) // STREAMS
    return every[: steps * STREAMS].reshape(STREAMS, steps)


def measure(sess, graph, rows):
    """The mean loss over `[rows, steps]` in nats per character, the state carried through."""
    state, losses = None, []
    for at in range(0, rows.shape[1] - WINDOW, WINDOW):
        fed = feed(graph, rows[:, at : at + WINDOW], state, rows[:, at + 1 : at + WINDOW + 1])
        loss, state = sess.run([graph["loss"], graph["final"]], fed)
        losses.append(loss)
    return float(np.mean(losses))


def train(folder):
    """Trains, and writes the checkpoints and the vocabulary into `folder`, which becomes the working directory.

    Relative paths are all that the files then name.
    """
    tf = tensorflow()
    training, held_out = source_text.split()
    vocabulary = {char: i for i, char in enumerate(sorted(set("".join(training.values()))))}
    os.chdir(folder)
    with open("vocab.json", "w") as file:
        json.dump(vocabulary, file, indent=0)
        file.write("\n")
    rows = streams(training, vocabulary)
    held = encode("".join(held_out[name] for name in sorted(held_out)), vocabulary)
    held = held[: len(held) // 16 * 16].reshape(16, -1)
    graph = build(tf, len(vocabulary))
    saver = tf.train.Saver(graph["variables"] + [graph["step"]], max_to_keep=len(KEPT))
    with session(tf) as sess:
        sess.run(tf.global_variables_initializer())
        state, at, began, recent = None, 0, time.time(), []
        for step in range(1, STEPS + 1):
            if at + WINDOW + 1 > rows.shape[1]:
                state, at = None, 0
            fed = feed(graph, rows[:, at : at + WINDOW], state, rows[:, at + 1 : at + WINDOW + 1])
            loss, state, _ = sess.run([graph["loss"], graph["final"], graph["train"]], fed)
            at += WINDOW
            recent = [*recent[-49:], loss]
            if step % 50 == 0:
                print(f"step {step} loss {np.mean(recent):.3f} {time.time() - began:.0f} s", flush=True)
            if step in KEPT:
                saver.save(sess, "./model.ckpt", global_step=step, write_meta_graph=step == STEPS)
                print(f"step {step} held-out loss {measure(sess, graph, held):.4f}", flush=True)


def expected(folder):
    """Writes what TensorFlow computes for two excerpts of the example into `folder/expected.npz`.

    The states of every step are fetched from the session, fed one character at a time; the whole run must agree.
    """
    tf = tensorflow()
    os.chdir(folder)
    with open("vocab.json") as file:
        vocabulary = json.load(file)
    with open("example.py") as file:
        text = file.read()
    ids = np.stack([encode(text[at : at + EXPECTED_STEPS], vocabulary) for at in EXPECTED_STARTS])
    tf.reset_default_graph()
    graph = build(tf, len(vocabulary))
    with session(tf) as sess:
        tf.train.Saver(graph["variables"]).restore(sess, tf.train.latest_checkpoint("."))
        whole = sess.run({key: graph[key] for key in ("inputs", "outputs", "logits", "final")}, {graph["ids"]: ids})
        state, states = None, []
        for at in range(EXPECTED_STEPS):
            state = sess.run(graph["final"], feed(graph, ids[:, at : at + 1], state))
            states.append(state)
    found = {"ids": ids, "input": whole["inputs"], "logits": whole["logits"]}
    found["lengths"] = np.full(len(ids), EXPECTED_STEPS, np.int32)
    for layer in range(LAYERS):
        for name in ("h", "c"):
            every = np.stack([getattr(state[layer], name) for state in states], 1)
            final = getattr(whole["final"][layer], name)
            assert np.allclose(every[:, -1], final, atol=1e-6), "the stepwise run is not the whole one"
            key = "{}/" + units.LAYER.format(layer)
            found.update({key.format(name): every, key.format("final_" + name): final})
    assert np.allclose(found["h/" + units.LAYER.format(LAYERS - 1)], whole["outputs"], atol=1e-6)
    np.savez("expected.npz", **found)


def make(folder):
    """Everything in `folder/char_lstm` but the example, which is there to begin with."""
    folder = os.path.join(folder, "char_lstm")
    train(folder)
    expected(".")
    units.write(".")
