"""Filters of HDF5 whose code is not part of libhdf5.

libhdf5 would look for a library in a folder that the environment names. Here the one that is known comes from an
installed Python package, which hands its code to libhdf5 itself.
"""

from __future__ import annotations

BITSHUFFLE = 32008
PACKAGE = "hdf5plugin"
HINT = "pip install 'rnnprobe[compress]' brings it along"


def available(code: int) -> bool:
    """Whether libhdf5 has this filter, once the package that brings it is imported."""
    if code != BITSHUFFLE:
        return False
    try:
        import hdf5plugin
    except ImportError:
        return False
    return bool(hdf5plugin.get_config().registered_filters.get("bshuf"))
