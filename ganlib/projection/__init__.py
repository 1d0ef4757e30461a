"""A photograph into latent space: the w, w_plus or z whose picture is nearest, and a model tuned to it.

`project` does it from a `ProjectConfig`, and is the worker of jobs of verb `project`; `estimate_project` says what it
takes. The pieces: targets and crops, statistics of w, starts, the search, pivotal tuning, figures, files.
"""

from ganlib.projection.config import ProjectConfig
from ganlib.projection.crops import can_find_faces, find_face, find_middle, find_subject, middle_of
from ganlib.projection.job import ProjectEstimate, Projection, estimate_project, project, run_job
from ganlib.projection.target import crop_square, find_targets, look_at_target, read_target

__all__ = [
    "ProjectConfig",
    "ProjectEstimate",
    "Projection",
    "can_find_faces",
    "crop_square",
    "estimate_project",
    "find_face",
    "find_middle",
    "find_subject",
    "find_targets",
    "look_at_target",
    "middle_of",
    "project",
    "read_target",
    "run_job",
]
