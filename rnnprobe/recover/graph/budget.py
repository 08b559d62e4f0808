"""A bound on the work of looking for cells by numbers, the same on every machine."""

from __future__ import annotations

from dataclasses import dataclass


class Exhausted(Exception):
    """More work than a graph in numbers may take."""


@dataclass(slots=True)
class Budget:
    """The work that may be done for one graph, in products of two numbers: about a nanosecond each."""

    left: float = 2.5e9

    def take(self, work: float) -> None:
        """Takes from what is left.

        Raises:
            Exhausted: nothing is.
        """
        self.left -= work
        if self.left < 0:
            raise Exhausted
