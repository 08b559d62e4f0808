"""Pickles of plain containers, read by a machine of its own that has no way to run anything.

A pickle is a program for a stack machine (the opcodes are documented in Python's `pickletools`). This one knows those
that push numbers, text and bytes and those that build tuples, lists, dicts and sets. What would import or call a name
is refused by that name, but for a few of the standard library's containers, which become plain ones here:
`OrderedDict`, `defaultdict`, `Counter`, `dict`, `list`, `tuple`, `set`, `frozenset`; and `_codecs.encode`, by which
Python 3 writes bytes for Python 2. Nesting can't overflow the C stack, since keys are no containers.
"""

from __future__ import annotations

import codecs
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rnnprobe.errors import BadInput, Refused

_MARK = object()
_BUILTINS = ("dict", "list", "tuple", "set", "frozenset", "int", "long", "float", "str", "bytes", "unicode")
_PLAIN = {
    "collections": ("OrderedDict", "defaultdict", "Counter"),
    "builtins": _BUILTINS,
    "__builtin__": _BUILTINS,
    "_codecs": ("encode",),
}
"""What may be named: no more than what `_container` makes, and the types that a `defaultdict` is given."""


@dataclass(frozen=True, slots=True)
class _Name:
    """A global that the pickle names; it is never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


def loads(data: bytes) -> Any:
    """What a pickle holds, of dicts, lists, tuples, sets, text, bytes, numbers, booleans and None.

    Raises:
        BadInput: it is cut off or damaged.
        Refused: it names something to import, or needs an opcode that calls something; the message names it.
    """
    machine = _Machine(data)
    try:
        while not machine.done:
            machine.step()
    except (IndexError, KeyError, struct.error) as exc:
        raise BadInput(f"the pickle is damaged at byte {machine.at}") from exc
    except TypeError as exc:  # a list as a key of a dict
        raise BadInput(f"the pickle is damaged at byte {machine.at}: {exc}") from exc
    except (ValueError, OverflowError) as exc:
        raise BadInput(f"the pickle is damaged at byte {machine.at}: {str(exc)[:200]}") from exc
    return machine.stack[-1]


class _Machine:
    """The stack, the memo, and where in the data it is."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.done = False
        self.copied = 0

    def step(self) -> None:
        """One opcode."""
        code = self.take(1)
        operation = _OPCODES.get(code)
        if operation is None:
            raise _unknown(code, self.at - 1)
        operation(self)

    def take(self, size: int) -> bytes:
        """The next bytes."""
        if size < 0 or size > len(self.data) - self.at:
            raise BadInput(f"the pickle is cut off: {size} bytes wanted at byte {self.at}, {len(self.data)} in all")
        self.at += size
        return self.data[self.at - size : self.at]

    def line(self) -> bytes:
        """The next bytes up to a line break."""
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise BadInput(f"the pickle is cut off in a line that begins at byte {self.at}")
        return self.take(end + 1 - self.at)[:-1]

    def number(self, layout: str) -> Any:
        """The next bytes as a number, in the letters of `struct`."""
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def marked(self) -> list[Any]:
        """What lies above the topmost mark, taken off with it."""
        items: list[Any] = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def count(self, size: int) -> None:
        """Keeps copies of remembered containers within what an honest pickle needs."""
        self.copied += size
        if self.copied > 4 * len(self.data) + 1000:
            raise BadInput("the pickle copies its containers over and over")


def _unknown(code: bytes, at: int) -> BadInput | Refused:
    import pickletools

    known = next((each.name for each in pickletools.opcodes if each.code.encode("latin-1") == code), "")
    if not known:
        return BadInput(f"is no pickle: byte {at} is {code!r}, which is no opcode")
    return Refused(
        f"the pickle needs {known} at byte {at}, which only running it could do",
        hint="json.dump of a {token: id} dict is read",
    )


def _key(value: Any) -> Any:
    if value is None or isinstance(value, str | bytes | int | float):
        return value
    raise BadInput(f"the pickle has a {type(value).__name__} as a key; expected text or a number")


def _fill(target: Any, pairs: list[Any]) -> None:
    if type(target) is not dict or len(pairs) % 2:
        raise BadInput("the pickle sets items of what is no dict")
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        target[_key(key)] = value


def _extend(target: Any, items: list[Any]) -> None:
    if type(target) is not list:
        raise BadInput("the pickle appends to what is no list")
    target += items


def _import(module: str, name: str) -> _Name:
    found = _Name(module, name)
    if name in _PLAIN.get(module, ()):
        return found
    raise Refused(
        f"the pickle asks for {found}, which could do anything",
        hint="it was not looked up; save plain data instead: json.dump of a {token: id} dict"
        + (", for a Keras tokenizer tokenizer.to_json()" if "Tokenizer" in name else ""),
    )


def _reduce(machine: _Machine) -> None:
    """A call: of one of the containers, which is made here."""
    arguments = machine.stack.pop()
    name = machine.stack.pop()
    if type(name) is not _Name or type(arguments) is not tuple:
        raise Refused("the pickle calls what it has built", hint="json.dump of a {token: id} dict is read")
    first = arguments[0] if arguments else ()
    if isinstance(first, list | tuple | dict):
        machine.count(len(first))
    machine.stack.append(_container(name.name, arguments, first))


def _container(name: str, arguments: tuple[Any, ...], first: Any) -> Any:
    if name == "encode" and len(arguments) == 2 and type(first) is str and arguments[1] in ("latin1", "latin-1"):
        return first.encode("latin-1")
    if name == "bytes" and not arguments:
        return b""
    if name == "defaultdict" and len(arguments) <= 1:
        return {}
    if name in ("OrderedDict", "Counter", "dict") and len(arguments) <= 1:
        if isinstance(first, dict):
            return dict(first)
        if isinstance(first, list | tuple) and all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in first):
            return {_key(key): value for key, value in first}
    if name in ("list", "tuple", "set", "frozenset") and len(arguments) <= 1 and isinstance(first, list | tuple):
        return tuple(first) if name == "tuple" else list(first)
    raise Refused(f"the pickle calls {name} in a way that is not known")


def _push(read: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(read(machine))


def _sized(layout: str) -> Callable[[_Machine], bytes]:
    """Bytes with their count in front."""
    return lambda machine: machine.take(machine.number(layout))


def _text(layout: str) -> Callable[[_Machine], str]:
    return lambda machine: _sized(layout)(machine).decode("utf-8", "surrogatepass")


def _quoted(machine: _Machine) -> bytes:
    """Python 2's `repr` of a `str`."""
    line = machine.line().strip()
    if len(line) < 2 or line[:1] not in (b"'", b'"') or line[-1:] != line[:1]:
        raise BadInput(f"the pickle holds a string without quotes at byte {machine.at}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # escapes that `repr` never writes
        decoded: bytes = codecs.escape_decode(line[1:-1])[0]
    return decoded


def _int(machine: _Machine) -> Any:
    line = machine.line()
    return {b"00": False, b"01": True}[line] if line in (b"00", b"01") else _decimal(line)


def _decimal(line: bytes) -> int:
    digits = line.removesuffix(b"L")
    if len(digits.removeprefix(b"-")) > 40:
        raise BadInput("the pickle holds an integer of more than 40 digits")
    return int(digits)


def _long(layout: str) -> Callable[[_Machine], int]:
    def read(machine: _Machine) -> int:
        digits = _sized(layout)(machine)
        if len(digits) > 16:
            raise BadInput(f"the pickle holds an integer of {len(digits)} bytes")
        return int.from_bytes(digits, "little", signed=True)

    return read


def _remember(key: Callable[[_Machine], int]) -> Callable[[_Machine], None]:
    return lambda machine: machine.memo.__setitem__(key(machine), machine.stack[-1])


def _recall(key: Callable[[_Machine], int]) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(machine.memo[key(machine)])


def _number(layout: str) -> Callable[[_Machine], Any]:
    return lambda machine: machine.number(layout)


def _last(count: int) -> Callable[[_Machine], None]:
    def build(machine: _Machine) -> None:
        if len(machine.stack) < count:
            raise IndexError
        items = machine.stack[len(machine.stack) - count :]
        del machine.stack[len(machine.stack) - count :]
        machine.stack.append(tuple(items))

    return build


def _append(machine: _Machine) -> None:
    item = machine.stack.pop()
    _extend(machine.stack[-1], [item])


def _appends(machine: _Machine) -> None:
    items = machine.marked()
    _extend(machine.stack[-1], items)


def _set_item(machine: _Machine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    _fill(machine.stack[-1], [key, value])


def _set_items(machine: _Machine) -> None:
    items = machine.marked()
    _fill(machine.stack[-1], items)


def _dict(machine: _Machine) -> None:
    target: dict[Any, Any] = {}
    _fill(target, machine.marked())
    machine.stack.append(target)


def _stack_global(machine: _Machine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise BadInput("the pickle names a global that is no text")
    machine.stack.append(_import(module, name))


def _global(machine: _Machine) -> None:
    module, name = machine.line().decode("utf-8"), machine.line().decode("utf-8")
    machine.stack.append(_import(module, name))


def _inst(machine: _Machine) -> None:
    """An instance of an old class: none is plain, so that this refuses by name."""
    _global(machine)
    raise Refused("the pickle holds an instance of a class", hint="json.dump of a {token: id} dict is read")


def _protocol(machine: _Machine) -> None:
    version = machine.number("<B")
    if version > 5:
        raise BadInput(f"the pickle is of protocol {version}; expected 0 to 5")


def _stop(machine: _Machine) -> None:
    if not machine.stack or machine.stack[-1] is _MARK:
        raise IndexError
    machine.done = True


_OPCODES: dict[bytes, Callable[[_Machine], None]] = {
    b"\x80": _protocol,
    b"\x95": lambda machine: machine.number("<Q"),  # FRAME: only a hint for reading ahead
    b".": _stop,
    b"(": lambda machine: machine.stack.append(_MARK),
    b"0": lambda machine: machine.stack.__delitem__(-1),
    b"1": lambda machine: machine.marked().clear(),
    b"2": lambda machine: machine.stack.append(machine.stack[-1]),
    b"N": _push(lambda machine: None),
    b"\x88": _push(lambda machine: True),
    b"\x89": _push(lambda machine: False),
    b"I": _push(_int),
    b"L": _push(lambda machine: _decimal(machine.line())),
    b"J": _push(_number("<i")),
    b"K": _push(_number("<B")),
    b"M": _push(_number("<H")),
    b"\x8a": _push(_long("<B")),
    b"\x8b": _push(_long("<i")),
    b"F": _push(lambda machine: float(machine.line())),
    b"G": _push(_number(">d")),
    b"S": _push(_quoted),
    b"T": _push(_sized("<i")),
    b"U": _push(_sized("<B")),
    b"B": _push(_sized("<I")),
    b"C": _push(_sized("<B")),
    b"\x8e": _push(_sized("<Q")),
    b"\x96": _push(_sized("<Q")),
    b"V": _push(lambda machine: machine.line().decode("raw-unicode-escape")),
    b"X": _push(_text("<I")),
    b"\x8c": _push(_text("<B")),
    b"\x8d": _push(_text("<Q")),
    b")": _push(lambda machine: ()),
    b"]": _push(lambda machine: []),
    b"}": _push(lambda machine: {}),
    b"\x8f": _push(lambda machine: []),  # a set: kept as a list, which has the same items
    b"t": lambda machine: machine.stack.append(tuple(machine.marked())),
    b"\x85": _last(1),
    b"\x86": _last(2),
    b"\x87": _last(3),
    b"l": lambda machine: machine.stack.append(machine.marked()),
    b"\x91": lambda machine: machine.stack.append(machine.marked()),  # a frozenset
    b"d": _dict,
    b"a": _append,
    b"e": _appends,
    b"\x90": _appends,  # ADDITEMS
    b"s": _set_item,
    b"u": _set_items,
    b"p": _remember(lambda machine: _decimal(machine.line())),
    b"q": _remember(_number("<B")),
    b"r": _remember(_number("<I")),
    b"\x94": _remember(lambda machine: len(machine.memo)),
    b"g": _recall(lambda machine: _decimal(machine.line())),
    b"h": _recall(_number("<B")),
    b"j": _recall(_number("<I")),
    b"c": _global,
    b"\x93": _stack_global,
    b"i": _inst,
    b"R": _reduce,
}
