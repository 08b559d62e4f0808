"""Makes `saved_model`, a SavedModel as TensorFlow 1 code writes it. Run with TensorFlow 2.21 and tf_keras:

TF_USE_LEGACY_KERAS=1 python make_saved_model.py
"""

import shutil
from pathlib import Path

import tensorflow.compat.v1 as tf

FOLDER = Path(__file__).parent / "saved_model"

tf.disable_eager_execution()
tf.disable_control_flow_v2()
x = tf.placeholder(tf.float32, [None, None, 3], "x")
cell = tf.nn.rnn_cell.BasicLSTMCell(4, forget_bias=0.5)
outputs, _ = tf.nn.dynamic_rnn(cell, x, dtype=tf.float32)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    shutil.rmtree(FOLDER, ignore_errors=True)
    tf.saved_model.simple_save(session, str(FOLDER), {"x": x}, {"y": outputs})
