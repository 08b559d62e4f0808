"""The errors that reach a user: one base class, and a leaf for each exit status.

`rnnprobe.cli` turns them into one line on stderr and the status; nothing else in the package prints or exits.
"""

from __future__ import annotations

from pathlib import Path


class RnnprobeError(Exception):
    """What went wrong, in the words that the user reads.

    Args:
        message: what is wrong, what was expected and what was found; one line, without the path.
        path: the file that it speaks of, where there is one.
        hint: what to do about it, shown on a line of its own.
    """

    status = 70

    def __init__(self, message: str, *, path: str | Path | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.path is None else f"{self.path}: {self.message}"


class AnswerIsNo(RnnprobeError):
    """The question was understood, and the answer is no: a check failed, two things differ."""

    status = 1


class BadInput(RnnprobeError):
    """A file, an option or a combination of them that can't be used as it stands."""

    status = 2


class Refused(RnnprobeError):
    """The file asks for something that rnnprobe does not do for a file: run code, read other files."""

    status = 3


class OutOfResources(RnnprobeError):
    """The size asked for is over the memory or the limit set."""

    status = 4


class CannotWrite(RnnprobeError):
    """The output could not be written; whatever was there before is as it was."""

    status = 5
