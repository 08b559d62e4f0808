"""Network + Batches → Blocks: the rebuilt graph, run in TensorFlow. The only place that imports TensorFlow."""

from __future__ import annotations

from rnnprobe.engine.quiet import import_tensorflow
from rnnprobe.errors import BadInput

try:
    import_tensorflow()
except ImportError as error:
    raise BadInput(
        f"TensorFlow can't be imported: {error}", hint="tracing runs in TensorFlow: `pip install tensorflow`"
    ) from error

from rnnprobe.engine.compilation import Compilation
from rnnprobe.engine.extents import Extents, extents
from rnnprobe.engine.run import Engine, trace

__all__ = ["Compilation", "Engine", "Extents", "extents", "trace"]
