"""The layers of a pass over a batch, block by block."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnprobe.cells.attention_wrapper import MEMORY_STEPS
from rnnprobe.cells.layers import handed_on
from rnnprobe.cells.namespace import NumPy
from rnnprobe.engine.compilation import Compilation, filled, filled_rows, filled_steps
from rnnprobe.engine.loop import OUTPUT, CompiledPass, States, compile_pass
from rnnprobe.engine.passes import Pass, block_steps
from rnnprobe.engine.spool import Spool
from rnnprobe.engine.values import Values
from rnnprobe.types import Array, Batch, Block, Layer, Mask


@dataclass(frozen=True, slots=True)
class Running:
    """A pass that is ready to run.

    Attributes:
        work: its layers.
        run: what `compile_pass` made of them.
        record: layer → the signals to record.
        dtype: that it computes with.
        compilation: how it is cut and compiled.
    """

    work: Pass
    run: CompiledPass
    record: Mapping[str, Sequence[str]]
    dtype: str
    compilation: Compilation

    @classmethod
    def of(cls, work: Pass, record: Mapping[str, Sequence[str]], dtype: str, compilation: Compilation) -> Running:
        """A pass, compiled."""
        return cls(
            work,
            compile_pass(work.layers, record, work.kept, dtype, fused=compilation.fused),
            record,
            dtype,
            compilation,
        )

    def over(self, batch: Batch, values: Values, begin: States) -> Generator[Block]:
        """One batch, a block at a time, from the end where the pass runs backward.

        Args:
            batch: what runs.
            values: what there is of it; what is left for later stages is kept there.
            begin: layer → state → `[batch, *shape]`, before the first step.

        Yields:
            Blocks, `[time, batch, *shape]`, as `Engine.over`; of all layers of the pass.

        Raises:
            BadInput: what the layers read has not the same number of steps.
        """
        layers, backward = self.work.layers, self.work.direction == "backward"
        lengths = values.lengths(", ".join(layer.name for layer in layers), *(layer.feed for layer in layers))
        spools = {name: Spool(lengths, self.dtype) for name in self.work.kept}
        for name, spool in spools.items():
            values.keep(name, spool)
        steps = int(lengths.max(initial=0))
        rows = self.compilation.rows if self.compilation.fused else len(lengths)
        stretch = block_steps(
            self.work, self.record, rows, np.dtype(self.dtype).itemsize, self.compilation.longest or steps
        )
        starts = list(range(0, steps, stretch)) or [0]
        shown = {layer.name: _Shown(layer.feed.mask, len(lengths)) for layer in layers}
        states: States = {layer.name: filled_rows(begin[layer.name], rows) for layer in layers}
        memories = {
            layer.name: _memory(layer, values, self.dtype, rows) for layer in layers if layer.context is not None
        }
        # What is compiled is so for a whole batch: with flags or without.
        flagged = self.compilation.fused and (
            bool((lengths < steps).any()) or any(one.feed.mask is not None for one in layers)
        )
        for number, start in enumerate(reversed(starts) if backward else starts):
            stop = min(start + stretch, steps)
            inside = np.arange(start, stop)[:, None] < lengths[None, :]
            valid = _valid(layers, values, inside, start, stop)
            # The loop has what the first step reads before it asks whether there is one.
            size = filled_steps(stop - start, stretch) if self.compilation.fused else max(stop - start, 1)
            signals, states = self._block(values, valid, shown, states, memories, start, (size, rows), flagged=flagged)
            for name, spool in spools.items():
                spool.write(start, signals[name].pop(OUTPUT))
            final = self._final(states, len(lengths), values) if number == len(starts) - 1 else {}
            yield Block(
                batch,
                start,
                {layer.name: _blank(layer, signals[layer.name], valid[layer.name], inside) for layer in layers},
                {layer.name: begin[layer.name] for layer in layers} if number == 0 else {},
                final,
            )

    def _block(
        self,
        values: Values,
        valid: Mapping[str, NDArray[np.bool_]],
        shown: Mapping[str, _Shown],
        states: States,
        memories: Mapping[str, Any],
        start: int,
        size: tuple[int, int],
        *,
        flagged: bool,
    ) -> tuple[dict[str, dict[str, Array]], States]:
        """The steps from `start` on that `valid` `[time, batch]` speaks of, filled up to `size` steps and rows.

        Returns:
            Layer → signal → `[time, batch, *shape]`, in the order of time; and the states after them, `[rows, *shape]`.
        """
        turn = slice(None, None, -1 if self.work.direction == "backward" else 1)
        count, batch = next(iter(valid.values())).shape
        seen = {name: shown[name].over(part[turn]) for name, part in valid.items()}
        flagged = flagged or not all(part.all() for part in valid.values())
        recorded, after = self.run(
            {name: filled(values.sequences[name].read(start, start + count)[turn], *size) for name in self.work.reads},
            np.int32(count),
            {name: filled(part[turn], *size) if flagged else None for name, part in valid.items()},
            {name: None if part is None else filled(part, *size) for name, part in seen.items()},
            states,
            memories,
        )
        signals = {
            layer: {name: np.asarray(array)[:count][turn][:, :batch] for name, array in kept.items()}
            for layer, kept in recorded.items()
        }
        return signals, after

    def _final(self, states: States, count: int, values: Values) -> dict[str, dict[str, Array]]:
        """The states after the last step, `[batch, *shape]`, which `values` keeps as the layers hand them on."""
        final = {
            name: {state: np.asarray(array)[:count] for state, array in after.items()} for name, after in states.items()
        }
        for one in self.work.layers:
            values.finals[one.name] = {name: handed_on(NumPy, one, a) for name, a in final[one.name].items()}
        return final


def _memory(layer: Layer, values: Values, dtype: str, rows: int) -> tuple[Array, Array]:
    """What a layer attends to, `[rows, memory_steps, memory_size]`, zeros past a length, and what is no such zero."""
    assert layer.context is not None
    lengths = values.lengths(f"what {layer.name} attends to", layer.context)
    reached = np.arange(layer.sizes[MEMORY_STEPS])[None, :] < lengths[:, None]
    memory = np.zeros((*reached.shape, layer.sizes["memory_size"]), dtype)
    longest = int(lengths.max(initial=0))
    memory[:, :longest] = values.block(layer.context, 0, longest).swapaxes(0, 1)
    memory[~reached] = 0.0
    return filled(memory[None], 1, rows)[0], filled(reached[None], 1, rows)[0]


def _valid(
    layers: Sequence[Layer], values: Values, inside: Array, start: int, stop: int
) -> dict[str, NDArray[np.bool_]]:
    """Layer → `[time, batch]`: the steps that are run, those inside the lengths that the layer's mask leaves."""
    masks = dict.fromkeys(layer.feed.mask for layer in layers if layer.feed.mask is not None)
    left = {mask: inside & ~values.skipped(mask, start, stop) for mask in masks}
    return {layer.name: inside if layer.feed.mask is None else left[layer.feed.mask] for layer in layers}


class _Shown:
    """Where a layer with a mask passes on what it computed, and where zeros, block after block.

    At a skipped step it passes on what it did last, which before its first valid step is zeros whatever state it
    started from; or its state; or zeros at every skipped step.
    """

    def __init__(self, mask: Mask | None, batch: int) -> None:
        self._mask = mask
        self._begun = np.zeros(batch, bool)

    def over(self, valid: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
        """`[time, batch]` for a block whose valid steps are given, in the order in which they are run."""
        if self._mask is None or self._mask.emits == "state":
            return None
        if self._mask.emits == "zeros":
            return valid
        shown: NDArray[np.bool_] = np.logical_or.accumulate([self._begun, *valid], axis=0)[1:]
        self._begun = shown[-1] if len(shown) else self._begun
        return shown


def _blank(layer: Layer, signals: dict[str, Array], valid: Array, inside: Array) -> dict[str, Array]:
    """NaN past a length; at a skipped step the states stay, and what was not computed is NaN."""
    if valid.all():
        return signals
    for name, array in signals.items():
        gone = ~inside if name in layer.cell.states else ~valid
        if gone.any():
            over = gone.reshape(*gone.shape, *[1] * (array.ndim - 2))
            signals[name] = np.where(over, np.array(np.nan, array.dtype), array)
    return signals
