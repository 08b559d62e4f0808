"""What decides a conditional of version 1: a merge has no operand that says so, the switches behind it have."""

from __future__ import annotations

from rnnprobe.recover.graph.view import LOOP_VARIABLE, MERGES, Node, Ref, View

# All switches of a branch have its conditional's predicate, so that the first of them that are met are enough; a
# branch that has none among this many tensors leaves its conditional undecided.
_MOST = 400


def switched(view: View, merge: Node) -> tuple[Ref, int] | None:
    """The predicate of a conditional, found at the switches behind its branches, and which of them stands for true."""
    ports = [_ports(view, source) for source in merge.inputs[:2]]
    for k, found in enumerate(ports):
        for predicate, seen in found.items():
            opposite = ports[1 - k].get(predicate, set()) if len(ports) > 1 else set()
            if len(seen) == 1 and (not opposite or opposite.isdisjoint(seen)):
                return predicate, k if 1 in seen else 1 - k
    return None


def _ports(view: View, ref: Ref) -> dict[Ref, set[int]]:
    """Predicate → the outputs of its switches that a tensor is computed from, within its conditional."""
    found: dict[Ref, set[int]] = {}
    front, seen = [ref], {ref}
    while front and len(seen) < _MOST:
        at = front.pop()
        node = view.node(at)
        if node.op in ("Switch", "RefSwitch") and len(node.inputs) > 1:
            predicate = view.input(node, 1)
            if view.node(predicate).op != "LoopCond":
                found.setdefault(predicate, set()).add(at[1])
            continue
        if node.op in (LOOP_VARIABLE, "Exit", *MERGES):
            continue
        for source in node.inputs:
            if source not in seen:
                seen.add(source)
                front.append(source)
    return found
