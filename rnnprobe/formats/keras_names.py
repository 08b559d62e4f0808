"""The names that Keras's `.weights.h5` gives to layers: their class in snake case, counted among their siblings.

https://github.com/keras-team/keras, `saving_lib.py` (`_save_container_state`) and `naming.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable


def snake_case(class_name: str) -> str:
    """`SimpleRNN` → `simple_rnn`, as Keras does it; of a registered `package>Class`, the class."""
    name = re.sub(r"\W+", "", class_name.rpartition(">")[2])
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def counted(class_names: Iterable[str]) -> list[str]:
    """`LSTM, Dense, LSTM` → `lstm, dense, lstm_1`."""
    used: dict[str, int] = {}
    names = []
    for class_name in class_names:
        name = snake_case(class_name)
        used[name] = used.get(name, -1) + 1
        names.append(f"{name}_{used[name]}" if used[name] else name)
    return names
