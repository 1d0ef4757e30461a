"""Speed and memory of `prepare`, beside a plain Pillow loop over the same pictures, in one run.

Plain: open, convert to RGB, cut the centre, resize, save as PNG into a zip; no frames, no report, no checks, and an end
at the first damaged file. Ours: the same crop (`center`), and the default (`auto`: frames removed, subject found). Each
in a process of its own, alternating; the time is the least CPU time of a process and its workers, which other work on
the machine disturbs little. Memory is the largest resident set of the process, one worker, at several counts of
pictures: a flat line means that a set of any size fits.

    python benchmarks/prepare.py --source pictures.zip --resolution 64 --counts 1000,7000
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from io import BytesIO
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

FORMS = ("plain", "center", "auto")


def main() -> int:
    """Measure each form in processes of its own, alternating, and print the table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True, help="a zip of pictures")
    parser.add_argument("--resolution", type=int, default=64, help="side in pixels (default: %(default)s)")
    parser.add_argument("--counts", default="1000", help="how many pictures (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="processes of each form (default: %(default)s)")
    parser.add_argument("--forms", default=",".join(FORMS), help="some of them (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="processes that decode and crop (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--form", choices=FORMS, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.form:
        print(json.dumps(measure(args.form, args.source, args.resolution, args.count, args.workers)))
        return 0
    best: dict[tuple[str, int], dict[str, float]] = {}
    for _ in range(args.rounds):
        for count in map(int, args.counts.split(",")):
            for form in args.forms.split(","):
                command = [sys.executable, __file__, *sys.argv[1:], "--form", form, "--count", str(count)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                measured = json.loads(done.stdout.splitlines()[-1])
                known = best.setdefault((form, count), measured)
                best[form, count] = {name: min(known[name], value) for name, value in measured.items()}
    if args.json:
        print(json.dumps([{"form": form, "count": count} | row for (form, count), row in best.items()]))
        return 0
    print(f"{args.resolution} px, {args.workers} worker(s)")
    print(f"{'form':8}{'pictures':>10}{'per CPU s':>12}{'of plain':>10}{'peak MiB':>10}")
    for (form, count), row in best.items():
        plain = best.get(("plain", count), {}).get("seconds", float("nan"))
        rate, share = count / row["seconds"], plain / row["seconds"]
        print(f"{form:8}{count:10d}{rate:12.0f}{share:10.2f}{row['mebibytes']:10.0f}")
    return 0


def measure(form: str, source: Path, resolution: int, count: int, workers: int) -> dict[str, float]:
    """Return the CPU seconds of preparing `count` pictures, imports not counted, and the process's peak memory."""
    from ganlib.dataset import PrepareConfig, prepare

    with tempfile.TemporaryDirectory() as folder:
        dest = Path(folder) / "out.zip"
        start = _cpu_seconds()
        if form == "plain":
            plain(source, dest, resolution, count)
        else:
            options = PrepareConfig.from_dict(
                {"source": str(source), "dest": str(dest), "resolution": resolution, "crop": form,
                 "max_pictures": count, "workers": workers}
            )  # fmt: skip
            prepare(options)
        seconds = _cpu_seconds() - start
    return {"seconds": seconds, "mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def plain(source: Path, dest: Path, resolution: int, count: int) -> None:
    """The loop that one would write."""
    from PIL import Image

    with zipfile.ZipFile(source) as pictures, zipfile.ZipFile(dest, "w") as out:
        names = sorted(name for name in pictures.namelist() if not name.endswith("/"))
        for i in range(min(count, len(names))):
            picture = Image.open(BytesIO(pictures.read(names[i * len(names) // count]))).convert("RGB")
            side = min(picture.size)
            left, top = (picture.width - side) // 2, (picture.height - side) // 2
            square = picture.crop((left, top, left + side, top + side))
            data = BytesIO()
            square.resize((resolution, resolution), Image.Resampling.LANCZOS).save(data, "PNG")
            out.writestr(f"{i:08d}.png", data.getvalue())


def _cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    sys.exit(main())
