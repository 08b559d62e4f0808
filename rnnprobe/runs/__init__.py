"""A trace from what was asked for to blocks: what the commands, Python and the workers of a cluster share.

reading     where the sequences come from
job         all that a trace asks for, as data
run         layers over an input: the rebuilt ones, or the original graph
proof       what the original does on the same input, held against them
prepared    a run with all that it needs to be recorded
parts       a run cut into parts, each of them traced to a file
ledger      which parts of a job are done, kept beside the output
leftovers   parts of other traces beside an output
resume      a trace made of its parts, which goes on where it was cut
cluster     the parts on the workers of a Dask cluster
threads     how many threads TensorFlow gives one operation
provenance  where a trace comes from, and what decides what comes out
"""

from __future__ import annotations

from rnnprobe.runs.job import Job
from rnnprobe.runs.prepared import Ready, comparable, opened, ready
from rnnprobe.runs.proof import prove
from rnnprobe.runs.reading import Given, Reading, Say, Source
from rnnprobe.runs.run import Run, rebuilt

__all__ = [
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
