"""What is said of recurrent weights that are no Keras cell's: they are of a class of somebody's own."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rnnprobe.formats.keras_names import snake_case
from rnnprobe.recover.keras.others import Other
from rnnprobe.recover.keras.store import KERAS_CELLS, CellWeights
from rnnprobe.types import Layer, Tensor

_COUNTER = re.compile(r"_\d+$")
_OWN_NAMES = frozenset(snake_case(name) for cell in KERAS_CELLS for name in cell.classes)
_FAMILY = re.compile(r"[a-z0-9]+_(?:lstm|gru|rnn)")


def resemblance(held: CellWeights, group: Iterable[Tensor], fitting: Iterable[str] = ()) -> str:
    """Why no cell is claimed: what is stored, what it looks like, and what can't be known of it.

    Args:
        held: the tensors that are called as a Keras cell's.
        group: all tensors of the layer.
        fitting: the cells of others' classes that they fit, by name.
    """
    recurrent = next(tensor for leaf, tensor in held.tensors.items() if leaf == "recurrent_kernel" or leaf[0] == "U")
    stored = ", ".join(f"{tensor.name.rpartition('/')[2].partition(':')[0]} {list(tensor.shape)}" for tensor in group)
    looks = _looks(recurrent)
    settles = f"; --cell {' or '.join(fitting)} says that it is one" if fitting else ""
    return (
        f"no cell of Keras has weights of these shapes: {stored}; {looks}; its equations are not in the file{settles}"
    )


def _looks(recurrent: Tensor) -> str:
    units = recurrent.shape[0] if recurrent.shape else 0
    if len(recurrent.shape) == 1:
        return f"a recurrent kernel that is a vector has each of {units} units recur on itself alone, as in an IndRNN"
    blocks, rest = divmod(recurrent.shape[-1], units) if units else (0, 1)
    if len(recurrent.shape) != 2 or rest or not blocks:
        return "its recurrent kernel is no row of square blocks"
    gates = (
        "a plain RNN (1 block)" if blocks == 1 else f"{blocks} blocks, as of so many gates; which is which is not told"
    )
    return f"{units} units whose recurrent kernel holds {gates} (Keras: SimpleRNN 1, GRU 3, LSTM 4)"


def published(layer: Layer, other: Other) -> str:
    """A note for a layer that its name, or those of its weights, say to be of a class that is not Keras's."""
    words = {_COUNTER.sub("", word) for word in (*layer.name.split("/"), *layer.scope.split("/"))}
    told = "its name" if words & other.words else f"the names of its weights ({', '.join(other.telling)})"
    own = [option.name for option in layer.cell.options if layer.options[option.name].evidence == "assumed"]
    assumed = ", ".join(f"{name} {layer.settings[name]}" for name in own)
    options = f"; assumed are its defaults there: {assumed}" if assumed else ""
    remark = f", {other.remark}" if other.remark else ""
    return f"{layer.name!r} is claimed for {told} to be {other.classes[0]} of {other.origin}{remark}{options}"


def unlike_keras(name: str, title: str) -> str:
    """A note for a layer that is claimed by its shapes and called as a class that Keras does not have; or empty.

    Args:
        name: of the layer, as stored: `chrono_lstm_1`.
        title: of the cell that its shapes are claimed to be.
    """
    base = _COUNTER.sub("", name.rpartition("/")[2])
    if base in _OWN_NAMES or not _FAMILY.fullmatch(base):
        return ""
    return (
        f"{name!r} is claimed to be a {title} for its names and shapes; Keras would have called that "
        f"{base.rpartition('_')[2]!r}: unless somebody named it so, it is of a class of their own, and may compute "
        f"something else"
    )
