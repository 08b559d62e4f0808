from __future__ import annotations

import pytest

from rnnprobe.analysis.select import select
from rnnprobe.errors import BadInput

from . import models

NETWORK = models.network(
    *(models.layer("gru", name) for name in ("encoder/cell_0", "encoder/cell_1", "encoder/cell_10", "decoder/[x]"))
)


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ([], [0, 1, 2, 3]),
        (["encoder/cell_1"], [1]),
        (["cell_1"], [1, 2]),
        (["encoder"], [0, 1, 2]),
        (["*cell_?"], [0, 1]),
        (["cell_10", "cell_0"], [0, 2]),
        (["decoder/[x]"], [3]),
    ],
)
def test_a_name_a_part_of_it_or_a_glob(patterns, expected):
    assert select(NETWORK, patterns) == tuple(NETWORK.layers[k] for k in expected)


@pytest.mark.parametrize("pattern", ["nothing", "", "ENCODER", "*x"])
def test_no_match_lists_the_layers(pattern):
    with pytest.raises(BadInput) as caught:
        select(NETWORK, [pattern])
    assert all(layer.name in caught.value.hint for layer in NETWORK.layers)
    assert caught.value.path == NETWORK.checkpoint.path


def test_no_layers_at_all():
    with pytest.raises(BadInput) as caught:
        select(models.network(), ["x"])
    assert "nothing recurrent" in caught.value.hint
