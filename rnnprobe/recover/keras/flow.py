"""What runs between the layers of a Keras model, as far as it matters to a recurrent layer: where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rnnprobe.recover.keras.kinds import KINDS
from rnnprobe.types import Feed, KerasLayer, Mask


@dataclass(frozen=True, slots=True)
class Flow:
    """An output of a layer.

    Attributes:
        sources: as in `Feed`.
        merge: how they become one.
        mask: the steps that Keras would have the next recurrent layer skip.
        width: features per step, where known.
        turned: its steps come in the opposite order of the model's input (after `go_backwards`).
        outside: it is one of the model's inputs, or nothing that can be computed.
        final: it is this state of the sources as they end, not a sequence.
        time: whose steps it has: an input's, a transform's.
        rank: of the array, the batch's axis counted, where known.
        origin: the call of the original that it comes from and the number of its output; empty where that is not
            rebuilt.
        masking: the name of the `Masking` that it passed, whose zeros a transform must see.
    """

    sources: tuple[str, ...]
    merge: str = "concat"
    mask: Mask | None = None
    width: int | None = None
    turned: bool = False
    outside: bool = True
    final: str = ""
    time: str = "input"
    rank: int | None = None
    origin: tuple[str, int] = ("", 0)
    masking: str = ""

    @property
    def feed(self) -> Feed:
        """It as the input of a recurrent layer, which runs against the order of a turned one."""
        return Feed(self.sources, self.merge, self.mask, "config", self.final)


def outside(name: str) -> Flow:
    """What a layer that is not rebuilt computes."""
    return Flow((name,), time=name)


def merged(flows: Sequence[Flow], merge: str, mask: Mask | None) -> Flow | None:
    """Several flows as one, or None where `Feed` can't say it."""
    if len(flows) == 1:
        return replace(flows[0], mask=mask)
    if len({(flow.turned, flow.final, flow.rank) for flow in flows}) > 1 or any(flow.masking for flow in flows):
        return None
    # What is joined has as many steps; what is added may have one step that counts for all.
    if merge != "concat" and len({flow.time for flow in flows}) > 1:
        return None
    if any(len(flow.sources) > 1 and flow.merge != merge for flow in flows):
        return None
    # The mean of means is a mean of them all only where each has as many.
    if merge == "ave" and any(len(flow.sources) > 1 for flow in flows):
        return None
    widths = [flow.width for flow in flows]
    known = [width for width in widths if width is not None]
    if merge != "concat" and len(set(known)) > 1:
        return None
    whole = len(known) == len(widths)
    width = (sum(known) if merge == "concat" else known[0]) if whole else None
    sources = tuple(source for flow in flows for source in flow.sources)
    return replace(flows[0], sources=sources, merge=merge, mask=mask, width=width, outside=False, origin=("", 0))


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


def rank(layer: KerasLayer, ranks: Sequence[int | None]) -> int | None:
    """The rank of what a layer gives for inputs of these ranks, the batch's axis counted; None where unknown."""
    known = [number for number in ranks if number is not None]
    given = max(known) if len(known) == len(ranks) else None
    if layer.class_name == "TimeDistributed":
        inner = None if given is None else rank(layer.inner[0], [given - 1])
        return None if inner is None else inner + 1
    return KINDS[layer.class_name].rank(layer.config, given)


def width(layer: KerasLayer, widths: Sequence[int | None]) -> int | None:
    """The features per step of what a layer gives; None where that takes more than its configuration."""
    return KINDS[layer.class_name].width(layer.config, widths[0])
