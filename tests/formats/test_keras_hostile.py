"""Keras files that would run code, read other files or exhaust the machine if Keras loaded them.

Each is handed to `inspect`, `weights`, `shapes` and `trace`, in a process whose audit hook tells what it opened,
imported and started. Loading the worst of them with Keras itself, told to be unsafe, shows that they bite.
"""

from __future__ import annotations

import base64
import io
import json
import marshal
import pickle
import resource
import shutil
import subprocess
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rnnprobe.formats import protos

GENUINE = Path(__file__).parent.parent / "genuine" / "data"
SECRET = "canary-4d1f0c77"
COMMANDS = ("inspect", "weights", "shapes", "trace", "output")

DRIVER = r"""
import io, json, os, sys
from contextlib import redirect_stderr, redirect_stdout

cases, watched = json.load(open(sys.argv[1])), set(sys.argv[2:])
sys.path.insert(0, os.getcwd())  # so that a module which a file names could be found
events = []

def hook(event, arguments):
    if event in ("os.system", "os.exec", "os.posix_spawn", "pickle.find_class", "os.fork"):
        events.append([event, repr(arguments)[:200]])
    elif event == "subprocess.Popen" and arguments[0] not in (sys.executable, "uname"):
        events.append([event, repr(arguments)[:200]])
    elif event == "import" and arguments[0].startswith("evil_"):
        events.append([event, arguments[0]])
    elif event in ("open", "os.mkdir") and any(word in str(arguments[0]) for word in watched):
        events.append([event, str(arguments[0])])

from rnnprobe import cli
sys.addaudithook(hook)
for name, path, x in cases:
    for command in ("inspect", "weights", "shapes", "trace", "output"):
        words = [command, path]
        if command == "trace":
            words += ["--input", x]
        elif command == "output":
            words = ["trace", path, "--input", x, "--record", "h,output"]
        sys.argv = ["rnnprobe", *words]
        out, err, status = io.StringIO(), io.StringIO(), None
        events.clear()
        with redirect_stdout(out), redirect_stderr(err):
            try:
                cli.main()
            except SystemExit as end:
                status = end.code
        done = {"status": status, "out": out.getvalue(), "err": err.getvalue(), "events": list(events)}
        sys.__stdout__.write(json.dumps([name, command, done]) + "\n")
        sys.__stdout__.flush()
"""


@dataclass(frozen=True)
class Planted:
    """Something hostile in a configuration.

    Attributes:
        name: of the case.
        place: what of the model it replaces: see `plant`.
        make: from the marker's and the canary's path.
        said: what a report has to name; empty where the planted thing plays no part in what is computed.
        needed: whether the layers behind it can't be computed without it.
    """

    name: str
    place: str
    make: Callable[[Path, Path], Any]
    said: str = ""
    needed: bool = True


def evil(marker: Path) -> Any:
    """The code of a function that leaves the marker."""
    return eval(f"lambda t: (open({str(marker)!r}, 'w').close(), t)[1]").__code__


def marshalled(marker: Path) -> str:
    return base64.encodebytes(marshal.dumps(evil(marker))).decode("ascii")


def lambda_3(marker: Path, canary: Path) -> dict[str, Any]:
    code = {"class_name": "__lambda__", "config": {"code": marshalled(marker), "defaults": None, "closure": None}}
    config = {"name": "planted", "trainable": True, "dtype": "float32", "function": code, "arguments": {}}
    return {"module": "keras.layers", "class_name": "Lambda", "config": config, "registered_name": None}


def lambda_2(marker: Path, canary: Path) -> dict[str, Any]:
    config = {"name": "planted", "function": [marshalled(marker), None, None], "function_type": "lambda"}
    return {"class_name": "Lambda", "config": {**config, "module": "evil_module", "output_shape": None}}


def gadget(module: str, class_name: str, registered: str | None = None) -> Callable[[Path, Path], dict[str, Any]]:
    def make(marker: Path, canary: Path) -> dict[str, Any]:
        config = {"name": "planted", "args": ["touch", str(marker)], "command": f"touch {marker}", "shell": False}
        return {"module": module, "class_name": class_name, "config": config, "registered_name": registered}

    return make


def function(module: str, name: str) -> Callable[[Path, Path], dict[str, Any]]:
    return lambda marker, canary: {
        "module": module,
        "class_name": "function",
        "config": name,
        "registered_name": "function",
    }


def expression(marker: Path, canary: Path) -> str:
    return f"__import__('os').system('touch {marker}')"


def lookup(class_name: str) -> Callable[[Path, Path], dict[str, Any]]:
    def make(marker: Path, canary: Path) -> dict[str, Any]:
        config = {"name": "planted", "vocabulary": str(canary), "max_tokens": None, "output_mode": "int"}
        return {"module": "keras.layers", "class_name": class_name, "config": config, "registered_name": None}

    return make


def saved_model_layer(marker: Path, canary: Path) -> dict[str, Any]:
    config = {"name": "planted", "filepath": str(canary), "call_endpoint": "serve"}
    return {"module": "keras.layers", "class_name": "TFSMLayer", "config": config, "registered_name": None}


class Touch:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


def torch_module(marker: Path, canary: Path) -> dict[str, Any]:
    text = base64.b64encode(pickle.dumps(Touch(str(marker)))).decode()
    config = {"name": "planted", "module": {"class_name": "__bytes__", "config": {"value": text}}}
    return {"module": "keras.layers", "class_name": "TorchModuleWrapper", "config": config, "registered_name": None}


def wrapped(class_name: str, make: Callable[[Path, Path], Any]) -> Callable[[Path, Path], dict[str, Any]]:
    def outer(marker: Path, canary: Path) -> dict[str, Any]:
        config = {"name": "planted", "layer": make(marker, canary)}
        return {"module": "keras.layers", "class_name": class_name, "config": config, "registered_name": None}

    return outer


def model_of(make: Callable[[Path, Path], Any]) -> Callable[[Path, Path], dict[str, Any]]:
    def outer(marker: Path, canary: Path) -> dict[str, Any]:
        config = {"name": "planted", "layers": [make(marker, canary)]}
        return {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": None}

    return outer


PLANTED = [
    Planted("lambda of keras 3", "between", lambda_3, "Lambda"),
    Planted("lambda of keras 2", "between", lambda_2, "Lambda"),
    Planted("lambda in a model", "between", model_of(lambda_3), "Lambda"),
    Planted("lambda in TimeDistributed", "between", wrapped("TimeDistributed", lambda_3), "Lambda"),
    Planted("subprocess as module", "between", gadget("subprocess", "Popen"), "Popen"),
    Planted("os.system as class", "between", gadget("os", "system"), "system"),
    Planted("subprocess as class", "between", gadget("keras.layers", "subprocess.Popen"), "subprocess.Popen"),
    Planted("registered name", "between", gadget("evil_module", "Dense", "subprocess>Popen"), "planted"),
    Planted("custom module", "between", gadget("evil_module", "Evil", "evil_module>Evil"), "Evil"),
    Planted("built-in name, foreign module", "between", gadget("evil_module", "Activation"), "planted"),
    Planted("StringLookup", "between", lookup("StringLookup"), "StringLookup"),
    Planted("IntegerLookup", "between", lookup("IntegerLookup"), "IntegerLookup"),
    Planted("TextVectorization", "between", lookup("TextVectorization"), "TextVectorization"),
    Planted("TFSMLayer", "between", saved_model_layer, "TFSMLayer"),
    Planted("TorchModuleWrapper", "between", torch_module, "TorchModuleWrapper"),
    Planted("cell", "cell", gadget("subprocess", "Popen"), "Popen"),
    Planted("cell of a custom module", "cell", gadget("evil_module", "LSTMCell", "evil>LSTMCell"), "LSTMCell"),
    Planted("activation, object", "activation", gadget("subprocess", "Popen"), "lstm"),
    Planted("activation, function", "activation", function("os", "system"), "lstm"),
    Planted("activation, dotted", "activation", lambda marker, canary: "os.system", "os.system"),
    Planted("activation, expression", "activation", expression, "__import__"),
    Planted("activation of a Dense", "dense activation", function("os", "system"), "dense"),
    Planted("initializer", "initializer", gadget("subprocess", "Popen"), needed=False),
    Planted("regularizer", "regularizer", gadget("evil_module", "Evil", "evil>Evil"), needed=False),
    Planted("dtype policy", "dtype", gadget("evil_module", "Evil"), "dense"),
    Planted("build configuration", "build", gadget("subprocess", "Popen"), needed=False),
    Planted("compile configuration", "compile", gadget("subprocess", "Popen"), needed=False),
]


def plant(model: dict[str, Any], place: str, what: Any) -> dict[str, Any]:
    """A configuration of embedding, dropout, two LSTMs and a Dense, with something in place of one of its parts."""
    model = json.loads(json.dumps(model))
    layers = model["config"]["layers"]
    at = {layer["class_name"]: k for k, layer in reversed(list(enumerate(layers)))}
    lstm = layers[at["LSTM"]]["config"]
    match place:
        case "between":
            layers[at["Dropout"]] = what
        case "cell":
            rnn = {"name": lstm["name"], "cell": what, "return_sequences": True}
            layers[at["LSTM"]] = {"class_name": "RNN", "config": rnn}
        case "activation":
            lstm["activation"] = what
        case "dense activation":
            layers[at["Dense"]]["config"]["activation"] = what
        case "initializer":
            lstm["kernel_initializer"] = lstm["bias_initializer"] = what
        case "regularizer":
            lstm["kernel_regularizer"] = lstm["recurrent_constraint"] = what
        case "dtype":
            layers[at["Dense"]]["config"]["dtype"] = what
        case "build":
            layers[at["LSTM"]]["build_config"] = model["build_config"] = what
        case "compile":
            model["compile_config"] = {"optimizer": what, "loss": what, "metrics": [what]}
        case _:
            raise AssertionError(place)
    return model


def unpacked(release: str, case: str, folder: Path) -> Path:
    """A genuine case (`tests/genuine`)."""
    with tarfile.open(GENUINE / f"{release}.tar.xz", "r:xz") as archive:
        wanted = [member for member in archive.getmembers() if member.name.startswith(f"{case}/")]
        archive.extractall(folder / release, members=wanted, filter="data")
    return folder / release / case


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rezip(path: Path, contents: list[tuple[str, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents:
            archive.writestr(name, data)
    return path


@dataclass
class Bench:
    """The genuine files that are spoilt, and where what they must not touch lies."""

    folder: Path

    def __post_init__(self) -> None:
        base = unpacked("keras3.15", "embedding_lstm_dense", self.folder)
        self.zip, self.hdf5 = base / "model.keras", base / "model.h5"
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir()
        self.canary, self.canary_h5 = elsewhere / f"{SECRET}.txt", elsewhere / f"{SECRET}.h5"
        self.canary.write_text(f"{SECRET}\n" * 3)
        for name in ("evil_module", "evil"):
            (self.folder / f"{name}.py").write_text(f"open({str(self.folder / 'marker-imported')!r}, 'w').close()\n")
        self.ids = self.folder / "ids.npy"
        np.save(self.ids, np.array([[1, 2, 3, 4, 5, 6]]))

    def marker(self, name: str) -> Path:
        return self.folder / f"marker-{name.replace(' ', '-').replace(',', '')}"

    def keras(self, name: str, change: Callable[[dict[str, Any]], Any]) -> Path:
        """The `.keras` with another configuration."""
        contents = members(self.zip)
        contents["config.json"] = json.dumps(change(json.loads(contents["config.json"]))).encode()
        return rezip(self.folder / f"{name}.keras", list(contents.items()))

    def h5(self, name: str, change: Callable[[dict[str, Any]], Any]) -> Path:
        """The `.h5` with another configuration."""
        path = self.folder / f"{name}.h5"
        shutil.copy(self.hdf5, path)
        with h5py.File(path, "r+") as file:
            config = change(json.loads(file.attrs["model_config"]))
            del file.attrs["model_config"]
            file.attrs["model_config"] = json.dumps(config)
        return path


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("hostile"))


def drive(bench: Bench, cases: list[tuple[str, Path, Path]], limit: int = 0, seconds: int = 500) -> dict[str, Any]:
    """What each command did with each file, in one process: case → command → status, out, err, events."""
    listed = bench.folder / "cases.json"
    listed.write_text(json.dumps([[name, str(path), str(x)] for name, path, x in cases]))
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(listed), "marker-", SECRET],
        capture_output=True,
        text=True,
        timeout=seconds,
        cwd=bench.folder,
        preexec_fn=(lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))) if limit else None,
    )
    found: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        name, command, what = json.loads(line)
        found.setdefault(name, {})[command] = what
    assert done.returncode == 0, done.stderr[-2000:]
    return found


def harmless(bench: Bench, done: dict[str, Any]) -> None:
    """What is true of every command on every file."""
    assert list(done) == list(COMMANDS)
    for command, what in done.items():
        assert what["events"] == [], command
        assert "Traceback" not in what["err"], command
        assert what["status"] in (0, 2, 3, 4), (command, what["err"])
        assert SECRET not in what["out"].replace(str(bench.canary), ""), command
    assert list(bench.folder.glob("marker-*")) == []


# Configurations ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def planted(bench: Bench) -> dict[str, Any]:
    cases = []
    for one in PLANTED:
        what = one.make(bench.marker(one.name), bench.canary)
        for make in (bench.keras, bench.h5):
            path = make(one.name, lambda model: plant(model, one.place, what))  # noqa: B023
            cases.append((path.name, path, bench.ids))
    return drive(bench, cases)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("one", PLANTED, ids=lambda one: one.name)
def test_what_a_configuration_names_is_never_run(bench: Bench, planted: Any, one: Planted, suffix: str) -> None:
    done = planted[f"{one.name}.{suffix}"]
    harmless(bench, done)
    if not one.needed:
        assert [done[command]["status"] for command in COMMANDS] == [0] * len(COMMANDS), done
        return
    said = done["inspect"]["out"] + done["inspect"]["err"]
    if one.place == "cell" and suffix == "keras":  # its weights lie under the class's name, which is no longer theirs
        assert {done[command]["status"] for command in COMMANDS} <= {2, 3}
        return
    assert one.said in said, said
    assert done["inspect"]["status"] in (0, 3)
    assert done["output"]["status"] in (2, 3), "the model's output can't be computed without it"
    if one.place == "between":
        assert done["weights"]["status"] == done["shapes"]["status"] == 0
        assert done["trace"]["status"] == 3, "refused by name where running it would be needed"
        assert "planted" in done["trace"]["err"]


def test_the_files_bite(bench: Bench, tmp_path: Path) -> None:
    """The same Lambda, loaded by Keras itself and told to be unsafe, leaves its marker: the tests above can fail."""
    import keras

    marker = tmp_path / "bitten"
    path = bench.keras("biting", lambda model: plant(model, "between", lambda_3(marker, bench.canary)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = keras.saving.load_model(path, safe_mode=False)
        model(np.load(bench.ids))
    assert marker.exists()


# SavedModels ---------------------------------------------------------------------------------------------------------


def replaced(value: Any, class_name: str, what: Any) -> Any:
    """JSON with an object in place of the `TimeDistributed` around that class."""
    if isinstance(value, dict):
        if value.get("class_name") == "TimeDistributed" and value["config"]["layer"]["class_name"] == class_name:
            return what
        return {key: replaced(inner, class_name, what) for key, inner in value.items()}
    return [replaced(inner, class_name, what) for inner in value] if isinstance(value, list) else value


def test_a_saved_model_whose_metadata_would_run_code(bench: Bench) -> None:
    base = unpacked("tf_keras-2.21", "cnn_lstm", bench.folder)
    with np.load(base / "expected.npz") as stored:
        np.save(bench.folder / "x.npy", stored["x/x"])
    makes = {"metadata lambda": lambda_2, "metadata gadget": gadget("subprocess", "Popen")}
    cases = []
    for name, make in makes.items():
        path = bench.folder / name.replace(" ", "-")
        shutil.copytree(base / "saved_model", path)
        file = path / "keras_metadata.pb"
        stored = protos.parse("SavedMetadata", file.read_bytes(), "the metadata", file)
        for node in stored.nodes:
            config = json.loads(node.metadata)
            what = make(bench.marker(name), bench.canary)
            node.metadata = json.dumps(replaced(config, "Flatten", what)).encode()
        file.write_bytes(stored.SerializeToString())
        cases.append((name, path, bench.folder / "x.npy"))
    found = drive(bench, cases)
    for name, said in (("metadata lambda", "Lambda"), ("metadata gadget", "Popen")):
        harmless(bench, found[name])
        assert found[name]["inspect"]["status"] == 0, found[name]
        assert said in found[name]["inspect"]["out"]
        assert found[name]["trace"]["status"] == found[name]["output"]["status"] == 3, found[name]["trace"]


# HDF5 inside a zip, and the zip itself -------------------------------------------------------------------------------


def external_link(file: h5py.File, place: str, canary: Path) -> None:
    file[place] = h5py.ExternalLink(str(canary), "/stolen")


def external_storage(file: h5py.File, place: str, canary: Path) -> None:
    file.create_dataset(place, (4, 12), "f", external=[(str(canary), 0, 192)])


def virtual_dataset(file: h5py.File, place: str, canary: Path) -> None:
    layout = h5py.VirtualLayout((4, 12), "f")
    layout[:] = h5py.VirtualSource(str(canary), "stolen", (4, 12))
    file.create_virtual_dataset(place, layout)


LEADS_OUT = [external_link, external_storage, virtual_dataset]


@pytest.fixture(scope="module")
def leading_out(bench: Bench) -> dict[str, Any]:
    cases, canary = [], bench.canary_h5
    with h5py.File(canary, "w") as file:
        file["stolen"] = np.full((4, 12), 1234.5, "f")
    for lead in LEADS_OUT:
        contents = members(bench.zip)
        buffer = io.BytesIO(contents["model.weights.h5"])
        with h5py.File(buffer, "r+") as file:
            place = next(name for name in names(file) if name.endswith("cell/vars/1"))
            del file[place]
            lead(file, place, canary)
        contents["model.weights.h5"] = buffer.getvalue()
        path = rezip(bench.folder / f"{lead.__name__}.keras", list(contents.items()))
        cases.append((path.name, path, bench.ids))
        path = bench.h5(lead.__name__, lambda model: model)
        with h5py.File(path, "r+") as file:
            place = next(name for name in names(file) if name.endswith("recurrent_kernel"))
            del file[place]
            lead(file, place, canary)
        cases.append((path.name, path, bench.ids))
    for name, member in (("absolute", "/tmp/escaped"), ("parent", "../escaped"), ("deep", "a/../../escaped")):
        path = rezip(bench.folder / f"{name}.keras", [*members(bench.zip).items(), (member, b"x")])
        cases.append((path.name, path, bench.ids))
    return drive(bench, cases)


def names(file: h5py.File) -> list[str]:
    found: list[str] = []
    file.visititems(lambda name, what: found.append(name) if isinstance(what, h5py.Dataset) else None)
    return found


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("lead", LEADS_OUT, ids=lambda lead: lead.__name__)
def test_datasets_in_other_files_are_refused_by_every_command(
    bench: Bench, leading_out: Any, lead: Callable[..., None], suffix: str
) -> None:
    done = leading_out[f"{lead.__name__}.{suffix}"]
    harmless(bench, done)
    for command in COMMANDS:
        assert done[command]["status"] == 3, (command, done[command]["err"])
        assert "1234.5" not in done[command]["out"]


@pytest.mark.parametrize("name", ["absolute", "parent", "deep"])
def test_zips_that_lead_out_are_refused_by_every_command(bench: Bench, leading_out: Any, name: str) -> None:
    done = leading_out[f"{name}.keras"]
    harmless(bench, done)
    assert {done[command]["status"] for command in COMMANDS} == {3}
    assert not list(bench.folder.parent.rglob("escaped"))
    assert not Path("/tmp/escaped").exists()


# Sizes ---------------------------------------------------------------------------------------------------------------


def bombs(bench: Bench) -> Iterator[tuple[str, Path, Path]]:
    contents = members(bench.zip)
    spaces = bench.folder / "spaces.keras"
    with zipfile.ZipFile(spaces, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", contents["metadata.json"])
        archive.writestr("model.weights.h5", contents["model.weights.h5"])
        with archive.open("config.json", "w", force_zip64=True) as file:
            for _ in range(1 << 10):
                file.write(b" " * (1 << 20))
            file.write(contents["config.json"])
    yield "spaces", spaces, bench.ids
    deep = rezip(bench.folder / "deep.keras", [*[*contents.items()][:1], ("config.json", b"[" * 5000000)])
    yield "deep", deep, bench.ids

    def chained(model: dict[str, Any]) -> dict[str, Any]:
        for _ in range(120):
            model = {"class_name": "Sequential", "config": {"name": "again", "layers": [model]}}
        return model

    yield "models in models", bench.keras("models in models", chained), bench.ids
    sizes: dict[str, dict[str, Any]] = {
        "ZeroPadding1D": {"padding": [10**9, 10**9]},
        "UpSampling1D": {"size": 10**9},
        "Reshape": {"target_shape": [10**9, 3]},
    }
    for name, config in sizes.items():
        layer = {"module": "keras.layers", "class_name": name, "config": {"name": "planted", **config}}
        yield name, bench.keras(name, lambda model: plant(model, "between", layer)), bench.ids  # noqa: B023
    base = unpacked("keras3.15", "dense_front", bench.folder)
    contents = members(base / "model.keras")
    config = json.loads(contents["config.json"])
    (repeat,) = (layer for layer in config["config"]["layers"] if layer["class_name"] == "RepeatVector")
    repeat["config"]["n"] = 10**9
    contents["config.json"] = json.dumps(config).encode()
    with np.load(base / "expected.npz") as stored:
        np.save(bench.folder / "flat.npy", stored["x/x"])
    yield "RepeatVector", rezip(bench.folder / "repeat.keras", list(contents.items())), bench.folder / "flat.npy"


@pytest.fixture(scope="module")
def exhausting(bench: Bench) -> dict[str, Any]:
    return drive(bench, list(bombs(bench)), limit=12 << 30)


@pytest.mark.parametrize(
    "name", ["spaces", "deep", "models in models", "ZeroPadding1D", "UpSampling1D", "Reshape", "RepeatVector"]
)
def test_what_asks_for_too_much_is_an_error(bench: Bench, exhausting: Any, name: str) -> None:
    done = exhausting[name]
    harmless(bench, done)
    refused = COMMANDS if name in ("spaces", "deep") else ("trace", "output")
    for command in refused:
        if name != "models in models":  # nested deeply, and else as good as any
            assert done[command]["status"] in (2, 4), (command, done[command])
