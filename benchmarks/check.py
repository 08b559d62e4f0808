"""How long `rnnprobe check` takes for a model of 100 layers and 1 GB, against the import of TensorFlow.

    python benchmarks/check.py [--layers 100] [--units 572] [--runs 7]

The model is a tensor bundle whose data file is sparse: its index is that of a real one, and its values are zeros.
Every round runs the check of the specification that `shapes --save` wrote, the same with a bias read, and, in between,
`python -c "import tensorflow"`, so that whatever else the machine does meets all of them alike. Printed are medians of
the wall time and the share of TensorFlow's. Status 1 if the check takes a quarter or more.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.startup import seconds
from tests.formats import forge

GOAL = 1 / 4


def model(folder: Path, layers: int, units: int) -> Path:
    """The prefix of a bundle of LSTMs, each fed by the one before it."""
    entries, offset = {}, 0
    for layer in range(layers):
        scope = f"rnn/multi_rnn_cell/cell_{layer}/lstm_cell"
        for name, shape in (("bias", (4 * units,)), ("kernel", (2 * units, 4 * units))):
            zeros = np.zeros(shape, "f4").tobytes()
            entries[f"{scope}/{name}".encode()] = forge.entry(zeros, shape, offset=offset)
            offset += len(zeros)
    forge.bundle(folder, entries, {"00000-of-00001": b""})
    with (folder / "m.data-00000-of-00001").open("r+b") as file:
        file.truncate(offset)
    return folder / "m"


def commands(folder: Path, prefix: Path) -> dict[str, list[str]]:
    """Name → the arguments of Python."""
    start = ["-m", "rnnprobe"]
    spec, biases = folder / "spec.toml", folder / "biases.toml"
    seconds([*start, "shapes", str(prefix), "--save", str(spec)])
    asked = 'name = "rnn/multi_rnn_cell/cell_0/lstm_cell"\n'
    biases.write_text(spec.read_text().replace(asked, f'{asked}values = ["forget.bias.mean >= 0"]\n'))
    return {
        "check": [*start, "check", str(prefix), str(spec)],
        "check, one bias read": [*start, "check", str(prefix), str(biases)],
        "import tensorflow": ["-c", "import tensorflow"],
    }


def main() -> int:
    """Measures, prints, and says by the status whether the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--layers", type=int, default=100)
    parser.add_argument("--units", type=int, default=572)
    parser.add_argument("--runs", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prefix = model(folder, given.layers, given.units)
        size = sum(path.stat().st_size for path in folder.glob("m.*"))
        print(f"{given.layers} layers, {size / 1e9:.2f} GB")
        started = commands(folder, prefix)
        times: dict[str, list[float]] = {what: [] for what in started}
        for run in range(given.runs + 1):
            for what, arguments in started.items():
                took = seconds(arguments)
                if run:
                    times[what].append(took)
    base = statistics.median(times["import tensorflow"])
    print(f"{'':22}{'median':>10}{'fastest':>10}{'slowest':>10}{'share':>9}")
    for what, taken in times.items():
        median = statistics.median(taken)
        print(f"{what:22}{median:9.3f}s{min(taken):9.3f}s{max(taken):9.3f}s{median / base:9.3f}")
    share = statistics.median(times["check"]) / base
    print(f"goal: under {GOAL:.3f}; {'met' if share < GOAL else 'missed'}")
    return 0 if share < GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
