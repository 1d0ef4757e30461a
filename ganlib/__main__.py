"""`python -m ganlib VERB …`: the studio's tools for a terminal, and the worker process of every job.

Exit codes: 0 done, 2 bad input or a failed job (with `error:` and `hint:` lines), 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn, TextIO

from ganlib import __version__
from ganlib.base.errors import GanlibError
from ganlib.commands.flags import flags_from_dataclass, printable
from ganlib.commands.verbs import VERBS
from ganlib.compute.device import tune_allocator


class Parser(argparse.ArgumentParser):
    """Reports a wrong flag as every other error is reported."""

    def error(self, message: str) -> NoReturn:
        print_error(message, f"{self.prog} --help lists the flags and an example")
        raise SystemExit(2)


def build_parser(verb: str | None = None) -> argparse.ArgumentParser:
    """The parser with every verb's summary, and the flags of `verb` alone: other verbs' modules are not imported."""
    parser = Parser(
        prog="python -m ganlib",
        description="Latent Atelier without the browser.",
        epilog="example:\n  python -m ganlib generate --network checkpoints/NAME --seeds 6600-6625 --outdir out",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"ganlib {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=Parser)
    for row in VERBS.values():
        sub = verbs.add_parser(
            row.name,
            help=row.summary,
            description=f"{row.summary[0].upper()}{row.summary[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if row.name == verb:
            command = importlib.import_module(f"ganlib.commands.{row.name}")
            flags_from_dataclass(sub, *row.options_classes())
            if hasattr(command, "add_flags"):
                command.add_flags(sub)
            sub.epilog = "examples:\n" + "\n".join(f"  {line}" for line in row.commands())
            sub.set_defaults(execute=command.execute)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code. Raises SystemExit for --help and for flags that do not parse."""
    argv = sys.argv[1:] if argv is None else list(argv)
    tune_allocator()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may lack a letter of somebody's title
    try:
        args = build_parser(next((word for word in argv if word in VERBS), None)).parse_args(argv)
        code = args.execute(args)
        sys.stdout.flush()
        _say("", end="")
        return code
    except GanlibError as error:
        print_error(error.message, error.hint)
        return 2
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        _forget(sys.stdout)
        return 0
    except OSError as error:
        if error.strerror is None:
            raise
        where = f": {error.filename}" if error.filename is not None else ""
        print_error(f"{error.strerror}{where}", "check the path, its permissions and the space on the disk")
        return 2
    except KeyboardInterrupt as interrupt:
        _say(f"\nstopped{f'; {interrupt}' if interrupt.args else ''}")
        return 130


def _say(line: str, end: str = "\n") -> None:
    """Write to standard error, if anybody is still there."""
    try:
        print(line, end=end, file=sys.stderr, flush=True)
    except OSError:
        _forget(sys.stderr)


def _forget(stream: TextIO) -> None:
    """Lead a stream that cannot be written to nowhere, or its rest would fail again when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def print_error(message: str, hint: str) -> None:
    """Two lines on standard error; line breaks and control characters of untrusted names are shown as escapes."""
    for kind, text in (("error", message), ("hint", hint)):
        if text:
            _say(f"{kind}: {printable(' '.join(text.splitlines()))}")


if __name__ == "__main__":
    sys.exit(main())
