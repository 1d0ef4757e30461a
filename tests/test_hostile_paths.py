"""Every flag that names a file, given what has no end: a plain error at once, and no memory taken."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import hostile
import pytest

from ganlib.__main__ import main
from ganlib.base.errors import DataError
from ganlib.base.filesystem import MOST_LINES_BYTES
from ganlib.compare.sources import Stored
from ganlib.dataset import Dataset, PrepareConfig, prepare
from ganlib.dataset.checks.config import ExamineConfig
from ganlib.dataset.examine import examine
from ganlib.media.images import encode
from ganlib.superres.job import find_sources

# {} is the path in question, GOOD a set of pictures, MODEL a model, OUT a new file or folder.
FLAGS = (
    "prepare --source {} --dest OUT.zip --resolution 16",
    "prepare --source GOOD --dest OUT.zip --resolution 16 --exclude {}",
    "prepare --source GOOD --dest OUT.zip --resolution 16 --keep {}",
    "prepare --source GOOD --dest OUT.zip --resolution 16 --labels {}",
    "examine --source {} --outdir OUT",
    "train --data {} --outdir OUT",
    "train --data GOOD --resume {} --outdir OUT --kimg 0.01",
    "metrics --network MODEL --data {} --outdir OUT --metrics kid10",
    "metrics --network {} --data GOOD --outdir OUT --metrics kid10",
    "copies --network MODEL --data {} --seeds 1 --outdir OUT",
    "copies --data GOOD --source {} --outdir OUT",
    "statistics --network MODEL --data {} --outdir OUT",
    "project --network MODEL --target {} --outdir OUT --steps 1",
    "project --network {} --target GOOD --outdir OUT --steps 1",
    "generate --network {} --seeds 1 --outdir OUT",
    "generate --network MODEL --projected-w {} --outdir OUT",
    "import {} --dest OUT.safetensors",
    "export --network {} --format nvidia --dest OUT.pt",
    "blend --network MODEL --other {} --dest OUT.safetensors",
    "video --network MODEL --seeds 1,2 --seconds 0.1 --sound {} --out OUT.mp4",
    "video --network MODEL --seeds 1,2 --seconds 0.1 --logo {} --out OUT.mp4",
    "video --network {} --seeds 1,2 --seconds 0.1 --out OUT.mp4",
    "upscale --source {} --dest OUT.png",
    "upscale --source GOOD --model {} --dest OUT",
    "upscaler --data {} --outdir OUT",
    "directions --network MODEL --import {}",
    "nft --check {}",
    "doctor {}",
    "timelapse {} --out OUT.mp4",
    "run {}",
    "bench --network {}",
)


# What says that it is empty is an empty list, and a link in a zip is a file with its words, of which one can report.
HARMLESS = ("kernel's log", "zip of a link")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import numpy as np

    folder = tmp_path_factory.mktemp("good")
    rng = np.random.default_rng(3)
    for i in range(12):
        (folder / f"{i}.png").write_bytes(encode(rng.integers(0, 256, (16, 16, 3)).astype(np.uint8), "png"))
    return folder


@pytest.mark.parametrize("kind", hostile.KINDS)
@pytest.mark.parametrize("words", FLAGS, ids=[words.partition(" --dest")[0][:48] for words in FLAGS])
def test_a_flag_refuses_what_has_no_end(words, kind, tmp_path, good, tiny_model, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = hostile.make(kind, tmp_path)
    if path is None:
        pytest.skip(f"no {kind} on this system")
    places = {"{}": str(path), "GOOD": str(good), "MODEL": str(tiny_model)}
    argv = [places.get(word, word.replace("OUT", str(tmp_path / "out"))) for word in words.split()]
    with hostile.within_walls():
        code = main(argv)
    said = capsys.readouterr().err
    if kind in HARMLESS and code == 0:
        return
    assert code == 2, said
    assert "error: " in said and "hint: " in said


@pytest.mark.parametrize("kind", ["pipe", "device", "file"])
def test_what_is_no_folder_is_not_called_damaged(kind, tmp_path, tiny_model, capsys):
    path = Path("/dev/zero") if kind == "device" else tmp_path / "thing"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "file":
        path.write_bytes(b"")
    for argv, words in (
        (["nft", "--check", str(path)], f"{path} is no folder of a collection"),
        (["timelapse", str(path)], f"{path} is no training run"),
        (["directions", "--network", str(tiny_model), "--import", str(path)],
         "0 bytes" if kind == "file" else f"it is a {kind}, not a file"),
    ):  # fmt: skip
        assert main(argv) == 2
        said = capsys.readouterr().err
        assert words in said and "Errno" not in said, argv
    with (tmp_path / "list.txt").open("wb") as large:
        large.truncate(MOST_LINES_BYTES + 1)
    argv = ["prepare", "--source", str(tmp_path / "list.txt"), "--dest", str(tmp_path / "set.zip")]
    assert main([*argv, "--i-have-the-rights"]) == 2
    said = capsys.readouterr().err
    assert "cannot be read: it is 536,870,913 bytes large" in said and "Errno" not in said
    assert main(["timelapse", str(tmp_path / "absent")]) == 2 and not (tmp_path / "absent").exists()


@pytest.mark.skipif(os.name != "posix", reason="who may read is told otherwise there")
def test_a_folder_that_may_not_be_read_is_not_called_empty():
    with TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        locked, user = Path(root, "locked"), os.geteuid()
        locked.mkdir(mode=0)
        if user == 0:
            os.seteuid(65534)  # the system keeps nothing from root
        try:
            for opened in (
                lambda: prepare(PrepareConfig(str(locked), str(Path(root, "set.zip")))),
                lambda: examine(ExamineConfig(str(locked), str(Path(root, "out")))),
                lambda: Dataset.open(locked),
                lambda: Stored(locked),
                lambda: find_sources([locked], without=Path(root, "out")),
            ):
                with pytest.raises(DataError) as error:
                    opened()
                assert error.value.message == f"{locked} cannot be read: Permission denied"
        finally:
            os.seteuid(user)
