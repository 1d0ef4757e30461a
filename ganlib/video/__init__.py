"""A film of a way through latent space: `RenderJob` → mp4, webm, gif, apng, webp or a folder of pictures.

job         every choice, as one value
schedule    when each frame is on the path; even speed
sound       the track: onsets, bands, keyframes on beats
frames      the model's pictures and how they are framed; previews
overlays    caption, logo, card
codecs      what ffmpeg is told for each codec
formats     the formats of films, one row each
segments    pieces on the disk; going on where a killed render stopped; ranks
muxing      from the pieces to the file
container   the recipe in the file
pipeline    all of it in order: `render_video`, `run_job`
"""

from ganlib.video.codecs import CODECS
from ganlib.video.estimate import Estimate, estimate
from ganlib.video.formats import FORMATS, FilmFormat, format_of, read_description, suffix_words
from ganlib.video.frames import preview, preview_frames
from ganlib.video.job import (
    ASPECTS,
    BANDS,
    CORNERS,
    LENGTHS,
    MAX_FRAMES,
    MAX_SIDE,
    Reaction,
    RenderJob,
)
from ganlib.video.overlays import letter_warnings
from ganlib.video.pipeline import PARTS, frames, own_device, render_video, run_job, torchrun_rank
from ganlib.video.schedule import frame_times
from ganlib.video.sound import fit_to_track, onsets, read_track
from ganlib.video.writer import FILM_FORMATS, write_film

__all__ = [
    "ASPECTS",
    "BANDS",
    "CODECS",
    "CORNERS",
    "FILM_FORMATS",
    "FORMATS",
    "LENGTHS",
    "MAX_FRAMES",
    "MAX_SIDE",
    "PARTS",
    "Estimate",
    "FilmFormat",
    "Reaction",
    "RenderJob",
    "estimate",
    "fit_to_track",
    "format_of",
    "frame_times",
    "frames",
    "letter_warnings",
    "onsets",
    "own_device",
    "preview",
    "preview_frames",
    "read_description",
    "read_track",
    "render_video",
    "run_job",
    "suffix_words",
    "torchrun_rank",
    "write_film",
]
