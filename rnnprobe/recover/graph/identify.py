"""Which cell some weights are, with which options and where, told by the numbers of the graph that uses them.

`search` finds the single steps; here they become passes over time, in the terms that the readers of `cell` use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rnnprobe.recover.graph.cell import Application
from rnnprobe.recover.graph.frames import frames
from rnnprobe.recover.graph.numbers import Numbers
from rnnprobe.recover.graph.owners import Fit
from rnnprobe.recover.graph.runs import Run, behind, runs
from rnnprobe.recover.graph.search import Search, Step
from rnnprobe.recover.graph.values import joins
from rnnprobe.recover.graph.view import Ref, View
from rnnprobe.types import OptionValue, Tap, Use


@dataclass(frozen=True, slots=True)
class Identified:
    """What the graph computes with some weights.

    Attributes:
        fit: the cell that gives the graph's numbers, its weights and sizes.
        options: those with which it does.
        applications: every step; `h_out` is h, or what the cell emits where it has none.
        runs: the passes over time that they make; the numbers of their steps are places in `applications`.
        uses: the same, with every state and signal; `number` is the place in `runs`, and what feeds them is left out.
        unread: how many products with the kernel are none of these steps.
    """

    fit: Fit
    options: Mapping[str, OptionValue]
    applications: tuple[Application, ...]
    runs: tuple[Run, ...]
    uses: tuple[Use, ...]
    unread: int = 0


def identify(known: Numbers, owner: int, fits: Sequence[Fit]) -> Identified | None:
    """The cell that the graph computes with some weights, and where; None where it computes none of these.

    Of several cells that all give the graph's numbers, that is taken which accounts for most of what the graph does
    with the weights, then that which has most of them, then the first.

    Args:
        known: the graph in numbers.
        owner: the number that its applications and runs go by.
        fits: the cells that the weights would be, the plainest first.
    """
    best: tuple[tuple[int, int], Fit, Search] | None = None
    for fit in fits:
        search = Search(known, fit.cell, fit.weights, fit.sizes, fit.options)
        steps = search.steps()
        worth = (len(steps), len(fit.weights))
        if steps and (best is None or worth > best[0]):
            best = worth, fit, search
    if best is None:
        return None
    _, fit, search = best
    steps = search.steps()
    found = runs(known.view, [_carrying(known.view, owner, fit, step) for step in steps])
    if not any(step.states for step in steps):
        found = _stateless(known.view, owner, steps)
    return Identified(
        fit,
        steps[-1].options,
        tuple(_application(owner, fit, step) for step in steps),
        tuple(found),
        tuple(_use(known.view, number, run, [steps[k] for k in run.steps]) for number, run in enumerate(found)),
        search.unread,
    )


def _carrying(view: View, owner: int, fit: Fit, step: Step) -> Application:
    """A step with the states that tell which steps are one pass: h and c, or the first two that there are.

    One that is joined of several tensors is followed to these, and not to itself: it tells where no other does.
    """
    names = sorted(step.states, key=lambda name: (name not in ("h", "c"), name != "h"))
    pairs = [(step.states[name][0][0], step.states[name][1].ref) for name in names if step.states[name][1].blocks == 1]
    pairs = [pair for pair in pairs if not joins(view, pair[1])] or pairs
    if not pairs:
        return Application(owner, step.node, step.inputs, step.inputs[0], step.signals[fit.cell.emits].ref)
    return Application(owner, step.node, step.inputs, *pairs[0], c=pairs[1] if len(pairs) > 1 else None)


def _stateless(view: View, owner: int, steps: Sequence[Step]) -> list[Run]:
    """The runs of a cell none of whose states reaches the next step: each loop one, and one of all that is written out.

    A grid of one dimension, in which the input takes the place of the state.
    """
    inside, _ = frames(view)
    looped = [k for k, step in enumerate(steps) if inside.get(step.node) or view.nodes[step.node].function == "body"]
    written = tuple(k for k in range(len(steps)) if k not in looped)
    every = [((k,), True) for k in looped] + ([(written, False)] if written else [])
    return [Run(owner, group, repeats, (), True) for group, repeats in every]


def _application(owner: int, fit: Fit, step: Step) -> Application:
    """A step as the readers of `cell` give it."""
    name = "h" if "h" in step.states else fit.cell.emits
    new = step.signals[name]
    old = step.states.get(name) or next(iter(step.states.values()), (step.inputs[:1], new))
    c = step.states.get("c")
    pair = (c[0][0], c[1].ref) if c is not None and c[1] == Tap(c[1].ref) else None
    apart = {name, "c"} if pair is not None else {name}
    return Application(
        owner,
        step.node,
        step.inputs,
        old[0][0],
        new.ref,
        pair,
        dict(step.options),
        frozenset(fit.weights),
        inner={name: tap for name, tap in step.signals.items() if name not in apart},
        passed=None if name == fit.cell.emits else step.signals[fit.cell.emits].ref,
        turned=step.turned,
    )


def _use(view: View, number: int, run: Run, steps: Sequence[Step]) -> Use:
    carried = {name: Tap(old[0], beside=tuple(map(Tap, old[1:]))) for name, (old, _) in steps[0].states.items()}
    return Use(
        number,
        tuple(step.inputs for step in steps),
        tuple(step.signals for step in steps),
        carried,
        {name: _starts(view, name, steps) for name in carried},
        run.looped,
    )


def _starts(view: View, name: str, steps: Sequence[Step]) -> tuple[Ref, ...]:
    """The tensors that a state comes from, besides the steps themselves."""
    made = {piece.ref for step in steps if name in step.states for piece in step.states[name][1].pieces}
    made |= {view.resolve(part) for ref in made for part in joins(view, ref)}
    ends = {end for ref in steps[0].states[name][0] for end in behind(view, ref, {})[0]}
    return tuple(sorted(ends - made))
