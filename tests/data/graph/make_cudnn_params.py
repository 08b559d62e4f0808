"""Makes `tf1.1/cudnn_params`: a buffer of cuDNN's that its user named: `python make_cudnn_params.py`, TensorFlow 1.1.

The graph is that of the genuine op, which can be built, though not run, without a GPU; the buffer holds random numbers.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from tensorflow.contrib.cudnn_rnn.python.ops import cudnn_rnn_ops

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tf1.1", "cudnn_params", "model.ckpt")
NAME = "model/params"

with tf.Graph().as_default():
    cudnn = cudnn_rnn_ops.CudnnLSTM(2, 4, 3)
    states = [tf.zeros([2, 2, 4])] * 2
    initial = tf.random_uniform([cudnn.params_size()])
    params = tf.Variable(initial, validate_shape=False, name=NAME)
    cudnn(tf.placeholder(tf.float32, [5, 2, 3]), *states, params=params)
    tf.train.Saver([params]).export_meta_graph(PATH + ".meta")
# No session takes that graph, for whose ops there are no kernels without a GPU.
with tf.Graph().as_default(), tf.Session() as session:
    alike = tf.Variable(np.random.RandomState(3).normal(size=304).astype("f"), name=NAME)
    session.run(alike.initializer)
    tf.train.Saver().save(session, PATH, write_state=False, write_meta_graph=False)
