"""The figures of a block, against NumPy on the whole block."""

from __future__ import annotations

import math
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rnnprobe.analysis import figures as module
from rnnprobe.analysis.figures import figures
from rnnprobe.cells import CELLS
from rnnprobe.cells.slices import GateSlice, slices
from rnnprobe.errors import BadInput
from rnnprobe.types import ALL

from . import models


def of(array: np.ndarray, part: str = "kernel") -> module.Figures:
    """The figures of a whole array."""
    rows = slice(0, array.shape[0])
    columns = ALL if array.ndim == 1 else slice(0, array.shape[1])
    block = GateSlice(part, "", models.tensor("t", array), rows, columns, array.shape)
    return next(figures([block]))[1]


def assert_same(found: module.Figures, values: np.ndarray, *, recurrent: bool) -> None:
    wide = values.astype(np.float64)
    assert found.norm == pytest.approx(np.linalg.norm(wide))
    assert found.min == wide.min()
    assert found.max == wide.max()
    assert found.mean == pytest.approx(wide.mean())
    assert found.std == pytest.approx(wide.std())
    assert found.zeros == pytest.approx((wide == 0).mean())
    assert sum(found.counts) == wide.size
    if recurrent and wide.ndim == 2 and wide.shape[0] == wide.shape[1]:
        assert found.radius == pytest.approx(np.abs(np.linalg.eigvals(wide)).max(), rel=1e-6)
    else:
        assert found.radius is None


@pytest.mark.parametrize("stretch", [1, 7, 1 << 22])
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_every_block_of_every_cell(cell, stretch, monkeypatch):
    monkeypatch.setattr(module, "_STRETCH", stretch)
    layer = models.layer(cell, "scope", input_size=5, output_size=3)
    found = list(figures(slices(layer)))
    assert len(found) == len(list(slices(layer)))
    for block, values in found:
        assert_same(values, block.load(), recurrent=block.part == "recurrent_kernel")


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16, np.float32, np.float64, np.int8, ">f4"])
def test_dtypes_are_computed_in_float64(dtype):
    values = (np.random.default_rng(0).normal(0, 20, (4, 4))).astype(dtype)
    assert_same(of(values, "recurrent_kernel"), values, recurrent=True)


@pytest.mark.parametrize("array", [np.array([[1 + 2j]]), np.array([["text"]], object)])
def test_what_is_no_number_is_refused_by_name(array):
    block = GateSlice("kernel", "", models.tensor("t", array), slice(0, 1), slice(0, 1), array.shape)
    with pytest.raises(BadInput, match=r"x\.h5: t holds .* real numbers") as caught:
        list(figures([block], Path("x.h5")))
    assert "shapes" in caught.value.hint


@settings(max_examples=80, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64]),
        hnp.array_shapes(min_dims=1, max_dims=2, min_side=1, max_side=6),
        elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
    )
)
def test_nothing_that_floats_can_be_breaks_them(array):
    found = of(array, "recurrent_kernel")
    finite = np.isfinite(array)
    assert found.nonfinite == np.count_nonzero(~finite)
    assert sum(found.counts) == np.count_nonzero(finite)
    assert len(found.edges) == (len(found.counts) + 1 if found.counts else 0)
    assert list(found.edges) == sorted(found.edges)
    if found.nonfinite:
        assert not np.isfinite(array[found.first])
    else:
        assert found.first is None
        assert found.min <= found.max


@pytest.mark.parametrize("extremes", [(-1.7e308, 1.7e308), (0.0, 5e-324), (1.0, np.nextafter(1.0, 2.0))])
def test_ranges_at_the_edge_of_float64_have_a_histogram(extremes):
    found = of(np.array(extremes * 3))
    assert sum(found.counts) == 6
    assert (found.edges[0], found.edges[-1]) == extremes


def test_one_value_alone_is_one_bin():
    found = of(np.full((3, 2), 0.25))
    assert found.counts == (6,)
    assert found.edges == (0.25, 0.25)
    assert found.std == 0


def test_nan_is_kept_and_placed_in_the_stored_tensor():
    layer = models.layer("basic_lstm", "scope")
    kernel = layer.weights["kernel"].load()
    kernel[5, 9] = np.nan
    found = {(block.part, block.gate): values for block, values in figures(slices(layer))}
    struck = found.pop(("recurrent_kernel", "f"))
    assert struck.nonfinite == 1
    assert struck.first == (5, 9)
    assert math.isnan(struck.norm)
    assert math.isnan(struck.radius)
    assert sum(struck.counts) == 15
    assert not any(values.nonfinite for values in found.values())


def test_a_stretch_of_rows_is_read_once_for_all_gates():
    layer = models.layer("basic_lstm", "scope")
    reads = []
    kernel = layer.weights["kernel"]
    read = kernel.read
    object.__setattr__(kernel, "read", lambda rows: (reads.append(rows), read(rows))[1])
    list(figures(slices(layer)))
    assert [(rows.start, rows.stop) for rows in reads] == [(0, 3), (3, 7)]
