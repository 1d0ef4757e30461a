"""Command-line flags from dataclasses, and the flags that several verbs share."""

from __future__ import annotations

import argparse
import ast
import inspect
import textwrap
import types
import typing
from collections.abc import Callable, Collection
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlib.errors import InputError

if TYPE_CHECKING:
    from ganlib.checkpoints import Checkpoint
    from ganlib.renderer import Renderer

CHECKPOINTS = Path("checkpoints")


def printable(text: str) -> str:
    """`text` without effect on a terminal: what is not printable is written as an escape, such as \\x1b."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def add_network_flags(parser: argparse.ArgumentParser) -> None:
    """`--network` and `--device`, as `open_renderer` reads them."""
    parser.add_argument(
        "--network", required=True, metavar="MODEL", help="a model file, or the name of one in checkpoints/"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: %(default)s)")


def open_renderer(args: argparse.Namespace) -> Renderer:
    """The renderer that `--network` and `--device` name."""
    from ganlib.checkpoints import find_checkpoint
    from ganlib.renderer import Renderer

    return Renderer.open(find_checkpoint(args.network, CHECKPOINTS), device=args.device)


def read_label(text: str | None, card: Checkpoint) -> int | None:
    """The number of a class that `--class` names by number or by name; None where it is not given. Raises InputError
    for one that the model does not have."""
    if text is None:
        return None
    count = card.spec.label_dim
    if count == 0:
        raise InputError(f"--class {text}: this model has no classes", "leave --class out")
    if text in card.classes:
        return card.classes.index(text)
    if not text.isdecimal() or int(text) >= count:
        names = f" ({', '.join(card.classes)})" if card.classes else ""
        raise InputError(f"class {text} does not exist", f"this model has classes 0 … {count - 1}{names}")
    return int(text)


def read_classes(text: str, card: Checkpoint) -> list[int]:
    """The numbers of one class or more, by number or name, with commas between. Raises InputError as `read_label`."""
    parts = [text] if text in card.classes else [part.strip() for part in text.split(",")]
    return [label for part in parts if (label := read_label(part, card)) is not None]


def flags_from_dataclass(
    parser: argparse.ArgumentParser, cls: type, *, skip: Collection[str] = (), required: Collection[str] = ()
) -> None:
    """One flag per field: `snap_kimg: float = 50` becomes `--snap-kimg X`.

    bool becomes `--mirror` and `--no-mirror`; `Literal` becomes choices; a tuple is written `1,2,3`; a field that may
    be None accepts the word `none`. The help text is the field's metadata `help`, or the string under the field, with
    its metadata `choices`. Flags not given are absent from the namespace, so that defaults are stated once, in the
    dataclass.
    """
    texts = _strings_under_fields(cls)
    hints = typing.get_type_hints(cls)
    for item in fields(cls):
        if item.name in skip:
            continue
        default = "" if item.name in required else _default_text(item)
        text = str(item.metadata.get("help") or texts.get(item.name, ""))
        if choices := item.metadata.get("choices"):
            text += f"; one of {', '.join(choices)}"
        parser.add_argument(
            f"--{item.name.replace('_', '-')}",
            dest=item.name,
            required=item.name in required,
            default=argparse.SUPPRESS,
            help=(text + default).strip().replace("%", "%%"),
            **_reading(hints[item.name]),
        )


def values_from_flags(cls: type, args: argparse.Namespace) -> dict[str, Any]:
    """The fields of `cls` that were given as flags; pass them on as `cls(**values)`."""
    return {item.name: getattr(args, item.name) for item in fields(cls) if hasattr(args, item.name)}


def _reading(hint: Any) -> dict[str, Any]:
    """The argparse options that read a value of type `hint`."""
    alternatives = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    kinds = [kind for kind in alternatives if kind is not types.NoneType]
    if len(kinds) != 1:
        raise TypeError(f"no flag can be made for {hint}")
    kind = kinds[0]
    if kind is bool:  # where it may be None, that is what leaving both flags out means
        return {"action": argparse.BooleanOptionalAction}
    if typing.get_origin(kind) is typing.Literal:
        values = typing.get_args(kind)
        by_text = {str(value): value for value in values}
        return {"type": lambda text: by_text.get(text, text), "choices": values}
    if typing.get_origin(kind) is tuple:
        element = typing.get_args(kind)[0]
        return {"type": _list_of(element), "metavar": f"{element.__name__.upper()},…"}
    if kind not in (int, float, str, Path):
        raise TypeError(f"no flag can be made for {hint}")
    metavar = {int: "N", float: "X", str: "TEXT", Path: "PATH"}[kind]
    if len(alternatives) == 1:
        return {"type": kind, "metavar": metavar}
    return {"type": _or_none(kind), "metavar": f"{metavar}|none"}


def _or_none(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        return None if text.lower() == "none" else kind(text)

    read.__name__ = getattr(kind, "__name__", "value")  # argparse names it when the text does not parse
    return read


def _list_of(kind: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    def read(text: str) -> tuple[Any, ...]:
        return tuple(kind(part.strip()) for part in text.split(",") if part.strip())

    read.__name__ = f"list of {getattr(kind, '__name__', 'value')}"
    return read


def _default_text(item: Field[Any]) -> str:
    if item.default is MISSING or item.default in (None, "", ()):
        return ""
    value = ",".join(map(str, item.default)) if isinstance(item.default, tuple) else item.default
    return f" (default: {str(value).lower() if isinstance(value, bool) else value})"


def _strings_under_fields(cls: type) -> dict[str, str]:
    """The string literal that follows each field in the source of `cls`, on one line."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    texts = {}
    for item, after in zip(body.body, body.body[1:], strict=False):
        is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and is_text:
            texts[item.target.id] = " ".join(str(after.value.value).split()).rstrip(".")  # type: ignore[attr-defined]
    return texts
