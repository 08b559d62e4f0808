"""Makes the checkpoints beside it that no folder of the conformance cases has: python generate.py

TensorFlow 2.21's own writers made those that are stored here: V2 bundles in several shards and of every dtype, and V1
checkpoints, whole, partitioned and sharded. `values.npz` holds what was saved.
"""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import tensorflow as tf

HERE = Path(__file__).parent
v1 = tf.compat.v1
DTYPES = (
    *("float16", "float32", "float64", "bfloat16", "float8_e5m2", "float8_e4m3fn", "complex64", "complex128", "bool"),
    *("int4", "int8", "int16", "int32", "int64", "uint4", "uint8", "uint16", "uint32", "uint64"),
)


def expected(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    """Keeps what was saved; dtypes that NumPy's files don't know as the bytes under them."""
    plain = {
        name.replace("/", "|"): array.view(np.uint8) if array.dtype.isbuiltin == 2 else array
        for name, array in arrays.items()
    }
    np.savez_compressed(folder / "values.npz", **plain)


def every_dtype() -> None:
    """A V2 bundle with one tensor of each dtype, an empty one, a scalar, and strings."""
    folder = HERE / "every-dtype"
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    arrays = {}
    for name in DTYPES:
        dtype = np.dtype(getattr(ml_dtypes, name, name))
        numbers = random.integers(0, 7, (3, 2))
        arrays[f"t/{name}"] = (numbers % 2 == 1) if name == "bool" else numbers.astype(dtype)
    arrays["t/empty"] = np.zeros((0, 4), np.float32)
    arrays["t/scalar"] = np.array(2.5, np.float32)
    strings = tf.constant([["", "one"], ["two" * 50, b"\x00\xff"]])
    names = [*arrays, "t/qint8", "t/string"]
    tensors = [tf.constant(array) for array in arrays.values()]
    tensors += [tf.bitcast(tf.constant([1, 2], tf.int8), tf.qint8), strings]
    tf.raw_ops.SaveV2(
        prefix=str(folder / "all"), tensor_names=names, shape_and_slices=[""] * len(names), tensors=tensors
    )
    expected(folder, arrays)


def graph_variables(devices: int) -> tuple[dict[str, np.ndarray], v1.ConfigProto]:
    """Variables over several devices, one of them partitioned, in the default graph; and what they start with."""
    random = np.random.default_rng(1)
    arrays = {
        "rnn/basic_lstm_cell/kernel": random.standard_normal((7, 16)).astype(np.float32),
        "rnn/basic_lstm_cell/bias": np.arange(16, dtype=np.float32),
        "embedding": random.standard_normal((300, 5)).astype(np.float32),
        "halves": random.standard_normal((4, 4)).astype(np.float16),
        "counts": np.array([-1, 0, 2**31 - 1], np.int32),
        "flags": np.array([True, False, True]),
        "wide": np.array([-(2**63), 2**63 - 1], np.int64),
        "waves": np.array([1 + 2j], np.complex64),
        "global_step": np.array(12, np.int64),
    }
    for k, (name, array) in enumerate(arrays.items()):
        with tf.device(f"/cpu:{k % devices}"):
            if name == "embedding":
                whole = array

                def rows(shape, dtype=None, partition_info=None, whole=whole):
                    start = partition_info.var_offset[0] if partition_info else 0
                    return tf.constant(whole[start : start + shape[0]])

                splitter = v1.fixed_size_partitioner(3)
                v1.get_variable(name, array.shape, initializer=rows, partitioner=splitter, use_resource=False)
            else:
                v1.get_variable(name, initializer=array, use_resource=False)
    return arrays, v1.ConfigProto(device_count={"CPU": devices})


def saved(name: str, devices: int, version: int) -> None:
    """A checkpoint through `Saver`."""
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    with tf.Graph().as_default():
        arrays, config = graph_variables(devices)
        saver = v1.train.Saver(sharded=devices > 1, write_version=version, save_relative_paths=True)
        with v1.Session(config=config) as session:
            session.run(v1.global_variables_initializer())
            saver.save(session, str(folder / "model.ckpt"), global_step=12, write_meta_graph=devices == 1)
    expected(folder, arrays)


if __name__ == "__main__":
    every_dtype()
    saved("shards", 3, v1.train.SaverDef.V2)
    saved("v1", 1, v1.train.SaverDef.V1)
    saved("v1-shards", 3, v1.train.SaverDef.V1)
