"""How far generated pictures are from real ones: Fréchet and kernel distance, precision and recall.

A metric is named by kind, number of generated pictures and features: `kid1k_squeezenet`, `fid5k_full_fruit-d`,
`pr1k3_squeezenet`. Published FID and KID are on Inception's features; on others the figure has another scale, and only
figures of the same name, the same features and the same data set can be compared.
"""

from ganlib.metrics.distances import (
    FeatureStats,
    KernelDistance,
    frechet_distance,
    kernel_distance,
    precision_recall,
    stats_of,
)
from ganlib.metrics.measuring import (
    append_record,
    evaluate,
    evaluate_all,
    generated_pictures,
    real_floor,
    reference_features,
)
from ganlib.metrics.names import KINDS, Metric, parse_metric, parse_metrics

__all__ = [
    "KINDS",
    "FeatureStats",
    "KernelDistance",
    "Metric",
    "append_record",
    "evaluate",
    "evaluate_all",
    "frechet_distance",
    "generated_pictures",
    "kernel_distance",
    "parse_metric",
    "parse_metrics",
    "precision_recall",
    "real_floor",
    "reference_features",
    "stats_of",
]
