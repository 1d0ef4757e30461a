"""Addresses that nobody should send: every parameter of every page, with paths, numbers, texts and marks of all kinds.

As a program, `python -m tests.fuzzing FOLDER --seed N`, it opens them without a browser, in a process of its
own that notes every file, host and program that is touched, and writes what was wrong as a list in JSON.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import resource
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.hostile import FOLDERS, make
from tests.hostile_workspace import HOST, WORDS, Workspace, make_workspace
from tests.parameters import PAGES, REPOSITORY, parameters

MOST_MEBIBYTES = 1536
REST_SECONDS = 20
SPECIAL_FILES = (
    "/dev/zero", "/dev/random", "/dev/stdin", "/dev/tty", "/proc/kmsg", "/proc/kcore", "/proc/self/mem",
    "/proc/self/environ",
)  # fmt: skip
KINDS = ("pipe", "socket", "sparse terabyte", "zip with an endless list", "link to a device", *FOLDERS)
NUMBERS = (
    "0", "-0", "-1", "0.5", "1e308", "-1e309", "1e-320", "NaN", "Infinity", "-inf", "1" + "0" * 40, "9" * 5000,
    "9223372036854775808", "4294967296", "0x10", "1_000", "١٢٣", "²", "1,2,3", "0-4294967295", "1:1e308", "3-1", "1-",
    "0-1000:5", "1:2:3:4", "true", "null",
)  # fmt: skip
TEXTS = (
    "", " ", "\0", "a\0b", "\r\n\t", "\x1b[31m", "%", "%00", "%2e%2e%2f", "%ff%fe",
    "a" * 5000, "a," * 2500, "🦊👩‍👩‍👧‍👧",
    "עברית العربية", "\u202egnp.exe", "\ufeff", "\ud7ff\ue000", "cafe\u0301", "{}", "[]",
    '{"a": [1, {"b": null}]}', "[" * 3000,
    '["a","b"]', "[1e999]",
    "..", "../../../etc/passwd", ".", "/", "//", "~", "~nobody/x", "~root", "C:\\x", "\\\\server\\share",
    "file:///etc/passwd", f"http://{HOST}/x.zip", f"//{HOST}/x", "s3://bucket/x", "a=b&c=d", "a;b", "__class__",
    "constructor", "none",
    "~~a~", "--help", "$(id)", "'; drop table", "{0}", "{x.__class__}", "%s%n", "model",
)  # fmt: skip
MARKS = (
    WORDS, f"![x](http://{HOST}/x.png)", f"<img src=http://{HOST}/y.png onerror=alert(1)>",
    f"<script src=http://{HOST}/z.js></script>", f"<iframe src=http://{HOST}></iframe>",
    f"<svg onload=fetch('http://{HOST}')>", ":material/x:", ":material/alarm:", f"$\\href{{http://{HOST}}}{{a}}$",
    "$\\frac{", "```\n",
    "# x\n\n---", ":red[x]", "|a|\n|-|\n", f"[a](javascript:fetch('http://{HOST}'))", f"<http://{HOST}>",
    f"<style>@import 'http://{HOST}'</style>", "&lt;b&gt;",
)  # fmt: skip


class Fuzz:
    """Addresses for one workspace, drawn by a seed; `foreign` is a folder for paths outside the workspace."""

    def __init__(self, workspace: Workspace, foreign: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.good: dict[str, list[str]] = {}
        for _, query in workspace.addresses():
            for name, value in query.items():
                if value != WORDS:
                    self.good.setdefault(name, []).append(value)
        self.paths = [path for path in SPECIAL_FILES if Path(path).exists()]
        for i, kind in enumerate(KINDS):
            (foreign / str(i)).mkdir(parents=True)
            path = make(kind, foreign / str(i))
            self.paths += [str(path)] * (path is not None)
        inside = workspace.root / "data" / "pipe.zip"
        os.mkfifo(inside)  # what lies in the workspace is not asked about
        self.paths.append(str(inside))
        self.endless = {path for path in self.paths if not Path(path).is_dir() and not path.endswith("environ")}

    def value(self, name: str) -> str:
        """One hostile value, now and then a legal one with something hostile in it."""
        groups = (self.paths, NUMBERS, TEXTS, MARKS)
        value = self.random.choice(self.random.choice(groups))
        good = self.good.get(name)
        match self.random.randrange(8):
            case 0 if good:
                value = self.random.choice(good) + value
            case 1:
                between = self.random.choice((",", ":", "~", "-", "/../"))
                value = between.join([value, self.random.choice(NUMBERS), value])
        return value

    def round(self, together: int = 1) -> Iterator[tuple[str, dict[str, str]]]:
        """(page, parameters): each page with each of its parameters once, so many `together`, and with all at once."""
        made = []
        for page in PAGES:
            names = list(parameters(page))
            self.random.shuffle(names)
            made += [(page, self.query(page, names[i : i + together])) for i in range(0, len(names), together)]
            made.append((page, self.query(page, names)))
        self.random.shuffle(made)
        yield from made

    def query(self, page: str, names: Sequence[str]) -> dict[str, str]:
        """Something hostile for these parameters, and something legal for some of the others."""
        legal = {other: self.random.choice(self.good[other]) for other in parameters(page)
                 if other in self.good and self.random.random() < 0.4}  # fmt: skip
        return legal | {name: self.value(name) for name in names}


class Watch(logging.Handler):
    """What a process touches and complains of while it is on."""

    def __init__(self, endless: set[str], foreign: Path) -> None:
        super().__init__(logging.ERROR)
        self.endless, self.foreign = endless, str(foreign)
        self.is_agreed = False
        self.complaints: list[str] = []
        logging.getLogger().addHandler(self)
        for name in list(logging.root.manager.loggerDict):
            if not logging.getLogger(name).propagate:
                logging.getLogger(name).addHandler(self)
        threading.excepthook = lambda args: self.complaints.append(f"in a thread: {args.exc_value!r}")
        sys.addaudithook(self.audit)

    def emit(self, record: logging.LogRecord) -> None:
        self.complaints.append(f"log: {self.format(record)}")

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("open", "os.listdir", "os.scandir"):
            path = os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes | os.PathLike) else ""
            if path in self.endless or (path.startswith(self.foreign) and not self.is_agreed):
                self.complaints.append(f"{event} {path}")
        elif event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.posix_spawn"):
            self.complaints.append(f"{event} {arguments!r}"[:300])


def open_without_browser(folder: Path, seed: int) -> list[str]:
    """Open the addresses of one round, and return what was wrong. Changes the environment of the process."""
    import streamlit as st
    from streamlit.testing.v1 import AppTest

    workspace = make_workspace(folder / "workspace")
    os.environ.update(workspace.environment)
    foreign = folder / "foreign"
    fuzz = Fuzz(workspace, foreign, seed)
    st.cache_data.clear()
    watch = Watch(fuzz.endless, foreign)
    wrong: list[str] = []
    for page, query in fuzz.round(together=2):
        watch.complaints, watch.is_agreed = [], False
        app = AppTest.from_file(str(REPOSITORY / "pages" / f"{page}.py"), default_timeout=REST_SECONDS)
        app.session_state["is-dressed"] = True
        for name, value in query.items():
            app.query_params[name] = value
        try:
            app.run()
            for _ in range(3):
                asked = [button for button in app.button if button.key == "foreign-look"]
                if not asked:
                    break
                watch.is_agreed = True
                asked[0].click().run()
        except RuntimeError as error:  # it did not come to rest in time
            watch.complaints.append(str(error))
        watch.complaints += [f"{one.message} {one.stack_trace}" for one in app.exception]
        if watch.complaints:
            wrong.append(f"/{page}?{urlencode(query)[:3000]}\n" + "\n".join(dict.fromkeys(watch.complaints)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return wrong + ([f"{peak} MiB of memory were taken"] if peak > MOST_MEBIBYTES else [])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(json.dumps(open_without_browser(given.folder, given.seed)))
