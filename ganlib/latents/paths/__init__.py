"""A way through latent space: keyframes, and the curve that joins them. Pure mathematics on w.

linear   the keyframes' finished w_plus (blended, mixed, truncated, edited) joined by straight lines
cubic    the same points joined by the interpolating cubic spline with continuous acceleration: natural at the ends
         of an open path, periodic in a loop
slerp    great circles in z between the keyframes' seeds, mapped to w at every frame, then truncated and edited
         with amounts that change linearly. What two blends have of a seed in common stays. A segment that touches a
         saved w_plus, which has no z, is linear in w
circle   one closed circle in z: all the way round through one or two keyframes, and for more the trigonometric curve
         through all of them. Keyframes that are blends or saved w_plus make it in w
noise    slerp, and z turned by `radius` towards a smooth random function that closes with the loop: the path stays
         round its keyframes and does not touch them. One keyframe is enough

Every segment has an easing, and a path may leave style inputs where they are (`moving`).
"""

from ganlib.latents.paths.arcs import circle, coupling, slerp, wander
from ganlib.latents.paths.keyframes import CIRCULAR, CURVES, EASINGS, MOVING, WAY, Keyframe, LatentPath, ease
from ganlib.latents.paths.sweeps import class_path, direction_path, psi_path
from ganlib.latents.paths.walker import LatentSource, PathWalker

__all__ = [
    "CIRCULAR",
    "CURVES",
    "EASINGS",
    "MOVING",
    "WAY",
    "Keyframe",
    "LatentPath",
    "LatentSource",
    "PathWalker",
    "circle",
    "class_path",
    "coupling",
    "direction_path",
    "ease",
    "psi_path",
    "slerp",
    "wander",
]
