"""All that a trace asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rnnprobe.analysis.keeping import Less
from rnnprobe.analysis.select import recorded
from rnnprobe.cells.layers import wide
from rnnprobe.errors import BadInput
from rnnprobe.inputs import AT_LEAST, AT_LEAST_WIDE
from rnnprobe.inputs.file import path_of
from rnnprobe.recover import Overrides
from rnnprobe.runs.reading import Say, Source
from rnnprobe.types import Batch, Entry, Network

ENGINES = ("rebuilt", "original")
"""What may run."""


@dataclass(frozen=True, slots=True)
class Job:
    """All that a trace asks for, as data: it can be pickled where its source can.

    Attributes:
        model: the checkpoint.
        source: the sequences.
        overrides: what the user says of the model, over what its file says.
        layers: names or patterns; none: the only stack there is.
        record: signals by name, or words; `output` for the model's own outputs.
        initial_state: what `rnnprobe.inputs.states.read` takes, or None.
        carry: each sequence starts from the states in which the one before it ended.
        own_input: the input is that of the layers chosen.
        engine: `rebuilt` or `original`; None: the original where tensors of it are named.
        tensors: patterns of the original graph's tensors.
        feeds: placeholder of the original graph → value.
        verify: whether the original runs beside it; None: where a stored graph is there and cheap to run.
        dtype, compress: of the values in the file (`rnnprobe.outputs.settings`).
        less: what is kept of what is recorded.
    """

    model: Path
    source: Source
    overrides: Overrides = field(default_factory=Overrides)
    layers: Sequence[str] = ()
    record: str | Sequence[str] = ("states", "gates")
    initial_state: Any = None
    carry: bool = False
    own_input: bool = False
    engine: str | None = None
    tensors: Sequence[str] = ()
    feeds: Mapping[str, Any] = field(default_factory=dict)
    verify: bool | None = None
    dtype: str = "float32"
    compress: str | None = None
    less: Less = field(default_factory=Less)

    def check(self, *, stored: bool = True) -> None:
        """Refuses, before anything is read, what can't be.

        Args:
            stored: whether there is something to store it in.

        Raises:
            BadInput: an engine that there is none of; tensors of the original for the rebuilt layers; what can't be
                kept (`Less.check`).
        """
        if self.engine not in (None, *ENGINES):
            raise BadInput(f"there is no engine {self.engine!r}", hint=f"the engines are {', '.join(ENGINES)}")
        if self.tensors and not self.of_graph:
            raise BadInput(
                "the rebuilt layers have no tensors of the original graph", hint="record it: --engine original"
            )
        self.less.check(stored=stored, outputs=self.outputs)

    @property
    def words(self) -> Sequence[str]:
        """What `record` says of signals."""
        return recorded(self.record)[0]

    @property
    def outputs(self) -> bool:
        """Whether the model's own outputs are recorded."""
        return recorded(self.record)[1]

    @property
    def states(self) -> bool:
        """Whether the states to start from are given, or carried on."""
        return self.carry or self.initial_state is not None

    @property
    def of_graph(self) -> bool:
        """Whether the original graph is recorded, and not the rebuilt layers."""
        return self.engine == "original" or (self.engine is None and bool(self.tensors))

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that is read beside the checkpoint's own."""
        states = (self.initial_state,) if self.initial_state is not None else ()
        config = (self.overrides.config,) if self.overrides.config is not None else ()
        paths = map(path_of, (*self.source.read_from, *states, *config))
        return tuple(path for path in paths if path is not None)

    def read(self, whole: Network, entries: Mapping[str, Entry], say: Say) -> tuple[Batch, ...]:
        """The input as entries of the network want it; sequences that hand their states on come one by one."""
        size, at_least = 1 if self.carry else None, AT_LEAST_WIDE if wide(whole.layers) else AT_LEAST
        return self.source.read(entries, say=say, batch_size=size, at_least=at_least)
