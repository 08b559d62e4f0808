"""The recurrent layers of a Keras model as they are built, one after the other, and what is said of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from rnnprobe.cells.layers import space_axes
from rnnprobe.errors import BadInput
from rnnprobe.recover.keras import behaviour, builtin, others
from rnnprobe.recover.keras.cells import layer as build_layer
from rnnprobe.recover.keras.config import Era, LayerConfig, layer_config, mapped, text
from rnnprobe.recover.keras.flow import Flow, merged, outside, rank, width
from rnnprobe.recover.keras.kinds import MERGES
from rnnprobe.recover.keras.store import FAMILIES, CellWeights, Flat, Nested, Place, family, stacked_cell
from rnnprobe.types import Candidate, Direction, Embedding, KerasCall, KerasLayer, Layer, Mask, Transform


@dataclass(slots=True)
class Builder:
    """What has been found so far of a model.

    Attributes:
        weights: the stored tensors by layer.
        era: of the configuration.
        layers, embeddings, candidates, notes: of the network.
        classes: of the layers that are not rebuilt, by name.
        maskers: of each mask, the layer that makes it.
        maskings: the value that each `Masking` skips, by the layer's name.
        transforms, shapes: of the network.
        original: the calls of the original so far.
        unbuilt: the layers that no class of Keras's own computes.
        doubts: the layers of which the masks of this model make something that is not followed.
    """

    weights: Flat | Nested
    era: Era
    layers: list[Layer] = field(default_factory=list)
    embeddings: dict[str, Embedding] = field(default_factory=dict)
    candidates: list[Candidate] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    classes: dict[str, str] = field(default_factory=dict)
    maskers: dict[Mask, str] = field(default_factory=dict)
    maskings: dict[str, float] = field(default_factory=dict)
    transforms: list[Transform] = field(default_factory=list)
    shapes: dict[str, tuple[int | None, ...] | None] = field(default_factory=dict)
    original: list[KerasCall] = field(default_factory=list)
    unbuilt: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    _fronts: dict[str, frozenset[str]] = field(default_factory=dict)
    _unknown: dict[Mask, list[str]] = field(default_factory=dict)
    _built: dict[Place, KerasLayer | str] = field(default_factory=dict)
    _held: dict[tuple[Place, tuple[str, ...]], CellWeights | None] = field(default_factory=dict)

    def note(self, note: str) -> None:
        """Adds a note once."""
        if note not in self.notes:
            self.notes.append(note)

    def doubt(self, name: str, why: str) -> None:
        """Says that what `name` gives may be something else in the original, so that no output is claimed."""
        self.doubts.append(name)
        self.note(f"what {name!r} passes on may differ from the original, and so may all behind it: {why}")

    def outside(self, name: str, class_name: str) -> Flow:
        """What a layer that is not rebuilt computes."""
        self.classes[name] = class_name
        self.unbuilt.append(name)
        return outside(name)

    def recurrent(self, layer: LayerConfig, flow: Flow, place: Place, states: Sequence[Flow] = ()) -> list[Flow]:
        """The outputs of a layer that runs one way: its h, and its final states."""
        name, back = str(place), layer.config.get("go_backwards") is True
        chain = self._cells(layer, flow, name, place, (), back, states)
        if not chain:
            return [self._unknown_layer(layer, layer, flow, name)]
        if back:
            self.note(
                f"{name!r} runs backward (go_backwards): Keras returns its steps from the last to the first, "
                f"here they stand at the time of their input"
            )
        self._say(layer, name)
        return [self._output(layer, flow, chain[-1], back), *_states(layer, chain)]

    def bidirectional(self, layer: LayerConfig, flow: Flow, place: Place, states: Sequence[Flow] = ()) -> list[Flow]:
        """Two layers over the same input; the backward one comes second, in the weights as in the output."""
        name = str(place)
        inner = layer_config(layer.config.get("layer"), f"the layer in {name}")
        stored = layer.config.get("backward_layer")
        other = layer_config(stored, f"the backward layer in {name}") if isinstance(stored, Mapping) else inner
        turned = inner.config.get("go_backwards") is True
        half = len(states) // 2
        forward = self._cells(inner, flow, f"{name}/forward", place, ("forward_layer",), turned, states[:half])
        backward = self._cells(other, flow, f"{name}/backward", place, ("backward_layer",), not turned, states[half:])
        if not forward or not backward:
            return [self._unknown_layer(layer, inner, flow, name)]
        self._say(inner, name)
        outputs = [self._output(inner, flow, chain[-1], turned) for chain in (forward, backward)]
        ends = [*_states(inner, forward), *_states(inner, backward)]
        mode = layer.config.get("merge_mode", "concat")
        if mode is None:
            return [*outputs, *ends]
        if text(mode, f"merge_mode of {name}") not in MERGES:
            raise BadInput(f"merge_mode of {name!r} is {mode!r}, expected one of {', '.join(MERGES)}")
        return [merged(outputs, mode, outputs[0].mask) or self.outside(name, layer.class_name), *ends]

    def _output(self, layer: LayerConfig, flow: Flow, last: Layer, back: bool) -> Flow:
        """What a layer hands on: its sequence, or its last h, which is no sequence for the next."""
        if layer.config.get("return_sequences") is not True:
            return _end(last, "h")
        # Keras hands on the mask as it was, beside steps in the opposite order where the layer runs backward.
        turned, rank = flow.turned != back, 3 + space_axes(last.cell)
        return Flow((last.name,), "concat", flow.mask, last.output_size, turned, False, time=flow.time, rank=rank)

    def transform(self, name: str, layer: KerasLayer, flows: Sequence[Flow], mask: Mask | None) -> Flow:
        """What a class of Keras's own computes, which stands in the network as a transform."""
        flows = [self.settled(flow) for flow in flows]
        name = self._free(name)
        one_way = len({flow.turned for flow in flows}) == 1
        stepwise = one_way and len({flow.time for flow in flows}) == 1 and not any(flow.final for flow in flows)
        stepwise = stepwise and behaviour.stepwise(layer, flows[0].rank)
        feeds = tuple(
            replace(
                flow.feed,
                mask=flow.mask if behaviour.masked(layer) else None,
                turned=flow.turned and not stepwise,
            )
            for flow in flows
        )
        self.transforms.append(Transform(name, layer, feeds, stepwise))
        self._fronts[name] = self.reached([source for flow in flows for source in flow.sources]) | {name}
        self._say_fed(name, flows)
        return Flow(
            (name,),
            mask=mask,
            width=width(layer, [flow.width for flow in flows]),
            turned=flows[0].turned and stepwise,
            outside=False,
            time=flows[0].time if stepwise else name,
            rank=rank(layer, [flow.rank for flow in flows]),
        )

    def keras_layer(self, layer: LayerConfig, place: Place) -> KerasLayer | str:
        """The class of Keras's own that computes a layer, with its weights; or why there is none."""
        if place not in self._built:
            try:
                self._built[place] = builtin.builtin(self.weights, layer, place, self.era)
            except BadInput as exc:  # that is no reason to refuse the recurrent layers
                self._built[place] = f"can't be rebuilt: {exc.message}"
        return self._built[place]

    def keras_layer_is(self, place: Place, layer: KerasLayer) -> None:
        """Sets what `keras_layer` is to return for a place."""
        self._built[place] = layer

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is built within is no part of the original."""
        calls, unbuilt = len(self.original), len(self.unbuilt)
        yield
        del self.original[calls:], self.unbuilt[unbuilt:]

    def settled(self, flow: Flow) -> Flow:
        """A flow as a transform sees it: behind `Masking`, the features of a skipped step are zeros."""
        name = flow.masking
        if not name:
            return flow
        if all(transform.name != name for transform in self.transforms):
            layer = KerasLayer("Masking", {"mask_value": self.maskings[name]})
            self.transforms.append(Transform(name, layer, (replace(flow.feed, mask=None),), stepwise=True))
            self._fronts[name] = self.reached(flow.sources) | {name}
        return replace(flow, sources=(name,), merge="concat", masking="", outside=False)

    def call(self, place: Place, layer: KerasLayer | str, inputs: Sequence[Flow], states: Sequence[Flow] = ()) -> str:
        """Enters a call of the original; returns its name, empty where it can't be made."""
        origins = [flow.origin for flow in (*inputs, *states)]
        if isinstance(layer, str) or not all(name for name, _ in origins):
            self.unbuilt.append(str(place))
            return ""
        number, taken = 1, {call.name for call in self.original}
        while (name := str(place) if number == 1 else f"{place}/call_{number}") in taken:
            number += 1
        self.original.append(KerasCall(name, layer, tuple(origins[: len(inputs)]), tuple(origins[len(inputs) :])))
        return name

    def _unknown_layer(self, layer: LayerConfig, inner: LayerConfig, flow: Flow, name: str) -> Flow:
        """What a recurrent layer that could not be rebuilt computes; it hands on its mask beside a sequence."""
        mask = flow.mask if inner.config.get("return_sequences") is True else None
        return replace(self.outside(name, layer.class_name), mask=mask)

    def _mask(self, flow: Flow, name: str) -> Mask | None:
        """The mask of a layer's input, where what the layer is given in the end tells it."""
        if flow.mask is None:
            return None
        mask, reached = replace(flow.mask, turned=flow.turned), self.reached(flow.sources)
        if mask.source in reached:
            return mask
        for embedding in self.embeddings.values():
            if embedding.name in reached and embedding.ids == mask.source:
                return replace(mask, source=embedding.name)
        self._unknown.setdefault(replace(flow.mask, emits="last"), []).append(name)
        return None

    def reached(self, sources: Iterable[str]) -> frozenset[str]:
        """Everything that feeds `sources` in the end, themselves among it."""
        return frozenset().union(*({source} | self._fronts.get(source, frozenset()) for source in sources))

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
        self,
        layer: LayerConfig,
        flow: Flow,
        name: str,
        place: Place,
        parts: tuple[str, ...],
        back: bool,
        states: Sequence[Flow],
    ) -> list[Layer]:
        """One direction of a recurrent layer: a layer or, of stacked cells, a chain of them; none if it is unknown."""
        flow = self._skipping(layer, flow, wrapped=bool(parts))
        if flow.final and flow.rank is not None and flow.rank > 2:  # the first axis of its space is what counts as time
            flow = self.transform(f"input of {name}", KerasLayer("Activation", {"activation": "linear"}), [flow], None)
        if layer.class_name != "RNN":
            return self._chain([(layer, name, parts)], flow, place, back, states)
        cell = layer_config(layer.config.get("cell"), f"the cell of {name}")
        if cell.class_name != "StackedRNNCells" or cell.foreign:
            return self._chain([(cell, name, parts)], flow, place, back, states)
        stored = cell.config.get("cells")
        seen: dict[str, int] = {}
        cells = []
        for k, value in enumerate(stored if isinstance(stored, list) else []):
            inner = layer_config(value, f"a cell of {name}")
            number = seen[inner.class_name] = seen.get(inner.class_name, -1) + 1
            cells.append((inner, f"{name}/{k}", (*parts, "cell", "cells", stacked_cell(inner.class_name, number))))
        return self._chain(cells, flow, place, back, states)

    def _skipping(self, layer: LayerConfig, flow: Flow, *, wrapped: bool) -> Flow:
        """The input of a recurrent layer, its mask saying what is passed on at a skipped step.

        Args:
            wrapped: it stands in a `Bidirectional`, which in later releases has its layers emit zeros there, and what
                they did last where they return no sequences.
        """
        if layer.class_name.startswith("CuDNN"):  # these take no mask
            return replace(self.settled(flow), mask=None)
        if flow.mask is None:
            return self.settled(flow)
        forced = wrapped and self.era.zeros_in_bidirectional
        zeros = layer.config.get("return_sequences" if forced else "zero_output_for_mask") is True
        if zeros and layer.config.get("return_sequences") is not True:
            self.doubt(layer.name, "Keras passes on zeros where the last step is masked, here its last state")
        elif zeros and layer.config.get("unroll") is True and (wrapped or layer.config.get("go_backwards") is True):
            self.doubt(layer.name, "unrolled and run backward, Keras puts zeros where the mask is read forward")
        return replace(flow, mask=replace(flow.mask, emits="zeros" if zeros else self.era.masked))

    def _chain(
        self,
        cells: Sequence[tuple[LayerConfig, str, tuple[str, ...]]],
        flow: Flow,
        place: Place,
        back: bool,
        states: Sequence[Flow],
    ) -> list[Layer]:
        """Layers of which each feeds the next: configuration, name and path in the Keras layer for each."""
        chain: list[Layer] = []
        given = list(states)
        for cell, name, parts in cells:
            found = self._build(cell, flow, name, place, parts, back)
            if found is None:
                return []
            names = _in_order(found)
            initial = {state: given.pop(0).feed for state in names if given}
            if initial:
                self.layers[-1] = found = replace(found, initial=initial)
                self._fronts[found.name] |= self.reached([s for feed in initial.values() for s in feed.sources])
            chain.append(found)
            flow = replace(flow, sources=(found.name,), merge="concat", width=found.output_size)
        return chain

    def _build(
        self, cell: LayerConfig, flow: Flow, name: str, place: Place, parts: tuple[str, ...], back: bool
    ) -> Layer | None:
        """One layer, or a candidate in its stead.

        Raises:
            BadInput: the configuration and the weights contradict each other.
        """
        other = others.of_class(cell)
        if other is None and (cell.foreign or family(cell.class_name) not in FAMILIES):
            reason = f"{name!r} is built of {cell.class_name}, which rnnprobe doesn't know; its code is not in the file"
            self.candidates.append(Candidate(name, (), reason))
            return None
        if (place, parts) not in self._held:
            leaves = others.STORED if other is None else other.stored(cell.config)
            self._held[place, parts] = self.weights.cell(place, *parts, leaves=leaves)
        held = self._held[place, parts]
        if held is None:
            reason = f"the configuration has a {cell.class_name} called {name!r}, for which no weights are stored"
            self.candidates.append(Candidate(name, (), reason))
            return None
        if flow.final:
            raise BadInput(f"the configuration feeds layer {name!r} with a final state, which is no sequence")
        name = self._free(name)
        flow = replace(flow, mask=self._mask(flow, name))
        direction: Direction = "backward" if back != flow.turned else "forward"
        found = build_layer(name, cell.class_name, cell.config, held, self.era, direction, flow.feed, other)
        if isinstance(found, Candidate):
            self.candidates.append(found)
            return None
        if flow.width is not None and flow.width != found.input_size:
            raise BadInput(
                f"the configuration feeds layer {name!r} with {flow.width} features from "
                f"{', '.join(flow.sources)}, its weights take {found.input_size}"
            )
        self._say_fed(found.name, [flow])
        self.layers.append(found)
        self._fronts[found.name] = self.reached(flow.sources)
        return found

    def _say_fed(self, name: str, flows: Sequence[Flow]) -> None:
        """Says what is fed by a layer that is not rebuilt."""
        for source in (source for flow in flows for source in flow.sources if source in self.classes):
            self.note(
                f"{name!r} is fed by {source!r} ({self.classes[source]}), which is not rebuilt: "
                f"its input is what that layer computes"
            )

    def _free(self, name: str) -> str:
        """The name, or a numbered one for a later call of a shared layer."""
        taken = {*self.embeddings, *(la.name for la in self.layers), *(one.name for one in self.transforms)}
        number = 1
        while (name if number == 1 else f"{name}/call_{number}") in taken:
            number += 1
        return name if number == 1 else f"{name}/call_{number}"


def _end(layer: Layer, state: str) -> Flow:
    """A state of a layer as it ends."""
    rank = 2 + space_axes(layer.cell)
    return Flow((layer.name,), width=layer.output_size, outside=False, final=state, time="", rank=rank)


def _states(layer: LayerConfig, chain: Sequence[Layer]) -> list[Flow]:
    """The final states among a layer's outputs, in Keras's order: h first, then c."""
    if layer.config.get("return_state") is not True:
        return []
    return [_end(found, state) for found in chain for state in _in_order(found)]


def _in_order(layer: Layer) -> list[str]:
    """A layer's states as Keras orders them: h first, then c; Addons' NASCell kept TensorFlow 1's order."""
    return sorted(layer.cell.states, reverse=layer.cell.framework != "tf1")
