"""`RenderJob`: everything that decides a film, as one value that goes through JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from ganlib.base.errors import InputError
from ganlib.base.options import Options, option
from ganlib.latents.paths import WAY, LatentPath
from ganlib.latents.recipes import NAME
from ganlib.video.codecs import CODECS
from ganlib.video.formats import FORMATS, FilmFormat, names_of


class Aspect(NamedTuple):
    """Width to height of a film."""

    across: int
    down: int
    title: str


ASPECTS = {
    "1:1": Aspect(1, 1, "square"),
    "9:16": Aspect(9, 16, "story 9:16"),
    "16:9": Aspect(16, 9, "wide 16:9"),
    "4:5": Aspect(4, 5, "portrait 4:5"),
}
CORNERS = {
    "bottom-right": "below, right",
    "bottom-left": "below, left",
    "top-right": "above, right",
    "top-left": "above, left",
}
BANDS = {
    "bass": "the bass",
    "middle": "the middle",
    "treble": "the treble",
    "loudness": "the loudness",
    "onset": "every onset",
}
LENGTHS = {"film": "the film's", "track": "the track's"}
MAX_SIDE = 16384  # of a film, in pixels; more than H.264 has a level for
MAX_FRAMES = 100_000
FILM, SOUND = "the film", "sound"
_BACKGROUND = re.compile(r"#[0-9a-fA-F]{6}|blur|mirror")
_FILE = 4096  # characters


@dataclass(frozen=True)
class Reaction(Options):
    """A direction whose strength follows the sound; 0 where its band is silent."""

    verb = "video"

    direction: str = option(help="name of a direction of the model")
    band: str = option("bass", "what it follows", choices=BANDS)
    strength: float = option(2.0, "strength at the loudest, in sigmas", low=-1000, high=1000)
    first: int = option(0, "first style input that it acts on", low=0, high=1000)
    last: int | None = option(None, "last such style input; none means all", low=0, high=1000)

    def check(self) -> None:
        if not NAME.fullmatch(self.direction):
            raise InputError(f"'{self.direction[:20]}' is no name of a direction", "Use one of the model's.")


@dataclass(frozen=True)
class RenderJob(Options):
    """Everything that decides a film."""

    verb = "video"

    network: str = option(help="a model file, or the name of one in checkpoints/", metavar="MODEL", longest=_FILE)
    path: LatentPath = option(help="keyframes and how they are joined", is_flag=False)
    fps: float = option(30.0, "frames per second", group=WAY, low=1, high=120)
    size: int | None = option(
        None, "side of the picture (the model's); odd sides of streams grow by one", group=FILM, metavar="PX",
        low=16, high=8192,
    )  # fmt: skip
    upscaler: str = option("", "enlarge by a network: see `upscale --list`", group=FILM, metavar="MODEL", longest=_FILE)
    format: str = option("mp4", "kind of file", is_flag=False, choices=FORMATS)
    crf: int = option(8, f"quality of {names_of('is_streamed')}, 1 (best) to 51", group=FILM, low=1, high=51)
    device: str = option("auto", "auto, cpu, cuda, cuda:N or mps", longest=40)
    aspect: str = option("1:1", "shape of the film, the picture in its middle", group=FILM, choices=ASPECTS)
    background: str = option("#000000", "around it: '#rrggbb', blur or mirror", group=FILM, metavar="COLOUR")
    codec: str = option("h264", "of an .mp4; h264 plays everywhere", group=FILM, choices=CODECS)
    bitrate: float | None = option(
        None, "megabits per second, in place of --crf", group=FILM, metavar="MBIT", low=0.05, high=500
    )
    size_limit: float | None = option(
        None, "megabytes; a .gif gives up colours, size, frames to keep it", group=FILM, metavar="MB",
        low=0.01, high=10_000,
    )  # fmt: skip
    even_speed: bool = option(False, "the picture changes by the same amount in each frame", group=WAY)
    sound: str = option("", "a track; any file that ffmpeg reads", group=SOUND, metavar="FILE", longest=_FILE)
    length: str = option("film", "which decides how long it is", group=SOUND, choices=LENGTHS)
    fade_seconds: float = option(1.0, "the sound fades out, in seconds", group=SOUND, low=0, high=60)
    beats: bool = option(False, "move keyframes to the nearest onsets of the track", group=SOUND)
    reactions: tuple[Reaction, ...] = option((), "directions that follow the track", is_flag=False)
    pulse: float = option(0.0, "steps grow by up to X times where loud", group=SOUND, low=0, high=20)
    title: str = option("", "words on a card before the film, which is then no loop", group=FILM, longest=200)
    title_seconds: float = option(2.0, "for how long", group=FILM, low=0.1, high=30)
    caption: str = option("", "words at the foot of every frame", group=FILM, longest=200)
    font: str = option(
        "", "of both, before the bundled one and the system's", group=FILM, metavar="F.ttf", longest=_FILE
    )
    logo: str = option("", "a picture laid into a corner", group=FILM, metavar="F.png", longest=_FILE)
    logo_corner: str = option("bottom-right", "where it is laid", group=FILM, choices=CORNERS)
    logo_opacity: float = option(0.8, "how much of it is seen", group=FILM, low=0, high=1)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reactions", tuple(self.reactions))

    def check(self) -> None:
        if not _BACKGROUND.fullmatch(self.background):
            hint = "Write a colour as #rrggbb, such as #faf7f2, or the word blur or mirror."
            raise InputError(f"'{self.background[:20]}' is no background", hint)
        self.row.check_fps(self.fps)
        if self.size_limit is not None and not self.row.has_size_limit:
            hint = f"Choose {names_of('has_size_limit')}, or a bitrate."
            raise InputError(f"a {self.format} film has no size limit", hint)
        if self.bitrate is not None and not self.row.is_streamed:
            raise InputError(f"a {self.format} film has no bitrate", f"Choose {names_of('is_streamed')}.")
        if not self.sound and (self.beats or self.reactions or self.pulse or self.length == "track"):
            raise InputError("there is no track to follow", "Choose a sound file.")
        if self.num_frames > MAX_FRAMES:
            raise InputError(f"the film has {self.num_frames:,} frames", f"At most {MAX_FRAMES:,}: shorten it.")

    @property
    def row(self) -> FilmFormat:
        """What is known of the film's format."""
        return FORMATS[self.format]

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
        return self.row.suffixes[0]

    def side(self, resolution: int) -> int:
        """Side of the film in pixels for a model of this resolution."""
        side = self.size or resolution
        return side + side % 2 if self.row.is_streamed else side

    def frame_size(self, resolution: int) -> tuple[int, int]:
        """(width, height) of the film: the picture's side, and the other side grown to the aspect; both then even."""
        side = self.side(resolution)
        across, down, _ = ASPECTS[self.aspect]
        if across == down:
            return side, side
        width, height = (-(-side * a // min(across, down)) for a in (across, down))
        return width + width % 2, height + height % 2
