"""Saves one layer of each class that is rebuilt, with what it computes. Runs in the release that executes it.

    python generate.py keras|tf.keras|tf_keras NAME

All layers are branches of one functional model, so that a release takes a file of each format: `model.h5` and, where
the release knows them, `model.keras` and an object checkpoint `tfw`. `data.npz` holds the inputs and, by the layer's
name, the output of each. All of them go into `NAME.zip`. Made with Keras 1.2.2 (TensorFlow 1.2, Theano 1.0), Keras
2.2.4 and tf.keras of TensorFlow 1.15, tf_keras 2.21 and Keras 3.15.
"""

import os
import shutil
import sys
import tempfile

import numpy as np

kind, destination = sys.argv[1:3]
if kind == "tf.keras":
    from tensorflow import keras
elif kind == "tf_keras":
    import tf_keras as keras
else:
    import keras

L = keras.layers
MAJOR = int(keras.__version__.split(".")[0])
BACKEND = "theano" if MAJOR < 3 and keras.backend.backend() == "theano" else ""
if BACKEND:
    import theano.ifelse  # noqa: F401 which Keras 1 takes for granted
rng = np.random.RandomState(7)
INPUTS = {
    "flat": rng.randn(2, 4),
    "steps": rng.randn(2, 6, 4),
    "other": rng.randn(2, 6, 4),
    "image": rng.randn(2, 6, 5, 3),
    "space": rng.randn(2, 4, 5, 4, 2),
    "film": rng.randn(2, 3, 6, 4),
    "ids": rng.randint(0, 7, (2, 6)),
}
X = {name: L.Input(shape=value.shape[1:], name=name) for name, value in INPUTS.items()}
out = []
order = []


def add(name, data, class_name, *given, **options):
    """Adds a branch of one layer, where this release has its class and arguments."""
    inputs = [X[one] for one in data.split()]
    try:
        layer = getattr(L, class_name)(*given, name=name, **options)
        one_by_one = len(inputs) == 1 or class_name == "MultiHeadAttention"
        made = layer(*inputs) if one_by_one else layer(inputs)
    except (AttributeError, TypeError, NameError, ImportError, RuntimeError, ValueError) as exc:
        sys.stderr.write(name + ": " + str(exc).splitlines()[0][:120] + "\n")
        return
    out.append(made)
    order.append(name)


def model(*layers):
    """A Sequential model."""
    made = keras.models.Sequential()
    for one in layers:
        made.add(one)
    return made


def functional():
    """A model with two branches that meet, one layer called twice."""
    start = L.Input(shape=(4,))
    shared = L.Dense(4, name="shared")
    left, right = shared(start), L.Dense(4, activation="tanh", name="right")(start)
    whole = L.add([shared(left), right]) if MAJOR > 1 else L.merge([shared(left), right], mode="sum")
    whole = L.Dropout(0.5)(whole)
    last = L.Dense(2, name="last")(whole)
    return keras.models.Model(start, last) if MAJOR > 1 else keras.models.Model(input=start, output=last)


def one():
    """What Keras 1 and all others have, in Keras 1's words."""
    add("dense", "flat", "Dense", 3, activation="relu")
    add("dense_plain", "flat", "Dense", 3, bias=False)
    add("td_dense", "steps", "TimeDistributedDense", 3, activation="hard_sigmoid")
    add("embedding", "ids", "Embedding", 7, 3)
    add("softmax", "flat", "Activation", "softmax")
    add("conv1d", "steps", "Convolution1D", 3, 3, border_mode="same", activation="tanh")
    add("conv1d_short", "steps", "Convolution1D", 3, 2, subsample_length=2, bias=False)
    add("atrous", "steps", "AtrousConvolution1D", 3, 2, atrous_rate=2)
    for dim in ("tf", "th"):
        if dim == "th" and BACKEND != "theano":
            continue
        add("conv2d_" + dim, "image", "Convolution2D", 4, 3, 2, dim_ordering=dim)
        add("conv3d_" + dim, "space", "Convolution3D", 3, 2, 3, 2, dim_ordering=dim)
    add("separable", "image", "SeparableConvolution2D", 7, 3, 3, depth_multiplier=2)
    add("pool", "steps", "MaxPooling1D", 2)
    add("mean", "steps", "AveragePooling1D", 3, stride=1)
    add("pool2", "image", "MaxPooling2D", (2, 2), dim_ordering="tf")
    add("mean2", "image", "AveragePooling2D", (2, 2), strides=(1, 1), dim_ordering="tf")
    add("global", "steps", "GlobalMaxPooling1D")
    add("global2", "image", "GlobalAveragePooling2D", dim_ordering="tf")
    add("norm", "steps", "BatchNormalization", epsilon=0.01)
    add("norm_time", "steps", "BatchNormalization", axis=1)
    add("upsampled", "steps", "UpSampling1D", length=2)
    add("padded", "steps", "ZeroPadding1D", 2)
    add("padded_dict", "steps", "ZeroPadding1D", {"left_pad": 1, "right_pad": 2})
    add("padded2", "image", "ZeroPadding2D", (1, 2, 0, 1), dim_ordering="tf")
    add("leaky", "steps", "LeakyReLU", 0.2)
    add("prelu", "steps", "PReLU")
    add("elu", "steps", "ELU", 0.7)
    add("thresholded", "steps", "ThresholdedReLU", 0.3)
    for mode in ("sum", "mul", "concat", "ave", "max", "dot"):
        add("merge_" + mode, "steps other", "Merge", mode=mode, dot_axes=2)
    common()
    add("wrapped_model", "steps", "TimeDistributed", functional())


def common():
    """What has one spelling in all releases."""
    for word in ("tanh", "hard_sigmoid", "softsign", "softplus", "elu", "selu", "swish", "gelu", "mish", "silu"):
        add("act_" + word, "steps", "Activation", word)
    for word in ("relu6", "hard_silu", "leaky_relu", "hard_tanh", "log_softmax", "softmax", "exponential"):
        add("act_" + word, "steps", "Activation", word)
    add("flatten", "image", "Flatten")
    add("reshape", "image", "Reshape", (3, -1))
    add("permute", "steps", "Permute", (2, 1))
    add("repeat", "flat", "RepeatVector", 3)
    add("cropped", "steps", "Cropping1D", (1, 2))
    add("wrapped", "steps", "TimeDistributed", L.Dense(3, name="inside"))
    add("wrapped_twice", "film", "TimeDistributed", L.TimeDistributed(L.Dense(2)))
    inner = model(L.Dense(3, name="d", input_shape=(4,)), L.Dropout(0.5), L.BatchNormalization(name="b"))
    add("wrapped_seq", "steps", "TimeDistributed", inner)
    add("wrapped_flat", "film", "TimeDistributed", L.Flatten())
    nested = functional()
    out.append(nested(X["flat"]))
    order.append(nested.name)


def convolutions():
    """Convolutions, from Keras 2 on."""
    add("conv1d", "steps", "Conv1D", 3, 3, padding="causal", activation="tanh")
    add("conv1d_wide", "steps", "Conv1D", 3, 2, dilation_rate=2, use_bias=False)
    add("conv1d_groups", "steps", "Conv1D", 4, 2, groups=2)
    add("conv2d", "image", "Conv2D", 4, (3, 2), strides=(2, 1), padding="same")
    add("conv3d", "space", "Conv3D", 3, (2, 3, 2))
    add("turned1", "steps", "Conv1DTranspose", 3, 3, strides=2)
    add("turned2", "image", "Conv2DTranspose", 2, 3, strides=2, padding="same")
    add("turned3", "space", "Conv3DTranspose", 2, 2)
    add("separable1", "steps", "SeparableConv1D", 5, 3, depth_multiplier=2)
    add("separable2", "image", "SeparableConv2D", 4, 3)
    add("depth1", "steps", "DepthwiseConv1D", 3, depth_multiplier=2)
    add("depth2", "image", "DepthwiseConv2D", (3, 2), depth_multiplier=2)
    add("wrapped_conv", "film", "TimeDistributed", L.Conv1D(2, 3, name="conv_inside"))
    for n, data in ((1, "steps"), (2, "image"), (3, "space")):
        rank = str(n)
        add("max" + rank, data, "MaxPooling" + rank + "D", 2, padding="same")
        add("mean" + rank, data, "AveragePooling" + rank + "D", 2, strides=1)
        add("most" + rank, data, "GlobalMaxPooling" + rank + "D")
        add("all" + rank, data, "GlobalAveragePooling" + rank + "D")
        add("kept" + rank, data, "GlobalAveragePooling" + rank + "D", keepdims=True)
        add("padded" + rank, data, "ZeroPadding" + rank + "D", 1)
        add("larger" + rank, data, "UpSampling" + rank + "D", 2)
        add("less" + rank, data, "Cropping" + rank + "D", 1)
        if kind != "tf.keras":  # its CPU has no such pooling
            add("first" + rank, data, "Conv" + rank + "D", 3, 2, data_format="channels_first")
            add("pool_first" + rank, data, "MaxPooling" + rank + "D", 2, data_format="channels_first")
    add("flat_first", "image", "Flatten", data_format="channels_first")
    add("bilinear", "image", "UpSampling2D", (2, 3), interpolation="bilinear")


def norms():
    """Normalizations and activations, from Keras 2 on."""
    add("norm", "steps", "BatchNormalization", epsilon=0.01)
    add("norm_time", "steps", "BatchNormalization", axis=1)
    add("norm_shift", "steps", "BatchNormalization", scale=False)
    add("norm_bare", "steps", "BatchNormalization", scale=False, center=False)
    add("layer_norm", "steps", "LayerNormalization", epsilon=0.01)
    add("layer_norms", "steps", "LayerNormalization", axis=[1, 2], center=False)
    add("group_norm", "steps", "GroupNormalization", groups=2)
    add("unit_norm", "steps", "UnitNormalization")
    add("rms_norm", "steps", "RMSNormalization")
    add("normalization", "steps", "Normalization")
    add("normal_given", "steps", "Normalization", mean=0.5, variance=2.0)
    add("normal_back", "steps", "Normalization", mean=[1.0, 2, 3, 4], variance=[1.0, 2, 1, 2])
    add("rescaled", "steps", "Rescaling", 0.5, offset=1.0)
    add("softmax_layer", "steps", "Softmax", axis=1)
    add("relu_layer", "steps", "ReLU", max_value=1.5)
    add("relu_more", "steps", "ReLU", 1.5, 0.1, 0.2)
    add("leaky", "steps", "LeakyReLU", 0.2)
    add("prelu", "steps", "PReLU")
    add("prelu_shared", "steps", "PReLU", shared_axes=[1])
    add("elu", "steps", "ELU", 0.7)
    add("thresholded", "steps", "ThresholdedReLU", 0.3)


def two():
    """From Keras 2 on."""
    add("dense", "flat", "Dense", 3, activation="relu")
    if kind != "keras" or MAJOR > 2:  # Keras 2 by itself makes such layers and can't save them
        add("dense_leaky", "steps", "Dense", 3, activation=L.LeakyReLU(0.1))
    add("dense_steps", "steps", "Dense", 3, use_bias=False, activation="softmax")
    add("embedding", "ids", "Embedding", 7, 3)
    add("einsum", "steps", "EinsumDense", "abc,cd->abd", (None, 3), bias_axes="d")
    convolutions()
    norms()
    for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"):
        add(name.lower(), "steps other", name)
    add("concatenate", "steps other", "Concatenate", axis=1)
    add("dot", "steps other", "Dot", axes=(2, 2), normalize=True)
    add("dot_flat", "flat flat", "Dot", axes=1)
    add("attention", "steps other", "Attention", use_scale=True)
    add("attention_sum", "steps other steps", "Attention", score_mode="concat")
    add("additive", "steps other", "AdditiveAttention")
    add("multihead", "steps other", "MultiHeadAttention", 2, 3)
    more = {"value_dim": 2, "output_shape": 5, "use_bias": False}
    add("multihead_more", "steps other other", "MultiHeadAttention", 2, 3, **more)
    common()
    add("wrapped_model", "steps", "TimeDistributed", functional())
    add("wrapped_late", "steps", "TimeDistributed", model(L.Dense(3, name="e")))


def draw(shape, name):
    """A weight; variances are positive."""
    value = rng.randn(*shape) * 0.5
    return np.abs(value) + 0.5 if "varia" in name or "running_std" in name else value


one() if MAJOR == 1 else two()
used = dict(input=list(X.values()), output=out) if MAJOR == 1 else dict(inputs=list(X.values()), outputs=out)
whole = keras.models.Model(**used)
for layer in whole.layers:
    stack = getattr(layer, "weights", [])
    values = layer.get_weights() if stack else []
    floats = [value.shape and value.dtype.kind == "f" for value in values]
    drawn = [
        draw(old.shape, getattr(w, "path", w.name)) if good else old for w, old, good in zip(stack, values, floats)
    ]
    if drawn:
        layer.set_weights(drawn)
    if type(layer).__name__ == "Normalization" and hasattr(layer, "finalize_state"):
        layer.finalize_state()
results = whole.predict([value.astype("float32") for value in INPUTS.values()])
directory = tempfile.mkdtemp()


def at(name):
    """A file of the archive."""
    return os.path.join(directory, name)


whole.save(at("model.h5"))
if MAJOR >= 3 or kind == "tf_keras":
    whole.save(at("model.keras"))
if kind in ("tf.keras", "tf_keras"):
    whole.save_weights(at("tfw"), save_format="tf")
    with open(at("config.json"), "w") as file:
        file.write(whole.to_json())
arrays = {"in/" + name: value for name, value in INPUTS.items()}
arrays.update({"out/" + name: value for name, value in zip(order, results)})
np.savez(at("data.npz"), **{name: value.astype("float32") for name, value in arrays.items()})
shutil.make_archive(destination, "zip", directory)
shutil.rmtree(directory)
print(kind, keras.__version__, len(order), "layers")
