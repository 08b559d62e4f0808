"""Importing TensorFlow without its start-up lines, which its libraries print past Python's logging."""

from __future__ import annotations

import os
import sys
import tempfile
from importlib import import_module


def import_tensorflow() -> None:
    """Imports TensorFlow with standard error set aside; where the import fails, what it printed is shown after all.

    Raises:
        ImportError: TensorFlow is not installed, or its libraries can't be loaded.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    with tempfile.TemporaryFile() as aside:
        kept = os.dup(2)
        os.dup2(aside.fileno(), 2)
        try:
            import_module("tensorflow").get_logger().setLevel("ERROR")
        except BaseException:
            os.dup2(kept, 2)
            aside.seek(0)
            os.write(2, aside.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
