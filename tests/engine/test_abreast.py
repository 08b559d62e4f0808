"""Several iterators at once: the order, the failures and the ends."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from rnnprobe.engine.abreast import abreast


def counting(name, count, pause=0.0):
    for number in range(count):
        time.sleep(pause)
        yield f"{name}{number}"


def threads():
    return [one for one in threading.enumerate() if one.name == "rnnprobe-batch"]


@pytest.mark.parametrize("slow", [0, 1, 2])
def test_one_of_each_in_turn_however_fast_they_are(slow):
    work = [partial(counting, name, 3, 0.01 * (k == slow)) for k, name in enumerate("abc")]
    assert list(abreast(work, 2)) == ["a0", "b0", "a1", "b1", "a2", "b2", "c0", "c1", "c2"]
    assert list(abreast(work, 3)) == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]
    assert not threads()


def test_a_thread_goes_on_with_the_next_of_its_share():
    work = [partial(counting, "a", 1), partial(counting, "b", 4), partial(counting, "c", 2), partial(counting, "d", 0)]
    assert list(abreast(work, 2)) == ["a0", "b0", "c0", "b1", "c1", "b2", "b3"]


def test_one_at_a_time_runs_in_no_thread():
    def where():
        yield threading.current_thread()

    assert list(abreast([where, where], 1)) == [threading.current_thread()] * 2
    assert list(abreast([where], 4)) == [threading.current_thread()]
    assert list(abreast([], 4)) == []
    assert len(set(abreast([where, where], 2)) - {threading.current_thread()}) == 2


def test_what_one_raises_is_raised_and_the_others_end():
    def failing():
        yield "first"
        raise ValueError("broken")

    taken = []
    with pytest.raises(ValueError, match="broken"):
        taken.extend(abreast([partial(counting, "a", 1000), failing], 2))
    assert not threads()


def test_a_consumer_that_leaves_ends_them():
    closed = []

    def endless(name):
        try:
            while True:
                yield name
        finally:
            closed.append(name)

    run = abreast([partial(endless, "a"), partial(endless, "b")], 2)
    assert [next(run) for _ in range(4)] == ["a", "b", "a", "b"]
    run.close()
    assert sorted(closed) == ["a", "b"]
    assert not threads()


def test_nothing_runs_far_ahead():
    """Memory is bounded by the items that wait."""
    made = []

    def noting():
        for number in range(100):
            made.append(number)
            yield number

    run = abreast([noting, noting], 2)
    next(run)
    time.sleep(0.05)
    assert len(made) <= 7
    run.close()
