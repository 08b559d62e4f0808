"""What stands between recurrent layers, computed by Keras's own classes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from rnnprobe.engine.passes import steps_of
from rnnprobe.engine.spool import Spool
from rnnprobe.engine.values import Value, Values, Whole
from rnnprobe.errors import BadInput
from rnnprobe.types import Array, Network, Transform


class Operation:
    """A transform that can be run.

    Args:
        transform: what it is; where its class gives several things, the first is meant.
        network: whose transform it is, for the errors.
        dtype: `float32` or `float64`.
    """

    def __init__(self, transform: Transform, network: Network, dtype: str) -> None:
        # Keras is imported for the networks that have transforms alone.
        from rnnprobe.engine.builtin import Runner

        self.transform = transform
        self._network = network
        self.dtype = dtype
        self._runner = Runner(transform.layer, dtype)
        self._shapes: dict[tuple[tuple[int, ...], ...], tuple[int, ...]] = {}

    def shape(self, inputs: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
        """The shape of what it gives of a sequence for inputs of these shapes, without the axis of the batch.

        Raises:
            BadInput: it takes no inputs of these shapes.
        """
        key = tuple(inputs)
        if key not in self._shapes:
            try:
                found = self._runner.output_shapes([(None, *shape) for shape in key])[0]
            except BadInput as error:
                raise self._refusal(key, error) from error
            self._shapes[key] = tuple(size for size in found[1:] if size is not None)
        return self._shapes[key]

    def __call__(self, inputs: Sequence[Array], masks: Sequence[Array | None]) -> Array:
        """What it gives, `[batch, …]`.

        Args:
            inputs: `[batch, …]` each.
            masks: `[batch, time]` bool each, the steps that count; or None.

        Raises:
            BadInput: it takes no inputs of these shapes.
        """
        self.shape([array.shape[1:] for array in inputs])
        try:
            given = [np.ascontiguousarray(array, self.dtype) for array in inputs]
            result = self._runner(given, list(masks) if any(mask is not None for mask in masks) else None)[0]
        except BadInput as error:
            raise self._refusal([array.shape[1:] for array in inputs], error) from error
        return np.asarray(result, self.dtype)

    def _refusal(self, shapes: Sequence[tuple[int, ...]], error: BadInput) -> BadInput:
        found = " and ".join(str(list(shape)) for shape in shapes)
        own = ", ".join(
            f"{name} [{', '.join('any' if size is None else str(size) for size in shape or ())}]"
            for name, shape in self._network.shapes.items()
        )
        hint = f"the model was made for {own}; " if own else ""
        return BadInput(
            f"{self.transform.name} ({self.transform.layer.class_name}) can't take what reaches it of a sequence, "
            f"{found}: {error.message}",
            path=self._network.checkpoint.path,
            hint=f"{hint}give sequences of the number of steps that it takes: --steps cuts them, --select chooses",
        )


def run(operation: Operation, values: Values) -> Value:
    """What a transform gives of a batch: step by step where it can be, else of whole sequences."""
    return _stepwise(operation, values) if operation.transform.stepwise else _whole(operation, values)


def _stepwise(operation: Operation, values: Values) -> Value:
    """Block by block, so that no sequence is ever in memory as a whole."""
    transform = operation.transform
    lengths = values.lengths(transform.name, *transform.feeds)
    spool = Spool(lengths, operation.dtype)
    taken = [values.shape(feed) for feed in transform.feeds]
    given = operation.shape([(1, *shape) for shape in taken])[1:]
    spool.write(0, np.zeros((0, len(lengths), *given)))
    stretch = steps_of(sum(map(prod, taken)) + prod(given), len(lengths), np.dtype(operation.dtype).itemsize)
    for start in range(0, spool.steps, stretch):
        stop = min(start + stretch, spool.steps)
        inputs = [values.block(feed, start, stop).swapaxes(0, 1) for feed in transform.feeds]
        masks = [None if feed.mask is None else ~values.skipped(feed.mask, start, stop).T for feed in transform.feeds]
        spool.write(start, operation(inputs, masks).swapaxes(0, 1))
    return spool


def _whole(operation: Operation, values: Values) -> Value:
    """Sequences of one length together, at exactly that length, so that no padding reaches any of them."""
    transform = operation.transform
    rows = [values.rows(feed) for feed in transform.feeds]
    masks = [values.kept(feed) for feed in transform.feeds]
    groups: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    for k, together in enumerate(zip(*rows, strict=True)):
        groups.setdefault(tuple(row.shape for row in together), []).append(k)
    results: dict[int, Array] = {}
    for members in groups.values():
        inputs = [np.stack([one[k] for k in members]) for one in rows]
        kept = [None if one is None else np.stack([one[k] for k in members]) for one in masks]
        results.update(zip(members, operation(inputs, kept), strict=True))
    return Whole(transform.name, [results[k] for k in range(len(results))])
