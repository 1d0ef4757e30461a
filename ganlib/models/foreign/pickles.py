"""Pickles read as data, by an interpreter of the format that has no way to call anything a file names.

Python's unpickler imports and calls what a file asks for; restricting it still leaves its attribute setting and its
memory to the file. Here a name is looked up in a table, where it stands for a function of ours that checks its
arguments and returns an inert value; every other name ends the reading. Work and memory are bounded by the file's size.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from ganlib.base.errors import CheckpointError

DAMAGED_HINT = "the file is damaged or was not fully copied; download it again"
REFUSED_HINT = "nothing in the file was run; get the model from its author as a plain snapshot, and trust this one less"
UNKNOWN_HINT = "a tool or a fork with code of its own made it; ask its author for a plain snapshot"
MOST_STEPS = 250_000  # a StyleGAN2 snapshot of 1024 px takes about 60 000
MOST_LINE_BYTES = 2**16
_MALFORMED = (
    ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, EOFError, AssertionError, struct.error,
)  # fmt: skip


def damaged_error(what: str) -> CheckpointError:
    """The error for a file that is not what its own numbers say."""
    return CheckpointError(what, DAMAGED_HINT)


def refused_error(what: str) -> CheckpointError:
    """The error for a file that asks for what no model needs."""
    return CheckpointError(what, REFUSED_HINT)


def short(value: object) -> str:
    """Text of an unknown author for a message: printable, at most 80 letters."""
    text = value if isinstance(value, str) else f"a {type(value).__name__}"
    text = "".join(c if c.isprintable() else "?" for c in text[:81])
    return text if len(text) <= 80 else f"{text[:79]}…"


class Budget:
    """What reading one file may still cost; raises `CheckpointError` when it is spent."""

    def __init__(self, file_bytes: int) -> None:
        self._steps = MOST_STEPS
        self._bytes = 2 * file_bytes + 2**20

    def step(self, count: int = 1) -> None:
        """Spend operations."""
        self._steps -= count
        if self._steps < 0:
            raise refused_error(f"reading it takes over {MOST_STEPS} operations, far more than a model needs")

    def copy(self, count: int) -> None:
        """Spend bytes that a value adds to those of the file."""
        self._bytes -= count
        if self._bytes < 0:
            raise refused_error("it unfolds to far more data than its size")


class Stream:
    """A seekable binary file whose reads never ask for more than is there, since the length comes from the file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self.size = file, size
        self.most_bytes = size
        """Largest single read."""

    def read(self, count: int = -1) -> bytes:
        """Return `count` bytes, or all that are left; raises `CheckpointError` where there are fewer."""
        left = max(0, self.size - self._file.tell())
        count = left if count is None or count < 0 else count
        if count > left:
            raise damaged_error(f"it ends {count - left} bytes early")
        if count > self.most_bytes:
            raise refused_error(f"a table in it takes {count} bytes")
        return self._file.read(count)

    def readline(self) -> bytes:
        """Return one line, which must not be endless."""
        line = self._file.readline(MOST_LINE_BYTES)
        if len(line) == MOST_LINE_BYTES:
            raise damaged_error("a name in it has no end")
        if b"\\" in line:
            raise refused_error("a name in it has a backslash")
        return line

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move, as `io.IOBase.seek`."""
        return self._file.seek(offset, whence)

    def seekable(self) -> bool:
        """Return True; archives ask."""
        return True


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Name:
    """A name of the table as a value on the stack."""

    name: str
    make: Callable[..., Any] | None = None
    """`make(reader, *arguments)` → an inert value; None where the name only marks something."""
    meaning: Any = None
    """What it marks."""


class Inert:
    """A value that takes a state from the file; it has no behaviour that a file could reach."""

    __slots__ = ()

    def build(self, state: Any, budget: Budget) -> None:
        """Take the state, or raise `CheckpointError`."""
        raise refused_error("it sets attributes of a value that has none")


Table = Mapping[str, Name]
Persistent = Callable[[Any], Any]


class PickleReader:
    """Reads pickles from a stream; raises `CheckpointError` for damaged and for refused ones."""

    def __init__(self, table: Table, budget: Budget, asked: set[str], persistent: Persistent | None = None) -> None:
        self.table, self.budget, self.asked, self.persistent = table, budget, asked, persistent
        """`asked` collects the names that files ask for, allowed ones and the refused."""
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def read(self, stream: Stream) -> Any:
        """Return the value of the pickle at the stream's position and leave the stream behind its end."""
        self._stack, self._marks, self._memo = [], [], {}
        try:
            for opcode, argument, _ in pickletools.genops(stream):  # type: ignore[arg-type]  # it reads with these
                self.budget.step()
                if opcode.name in _PUSHED:
                    self._stack.append(argument)
                elif opcode.name in _EMPTY:
                    self._stack.append(_EMPTY[opcode.name]())
                elif opcode.name in _HANDLERS:
                    _HANDLERS[opcode.name](self, argument)
                elif opcode.name not in ("FRAME", "PROTO", "STOP"):
                    raise refused_error(f"it uses the operation {opcode.name} of the pickle format")
            return self._pop()
        except _MALFORMED as error:
            raise damaged_error("it is not a whole pickle") from error

    # ---- Stack -----------------------------------------------------------------------------------------------------

    def _pop(self) -> Any:
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise damaged_error("it is not a whole pickle: a value is missing")
        return self._stack.pop()

    def _take(self, count: int) -> tuple[Any, ...]:
        return tuple(reversed([self._pop() for _ in range(count)]))

    def _since_mark(self) -> list[Any]:
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _mark(self, _: Any) -> None:
        self._marks.append(len(self._stack))

    def _drop(self, _: Any) -> None:
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self._pop()

    def _drop_to_mark(self, _: Any) -> None:
        self._since_mark()

    def _repeat(self, _: Any) -> None:
        value = self._pop()
        self._stack += [value, value]

    def _put(self, index: Any) -> None:
        value = self._pop()
        self._memo[len(self._memo) if index is None else int(index)] = value
        self._stack.append(value)

    def _get(self, index: Any) -> None:
        self._stack.append(self._memo[int(index)])

    # ---- Containers ------------------------------------------------------------------------------------------------

    def _tuple(self, count: int | None) -> None:
        self._stack.append(tuple(self._since_mark()) if count is None else self._take(count))

    def _list(self, _: Any) -> None:
        self._stack.append(self._since_mark())

    def _dict(self, _: Any) -> None:
        items = self._since_mark()
        self._stack.append({})
        self._set_items(items)

    def _frozenset(self, _: Any) -> None:
        self._stack.append(frozenset(map(plain_key, self._since_mark())))

    def _append(self, items: list[Any]) -> None:
        target = self._top(list)
        target.extend(items)

    def _add(self, _: Any) -> None:
        items = self._since_mark()
        self._top(set).update(map(plain_key, items))

    def _set_items(self, items: list[Any]) -> None:
        target = self._top(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[plain_key(key)] = value

    def _top(self, kind: type) -> Any:
        value = self._pop()
        if type(value) is not kind:
            raise refused_error(f"it fills {short(value)} as if it were a {kind.__name__}")
        self._stack.append(value)
        return value

    # ---- Names and what they make ----------------------------------------------------------------------------------

    def _name(self, dotted: str) -> None:
        self.asked.add(short(dotted))
        if dotted not in self.table:
            raise CheckpointError(
                f"it asks for {short(dotted)}, which no known model format needs: refused, and not run", UNKNOWN_HINT
            )
        self._stack.append(self.table[dotted])

    def _name_of_line(self, line: Any) -> None:
        self._name(".".join(str(line).split(" ", 1)))

    def _name_of_stack(self, _: Any) -> None:
        module, name = self._take(2)
        if not isinstance(module, str) or not isinstance(name, str):
            raise refused_error("it asks for something whose name is no text")
        self._name(f"{module}.{name}")

    def _make(self, _: Any) -> None:
        target, arguments = self._take(2)
        if not isinstance(target, Name) or target.make is None or type(arguments) is not tuple:
            called = target.name if isinstance(target, Name) else short(target)
            raise refused_error(f"it calls {called}, which is only a value")
        try:
            self._stack.append(target.make(self, *arguments))
        except _MALFORMED as error:
            raise refused_error(f"it uses {target.name} with arguments that make no sense") from error

    def _build(self, _: Any) -> None:
        target, state = self._take(2)
        if isinstance(target, Inert):
            target.build(state, self.budget)
        elif type(target) is not dict:  # attributes of a mapping, such as the versions of a state dict, say nothing
            raise refused_error(f"it sets attributes of {target.name if isinstance(target, Name) else short(target)}")
        self._stack.append(target)

    def _external(self, _: Any) -> None:
        if self.persistent is None:
            raise refused_error("it refers to data outside itself")
        self._stack.append(self.persistent(self._pop()))


def plain_key(key: Any) -> Any:
    """Return the key of a mapping: text, a whole number or nothing. Others could be slow to compare without end."""
    if isinstance(key, str | bytes) or key is None or (isinstance(key, int) and abs(key) < 2**63):
        return key
    raise refused_error(f"a mapping in it has {short(key)} as a key")


_PUSHED = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
_EMPTY: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
    "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict, "EMPTY_SET": set,
}  # fmt: skip
_R = PickleReader
_HANDLERS: dict[str, Callable[[PickleReader, Any], None]] = {
    "MARK": _R._mark, "POP": _R._drop, "POP_MARK": _R._drop_to_mark, "DUP": _R._repeat,
    "PUT": _R._put, "BINPUT": _R._put, "LONG_BINPUT": _R._put, "MEMOIZE": _R._put,
    "GET": _R._get, "BINGET": _R._get, "LONG_BINGET": _R._get,
    "TUPLE": lambda self, _: self._tuple(None), "TUPLE1": lambda self, _: self._tuple(1),
    "TUPLE2": lambda self, _: self._tuple(2), "TUPLE3": lambda self, _: self._tuple(3),
    "LIST": _R._list, "DICT": _R._dict, "FROZENSET": _R._frozenset,
    "APPEND": lambda self, _: self._append([self._pop()]),
    "APPENDS": lambda self, _: self._append(self._since_mark()), "ADDITEMS": _R._add,
    "SETITEM": lambda self, _: self._set_items(list(self._take(2))),
    "SETITEMS": lambda self, _: self._set_items(self._since_mark()),
    "GLOBAL": _R._name_of_line, "STACK_GLOBAL": _R._name_of_stack,
    "REDUCE": _R._make, "NEWOBJ": _R._make, "BUILD": _R._build, "BINPERSID": _R._external,
}  # fmt: skip
