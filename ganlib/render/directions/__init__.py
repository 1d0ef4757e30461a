"""Directions in w that change pictures in one way: found without labels, from favourites, or from a pair of pictures.

`principal_components` is GANSpace (Härkönen et al., 2020), `style_directions` is SeFa (Shen and Zhou, 2021). Every
direction is one sigma long: strength 1 is the standard deviation of w along it.
"""

from ganlib.render.directions.attributes import find_attribute_directions, measure_attributes
from ganlib.render.directions.discovery import (
    Components,
    between,
    eigen_directions,
    fix_signs,
    principal_components,
    sample_w,
    style_directions,
)
from ganlib.render.directions.job import DirectionsConfig, find_directions, judge, run_job
from ganlib.render.directions.limits import REACH, measure_safe, strip

__all__ = [
    "REACH",
    "Components",
    "DirectionsConfig",
    "between",
    "eigen_directions",
    "find_attribute_directions",
    "find_directions",
    "fix_signs",
    "judge",
    "measure_attributes",
    "measure_safe",
    "principal_components",
    "run_job",
    "sample_w",
    "strip",
    "style_directions",
]
