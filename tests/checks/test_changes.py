"""Something is changed in a copy of a model, and the check says what, and where."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnprobe import checks, formats, recover

from ..conftest import DATA
from . import models
from .models import CELL_0, CELL_1, Arrays


@dataclass(frozen=True)
class Change:
    """What is changed, and the finding that must be made.

    Attributes:
        make: makes the model in a folder, changed or, without a change, as it was.
        change: what is done.
        rule, place: of the finding; `place` is part of its place.
        expected, found: parts of what it says.
        values: the specification is saved with `--values`.
        edit: what people did to the specification after it was saved: texts, and what they became.
    """

    name: str
    make: Callable[..., Path]
    change: Any
    rule: str
    place: str
    expected: str = ""
    found: str = ""
    values: bool = False
    edit: tuple[tuple[str, str], ...] = ()


def stacked(folder: Path, change: Callable[[Arrays], object] = lambda arrays: None, shards: int = 1) -> Path:
    arrays = models.stack()
    change(arrays)
    return models.bundle(folder, arrays, shards)


def sharded(folder: Path, change: Callable[[Path], object] = lambda prefix: None) -> Path:
    prefix = stacked(folder, shards=2)
    change(prefix)
    return prefix


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(2).normal(0, 0.5, shape).astype("f4")


def narrowed(arrays: Arrays) -> None:
    """cell_0 has 3 units, and cell_1 goes on taking 4."""
    arrays[f"{CELL_0}/kernel"], arrays[f"{CELL_0}/bias"] = normal(8, 12), normal(12)


def pruned(arrays: Arrays) -> None:
    """cell_0 has 3 units, and cell_1 takes them."""
    narrowed(arrays)
    arrays[f"{CELL_1}/kernel"] = normal(9, 24)


def exchanged(arrays: Arrays) -> None:
    """The columns of i and of f in cell_1."""
    kernel = arrays[f"{CELL_1}/kernel"]
    kernel[:, 0:6], kernel[:, 12:18] = kernel[:, 12:18].copy(), kernel[:, 0:6].copy()


def renamed(arrays: Arrays) -> None:
    for name in [name for name in arrays if name.startswith(CELL_0)]:
        arrays[f"decoder/{name}"] = arrays.pop(name)


def cast(prefix: str, dtype: str) -> Callable[[Arrays], None]:
    def change(arrays: Arrays) -> None:
        arrays.update({name: array.astype(dtype) for name, array in arrays.items() if name.startswith(prefix)})

    return change


def put(name: str, array: np.ndarray) -> Callable[[Arrays], None]:
    return lambda arrays: arrays.update({name: array})


def scaled(name: str, factor: float) -> Callable[[Arrays], None]:
    return lambda arrays: arrays.update({name: arrays[name] * np.float32(factor)})


def element(name: str, place: tuple[int, ...], value: float) -> Callable[[Arrays], None]:
    return lambda arrays: arrays[name].__setitem__(place, value)


def became_gru(arrays: Arrays) -> None:
    del arrays[f"{CELL_1}/kernel"], arrays[f"{CELL_1}/bias"]
    scope = CELL_1.replace("basic_lstm_cell", "gru_cell")
    arrays |= {f"{scope}/gates/kernel": normal(10, 12), f"{scope}/gates/bias": normal(12)}
    arrays |= {f"{scope}/candidate/kernel": normal(10, 6), f"{scope}/candidate/bias": normal(6)}


def full(folder: Path, change: Callable[[Arrays], object] = lambda arrays: None) -> Path:
    """An LSTMCell with peepholes and a projection."""
    arrays = {
        "rnn/lstm_cell/kernel": normal(3 + 2, 16),
        "rnn/lstm_cell/bias": normal(16),
        **{f"rnn/lstm_cell/w_{gate}_diag": normal(4) for gate in "ifo"},
        "rnn/lstm_cell/projection/kernel": normal(4, 2),
    }
    change(arrays)
    return models.bundle(folder, arrays)


def unprojected(arrays: Arrays) -> None:
    del arrays["rnn/lstm_cell/projection/kernel"]
    arrays["rnn/lstm_cell/kernel"] = normal(3 + 4, 16)


def without_peepholes(arrays: Arrays) -> None:
    for gate in "ifo":
        del arrays[f"rnn/lstm_cell/w_{gate}_diag"]


def setting(name: str, **settings: Any) -> Callable[..., None]:
    return lambda config, weights: models.layer_config(config, name).update(settings)


def reset_before(config: dict[str, Any], weights: Any) -> None:
    models.layer_config(config, "digit")["reset_after"] = False
    models.put(models.variables(weights, "gru_1"), "2", normal(72))


def without_bias(config: dict[str, Any], weights: Any) -> None:
    models.layer_config(config, "digit")["use_bias"] = False
    del models.variables(weights, "gru_1")["2"]


def transposed(config: dict[str, Any], weights: Any) -> None:
    group = models.variables(weights, "gru_1")
    models.put(group, "0", group["0"][()].T)


def not_a_number(config: dict[str, Any], weights: Any) -> None:
    models.variables(weights, "gru")["1"][3, 40] = np.nan


def of_another_name(config: dict[str, Any], weights: Any) -> None:
    models.layer_config(config, "digit")["name"] = "numeral"


def inner(**settings: Any) -> Callable[..., None]:
    def change(config: dict[str, Any], weights: Any) -> None:
        models.layer_config(config, "both")["layer"]["config"].update(settings)

    return change


def forget_bias(graph: Any) -> None:
    """0.5 in the second layer."""
    for node in graph.node:
        if node.name == "rnn/while/rnn/multi_rnn_cell/cell_1/basic_lstm_cell/Const_2":
            node.attr["value"].tensor.float_val[0] = 0.5


ANY_WIDTH = (("width_1 = 4", 'width_1 = "?"'),)


def asked(line: str) -> tuple[tuple[str, str], ...]:
    """A line more about cell_1."""
    return ((f'name = "{CELL_1}"', f'name = "{CELL_1}"\n{line}'),)


CHANGES = (
    Change("units", stacked, pruned, "units", CELL_0, "4 (width_1)", "3"),
    Change(
        "units of an exact number", stacked, put(f"{CELL_1}/bias", normal(20)), "shape", f"{CELL_1}, bias", "24", "20"
    ),
    Change("input size", stacked, put(f"{CELL_0}/kernel", normal(10, 16)), "input_size", CELL_0, "embedding_1", "6"),
    Change(
        "a stack that does not fit",
        stacked,
        narrowed,
        "input_size",
        CELL_1,
        f"from units of {CELL_0}",
        "4",
        edit=ANY_WIDTH,
    ),
    Change(
        "a transposed kernel",
        stacked,
        lambda a: put(f"{CELL_1}/kernel", a[f"{CELL_1}/kernel"].T)(a),
        "shape",
        f"{CELL_1}, kernel",
        "10 × 24",
        "transposed",
    ),
    Change("gates exchanged", stacked, exchanged, "value", f"{CELL_1}, kernel f", values=True),
    Change("float16", stacked, cast(CELL_1, "f2"), "dtype", CELL_1, "float32", "float16"),
    Change("one tensor of float64", stacked, cast(f"{CELL_0}/bias", "f8"), "dtype", CELL_0, "float32", "float64"),
    Change(
        "a NaN",
        stacked,
        element(f"{CELL_1}/kernel", (7, 20), np.nan),
        "finite",
        f"{CELL_1}, recurrent_kernel o",
        found="the first at [7, 20]",
        values=True,
    ),
    Change(
        "an infinite bias",
        stacked,
        element(f"{CELL_0}/bias", (9,), -np.inf),
        "finite",
        f"{CELL_0}, bias f",
        found="[9]",
        values=True,
    ),
    Change(
        "an infinite softmax",
        stacked,
        element("softmax_w", (5, 1), np.inf),
        "finite",
        "softmax_w",
        found="[5, 1]",
        values=True,
    ),
    Change(
        "a bias lost", stacked, lambda a: a.pop(f"{CELL_1}/bias"), "weights", f"{CELL_1}, bias", "24", "no such tensor"
    ),
    Change("a scope renamed", stacked, renamed, "exists", CELL_0, "its old name", f"decoder/{CELL_0}"),
    Change(
        "a layer more",
        stacked,
        lambda a: a.update({"extra/basic_lstm_cell/kernel": normal(5, 8), "extra/basic_lstm_cell/bias": normal(8)}),
        "unlisted",
        "extra/basic_lstm_cell",
        found="BasicLSTM of 2 units",
    ),
    Change(
        "a layer less",
        stacked,
        lambda a: [a.pop(name) for name in list(a) if name.startswith(CELL_1)],
        "exists",
        CELL_1,
        found="none",
    ),
    Change("another cell", stacked, became_gru, "exists", CELL_1, found="none"),
    Change(
        "another cell under a pattern",
        stacked,
        became_gru,
        "cell",
        "cell_1/gru_cell",
        "basic_lstm",
        "gru",
        edit=((f'name = "{CELL_1}"', 'match = "*cell_1*"'),),
    ),
    Change(
        "a tensor more", stacked, put("attention_w", normal(6, 6)), "unlisted", "attention_w", found="6 × 6 float32"
    ),
    Change("a tensor less", stacked, lambda a: a.pop("softmax_b"), "exists", "softmax_b", found="none"),
    Change("another softmax", stacked, put("softmax_w", normal(6, 12)), "shape", "softmax_w", "6 × 11", "6 × 12"),
    Change("a softmax of another dtype", stacked, cast("softmax_b", "f2"), "dtype", "softmax_b", "float32", "float16"),
    Change("a larger vocabulary", stacked, put("embedding", normal(12, 5)), "shape", "embedding", "11 × 5", "12 × 5"),
    Change("a wider embedding", stacked, put("embedding", normal(11, 8)), "shape", "embedding", "11 × 5", "11 × 8"),
    Change(
        "too many parameters",
        stacked,
        put("softmax_w", normal(60, 11)),
        "parameters",
        "the file",
        "at most 1,000",
        edit=((r"re:parameters = \d+", "parameters = {max = 1000}"),),
    ),
    Change(
        "too many bytes",
        stacked,
        cast("rnn", "f8"),
        "bytes",
        "the file",
        "at most 3,000",
        edit=((r"re:bytes = \d+", "bytes = {max = 3000}"),),
    ),
    Change(
        "too many layers",
        stacked,
        lambda a: a.update({"x/basic_lstm_cell/kernel": normal(5, 8), "x/basic_lstm_cell/bias": normal(8)}),
        "layers",
        "the file",
        "2",
        "3",
    ),
    Change(
        "a shard lost",
        sharded,
        lambda prefix: Path(f"{prefix}.data-00001-of-00002").unlink(),
        "complete",
        f"{CELL_0}/bias",
        found="m.data-00001-of-00002 is missing",
    ),
    Change(
        "a forget gate that closes",
        stacked,
        put(f"{CELL_1}/bias", np.zeros(24, "f4")),
        "value",
        f"{CELL_1}, bias f",
        "forget.bias.max >= 0.5",
        "max = 0",
        edit=asked('values = ["forget.bias.max >= 0.5"]'),
    ),
    Change(
        "weights that explode",
        stacked,
        scaled(f"{CELL_1}/kernel", 20),
        "value",
        f"{CELL_1}, recurrent_kernel i",
        "< 2",
        "radius = ",
        edit=asked('values = ["0 <= input.recurrent_kernel.radius < 2"]'),
    ),
    Change(
        "weights pruned away",
        stacked,
        scaled(f"{CELL_1}/kernel", 0),
        "value",
        f"{CELL_1}, kernel g",
        "zeros <= 0.9",
        "zeros = 1",
        edit=asked('values = ["candidate.kernel.zeros <= 0.9"]'),
    ),
    Change(
        "a layer that must not be",
        stacked,
        lambda a: a.update({"old/basic_lstm_cell/kernel": normal(5, 8), "old/basic_lstm_cell/bias": normal(8)}),
        "exists",
        "old/*",
        "no such layer",
        "old/basic_lstm_cell",
        edit=(("[checkpoint]", '[[layer]]\nmatch = "old/*"\ncount = 0\n[checkpoint]'),),
    ),
    Change(
        "slots that must not be",
        stacked,
        put("softmax_w/Adam", normal(6, 11)),
        "exists",
        "softmax_w/Adam*",
        "no such tensor",
        edit=(("[checkpoint]", '[[tensor]]\nmatch = "softmax_w/Adam*"\ncount = 0\n[checkpoint]'),),
    ),
    Change("no projection", full, unprojected, "weights", "rnn/lstm_cell", "projection", "peephole_o"),
    Change(
        "no peepholes", full, without_peepholes, "weights", "rnn/lstm_cell", "peephole_i", "kernel, bias, projection"
    ),
    Change("reset_after", models.keras, reset_before, "cell", "digit", "keras_gru_reset_after", "keras_gru"),
    Change(
        "an activation",
        models.keras,
        setting("rows", activation="relu"),
        "option",
        "rows, activation",
        "tanh",
        "relu (config)",
    ),
    Change(
        "a recurrent activation",
        models.keras,
        setting("digit", recurrent_activation="hard_sigmoid"),
        "option",
        "digit, recurrent_activation",
        "sigmoid",
        "hard_sigmoid",
    ),
    Change(
        "the other direction",
        models.keras,
        setting("digit", go_backwards=True),
        "direction",
        "digit",
        "forward",
        "backward",
    ),
    Change("no bias", models.keras, without_bias, "weights", "digit", "bias", "kernel, recurrent_kernel"),
    Change("a transposed kernel of Keras", models.keras, transposed, "recovered", "digit", found="kernel [72, 32]"),
    Change(
        "a NaN of Keras",
        models.keras,
        not_a_number,
        "finite",
        "rows, recurrent_kernel r",
        found="[3, 40]",
        edit=(('name = "rows"', 'name = "rows"\nfinite = true'),),
    ),
    Change("a Keras layer renamed", models.keras, of_another_name, "exists", "digit", "its old name", "numeral"),
    Change(
        "an inner activation",
        models.hdf5,
        inner(recurrent_activation="sigmoid"),
        "option",
        "both/backward, recurrent_activation",
        "hard_sigmoid",
        "sigmoid",
    ),
    Change(
        "the inner direction", models.hdf5, inner(go_backwards=True), "direction", "both/forward", "forward", "backward"
    ),
    Change(
        "forget_bias",
        models.characters,
        forget_bias,
        "option",
        "cell_1/basic_lstm_cell, forget_bias",
        "1.0",
        "0.5 (graph)",
    ),
    Change(
        "the graph lost", models.characters, None, "evidence", "cell_0/basic_lstm_cell, forget_bias", "graph", "assumed"
    ),
)


def saved(run: Any, folder: Path, change: Change) -> Path:
    """The specification of the model as it was, edited."""
    folder.mkdir()
    spec = folder / "spec.toml"
    model = change.make(folder)
    done = run("shapes", model, "--save", spec, *(["--values"] if change.values else []))
    assert done.status == 0, done.err
    text = spec.read_text()
    for old, new in change.edit:
        text, times = re.subn(old[3:] if old.startswith("re:") else re.escape(old), lambda found: new, text, count=1)  # noqa: B023
        assert times == 1, old
    spec.write_text(text)
    done = run("check", model, spec)
    assert done.status == 0, done.out
    return spec


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_a_change_is_found(run, tmp_path, change):
    spec = saved(run, tmp_path / "before", change)
    (tmp_path / "after").mkdir()
    model = change.make(tmp_path / "after", change.change)
    done = run("check", model, spec, "--json")
    assert done.status == 1, done.err
    findings = json.loads(done.out)["findings"]
    mine = [one for one in findings if one["rule"] == change.rule and change.place in one["place"]]
    assert mine, findings
    assert any(change.expected in one["expected"] and change.found in one["found"] for one in mine), mine
    # The line is that of a key or a table of what is spoken of.
    lines = spec.read_text().splitlines()
    assert all(one["line"] and lines[one["line"] - 1].strip() for one in findings)
    text = run("check", model, spec)
    assert text.status == 1
    assert mine[0]["rule"] in text.out


def test_nothing_but_the_change_is_found(run, tmp_path):
    """A dtype in one layer: its dtype, and what the file comes to."""
    change = next(change for change in CHANGES if change.name == "float16")
    spec = saved(run, tmp_path / "before", change)
    model = change.make(tmp_path / "after", change.change)
    findings = json.loads(run("check", model, spec, "--json").out)["findings"]
    assert [(one["rule"], one["layer"]) for one in findings] == [("dtype", CELL_1), ("bytes", None)]


def test_a_line_is_that_of_the_key(run, tmp_path):
    change = CHANGES[0]
    spec = saved(run, tmp_path / "before", change)
    model = change.make(tmp_path / "after", change.change)
    findings = json.loads(run("check", model, spec, "--json").out)["findings"]
    found = next(one for one in findings if one["rule"] == "units")
    assert spec.read_text().splitlines()[found["line"] - 1] == 'units = "width_1"'
    assert found["column"] == 1


def test_values_are_read_where_a_rule_asks_for_them_alone(tmp_path, monkeypatch):
    prefix = stacked(tmp_path)
    spec = checks.draft(recover.network(formats.read(prefix)))
    loaded = []
    monkeypatch.setattr("rnnprobe.types.Tensor.load", loads(loaded))
    path = tmp_path / "spec.toml"
    path.write_text(checks.toml(spec))
    assert not checks.check(prefix, checks.read(path)).findings
    assert loaded == []
    path.write_text(f'version = 1\n[[layer]]\nname = "{CELL_1}"\nvalues = ["forget.bias.mean <= 9"]\n')
    assert not checks.check(prefix, checks.read(path)).findings
    assert set(loaded) == {f"{CELL_1}/bias"}
    loaded.clear()
    layer, tensor = f'[[layer]]\nname = "{CELL_0}"\nfinite = true\n', '[[tensor]]\nname="softmax_b"\nfinite = true\n'
    path.write_text(f"version = 1\n{layer}{tensor}")
    assert not checks.check(prefix, checks.read(path)).findings
    assert set(loaded) == {f"{CELL_0}/bias", f"{CELL_0}/kernel", "softmax_b"}


def loads(names: list[str]) -> Callable[..., Any]:
    def load(tensor: Any, rows: slice = slice(None)) -> Any:
        names.append(tensor.name)
        return tensor.read(rows)

    return load


PREFIXES = sorted(path.with_suffix("") for path in (DATA / "conformance").rglob("model.ckpt*.index"))
FILES = sorted(path for suffix in ("h5", "keras", "pb") for path in (DATA / "conformance").rglob(f"model.{suffix}"))


@pytest.mark.parametrize("model", [*PREFIXES, *FILES], ids=lambda path: "-".join(path.parts[-3:]))
def test_every_cell_meets_what_is_drafted_of_it(tmp_path, model):
    """The genuine checkpoint of every cell and wrapper."""
    path = tmp_path / "spec.toml"
    path.write_text(checks.toml(checks.draft(recover.network(formats.read(model)), values=True)))
    checked = checks.check(model, checks.read(path))
    assert checked.verdicts
    assert not checked.findings
