"""The data that flows from stage to stage. Classes here hold data; what is done with it lives in the stages.

Shapes are written `[time, batch, units]`. Sizes are counts of elements, never bytes, unless a name says so.
"""

from __future__ import annotations

from rnnprobe.types.cell import Cell, Option, OptionValue, Part, Signal, Weight, Xp
from rnnprobe.types.checkpoint import ALL, Array, Checkpoint, KerasConfig, Objects, Tensor
from rnnprobe.types.graph import Emitted, Extent, GraphTensor, LoopVariable, Recurrence, Signature, Survey
from rnnprobe.types.network import (
    Candidate,
    Direction,
    Embedding,
    Evidence,
    Feed,
    KerasCall,
    KerasLayer,
    Layer,
    Mask,
    Network,
    Transform,
    Value,
)
from rnnprobe.types.place import GraphRef, Tap, Use
from rnnprobe.types.report import Column, Report
from rnnprobe.types.run import Batch, Block, Entry, Kept, Outcome, Recording

__all__ = [
    "ALL",
    "Array",
    "Batch",
    "Block",
    "Candidate",
    "Cell",
    "Checkpoint",
    "Column",
    "Direction",
    "Embedding",
    "Emitted",
    "Entry",
    "Evidence",
    "Extent",
    "Feed",
    "GraphRef",
    "GraphTensor",
    "Kept",
    "KerasCall",
    "KerasConfig",
    "KerasLayer",
    "Layer",
    "LoopVariable",
    "Mask",
    "Network",
    "Objects",
    "Option",
    "OptionValue",
    "Outcome",
    "Part",
    "Recording",
    "Recurrence",
    "Report",
    "Signal",
    "Signature",
    "Survey",
    "Tap",
    "Tensor",
    "Transform",
    "Use",
    "Value",
    "Weight",
    "Xp",
]
