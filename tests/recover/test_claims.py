"""No cell is claimed that is not there: every golden held against every cell, whatever their order, graph or none."""

from __future__ import annotations

import importlib
import itertools
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from rnnprobe import formats, recover
from rnnprobe.analysis.account import account
from rnnprobe.cells import CELLS
from rnnprobe.recover import names
from rnnprobe.types import Checkpoint, Network, Tensor

from ..conformance import apart, tensorflow_files
from ..conftest import DATA

# What each case is made of, by the pattern of its release and name: the first that fits.
CELLS_OF = {
    r"sonnet-1.36/lstm_layer_norm": {"sonnet1_layer_norm_lstm"},
    r"sonnet-1.36/lstm_block": {"lstm"},
    r"sonnet-1.36/lstm.*": {"sonnet1_lstm"},
    r"sonnet-1.36/batch_norm_lstm_trainable": {"sonnet1_batch_norm_lstm_h_steps"},
    r"sonnet-1.36/(batch_norm_lstm)(|_full|_two)": {r"sonnet1_\1_h"},
    r"sonnet-1.36/(batch_norm_lstm)_(steps|static)": {r"sonnet1_\1_h_steps"},
    r"sonnet-1.36/(conv_lstm_\dd)_layer_norm": {r"sonnet1_layer_norm_\1"},
    r"sonnet-1.36/(conv_lstm_\dd).*": {r"sonnet1_\1"},
    r"sonnet-1.14/(conv_lstm_\dd)_skip": {r"sonnet1_skip_\1"},
    r"sonnet-1.36/gru.*": {"sonnet1_gru"},
    r"sonnet-1.36/(.*)": {r"sonnet1_\1"},
    r"magenta-1.3.1/lstm.*": {"magenta_lstm"},
    r"magenta-1.3.1/(.*)": {r"magenta_\1"},
    r"tfa-0.20.0/nas.*": {"nas"},
    r"tfa-0.20.0/(esn).*": {r"addons_\1"},
    r"tfa-0.20.0/(.*)": {r"addons_\1"},
    r"sonnet-2.0.2/(lstm_projected|unrolled_lstm|deep_rnn)": {"sonnet_lstm"},
    r"sonnet-2.0.2/(.*)": {r"sonnet_\1"},
    r"tf0.12/lstm_block.*": {"lstm_block"},
    r"tf(0.12|1.0|1.2|1.4)/(lstm_fused.*|drv_reversed_fused)": {"lstm_block_wrapper"},
    r".*/(lstm_fused.*|drv_reversed_fused)": {"lstm_fused"},
    r".*/(lstm.*|drv_layer_names)": {"lstm"},
    r".*/cudnn_compat_lstm": {"cudnn_compatible_lstm"},
    r".*/cudnn_(lstm|gru).*": {r"cudnn_compatible_\1"},
    r".*/cudnn_rnn_.*": {"basic_rnn"},
    r".*/ln_lstm": {"layer_norm_lstm"},
    r".*/ln_lstm_off": {"layer_norm_lstm_off"},
    r".*/ln_basic_lstm": {"layer_norm_basic_lstm"},
    r".*/ln_basic_lstm_off": {"layer_norm_basic_lstm_off"},
    r".*/cifg_ln": {"cifg_layer_norm"},
    r".*/cifg.*": {"cifg"},
    r".*/wn_lstm.*": {"weight_norm_lstm"},
    r".*/(masked_.*lstm)": {r"\1"},
    r".*/indylstm": {"indy_lstm"},
    r".*/nas.*": {"nas"},
    r".*/phased_peep": {"phased_lstm_peepholes"},
    r".*/phased": {"phased_lstm"},
    r"tf1.4/glstm.*": {"glstm_shared"},
    r".*/glstm.*": {"glstm"},
    r".*/(grid\d)basic(lstm|rnn)cell(|_tied|_non_recurrent)": {r"\1_basic_\2\3"},
    r".*/(grid\d)(lstm|gru)cell(|_tied|_non_recurrent)": {r"\1_\2\3"},
    r".*/gridrnncell": {"grid2_lstm"},
    r".*/timefreq": {"time_freq_lstm"},
    r".*/bigrid_coupled": {"bidirectional_grid_lstm_coupled"},
    r".*/bigrid.*": {"bidirectional_grid_lstm"},
    r".*/grid_lstm_coupled": {"grid_lstm_coupled"},
    r".*/grid_lstm.*": {"grid_lstm"},
    r".*/ntm": {"lstm"},
    r".*/conv(\d)d.*": {r"conv_lstm_\1d"},
    r".*/multi_named": {"basic_lstm", "gru"},
    r".*/gru_block": {"gru_block"},
    r".*/cudnn_compat_gru": {"cudnn_compatible_gru"},
    r".*/(gru.*|drv_whileloop_gru_seq)": {"gru"},
    r".*/basic_rnn.*": {"basic_rnn"},
    r".*/ugrnn": {"ugrnn"},
    r".*/multi_ugrnn": {"ugrnn", "intersection_rnn", "gru_block"},
    r".*/(ntm_heads|outproj_tanh|resid_highway|attn_gru|inproj_relu)": {"gru"},
    r".*/intersection": {"intersection_rnn_projected"},
    r".*/intersection_same": {"intersection_rnn"},
    r".*/sru.*": {"sru"},
    r".*/indrnn": {"ind_rnn"},
    r".*/indygru": {"indy_gru"},
    r".*/minimal": {"minimal_rnn"},
    r".*/cfn": {"cfn"},
    r".*/attnwrap_encoded": {"gru", "basic_rnn"},
    r".*/attnwrap_(gru_norm|monotonic_norm|cell_output_nolayer)": {"gru"},
    r".*/attnwrap_(several(_turned|_old)?|dynamic(_cell_output)?)": {"gru"},
    r".*/attnwrap.*": {"lstm", "basic_lstm"},
    r".*/(basic_lstm|drv_|multi|drop|resid|device|highway|inproj|outproj|embed|attncell).*": {"basic_lstm"},
}
UNNAMED = re.compile(
    r".*/(multi_named|attn_?\w+|timefreq|(bi)?grid_.*|gridrnncell|conv_lstm_2d_named|cudnn_\w+_opaque)"
)
"""Cases whose names and shapes don't say all that there is to know, so that the graph alone tells."""


def folders() -> list[Path]:
    """The cases of a TensorFlow checkpoint: those that are kept here, and the others of `RNNPROBE_CONFORMANCE`."""
    places = [DATA / "conformance"]
    if "RNNPROBE_CONFORMANCE" in os.environ:
        places.append(Path(os.environ["RNNPROBE_CONFORMANCE"]))
    return sorted(case for case in apart(*places, named="case.json") if "keras" not in str(case))


def expected(case: Path) -> set[str]:
    """The cells of a case."""
    name = f"{case.parent.name}/{case.name}"
    for pattern, cells in CELLS_OF.items():
        found = re.fullmatch(pattern, name)
        if found:
            return {found.expand(cell) for cell in cells}
    raise AssertionError(f"nothing says what {name} is made of")


@dataclass(frozen=True)
class Read:
    """A case, which is read once for all that is asked of it; its network is that of the registry's own order."""

    case: Path
    checkpoint: Checkpoint
    network: Network


@pytest.fixture(params=folders(), ids=lambda case: f"{case.parent.name}-{case.name}", scope="module")
def read(request) -> Read:
    (file,) = tensorflow_files(request.param)
    checkpoint = formats.read(file)
    return Read(request.param, checkpoint, recover.network(checkpoint))


@pytest.fixture(params=["first to last", "last to first"])
def found(request, read, monkeypatch) -> Network:
    """What is recovered with the registry in both orders: of two cells each is the first once."""
    if request.param == "first to last":
        return read.network
    for module in ("names", "object_cells"):
        monkeypatch.setattr(importlib.import_module(f"rnnprobe.recover.{module}"), "CELLS", CELLS[::-1])
    return recover.network(read.checkpoint)


def test_what_is_claimed_is_there(read, found):
    case, checkpoint = read.case, read.checkpoint
    cells = expected(case)
    claimed = {layer.cell.name for layer in found.layers}
    assert claimed <= cells
    assert bool(claimed) == bool(cells)
    bare = recover.network(replace(checkpoint, graph=None, writer=""))
    claimed = {layer.cell.name for layer in bare.layers}
    assert claimed <= cells
    assert UNNAMED.fullmatch(f"{case.parent.name}/{case.name}") or bool(claimed) == bool(cells)


def test_each_tensor_is_claimed_once(read):
    """No tensor is a weight of two layers, unless they share all of them, and none is in a candidate besides."""
    network = read.network
    scopes = {layer.scope for layer in network.layers}
    held = [
        (layer.scope, name)
        for layer in network.layers
        for tensor in layer.weights.values()
        for name in tensor.pieces or (tensor.name,)
        if not name.endswith("/opaque_kernel")  # of which each layer has a part
    ]
    owners_of: dict[str, set[str]] = {}
    for scope, name in held:
        owners_of.setdefault(name, set()).add(scope)
    assert all(len(found) == 1 for found in owners_of.values())
    assert not any(candidate.scope.startswith(tuple(f"{s}/" for s in scopes)) for candidate in network.candidates)


# cuDNN ---------------------------------------------------------------------------------------------------------------


def cudnn(scopes: list[str], opaque: bool = True) -> Checkpoint:
    """What a Saver wrote of a `CudnnLSTM` of 4 units: the canonical weights of each layer, and the buffer."""
    shapes = {
        f"{scope}/kernel": (size + 4, 16) for scope, size in zip(scopes, itertools.cycle([3, 3, 8, 8]), strict=False)
    }
    shapes |= {f"{scope}/bias": (16,) for scope in scopes}
    shapes |= {"cudnn_lstm/opaque_kernel": (512,)} if opaque else {}
    tensors = {name: Tensor(name, shape, "float32", lambda rows: np.zeros(0, "f")) for name, shape in shapes.items()}
    return Checkpoint(Path("model.ckpt"), "TensorFlow V2 bundle", tensors)


def test_what_cudnn_saved_beside_its_buffer_is_claimed_and_the_buffer_is_not():
    stack = "cudnn_lstm/stack_bidirectional_rnn/cell_{}/bidirectional_rnn/{}/cudnn_compatible_lstm_cell"
    checkpoint = cudnn([stack.format(level, way) for level in (0, 1) for way in ("fw", "bw")])
    found = names.recover(checkpoint)
    assert [(layer.cell.name, layer.input_size, layer.units, layer.direction) for layer in found.layers] == [
        ("cudnn_compatible_lstm", size, 4, way) for size in (3, 8) for way in ("forward", "backward")
    ]
    assert {layer.settings["forget_bias"] for layer in found.layers} == {0.0}
    assert found.layers[2].feed.sources == tuple(layer.name for layer in found.layers[:2])
    assert [tensor.name for tensor in account(found).other] == ["cudnn_lstm/opaque_kernel"]
    assert [note for note in found.notes if note.startswith("cudnn_lstm/opaque_kernel holds the same weights")]


def test_a_buffer_by_itself_is_nothing_that_can_be_read():
    found = names.recover(cudnn([]))
    assert (found.layers, [tensor.name for tensor in account(found).other]) == ((), ["cudnn_lstm/opaque_kernel"])
    assert [(one.scope, one.cells) for one in found.candidates] == [("cudnn_lstm", ())]
