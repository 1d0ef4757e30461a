"""Speed of whole training steps in bfloat16 beside float32, and with G's pictures used twice, in one run.

Steps of `ganlib.training` as a run makes them, optimizers included, on pictures of noise; plain steps, without the lazy
penalties, which are timed apart (`R1`). The forms alternate, and the least time of each counts.

    python benchmarks/training_precision.py --resolutions 64,128 --threads 1
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from ganlib.compute.device import has_bfloat16, processor_name, tune_allocator
from ganlib.compute.distributed import Processes
from ganlib.media import images
from ganlib.training.config import TrainConfig
from ganlib.training.data_loader import DataLoader
from ganlib.training.setup import plan
from ganlib.training.state import Networks
from ganlib.training.steps import Steps

CASES = {
    "stylegan2": {"cbase": 4096, "cmax": 128, "z_dim": 128, "w_dim": 128, "aug": "noaug", "pl_weight": 0.0},
    "stylegan2 + projected": {"discriminator": "projected", "cbase": 4096, "cmax": 128, "z_dim": 64, "w_dim": 128},
    "fastgan + projected": {"arch": "fastgan", "ngf": 32},
}
BATCH = 16
R1_STEP, PLAIN_STEP = 16, 1


def make_set(folder: Path, side: int) -> Path:
    """Write 32 pictures of noise as a data set."""
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (32, side, side, 3), dtype=np.uint8)
    for i, picture in enumerate(pixels):
        (folder / f"{i:03d}.png").write_bytes(images.encode(picture, "png"))
    return folder


class Case:
    """One run that is stepped again and again."""

    def __init__(self, data: Path, options: dict[str, object], *, precision: str, reuses: bool) -> None:
        config = TrainConfig.from_dict(
            {"data": str(data), "batch": BATCH, "precision": precision, "reuse_fakes": reuses, **options}
        )
        planned, group = plan(config), Processes(device=torch.device("cpu"))
        nets = Networks(planned.spec, planned.config, group.device, planned.judge)
        reals = DataLoader(planned.dataset, planned.config, planned.spec, group.device)
        self.steps = Steps(nets, planned.spec, planned.config, reals, group, print)
        self.phase = planned.schedule.at(10**15)
        self.real, self.label = reals.batch(0, BATCH, 0, 1)
        self.has_r1 = nets.r1_interval > 1

    def seconds(self, number: int) -> float:
        """Time one step."""
        begun = time.perf_counter()
        self.steps.step(number, self.phase, self.real, self.label)
        return time.perf_counter() - begun


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolutions", default="64,128", help="sides in pixels (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=4, help="timed steps of each form (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    tune_allocator()
    torch.set_num_threads(args.threads)
    print(f"{processor_name(torch.device('cpu'))}, bfloat16: {'yes' if has_bfloat16() else 'no'}")
    print("seconds a step of 16 pictures: float32, bfloat16, ratio; the same with G's pictures used twice; R1 step")
    with tempfile.TemporaryDirectory() as folder:
        for side in map(int, args.resolutions.split(",")):
            data = make_set(Path(folder) / str(side), side)
            for name, options in CASES.items():
                forms = {
                    (precision, reuses): Case(data, options, precision=precision, reuses=reuses)
                    for reuses in (False, True)
                    for precision in ("single", "mixed")
                }
                best: dict[tuple[str, bool, int], float] = {}
                for _ in range(args.rounds + 1):  # the first warms up, and is seldom the least
                    for form, case in forms.items():
                        for number in (PLAIN_STEP, R1_STEP) if case.has_r1 else (PLAIN_STEP,):
                            key = (*form, number)
                            best[key] = min(best.get(key, float("inf")), case.seconds(number))
                words = [f"{side:>4} px {name:24}"]
                for reuses in (False, True):
                    plain, rounded = (best[precision, reuses, PLAIN_STEP] for precision in ("single", "mixed"))
                    words.append(f"{plain:.3f} {rounded:.3f} {plain / rounded:.2f}×")
                words.append(f"all {best['single', False, PLAIN_STEP] / best['mixed', True, PLAIN_STEP]:.2f}×")
                if ("single", False, R1_STEP) in best:
                    plain, rounded = (best[precision, False, R1_STEP] for precision in ("single", "mixed"))
                    words.append(f"R1 {plain:.3f} {rounded:.3f} {plain / rounded:.2f}×")
                print("   ".join(words), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
