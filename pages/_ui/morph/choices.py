"""The choices on the Morph page beside its keyframes, as one value that goes through the address."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from ganlib.base.errors import InputError
from ganlib.latents.paths import CIRCULAR, CURVES, EASINGS, Keyframe, LatentPath
from ganlib.video import ASPECTS, CODECS, FORMATS, RenderJob
from pages._ui.morph.keyframes import SECONDS, seconds_of

FPS = (24, 25, 30, 50, 60)
SIZES = {0: "as the model", 512: "512 px", 1080: "1080 px", 2160: "2160 px"}
MOVES = {"all": "everything", "coarse": "the shape", "middle": "the features", "fine": "colour and texture"}
GROUNDS = {
    "blur": "itself, blurred", "mirror": "itself, mirrored", "#000000": "black", "#ffffff": "white",
    "#faf7f2": "paper",
}  # fmt: skip


class Coding(NamedTuple):
    """One choice of a format."""

    format: str
    codec: str
    title: str


def codings() -> dict[str, Coding]:
    """The formats of films, and under its name every codec of one that is not its usual one."""
    usual, found = RenderJob.codec, {}
    for row in FORMATS.values():
        found[row.name] = Coding(row.name, usual, row.title)
        if row.has_codecs:
            titles = {name: f"{row.title} ({codec.title})" for name, codec in CODECS.items()}
            found |= {row.name if name == usual else name: Coding(row.name, name, titles[name]) for name in CODECS}
    return found


@dataclass(frozen=True)
class Film:
    """How a film is made from its keyframes."""

    seconds: float = SECONDS
    """From a keyframe to the next, for keyframes still to come."""
    fps: int = 30
    curve: str = LatentPath.curve
    loop: bool = LatentPath.loop
    size: int = 0
    """Side of the picture in pixels; 0 means the model's."""
    format: str = RenderJob.format
    """A format, or a codec other than its usual one."""
    shape: str = RenderJob.aspect
    ground: str = "blur"
    """What surrounds the picture where the shape is not square."""
    easing: str = Keyframe.easing
    moving: str = LatentPath.moving
    even: bool = RenderJob.even_speed

    def to_query(self) -> dict[str, str]:
        """What differs from the defaults, as parameters of the address."""
        plain, choices = Film(), {each.name: getattr(self, each.name) for each in fields(self)}
        changed = {name: value for name, value in choices.items() if value != getattr(plain, name)}
        return {name: value if isinstance(value, str) else f"{value:g}" for name, value in changed.items()}

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "Film":
        """The inverse of `to_query`; other parameters are left alone. Raises InputError for a choice there is not."""
        switch = {"0": False, "1": True}
        choices: dict[str, Iterable[Any]] = {
            "fps": FPS, "curve": CURVES, "size": SIZES, "format": codings(), "shape": ASPECTS, "ground": GROUNDS,
            "easing": EASINGS, "moving": MOVES, "loop": switch, "even": switch,
        }  # fmt: skip
        values: dict[str, Any] = {}
        if "seconds" in query:
            try:
                values["seconds"] = seconds_of(query["seconds"])
            except ValueError as error:
                raise InputError(f"'{query['seconds'][:20]}' is no number of seconds", "Use 0.1 to 60.") from error
        for name in choices.keys() & query.keys():
            legal = switch if choices[name] is switch else {str(each): each for each in choices[name]}
            if query[name] not in legal:
                raise InputError(f"'{query[name][:20]}' is no {name} of a film", f"Use {', '.join(legal)}.")
            values[name] = legal[query[name]]
        return cls(**values)

    def job(self, network: str, path: LatentPath) -> RenderJob:
        """The film as the library renders it."""
        coding = codings()[self.format]
        job = RenderJob(
            network, path, fps=self.fps, size=self.size or None, format=coding.format, codec=coding.codec,
            even_speed=self.even,
        )  # fmt: skip
        return job if self.shape == "1:1" else replace(job, aspect=self.shape, background=self.ground)

    def path(self, keyframes: Sequence[Keyframe]) -> LatentPath:
        """The way through these keyframes."""
        eased = tuple(replace(keyframe, easing=self.easing) for keyframe in keyframes)
        is_loop = self.loop or self.curve == "circle"
        return LatentPath(eased, curve=self.curve, loop=is_loop, moving=self.moving)

    @property
    def least(self) -> int:
        """How many keyframes it takes."""
        return 1 if self.curve in CIRCULAR and (self.loop or self.curve == "circle") else 2
