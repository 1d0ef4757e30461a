"""What is read back from a job's directory, whatever is in it; and what is written when the disk is full."""

import errno
import json
import resource
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from ganlib import runs
from ganlib.base.errors import GanlibError, RunError
from ganlib.runs import RunDir, SilentReporter, files, records

QUIET = SilentReporter()
NESTED = "[" * 100_000
HOSTILE = {
    "deep": NESTED,
    "deep member": '{"state": "done", "verb": "train", "config": {"a": ' + NESTED + "}}",
    "long number": '{"state": "done", "verb": "train", "config": {}, "done": ' + "9" * 5000 + "}",
    "not UTF-8": "\udcff",
    "huge and nameless": '{"verb": "train", "config": {}, "name": 3, "created": "x", "cwd": [], "command": null, '
    '"state": ["done"], "message": {}, "hint": 7, "done": 1' + "0" * 400 + ', "total": NaN, "eta_seconds": 1e999, '
    '"updated": true, "artefacts": ["a\\u0000b", 7, "' + "x" * 5000 + '", null]}',
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_file_breaks_a_listing(tmp_path, text):
    whole = runs.create_run(tmp_path, "train", "a", {})
    damaged = runs.create_run(tmp_path, "train", "b", {})
    data = text.encode(errors="surrogateescape")
    (whole.path / "status.json").write_bytes(data)
    (whole.path / "stats.jsonl").write_bytes(data + b'\n{"Progress/kimg": {"mean": NaN}}\n{"Progress/kimg": 1}\n')
    (damaged.path / "job.json").write_bytes(data)
    listed = runs.list_runs(tmp_path)
    assert whole in listed
    for run in listed:
        assert run.state in ("queued", "lost", "done") and 0 <= run.progress <= 1 and run.eta_seconds is None
        assert isinstance(run.message + run.hint + run.name + run.job["command"] + run.job["cwd"], str)
        assert run.artefacts == [] and run.job["created"] >= 0 and run.job["exclusive"] is False
    assert whole.stats()[-2:] == [{"Progress/kimg": {"mean": None}}, {"Progress/kimg": 1}]


def test_a_path_that_cannot_exist_is_no_job():
    run = RunDir(Path("a\0b"))
    assert run.state == "lost" and run.stats() == [] and run.log_tail() == "" and run.artefacts == []
    with pytest.raises(RunError):
        RunDir.open(run.path)


# --- statistics -------------------------------------------------------------------------------------------------------


def tick(kimg: float, **more: object) -> str:
    return json.dumps({"Progress/kimg": {"num": 1, "mean": kimg, "std": 0}} | more) + "\n"


def kimgs(run: RunDir) -> list:
    return [record["Progress/kimg"]["mean"] for record in run.stats() if "Progress/kimg" in record]


def test_a_stretch_that_a_resumed_run_writes_again_counts_once(tmp_path):
    run = runs.create_run(tmp_path, "train", "a", {})
    path = run.path / "stats.jsonl"
    path.write_text("".join(tick(kimg, take=1) for kimg in (1, 2, 3, 4)) + '{"note": 1}\n')
    assert kimgs(run) == [1, 2, 3, 4]
    with path.open("a") as file:  # killed at 4, resumed from a snapshot at 2
        file.write(tick(2.5, take=2))
    assert kimgs(run) == [1, 2, 2.5]
    with path.open("a") as file:
        file.write(tick(3, take=2) + tick(3, take=3) + tick(float("nan")) + '{"Progress/kimg"')
    assert [record.get("take") for record in run.stats()] == [1, 1, None, 2, 3, None]
    assert kimgs(run) == [1, 2, 2.5, 3, None]


def test_statistics_that_grow_are_read_once(tmp_path, monkeypatch):
    run = runs.create_run(tmp_path, "train", "a", {})
    path = run.path / "stats.jsonl"
    parsed = []
    parse = records.parse_json

    def counted(text):
        parsed.append(text)
        return parse(text)

    monkeypatch.setattr(records, "parse_json", counted)
    path.write_text("".join(tick(i) for i in range(1000)))
    assert len(run.stats()) == 1000
    parsed.clear()
    with path.open("a") as file:
        file.write(tick(1000) + tick(1001)[:20])
    assert len(run.stats()) == 1001 and len(parsed) <= 2
    with path.open("a") as file:
        file.write(tick(1001)[20:])
    assert kimgs(run)[-2:] == [1000, 1001]
    path.write_text("".join(tick(i + 0.5) for i in range(2000)))  # another file of that name, and a longer one
    assert kimgs(run)[:2] == [0.5, 1.5] and len(run.stats()) == 2000
    path.write_text(tick(7))
    assert kimgs(run) == [7]
    path.unlink()
    assert run.stats() == []


def test_a_limit_thins_evenly(tmp_path):
    run = runs.create_run(tmp_path, "train", "a", {})
    (run.path / "stats.jsonl").write_text("".join(tick(i) for i in range(101)))
    got = {n: [record["Progress/kimg"]["mean"] for record in run.stats(limit=n)] for n in (0, 1, 2, 5, 101, 500)}
    assert got[0] == [] and got[1] == [100] and got[2] == [0, 100] and got[5] == [0, 25, 50, 75, 100]
    assert len(got[101]) == len(got[500]) == 101


# --- a full disk ------------------------------------------------------------------------------------------------------


def fill(folder: Path) -> None:
    """Write until not a byte goes onto the disk of `folder`."""
    with pytest.raises(OSError) as caught, (folder / "filling").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    assert caught.value.errno == errno.ENOSPC


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or subprocess.run([mount, "-t", "tmpfs", "-o", "size=1m", "none", folder]).returncode != 0:
        pytest.skip("mounting a small disk needs the rights to")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("what", ["stats", "log", "snapshot", "artefacts"])
def test_a_job_on_a_full_disk_fails_in_words_and_resumes(small_disk, what):
    run = runs.create_run(small_disk / "runs", "train", "a", {})

    def execute(config, path, reporter):
        reporter.progress(1, 10, "x" * 300)
        fill(small_disk)
        if what == "stats":
            for i in range(1000):
                reporter.stats({"Progress/kimg": i})
        elif what == "log":
            for _ in range(1000):
                reporter.log("y" * 100)
            raise ZeroDivisionError("the real reason")
        elif what == "snapshot":
            runs.write_bytes(path / "snapshot", b"z" * 5000)
        else:
            for i in range(300):  # the status becomes longer than the file that it could go into
                reporter.artefact(path / f"a rather long name of a picture {i}.png")
            runs.write_bytes(path / "snapshot", b"z" * 200_000)

    assert runs.work(run, execute, echo=QUIET) == "failed" == run.state
    if what == "log":
        assert run.message == "ZeroDivisionError: the real reason"
    else:
        assert run.message.startswith("the disk is full") and run.hint == "Free space on the disk, then resume."
    (small_disk / "filling").unlink()
    assert runs.work(run, lambda c, p, r: r.stats({"Progress/kimg": 2000}), echo=QUIET) == "done"
    assert run.message == "" and run.stats()[-1]["Progress/kimg"] == 2000


def test_a_job_that_begins_on_a_full_disk_says_so(small_disk):
    run = runs.create_run(small_disk / "runs", "train", "a", {})
    fill(small_disk)
    assert runs.work(run, lambda c, p, r: r.stats({"a": "b" * 200_000}), echo=QUIET) == "failed" == run.state
    assert run.message.startswith("the disk is full")


@pytest.mark.parametrize("way", ["over the old bytes", "in the reserve"])
def test_the_last_status_finds_room(tmp_path, monkeypatch, way):
    """As on a full disk, but without one: no new file, or none as long as the reserve is there."""
    run = runs.create_run(tmp_path, "train", "a", {})
    write = files.write_bytes

    def full(path, data, **options):
        if way == "over the old bytes" or (run.path / ".reserve").exists():
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, data, **options)

    def execute(config, path, reporter):
        reporter.progress(1, 2, "a longer message than the last one will be" * 5)
        monkeypatch.setattr(files, "write_bytes", full)
        if way == "in the reserve":
            (path / "status.json").unlink()
        try:
            full(path / "state.pt", b"")
        except OSError as error:
            raise GanlibError("state.pt could not be written", "think") from error

    assert runs.work(run, execute, echo=QUIET) == "failed" == run.state
    assert (run.message, run.progress) == ("the disk is full: state.pt could not be written", 0.5)
    assert run.hint == "Free space on the disk, then resume."
    assert not [path.name for path in run.path.iterdir() if path.name.startswith(".")]


def test_a_limit_on_file_sizes_is_a_full_disk_too(tmp_path):
    run = runs.create_run(tmp_path, "train", "a", {})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    before_signal = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        state = runs.work(run, lambda c, p, r: r.stats({"a": "b" * 200_000}), echo=QUIET)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, before_signal)
    assert state == run.state == "failed" and run.message.startswith("the disk is full")
