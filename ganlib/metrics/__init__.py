"""How far generated pictures are from real ones: Fréchet and kernel distance, precision and recall; and what generated
pictures alone tell: the perceptual path length and the Inception score.

A metric is named by kind, number of generated pictures and features: `kid1k_fruit-d`, `fid50k_full_inception`,
`pr1k3_squeezenet`. Published FID and KID are on Inception's features; on others the figure has another scale, and only
figures of the same name, the same features and the same data set can be compared.
"""

from ganlib.metrics.config import MetricsConfig
from ganlib.metrics.distances import (
    FeatureStats,
    KernelDistance,
    frechet_distance,
    frechet_error,
    join_moments,
    kernel_distance,
    precision_recall,
    share_interval,
    stats_of,
)
from ganlib.metrics.job import find_networks, measure, run_job
from ganlib.metrics.kinds import KINDS, Kind, Known, Seen, is_lower_better, kind_of
from ganlib.metrics.measurement import (
    append_record,
    evaluate,
    evaluate_all,
    generated_pictures,
    measure_baseline,
    reals_file,
    reference_features,
    resolve,
)
from ganlib.metrics.names import Metric, parse_metric, parse_metrics
from ganlib.metrics.ppl import PathSteps, path_length
from ganlib.metrics.rows import collect_rows
from ganlib.metrics.scores import inception_score

__all__ = [
    "KINDS",
    "FeatureStats",
    "KernelDistance",
    "Kind",
    "Known",
    "Metric",
    "MetricsConfig",
    "PathSteps",
    "Seen",
    "append_record",
    "collect_rows",
    "evaluate",
    "evaluate_all",
    "find_networks",
    "frechet_distance",
    "frechet_error",
    "generated_pictures",
    "inception_score",
    "is_lower_better",
    "join_moments",
    "kernel_distance",
    "kind_of",
    "measure",
    "measure_baseline",
    "parse_metric",
    "parse_metrics",
    "path_length",
    "precision_recall",
    "reals_file",
    "reference_features",
    "resolve",
    "run_job",
    "share_interval",
    "stats_of",
]
