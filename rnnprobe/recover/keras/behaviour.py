"""What a Keras layer does with time and with masks, by its row of `KINDS`."""

from __future__ import annotations

from rnnprobe.recover.keras.config import Era
from rnnprobe.recover.keras.kinds import KINDS, renamed
from rnnprobe.types import KerasLayer

# What may take or give another rank than a model in which it stands.
_SHAPING = ("Embedding", "EinsumDense", "TimeDistributed")


def stepwise(layer: KerasLayer, rank: int | None) -> bool:
    """Whether each step of a layer's output depends on that step of its inputs alone; False where that is not sure.

    Args:
        layer: with inputs `[batch, time, …]`.
        rank: of its (first) input, the batch's axis counted.
    """
    if layer.class_name == "Model":
        known = rank is not None and rank >= 3
        return known and all(
            stepwise(call.layer, rank) and call.layer.class_name not in _SHAPING for call in layer.calls
        )
    return KINDS[layer.class_name].steps(layer.config, rank)


def masked(layer: KerasLayer) -> bool:
    """Whether a layer's result depends on the mask of its input."""
    return KINDS[layer.class_name].takes_mask or any(masked(call.layer) for call in layer.calls)


def supports_masking(class_name: str, meaning: Era) -> bool:
    """Whether a release's class hands the mask of its input on to what follows."""
    kind = KINDS.get(renamed(class_name))
    if class_name == "ReLU" and meaning.words.endswith("2.2.4-tf"):  # a slip of the pen in those releases
        return False
    return kind is not None and 0 < kind.hands_on <= meaning.major
