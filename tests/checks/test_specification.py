"""What a specification may say, and what is said of one that says something else."""

from __future__ import annotations

import json
import random
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnprobe import checks
from rnnprobe.checks import schema
from rnnprobe.checks.positions import nearest, positions
from rnnprobe.checks.sizes import Claim, Sizes
from rnnprobe.checks.specification import CheckpointSpec, GoldenSpec, LayerSpec, Specification, TensorSpec
from rnnprobe.checks.text import _string, toml
from rnnprobe.checks.values import bound
from rnnprobe.checks.verdict import Rule
from rnnprobe.errors import BadInput

EVERYTHING = """\
"$schema" = "file"
version = 1

[sizes]
hidden = 4
open = "?"

[checkpoint]
level = "warning"
parameters = {min = 1, max = 2}
bytes = 7
layers = 2
complete = true
unlisted_layers = "warning"
unlisted_tensors = "ignore"

[[layer]]
name = "a"
level = "warning"
count = 1
cell = "lstm"
input_size = "hidden + 2 * open"
units = "hidden"
output_size = "?"
direction = "backward"
dtype = "float32"
gates = ["i", "f"]
fed_by = ["x"]
parameters = 3
bytes = {max = 4}
weights = ["kernel"]
finite = true
values = ["forget.bias.mean >= 0.5", "-1e3 < i.kernel.min <= +0.5", "kernel.norm == 2 ± 5%"]
shapes.kernel = ["input_size + units", 4, "?", "2 · units"]
[layer.options]
forget_bias = 1.0
cell_clip = {value = "none", evidence = ["graph", "flag"]}
strides = [1, 2]
residual = {evidence = ["config"]}

[[tensor]]
match = "soft*"
count = {max = 3}
shape = ["hidden", "?"]
dtype = "float32"
finite = true

[[golden]]
name = "g"
level = "error"
input = {q = "q.npy"}
trace = "t.h5"
vocab = "v.json"
by = "word"
select = "0:3"
steps = "1:2"
own_input = true
carry = true
tolerance = 1e-3
tolerances = {h = 0, c = 1e-2}
"""


def read(folder: Path, text: str) -> Specification:
    path = folder / "spec.toml"
    path.write_text(text, encoding="utf-8")
    return checks.read(path)


def test_everything_that_may_be_said(tmp_path):
    found = read(tmp_path, EVERYTHING)
    (layer,) = found.layers
    assert layer.sizes == {"input_size": "hidden + 2 * open", "units": "hidden", "output_size": "?"}
    assert layer.shapes == {"kernel": ("input_size + units", "4", "?", "2 · units")}
    assert layer.options["cell_clip"].value == "none"
    assert layer.options["strides"].value == (1, 2)
    assert layer.options["residual"].value is None
    assert layer.values[0].bounds == ((">=", 0.5),)
    assert layer.values[1].bounds == ((">", -1000.0), ("<=", 0.5))
    assert layer.values[2].bounds == ((">=", 1.9), ("<=", 2.1))
    assert found.goldens[0].tolerances == {"h": 0, "c": 0.01}
    lines = EVERYTHING.split("\n")
    for key, text in ((("values", 1), '"-1e3'), (("options", "cell_clip", "evidence", 1), '"flag"]}')):
        line, column = found.spots["layer", 0, *key]
        assert lines[line - 1][column - 1 :].startswith(text)


def test_every_field_is_said_by_some_key_of_the_schema():
    """A key that the schema knows and nothing reads would be checked by nobody, and the other way round."""
    kinds = schema.schema()["$defs"]
    own = {"key", "sizes"}
    for kind, made in (("layer", LayerSpec), ("tensor", TensorSpec), ("golden", GoldenSpec)):
        keys = set(kinds[kind]["properties"]) - {"input_size", "units", "output_size"}
        assert keys == {field.name for field in fields(made)} - own, kind
    keys = set(schema.schema()["properties"]["checkpoint"]["properties"])
    assert keys == {field.name for field in fields(CheckpointSpec)}


def test_the_schema_uses_nothing_that_the_reader_does_not_know():
    def rules(value):
        if isinstance(value, dict):
            yield value
            for key, inner in value.items():
                if key in ("properties", "$defs"):
                    for each in inner.values():
                        yield from rules(each)
                elif key in ("items", "additionalProperties"):
                    yield from rules(inner)
                elif key in ("anyOf", "oneOf"):
                    for each in inner:
                        yield from rules(each)

    known = set(schema._KEYWORDS) | schema._ANNOTATIONS | {"$ref"}
    for one in rules(schema.schema()):
        assert set(one) <= known, one


def test_the_schema_is_printed(run):
    done = run("check", "--schema")
    assert done.status == 0
    assert json.loads(done.out) == schema.schema()


LAYER = 'version = 1\n[[layer]]\nname = "a"\n'
WRONG = [
    ("version = 1\n[[layer]\n", 2, 8, ""),
    ("version = 1\nversion = 1\n", 2, 12, "Cannot overwrite"),
    ("layer = []\n", 1, 1, "version is missing"),
    ("version = 2\n", 1, 1, "version: expected 1, found 2"),
    ("version = true\n", 1, 1, "version: expected version 1, found true"),
    (
        'version = 1\n\n[[layer]]\nname = "a"\nunit = 3\n',
        5,
        1,
        "layer 1, unit: 'unit' means nothing here; did you mean units?",
    ),
    ("version = 1\n[[layer]]\nunits = 3\n", 2, 1, "layer 1: expected name or match, and not both"),
    (LAYER + 'match = "b"\n', 2, 1, "expected name or match, and not both"),
    (LAYER + '[[layer]]\nname = "a"\n', 5, 1, "layer 2, name: 'a' stands here twice"),
    (
        'version = 1\nlayer = [{name = "a"}, {name = "b", units = 1.5}]\n',
        2,
        37,
        "layer 2, units: expected a whole number, a formula",
    ),
    (LAYER + 'units = "4 units"\n', 4, 1, "found '4 units'"),
    (LAYER + 'units = "__import__(0)"\n', 4, 1, "expected a whole number, a formula"),
    (LAYER + 'units = "hiden"\n', 4, 1, "no size is called 'hiden'"),
    (LAYER + 'units = "2 * units"\n', 4, 1, "speaks of units itself"),
    ("version = 1\n[sizes]\nunits = 3\n", 3, 1, "means the layer's own size"),
    ('version = 1\n[sizes]\n"a b" = 3\n', 3, 1, "is no name for a size"),
    ("version = 1\n[sizes]\nn = 0\n", 3, 1, 'expected a whole number above 0 or "?", found 0'),
    (LAYER + '[layer.shapes]\nkernel = [\n  3,\n  "4 * unit",\n]\n', 7, 3, "no size is called 'unit'"),
    ('version = 1\n[[tensor]]\nname = "a"\nshape = ["units"]\n', 4, 10, "no size is called 'units'"),
    (LAYER + 'values = ["bias.mean > 1", "bias.mean >> 1"]\n', 4, 28, "expected a comparison"),
    (LAYER + 'values = ["bias.median > 1"]\n', 4, 11, "'median' is no figure; known are norm"),
    (LAYER + "count = {min = 3, max = 2}\n", 4, 1, "min 3 is over max 2"),
    (LAYER + "bytes = -1\n", 4, 1, "expected a whole number, or a table of min and max"),
    (LAYER + "bytes = {mix = 1}\n", 4, 10, "'mix' means nothing here"),
    (LAYER + 'options.forget_bias = {value = 1.0, evidence = ["grap"]}\n', 4, 49, "expected assumed or cell"),
    (LAYER + "options.forget_bias = nan\n", 4, 1, "expected a value, or a table of value and evidence, found nan"),
    (LAYER + 'level = "fatal"\n', 4, 1, "level: expected error or warning, found 'fatal'"),
    ('version = 1\n[[layer]]\nname = ""\n', 3, 1, "a text that is not empty"),
    ('version = 1\n[[golden]]\ninput = "x.npy"\n', 2, 1, "golden 1: trace is missing"),
    ('version = 1\n[[golden]]\ninput = "x"\ntrace = "t"\ntolerance = -1.0\n', 5, 1, "of at least 0"),
    ("version = 1\nlayer = 1979-05-27\n", 2, 1, "expected an array, found 1979-05-27"),
]


@pytest.mark.parametrize(("text", "line", "column", "what"), WRONG, ids=lambda value: str(value)[:40])
def test_what_is_wrong_and_where(run, tmp_path, text, line, column, what):
    with pytest.raises(BadInput) as error:
        read(tmp_path, text)
    assert f"line {line}, column {column}: " in error.value.message
    assert what in error.value.message
    done = run("check", "no-such-model", tmp_path / "spec.toml")
    assert done.status == 2
    assert f"spec.toml: line {line}, column {column}: " in done.err


def test_files_that_are_no_specification(run, tmp_path):
    spec = tmp_path / "spec.toml"
    spec.write_bytes(b"version = \xff")
    assert "byte 10 is no UTF-8" in run("check", "m", spec).err
    spec.write_text("version = " + "[" * 100_000)
    done = run("check", "m", spec)
    assert (done.status, "nested too deeply" in done.err) == (2, True)
    spec.write_bytes(b"#" * (1 << 24) + b"\n")
    assert "16,777,217 bytes" in run("check", "m", spec).err
    spec.unlink()
    assert run("check", "m", spec).status == 2
    assert run("check", "m", tmp_path).status == 2


PIECES = ["", "\n", '"', "[", "}", "=", "#", ".", "\\", "'''", "0", "é"]


def refused(folder: Path, text: str) -> str | None:
    """Why a text is no specification; None if it is one."""
    try:
        read(folder, text)
    except BadInput as error:
        return error.message
    return None


def test_mutants_are_read_or_refused(tmp_path):
    """A character lost, doubled or exchanged anywhere: a specification, or an error with a place."""
    generator = random.Random(1)
    for _ in range(400):
        text = list(EVERYTHING)
        for _ in range(generator.randint(1, 3)):
            at = generator.randrange(len(text))
            text[at : at + generator.randint(0, 2)] = generator.choice(
                ["", "\n", '"', "[", "}", "=", "#", ".", "\\", "'''", "0", "é"]
            )
        said = refused(tmp_path, "".join(text))
        assert said is None or "line " in said or "end of document" in said


def _scalars(value, key=()):
    """The keys of everything that is neither a table nor an array."""
    if not isinstance(value, dict | list):
        yield key
        return
    for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _scalars(inner, (*key, name))


TOML = """\
a.b."c d" = {x = [1, {y = 'z]'}], "q\\u00e9\\"" = 2} # [no]
'lit#eral' = \"\"\"
[[no]]
x = 1 \\
\"\"\"\"
[t]
m = '''
] '''
[[t.u]]
d = 1979-05-27T07:32:00Z
[t.u.v]
e = [ # comment ]
  [ ], [[]], # , [
  "a\\\\", { }, -inf
]
[[t.u]]
[[t.u.w]]
f = +1_000.5e-3
[x.y]
"""


def test_every_key_has_a_place():
    for text in (TOML, EVERYTHING, TOML.replace("\n", "\r\n")):
        spots = positions(text)
        assert set(spots) >= set(_scalars(tomllib.loads(text)))
        lines = text.replace("\r\n", "\n").split("\n")
        for key, (line, column) in spots.items():
            assert line <= len(lines)
            if isinstance(key[-1], str) and key[-1].isidentifier():
                assert lines[line - 1][column - 1 :].startswith(("[", "a.b", "shapes.", key[-1])), key
    assert nearest(positions(EVERYTHING), ("layer", 0, "nothing", 3)) == (17, 1)


@given(st.text().filter(lambda text: not any("\ud800" <= char <= "\udfff" for char in text)))
def test_any_name_is_written_so_that_it_is_read_back(text):
    assert tomllib.loads(f"x = {_string(text)}") == {"x": text}


def test_what_is_saved_is_what_is_read(tmp_path):
    """The text of a specification, read and written again, is the same text."""
    from . import models

    prefix = models.bundle(tmp_path, {**models.stack(), 'odd "name"\n[x]\x1b': models.stack()["softmax_b"]})
    from rnnprobe import formats, recover

    text = toml(checks.draft(recover.network(formats.read(prefix)), values=True))
    assert toml(read(tmp_path, text)) == text
    assert "\x1b" not in text


def test_a_name_that_toml_can_not_hold():
    with pytest.raises(BadInput, match="TOML can hold"):
        _string("a\ud800")


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("bias.mean >= 0.5", 0.5, 0.4),
        ("f.bias.mean < -1e2", -101, -100),
        ("0 < kernel.norm <= 1", 1, 0),
        ("-1 <= kernel.min < +.5", -1, 0.5),
        ("kernel.norm == 10 +- 5 %", 10.5, 10.6),
        ("kernel.norm == -10 ± 5%", -9.5, -9.4),
        ("kernel.norm == 10 +- 0.1", 9.9, 9.8),
        ("zeros_part.zeros == 0", 0, 1e-9),
    ],
)
def test_comparisons(text, inside, outside):
    found = bound(text)
    assert found.holds(inside)
    assert not found.holds(outside)
    assert not found.holds(float("nan"))


def test_gates_in_words_and_letters():
    assert bound("candidate.bias.mean > 0").gates == ("g", "n")
    assert bound("f.bias.mean > 0").gates == bound("forget.bias.mean > 0").gates == ("f",)
    assert bound("bias.mean > 0").gates == ()


@pytest.mark.parametrize(
    "text",
    ["", "mean > 1", "a.b.c.mean > 1", "bias.mean", "bias.mean = 1", "bias.mean > x", "1 > bias.mean > 0",
     "bias.mean > 1 or 1", "bias.mean == 1 +- ", "bias.mean > 0x10", "bias.__class__ > 1", "bias.mean > ¹"],
)  # fmt: skip
def test_what_is_no_comparison(text):
    with pytest.raises(ValueError, match=r"comparison|figure"):
        bound(text)


def test_symbols_bind_whatever_comes_first():
    sizes = Sizes({"a": "?", "b": "?", "c": "?", "d": 5})
    claims = [
        Claim(("a + b",), (10,), {}, "first"),
        Claim(("2 * b", "?"), (8, 99), {}, "second"),
        Claim(("c * d",), (15,), {}, "third"),
        Claim(("a + units",), (8,), {"units": 2}, "fourth"),
        Claim(("3 * b",), (13,), {}, "fifth"),
    ]
    sizes.settle(claims)
    assert sizes.known == {"a": 6, "b": 4, "c": 3, "d": 5}
    assert [sizes.holds(claim) for claim in claims] == [True, True, True, True, False]
    assert sizes.words(("3 * b",), {}) == "12 (3 · b); b = 4 from second"


def test_a_symbol_that_nothing_settles():
    sizes = Sizes({"a": "?", "b": "?"})
    claim = Claim(("a + b",), (10,), {}, "x")
    sizes.settle([claim])
    assert not sizes.holds(claim)
    assert sizes.words(claim.formulas, {}) == "a + b; nothing settles a; nothing settles b"


def test_every_rule_is_looked_at():
    files = Path(checks.__file__).parent.glob("*.py")
    source = "".join(path.read_text() for path in files if path.name != "verdict.py")
    for rule in get_args(Rule):
        assert f'"{rule}"' in source
