"""What a graph says of a network: the options of its cells, and what feeds what (cells.md, sections 11 and 13).

Names and shapes give the layers (`names`); the graph that came with them shows how each kernel is used. What it shows
is taken with the evidence `graph`; what it does not show, or shows in a way that is not understood, is left as it was,
and a note says so.
"""

from rnnprobe.recover.graph.refine import refine

__all__ = ["refine"]
