"""The run that is being thought of: a preset and what was changed in it, as a link, a command and a configuration."""

import dataclasses
import json
import shlex
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganlib.base.errors import GanlibError, InputError
from ganlib.base.options import check_types
from ganlib.commands.flags import flag_words
from ganlib.training.config import TrainConfig
from ganlib.training.presets import PRESETS
from ganlib.training.setup import options_without_use

OWN = "own"  # no preset: every option is this studio's default, or a run's that is continued
FIRST = "quick"
FIELDS = {item.name: item for item in dataclasses.fields(TrainConfig)}
_HINTS = typing.get_type_hints(TrainConfig)


@dataclass
class Draft:
    """Settings in the making; they may be wrong for the moment."""

    preset: str = FIRST
    changes: dict[str, Any] = field(default_factory=dict)
    """Options that differ from the preset's."""
    rev: int = 0
    """Grows when the settings came from elsewhere than the form's own fields, which then show them."""

    def __post_init__(self) -> None:
        self.shown = self.values()  # what the form's fields began with

    def renew(self) -> None:
        """Let the form's fields begin anew with the values as they are."""
        self.rev, self.shown = self.rev + 1, self.values()

    def values(self) -> dict[str, Any]:
        """Every option's value."""
        preset = PRESETS[self.preset].changes_for(self.changes.get("arch")) if self.preset in PRESETS else {}
        return {name: item.default for name, item in FIELDS.items()} | preset | self.changes

    def config(self) -> TrainConfig:
        """The configuration. Raises InputError that names what is wrong."""
        return TrainConfig.from_dict(self.values())

    def put(self, name: str, value: Any) -> None:
        """Take an option's value from its field."""
        self.changes.pop(name, None)
        if value != self.values()[name]:
            self.changes[name] = value

    def choose(self, preset: str, *, first_model: str | None = None) -> None:
        """Begin from another preset; the data set, the start and the names stay.

        Where the preset needs a model to start from and none is named, it is `first_model`; a preset that needs none
        does not inherit it."""
        kept = {"data", "resume", "title", "licence", "seed", "device"}
        needs_model = preset in PRESETS and PRESETS[preset].needs_model
        if self.preset in PRESETS and PRESETS[self.preset].needs_model and not needs_model:
            kept.discard("resume")
        self.changes = {name: value for name, value in self.changes.items() if name in kept}
        self.preset = preset
        if needs_model and self.values()["resume"] is None:
            self.put("resume", first_model)
        self.renew()

    def to_query(self) -> dict[str, str]:
        """The parameters of a link to these settings; `from_query` restores them."""
        return {"preset": self.preset} | {name: _to_text(value) for name, value in sorted(self.changes.items())}

    def command(self, outdir: Path) -> str:
        """The command that starts this run."""
        words = ["python", "-m", "ganlib", "train", "--data", str(self.values()["data"]), "--outdir", str(outdir)]
        said = self.changes
        if any(value is None and bool in kinds_of(name) for name, value in said.items()):
            # No flag takes a preset's yes or no back: every option is said without it.
            said = {name: value for name, value in self.values().items() if value != FIELDS[name].default}
        elif self.preset in PRESETS:
            words += ["--preset", self.preset]
        for name, value in said.items():
            words += [] if name == "data" else flag_words(FIELDS[name], value)
        return shlex.join(words)


def draft_of(query: Mapping[str, str], *, rev: int) -> tuple[Draft, list[GanlibError]]:
    """The settings in a link, and what could not be read in it."""
    draft, errors = Draft(query.get("preset", FIRST), rev=rev), list[GanlibError]()
    if draft.preset not in (*PRESETS, OWN):
        errors.append(InputError(f"there is no preset called {draft.preset[:40]}", f"Known: {', '.join(PRESETS)}."))
        draft.preset = FIRST
    for name, text in query.items():
        if name not in FIELDS:
            continue
        try:
            draft.put(name, check_types(TrainConfig, {name: _from_text(name, text)})[name])
        except GanlibError as error:
            errors.append(error)
    draft.renew()
    return draft, errors


def draft_from(config: Mapping[str, Any], *, resume: str, rev: int, done_kimg: float = 0.0) -> Draft:
    """The settings of an earlier run, to be changed, starting from `resume`; options unknown here are left out.

    Where that run has had its `done_kimg`, the new one is made longer."""
    draft = Draft(OWN, rev=rev)
    arch = config.get("arch", FIELDS["arch"].default)
    unused = options_without_use(arch, config.get("discriminator"), config.get("loss"))
    for name, value in config.items():
        if name in FIELDS and name not in unused:
            try:
                draft.put(name, check_types(TrainConfig, {name: value})[name])
            except GanlibError:  # an option of another version: its default stands
                continue
    draft.put("resume", resume or None)
    kimg = draft.values()["kimg"]
    if resume and done_kimg >= kimg:
        draft.put("kimg", float(f"{done_kimg + kimg:g}"))  # as much again; the run would have nothing left to do
    draft.renew()
    return draft


def kinds_of(name: str) -> tuple[Any, ...]:
    """The types that an option may have: `(float, NoneType)` for `float | None`."""
    hint = _HINTS[name]
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _to_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _from_text(name: str, text: str) -> Any:
    kinds = kinds_of(name)
    if str in kinds:
        return None if text == "null" and type(None) in kinds else text
    try:
        return json.loads(text)
    except ValueError:
        return text
