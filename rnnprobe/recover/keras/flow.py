"""What runs between the layers of a Keras model, as far as it matters to a recurrent layer: where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rnnprobe.types import Feed, Mask


@dataclass(frozen=True, slots=True)
class Flow:
    """An output of a layer.

    Attributes:
        sources: as in `Feed`.
        merge: how they become one.
        mask: the steps that Keras would have the next recurrent layer skip.
        width: features per step, where known.
        turned: its steps come in the opposite order of the model's input (after `go_backwards`).
        outside: it is no output of a recurrent layer or an embedding; the user gives it.
        state: it is a final state of this layer, not a sequence.
    """

    sources: tuple[str, ...]
    merge: str = "concat"
    mask: Mask | None = None
    width: int | None = None
    turned: bool = False
    outside: bool = True
    state: str = ""

    @property
    def feed(self) -> Feed:
        """It as the input of a layer."""
        return Feed(self.sources, self.merge, self.mask, "config")


def outside(name: str) -> Flow:
    """What a layer that is not rebuilt computes."""
    return Flow((name,))


def merged(flows: Sequence[Flow], merge: str, mask: Mask | None) -> Flow | None:
    """Several flows as one, or None where `Feed` can't say it."""
    if len(flows) == 1:
        return replace(flows[0], mask=mask)
    if len({flow.turned for flow in flows}) > 1 or any(flow.state for flow in flows):
        return None
    if any(len(flow.sources) > 1 and flow.merge != merge for flow in flows):
        return None
    # The mean of means is a mean of them all only where each has as many.
    if merge == "ave" and any(len(flow.sources) > 1 for flow in flows):
        return None
    widths = [flow.width for flow in flows]
    known = [width for width in widths if width is not None]
    whole = len(known) == len(widths)
    width = (sum(known) if merge == "concat" else known[0]) if whole else None
    sources = tuple(source for flow in flows for source in flow.sources)
    return Flow(sources, merge, mask, width, flows[0].turned, all(flow.outside for flow in flows))


def merged_mask(flows: Sequence[Flow], major: int, concat: bool) -> tuple[Mask | None, str]:
    """The mask of several flows merged by Keras `major`, and why there is none where they have some.

    Keras 1 and 2 take the mask of those that have one; in Keras 3 an unmasked input makes the sum unmasked.
    """
    masks = [flow.mask for flow in flows]
    kinds = {mask for mask in masks if mask is not None}
    if not kinds:
        return None, ""
    if len(kinds) > 1:
        return None, "its inputs are masked differently"
    if None in masks and major >= 3:
        return None, "" if not concat else "only some of its inputs are masked, which Keras 3 took as no mask"
    return kinds.pop(), ""
