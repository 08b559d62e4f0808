"""A trace from what was asked for to blocks: what the commands, Python and the workers of a cluster share.

job      all that a trace asks for, as data; and what is ready to run, made of it
reading  where the sequences come from
run      layers over an input: the rebuilt ones, or the original graph
proof    what the original does on the same input, held against them
"""

from __future__ import annotations

from rnnprobe.runs.job import Job, Ready, comparable, opened, ready
from rnnprobe.runs.proof import prove
from rnnprobe.runs.reading import Given, Reading, Say, Source
from rnnprobe.runs.run import Ask, Run, rebuilt

__all__ = [
    "Ask",
    "Given",
    "Job",
    "Reading",
    "Ready",
    "Run",
    "Say",
    "Source",
    "comparable",
    "opened",
    "prove",
    "ready",
    "rebuilt",
]
