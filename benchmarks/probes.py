"""What it costs to record the inside of an original graph, against running it as it is.

    python benchmarks/probes.py [--batch 32] [--units 256] [--steps 200] [--runs 15] [--functional]

A `dynamic_rnn` over a BasicLSTMCell, by the TensorFlow 1 API (of TensorFlow 2, which needs tf_keras for it). Every
round runs it once as it is, its outputs and final state fetched, and once with recorders in its loop for h, c and the
four gates, all of them fetched; whatever else the machine does meets both alike. Printed are medians and the fastest of
each, and the ratio of the fastest, which other work on the machine disturbs least. Status 1 if that is over 1.15.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow.compat.v1 as tf

import rnnprobe
from rnnprobe.engine.original.build import build
from rnnprobe.engine.original.copies import copies
from rnnprobe.engine.original.locate import Locator
from rnnprobe.recover.graph.view import view

GOAL = 1.15
SIGNALS = ("c", "h", "i", "f", "g", "o")


def original(folder: Path, x: np.ndarray, units: int, *, functional: bool) -> Callable[[], Any]:
    """Saves the graph in `folder`, and returns what runs it as it is."""
    (tf.enable_control_flow_v2 if functional else tf.disable_control_flow_v2)()
    graph = tf.Graph()
    with graph.as_default():
        given = tf.placeholder(tf.float32, [None, None, x.shape[2]], "x")
        fetches = tf.nn.dynamic_rnn(tf.nn.rnn_cell.BasicLSTMCell(units), given, dtype=tf.float32)
        session = tf.Session(graph=graph)
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(folder / "model.ckpt"))
    return lambda: session.run(fetches, {given: x})


def recorded(folder: Path, x: np.ndarray) -> Callable[[], Any]:
    """What runs it with its recorders."""
    network = rnnprobe.open(folder)
    definition = network.checkpoint.graph.graph_def
    copy = copies(network, x.shape[1])[0]
    built = build(network, copy, Locator(view(definition), definition.library.function), carry=False)
    (signals,) = built.signals.values()
    (entry,) = built.entries.values()
    feed = {f"{entry[0]}:0": x, f"{built.limit}:0": x.shape[1]}
    feed.update({f"{name}:0": array for name, array in built.variables.items()})
    session = tf.Session(graph=built.graph)
    fetches = [f"{signals[name].edges[0]}:0" for name in SIGNALS]
    return lambda: session.run(fetches, feed)


def main() -> int:
    """Measures, prints, and says by the status whether the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, default in (("batch", 32), ("units", 256), ("steps", 200), ("runs", 15)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--functional", action="store_true", help="a While op in place of Enter, Switch and Exit")
    given = parser.parse_args()
    tf.disable_eager_execution()
    x = np.random.default_rng(1).normal(size=(given.batch, given.steps, given.units)).astype("f")
    times: dict[str, list[float]] = {"as it is": [], "recorded": []}
    with tempfile.TemporaryDirectory() as folder:
        plain = original(Path(folder), x, given.units, functional=given.functional)
        ways = {"as it is": plain, "recorded": recorded(Path(folder), x)}
        for run in range(given.runs + 2):
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                if run > 1:
                    times[name].append(time.perf_counter() - start)
    for name, found in times.items():
        print(f"{name:10s} median {1000 * statistics.median(found):8.1f} ms    fastest {1000 * min(found):8.1f} ms")
    ratio = min(times["recorded"]) / min(times["as it is"])
    print(f"ratio of the fastest {ratio:.2f}    goal: at most {GOAL}")
    return int(ratio > GOAL)


if __name__ == "__main__":
    sys.exit(main())
