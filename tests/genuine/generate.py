"""Builds the small models of `models.py` with the release of Keras that runs this, saves them, and stores their values.

    python generate.py make FOLDER standalone|tfkeras [case …]   in an environment with that release, Python 3.6 on
    python generate.py pack FOLDER [case …]                      with any Python 3: FOLDER becomes data/<release>.tar.xz

FOLDER/<release>/<case>/ then holds every file that the release could save, and `expected.npz`:

    x/<input>         the model's own input
    y/<k>/<name>      its k-th output
    h/<layer>         the h of every step of a recurrent layer, from a genuine layer with the same weights in the same
                      place that returns its sequences; at the time of the input that the step read
    valid/<layer>     where that layer was not told to skip a step, if it was told so of any
    own/<layer>       the input of a layer behind one that nobody can rebuild, and `refused`, the name of that one

All numbers are multiples of a power of two, small and few, so that the files pack well.
"""

import contextlib
import json
import os
import shutil
import sys
import tarfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
HERE = os.path.dirname(os.path.abspath(__file__))

ALONE = ("embedding_lstm_dense", "seq2seq_lstm", "nested", "crnn", "batchnorm", "shared")
"""Cases whose weights are stored by themselves, too, beside `model.json`."""
SAVED_MODEL = ("seq2seq_masked", "bidirectional_sum", "cnn_lstm")
BOTH = ("embedding_lstm_dense", "seq2seq_masked", "nested", "crnn", "activations", "shared", "gru_resets", "skip")
"""Of those that can save both a `.keras` and a `.h5`, the cases for which both are kept."""


def load(mode):
    if mode == "tfkeras":
        import tensorflow

        version = tensorflow.__version__
        number = tuple(map(int, version.split(".")[:2]))
        if number >= (2, 16):
            import tf_keras

            return tf_keras, "tf_keras-" + ".".join(tf_keras.__version__.split(".")[:2]), (2, 21)
        return tensorflow.keras, "tf.keras-{}.{}".format(*number), number
    import keras

    found = keras.__version__
    number = tuple(int(part) for part in found.split(".")[:2])
    return keras, "keras" + (found if number[0] < 3 else ".".join(found.split(".")[:2])), number


def main(folder, mode, only):
    import numpy as np

    sys.path.insert(0, HERE)
    import models

    keras, release, number = load(mode)
    print(release)
    for name, build in models.CASES.items():
        if only and name not in only:
            continue
        target = os.path.join(folder, release, name)
        with contextlib.suppress(AttributeError):
            keras.backend.clear_session()
        graph = models.Graph(keras, number if mode == "standalone" else (2, 0))
        random = np.random.RandomState(sum(map(ord, name)))
        try:
            build(graph)
            if not os.path.isdir(target):
                os.makedirs(target)
            fill(graph.model, models, random)
            formats = save(graph, target, name, mode, number)
            if not formats:
                raise ValueError("no format could be saved")
            graph = stand_in(graph, target, models)
            found = compute(graph, models, random, np)
        except Exception as error:
            said = str(error)[:300].replace("\n", " ")
            print(f"  --  {name:26s} {type(error).__name__}: {said}")
            if os.environ.get("SHOW"):
                raise
            shutil.rmtree(target, ignore_errors=True)
            continue
        np.savez(os.path.join(target, "expected.npz"), **found)
        layers = sum(key.startswith("h/") for key in found)
        print(f"  ok  {name:26s} {' '.join(formats)}; {layers} layers")
        sys.stdout.flush()


def fill(model, models, random):
    """Seeded random weights; the variance of a BatchNormalization is positive."""
    model.set_weights([models.weights(w.shape, w.dtype, random) for w in model.get_weights()])
    for layer in inner_layers(model):
        if type(layer).__name__ == "BatchNormalization":
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights([gamma, beta, mean, abs(variance) + 0.5])


def inner_layers(layer):
    yield layer
    for inner in [*list(getattr(layer, "layers", ())), getattr(layer, "layer", None)]:
        if inner is not None:
            yield from inner_layers(inner)


def save(graph, target, name, mode, number):
    """The names of the files that could be saved."""
    model, formats = graph.model, []

    def attempt(what, file):
        path = os.path.join(target, file)
        try:
            what(path)
            formats.append(file)
        except Exception as error:  # noqa: BLE001  reported, and reviewed by who packs
            said = str(error)[:100].replace("\n", " ")
            print(f"      {name:26s} no {file}: {said}")
            if os.path.isfile(path):
                os.remove(path)

    native = graph.major >= 3 or (mode == "tfkeras" and number >= (2, 12))
    if native:
        options = {"save_format": "keras"} if graph.major < 3 and number < (2, 14) else {}
        attempt(lambda path: model.save(path, **options), "model.keras")
    if not native or name in BOTH or not formats:
        attempt(lambda path: model.save(path), "model.h5")
    if name in ALONE:
        alone = "model.weights.h5" if native else "weights.h5"
        attempt(lambda path: model.save_weights(path), alone)
        with open(os.path.join(target, "model.json"), "w") as file:
            file.write(model.to_json())
    if name in SAVED_MODEL and mode == "tfkeras" and number >= (2, 0):
        attempt(lambda path: model.save(path, save_format="tf"), "saved_model")
    return formats


def stand_in(graph, target, models):
    """The same model in layers that run without a GPU, its weights loaded from the saved file by Keras itself."""
    if not hasattr(graph, "stand_in"):
        return graph
    other = models.Graph(graph.keras, graph.version)
    graph.stand_in(other)
    other.model.load_weights(os.path.join(target, "model.h5"))
    return other


def compute(graph, models, random, np):
    keras, model = graph.keras, graph.model
    data = [models.values(graph, name, random) for name in graph.order]
    found = {"x/" + name: x.astype("int64") if x.dtype == "int32" else x for name, x in zip(graph.order, data)}
    for k, (name, y) in enumerate(zip(output_names(model), predict(model, data))):
        found[f"y/{k}/{name}"] = y
    tensors, turned = [], []
    for _, layer, x, states, after, _ in graph.probes:
        tensor, back = probe(layer, x, states, graph)
        tensors.append(tensor)
        turned.append(after != back)
    run = keras.models.Model(model.inputs if len(graph.order) > 1 else model.inputs[0], tensors)
    for layer, source in graph.copies:
        layer.set_weights(source.get_weights())
    for (name, _, _, _, _, mask), h, back in zip(graph.probes, predict(run, data), turned):
        found["h/" + name] = h[:, ::-1] if back else h
        if mask:
            x = found["x/" + mask]
            found["valid/" + name] = (x != 0).reshape((*x.shape[:2], -1)).any(axis=-1)
    if graph.refused:
        name, _, x = graph.probes[-1][:3]
        found["refused"] = np.array(graph.refused)
        found["own/" + name] = predict(keras.models.Model(model.inputs[0], x), data)[0]
    for key, value in found.items():
        if value.dtype.kind == "f":
            assert np.isfinite(value).all(), key
            found[key] = value.astype("float32")
            if key[0] != "x":  # to a millionth: what lies below is noise that packs badly
                found[key] = (np.round(value.astype("float64") * 2**20) / 2**20).astype("float32")
    return found


def probe(layer, x, states, graph):
    """What a layer of the same class, place and weights returns for each step, and whether it does so from the last."""
    config = layer.get_config()
    config["return_sequences"] = True
    config.update({key: False for key in ("return_state", "stateful") if key in config})
    config["name"] = f"probe_{len(graph.copies)}"
    config.pop("batch_input_shape", None)
    other = type(layer).from_config(config)
    sources = [target for copy, target in graph.copies if copy is layer]
    graph.copies.append((other, sources[0] if sources else layer))
    tensor = other(x, initial_state=states) if states is not None else other(x)
    return tensor, bool(config.get("go_backwards"))


def output_names(model):
    names, found = list(getattr(model, "output_names", None) or [model.layers[-1].name]), []
    for name in names:
        plain = name.split("/")[0]
        found.append(plain if plain not in found else f"{plain}_{len(found)}")
    return found


def predict(model, data):
    try:
        y = model.predict(data if len(data) > 1 else data[0], batch_size=len(data[0]), verbose=0)
    except TypeError:
        y = model.predict(data if len(data) > 1 else data[0], batch_size=len(data[0]))
    return list(y) if isinstance(y, (list, tuple)) else [y]


def pack(folder, only):
    """`folder` as an archive beside this script, without times and owners; what repeats itself lies side by side."""
    name = os.path.basename(os.path.normpath(folder))
    paths = []
    for root, _, files in os.walk(folder):
        for file in files:
            relative = os.path.relpath(os.path.join(root, file), folder)
            if not only or relative.split(os.sep)[0] in only:
                paths.append(relative)
    with tarfile.open(os.path.join(HERE, "data", name + ".tar.xz"), "w:xz", preset=9) as archive:
        for path in sorted(paths, key=lambda path: (os.path.basename(path), path)):
            if os.path.basename(path) == "fingerprint.pb":
                continue
            member = tarfile.TarInfo(path.replace(os.sep, "/"))
            member.size = os.path.getsize(os.path.join(folder, path))
            with open(os.path.join(folder, path), "rb") as file:
                archive.addfile(member, file)
    update_index(name, paths)
    print(json.dumps({name: os.path.getsize(archive.name)}))


def update_index(name, paths):
    """Notes the model files of each case in `data/index.json`, from which the tests know what they must find."""
    place = os.path.join(HERE, "data", "index.json")
    index = {}
    if os.path.exists(place):
        with open(place) as file:
            index = json.load(file)
    cases = {}
    for path in sorted(paths):
        case, file = path.split(os.sep)[:2]
        if file not in ("expected.npz", "model.json") and file not in cases.setdefault(case, []):
            cases[case].append(file)
    index[name] = cases
    with open(place, "w") as file:
        json.dump(index, file, indent=0, sort_keys=True)
        file.write("\n")


if __name__ == "__main__":
    if sys.argv[1] == "make":
        main(sys.argv[2], sys.argv[3], sys.argv[4:])
    else:
        pack(sys.argv[2], sys.argv[3:])
