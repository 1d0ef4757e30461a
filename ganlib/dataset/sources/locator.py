"""Any source as a folder or zip of pictures: films, data sets of the Hub and lists of addresses are made into one.

Folders that are made for this lie beside the destination: `.NAME.frames` and `.NAME.rows` go when the set is finished,
`NAME.downloads` stays, so that nothing is fetched twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ganlib.base.errors import InputError
from ganlib.dataset.config import HUB, PrepareConfig
from ganlib.dataset.sources import addresses, film, hub
from ganlib.dataset.sources.place import Located
from ganlib.runs import Reporter


@contextmanager
def locate(config: PrepareConfig, reporter: Reporter) -> Iterator[Located]:
    """Yield the source of `config` as files; what was made for it is removed when all went well.

    Raises InputError where the user's word is needed, DataError where the source cannot be read or fetched, and Stopped
    when `reporter.should_stop()`.
    """
    found = _find(config, reporter)
    yield found
    found.finish()


def is_ready(config: PrepareConfig) -> bool:
    """Return whether the source is files already, so that `locate` neither fetches nor makes anything."""
    source = Path(config.source)
    made = config.source.startswith(HUB) or source.suffix.lower() in film.SUFFIXES | {".txt"}
    return source.is_dir() or not made


def _find(config: PrepareConfig, reporter: Reporter) -> Located:
    dest, source = Path(config.dest), Path(config.source)
    if config.source.startswith(HUB):
        return hub.fetch(config.source.removeprefix(HUB), dest.with_name(f".{dest.name}.rows"), reporter)
    if source.suffix.lower() in film.SUFFIXES and source.is_file():
        folder = film.take_apart(source, dest.with_name(f".{dest.name}.frames"), config.fps, reporter)
        return Located(folder, own=(film.DONE,), temporary=True)
    if source.suffix.lower() == ".txt" and source.is_file():
        if not config.i_have_the_rights:
            raise InputError(
                f"{source} is a list of addresses, and nothing says that you may use what is there",
                "Add --i-have-the-rights if you do: pictures in the web belong to somebody.",
            )
        stem = dest.stem if dest.suffix.lower() == ".zip" else dest.name
        folder = dest.with_name(f"{stem}.downloads")
        return Located(folder, failed=addresses.fetch(source, folder, reporter), own=(addresses.INDEX,))
    return Located(source)
