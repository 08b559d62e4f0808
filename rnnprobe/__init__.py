"""Introspection of recurrent-network checkpoints."""

__version__ = "0.1.0"
