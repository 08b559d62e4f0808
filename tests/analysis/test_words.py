from __future__ import annotations

import math

import pytest

from rnnprobe.analysis import words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (0.5, "0.500"),
        (-12.345, "-12.3"),
        (123.4, "123"),
        (1234.5, "1.23e+03"),
        (1.5e-7, "1.50e-07"),
        (math.nan, "NaN"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
    ],
)
def test_numbers(value, text):
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 %"), (1, "100 %"), (0.5, "50.0 %"), (1e-9, "<0.1 %"), (1 - 1e-9, ">99.9 %"), (math.nan, "NaN")],
)
def test_a_share_of_something_is_never_nothing(value, text):
    assert words.share(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_960, "1.0 MB"),
        (2_500_000, "2.5 MB"),
        (10**18, "1000000.0 TB"),
    ],
)
def test_sizes(value, text):
    assert words.size(value) == text


def test_formulas_read_as_a_shape():
    assert words.formulas(["input_size + units", "4 · units"]) == "(input_size + units) × 4 · units"
    assert words.formulas([words.formula("4 * units")]) == "4 · units"
    assert words.shape(()) == "scalar"


def test_bars():
    assert words.sparkline([0, 1, 1000, 500]) == " ▁█▄"
    assert words.sparkline([]) == ""
    assert words.curve([1.0, 2.0, math.nan, 3.0]) == "▁▅?█"
    assert words.curve([2.0, 2.0]) == "▁▁"
    assert len(words.curve(list(range(1000)))) == 24
