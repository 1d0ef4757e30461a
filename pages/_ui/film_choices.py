"""The choices on the Morph page beside its keyframes, as one value that goes through the address."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from ganlib.errors import InputError
from ganlib.paths import CIRCULAR, Keyframe, LatentPath
from ganlib.video import RenderJob
from pages._ui.keyframes import SECONDS, seconds_of

FPS = (24, 25, 30, 50, 60)
CURVES = {"cubic": "Smooth", "linear": "Straight", "slerp": "Around", "circle": "Circle", "noise": "Drift"}
EASINGS = {"linear": "steady", "in-out": "rests at each", "in": "begins slowly", "out": "ends slowly"}
MOVING = {"all": "everything", "coarse": "the shape", "middle": "the features", "fine": "colour and texture"}
SIZES = {0: "as the model", 512: "512 px", 1080: "1080 px", 2160: "2160 px"}
FORMATS = ("mp4", "h265", "webm", "gif", "webp", "apng", "png")
FORMAT_WORDS = {
    "mp4": "MP4 (H.264)", "h265": "MP4 (H.265)", "webm": "WebM", "gif": "GIF", "webp": "WebP", "apng": "APNG",
    "png": "PNG pictures",
}  # fmt: skip
SHAPES = {"1:1": "square", "9:16": "story 9:16", "16:9": "wide 16:9", "4:5": "portrait 4:5"}
GROUNDS = {
    "blur": "itself, blurred", "mirror": "itself, mirrored", "#000000": "black", "#ffffff": "white",
    "#faf7f2": "paper",
}  # fmt: skip


@dataclass(frozen=True)
class Film:
    """How a film is made from its keyframes."""

    seconds: float = SECONDS
    """From a keyframe to the next, for keyframes still to come."""
    fps: int = 30
    """Frames per second."""
    curve: str = "cubic"
    loop: bool = True
    size: int = 0
    """Side of the picture in pixels; 0 means the model's."""
    format: str = "mp4"
    shape: str = "1:1"
    """Width to height."""
    ground: str = "blur"
    """What surrounds the picture where the shape is not square."""
    easing: str = "linear"
    """How the way from a keyframe to the next begins and ends."""
    moving: str = "all"
    """Which style inputs move."""
    even: bool = False
    """Whether the picture changes by the same amount from frame to frame."""

    def to_query(self) -> dict[str, str]:
        """What differs from the defaults, as parameters of the address."""
        plain, choices = Film(), {each.name: getattr(self, each.name) for each in fields(self)}
        changed = {name: value for name, value in choices.items() if value != getattr(plain, name)}
        return {name: value if isinstance(value, str) else f"{value:g}" for name, value in changed.items()}

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "Film":
        """The inverse of `to_query`; other parameters are left alone. Raises InputError for a choice there is not."""
        legal: dict[str, Mapping[str, Any]] = {
            "fps": {str(value): value for value in FPS},
            "curve": dict(zip(CURVES, CURVES, strict=True)),
            "loop": {"0": False, "1": True},
            "size": {str(value): value for value in SIZES},
            "format": dict(zip(FORMATS, FORMATS, strict=True)),
            "shape": dict(zip(SHAPES, SHAPES, strict=True)),
            "ground": dict(zip(GROUNDS, GROUNDS, strict=True)),
            "easing": dict(zip(EASINGS, EASINGS, strict=True)),
            "moving": dict(zip(MOVING, MOVING, strict=True)),
            "even": {"0": False, "1": True},
        }
        values: dict[str, Any] = {}
        if "seconds" in query:
            try:
                values["seconds"] = seconds_of(query["seconds"])
            except ValueError as error:
                raise InputError(f"'{query['seconds'][:20]}' is no number of seconds", "Use 0.1 to 60.") from error
        for name in legal.keys() & query.keys():
            if query[name] not in legal[name]:
                raise InputError(f"'{query[name][:20]}' is no {name} of a film", f"Use {', '.join(legal[name])}.")
            values[name] = legal[name][query[name]]
        return cls(**values)

    def job(self, network: str, path: LatentPath) -> RenderJob:
        """The film as the library renders it."""
        coding = ("mp4", "h265") if self.format == "h265" else (self.format, "h264")
        job = RenderJob(
            network, path, fps=self.fps, size=self.size or None, format=coding[0], codec=coding[1],
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
