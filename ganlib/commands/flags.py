"""Command-line flags from dataclasses, and the flags that several verbs share."""

from __future__ import annotations

import argparse
import shlex
import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ganlib.base.errors import InputError
from ganlib.base.options import Options, facts_of

if TYPE_CHECKING:
    from ganlib.models.checkpoints import Checkpoint
    from ganlib.render.renderer import Renderer
    from ganlib.runs import Reporter, TerminalReporter

CHECKPOINTS = Path("checkpoints")
GOES_ON = "the same command goes on from here"
AnyOptions = TypeVar("AnyOptions", bound=Options)
Result = TypeVar("Result")


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
    from ganlib.models.checkpoints import find_checkpoint
    from ganlib.render.renderer import Renderer

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


def flags_from_dataclass(parser: argparse.ArgumentParser, *classes: type, skip: Collection[str] = ()) -> None:
    """One flag per field, under the heading of its group: `snap_kimg: float = 50` becomes `--snap-kimg X`.

    bool becomes `--mirror` and `--no-mirror`; `Literal` becomes choices; a tuple is written `1,2,3`, or `A B C` where
    its facts say so; a field that may be None accepts the word `none`. Help, and how the flag is called, are the
    field's `ganlib.base.options.Facts`. Flags not given are absent from the namespace, so that defaults are stated
    once, in the dataclass.
    """
    groups: dict[str, Any] = {"": parser}
    for item, hint in ((item, typing.get_type_hints(cls)[item.name]) for cls in classes for item in fields(cls)):
        facts = facts_of(item)
        if item.name in skip or not facts.is_flag:
            continue
        is_required = facts.is_required or is_without_default(item)
        text = facts.help
        if choices := facts.choices:
            text += f"; one of {', '.join(choices)}"
        if facts.made_of:
            text += f"; there are {', '.join(facts.made_of)}"
        reading = _reading(hint, is_repeated=facts.is_repeated)
        if facts.metavar:
            reading["metavar"] = facts.metavar
        if facts.group not in groups:
            groups[facts.group] = parser.add_argument_group(facts.group)
        groups[facts.group].add_argument(
            f"--{flag_of(item)}",
            dest=item.name,
            required=is_required,
            default=argparse.SUPPRESS,
            help=(text + ("" if is_required else _default_text(item))).strip().replace("%", "%%"),
            **reading,
        )


def flag_of(item: Field[Any]) -> str:
    """The name of a field's flag, without its dashes."""
    return facts_of(item).flag or item.name.replace("_", "-")


def is_without_default(item: Field[Any]) -> bool:
    """Whether a field has to be given."""
    return item.default is MISSING and item.default_factory is MISSING


def values_from_flags(cls: type, args: argparse.Namespace) -> dict[str, Any]:
    """The fields of `cls` that were given as flags; pass them on as `cls(**values)`. Models are looked up: the name of
    one in checkpoints/ becomes its file. Raises InputError for a model that is not there."""
    values = {item.name: getattr(args, item.name) for item in fields(cls) if hasattr(args, item.name)}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    for item in fields(cls):
        if facts_of(item).is_model and values.get(item.name):
            from ganlib.models.checkpoints import find_checkpoint

            values[item.name] = find_checkpoint(str(values[item.name]), CHECKPOINTS)
    return values


def read_options(cls: type[AnyOptions], args: argparse.Namespace, **more: Any) -> AnyOptions:
    """The options that flags state, checked. `more` are values that no flag states. Raises InputError."""
    return cls(**values_from_flags(cls, args) | more).validate()


def command_line(verb: str, options: Any, *more: str, leave_out: Collection[str] = ()) -> str:
    """The command that does the same in a terminal: every option that differs from its default, then `more` words,
    quoted for a shell."""
    return shlex.join(["python", "-m", "ganlib", verb, *words_of(options, leave_out=leave_out), *more])


def words_of(options: Any, *, leave_out: Collection[str] = ()) -> list[str]:
    """The words of a command line that state every option that differs from its default."""
    words = []
    for item in fields(options):
        value, facts = getattr(options, item.name), facts_of(item)
        if item.name not in leave_out and facts.is_flag and (facts.is_required or value != item.default):
            words += flag_words(item, value)
    return words


def flag_words(item: Field[Any], value: Any) -> list[str]:
    """The words that state a value of an option on a command line."""
    flag = f"--{flag_of(item)}"
    if isinstance(value, bool):
        return [flag if value else f"--no-{flag_of(item)}"]
    if facts_of(item).is_repeated:
        return [flag, *(f"./{each}" if str(each).startswith("-") else str(each) for each in value)]
    text = _as_flag(value)
    return [f"{flag}={text}"] if text.startswith("-") else [flag, text]


def _as_flag(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_as_flag, value))
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return "none" if value is None else str(value)


def work_in_terminal(
    do: Callable[[Reporter], Result], reporter: TerminalReporter | None = None, *, stopped: str = GOES_ON
) -> Result:
    """Do work that reports on the terminal and can be stopped by Ctrl-C or SIGTERM; `stopped` says what became of it.
    Raises KeyboardInterrupt with these words."""
    from ganlib.runs import Stopped, TerminalReporter, signals_ask

    reporter = reporter or TerminalReporter()
    try:
        with signals_ask(reporter):
            return do(reporter)
    except Stopped:
        raise KeyboardInterrupt(stopped) from None


def curve_reporter(outdir: Path) -> TerminalReporter:
    """A terminal's reporter that also keeps the curve, `stats.jsonl`, among the results; they are named at the end."""
    import json

    from ganlib.runs import TerminalReporter
    from ganlib.runs.files import append_text, plain

    class Keeping(TerminalReporter):
        def stats(self, record: Mapping[str, Any]) -> None:
            append_text(outdir / "stats.jsonl", json.dumps(plain(record)) + "\n")

        def artefact(self, path: Path) -> None:
            pass

    return Keeping()


def _reading(hint: Any, *, is_repeated: bool = False) -> dict[str, Any]:
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
        if is_repeated:
            return {"type": element, "nargs": "+"}
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
    if item.default is MISSING or item.default in (None, "", (), Path()):
        return ""
    value = ",".join(map(str, item.default)) if isinstance(item.default, tuple) else item.default
    return f" (default: {str(value).lower() if isinstance(value, bool) else value})"
