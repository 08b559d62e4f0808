"""What a format is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rnnprobe.types import Checkpoint


@dataclass(frozen=True, slots=True)
class Format:
    """A way of storing a checkpoint.

    Attributes:
        name: in words, as the reports print it.
        matches: `matches(path)`: is this path (a file, a directory or a prefix) stored so? Looks at names and the first
            bytes; never raises on a file that is merely strange.
        read: `read(path)`: everything that is stored, validated, with no tensor loaded.
            Raises `BadInput` or `Refused`, naming the file and the structure.
    """

    name: str
    matches: Callable[[Path], bool]
    read: Callable[[Path], Checkpoint]
