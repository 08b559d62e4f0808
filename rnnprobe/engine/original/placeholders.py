"""What an original graph asks for beside the sequences: lengths, states, how many there are, switches of training."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from rnnprobe.engine.original.built import Built
from rnnprobe.errors import BadInput
from rnnprobe.recover.graph.purpose import purpose
from rnnprobe.recover.graph.view import Ref, View
from rnnprobe.types import Array, Network

_WORDS = {
    "lengths": "the lengths",
    "state": "zeros",
    "batch": "the number of sequences",
    "training": "False",
    "keep": "1",
}


class Placeholders:
    """The graph's own placeholders that are on the path, and what each is for.

    Args:
        network: the layers.
        starts: the tensors that states start from.
        built: the graph.
        view: of the graph.
        owners: tensor that says lengths → the input whose lengths these are; the main one's without.

    Raises:
        BadInput: nothing shows what one is for.
    """

    def __init__(
        self, network: Network, starts: Collection[Ref], built: Built, view: View, owners: Mapping[str, str]
    ) -> None:
        self._built, self._owners = built, owners
        self._meant: dict[str, str] = {}
        self._labels: dict[str, str] = {}
        for ref, name in built.open.items():
            node = view.node(ref)
            label = node.name if node.op.startswith("Placeholder") else f"{node.name}:{ref[1]}"
            shape, dtype = built.shape(name), np.dtype(built.dtype(name))
            meant = purpose(view, ref, shape, dtype, starts)
            if node.op == "PlaceholderWithDefault" and meant != "lengths":
                continue
            if not meant:
                extent = "" if shape is None else f" {list(shape)}"
                raise BadInput(
                    f"can't be run: its graph asks for {label!r} ({dtype.name}{extent}), and nothing shows "
                    f"what that is",
                    path=network.checkpoint.path,
                    hint=f"--feed {label.partition(':')[0]}=FILE gives it; sequences go in with --input FILE",
                )
            self._meant[name], self._labels[name] = meant, label

    @property
    def takes_lengths(self) -> bool:
        """Whether the graph is told the lengths."""
        return "lengths" in self._meant.values()

    @property
    def lengths(self) -> list[str]:
        """The placeholders that take the lengths."""
        return [self._labels[name] for name, meant in self._meant.items() if meant == "lengths"]

    @property
    def notes(self) -> list[str]:
        """What each was given, in words."""
        return [f"{self._labels[name]} was given {_WORDS[meant]}" for name, meant in self._meant.items()]

    def feed(self, lengths: Array, size: int, beside: Mapping[str, Array] | None = None) -> dict[str, Any]:
        """What to feed for `size` sequences of these lengths, and of those of other inputs."""
        values = {"lengths": lengths, "batch": size, "training": False, "keep": 1.0}
        found = {}
        for name, meant in self._meant.items():
            dtype = self._built.dtype(name)
            if meant == "state":
                shape = self._built.shape(name) or ()
                extent = [size if place == 0 else known or 0 for place, known in enumerate(shape)]
                found[f"{name}:0"] = np.zeros(extent, dtype)
            else:
                label = self._labels[name]
                owner = self._owners.get(label if ":" in label else f"{label}:0", self._owners.get("", ""))
                own = (beside or {}).get(owner) if meant == "lengths" else None
                found[f"{name}:0"] = np.asarray(values[meant] if own is None else own, dtype)
        return found
