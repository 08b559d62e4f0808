"""Does rnnprobe compute what genuine TensorFlow and Keras computed? A row a case: `python tests/conformance.py DIR`.

DIR holds a folder for each release and in it one for each case: a checkpoint, `case.json`, and in `data.npz` what the
release itself computed from it. Outputs, the states after every step and the final states are compared, to `TOLERANCE`.
The same rows run as a test over `tests/data/conformance`, and over `RNNPROBE_CONFORMANCE` where that is set.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import rnnprobe
from rnnprobe import recover
from rnnprobe.recover import stacks

TOLERANCE = 1e-5

# What each case needs beyond the cells that are registered, by the pattern of its name.
_LEFT_OUT: dict[str, str] = {}


# Options that a case was built with, of checkpoints without a graph that says them.
_TOLD: dict[str, dict[str, float | str]] = {
    "tfa-0.20.0/esn_leaky": {"leaky": 0.3},
}


@dataclass(frozen=True, slots=True)
class Row:
    """One case: where it lies, what was compared, how far apart it was, and what came of it."""

    release: str
    case: str
    file: str
    result: str
    largest: float = 0.0
    compared: int = 0
    reason: str = ""

    def __str__(self) -> str:
        numbers = f"{self.compared:4d} arrays, largest difference {self.largest:.1e}" if self.compared else ""
        return f"{self.result:8s} {self.release:24s} {self.case:24s} {self.file:20s} {numbers}{self.reason}"


def left_out(case: str) -> str:
    """Why a case is not expected to be rebuilt, or empty."""
    return next((reason for pattern, reason in _LEFT_OUT.items() if re.fullmatch(pattern, case)), "")


def apart(*folders: Path, named: str) -> list[Path]:
    """The cases of several folders that hold a file of this name: what several have alike, byte for byte, once."""
    cases: dict[tuple[str, str], list[Path]] = {}
    for case in (path.parent for folder in folders for path in sorted(folder.glob(f"*/*/{named}"))):
        others = cases.setdefault((case.parent.name, case.name), [])
        if not any(_alike(case, other) for other in others):
            others.append(case)
    return [case for found in cases.values() for case in found]


def _alike(one: Path, other: Path) -> bool:
    """Whether two cases have the same files."""
    names, others = ({path.relative_to(case) for path in case.rglob("*") if path.is_file()} for case in (one, other))
    return names == others and filecmp.cmpfiles(one, other, list(map(str, names)), shallow=False)[1:] == ([], [])


def case_rows(case: Path, trace: Callable[..., Any] = rnnprobe.trace) -> Iterator[Row]:
    """The rows of one case folder; `trace` runs the layers of Keras."""
    release, name = case.parent.name, case.name
    files = tensorflow_files(case) or keras_files(case)
    if not files:
        yield Row(release, name, "", "left out", reason="no file of a format that is read")
    for file in files:
        reason = left_out(name)
        if reason:
            yield Row(release, name, file.name, "left out", reason=reason)
            continue
        data = dict(np.load(case / "data.npz"))
        kind = json.loads((case / "case.json").read_text())
        try:
            if "kind" in kind:
                differences = tensorflow_differences(file, name, kind["kind"], data)
            else:
                differences = keras_differences(file, kind, data, trace)
        except rnnprobe.RnnprobeError as error:
            yield Row(release, name, file.name, "FAILED", reason=str(error))
            continue
        largest = max(differences.values(), default=0.0)
        worst = max(differences, key=differences.__getitem__, default="")
        close = all(difference <= TOLERANCE for difference in differences.values())
        reason = "" if close else f" at {worst}"
        if not differences:
            reason = "recognised; the release computed nothing to compare with"
        yield Row(release, name, file.name, "ok" if close else "FAILED", largest, len(differences), reason)


WEIGHTS_ALONE = ("weights_only.h5", "w.weights.h5", "model.weights.h5", "tfw")
"""Keras files without a configuration."""


def tensorflow_files(case: Path) -> list[Path]:
    """The checkpoint of a TensorFlow case."""
    return [case / "model.ckpt"] if (case / "model.ckpt.index").exists() else []


def keras_files(case: Path) -> list[Path]:
    """Every file of a Keras case, of the formats that are read."""
    names = ("model.h5", *WEIGHTS_ALONE, "m.keras", "sm")
    return [case / name for name in names if (case / name).exists() or (case / f"{name}.index").exists()]


def difference(expected: Any, got: Any) -> float:
    """The largest absolute difference; infinite where the shapes differ or something is NaN."""
    expected, got = np.asarray(expected), np.asarray(got)
    if expected.shape != got.shape:
        return float("inf")
    return float(np.max(np.nan_to_num(np.abs(expected - got), nan=np.inf), initial=0.0))


# TensorFlow ----------------------------------------------------------------------------------------------------------


def tensorflow_differences(
    file: Path, case: str, kind: str, data: Mapping[str, Any], *, hidden: bool = False
) -> dict[str, float]:
    """Differences by array, for a checkpoint of TensorFlow: `generators/gen_tf1.py` says what each kind computes.

    Args:
        file: the checkpoint.
        case, kind: of the case.
        data: what was computed.
        hidden: the graph that came with it is not looked at.
    """
    options = _TOLD.get(f"{file.parents[1].name}/{case}", _TOLD.get(case, {}))
    network = rnnprobe.open(file, **options)
    if hidden:
        network = recover.network(replace(network.checkpoint, graph=None), recover.Overrides(options=options))
    if kind == "layernames":
        return _stepped_alone(network, data)
    if kind == "twoscopes":
        return _two_scopes(network, data)
    if "out0" not in data:
        assert network.layers
        return {}
    x = _input(network, case, kind, data)
    limited = kind in ("dynseq", "raw", "revfused") or case.endswith("_seq")
    lengths = data["lens"] if limited else None
    if kind.startswith("attnwrap"):
        return _attending(network, data)
    trace = rnnprobe.trace(network, x, lengths=lengths, record="all")
    layers = [trace.layers[layer.name] for layer in network.layers]
    outputs = _outputs(network, trace, x)
    shown = _as_driver(kind, case, network, outputs, x.shape[1])
    assert len(shown) == sum(re.fullmatch(r"out\d+", name) is not None for name in data) or kind == "reuse2"
    compared = {f"out{k}": difference(data[f"out{k}"], array) for k, array in enumerate(shown)}
    compared |= _compare_states(network, layers, data, kind)
    return compared


def attended(network: Any, data: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The inputs of an AttentionWrapper's case, and the lengths of what is attended to: it is given, or made of what
    enters an encoder."""
    entries = list(stacks.entries(stacks.select(network)[0]))
    encoded = len(network.layers) > 1
    decoder, given = (entries[1], entries[0]) if encoded else (entries[0], entries[1])
    return {decoder: data["x"], given: data["mem"]}, {given: data.get("mem_lens", np.array([4, 6]))}


def _attending(network: Any, data: Mapping[str, Any]) -> dict[str, float]:
    """An AttentionWrapper: its states are the cell's, the attention, the time, and the alignments once or twice."""
    inputs, lengths = attended(network, data)
    trace = rnnprobe.trace(network, inputs, lengths=lengths, record="all")
    layer = network.layers[-1]
    recorded = trace.layers[layer.name]
    signals = {name: np.asarray(array) for name, array in recorded.signals.items()}
    compared = {"out0": difference(data["out0"], signals[layer.cell.emits])}
    alignments = [name for name in sorted(signals) if re.fullmatch(r"alignments(_\d+)?", name)]
    inner = [name for name in layer.cell.states if name not in ("attention", *alignments)]
    for name in data:
        found = re.fullmatch(r"(?:step(\d+)_s|st)(\d+)", name)
        if not found:
            continue
        t, k = int(found[1] or data["x"].shape[1] - 1), int(found[2])
        kept = [*inner, "attention", "time", *alignments, *alignments][k]
        compared[name] = difference(data[name], t + 1 if kept == "time" else signals[kept][:, t])
        if kept in layer.cell.states and not found[1]:
            compared[f"final {kept}"] = difference(data[name], recorded.final[kept])
    return compared


def _input(network: Any, case: str, kind: str, data: Mapping[str, Any]) -> Any:
    """What the layers take."""
    match kind:
        case "embed":
            return data["x"][..., 0]
        case "phased":
            return np.concatenate([data["time"], data["x"]], axis=-1)
    # Up to TensorFlow 1.6 GLSTMCell never looked at what x has beyond the width of h.
    return data["x"][..., : network.layers[0].input_size] if case.startswith("glstm") else data["x"]


def _outputs(network: Any, trace: Any, x: Any) -> dict[str, Any]:
    """What each layer passes on, zeros past a length as TensorFlow emits them, `[sequence, time, unit]`."""
    outputs: dict[str, Any] = {}
    for layer in network.layers:
        h = np.asarray(trace.layers[layer.name].signals[layer.cell.emits])
        if layer.settings["residual"]:
            below = [outputs[source] for source in layer.feed.sources if source in outputs] or [x]
            h = h + np.concatenate(below, axis=-1)
        outputs[layer.name] = np.nan_to_num(h)
    return outputs


def _as_driver(kind: str, case: str, network: Any, outputs: Mapping[str, Any], steps: int) -> list[Any]:
    """The outputs in the form in which the case's driver returned them."""
    top = [layer.name for layer in network.layers if not _feeds_another(layer.name, network)]
    last = [outputs[name] for name in top]
    match kind:
        case "dyn_tm" | "raw" | "scan" | "fused" | "revfused":
            return [last[0].swapaxes(0, 1)]
        case "fusedadapt":
            return [last[0].swapaxes(0, 1)] if case.endswith("_dyn") else _by_step(last[0], steps)
        case "static" | "pyloop" | "ntm" | "manual" | "manual_grid":
            return _by_step(last[0], steps)
        case "bidyn":
            return last
        case "bistatic" | "stackbi":
            return _by_step(np.concatenate(last, axis=-1), steps)
        case "stackbidyn":
            return [np.concatenate(last, axis=-1)]
        case _:
            return [last[0]]


def _feeds_another(name: str, network: Any) -> bool:
    return any(name in layer.feed.sources for layer in network.layers)


def _by_step(array: Any, steps: int) -> list[Any]:
    return [array[:, t] for t in range(steps)]


def _compare_states(network: Any, layers: Sequence[Any], data: Mapping[str, Any], kind: str) -> dict[str, float]:
    """Final states, and states after every step where the case kept them, in TensorFlow's own order."""
    cells = [layer.cell for layer in network.layers]
    finals = _flatten(cells, [dict(layer.final) for layer in layers])
    expected = [data[f"st{k}"] for k in range(sum(re.fullmatch(r"st\d+", name) is not None for name in data))]
    if kind == "scan":
        steps = [{s: np.asarray(layer.signals[s]).swapaxes(0, 1) for s in c.states} for c, layer in zip(cells, layers)]
        got = _flatten(cells, steps)
        return {f"st{k}": difference(e, g) for k, (e, g) in enumerate(zip(expected, got, strict=True))}
    order = finals
    if kind in ("stackbidyn", "stackbi"):
        # fw of every level, then bw of every level
        turned = sorted(range(len(cells)), key=lambda k: network.layers[k].direction == "backward")
        order = _flatten([cells[k] for k in turned], [dict(layers[k].final) for k in turned])
    got = _grouped(order, expected)
    compared = {f"st{k}": difference(e, g) for k, (e, g) in enumerate(zip(expected, got, strict=True))}
    for name in data:
        found = re.fullmatch(r"step(\d+)_s(\d+)", name)
        if found:
            t, k = int(found[1]), int(found[2])
            at = [{s: np.asarray(layer.signals[s])[:, t] for s in c.states} for c, layer in zip(cells, layers)]
            compared[name] = difference(data[name], _grouped(_flatten(cells, at), expected)[k])
    return compared


def _flatten(cells: Sequence[Any], states: Sequence[Mapping[str, Any]]) -> list[Any]:
    """States as TensorFlow flattens them: c before h, layer by layer, an attention's memory row after row."""
    flat = []
    for cell, state in zip(cells, states):
        if "frequency_windows" in {option.name for option in cell.options}:
            flat += _by_window(cell, state)
            continue
        for name in cell.states:
            array = np.asarray(state[name])
            rows = array.reshape(*array.shape[:-2], -1) if name == "memory" and "attns" in state else array
            # Sonnet counts the steps of all sequences together.
            rows = rows[0] if name == "count" else rows
            # A neural Turing machine keeps a list of what its heads read, and one of their addresses.
            flat += list(np.moveaxis(array, -2, 0)) if name in ("reads", "addresses") else [rows]
    return flat


def _by_window(cell: Any, state: Mapping[str, Any]) -> list[Any]:
    """c and h of the first window, then of the next, direction by direction."""
    flat: list[Any] = []
    for c, h in zip(cell.states[::2], cell.states[1::2]):
        pairs = zip(*(np.moveaxis(np.asarray(state[name]), -2, 0) for name in (c, h)), strict=True)
        flat += [array for pair in pairs for array in pair]
    return flat


def _grouped(states: list[Any], expected: Sequence[Any]) -> list[Any]:
    """Joined into wider tensors where the cell kept its state concatenated (`state_is_tuple=False`)."""
    if len(states) == len(expected):
        return states
    grouped: list[Any] = []
    rest = list(states)
    for array in expected:
        joined: list[Any] = []
        while rest and sum(part.shape[-1] for part in joined) < array.shape[-1]:
            joined.append(rest.pop(0))
        grouped.append(np.concatenate(joined, axis=-1) if joined else np.empty(0))
    return grouped


def _stepped_alone(network: Any, data: Mapping[str, Any]) -> dict[str, float]:
    """Two cells in one scope, each stepped once from zeros."""
    compared = {}
    for k, layer in enumerate(network.layers):
        trace = rnnprobe.trace(network, np.zeros((2, 1, 3), "f"), layers=[layer.name], record="all")
        recorded = trace.layers[layer.name]
        compared[f"out{k}"] = difference(data[f"out{k}"], np.asarray(recorded.signals["h"])[:, 0])
        for name, place in (("c", 0), ("h", 1)):
            compared[f"st{2 * k + place}"] = difference(data[f"st{2 * k + place}"], recorded.final[name])
    return compared


def _two_scopes(network: Any, data: Mapping[str, Any]) -> dict[str, float]:
    """Two independent layers on one input. The second call in the default scope failed, and the case kept `a` twice."""
    compared = {}
    recorded = rnnprobe.trace(network, data["x"], layers=["a/*"], record="all").layers
    (recorded,) = recorded.values()
    for k in range(2):
        compared[f"out{k}"] = difference(data[f"out{k}"], recorded.signals["h"])
        compared[f"st{2 * k}"] = difference(data[f"st{2 * k}"], recorded.final["c"])
        compared[f"st{2 * k + 1}"] = difference(data[f"st{2 * k + 1}"], recorded.final["h"])
    return compared


# Keras ---------------------------------------------------------------------------------------------------------------


def keras_differences(
    file: Path, kind: Mapping[str, Any], data: Mapping[str, Any], trace: Callable[..., Any] = rnnprobe.trace
) -> dict[str, float]:
    """The model's own output for its own input.

    A file of weights alone is opened with the model's configuration beside it, as `--config` does; without it, its
    layers have to be found all the same.
    """
    bare = rnnprobe.open(file)
    network = bare
    if file.name in WEIGHTS_ALONE:
        with tempfile.TemporaryDirectory() as folder:
            (config := Path(folder) / "config.json").write_text(json.dumps(kind["config"]))
            network = rnnprobe.open(file, config=config)
        found, known = ([(la.cell.name, dict(la.sizes)) for la in net.layers] for net in (bare, network))
        assert [sizes for _, sizes in found] == [sizes for _, sizes in known], f"without its configuration: {found}"
    x = data["x"].astype("int64") if network.embeddings else data["x"]
    (output,) = trace(network, x, record="all,output").outputs.values()
    return {"y": difference(data["y"], np.asarray(output))}


def _graph(case: Path) -> dict[str, Any]:
    """What the stored graph of a case shows."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from tests.originals import both

    kind = json.loads((case / "case.json").read_text())["kind"]
    network = rnnprobe.open(case / "model.ckpt")
    data = dict(np.load(case / "data.npz"))
    lengths = None
    if kind.startswith("attnwrap"):
        x, lengths = attended(network, data)
    else:
        x = _input(network, case.name, kind, data) if network.layers else data["x"]
    return dict(zip(("original", "verify"), both(case, x, lengths), strict=True)) | {
        "hidden": _hidden(case, kind, data)
    }


@dataclass(frozen=True, slots=True)
class _Hidden:
    """What names and shapes alone give: `ok`, or that the graph is needed, and for what."""

    result: str
    reason: str

    def __str__(self) -> str:
        return f"{self.result} ({self.reason})" if self.reason else self.result


def _hidden(case: Path, kind: str, data: Mapping[str, Any]) -> _Hidden:
    """The same case without its `.meta`."""
    try:
        differences = tensorflow_differences(case / "model.ckpt", case.name, kind, data, hidden=True)
    except (rnnprobe.RnnprobeError, AssertionError, KeyError, IndexError, ValueError) as error:
        return _Hidden("needs the graph", (str(error) or "no such layer").splitlines()[0])
    largest = max(differences.values(), default=0.0)
    return _Hidden("ok", "") if largest <= TOLERANCE else _Hidden("needs the graph", f"else {largest:.1e} apart")


def main() -> int:
    """Prints the rows and the shares; 1 where a row failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="a part of release/case")
    parser.add_argument("--rebuilt", action="store_true", help="leave out the runs of the stored graphs")
    parser.add_argument(
        "--compiled",
        nargs="?",
        const="ahead",
        choices=("ahead", "inside"),
        help="let XLA compile every loop, however short; inside: with the input's share of the products in it",
    )
    arguments = parser.parse_args()
    if arguments.compiled:
        from rnnprobe.engine import compilation

        compilation._WORTH = 0
        if arguments.compiled == "inside":
            compilation._FEW = compilation._NARROW = 0
    counts: Counter[tuple[str, str]] = Counter()
    formats: Counter[tuple[str, str]] = Counter()
    graphs: Counter[tuple[str, str]] = Counter()
    for path in sorted(path.parent for path in arguments.folder.glob("*/*/case.json")):
        if arguments.only in f"{path.parent.name}/{path.name}":
            shown = _graph(path) if (path / "model.ckpt.meta").exists() and not arguments.rebuilt else {}
            graphs.update((way, one.result) for way, one in shown.items())
            for row in case_rows(path):
                print(row, *(f"{way} {one}" for way, one in shown.items()), sep="; ", flush=True)
                counts[row.release, row.result] += 1
                formats[row.file, row.result] += 1
    releases = sorted({release for release, _ in counts})
    for release in releases:
        passed, failed, out = (counts[release, result] for result in ("ok", "FAILED", "left out"))
        print(f"{release}: {passed} of {passed + failed} agree within {TOLERANCE}, {out} left out")
    for file in sorted({file for file, _ in formats}):
        passed, failed = formats[file, "ok"], formats[file, "FAILED"]
        print(f"{file}: {passed} of {passed + failed} agree")
    for way in ("original", "verify", "hidden"):
        print(f"{way}: " + ", ".join(f"{result}: {count}" for (one, result), count in graphs.items() if one == way))
    passed = sum(counts[release, "ok"] for release in releases)
    failed = sum(counts[release, "FAILED"] for release in releases)
    print(f"all: {passed} of {passed + failed} ({100 * passed / max(1, passed + failed):.1f} %)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
