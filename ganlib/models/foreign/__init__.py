"""Model files of other tools, read into this studio's networks without executing anything inside them.

`open_foreign` reads NVIDIA's `network-snapshot` pickles (StyleGAN2-ADA, StyleGAN3), pickles of TensorFlow's era
(StyleGAN2 and StyleGAN2-ADA), rosinality's `.pt` and state dicts of NVIDIA's tensor names; `import_model` makes a
checkpoint of one.
"""

from ganlib.models.foreign.job import ImportConfig, import_with_report, inspect, run_job
from ganlib.models.foreign.reader import SUFFIXES, Foreign, check_dest, import_model, open_foreign, save_foreign
from ganlib.models.foreign.safety import Asked, SafetyReport

__all__ = [
    "SUFFIXES",
    "Asked",
    "Foreign",
    "ImportConfig",
    "SafetyReport",
    "check_dest",
    "import_model",
    "import_with_report",
    "inspect",
    "open_foreign",
    "run_job",
    "save_foreign",
]
