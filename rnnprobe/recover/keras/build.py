"""The recurrent layers of a Keras model as they are built, one after the other, and what is said of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rnnprobe.errors import BadInput
from rnnprobe.recover.keras.cells import layer as build_layer
from rnnprobe.recover.keras.config import Era, LayerConfig, layer_config, mapped, text
from rnnprobe.recover.keras.flow import Flow, merged, outside
from rnnprobe.recover.keras.store import FAMILIES, CellWeights, Flat, Nested, Place, family, stacked_cell
from rnnprobe.types import Candidate, Direction, Embedding, Layer, Mask

MERGES = ("concat", "sum", "mul", "ave")


@dataclass(slots=True)
class Builder:
    """What has been found so far of a model.

    Attributes:
        weights: the stored tensors by layer.
        era: of the configuration.
        layers, embeddings, candidates, notes: of the network.
        classes: of the layers that are not rebuilt, by name.
        ids: of each embedding, where it takes its ids from.
        maskers: of each mask, the layer that makes it.
    """

    weights: Flat | Nested
    era: Era
    layers: list[Layer] = field(default_factory=list)
    embeddings: dict[str, Embedding] = field(default_factory=dict)
    candidates: list[Candidate] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    classes: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    maskers: dict[Mask, str] = field(default_factory=dict)
    _fronts: dict[str, frozenset[str]] = field(default_factory=dict)
    _unknown: dict[Mask, list[str]] = field(default_factory=dict)
    _held: dict[tuple[Place, tuple[str, ...]], CellWeights | None] = field(default_factory=dict)

    def note(self, note: str) -> None:
        """Adds a note once."""
        if note not in self.notes:
            self.notes.append(note)

    def outside(self, name: str, class_name: str) -> Flow:
        """What a layer that is not rebuilt computes."""
        self.classes[name] = class_name
        return outside(name)

    def recurrent(self, layer: LayerConfig, flow: Flow, place: Place) -> list[Flow]:
        """The outputs of a layer that runs one way: its h, and its final states."""
        name, back = str(place), layer.config.get("go_backwards") is True
        last = self._cells(layer, flow, name, place, (), back)
        if last is None:
            return [self._unknown_layer(layer, layer, flow, name)]
        if back:
            self.note(
                f"{name!r} runs backward (go_backwards): Keras returns its steps from the last to the first, "
                f"here they stand at the time of their input"
            )
        self._say(layer, name)
        return [self._output(layer, flow, last, back), *_states(layer, Flow((last.name,), outside=False, state=name))]

    def bidirectional(self, layer: LayerConfig, flow: Flow, place: Place) -> list[Flow]:
        """Two layers over the same input; the backward one comes second, in the weights as in the output."""
        name = str(place)
        inner = layer_config(layer.config.get("layer"), f"the layer in {name}")
        stored = layer.config.get("backward_layer")
        other = layer_config(stored, f"the backward layer in {name}") if isinstance(stored, Mapping) else inner
        turned = inner.config.get("go_backwards") is True
        forward = self._cells(inner, flow, f"{name}/forward", place, ("forward_layer",), turned)
        backward = self._cells(other, flow, f"{name}/backward", place, ("backward_layer",), not turned)
        if forward is None or backward is None:
            return [self._unknown_layer(layer, inner, flow, name)]
        self._say(inner, name)
        outputs = [self._output(inner, flow, half, turned) for half in (forward, backward)]
        mode = layer.config.get("merge_mode", "concat")
        if mode is None:
            return outputs
        if text(mode, f"merge_mode of {name}") not in MERGES:
            raise BadInput(f"merge_mode of {name!r} is {mode!r}, expected one of {', '.join(MERGES)}")
        state = Flow((forward.name, backward.name), outside=False, state=name)
        whole = state if outputs[0].state else merged(outputs, mode, outputs[0].mask) or outside(name)
        return [whole, *_states(inner, state)]

    def _output(self, layer: LayerConfig, flow: Flow, last: Layer, back: bool) -> Flow:
        """What a layer hands on: its sequence, or its last h, which is no sequence for the next."""
        if layer.config.get("return_sequences") is not True:
            return Flow((last.name,), outside=False, state=last.name)
        # Keras hands on the mask as it was, beside steps in the opposite order where the layer runs backward.
        return Flow((last.name,), "concat", flow.mask, last.output_size, flow.turned != back, outside=False)

    def _unknown_layer(self, layer: LayerConfig, inner: LayerConfig, flow: Flow, name: str) -> Flow:
        """What a recurrent layer that could not be rebuilt computes; it hands on its mask beside a sequence."""
        mask = flow.mask if inner.config.get("return_sequences") is True else None
        return replace(self.outside(name, layer.class_name), mask=mask)

    def _mask(self, flow: Flow, name: str) -> Mask | None:
        """The mask of a layer's input, where what the layer is given in the end tells it."""
        if flow.mask is None:
            return None
        if flow.turned:
            self.note(
                f"Keras lays the mask of {self.maskers.get(flow.mask, flow.mask.source)!r} over steps in the opposite "
                f"order when it runs {name!r} (after go_backwards); here {name!r} runs without a mask"
            )
            return None
        fronts = self._reached(flow.sources)
        if flow.mask.source in fronts:
            return flow.mask
        for front in sorted(fronts):
            if self.ids.get(front) == flow.mask.source:
                return Mask(front, flow.mask.value)
        self._unknown.setdefault(flow.mask, []).append(name)
        return None

    def _reached(self, sources: tuple[str, ...]) -> frozenset[str]:
        """The embeddings and the names outside of the network that feed `sources` in the end."""
        return frozenset().union(*(self._fronts.get(source, frozenset({source})) for source in sources))

    def say_masks(self) -> None:
        """Says which layers skip steps in the original model that their own input does not tell."""
        for mask, names in self._unknown.items():
            self.note(
                f"the steps masked by {self.maskers.get(mask, mask.source)!r} are not known from what enters "
                f"{', '.join(map(repr, names))}: --lengths can say those that end a sequence"
            )

    def _say(self, layer: LayerConfig, name: str) -> None:
        """What differs from the original model in how a layer is run."""
        if layer.config.get("stateful") is True:
            self.note(f"{name!r} is stateful in Keras; here each sequence starts afresh unless --carry is given")
        if layer.config.get("time_major") is True:
            self.note(f"{name!r} takes its input time-major in Keras; here it is batch-major")
        policy = layer.config.get("dtype")
        words = policy if isinstance(policy, str) else str(mapped(mapped(policy).get("config")).get("name", ""))
        if "mixed_" in words:
            self.note(f"{name!r} was computed in half precision ({words})")

    def _cells(
        self, layer: LayerConfig, flow: Flow, name: str, place: Place, parts: tuple[str, ...], back: bool
    ) -> Layer | None:
        """One direction of a recurrent layer: a layer or, of stacked cells, a chain of layers; the last of them."""
        if layer.class_name != "RNN":
            return self._build(layer, flow, name, place, parts, back)
        cell = layer_config(layer.config.get("cell"), f"the cell of {name}")
        if cell.class_name != "StackedRNNCells" or cell.foreign:
            return self._build(cell, flow, name, place, parts, back)
        stored = cell.config.get("cells")
        last: Layer | None = None
        seen: dict[str, int] = {}
        for k, value in enumerate(stored if isinstance(stored, list) else []):
            inner = layer_config(value, f"a cell of {name}")
            number = seen[inner.class_name] = seen.get(inner.class_name, -1) + 1
            path = (*parts, "cell", "cells", stacked_cell(inner.class_name, number))
            last = self._build(inner, flow, f"{name}/{k}", place, path, back)
            if last is None:
                return None
            flow = replace(flow, sources=(last.name,), merge="concat", width=last.output_size)
        return last

    def _build(
        self, cell: LayerConfig, flow: Flow, name: str, place: Place, parts: tuple[str, ...], back: bool
    ) -> Layer | None:
        """One layer, or a candidate in its stead.

        Raises:
            BadInput: the configuration and the weights contradict each other.
        """
        if cell.foreign or family(cell.class_name) not in FAMILIES:
            reason = f"{name!r} is built of {cell.class_name}, which rnnprobe doesn't know; its code is not in the file"
            self.candidates.append(Candidate(name, (), reason))
            return None
        if (place, parts) not in self._held:
            self._held[place, parts] = self.weights.cell(place, *parts)
        held = self._held[place, parts]
        if held is None:
            reason = f"the configuration has a {cell.class_name} called {name!r}, for which no weights are stored"
            self.candidates.append(Candidate(name, (), reason))
            return None
        if flow.state:
            flow = outside(f"input of {name}")
        if cell.class_name.startswith("CuDNN"):
            flow = replace(flow, mask=None)  # cuDNN's layers take none
        name = self._free(name)
        flow = replace(flow, mask=self._mask(flow, name))
        direction: Direction = "backward" if back != flow.turned else "forward"
        found = build_layer(name, cell.class_name, cell.config, held, self.era, direction, flow.feed)
        if isinstance(found, Candidate):
            self.candidates.append(found)
            return None
        if flow.width is not None and flow.width != found.input_size:
            raise BadInput(
                f"the configuration feeds layer {name!r} with {flow.width} features from "
                f"{', '.join(flow.sources)}, its weights take {found.input_size}"
            )
        for source in flow.sources:
            if source in self.classes:
                self.note(
                    f"{found.name!r} is fed by {source!r} ({self.classes[source]}), which is not rebuilt: "
                    f"its input is what that layer computes"
                )
        self.layers.append(found)
        self._fronts[found.name] = self._reached(flow.sources)
        return found

    def _free(self, name: str) -> str:
        """The name, or a numbered one for a later call of a shared layer."""
        taken = {layer.name for layer in self.layers}
        number = 1
        while (name if number == 1 else f"{name}/call_{number}") in taken:
            number += 1
        return name if number == 1 else f"{name}/call_{number}"


def _states(layer: LayerConfig, state: Flow) -> list[Flow]:
    """The final states among a layer's outputs; more than it can have does no harm."""
    return [state] * 4 if layer.config.get("return_state") is True else []
