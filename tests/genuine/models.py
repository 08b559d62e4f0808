"""The cases of `generate.py`: small models, built through the API of whatever release of Keras runs this.

Written for Python 3.6 to 3.13. A case is a function of a `Graph`, which knows how each release spells a layer; a case
that a release can't spell is left out there (`TypeError`, `AttributeError`, `ValueError`).
"""

import numpy as np

BATCH = 3
VOCABULARY = 10
CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


class Graph:
    """Builds one model and remembers what to ask it.

    Attributes:
        inputs: input name -> (tensor, shape, whether it takes ids).
        probes: (name in a trace, layer of one direction, its input, its initial states, whether the steps of its input
            stand in the opposite order, the input whose zeros are masked or None).
        copies: pairs (layer, layer whose weights it takes).
        refused: name of the layer that no tool can rebuild, where the case is about that.
    """

    def __init__(self, keras, version):
        self.keras, self.L, self.version = keras, keras.layers, version
        self.major = version[0]
        self.inputs, self.probes, self.copies, self.refused, self.model = {}, [], [], None, None
        self.order, self.mask = [], None

    # Layers as each release spells them ------------------------------------------------------------------------------

    def recurrent(self, kind, units, **options):
        if self.major == 1 and "recurrent_activation" in options:
            options["inner_activation"] = options.pop("recurrent_activation")
        return getattr(self.L, kind)(units, **options)

    def lstm(self, units, **options):
        return self.recurrent("LSTM", units, **options)

    def gru(self, units, **options):
        return self.recurrent("GRU", units, **options)

    def conv1d(self, filters, width, stride, **options):
        if self.major == 1:
            return self.L.Convolution1D(filters, width, subsample_length=stride, border_mode="same", **options)
        return self.L.Conv1D(filters, width, strides=stride, padding="same", **options)

    def conv2d(self, filters, size, stride, **options):
        if self.major == 1:
            spelled = dict(subsample=(stride, stride), border_mode="same", dim_ordering="tf")
            return self.L.Convolution2D(filters, size, size, **dict(spelled, **options))
        return self.L.Conv2D(filters, (size, size), strides=(stride, stride), padding="same", **options)

    def convlstm2d(self, filters, size, stride=1, padding="same", **options):
        if self.major == 1:
            options.update(subsample=(stride, stride), border_mode=padding, dim_ordering="tf")
            if "recurrent_activation" in options:
                options["inner_activation"] = options.pop("recurrent_activation")
            return self.L.ConvLSTM2D(filters, size, size, **options)
        options.setdefault("data_format", "channels_last")
        return self.L.ConvLSTM2D(filters, (size, size), strides=(stride, stride), padding=padding, **options)

    def pool2d(self):
        return self.L.MaxPooling2D((2, 2), **({"dim_ordering": "tf"} if self.major == 1 else {}))

    def td(self, layer, **options):
        return self.L.TimeDistributed(layer, **options)

    def merge(self, kind, tensors, **options):
        if self.major == 1:
            modes = {"Concatenate": "concat", "Add": "sum", "Multiply": "mul", "Average": "ave", "Maximum": "max"}
            return self.L.merge(tensors, mode=modes[kind], **options)
        return getattr(self.L, kind)(**options)(tensors)

    # The model -------------------------------------------------------------------------------------------------------

    def input(self, shape, name="x", ids=False, batch=None):
        options = {"dtype": "int32"} if ids else {}
        make = self.keras.Input if hasattr(self.keras, "Input") else self.L.Input
        options.update({"batch_shape": (batch, *shape)} if batch else {"shape": shape})
        tensor = make(name=name, **options)
        self.inputs[name] = (tensor, shape, ids)
        self.order.append(name)
        return tensor

    def run(self, layer, x, states=None, name=None, turned=False, mask=None):
        """What the layer returns for `x`; its sequence of h is asked for later."""
        out = layer(x, initial_state=states) if states is not None else layer(x)
        self.watch(layer, x, states, name, turned, mask)
        return out

    def watch(self, layer, x, states=None, name=None, turned=False, mask=None):
        name = name or layer.name
        mask = mask or self.mask
        if type(layer).__name__ == "Bidirectional":
            half = len(states or ()) // 2
            for part, one, given in (
                ("forward", layer.forward_layer, (states or [])[:half]),
                ("backward", layer.backward_layer, (states or [])[half:]),
            ):
                self.probes.append((name + "/" + part, one, x, given or None, turned, mask))
            return
        cells = getattr(getattr(layer, "cell", None), "cells", None)
        if type(layer).__name__ == "RNN" and cells:
            for k, cell in enumerate(cells):
                one = self.L.RNN(type(cell).from_config(cell.get_config()), return_sequences=True)
                self.copies.append((one, cell))
                following = one(x)
                self.probes.append((f"{name}/{k}", one, x, None, turned, mask))
                x = following
            return
        self.probes.append((name, layer, x, states, turned, mask))

    def end(self, outputs):
        inputs = [self.inputs[name][0] for name in self.order]
        self.model = self.keras.models.Model(inputs if len(inputs) > 1 else inputs[0], outputs)

    def sequential(self, shape, layers, ids=False, batch=None):
        """A Sequential model: `(class name or maker, arguments, options)` each; the first one tells the shape."""
        made = []
        for k, (what, arguments, options) in enumerate(layers):
            options = dict(options)
            if k == 0 and self.major < 3:
                if what == "Embedding":
                    options["input_length"] = shape[0]
                elif batch:
                    options["batch_input_shape"] = (batch, *shape)
                else:
                    options["input_shape"] = shape
            maker = what if callable(what) else getattr(self.L, what)
            made.append(maker(*arguments, **options))
        if self.major >= 3:
            made.insert(0, self.keras.Input(**({"batch_shape": (batch, *shape)} if batch else {"shape": shape})))
        self.model = self.keras.models.Sequential(made)
        self.order, self.inputs = ["x"], {"x": (None, shape, ids)}
        turned = False
        for layer in self.model.layers:
            if type(layer).__name__ in ("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "ConvLSTM2D"):
                entering = layer.input[0] if isinstance(layer.input, list) else layer.input  # Keras 3: mask second
                self.watch(layer, entering, turned=turned)
                turned = turned != bool(getattr(layer, "go_backwards", False))


SEQUENCES = dict(return_sequences=True)

# One line of layers --------------------------------------------------------------------------------------------------


@case
def embedding_lstm_dense(g):
    rest = [("Dropout", (0.3,), {}), (g.lstm, (4,), SEQUENCES), (g.lstm, (3,), {})]
    g.sequential((6,), [("Embedding", (10, 3), {}), *rest, ("Dense", (2,), {"activation": "softmax"})], ids=True)


@case
def conv_pool_lstm(g):
    rest = [("MaxPooling1D", (2,), {}), (g.lstm, (3,), {}), ("Dense", (1,), {})]
    g.sequential((12, 3), [(g.conv1d, (4, 3, 2), {"activation": "relu"}), *rest])


@case
def timedistributed(g):
    front = g.L.Dense(4, activation="relu")
    back = (g.td, (g.L.Dense(2),), {})
    g.sequential((6, 3), [(g.td, (front,), {}), (g.gru, (3,), SEQUENCES), back])


@case
def simple_rnns(g):
    first = (g.recurrent, ("SimpleRNN", 4), SEQUENCES)
    g.sequential((6, 3), [first, (g.recurrent, ("SimpleRNN", 3), {"activation": "relu"})])


@case
def batchnorm(g):
    rest = [("BatchNormalization", (), {}), (g.lstm, (3,), {}), ("Dense", (2,), {})]
    g.sequential((6, 3), [(g.lstm, (4,), SEQUENCES), *rest])


@case
def layernorm(g):
    rest = [("LayerNormalization", (), {}), (g.gru, (3,), SEQUENCES), ("Dense", (2,), {})]
    g.sequential((6, 3), [(g.lstm, (4,), SEQUENCES), *rest])


@case
def autoencoder(g):
    rest = [("RepeatVector", (5,), {}), (g.lstm, (3,), SEQUENCES), (g.td, (g.L.Dense(2),), {})]
    g.sequential((7, 2), [(g.lstm, (4,), {}), *rest])


@case
def dense_front(g):
    """An input without a time axis."""
    rest = [("RepeatVector", (5,), {}), (g.lstm, (3,), SEQUENCES), (g.td, (g.L.Dense(2),), {})]
    g.sequential((4,), [("Dense", (5,), {"activation": "relu"}), *rest])


@case
def reshape_front(g):
    """A flat input that becomes a sequence."""
    g.sequential((12,), [("Reshape", ((4, 3),), {}), (g.lstm, (3,), {}), ("Dense", (2,), {})])


@case
def permute_reshape(g):
    rest = [("Reshape", ((4, 6),), {}), (g.gru, (3,), SEQUENCES)]
    g.sequential((3, 8), [("Permute", ((2, 1),), {}), *rest])


@case
def cnn_lstm(g):
    """Images, one a step."""
    front = g.conv2d(2, 3, 2, activation="relu")
    rest = [(g.td, (g.L.Flatten(),), {}), (g.lstm, (3,), {}), ("Dense", (2,), {})]
    g.sequential((5, 6, 6, 1), [(g.td, (front,), {}), *rest])


@case
def crnn(g):
    """An image whose columns become the steps."""
    x = g.input((6, 10, 1))
    y = g.pool2d()(g.conv2d(2, 3, 1, activation="relu")(x))
    y = g.L.Reshape((5, 6))(g.L.Permute((2, 1, 3))(y))
    y = g.run(g.L.Bidirectional(g.lstm(3, **SEQUENCES)), y)
    g.end(g.td(g.L.Dense(4, activation="softmax"))(y))


@case
def stateful(g):
    layers = [(g.lstm, (4,), dict(stateful=True, **SEQUENCES)), (g.td, (g.L.Dense(2),), {})]
    g.sequential((6, 3), layers, batch=BATCH)


@case
def crop_pad_upsample(g):
    """Other lengths between two layers."""
    x = g.input((6, 3))
    y = g.run(g.lstm(3, **SEQUENCES), x)
    y = g.L.UpSampling1D(2)(g.L.ZeroPadding1D(1)(y))
    y = g.L.AveragePooling1D(4)(y)
    y = g.run(g.gru(3, **SEQUENCES), y)
    g.end(g.L.Dense(2)(g.L.GlobalMaxPooling1D()(y)))


# Both directions -----------------------------------------------------------------------------------------------------


def both_directions(mode):
    def build(g):
        x = g.input((6, 3))
        y = g.run(g.L.Bidirectional(g.lstm(3, **SEQUENCES), merge_mode=mode), x)
        g.end(g.run(g.gru(3), y))

    build.__name__ = "bidirectional_" + mode
    case(build)


for one in ("concat", "sum", "mul", "ave"):
    both_directions(one)


@case
def bidirectional_apart(g):
    """Merge mode None: two outputs, one of which goes on."""
    x = g.input((6, 3))
    forward, backward = g.run(g.L.Bidirectional(g.lstm(3, **SEQUENCES), merge_mode=None), x)
    g.end([g.run(g.gru(3), backward), forward])


@case
def bidirectional_last(g):
    g.sequential((6, 3), [(g.L.Bidirectional, (g.gru(3),), {}), ("Dense", (2,), {})])


@case
def bidirectional_mixed(g):
    """A backward layer of its own."""
    x = g.input((6, 3))
    backward = g.gru(3, go_backwards=True, **SEQUENCES)
    y = g.run(g.L.Bidirectional(g.lstm(3, **SEQUENCES), backward_layer=backward), x)
    g.end(g.td(g.L.Dense(2))(y))


@case
def backwards_then(g):
    """A backward layer hands its steps on from the last to the first."""
    x = g.input((6, 3))
    y = g.run(g.lstm(4, go_backwards=True, **SEQUENCES), x)
    y = g.td(g.L.Dense(3, activation="tanh"))(y)
    g.end(g.run(g.gru(3, **SEQUENCES), y, turned=True))


@case
def backwards_pooled(g):
    """What is not stepwise behind a backward layer sees its order."""
    x = g.input((7, 3))
    y = g.run(g.lstm(4, go_backwards=True, **SEQUENCES), x)
    g.end(g.run(g.gru(3), g.conv1d(3, 3, 2)(y)))


# States that are passed on -------------------------------------------------------------------------------------------


def translator(g, kind, mask=False):
    options = {"mask_zero": True} if mask else {}
    a, b = g.input((6,), "source", ids=True), g.input((4,), "target", ids=True)
    encoder = g.recurrent(kind, 4, return_state=True, name="encoder")
    if mask:
        g.mask = "source"
    ends = g.run(encoder, g.L.Embedding(10, 3, **options)(a))[1:]
    if mask:
        g.mask = "target"
    decoder = g.recurrent(kind, 4, name="decoder", **SEQUENCES)
    y = g.run(decoder, g.L.Embedding(10, 3, **options)(b), list(ends))
    g.end(g.L.Dense(5, activation="softmax")(y))


@case
def seq2seq_lstm(g):
    translator(g, "LSTM")


@case
def seq2seq_gru(g):
    translator(g, "GRU")


@case
def seq2seq_masked(g):
    translator(g, "LSTM", mask=True)


@case
def seq2seq_bidirectional(g):
    """The states of both directions, concatenated, are what the decoder starts from."""
    a, b = g.input((6, 3), "source"), g.input((4, 2), "target")
    found = g.run(g.L.Bidirectional(g.lstm(2, return_state=True), name="encoder"), a)
    h, c = g.merge("Concatenate", [found[1], found[3]]), g.merge("Concatenate", [found[2], found[4]])
    y = g.run(g.lstm(4, name="decoder", **SEQUENCES), b, [h, c])
    g.end(g.td(g.L.Dense(2))(y))


@case
def seq2seq_dense_state(g):
    """A state computed from an input that is no sequence (a captioner)."""
    image, words = g.input((5,), "image"), g.input((4,), "words", ids=True)
    h = g.L.Dense(3, activation="tanh")(image)
    y = g.run(g.gru(3, **SEQUENCES), g.L.Embedding(10, 3)(words), [h])
    g.end(g.L.Dense(4)(y))


@case
def return_state(g):
    x = g.input((6, 3))
    y, h, c = g.run(g.lstm(3, return_state=True, **SEQUENCES), x)
    g.end(g.L.Dense(2)(g.merge("Concatenate", [g.L.GlobalAveragePooling1D()(y), h, c])))


# More than one way through -------------------------------------------------------------------------------------------


@case
def two_inputs_front(g):
    a, b = g.input((6, 2), "first"), g.input((6, 3), "second")
    g.end(g.L.Dense(2)(g.run(g.lstm(3), g.merge("Concatenate", [a, b]))))


@case
def two_branches(g):
    """Two inputs of different lengths, joined at the end."""
    a, b = g.input((6, 2), "first"), g.input((4, 3), "second")
    g.end(g.L.Dense(2)(g.merge("Concatenate", [g.run(g.lstm(3), a), g.run(g.gru(2), b)])))


@case
def shared(g):
    """One layer called twice (a Siamese network)."""
    a, b = g.input((6, 3), "first"), g.input((5 if g.major > 1 else 6, 3), "second")
    layer = g.lstm(3)
    ends = [g.run(layer, a), g.run(layer, b, name=layer.name + "/call_2")]
    g.end(g.L.Dense(1, activation="sigmoid")(g.merge("Multiply", ends)))


@case
def nested(g):
    make = g.keras.Input if hasattr(g.keras, "Input") else g.L.Input
    inside = make(shape=(6, 3))
    layer = g.lstm(4, **SEQUENCES)
    inner = g.keras.models.Model(inside, g.td(g.L.Dense(3, activation="tanh"))(layer(inside)))
    x = g.input((6, 3))
    y = g.run(g.gru(3), inner(x))
    g.watch(layer, x, name=inner.name + "/" + layer.name)
    g.end(g.L.Dense(2)(y))


@case
def nested_sequential(g):
    layer = g.lstm(4, **(SEQUENCES if g.major >= 3 else dict(input_shape=(6, 3), **SEQUENCES)))
    front = [g.keras.Input((6, 3))] if g.major >= 3 else []
    inner = g.keras.models.Sequential([*front, layer, g.L.BatchNormalization()])
    x = g.input((6, 3))
    y = g.run(g.gru(3), inner(x))
    g.watch(layer, x, name=inner.name + "/" + layer.name)
    g.end(y)


@case
def skip(g):
    x = g.input((6,), ids=True)
    e = g.L.Embedding(10, 3)(x)
    y = g.run(g.lstm(4, **SEQUENCES), e)
    g.end(g.td(g.L.Dense(2))(g.run(g.gru(3, **SEQUENCES), g.merge("Concatenate", [e, y]))))


@case
def merges(g):
    """Every merge between layers of one width."""
    x = g.input((6, 3))
    a, b = g.run(g.lstm(3, **SEQUENCES), x), g.run(g.gru(3, **SEQUENCES), x)
    joined = [g.merge(kind, [a, b]) for kind in ("Add", "Multiply", "Average", "Maximum")]
    y = g.run(g.lstm(3, **SEQUENCES), g.merge("Concatenate", joined))
    g.end(g.run(g.gru(2), g.merge("Add", [x, y])))


@case
def merges_more(g):
    x = g.input((6, 3))
    a, b = g.run(g.lstm(3, **SEQUENCES), x), g.run(g.gru(3, **SEQUENCES), x)
    y = g.run(g.gru(3), g.merge("Concatenate", [g.merge("Subtract", [a, b]), g.merge("Minimum", [a, b])]))
    g.end(g.L.Dot(1)([y, g.run(g.lstm(3), b)]))


@case
def attention(g):
    a, b = g.input((6, 3), "memory"), g.input((4, 2), "query")
    memory, query = g.run(g.lstm(3, **SEQUENCES), a), g.run(g.lstm(3, **SEQUENCES), b)
    found = g.L.Attention()([query, memory])
    g.end(g.run(g.gru(3, **SEQUENCES), g.merge("Concatenate", [query, found])))


@case
def attention_additive(g):
    x = g.input((6, 3))
    y = g.run(g.lstm(3, **SEQUENCES), x)
    g.end(g.L.Dense(2)(g.run(g.gru(3), g.L.AdditiveAttention()([y, y]))))


@case
def attention_heads(g):
    x = g.input((6, 3))
    y = g.run(g.lstm(4, **SEQUENCES), x)
    y = g.L.MultiHeadAttention(2, 3)(y, y)
    g.end(g.L.Dense(2)(g.run(g.gru(3), y)))


# Masks ---------------------------------------------------------------------------------------------------------------


@case
def mask_zero(g):
    g.mask = "x"
    rest = [(g.lstm, (4,), SEQUENCES), (g.lstm, (3,), {}), ("Dense", (2,), {})]
    g.sequential((6,), [("Embedding", (10, 3), {"mask_zero": True}), *rest], ids=True)


@case
def masking_timedistributed(g):
    g.mask = "x"
    rest = [(g.td, (g.L.Dense(4, activation="tanh"),), {}), (g.gru, (3,), SEQUENCES)]
    g.sequential((6, 3), [("Masking", (), {}), *rest])


@case
def mask_pooled(g):
    """An average over the steps that are there."""
    g.mask = "x"
    rest = [(g.lstm, (4,), SEQUENCES), ("GlobalAveragePooling1D", (), {}), ("Dense", (2,), {})]
    g.sequential((6,), [("Embedding", (10, 3), {"mask_zero": True}), *rest], ids=True)


@case
def mask_bidirectional(g):
    g.mask = "x"
    rest = [(g.L.Bidirectional, (g.lstm(3, **SEQUENCES),), {}), (g.L.Bidirectional, (g.gru(3, **SEQUENCES),), {})]
    rest += [(g.td, (g.L.Dense(2),), {})]
    g.sequential((6,), [("Embedding", (10, 3), {"mask_zero": True}), *rest], ids=True)


@case
def mask_zeros(g):
    """`zero_output_for_mask`."""
    g.mask = "x"
    rest = [(g.lstm, (4,), dict(zero_output_for_mask=True, **SEQUENCES)), (g.td, (g.L.Dense(2),), {})]
    g.sequential((6, 3), [("Masking", (), {}), *rest])


# Cells ---------------------------------------------------------------------------------------------------------------


@case
def stacked_cells(g):
    cells = [g.recurrent("LSTMCell", 4), g.recurrent("GRUCell", 3), g.recurrent("SimpleRNNCell", 2)]
    g.sequential((6, 3), [(g.L.RNN, (cells,), SEQUENCES), (g.L.RNN, (g.recurrent("LSTMCell", 3),), {})])


@case
def gru_resets(g):
    x = g.input((6, 3))
    y = g.run(g.gru(4, reset_after=True, **SEQUENCES), x)
    g.end(g.run(g.gru(3, reset_after=False), y))


NAMES = (  # noqa: SIM905
    "celu elu exponential gelu hard_shrink hard_sigmoid hard_silu hard_tanh leaky_relu linear log_sigmoid log_softmax "
    "mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus sparse_sigmoid squareplus "
    "swish tanh tanh_shrink"
).split()


def known(g, name):
    try:
        found = g.keras.activations.get(name)
        if g.major > 1:  # some releases can't read what they write
            g.keras.activations.get(g.keras.activations.serialize(found))
        return callable(found)
    except Exception:  # noqa: BLE001  each release refuses in its own way
        return False


@case
def activations(g):
    """Every name of the release, as the activation of one layer and of the gates of another."""
    x = g.input((5, 3))
    ends = []
    for name in NAMES:
        if known(g, name):
            ends.append(g.run(g.recurrent("SimpleRNN", 2, activation=name, name="as_" + name), x))
            gated = dict(recurrent_activation=name, name="gates_" + name)
            if name in ("sigmoid", "hard_sigmoid", "tanh", "softsign", "softmax", "relu6", "hard_tanh"):
                ends.append(g.run(g.lstm(2, **gated), x))
    g.end(g.merge("Concatenate", ends))


@case
def activation_sparsemax(g):
    """Not elementwise, and it sorts."""
    if not known(g, "sparsemax"):
        raise ValueError("sparsemax is not known")
    x = g.input((5, 3))
    g.end(g.run(g.gru(2), g.run(g.recurrent("SimpleRNN", 3, activation="sparsemax", **SEQUENCES), x)))


@case
def activations_between(g):
    """The same names where no recurrent layer uses them."""
    x = g.input((5, 3))
    y = [g.L.Activation(name)(x) for name in NAMES if known(g, name) and name != "linear"]
    y = [*y, g.td(g.L.Dense(2, activation="hard_sigmoid"))(x)]
    more = ["ReLU", "LeakyReLU", "ELU", "PReLU", "Softmax", "ThresholdedReLU"]
    y = y + [getattr(g.L, name)()(x) for name in more if hasattr(g.L, name)]
    g.end(g.run(g.gru(3), g.merge("Concatenate", y)))


@case
def convlstm_strides(g):
    first = (g.convlstm2d, (2, 3, 2), SEQUENCES)
    rest = [("BatchNormalization", (), {}), (g.convlstm2d, (3, 2), {}), ("Flatten", (), {}), ("Dense", (2,), {})]
    g.sequential((4, 7, 6, 1), [first, *rest])


@case
def convlstm_valid(g):
    first = (g.convlstm2d, (2, 3, 1, "valid"), dict(recurrent_activation="hard_sigmoid", **SEQUENCES))
    g.sequential((4, 6, 5, 2), [first])


@case
def convlstm_dilated(g):
    first = (g.convlstm2d, (2, 3, 1, "valid"), dict(dilation_rate=(2, 2), **SEQUENCES))
    g.sequential((4, 7, 7, 1), [first])


@case
def convlstm_channels_first(g):
    first = (g.convlstm2d, (2, 3, 1, "same"), dict(data_format="channels_first", **SEQUENCES))
    g.sequential((4, 2, 5, 6), [first])


@case
def convlstm_bidirectional(g):
    x = g.input((4, 5, 5, 1))
    y = g.run(g.L.Bidirectional(g.convlstm2d(2, 3, **SEQUENCES)), x)
    g.end(g.run(g.lstm(3), g.td(g.L.Flatten())(y)))


@case
def convlstm_1d(g):
    x = g.input((5, 6, 2))
    g.end(g.run(g.L.ConvLSTM1D(2, 3, strides=2, padding="same", **SEQUENCES), x))


@case
def convlstm_3d(g):
    x = g.input((3, 4, 5, 4, 1))
    g.end(g.run(g.L.ConvLSTM3D(2, 2, padding="valid", **SEQUENCES), x))


@case
def cudnn(g):
    """Can't run without a GPU: the release's own converter loads the weights into layers that can."""
    for layer in (g.L.CuDNNLSTM, g.L.CuDNNGRU):  # the operation isn't even allowed in a graph without a GPU
        layer._keras, layer._process_batch = g.keras.backend, without_cudnn
    x = g.input((6, 3))
    y = g.L.CuDNNLSTM(4, name="one", **SEQUENCES)(x)
    y = g.L.Bidirectional(g.L.CuDNNGRU(3, name="inner", **SEQUENCES), name="two")(y)
    g.end(g.L.Dense(2, name="three")(y))
    g.stand_in = cudnn_stand_in


def without_cudnn(layer, inputs, states):
    output = layer._keras.dot(inputs, layer.kernel[:, : layer.units])
    return output, [output[:, -1]] * len(states)


def cudnn_stand_in(g):
    x = g.input((6, 3))
    y = g.run(g.lstm(4, recurrent_activation="sigmoid", name="one", **SEQUENCES), x)
    inner = g.gru(3, recurrent_activation="sigmoid", reset_after=True, name="inner", **SEQUENCES)
    y = g.run(g.L.Bidirectional(inner, name="two"), y)
    g.end(g.L.Dense(2, name="three")(y))


# What nobody can rebuild ---------------------------------------------------------------------------------------------


@case
def lambda_between(g):
    x = g.input((6, 3))
    y = g.run(g.lstm(4, **SEQUENCES), x)
    y = g.L.Lambda(lambda t: t * 2.0 + 0.5, name="doubled")(y)
    g.refused = "doubled"
    g.end(g.run(g.gru(3, **SEQUENCES), y))


@case
def custom_between(g):
    class Doubling(g.L.Layer):
        def call(self, inputs, mask=None):
            return inputs * 2.0

    x = g.input((6, 3))
    y = g.run(g.lstm(4, **SEQUENCES), x)
    y = Doubling(name="doubling")(y)
    g.refused = "doubling"
    g.end(g.run(g.gru(3, **SEQUENCES), y))


def values(g, name, random):
    """Small numbers of few bits, which pack well: ids below the vocabulary, or floats."""
    _, shape, ids = g.inputs[name]
    if ids:
        x = random.randint(1, VOCABULARY, size=(BATCH, *shape))
    else:
        x = random.randint(-48, 48, size=(BATCH, *shape)) / 32.0
        x = x + (x == 0) / 32.0
    if g.mask:  # to the end, at the start and in the middle; the last sequence is whole
        x[0, 3:] = 0
        x[1, 0] = 0
        x[1, 2] = 0
    return x.astype("int32" if ids else "float32")


def weights(shape, dtype, random):
    return (random.randint(-40, 41, size=shape) / 48.0).astype("float32").astype(np.float16).astype(dtype)
