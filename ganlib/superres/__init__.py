"""Pictures and films enlarged by a network, in tiles: `UpscaleConfig` → files.

networks    SRVGGNetCompact and RRDBNet, their sizes read from tensors
weights     files of networks, opened safely; our own with a card
registry    models by name: embedded, to be fetched, a person's own
upscaler    one picture: tiles, alpha, sizes
films       frame by frame, with the sound kept
config      every choice, as one value
job         many files; what is done stays done
degradation pictures as they are met, to learn from
training    a network of our own
"""

from ganlib.superres.animations import SUFFIXES as ANIMATION_SUFFIXES
from ganlib.superres.config import UpscaleConfig
from ganlib.superres.films import SUFFIXES as FILM_SUFFIXES
from ganlib.superres.job import RECORDS, Upscaled, find_sources, picture_size, read_records, run_job, upscale
from ganlib.superres.registry import EMBEDDED, Choice, choices, download_model, find_model, models_folder
from ganlib.superres.upscaler import MOST_SCALE, Target, Upscaler, choose_size, open_upscaler
from ganlib.superres.weights import open_network

__all__ = [
    "ANIMATION_SUFFIXES",
    "EMBEDDED",
    "FILM_SUFFIXES",
    "MOST_SCALE",
    "RECORDS",
    "Choice",
    "Target",
    "UpscaleConfig",
    "Upscaled",
    "Upscaler",
    "choices",
    "choose_size",
    "download_model",
    "find_model",
    "find_sources",
    "models_folder",
    "open_network",
    "open_upscaler",
    "picture_size",
    "read_records",
    "run_job",
    "upscale",
]
