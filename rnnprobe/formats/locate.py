"""From what a user has in hand to what a format reads: a prefix, a file or a directory.

`checkpoint` files, in which TensorFlow names the newest checkpoint of a directory, come from somebody else as the rest
does: they never lead out of their directory, and a path of the machine that wrote them stands for its last part.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from rnnprobe.errors import BadInput, Refused
from rnnprobe.formats import files, frozen, graph, saved_model, v1
from rnnprobe.formats.format import Format
from rnnprobe.formats.natural import natural
from rnnprobe.formats.shards import INDEX, SHARD

STATE = "checkpoint"
MAX_STATE = 1 << 24  # bytes of a `checkpoint` file
LISTED = 12  # names in an error
SEARCHED = 50  # folders looked through for a hint

_PATH = re.compile(
    r"""^\s*(model_checkpoint_path|all_model_checkpoint_paths)\s*:\s*(["'])((?:[^\\\n]|\\.)*?)\2""", re.M
)


def locate(path: Path, formats: Sequence[Format]) -> Path:
    """The prefix, file or directory that one of `formats` reads.

    Raises:
        BadInput: there is nothing of the kind, or several; the hint lists what was found there.
        Refused: a `checkpoint` file names something outside of its directory.
    """
    if "\0" in str(path):
        raise BadInput(f"{str(path)!r} is no path: a NUL is in it")
    if path.is_dir() and not saved_model.matches(path):
        return _in_directory(path, formats)
    if files.is_file(path):
        return _file(path, formats)
    if path.is_dir() or files.is_file(files.beside(path, INDEX)) or v1.matches(path):
        return path
    if path.exists():
        raise BadInput("is neither a regular file nor a directory", path=path)
    raise _nothing(path, formats)


def checkpoints(directory: Path, formats: Sequence[Format]) -> list[Path]:
    """Every checkpoint in a directory, each once, in natural order: `ckpt-9` before `ckpt-10`. Raises `BadInput`."""
    found: set[Path] = set()
    for entry in _list(directory):
        name = entry.name
        if name.endswith(INDEX):
            found.add(entry.with_name(name.removesuffix(INDEX)))
        elif entry.is_dir():
            if saved_model.matches(entry):
                found.add(entry)
        elif not (SHARD.search(name) or name.endswith(graph.META)) and any(f.matches(entry) for f in formats):
            found.add(entry.with_name(v1.SHARD.sub("", name)))
    # A configuration or a graph beside them is no second checkpoint.
    weights = {path for path in found if path.suffix not in (".json", *frozen.SUFFIXES)}
    return sorted(weights or found, key=_by_name)


def _by_name(path: Path) -> list[tuple[int, str]]:
    return natural(path.name)


def state(path: Path) -> tuple[Path | None, tuple[Path, ...]]:
    """The newest checkpoint that a `checkpoint` file names, and all that it names, oldest first.

    Raises:
        BadInput: it can't be read, or names nothing.
        Refused: the newest lies outside of its directory. Older ones that do are left out.
    """
    size = files.length(path)
    if size > MAX_STATE:
        raise BadInput(f"has {size} bytes; a file that lists checkpoints has a few hundred", path=path)
    newest, every = None, []
    for key, _, quoted in _PATH.findall(files.read(path, 0, size).decode("utf-8", "replace")):
        named = _inside(path, _unquote(quoted))
        if key != "model_checkpoint_path":
            every += [named] if named is not None else []
        elif named is None:
            raise Refused(
                f"names {_unquote(quoted)!r}, which is not in its directory",
                path=path,
                hint="give the checkpoint itself",
            )
        else:
            newest = named
    if newest is None and not every:
        raise BadInput('names no checkpoint: expected a line model_checkpoint_path: "…"', path=path)
    return newest, tuple(every)


def _unquote(text: str) -> str:
    from google.protobuf import text_encoding

    return text_encoding.CUnescape(text).decode("utf-8", "replace")


def _inside(state_file: Path, named: str) -> Path | None:
    """A path that a `checkpoint` file names, as a path beside it; None where it leads elsewhere."""
    plain = named.replace("\\", "/")
    directory = state_file.parent
    if plain.startswith("/") or re.match(r"[A-Za-z]:|[a-z0-9]+://", plain):
        plain = plain.rpartition("/")[2]
    parts = PurePosixPath(plain).parts
    target = directory.joinpath(*parts)
    if not parts or ".." in parts or "\0" in plain or not target.parent.resolve().is_relative_to(directory.resolve()):
        return None
    return target


def _file(path: Path, formats: Sequence[Format]) -> Path:
    """What a file that exists belongs to."""
    name = path.name
    if name == saved_model.GRAPH:
        if not files.is_file(path.parent / "variables" / f"variables{INDEX}"):
            raise BadInput(
                f"is the graph of a SavedModel whose weights, variables/variables{INDEX}, are not beside it",
                path=path,
                hint="give the whole SavedModel, or its directory to see what the graph alone tells",
            )
        return path.parent
    member = SHARD.search(name)
    if member or name.endswith((INDEX, graph.META)):
        prefix = path.with_name(SHARD.sub("", name) if member else name.rpartition(".")[0])
        if files.is_file(files.beside(prefix, INDEX)) or (name.endswith(graph.META) and v1.matches(prefix)):
            return prefix
        what = "a shard of a checkpoint" if member else "the graph of a checkpoint"
        raise BadInput(
            f"is {what} whose index {prefix.name}{INDEX} is not beside it",
            path=path,
            hint=_found(path.parent, prefix.name, formats),
        )
    if files.is_file(files.beside(path, INDEX)):
        return path
    if name == STATE and not v1.matches(path):
        return _newest(path, formats)
    shard = v1.SHARD.search(name)
    return path.with_name(v1.SHARD.sub("", name)) if shard and v1.matches(path) else path


def _in_directory(directory: Path, formats: Sequence[Format]) -> Path:
    """The checkpoint that a directory stands for."""
    if files.is_file(directory / STATE) and not v1.matches(directory / STATE):
        return _newest(directory / STATE, formats)
    found = checkpoints(directory, formats)
    if len(found) == 1:
        return found[0]
    if files.is_file(files.beside(directory, INDEX)):
        return directory
    if not found:
        raise BadInput("no checkpoint is in this directory", path=directory, hint=_found(directory, "", formats))
    raise BadInput(
        f"{len(found)} checkpoints are in this directory, and no `{STATE}` file says which is the newest",
        path=directory,
        hint=f"name one of {_names([path.name for path in found])}",
    )


def _newest(state_file: Path, formats: Sequence[Format]) -> Path:
    """The newest checkpoint of a directory, as its `checkpoint` file names it."""
    newest, every = state(state_file)
    named = newest or every[-1]
    name = v1.SHARD.sub("", named.name.replace("?????", "00000"))  # TensorFlow's way to name a sharded V1 checkpoint
    for folder in (named.parent, state_file.parent):  # a path may be relative to where the training ran
        if any(format.matches(folder / name) for format in formats):
            return folder / name
    raise BadInput(
        f"names {named.name} as the newest checkpoint, which is not there",
        path=state_file,
        hint=_found(state_file.parent, named.name, formats),
    )


def _nothing(path: Path, formats: Sequence[Format]) -> BadInput:
    """The error for a path at which there is nothing: what there is, nearest to it."""
    missing = path
    while not missing.parent.is_dir() and missing.parent != missing:
        missing = missing.parent
    if missing != path:
        folders = [entry.name for entry in _list(missing.parent) if entry.is_dir()]
        close = difflib.get_close_matches(missing.name, folders, 3)
        hint = f"did you mean {' or '.join(close)}?" if close else f"found there: {_names(folders)}"
        return BadInput(f"there is no directory {missing.name} in {missing.parent}", path=path, hint=hint)
    hint = _found(path.parent, path.name, formats)
    data = [name for name in without_index(path.parent) if name == path.name]
    if data:
        return BadInput(f"its data is there, its index {path.name}{INDEX} is not", path=path, hint=hint)
    return BadInput("there is no such checkpoint", path=path, hint=hint)


def without_index(directory: Path) -> list[str]:
    """The prefixes of a directory that have data files and no index, in natural order. Raises `BadInput`."""
    names = {SHARD.sub("", entry.name) for entry in _list(directory) if SHARD.search(entry.name)}
    paths = (directory / name for name in names)
    return [path.name for path in sorted(paths, key=_by_name) if not files.is_file(files.beside(path, INDEX))]


def _found(directory: Path, wanted: str, formats: Sequence[Format]) -> str:
    """What a directory holds, for a hint: names close to `wanted` first, then checkpoints, else anything."""
    entries = _list(directory)
    folders = [entry for entry in entries if entry.is_dir()]
    found = [path.name for path in checkpoints(directory, formats)]
    close = difflib.get_close_matches(wanted, dict.fromkeys([*found, *(folder.name for folder in folders)]), 3)
    close += [name for name in found if wanted and name.startswith(wanted) and name not in close]
    listed = found or [entry.name for entry in entries]
    if close:
        return f"did you mean {' or '.join(close[:3])}? found there: {_names(listed)}"
    if found:
        return f"found there: {_names(found)}"
    below = _below(directory, formats)
    if below:
        return f"found below it: {_names(below)}"
    return f"found there, and no checkpoint: {_names(listed)}" if listed else "it is empty"


def _below(directory: Path, formats: Sequence[Format]) -> list[str]:
    """The checkpoints in the folders below a directory, as paths from it; of a large tree only the nearest."""
    found: list[str] = []
    folders = [directory]
    for folder in folders:  # grows as it is walked, nearest first
        if len(folders) < SEARCHED:
            folders += [entry for entry in _list(folder) if entry.is_dir() and not entry.is_symlink()]
        if folder != directory:
            found += [str(path.relative_to(directory)) for path in checkpoints(folder, formats)]
    return found


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def _list(directory: Path) -> list[Path]:
    """What is in a directory, hidden names left out, in natural order."""
    try:
        return sorted((entry for entry in directory.iterdir() if not entry.name.startswith(".")), key=_by_name)
    except OSError as exc:
        raise BadInput(f"can't be listed: {exc.strerror}", path=directory) from exc
