"""What was looked at, and whether it is as the specification says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from rnnprobe.checks.positions import Key, nearest
from rnnprobe.checks.specification import Level, Specification

Rule: TypeAlias = Literal[
    "recovered",  # the file can be understood as a whole
    "complete",  # the values of every tensor are there
    "layers",  # how many recurrent layers
    "exists",  # the layer or tensor is there, as often as it should be
    "unlisted",  # nothing is there that the specification does not speak of
    "cell",  # which cell
    "units",  # a size of a layer
    "input_size",  # a size of a layer
    "output_size",  # a size of a layer
    "direction",  # which way time runs
    "dtype",  # of the stored tensors
    "gates",  # in stored order
    "fed_by",  # what feeds a layer
    "weights",  # which tensors a layer has
    "shape",  # of a tensor
    "parameters",  # how many numbers
    "bytes",  # how many bytes
    "option",  # the value of an option
    "evidence",  # where that value comes from
    "finite",  # no value is NaN or infinite
    "value",  # a figure of the weights
    "golden",  # what the model does on a known input
]
"""What a verdict looks at."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thing that was looked at.

    Attributes:
        rule: what was looked at.
        holds: whether it is as expected.
        expected, found: in words.
        level: of the finding that it is where it does not hold.
        key: the place in the specification that asks for it.
        layer, tensor: what it speaks of, or empty.
        what: the role, part, option or signal in it, or empty.
        gate: likewise.
    """

    rule: Rule
    holds: bool
    expected: str
    found: str
    level: Level
    key: Key
    layer: str = ""
    tensor: str = ""
    what: str = ""
    gate: str = ""

    @property
    def place(self) -> str:
        """What it speaks of, in words: `rnn/lstm_cell, bias f`."""
        inner = " ".join(word for word in (self.what, self.gate) if word)
        place = self.layer or self.tensor or "the file"
        return f"{place}, {inner}" if inner else place

    @property
    def message(self) -> str:
        """The finding in one line."""
        return f"{self.place}: {self.rule}: expected {self.expected}; found {self.found}"


@dataclass(frozen=True, slots=True)
class Checked:
    """A model that was held against a specification.

    Attributes:
        model: its path, as the user wrote it.
        specification: the specification.
        verdicts: everything that was looked at: layers, tensors, the file as a whole, goldens.
        notes: what the reader of the model noticed.
    """

    model: Path
    specification: Specification
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...] = ()

    @property
    def findings(self) -> tuple[Verdict, ...]:
        """Those that don't hold."""
        return tuple(one for one in self.verdicts if not one.holds)

    def failures(self, fail_on: Level) -> tuple[Verdict, ...]:
        """The findings that make the check fail."""
        return tuple(one for one in self.findings if one.level == "error" or fail_on == "warning")

    def where(self, one: Verdict) -> tuple[int, int] | None:
        """Line and column in the specification, or None where it is no file."""
        return nearest(self.specification.spots, one.key)
