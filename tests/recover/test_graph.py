"""What the graph says of a network, held against what the generator of each case built.

`python -m tests.recover.test_graph DIR` runs the same table over a folder of cases: DIR/<release>/<case>/model.ckpt.*
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rnnprobe import formats
from rnnprobe.recover import graph, names
from rnnprobe.types import Network

from ..conformance import apart

DATA = Path(__file__).parent.parent / "data" / "graph"
FOLDERS = [DATA, DATA.parent / "conformance"]
# Every case of every release, where that folder is at hand.
FOLDERS += [Path(folder) for folder in [os.environ.get("RNNPROBE_CONFORMANCE", "")] if folder]


@dataclass(frozen=True)
class Expected:
    """A layer as the generator built it: its cell, or several whose names differ between releases with `|`; sources
    are `input`, or the places of layers in the list."""

    cell: str = "basic_lstm"
    sources: tuple[str | int, ...] = ("input",)
    direction: str = "forward"
    options: dict[str, Any] = field(default_factory=dict)


DEFAULTS: dict[str, dict[str, Any]] = {
    "basic_rnn": {"activation": "tanh", "residual": False},
    "gru": {"activation": "tanh", "residual": False},
    "basic_lstm": {"forget_bias": 1.0, "activation": "tanh", "residual": False},
    "lstm": {
        "forget_bias": 1.0,
        "activation": "tanh",
        "cell_clip": None,
        "proj_clip": None,
        "residual": False,
    },
    # What an op computes leaves no choice of activations.
    "lstm|lstm_block": {"forget_bias": 1.0, "cell_clip": "block", "residual": False},
    "lstm_block_wrapper|lstm_fused": {"forget_bias": 1.0, "cell_clip": "block", "residual": False},
    "cudnn_compatible_lstm": {"forget_bias": 0.0, "residual": False},
    "gru|gru_block": {"residual": False},
    "conv_lstm_1d": {"forget_bias": 1.0, "residual": False},
    "conv_lstm_2d": {"forget_bias": 1.0, "residual": False},
    "conv_lstm_3d": {"forget_bias": 1.0, "residual": False},
    # Cells whose use is told by numbers.
    "cifg": {"forget_bias": 1.0, "activation": "tanh", "residual": False},
    "cifg_layer_norm": {"forget_bias": 1.0, "activation": "tanh", "residual": False},
    "layer_norm_basic_lstm": {"forget_bias": 1.0, "activation": "tanh", "residual": False},
    "layer_norm_basic_lstm_off": {"forget_bias": 1.0, "activation": "tanh", "residual": False},
    "layer_norm_lstm": {"forget_bias": 1.0, "activation": "tanh", "cell_clip": None, "proj_clip": None},
    "layer_norm_lstm_off": {"forget_bias": 1.0, "activation": "tanh", "cell_clip": None},
    "weight_norm_lstm": {"forget_bias": 1.0, "activation": "tanh", "cell_clip": None, "residual": False},
    "masked_basic_lstm": {"forget_bias": 1.0, "activation": "tanh", "residual": False},
    "masked_lstm": {"forget_bias": 1.0, "activation": "tanh", "cell_clip": None, "residual": False},
    "nas": {"residual": False},
    "ugrnn": {"forget_bias": 1.0, "activation": "tanh", "residual": False},
    "intersection_rnn": {"forget_bias": 1.0, "y_activation": "relu", "residual": False},
    "intersection_rnn_projected": {"forget_bias": 1.0, "y_activation": "relu", "residual": False},
    "phased_lstm": {"leak": 0.001, "residual": False},
    "phased_lstm_peepholes": {"leak": 0.001, "residual": False},
    "glstm|glstm_shared": {"forget_bias": 1.0, "activation": "tanh", "residual": False},
    "sru": {"activation": "tanh", "residual": False},
    "ind_rnn": {"activation": "tanh", "residual": False},
    "indy_gru": {"activation": "tanh", "residual": False},
    "indy_lstm": {"forget_bias": 1.0, "activation": "tanh", "residual": False},
    "minimal_rnn": {"activation": "tanh", "residual": False},
    "cfn": {"activation": "tanh", "residual": False},
    "cudnn_compatible_gru": {"residual": False},
    "grid1_basic_rnn": {"residual": False},
    "grid2_basic_rnn": {"residual": False},
    "grid1_basic_lstm": {"forget_bias": 1.0, "residual": False},
    "grid2_basic_lstm": {"forget_bias": 1.0, "residual": False},
    "grid1_lstm": {"forget_bias": 1.0, "residual": False},
    "grid2_lstm": {"forget_bias": 1.0, "residual": False},
    "grid3_lstm": {"forget_bias": 1.0, "residual": False},
    "grid2_gru": {"residual": False},
    "sonnet1_lstm": {"forget_bias": 1.0, "hidden_clip": None, "state_clip": None, "residual": False},
    "sonnet1_layer_norm_lstm": {"forget_bias": 1.0, "residual": False},
    "sonnet1_gru": {"residual": False},
    "sonnet1_vanilla_rnn": {"activation": "tanh", "residual": False},
    "sonnet1_highway": {"residual": False},
    **{
        f"sonnet1_batch_norm_lstm_{norm}{steps}": {"forget_bias": 1.0, "hidden_clip": None, "state_clip": None}
        for norm in "hxc"
        for steps in ("", "_steps")
    },
    **{
        f"sonnet1_{normed}conv_lstm_{axes}d": {"forget_bias": 1.0, "dilation_rate": 1, "residual": False}
        for normed in ("", "layer_norm_", "skip_")
        for axes in (1, 2, 3)
    },
    **{
        f"{cell}{variant}": {"residual": False}
        for cell in ("grid2_basic_rnn", "grid2_basic_lstm", "grid2_lstm", "grid3_lstm", "grid2_gru")
        for variant in ("_tied", "_non_recurrent")
    },
    "magenta_lstm": {"forget_bias": 1.0, "residual": False},
    "magenta_layer_norm_lstm": {"forget_bias": 1.0, "residual": False},
    "magenta_hyper_lstm": {"forget_bias": 1.0, "residual": False},
    "magenta_hyper_lstm_plain": {"forget_bias": 1.0, "residual": False},
}
BLOCK, FUSED = "lstm|lstm_block", "lstm_block_wrapper|lstm_fused"
BACK = Expected(direction="backward")
BOTH = (Expected(), BACK)
STACK = (Expected(), Expected(sources=(0,)))
BOTH_STACKED = (*BOTH, Expected(sources=(0, 1)), Expected(sources=(0, 1), direction="backward"))
FULL = {"forget_bias": 0.5, "cell_clip": 0.3, "proj_clip": 0.2}

# By a pattern of the case's name: see `generators/gen_tf1.py` beside the cases.
CASES: dict[str, tuple[Expected, ...]] = {
    r"basic_rnn": (Expected("basic_rnn"),),
    r"basic_rnn_relu": (Expected("basic_rnn", options={"activation": "relu"}),),
    r"gru|drv_whileloop_gru_seq": (Expected("gru"),),
    r"basic_lstm|basic_lstm_concat|device|drop|drop_half|drop_ph|multi1": (Expected(),),
    r"basic_lstm_fb": (Expected(options={"forget_bias": 0.25}),),
    r"lstm|lstm_proj|lstm_concat_proj|lstm_shards": (Expected("lstm"),),
    r"lstm_full": (Expected("lstm", options=FULL),),
    r"lstm_relu": (Expected("lstm", options={"activation": "relu"}),),
    r"multi2|multi2_concat|multi_shared|multi_mult": STACK,
    r"multi_named": (Expected(), Expected("gru", (0,))),
    r"multi_drop_resid": (Expected(), Expected(sources=(0,), options={"residual": True})),
    r"resid": (Expected(options={"residual": True}),),
    r"drv_(static|static_seq|dyn_seq|dyn_timemajor|dyn_scope|raw|scan|partitioned|reuse_twice|ta_manual)": (
        Expected(),
    ),
    r"drv_(fused_adaptor|fused_adaptor_dyn|state_saving)": (Expected(),),
    r"drv_(adam|mom|rms|adadelta|adagrad|ftrl|ema)": (Expected(),),
    r"drv_(bidyn|bistatic)(_seq)?": BOTH,
    r"drv_bidyn_multi(_seq)?": (*STACK, BACK, Expected(sources=(2,), direction="backward")),
    r"drv_stackbi|drv_stackbidyn(_seq)?": BOTH_STACKED,
    r"drv_two_layers_scopes": (Expected(), Expected()),
    r"drv_layer_names": (Expected("lstm"), Expected("lstm")),
    r"lstm_block|lstm_block_peep|lstm_block_big|lstm_compat_names": (Expected(BLOCK),),
    r"lstm_fused|lstm_fused_peep|lstm_fused_big": (Expected(FUSED),),
    r"lstm_block_clip": (Expected(BLOCK, options={"cell_clip": 0.3}),),
    r"drv_reversed_fused": (Expected(FUSED, direction="backward"),),
    r"cudnn_compat_lstm": (Expected("cudnn_compatible_lstm"),),
    r"gru_block|gru_block_v2": (Expected("gru|gru_block"),),
    r"conv1d": (Expected("conv_lstm_1d"),),
    r"conv2d|conv2d_nobias": (Expected("conv_lstm_2d"),),
    r"conv3d": (Expected("conv_lstm_3d"),),
    r"embed": (Expected(sources=("embedding",)),),
    r"cifg": (Expected("cifg"),),
    r"cifg_full": (Expected("cifg", options={"proj_clip": 0.2}),),
    r"cifg_shards": (Expected("cifg", options={"proj_clip": None}),),
    r"cifg_ln": (Expected("cifg_layer_norm"),),
    r"ln_basic_lstm": (Expected("layer_norm_basic_lstm"),),
    r"ln_basic_lstm_off": (Expected("layer_norm_basic_lstm_off"),),
    r"ln_lstm": (Expected("layer_norm_lstm"),),
    r"ln_lstm_off": (Expected("layer_norm_lstm_off"),),
    r"wn_lstm": (Expected("weight_norm_lstm"),),
    r"wn_lstm_full": (Expected("weight_norm_lstm", options={"proj_clip": None}),),
    r"masked_basic_lstm": (Expected("masked_basic_lstm"),),
    r"masked_lstm": (Expected("masked_lstm"),),
    r"nas|nas_bias(es)?_proj": (Expected("nas"),),
    r"ugrnn": (Expected("ugrnn"),),
    r"intersection": (Expected("intersection_rnn_projected"),),
    r"intersection_same": (Expected("intersection_rnn"),),
    r"phased": (Expected("phased_lstm"),),
    r"phased_peep": (Expected("phased_lstm_peepholes"),),
    r"glstm|glstm_proj": (Expected("glstm|glstm_shared"),),
    r"sru|sru_same": (Expected("sru"),),
    r"indrnn": (Expected("ind_rnn"),),
    r"indygru": (Expected("indy_gru"),),
    r"indylstm": (Expected("indy_lstm"),),
    r"minimal": (Expected("minimal_rnn"),),
    r"cfn": (Expected("cfn"),),
    r"cudnn_compat_gru": (Expected("cudnn_compatible_gru"),),
    **{
        rf"grid{count}{cell.replace('_', '')}cell": (Expected(f"grid{count}_{cell}"),)
        for count, cell in (
            (1, "basic_rnn"),
            (2, "basic_rnn"),
            (1, "basic_lstm"),
            (2, "basic_lstm"),
            (1, "lstm"),
            (2, "lstm"),
            (3, "lstm"),
            (2, "gru"),
        )
    },
    **{
        f"{case}_{variant}": (Expected(f"{cell}_{variant}", options=options | (shown if variant[0] == "n" else {})),)
        for case, cell, options, shown in (
            ("grid2basicrnncell", "grid2_basic_rnn", {}, {"non_recurrent_activation": "relu"}),
            ("grid2basiclstmcell", "grid2_basic_lstm", {"forget_bias": 0.5}, {"non_recurrent_activation": "tanh"}),
            ("grid2lstmcell", "grid2_lstm", {"forget_bias": 1.0}, {"non_recurrent_activation": "relu"}),
            ("grid3lstmcell", "grid3_lstm", {"forget_bias": 0.5}, {"non_recurrent_activation": "sigmoid"}),
            ("grid2grucell", "grid2_gru", {}, {"non_recurrent_activation": "relu"}),
        )
        for variant in ("tied", "non_recurrent")
    },
    r"gridrnncell": (Expected("grid2_lstm"),),
    r"attncell": (Expected(),),
    r"attncell_in_multi": STACK,
    r"highway|highway_uncoupled|inproj|outproj": (Expected(),),
    r"multi_hw_out": STACK,
    r"ntm": (Expected("lstm"),),
    r"sonnet-1.36/(lstm|lstm_named|lstm_trainable)": (Expected("sonnet1_lstm"),),
    r"sonnet-1.36/lstm_block": (Expected(BLOCK),),
    r"sonnet-1.36/batch_norm_lstm": (Expected("sonnet1_batch_norm_lstm_h"),),
    r"sonnet-1.36/batch_norm_lstm_two": (
        Expected("sonnet1_batch_norm_lstm_h"),
        Expected("sonnet1_batch_norm_lstm_h", sources=(0,)),
    ),
    r"sonnet-1.36/batch_norm_lstm_full": (
        Expected("sonnet1_batch_norm_lstm_h", options={"forget_bias": 0.5, "hidden_clip": 0.1, "state_clip": 0.3}),
    ),
    r"sonnet-1.36/batch_norm_lstm_(steps|static|trainable)": (Expected("sonnet1_batch_norm_lstm_h_steps"),),
    **{
        f"sonnet-1.36/batch_norm_lstm_{norm}": (Expected(f"sonnet1_batch_norm_lstm_{norm}"),)
        for norm in ("x", "x_steps", "c", "c_steps")
    },
    **{f"sonnet-1.14/conv_lstm_{axes}d_skip": (Expected(f"sonnet1_skip_conv_lstm_{axes}d"),) for axes in (1, 2, 3)},
    r"sonnet-1.36/conv_lstm_2d": (Expected("sonnet1_conv_lstm_2d", options={"forget_bias": 0.5, "dilation_rate": 2}),),
    r"sonnet-1.36/conv_lstm_2d_(named|trainable)": (Expected("sonnet1_conv_lstm_2d"),),
    **{f"sonnet-1.36/conv_lstm_{axes}d": (Expected(f"sonnet1_conv_lstm_{axes}d"),) for axes in (1, 3)},
    **{
        f"sonnet-1.36/conv_lstm_{axes}d_layer_norm": (Expected(f"sonnet1_layer_norm_conv_lstm_{axes}d"),)
        for axes in (1, 2, 3)
    },
    r"sonnet-1.36/lstm_full": (
        Expected("sonnet1_lstm", options={"forget_bias": 0.5, "hidden_clip": 0.1, "state_clip": 0.3}),
    ),
    r"sonnet-1.36/lstm_layer_norm": (Expected("sonnet1_layer_norm_lstm"),),
    r"sonnet-1.36/(gru|gru_named|gru_trainable)": (Expected("sonnet1_gru"),),
    r"sonnet-1.36/vanilla_rnn": (Expected("sonnet1_vanilla_rnn", options={"activation": "relu"}),),
    r"sonnet-1.36/highway": (Expected("sonnet1_highway"),),
    r"magenta-1.3.1/lstm": (Expected("magenta_lstm"),),
    r"magenta-1.3.1/lstm_fb": (Expected("magenta_lstm", options={"forget_bias": 0.25}),),
    r"magenta-1.3.1/layer_norm_lstm": (Expected("magenta_layer_norm_lstm"),),
    r"magenta-1.3.1/hyper_lstm": (Expected("magenta_hyper_lstm"),),
    r"magenta-1.3.1/hyper_lstm_plain": (Expected("magenta_hyper_lstm_plain"),),
}
# Up to TensorFlow 1.6 it looks at slices of a wider tensor, so that its input is none of the graph.
UNREAD = {("tf1.2", "glstm_proj"), ("tf1.4", "glstm_proj")}
# The block ops clipped c at 3 unless told otherwise, up to TensorFlow 1.3.
CLIPPING = {"tf0.12", "tf1.0", "tf1.2"}


def expected(release: str, case: str) -> list[Expected] | None:
    """What a case holds, or None where the table does not have it."""
    called = case if release.startswith(("tf", "contrib")) else f"{release}/{case}"
    found = next((layers for pattern, layers in CASES.items() if re.fullmatch(pattern, called)), None)
    if found is None or (release, case) in UNREAD:
        return None
    block = 3.0 if release in CLIPPING else None
    return [
        Expected(
            layer.cell,
            layer.sources,
            layer.direction,
            {
                name: block if value == "block" else value
                for name, value in (DEFAULTS[layer.cell] | layer.options).items()
            },
        )
        for layer in found
    ]


def refined(path: Path) -> Network:
    """The network of a checkpoint with its graph."""
    return graph.refine(names.recover(formats.read(path)))


def differences(network: Network, wanted: list[Expected]) -> list[str]:
    """What a network says otherwise than expected."""
    found = []
    if len(network.layers) != len(wanted):
        return [f"{len(network.layers)} layers, not {len(wanted)}: {[layer.name for layer in network.layers]}"]
    order = [layer.name for layer in network.layers]
    for layer, want in zip(network.layers, wanted, strict=True):
        tables = [embedding.name for embedding in network.embeddings if embedding.evidence == "graph"]
        named = {"input": "input", "embedding": tables[0] if tables else ""}
        sources = tuple(order[source] if isinstance(source, int) else named[source] for source in want.sources)
        if not re.fullmatch(want.cell, layer.cell.name):
            found.append(f"{layer.name}: {layer.cell.name}, not {want.cell}")
        if layer.feed.sources != sources or layer.feed.evidence != "graph":
            found.append(f"{layer.name}: fed by {layer.feed.sources} ({layer.feed.evidence}), not {sources}")
        if layer.direction != want.direction:
            found.append(f"{layer.name}: {layer.direction}")
        for name, value in want.options.items():
            option = layer.options.get(name)
            if option is None or option.value != value or option.evidence != "graph":
                found.append(f"{layer.name}: {name} is {option}, not {value}")
    return found


def cases(*folders: Path) -> Iterator[tuple[str, str, Path]]:
    """Release, case and checkpoint of every case below some folders; of those that are alike one."""
    for case in apart(*folders, named="model.ckpt.meta"):
        yield case.parent.name, case.name, case / "model.ckpt"


ROWS = [pytest.param(*row, id="-".join(row[:2])) for row in cases(*FOLDERS) if expected(*row[:2])]


@pytest.mark.parametrize(("release", "case", "path"), ROWS)
def test_options_and_wiring_are_those_that_were_built(release: str, case: str, path: Path) -> None:
    assert differences(refined(path), expected(release, case) or []) == []


def test_a_cell_of_another_kind_is_not_confirmed() -> None:
    network = refined(DATA / "tf1.15" / "timefreq" / "model.ckpt")
    assert "lstm" not in {layer.cell.name for layer in network.layers}
    assert network.layers or network.candidates


def test_shakespeare_has_no_forget_bias_and_three_graphs_of_two_layers(corpus: Path) -> None:
    network = refined(corpus / "shakespeare/pretrained_shakespeare/best_model")
    assert [layer.settings["forget_bias"] for layer in network.layers] == [0.0, 0.0]
    assert [layer.feed.sources for layer in network.layers] == [("input",), (network.layers[0].name,)]


def test_shakespeares_graphs_are_told_apart(corpus: Path) -> None:
    """One for training, one for validation, each of ten steps, and one of a single step, to write with."""
    network = refined(corpus / "shakespeare/pretrained_shakespeare/best_model")
    places = network.places.values()
    assert [[len(use.inputs) for use in uses] for uses in places] == [[10, 10, 1]] * 2
    first, second = ([use.number for use in uses] for uses in places)
    assert [use.below for use in network.places[network.layers[1].name]] == [(number,) for number in first]
    assert not set(first) & set(second)
    assert len({use.roots for use in network.places[network.layers[0].name]}) == 3


@pytest.mark.parametrize("name", ["char-rnn-tf10/save", "char-rnn-tf012/save"])
def test_an_embedding_in_front_is_seen_through_fifty_steps(corpus: Path, name: str) -> None:
    network = refined(corpus / name)
    assert differences(network, [Expected(sources=("embedding",)), Expected(sources=(0,))]) == []


def test_one_cell_for_both_directions_is_a_layer_in_each(corpus: Path) -> None:
    network = refined(corpus / "thai-segmentation/saved_model")
    wanted = [Expected("gru", ("embedding",)), Expected("gru", ("embedding",), "backward")]
    assert differences(network, wanted) == []
    assert [layer.name for layer in network.layers] == [
        "bidirectional_rnn/fw/gru_cell",
        "bidirectional_rnn/bw/gru_cell",
    ]
    stacked = refined(corpus / "htr-no-data/model/model")
    assert {layer.name: layer.feed.sources for layer in stacked.layers} == {
        f"bidirectional_rnn/{turn}/multi_rnn_cell/cell_{k}/lstm_cell": (
            (f"bidirectional_rnn/{turn}/multi_rnn_cell/cell_0/lstm_cell",) if k else ("input",)
        )
        for turn in ("fw", "bw")
        for k in range(2)
    }
    assert {layer.direction for layer in stacked.layers if "/bw/" in layer.name} == {"backward"}


def test_an_encoder_is_wired_and_its_attentive_decoder_left_to_the_user(corpus: Path) -> None:
    network = refined(corpus / "g2p-tf11/tests/models/decode")
    feeds = {layer.name.rpartition("/")[0].rpartition("/")[2]: layer.feed.sources for layer in network.layers}
    assert feeds["fw"] == feeds["bw"] == ("model/att_seq2seq/encode/source_embedding/W",)
    assert feeds["decoder"][0].startswith("input of ")


def main(folder: Path) -> None:
    """Prints a row for each case that comes out otherwise than expected, and the count for each release."""
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    absent: Counter[str] = Counter()
    for release, case, path in cases(folder):
        wanted = expected(release, case)
        if wanted is None:
            absent[release] += 1
            network = refined(path)
            print(f"{release:24} {case:24} {[(la.name, la.feed.sources) for la in network.layers]} {network.notes}")
            continue
        total[release] += 1
        wrong = differences(refined(path), wanted)
        right[release] += not wrong
        if wrong:
            print(f"{release:24} {case:24} {'; '.join(wrong)}  NOTES {refined(path).notes}")
    for release in total:
        print(f"{release:24} {right[release]:4d} of {total[release]:4d} right, {absent[release]} of other cells")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
