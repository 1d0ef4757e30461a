"""What ffmpeg is told of files that somebody names."""

from __future__ import annotations

import pytest

from ganlib.base.errors import DataError
from ganlib.dataset.sources.film import take_apart
from ganlib.media.ffmpeg import as_file, run_ffmpeg
from ganlib.runs import SilentReporter
from ganlib.superres.films import probe
from ganlib.video import read_track


@pytest.fixture
def own(tmp_path):
    """A film with sound that somebody keeps for himself."""
    path = tmp_path / "own.ts"
    sources = ["-f", "lavfi", "-i", "testsrc=d=1:s=64x64:r=5", "-f", "lavfi", "-i", "sine=d=1"]
    run_ffmpeg([*sources, "-f", "mpegts", as_file(path)])
    return path


LISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nown.ts\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile own.ts\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp2t"><Representation id="1" '
    'bandwidth="1"><BaseURL>own.ts</BaseURL></Representation></AdaptationSet></Period></MPD>',
}


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("suffix", ["m3u8", "mpd", "ffconcat", "sdp", "mp4", "mp3", "ts"])
def test_a_list_of_other_files_is_neither_sound_nor_film(kind, suffix, own, tmp_path):
    assert read_track(own).size and probe(own).width == 64
    path = tmp_path / f"list.{suffix}"
    path.write_text(LISTS[kind])
    with pytest.raises(DataError):
        read_track(path)
    with pytest.raises(DataError):
        probe(path)
    with pytest.raises(DataError):
        take_apart(path, tmp_path / "frames", 5, SilentReporter())


def test_a_pattern_of_numbers_opens_no_other_pictures(own, tmp_path):
    run_ffmpeg(["-i", as_file(own), as_file(tmp_path / "frame%02d.png")])
    pattern = tmp_path / "frame%02d.png"
    pattern.write_bytes((tmp_path / "frame01.png").read_bytes())
    with pytest.raises(DataError):
        probe(pattern)
