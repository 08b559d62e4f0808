"""The graph that came with a checkpoint: `PREFIX.meta`, or the `saved_model.pb` of a SavedModel. Parsed, never run.

What its functions compute is laid out where they are called (`rnnprobe.formats.inline`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rnnprobe.errors import BadInput
from rnnprobe.formats import files, inline, protos

META = ".meta"
SERVE = "serve"  # the tag of the graph that is meant for use
_RUN_ON_LOADING = {"__saved_model_init_op", "__saved_model_train_op"}


def beside(prefix: Path) -> tuple[Any, str]:
    """The `MetaGraphDef` of `PREFIX.meta` and the release that wrote it; None and empty where there is no such file.

    Raises:
        BadInput: there is one, and it can't be parsed.
    """
    path = files.beside(prefix, META)
    if not path.exists():
        return None, ""
    try:
        parsed = flat(_meta_graph(files.read(path, 0, files.length(path)), path))
    except BadInput as exc:
        exc.hint = "without this file the weights alone can still be read"
        raise
    return parsed, writer(parsed)


def saved_model(path: Path) -> tuple[Any, str, tuple[str, ...]]:
    """The `MetaGraphDef` of a `saved_model.pb` that is meant for use, the release that wrote it, and notes.

    Raises:
        BadInput: it can't be parsed, or holds no graph.
    """
    stored = protos.parse("SavedModel", files.read(path, 0, files.length(path)), "the SavedModel", path)
    graphs = [_meta_graph(data, path) for data in stored.meta_graphs]
    if not graphs:
        raise BadInput("holds no graph: it is no SavedModel", path=path)
    tags = [sorted(graph.meta_info_def.tags) for graph in graphs]
    chosen = next((k for k, names in enumerate(tags) if names == [SERVE]), None)
    if chosen is None:
        chosen = next((k for k, names in enumerate(tags) if SERVE in names), 0)
    notes: tuple[str, ...] = ()
    if len(graphs) > 1:
        named = "; ".join("+".join(names) or "untagged" for names in tags)
        notes = (f"of its {len(graphs)} graphs ({named}) the one tagged {'+'.join(tags[chosen]) or 'nothing'} is read",)
    return flat(graphs[chosen]), writer(graphs[chosen]), notes


def signatures(parsed: Any) -> dict[str, Any]:
    """What a MetaGraphDef offers to callers, by name: its SignatureDefs; none for a GraphDef.

    What TensorFlow keeps among them as well, an op to run when the model is loaded or trained, is left out.
    """
    stored = getattr(parsed, "signature_def", {})
    return {name: stored[name] for name in sorted(stored) if name not in _RUN_ON_LOADING}


def definition(parsed: Any) -> Any:
    """The GraphDef of a MetaGraphDef, or a GraphDef as it stands."""
    return parsed.graph_def if hasattr(parsed, "graph_def") else parsed


def flat(parsed: Any) -> Any:
    """A MetaGraphDef or GraphDef with the calls in its graph laid out (`rnnprobe.formats.inline`)."""
    inner = definition(parsed)
    laid_out = inline.flat(inner)
    if inner is parsed:
        return laid_out
    if laid_out is not inner:
        inner.CopyFrom(laid_out)
    return parsed


def _meta_graph(data: bytes, path: Path) -> Any:
    from tensorboard.compat.proto import meta_graph_pb2

    parsed = protos.decode(meta_graph_pb2.MetaGraphDef(), data, "the graph", path)
    if not parsed.graph_def.node and not parsed.graph_def.library.function and not parsed.object_graph_def.nodes:
        raise BadInput("holds no graph: not one operation is in it", path=path)
    return parsed


def writer(parsed: Any) -> str:
    """The release that wrote a MetaGraphDef, or empty."""
    version = parsed.meta_info_def.tensorflow_version
    return f"TensorFlow {version}" if version else ""
