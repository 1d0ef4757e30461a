"""A render that was killed goes on at the frame where it stopped, and many processes make one film."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from ganlib import video
from ganlib.latents.paths import Keyframe, LatentPath
from ganlib.latents.recipes import Recipe
from ganlib.render.renderer import Renderer
from ganlib.runs import Stopped, create_run
from ganlib.video import RenderJob
from ganlib.video.segments import SEGMENT_FRAMES
from tests.video.films import QUIET, Listener, decoded, ffmpeg, job_of

PATIENCE_SECONDS = 120.0


class Counting(Renderer):
    """Counts the pictures that it makes."""

    made = 0

    def synthesize(self, w_plus, **options):
        self.made += len(w_plus)
        return super().synthesize(w_plus, **options)


@pytest.fixture
def counting(renderer):
    return Counting(renderer.generator, name="tiny", digest="abc")


def same_frames(one: Path, other: Path, side: int) -> bool:
    return np.array_equal(decoded(one, side), decoded(other, side))


KINDS = [{}, {"codec": "h265"}, {"format": "webm"}, {"format": "gif"}, {"even_speed": True}]


@pytest.mark.parametrize("options", KINDS)
def test_a_stopped_film_goes_on_and_equals_an_uninterrupted_one(renderer, counting, tmp_path, options):
    seconds = 3.4 if options in ({}, {"format": "gif"}) else 2.2  # more than one piece
    job = job_of(seconds=seconds, size=32, **options)
    assert job.num_frames > SEGMENT_FRAMES or seconds < 3
    name = f"film{job.suffix}"
    whole = video.render_video(job, tmp_path / f"whole{job.suffix}", renderer=renderer, reporter=QUIET)
    parts = tmp_path / "parts"
    with pytest.raises(Stopped):
        video.render_video(
            job, tmp_path / name, renderer=renderer, reporter=Listener(stop_after=0.4 * job.num_frames), parts=parts
        )
    assert parts.exists() and not (tmp_path / name).exists()
    video.render_video(job, tmp_path / name, renderer=counting, reporter=QUIET, parts=parts)
    assert same_frames(whole, tmp_path / name, 32)
    assert len(decoded(tmp_path / name, 32)) == job.num_frames
    assert counting.made <= 0.6 * job.num_frames, "what was rendered is not rendered again"
    assert not parts.exists()


def test_a_job_killed_at_40_percent_resumes_frame_for_frame(tiny_model, repository, tmp_path):
    keyframes = tuple(Keyframe(Recipe.of_seed(seed), 2.0) for seed in (1, 2, 3, 4, 5))
    job = RenderJob(str(tiny_model), LatentPath(keyframes), fps=60, size=128, device="cpu")
    killed, whole = (create_run(tmp_path, "video", name, job.to_dict()) for name in ("killed", "whole"))
    argv = [sys.executable, "-m", "ganlib", "run"]
    process = subprocess.Popen([*argv, str(killed.path)], cwd=repository, stderr=subprocess.DEVNULL)

    def in_the_third_piece() -> bool:
        return (folder / "part-00001.mp4").exists() and any(
            path.stat().st_size > 12 for path in folder.glob("*2.spool")
        )

    until = time.monotonic() + PATIENCE_SECONDS
    folder = killed.path / video.PARTS
    while True:
        assert process.poll() is None and time.monotonic() < until, "it ended, or never began"
        if in_the_third_piece():
            process.send_signal(signal.SIGSTOP)  # so that it is still there when it is killed
            if in_the_third_piece():
                break
            process.send_signal(signal.SIGCONT)
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert killed.state == "lost" and killed.artefacts == []
    assert not (folder / "part-00002.mp4").exists()
    for run in (killed, whole):
        subprocess.run([*argv, str(run.path)], cwd=repository, check=True, stderr=subprocess.DEVNULL)
        assert run.state == "done"
    one, other = killed.path / "morph.mp4", whole.path / "morph.mp4"
    assert len(decoded(one, 128)) == job.num_frames
    assert same_frames(one, other, 128) and one.stat().st_size == other.stat().st_size


def test_a_damaged_spool_is_used_as_far_as_it_is_whole(renderer, counting, tmp_path):
    job, parts = job_of(size=32), tmp_path / "parts"
    whole = video.render_video(job, tmp_path / "whole.mp4", renderer=renderer, reporter=QUIET)
    with pytest.raises(Stopped):
        small = Renderer(renderer.generator, name="tiny", digest="abc")
        small.default_batch = lambda: 5
        video.render_video(job, tmp_path / "film.mp4", renderer=small, reporter=Listener(stop_after=30), parts=parts)
    spool = next(parts.glob("*.spool"))
    data = bytearray(spool.read_bytes())
    data[len(data) // 2] ^= 255
    spool.write_bytes(data + b"torn")
    video.render_video(job, tmp_path / "film.mp4", renderer=counting, reporter=QUIET, parts=parts)
    assert 30 < counting.made < 60
    assert np.abs(decoded(whole, 32) - decoded(tmp_path / "film.mp4", 32)).max() <= 12, "batches of 5 and of 60"


def test_pieces_of_another_film_are_not_used(renderer, tmp_path):
    parts = tmp_path / "parts"
    job = job_of(size=32, seconds=2.8)
    with pytest.raises(Stopped):
        video.render_video(job, tmp_path / "a.mp4", renderer=renderer, reporter=Listener(stop_after=20), parts=parts)
    (parts / "part-00000.mp4").write_bytes(b"of another film")
    other = replace(job, crf=20)
    video.render_video(other, tmp_path / "b.mp4", renderer=renderer, reporter=QUIET, parts=parts)
    assert len(decoded(tmp_path / "b.mp4", 32)) == other.num_frames


def test_frames_of_joined_pieces_are_evenly_spaced(renderer, tmp_path):
    job = job_of(seconds=2.8, fps=29.97, size=32, seeds=(1, 2, 3, 4, 5))
    assert job.num_frames > 3 * SEGMENT_FRAMES
    path = video.render_video(job, tmp_path / "film.mp4", renderer=renderer, reporter=QUIET)
    words = ffmpeg("-i", str(path), "-vf", "showinfo", "-f", "null", "-").stderr.decode()
    times = np.array([float(word[9:]) for word in words.split() if word.startswith("pts_time:")])
    assert len(times) == job.num_frames
    assert np.abs(np.diff(times) - 1 / 29.97).max() < 2e-4 and times[0] == 0


def test_ranks_share_a_film(renderer, tmp_path):
    job = job_of(seconds=4.5, size=32)  # three pieces
    whole = video.render_video(job, tmp_path / "whole.mp4", renderer=renderer, reporter=QUIET)
    parts, made = tmp_path / "parts", {}

    def rank(number: int) -> None:
        made[number] = Counting(renderer.generator, name="tiny", digest="abc")
        video.render_video(
            job, tmp_path / "film.mp4", renderer=made[number], reporter=QUIET, parts=parts, rank=number, world=2
        )

    threads = [Thread(target=rank, args=(number,)) for number in (1, 0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert same_frames(whole, tmp_path / "film.mp4", 32)
    # Of a film of one piece the second rank has nothing to do, and waits for nobody.
    one = job_of(size=32)
    video.render_video(one, tmp_path / "one.mp4", renderer=made[1], reporter=QUIET, rank=1, world=2)
    assert list(tmp_path.glob("*one*")) == []
    # The first rank also looks at the seam, eight pictures at a time.
    assert made[1].made == 120 and made[0].made in (158, 166, 174, 182)
