"""`upscale`: pictures and films in, larger ones out; a bad file does not stop the rest, and what is done stays done."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from ganlib.base.errors import DataError, GanlibError, InputError
from ganlib.base.filesystem import read_regular, read_text_regular
from ganlib.dataset.files import ALL, PICTURE_SUFFIXES, Bounds, Files
from ganlib.media import images
from ganlib.media.headers import depth_of
from ganlib.runs import Reporter, SilentReporter, Stopped, free_name, write_bytes
from ganlib.runs.files import append_text
from ganlib.superres.animations import SUFFIXES as ANIMATION_SUFFIXES
from ganlib.superres.animations import Animation, look_at, read_text, upscale_animation
from ganlib.superres.config import UpscaleConfig
from ganlib.superres.films import MOST_SIDE, Film, probe, upscale_film
from ganlib.superres.films import SUFFIXES as FILM_SUFFIXES
from ganlib.superres.upscaler import Target, Upscaler, choose_size, open_upscaler

RECORDS = "upscaled.jsonl"
"""In the folder of several results: a line for each file, with what became of it."""
MOST_FILE_BYTES = 512 * 2**20  # of a picture
MOST_SOURCE_PIXELS = 100_000_000
MOST_FILES = 10_000
_READ = PICTURE_SUFFIXES | FILM_SUFFIXES | set(ANIMATION_SUFFIXES)


@dataclass(frozen=True)
class Upscaled:
    """What became of one file."""

    source: Path
    dest: Path
    width: int = 0
    height: int = 0
    error: str = ""
    """Why there is no result; empty where there is one."""
    hint: str = ""
    note: str = ""
    """What is lost in a result that is there; empty where nothing is."""
    key: str = ""
    """Equal keys are equal results."""


@dataclass(frozen=True)
class _Item:
    source: Path
    dest: Path
    film: Film | Animation | None
    target: Target | None
    problem: GanlibError | None = None

    def work(self, upscaler: Upscaler) -> float:
        """Millions of pixels through the network."""
        if self.target is None:
            return 0.0
        return self.target.work(upscaler.scale) * (self.film.frames if self.film else 1)


def upscale(config: UpscaleConfig, reporter: Reporter | None = None, *, parts: Path | None = None) -> list[Upscaled]:
    """Enlarge every picture and film that `config` names, and return what became of each, in order.

    One file goes to `config.dest`, where that has a suffix of a file; several go into the folder of that name, as they
    lay in theirs, and what is there already from the same source, model and options is not made again. `parts` is where
    unfinished films lie; None means hidden beside the result. Pictures keep their recipe and licence, with a line that
    says what enlarged them. Raises InputError or CheckpointError before anything is written, and Stopped."""
    config.validate()
    reporter = reporter or SilentReporter()
    sources = find_sources(config.source, without=config.dest, should_stop=reporter.should_stop)
    upscaler = open_upscaler(config.model, device=config.device, tile=config.tile)
    items = _plan(sources, config)
    if len(items) == 1 and items[0].problem is not None:
        raise items[0].problem
    reporter.log(f"{upscaler.network.title} on {upscaler.device}, tiles of {upscaler.tile_side()} px")
    total, done = sum(item.work(upscaler) for item in items), 0.0
    is_folder = items[0].dest != config.dest
    known = _records(config.dest) if is_folder else {}
    made: list[Upscaled] = []
    for number, item in enumerate(items, 1):
        if reporter.should_stop():
            raise Stopped
        key = _key(item, config, upscaler)
        begun = f"{number} of {len(items)}: {item.source.name}"
        reporter.progress(done, total, begun)
        row = Upscaled(item.source, item.dest, key=key)
        if known.get(str(item.dest)) == key and item.dest.is_file() and item.target is not None:
            row = replace(row, width=item.target.width, height=item.target.height)
        else:
            row = _one(row, item, config, upscaler, reporter, parts, (done, total, begun))
            if len(items) == 1 and row.error:
                raise DataError(row.error, row.hint)
            if is_folder:
                _record(config.dest, row)
        done += item.work(upscaler)
        made.append(row)
        if row.error:
            reporter.log(f"{item.source.name}: {row.error}")
        else:
            reporter.artefact(item.dest)
        if row.note:
            reporter.log(f"warning: {item.source.name}: {row.note}")
    reporter.progress(total, total, "done")
    if all(row.error for row in made):
        raise DataError(f"none of {len(made)} files could be enlarged: {made[0].error}", made[0].hint)
    return made


def _one(
    row: Upscaled, item: _Item, config: UpscaleConfig, upscaler: Upscaler, reporter: Reporter, parts: Path | None,
    progress: tuple[float, float, str],
) -> Upscaled:  # fmt: skip
    try:
        if item.problem is not None:
            raise item.problem
        assert item.target is not None
        item.dest.parent.mkdir(parents=True, exist_ok=True)
        done, total, words = progress
        if isinstance(item.film, Animation) and item.dest.suffix.lower() != ".mp4":
            data = _read(item.source)
            text = with_line(read_text(data), upscaler, item.target)
            upscale_animation(
                item.film, data, item.dest, upscaler, item.target, text=text, quality=config.quality,
                reporter=reporter, done=done, total=total,
            )  # fmt: skip
        elif item.film is not None:
            film = probe(item.film.path) if isinstance(item.film, Animation) else item.film
            folder = (parts or item.dest.parent) / f".{item.dest.name}.parts"
            upscale_film(
                film, item.dest, upscaler, item.target, parts=folder, words=line_of(upscaler, item.target),
                reporter=reporter, done=done, total=total,
            )  # fmt: skip
        else:

            def tick(megapixels: float) -> None:
                nonlocal done
                done += megapixels
                reporter.progress(min(done, total), total, words)
                if reporter.should_stop():
                    raise Stopped

            row = replace(row, note=_picture(item, config, upscaler, tick))
    except Stopped:
        raise
    except GanlibError as error:
        return replace(row, error=error.message, hint=error.hint)
    return replace(row, width=item.target.width, height=item.target.height)


def _picture(item: _Item, config: UpscaleConfig, upscaler: Upscaler, tick: Any) -> str:
    """Write one picture, and return what of it is lost."""
    data = _read(item.source)
    kind = images.format_of(item.dest.suffix)
    assert kind is not None, item.dest  # the plan held it to `_check_suffix`
    background = None if images.PICTURE_FORMATS[kind].has_alpha else (255, 255, 255)
    pixels = images.decode(data, name=item.source.name, max_pixels=MOST_SOURCE_PIXELS, background=background)
    assert item.target is not None
    # The plan looked at the header; what was decoded may be turned upright.
    target = _target(pixels.shape[1], pixels.shape[0], config)
    large = upscaler.grey_kept(pixels, upscaler.to_size(pixels, target, tick))
    text = with_line(images.read_recipe_text(data), upscaler, target)
    write_bytes(
        item.dest, images.encode(large, kind, recipe=text, quality=config.quality, mark_ai=images.says_ai(data))
    )
    bits = depth_of(data)
    return f"it has {bits} bits for each colour, and the result 8: fine steps of tone are lost" if bits > 8 else ""


# ---- What is said inside the file ----------------------------------------------------------------------------------


def line_of(upscaler: Upscaler, target: Target) -> str:
    """`upscaled by NAME x4 to 1024x1024`, for people."""
    kept = target.box[2] - target.box[0]
    return f"upscaled by {upscaler.name} x{target.width / kept:.4g} to {target.width}x{target.height}"


def with_line(text: str | None, upscaler: Upscaler, target: Target) -> str:
    """Return the text inside a picture with one more line under `upscaled`; its recipe and licence stay.

    Text of another kind, or none, becomes a text that holds these lines alone."""
    try:
        about = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        about = {}
    about = about if isinstance(about, dict) else {}
    before = about.get("upscaled")
    lines = [str(line)[:200] for line in before[:20]] if isinstance(before, list) else []
    entry = line_of(upscaler, target) + (f" ({upscaler.card.licence})" if upscaler.card.licence else "")
    return json.dumps({"latent-atelier": 1} | about | {"upscaled": [*lines, entry]})


# ---- The plan ------------------------------------------------------------------------------------------------------


def find_sources(
    paths: Iterable[Path],
    *,
    without: Path | None = None,
    bounds: Bounds = ALL,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[tuple[Path, str]]:
    """Return files and the names that their results get, without suffix: of a folder, with the folders inside it.

    What lies in the folder `without`, where results go, is none of them. Raises DataError for a path that is not there,
    for a folder without pictures or films or beyond `bounds`, and Stopped when `should_stop()`."""
    found: list[tuple[Path, str]] = []
    for path in map(Path, paths):
        if path.is_dir():
            with Files(path, bounds=bounds, should_stop=should_stop) as files:
                names = [name for name in files.names if Path(name).suffix.lower() in _READ]
            if without is not None:
                results = without.resolve()
                names = [name for name in names if not (path / name).resolve().is_relative_to(results)]
            if not names:
                raise DataError(f"the folder {path} holds no pictures or films", "PNG, JPEG, WebP, mp4, webm or mov")
            found += [(path / name, str(Path(name).with_suffix(""))) for name in names]
        elif path.is_file():
            found.append((path, path.stem))
        else:
            raise DataError(f"no picture or film at {path}", "check the path")
    if len(found) > MOST_FILES:
        raise DataError(f"{len(found):,} files at once", f"give at most {MOST_FILES:,}")
    return found


def _plan(sources: list[tuple[Path, str]], config: UpscaleConfig) -> list[_Item]:
    is_single = len(sources) == 1 and bool(config.dest.suffix) and not config.dest.is_dir()
    items: list[_Item] = []
    taken: set[Path] = set()
    looks = [_look(source, config) for source, _ in sources]
    suffixes = [_usual_suffix(film, config) for film, _, _ in looks]
    # A file keeps its own name before another of the same stem gets it.
    owned = {
        config.dest / f"{name}{suffix}": source
        for (source, name), suffix in zip(sources, suffixes, strict=True)
        if source.suffix.lower() == suffix
    }
    for (source, name), (film, target, problem), suffix in zip(sources, looks, suffixes, strict=True):

        def is_taken(name: str, suffix: str = suffix, source: Path = source) -> bool:
            dest = config.dest / f"{name}{suffix}"
            return dest in taken or owned.get(dest, source) != source

        dest = config.dest if is_single else config.dest / f"{free_name(name, is_taken)}{suffix}"
        taken.add(dest)
        if is_single:
            _check_suffix(dest, film)
        if dest.exists() and dest.resolve() == source.resolve():
            raise InputError(f"{dest} would be written over itself", "choose another --dest")
        items.append(_Item(source, dest, film, target, problem))
    return items


def _usual_suffix(film: Film | Animation | None, config: UpscaleConfig) -> str:
    if isinstance(film, Animation):
        return film.suffixes[0]
    return ".mp4" if film is not None else images.PICTURE_FORMATS[config.format].suffixes[0]


def _check_suffix(dest: Path, film: Film | Animation | None) -> None:
    of_film = film.suffixes if isinstance(film, Animation) else (".mp4",)
    legal = of_film if film is not None else tuple(chain(*(row.suffixes for row in images.PICTURE_FORMATS.values())))
    if dest.suffix.lower() not in legal:
        raise InputError(f"{dest.name} is no name for the result", f"let it end in {', '.join(legal)}")


def _look(source: Path, config: UpscaleConfig) -> tuple[Film | Animation | None, Target | None, GanlibError | None]:
    """What a file is and what becomes of it, from its header."""
    film: Film | Animation | None = None
    try:
        film = _film(source)
        if film is not None:
            is_coded = isinstance(film, Film) or config.dest.suffix.lower() == ".mp4"  # players want even sides
            target = choose_size(
                film.width, film.height, scale=config.scale, size=config.size, fit=config.fit, even=is_coded
            )
            if max(target.width, target.height) > MOST_SIDE:
                hint = f"choose a smaller scale or size: no side over {MOST_SIDE}"
                raise InputError(f"a film of {target.width}×{target.height} pixels", hint)
            return film, target, None
        return None, _target(*_size(source), config), None
    except GanlibError as error:
        return film, None, error


def _target(width: int, height: int, config: UpscaleConfig) -> Target:
    return choose_size(width, height, scale=config.scale, size=config.size, fit=config.fit)


def picture_size(path: Path) -> tuple[int, int, int]:
    """Width, height and number of frames of a picture or film, from its header. Raises GanlibError for what is neither.

    Of a film the number is an estimate; of a picture it is 1."""
    film = _film(path)
    if film is not None:
        return film.width, film.height, film.frames
    return (*_size(path), 1)


def _film(path: Path) -> Film | Animation | None:
    """What a film or an animated picture says; None for a picture that stands still. Raises as `probe`, `look_at`."""
    if path.suffix.lower() in FILM_SUFFIXES:
        return probe(path)
    return look_at(path, _read(path)) if path.suffix.lower() in ANIMATION_SUFFIXES else None


def _size(path: Path) -> tuple[int, int]:
    return images.size_of(_read(path), name=path.name)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_FILE_BYTES:
            raise DataError(f"{path.name} has over {MOST_FILE_BYTES // 2**20} MB", "make it smaller first")
        return read_regular(path, max_bytes=MOST_FILE_BYTES)
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror}", "check its permissions") from error


# ---- What is done already -------------------------------------------------------------------------------------------


def _key(item: _Item, config: UpscaleConfig, upscaler: Upscaler) -> str:
    try:
        status = item.source.stat()
    except OSError:
        return ""
    same_anyway = ("source", "dest", "device", "tile", "model")
    options = {name: value for name, value in config.to_dict().items() if name not in same_anyway}
    facts = [item.source.name, status.st_size, status.st_mtime_ns, upscaler.digest, options]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]


def _record(folder: Path, row: Upscaled) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    facts = asdict(row) | {"source": str(row.source), "dest": str(row.dest), "time": time.time()}
    append_text(folder / RECORDS, json.dumps(facts) + "\n")


def read_records(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of `upscaled.jsonl` in a folder, the last one for each result; damaged lines are left out."""
    try:
        lines = read_text_regular(folder / RECORDS, max_bytes=MOST_FILE_BYTES, errors="replace").splitlines()
    except OSError:
        return []
    rows: dict[str, dict[str, Any]] = {}
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and isinstance(row.get("dest"), str):
            rows[row["dest"]] = row
    return list(rows.values())


def _records(folder: Path) -> dict[str, str]:
    return {row["dest"]: str(row.get("key", "")) for row in read_records(folder) if not row.get("error")}


def run_job(config: Mapping[str, Any], run_dir: Path, reporter: Reporter) -> None:
    """Do a job with the verb `upscale`: `config` is UpscaleConfig.to_dict(), and the results go below `run_dir` where
    its dest is relative."""
    options = UpscaleConfig.from_dict(config)
    upscale(replace(options, dest=run_dir / options.dest), reporter, parts=run_dir)
