"""Introspection of recurrent-network checkpoints: `rnnprobe.api` says what each function does."""

from rnnprobe.api import layers, load_trace, open, trace, verify, weights
from rnnprobe.errors import AnswerIsNo, BadInput, CannotWrite, OutOfResources, Refused, RnnprobeError

__version__ = "0.1.0"

__all__ = [
    "AnswerIsNo",
    "BadInput",
    "CannotWrite",
    "OutOfResources",
    "Refused",
    "RnnprobeError",
    "layers",
    "load_trace",
    "open",
    "trace",
    "verify",
    "weights",
]
