"""Reports as one JSON document, made for `jq`.

    {
      "schema": "rnnprobe/weights/1",
      "weights": [
        {"layer": "rnn/basic_lstm_cell", "part": "kernel", "gate": "i", "norm": 3.141592653589793, …},
        …
      ],
      "notes": ["…"]
    }

- `schema`: `rnnprobe/<command>/<version>`; the version goes up when a key is taken away or changes its meaning, and not
  when one is added.
- A key for each report, with a list of its rows, also where there is one row or none; reports of one name (the layers
  of `weights`) are one list. Which keys a row has is documented where the report is made, in `rnnprobe.analysis`.
- `notes`: what stands below the tables in the terminal.
- Numbers at full precision. NaN and the infinities, which JSON does not have, are the strings `"NaN"`, `"Infinity"` and
  `"-Infinity"`. What is not known or does not apply is null.
- ASCII only: other characters are escaped, so that no name from a file reaches a terminal as it is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from rnnprobe.types import Report

VERSION = 1


def document(command: str, reports: Sequence[Report]) -> str:
    """The reports of a command as a JSON document that ends in a newline: a line a row."""
    tables: dict[str, list[Any]] = {}
    notes: list[str] = []
    for report in reports:
        tables.setdefault(report.name, []).extend(report.rows)
        notes += [note for note in report.notes if note not in notes]
    members = [f'"schema": {_text(f"rnnprobe/{command}/{VERSION}")}']
    for name, rows in (*tables.items(), ("notes", notes)):
        lines = ",".join(f"\n    {_text(row)}" for row in rows)
        members.append(f"{_text(name)}: [{lines}\n  ]" if rows else f"{_text(name)}: []")
    return "{\n  " + ",\n  ".join(members) + "\n}\n"


def _text(value: Any) -> str:
    return json.dumps(_finite(value), allow_nan=False)


def _finite(value: Any) -> Any:
    """`value` with the floats that JSON does not have as strings."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _finite(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(member) for member in value]
    return value
