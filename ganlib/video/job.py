"""`RenderJob`: everything that decides a film, as one value that goes through JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ganlib.errors import InputError
from ganlib.latents import NAME
from ganlib.paths import LatentPath

FORMATS = ("mp4", "webm", "gif", "apng", "webp", "png")
SUFFIXES = {"mp4": (".mp4",), "webm": (".webm",), "gif": (".gif",), "apng": (".png", ".apng"), "webp": (".webp",)}
SUFFIXES["png"] = (".zip", "")
"""What films of each format are called, the usual first; a png sequence without suffix is a folder."""
STREAMED = ("mp4", "webm")
"""Formats with even sides, sound and bitrate, joined from coded segments without coding them again."""
CODECS = ("h264", "h265")
ASPECTS = {"1:1": (1, 1), "9:16": (9, 16), "16:9": (16, 9), "4:5": (4, 5)}
CORNERS = ("top-left", "top-right", "bottom-left", "bottom-right")
BANDS = ("bass", "middle", "treble", "loudness", "onset")
MAX_SIDE = 16384  # of a film, in pixels; more than H.264 has a level for
MAX_FRAMES = 100_000
_ANEW = "Make the film anew on the Morph page."
_BACKGROUND = re.compile(r"#[0-9a-fA-F]{6}|blur|mirror")
_LIMITS = {
    "fps": (1, 120), "size": (16, 8192), "crf": (1, 51), "bitrate": (0.05, 500), "size_limit": (0.01, 10_000),
    "fade_seconds": (0, 60), "pulse": (0, 20), "title_seconds": (0.1, 30), "logo_opacity": (0, 1),
}  # fmt: skip
_WHOLE = ("size", "crf")
_MAY_BE_NONE = ("size", "bitrate", "size_limit")
_CHOICES = {
    "format": FORMATS, "codec": CODECS, "aspect": tuple(ASPECTS), "length": ("film", "track"), "logo_corner": CORNERS,
}  # fmt: skip
_TEXTS = {
    "network": 4096, "upscaler": 4096, "device": 40, "sound": 4096, "title": 200, "caption": 200, "font": 4096,
    "logo": 4096,
}  # fmt: skip
_SWITCHES = ("even_speed", "beats")


@dataclass(frozen=True)
class Reaction:
    """A direction whose strength follows the sound."""

    direction: str
    """Name of a direction of the model."""
    band: str = "bass"
    """What it follows: energy of `bass`, `middle` or `treble`, the `loudness`, or every `onset`."""
    strength: float = 2.0
    """Strength at the loudest, in sigmas; 0 where the band is silent."""
    first: int = 0
    """First style input that it acts on."""
    last: int | None = None
    """Last such style input; None means all."""

    def validate(self) -> None:
        """Raise InputError for a field outside its legal values."""
        if not isinstance(self.direction, str) or not NAME.fullmatch(self.direction):
            raise InputError(f"'{_short(self.direction)}' is no name of a direction", "Use one of the model's.")
        if not isinstance(self.band, str) or self.band not in BANDS:
            raise InputError(f"there is no band '{_short(self.band)}'", f"Use {', '.join(BANDS)}.")
        if type(self.strength) not in (int, float) or not -1000 <= self.strength <= 1000:
            raise InputError(f"a strength of {_short(self.strength)}", "Choose from -1000 to 1000 sigmas.")
        for layer in (self.first, 0 if self.last is None else self.last):
            if type(layer) is not int or not 0 <= layer <= 1000:
                raise InputError(f"style input {_short(layer)}", "Choose from 0 to 1000.")


@dataclass(frozen=True)
class RenderJob:
    """Everything that decides a film."""

    network: str
    """Checkpoint: a path, or a name below checkpoints/."""
    path: LatentPath
    """Keyframes and how they are joined."""
    fps: float = 30
    """Frames per second, 1 to 120; at most 50 for a gif."""
    size: int | None = None
    """Side in pixels, 16 to 8192; None means the model's resolution. Odd sides of mp4 and webm grow by one."""
    upscaler: str = ""
    """Name or file of the upscaling model that brings pictures to a larger size; empty means Lanczos."""
    format: str = "mp4"
    """`mp4` (H.264 or H.265, 8 bit 4:2:0), `webm` (VP9), `gif`, `apng`, `webp`, or `png`, a zip of pictures."""
    crf: int = 8
    """Quality of mp4 and webm, 1 (largest) to 51 (smallest). 18 looks like the original."""
    device: str = "auto"
    """Where to render."""
    aspect: str = "1:1"
    """Width to height of the film: `1:1`, `9:16`, `16:9` or `4:5`. The square picture stands in the middle."""
    background: str = "#000000"
    """What surrounds the picture: a colour, `#rrggbb`; `blur`, itself enlarged and blurred; or `mirror`, itself."""
    codec: str = "h264"
    """Of an mp4: `h264`, which plays everywhere, or `h265`."""
    bitrate: float | None = None
    """Mean bitrate of mp4 and webm in megabits per second, in place of crf; None means crf."""
    size_limit: float | None = None
    """Of a gif, in megabytes: colours, size and frames per second are lowered until it is kept. None means no limit."""
    even_speed: bool = False
    """Whether time is re-mapped so that the picture changes by the same amount from frame to frame."""
    sound: str = ""
    """A file with a track for mp4 and webm; any that ffmpeg reads. Empty means none. It also drives what follows."""
    length: str = "film"
    """What decides the duration where there is a track: the `film`, or the `track`, to which the film is stretched."""
    fade_seconds: float = 1.0
    """How long the sound fades out at the end, in seconds, 0 to 60."""
    beats: bool = False
    """Whether keyframes are moved to the nearest onsets of the track."""
    reactions: tuple[Reaction, ...] = ()
    """Directions that follow the track."""
    pulse: float = 0.0
    """Steps along the path are up to 1 + `pulse` times as long at the loudest as in silence; 0 to 20."""
    title: str = ""
    """Words on a card before the film; empty means no card. A film with a card is no loop."""
    title_seconds: float = 2.0
    """For how long the card is seen, 0.1 to 30 seconds."""
    caption: str = ""
    """Words at the foot of every frame."""
    font: str = ""
    """A font file, .ttf or .otf, that comes before the bundled one and those of the system. Empty means none."""
    logo: str = ""
    """A picture file, PNG with alpha as a rule, that is laid into a corner. Empty means none."""
    logo_corner: str = "bottom-right"
    """Where it is laid."""
    logo_opacity: float = 0.8
    """How much of it is seen, 0 to 1."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "reactions", tuple(self.reactions))

    def validate(self) -> None:
        """Raise InputError for a field outside its legal values."""
        self.path.validate()
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            if value is None and name in _MAY_BE_NONE:
                continue
            hint = f"Choose from {low} to {high}."
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise InputError(f"{name} {_short(value)} is not between {low} and {high}", hint)
            if name in _WHOLE and not isinstance(value, int):
                raise InputError(f"{name} {_short(value)} is not a whole number", hint)
        for name, legal in _CHOICES.items():
            value = getattr(self, name)
            if not isinstance(value, str) or value not in legal:
                what = "film format" if name == "format" else name.replace("_", " ")
                raise InputError(f"there is no {what} '{_short(value)}'", f"Use {', '.join(legal)}.")
        for name, most in _TEXTS.items():
            value = getattr(self, name)
            if not isinstance(value, str) or len(value) > most:
                raise InputError(f"{name} is not text, or too long", f"Give at most {most} characters.")
        for name in _SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} is neither true nor false", "Choose one.")
        for reaction in self.reactions:
            if not isinstance(reaction, Reaction):
                raise InputError("a reaction to the sound is malformed", _ANEW)
            reaction.validate()
        if not isinstance(self.background, str) or not _BACKGROUND.fullmatch(self.background):
            hint = "Write a colour as #rrggbb, such as #faf7f2, or the word blur or mirror."
            raise InputError(f"'{_short(self.background)}' is no background", hint)
        self._check_together()

    def _check_together(self) -> None:
        if self.format == "gif" and self.fps > 50:
            raise InputError(f"a gif cannot show {self.fps:g} frames per second", "Choose 50 or fewer, or mp4.")
        if self.size_limit is not None and self.format != "gif":
            raise InputError(f"a {self.format} film has no size limit", "Choose gif, or a bitrate.")
        if self.bitrate is not None and self.format not in STREAMED:
            raise InputError(f"a {self.format} film has no bitrate", "Choose mp4 or webm.")
        if not self.sound and (self.beats or self.reactions or self.pulse or self.length == "track"):
            raise InputError("there is no track to follow", "Choose a sound file.")
        if self.num_frames > MAX_FRAMES:
            raise InputError(f"the film has {self.num_frames:,} frames", f"At most {MAX_FRAMES:,}: shorten it.")

    @property
    def path_frames(self) -> int:
        """Number of frames on the path."""
        count = self.path.num_frames(self.fps)
        # Of an odd number of evenly spread pictures on a way there and back two would be the same.
        return count + count % 2 if self.even_speed and self.path.loop and self.path.turns_back else count

    @property
    def title_frames(self) -> int:
        """Number of frames of the card before it."""
        return max(1, round(self.title_seconds * self.fps)) if self.title else 0

    @property
    def num_frames(self) -> int:
        """Number of frames of the film."""
        return self.title_frames + self.path_frames

    @property
    def seconds(self) -> float:
        """Duration of the film."""
        return self.num_frames / self.fps

    @property
    def suffix(self) -> str:
        """What the film's file usually ends in."""
        return SUFFIXES[self.format][0]

    def side(self, resolution: int) -> int:
        """Side of the film in pixels for a model of this resolution."""
        side = self.size or resolution
        return side + side % 2 if self.format in STREAMED else side

    def frame_size(self, resolution: int) -> tuple[int, int]:
        """(width, height) of the film: the picture's side, and the other side grown to the aspect; both then even."""
        side = self.side(resolution)
        across, down = ASPECTS[self.aspect]
        if across == down:
            return side, side
        width, height = (-(-side * a // min(across, down)) for a in (across, down))
        return width + width % 2, height + height % 2

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields: the `config` of a job with the verb `video`."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return values | {"path": self.path.to_dict(), "reactions": [asdict(each) for each in self.reactions]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RenderJob:
        """The inverse of `to_dict`; absent fields take their defaults. Raises InputError."""
        if not isinstance(data, Mapping):
            raise InputError("a film's settings are not a table of fields", _ANEW)
        unknown = set(map(str, data)) - {field.name for field in fields(cls)}
        if unknown or not {"network", "path"} <= set(data):
            what = f"an unknown field '{sorted(unknown)[0][:40]}'" if unknown else "no network or no path"
            raise InputError(f"a film's settings have {what}", _ANEW)
        rows = data.get("reactions", ())
        try:
            reactions = tuple(Reaction(**row) for row in rows)
        except TypeError as error:
            raise InputError(f"a reaction to the sound is malformed: {str(error)[:80]}", _ANEW) from error
        job = cls(**{**data, "path": LatentPath.from_dict(data["path"]), "reactions": reactions})
        job.validate()
        return job


def _short(value: object) -> str:
    return str(value)[:20]
