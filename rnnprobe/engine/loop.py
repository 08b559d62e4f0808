"""The instrumented loop: a `tf.while_loop` over the steps of a block, with a TensorArray for each recorded signal.

`dynamic_rnn` keeps one TensorArray, for the outputs; here every signal that is asked for has its own, so that c and the
gates come out beside h, at every step.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from threading import Lock
from typing import Any, TypeAlias

import tensorflow as tf

from rnnprobe.cells.layers import handed_on, signal_shapes
from rnnprobe.cells.slices import assemble
from rnnprobe.engine.compilation import projects_in_loop
from rnnprobe.engine.namespace import TensorFlow
from rnnprobe.types import Layer

States: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Layer → state → `[batch, *shape]`."""

Recorded: TypeAlias = dict[str, dict[str, Any]]
"""Layer → signal → `[time, batch, *shape]`."""

OUTPUT = "output"
"""What a layer passes on, `[time, batch, *shape]`: what its cell emits, in the layer's data format; with a residual
connection that and the layer's input."""

CompiledPass: TypeAlias = Callable[
    [Mapping[str, Any], Any, Mapping[str, Any], Mapping[str, Any], States, Mapping[str, Any]], tuple[Recorded, States]
]
"""What `compile_pass` returns."""


def compile_pass(
    layers: Sequence[Layer], record: Mapping[str, Sequence[str]], kept: Collection[str], dtype: str, *, fused: bool
) -> CompiledPass:
    """A function that runs layers of one direction over a block of steps.

    Args:
        layers: in an order in which each comes after those that feed it.
        record: layer → the signals to record.
        kept: layers whose output a later pass reads; it is recorded as `OUTPUT`.
        dtype: `float32` or `float64`.
        fused: XLA compiles it, once for each shape of what it is given: operations become a few loops over memory.

    Returns:
        `run(inputs, count, valid, shown, states, memories)`: `inputs` maps the names of what is not in this pass to
        `[time, batch, *shape]`, of which `count` (an int32 scalar) are run; what is recorded of others means nothing;
        `valid` maps each layer to `[time, batch]` bool, or to None where every step is valid;
        `shown` likewise, False where the layer passes on zeros; `states` are those before the block;
        `memories` maps a layer that attends to what its cell's `attend` takes. Time runs as the layers run: a backward
        pass is given its block reversed. Returns what was recorded and the states after the
        block. A step that is not valid leaves the layer's states as they are; its other signals mean nothing.
    """
    weights = {
        layer.name: {part: tf.constant(array.astype(dtype)) for part, array in assemble(layer).items()}
        for layer in layers
    }

    def run(
        inputs: Mapping[str, Any],
        count: Any,
        valid: Mapping[str, Any],
        shown: Mapping[str, Any],
        states: States,
        memories: Mapping[str, Any],
    ) -> tuple[Recorded, States]:
        known = dict(inputs)
        recorded: Recorded = {}
        after: dict[str, Mapping[str, Any]] = {}
        for layer in layers:
            x = _merge(layer, [known[source] for source in layer.feed.sources])
            wanted = dict.fromkeys((*record.get(layer.name, ()), layer.cell.emits))
            w = weights[layer.name]
            if layer.cell.attend is not None:
                w = {**w, **layer.cell.attend(TensorFlow, w, *memories[layer.name])}
            steps, after[layer.name] = _run_layer(
                layer, w, x, count, valid[layer.name], states[layer.name], wanted, fused=fused
            )
            known[layer.name] = _passed_on(layer, steps[layer.cell.emits], x, shown[layer.name])
            recorded[layer.name] = {name: steps[name] for name in record.get(layer.name, ())}
            if layer.name in kept:
                recorded[layer.name][OUTPUT] = known[layer.name]
        return recorded, after

    return _Fused(run) if fused else tf.function(run, reduce_retracing=True, autograph=False)


class _Fused:
    """A function that XLA compiles for each combination of shapes, and that is found again by them.

    What `tf.function` does to find it takes as long as several steps, and holds Python's lock, for which other batches
    wait. Batches that run at once share what is compiled: the first of them traces it, and XLA compiles it for the
    first that calls it while the others wait.
    """

    def __init__(self, run: CompiledPass) -> None:
        self._run = run
        self._lock = Lock()
        self._known: dict[tuple[tuple[int, ...] | None, ...], Any] = {}

    def __call__(self, *args: Any) -> tuple[Recorded, States]:
        """As `CompiledPass`."""
        flat = tf.nest.flatten(args)
        shapes = tuple(None if one is None else tuple(one.shape) for one in flat)
        tensors = [tf.convert_to_tensor(one) for one in flat if one is not None]
        with self._lock:
            if shapes not in self._known:
                self._known[shapes] = self._compiled(args, tensors)
        return self._known[shapes](*tensors)  # type: ignore[no-any-return]

    def _compiled(self, args: Any, tensors: Sequence[Any]) -> Any:
        """The function for tensors like these, which stand for what is not None in `args`."""

        def run(*tensors: Any) -> Any:
            left = iter(tensors)
            return self._run(*tf.nest.map_structure(lambda one: None if one is None else next(left), args))

        return tf.function(run, autograph=False, jit_compile=True).get_concrete_function(*tensors)


def _passed_on(layer: Layer, emitted: Any, x: Any, shown: Any) -> Any:
    """What a layer makes of what its cell emits for those that it feeds."""
    out = handed_on(TensorFlow, layer, emitted)
    if layer.settings["residual"]:
        out = out + x
    return out if shown is None else tf.where(_over(shown, out.shape.rank), out, tf.zeros_like(out))


def _over(flags: Any, rank: int) -> Any:
    """Flags `[time, batch]` or `[batch]` as they broadcast over an array of more axes."""
    return flags[(..., *[tf.newaxis] * (rank - flags.shape.rank))]


def _merge(layer: Layer, sources: Sequence[Any]) -> Any:
    """Several inputs as one, the way Keras's `Bidirectional` merges its directions."""
    if len(sources) == 1:
        return sources[0]
    match layer.feed.merge:
        case "sum":
            return tf.add_n(list(sources))
        case "ave":
            return tf.add_n(list(sources)) / len(sources)
        case "mul":
            return tf.math.reduce_prod(tf.stack(list(sources)), axis=0)
        case _:
            return tf.concat(list(sources), axis=-1)


def _run_layer(
    layer: Layer,
    w: Mapping[str, Any],
    x: Any,
    count: Any,
    valid: Any,
    state: Mapping[str, Any],
    wanted: Mapping[str, None],
    *,
    fused: bool,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """One layer over `count` steps of a block: the wanted signals `[time, batch, *shape]`, and the states after it."""
    cell, options = layer.cell, layer.settings
    shapes = signal_shapes(layer)
    steps, batch = tf.shape(x)[0], x.shape[1]
    inside = fused and projects_in_loop(layer, batch)
    z = x if inside else cell.project(TensorFlow, w, x, options)
    arrays = {
        name: tf.TensorArray(x.dtype, size=steps, element_shape=[batch, *shapes[name]], clear_after_read=False)
        for name in wanted
    }

    def at(t: Any) -> list[Any]:
        return [z[t]] if valid is None else [z[t], valid[t]]

    def step(
        t: Any, now: Sequence[Any], state: Mapping[str, Any], arrays: Mapping[str, Any]
    ) -> tuple[Any, list[Any], dict[str, Any], dict[str, Any]]:
        entering, *flags = now
        if inside:
            entering = cell.project(TensorFlow, w, entering, options)
        signals = cell.step(TensorFlow, w, entering, state, options)
        for going_on in flags:
            for name in cell.states:
                signals[name] = tf.where(_over(going_on, signals[name].shape.rank), signals[name], state[name])
        written = {name: array.write(t, signals[name]) for name, array in arrays.items()}
        # XLA would read the next step's part again for each gate, element by element, were it not there already.
        return t + 1, at(tf.minimum(t + 1, steps - 1)), {name: signals[name] for name in cell.states}, written

    _, _, after, arrays = tf.while_loop(
        lambda t, *_: t < count,
        step,
        (tf.constant(0), at(0), {name: state[name] for name in cell.states}, arrays),
    )
    return {name: array.stack() for name, array in arrays.items()}, after
