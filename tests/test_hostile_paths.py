"""Every flag that names a file, given what has no end: a plain error at once, and no memory taken."""

from __future__ import annotations

from pathlib import Path

import hostile
import pytest

from ganlib.__main__ import main
from ganlib.images import encode

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
