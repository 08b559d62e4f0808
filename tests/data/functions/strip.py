"""Makes small SavedModels of large ones: python strip.py CASES

CASES is a folder of `RELEASE/CASE` as genuine Keras saved them (`sm/`, and `data.npz` with the input x and the output
y). Functions that nothing in the graph calls, which are most of the file, are left out.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
from tensorflow.core.protobuf import saved_model_pb2

CASES = (
    "tf.keras-1.15/gru_ra",
    "tf.keras-1.15/masking_bi",
    "tf.keras-1.15/seq2seq",
    "tf_keras-2.21/lstm",
    "tf_keras-2.21/masking_last",
    "tf_keras-2.21/rnn_stacked_mixed",
    "tf_keras-2.21/stateful",
)


def called(graph) -> set[str]:
    """The functions that the nodes of a graph call, directly or not."""
    functions = {one.signature.name: one for one in graph.library.function}
    found: set[str] = set()
    front = list(graph.node)
    while front:
        for value in front.pop().attr.values():
            for named in (value.func, *value.list.func):
                if named.name in functions and named.name not in found:
                    found.add(named.name)
                    front += functions[named.name].node_def
    return found


def strip(source: Path, target: Path) -> None:
    """A case without what nothing calls."""
    shutil.rmtree(target, ignore_errors=True)
    (target / "sm" / "variables").mkdir(parents=True)
    for path in (source / "sm" / "variables").iterdir():
        shutil.copyfile(path, target / "sm" / "variables" / path.name)
    stored = saved_model_pb2.SavedModel.FromString((source / "sm" / "saved_model.pb").read_bytes())
    for graph in stored.meta_graphs:
        kept = called(graph.graph_def)
        functions = [one for one in graph.graph_def.library.function if one.signature.name in kept]
        del graph.graph_def.library.function[:]
        graph.graph_def.library.function.extend(functions)
        graph.object_graph_def.ClearField("concrete_functions")
        graph.meta_info_def.ClearField("stripped_op_list")
        for nodes in (graph.graph_def.node, *(one.node_def for one in functions)):
            for node in nodes:
                node.ClearField("experimental_debug_info")
    (target / "sm" / "saved_model.pb").write_bytes(stored.SerializeToString(deterministic=True))
    data = np.load(source / "data.npz")
    np.savez(target / "data.npz", x=data["x"], y=data["y"])
    if (source / "sm" / "keras_metadata.pb").exists():
        shutil.copyfile(source / "sm" / "keras_metadata.pb", target / "sm" / "keras_metadata.pb")


if __name__ == "__main__":
    for case in CASES:
        strip(Path(sys.argv[1]) / case, Path(__file__).parent / case.replace("/", "-"))
