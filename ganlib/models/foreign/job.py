"""Import as a job: a foreign model becomes a checkpoint, and a report says what its file asked for."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganlib.base.errors import CheckpointError, InputError
from ganlib.base.filesystem import check_regular, reason
from ganlib.base.options import Options, option
from ganlib.models import checkpoints
from ganlib.models.checkpoints import Checkpoint
from ganlib.models.foreign.reader import Foreign, check_dest, open_foreign, save_foreign
from ganlib.models.foreign.safety import FILE_NAME, SafetyReport, describe
from ganlib.runs import Reporter, SilentReporter, Stopped, replacing, write_json

_STEPS = 3


@dataclass(frozen=True)
class ImportConfig(Options):
    """Options of one import."""

    file: Path = option(
        help="The file of another tool, or a `.safetensors` of this studio, which is checked and copied"
    )
    dest: Path = option(help="The model to write, a `.safetensors` that does not exist yet")
    title: str = option("", "A name for people; the file's name where it is empty")
    licence: str = option("", "Licence of the weights; unknown where it is empty, since these formats do not say it")
    source: str = option("", "Where the file comes from; its format and name where it is empty")
    is_upload: bool = option(False, "Whether the file is the studio's own copy, which goes when the model is written")


def inspect(path: Path) -> tuple[Foreign | None, SafetyReport]:
    """Open a foreign model and return it with its safety report; the model is None where it was refused or damaged."""
    path = Path(path)
    asked: set[str] = set()
    size = path.stat().st_size if path.is_file() else 0
    try:
        model = open_foreign(path, asked=asked)
    except CheckpointError as error:
        report = SafetyReport(path.name, size, False, describe(asked), (), error.message, error.hint)
        return None, report
    return model, SafetyReport(path.name, size, True, describe(asked), model.notes)


def import_with_report(
    config: ImportConfig, *, report_dir: Path | None = None, reporter: Reporter | None = None
) -> tuple[Checkpoint, SafetyReport]:
    """Write a foreign model as a checkpoint; return its card and the safety report.

    The report is also written to `report_dir/safety.json`, where the file is refused too. Raises `CheckpointError` for
    such a file and for a `dest` that exists, and `Stopped` when `reporter.should_stop()`."""
    reporter = reporter or SilentReporter()
    check_dest(config.dest)
    reporter.progress(0, _STEPS, f"reading {config.file.name}")
    if config.file.suffix == checkpoints.SUFFIX:
        return _take_own(config, report_dir, reporter)
    model, report = inspect(config.file)
    if report_dir is not None:
        write_json(report_dir / FILE_NAME, report.to_dict())
        reporter.artefact(report_dir / FILE_NAME)
    reporter.log(report.verdict)
    if model is None:
        raise CheckpointError(report.reason, report.hint)
    if reporter.should_stop():
        raise Stopped
    reporter.progress(1, _STEPS, "writing the model")
    try:
        config.dest.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{config.dest.parent} cannot be made: {error.strerror}", "choose another folder") from error
    title = config.title or config.file.stem
    card = save_foreign(model, config.dest, title=title, licence=config.licence, source=config.source)
    reporter.artefact(card.path)
    reporter.progress(_STEPS, _STEPS, card.name)
    return card, report


def _take_own(config: ImportConfig, report_dir: Path | None, reporter: Reporter) -> tuple[Checkpoint, SafetyReport]:
    """Copy a model of this studio, having held its weights against its digest."""
    card = checkpoints.read_card(config.file)
    checkpoints.load_generator(config.file)
    report = SafetyReport(config.file.name, card.bytes, True, (), ("a model of this studio: it is copied as it is",))
    if report_dir is not None:
        write_json(report_dir / FILE_NAME, report.to_dict())
        reporter.artefact(report_dir / FILE_NAME)
    if reporter.should_stop():
        raise Stopped
    reporter.progress(1, _STEPS, "writing the model")
    try:
        config.dest.parent.mkdir(parents=True, exist_ok=True)
        check_regular(config.file)
        with replacing(config.dest) as temporary:
            shutil.copyfile(config.file, temporary)
    except OSError as error:
        raise CheckpointError(f"{config.dest} could not be written: {reason(error)}", "free some disk space") from error
    if config.title or config.licence:
        checkpoints.change_card(config.dest, title=config.title or None, licence=config.licence or None)
    reporter.artefact(config.dest)
    reporter.progress(_STEPS, _STEPS, config.dest.stem)
    return checkpoints.read_card(config.dest), report


def run_job(config: Mapping[str, Any], run_dir: Path, reporter: Reporter) -> None:
    """Do a job of verb `import`. Run again after its end it finds its own model, and has nothing left to do."""
    options = ImportConfig.from_dict(config)
    done = SafetyReport.read(run_dir)
    if done is not None and done.opened and options.dest.exists():
        reporter.artefact(options.dest)
        return
    import_with_report(options, report_dir=run_dir, reporter=reporter)
    if options.is_upload:
        options.file.unlink(missing_ok=True)
