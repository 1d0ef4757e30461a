"""Collections: what is chosen and how it is described, the same bytes again, after a kill, and by several processes."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from PIL import Image

from ganlib import networks, nft
from ganlib.__main__ import main
from ganlib.base.errors import InputError
from ganlib.latents.editing import Direction, save_direction
from ganlib.latents.favourites import add_favourite
from ganlib.latents.recipes import Edit, Recipe, parse_embedded
from ganlib.media.colours import NAMED, WORDS, main_colours
from ganlib.media.images import read_recipe_text, says_ai
from ganlib.models.checkpoints import load_generator, save_snapshot
from ganlib.nft import NftConfig, make_drop, preview_drop, rarity_of, validate_drop
from ganlib.nft.candidates import CandidateFeatures, Chooser, Viewer
from ganlib.nft.config import fill
from ganlib.nft.job import WORK
from ganlib.nft.metadata import schema_errors
from ganlib.runs import RunDir, SilentReporter, Stopped, create_run, work
from tests.conftest import save_tiny

ADDRESS = "0x52908400098527886E0F7030069857D2E4169EE7"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("models") / "plum.safetensors", seed=3)


def config_of(model: Path, outdir: Path, **options: object) -> NftConfig:
    return NftConfig(**{"network": model, "seeds": "0-9", "outdir": outdir, "device": "cpu", **options})


def files_of(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file() and WORK not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def json_of(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


# --- what is written --------------------------------------------------------------------------------------------------


def test_a_drop_holds_pictures_metadata_rarity_and_hashes(model, tmp_path):
    options = {"description": "{Main colour} no. {number:03} of {count}", "creators": (f"{ADDRESS}:100",)}
    drop = make_drop(config_of(model, tmp_path / "drop", royalty=500, symbol="PLUM", collection="Plums", **options))
    assert (drop.pieces, set(drop.cids)) == (10, {"images", "metadata"})
    names = {f"{i}.{kind}" for i in range(10) for kind in ("png", "json")}
    assert files_of(tmp_path / "drop").keys() == names | {
        "_metadata.json", "provenance.json", "rarity.json", "rarity.csv"
    }  # fmt: skip
    item = json_of(tmp_path / "drop" / "7.json")
    assert (item["name"], item["symbol"], item["seller_fee_basis_points"]) == ("Plums #7", "PLUM", 500)
    traits = {row["trait_type"]: row["value"] for row in item["attributes"]}
    assert item["description"] == f"{traits['Main colour']} no. 007 of 10"
    assert {"Main colour", "Second colour", "Cluster", "Axis 1", "Axis 2", "Variation"} <= traits.keys()
    assert item["properties"]["creators"] == [{"address": ADDRESS, "share": 100}]
    assert item["properties"]["rights"]["licence"] == "CC0-1.0"
    assert json_of(tmp_path / "drop" / "_metadata.json")[7] == item
    data = (tmp_path / "drop" / "7.png").read_bytes()
    recipe, digest, _ = parse_embedded(read_recipe_text(data) or "")
    assert recipe == Recipe.of_seed(7) == Recipe.from_dict(item["properties"]["recipe"])
    assert digest == item["properties"]["rights"]["model_digest"]
    assert says_ai(data)
    provenance = json_of(tmp_path / "drop" / "provenance.json")
    hashes = [hashlib.sha256((tmp_path / "drop" / f"{i}.png").read_bytes()).hexdigest() for i in range(10)]
    assert [row["image"]["sha256"] for row in provenance["items"]] == hashes
    assert provenance["provenance_hash"] == hashlib.sha256("".join(hashes).encode()).hexdigest()
    assert item["image"] == f"ipfs://{provenance['items'][7]['image']['cid']}"
    assert validate_drop(tmp_path / "drop") == []


def test_folders_have_their_own_addresses_and_numbers_start_where_told(model, tmp_path):
    config = config_of(
        model, tmp_path / "drop", layout="folders", start=101, picture="jpeg", size=48, seeds="5,3", mark_ai=False
    )
    drop = make_drop(config)
    assert {"images/101.jpg", "images/102.jpg", "metadata/101.json"} <= files_of(tmp_path / "drop").keys()
    item = json_of(tmp_path / "drop" / "metadata" / "102.json")
    assert item["image"] == f"ipfs://{drop.cids['images']}/102.jpg"
    assert item["properties"]["recipe"]["seeds"] == [[3, 1.0]]
    path = tmp_path / "drop" / "images" / "102.jpg"
    with Image.open(path) as picture:
        assert picture.size == (48, 48)
    assert not says_ai(path.read_bytes()) and read_recipe_text(path.read_bytes())
    assert validate_drop(tmp_path / "drop") == []
    # Words may be changed afterwards; pictures stay, and are not drawn again.
    make_drop(replace(config, base_uri="https://plums.example/drop/", collection="Sour plums"))
    item = json_of(tmp_path / "drop" / "metadata" / "102.json")
    assert item["image"] == "https://plums.example/drop/images/102.jpg" and item["name"] == "Sour plums #102"
    assert validate_drop(tmp_path / "drop") == []
    with pytest.raises(InputError, match="another collection"):
        make_drop(replace(config, size=32))


@pytest.mark.parametrize("standard", ["erc721", "metaplex", "both"])
def test_metadata_satisfy_the_schema_of_their_standard(model, tmp_path, standard):
    options = {"standard": standard, "external_url": "https://a.example/{number}"}
    make_drop(config_of(model, tmp_path / "drop", seeds="1,2", **options))
    item = json_of(tmp_path / "drop" / "1.json")
    assert schema_errors(item, standard) == []
    if standard == "erc721":
        assert "symbol" not in item
        assert schema_errors(item, "metaplex") != []
    wrong = {**item, "image": "0.png"}
    assert any("image" in problem for problem in schema_errors(wrong, standard))
    del wrong["name"]
    assert any("'name' is a required property" in problem for problem in schema_errors(wrong, standard))


# The examples of the two standards' own documents satisfy the schemas.
def test_published_examples_satisfy_the_schemas():
    creature = {
        "description": "Friendly OpenSea Creature that enjoys long swims in the ocean.",
        "external_url": "https://openseacreatures.io/3",
        "image": "https://storage.googleapis.com/opensea-prod.appspot.com/puffs/3.png",
        "name": "Dave Starbelly",
        "attributes": [
            {"trait_type": "Base", "value": "Starfish"},
            {"trait_type": "Level", "value": 5},
            {"display_type": "boost_number", "trait_type": "Aqua Power", "value": 40},
            {"display_type": "number", "trait_type": "Generation", "value": 2},
            {"value": "Happy"},
        ],
    }
    assert schema_errors(creature, "erc721") == []
    assert schema_errors({**creature, "attributes": [{"display_type": "number", "value": "two"}]}, "erc721") != []
    cross = {
        "name": "SolanaArtProject #1",
        "symbol": "SAP",
        "description": "Generative art on Solana.",
        "seller_fee_basis_points": 500,
        "image": "https://arweave.net/26YdhY_eAzv26YdhY1uu9uiA3nmDZYwP8MwZAultcE?ext=jpeg",
        "animation_url": "https://arweave.net/ZAultcE_eAzv26YdhY1uu9uiA3nmDuu9uiA3nmDZYwP8MwuiA3nm?ext=glb",
        "external_url": "https://example.com",
        "attributes": [{"trait_type": "trait1", "value": "value1"}],
        "properties": {
            "files": [{"uri": "https://www.arweave.net/abcd5678?ext=png", "type": "image/png"}],
            "category": "video",
            "creators": [{"address": "SOLFLR15asd9d21325bsadythp547912501b", "share": 100}],
        },
    }
    assert schema_errors(cross, "metaplex") == []
    assert schema_errors({**cross, "seller_fee_basis_points": 10_001}, "metaplex") != []


def test_each_piece_has_a_looped_film_whose_poster_is_its_picture(model, tmp_path):
    add_favourite(model.with_suffix(""), Recipe(seeds=((4, 0.5), (9, 0.5)), psi=0.6))
    config = config_of(
        model, tmp_path / "drop", seeds="8", favourites=("all",), seconds=0.5, fps=8.0, layout="folders", size=32
    )
    drop = make_drop(config)
    item = json_of(tmp_path / "drop" / "metadata" / "0.json")
    assert item["animation_url"] == f"ipfs://{drop.cids['animations']}/0.mp4"
    assert item["properties"]["category"] == "video"
    assert [file["type"] for file in item["properties"]["files"]] == ["image/png", "video/mp4"]
    assert item["properties"]["recipe"]["seeds"] == [[4, 0.5], [9, 0.5]]
    film = ["-i", str(tmp_path / "drop" / "animations" / "0.mp4"), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", *film], capture_output=True).stdout
    frames = np.frombuffer(raw, np.uint8).reshape(-1, 32, 32, 3).astype(int)
    with Image.open(tmp_path / "drop" / "images" / "0.png") as poster:
        gaps = [np.abs(frame - np.asarray(poster).astype(int)).mean() for frame in frames]
    assert len(frames) == 4 and gaps[0] == min(gaps) and gaps[0] < 8
    assert validate_drop(tmp_path / "drop") == []


def test_favourites_with_steps_along_directions_become_pieces(tmp_path):
    path = save_tiny(tmp_path / "plum.safetensors", seed=3)
    folder = path.with_suffix("")
    vector = torch.linspace(-1, 1, networks.tiny_generator().spec.w_dim)
    save_direction(folder, Direction("ripe", vector))
    kept = add_favourite(folder, Recipe.of_seed(4, edits=(Edit("ripe", 2.0),)))
    config = config_of(path, tmp_path / "drop", seeds="", favourites=(kept.id,))
    make_drop(config)
    item = json_of(tmp_path / "drop" / "0.json")
    assert item["properties"]["recipe"]["edits"][0]["direction"] == "ripe"
    save_direction(folder, Direction("ripe", -vector))
    with pytest.raises(InputError, match="another collection"):
        make_drop(config)


# --- the same bytes ---------------------------------------------------------------------------------------------------

KILL = """
import os, signal, sys
from ganlib.nft import NftConfig, make_drop
from ganlib.runs import SilentReporter

class Killer(SilentReporter):
    calls = 0
    def progress(self, done, total, message=""):
        self.calls += 1
        if self.calls == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    import json
    make_drop(NftConfig.from_dict(json.loads(sys.argv[1])), Killer())
"""


@pytest.fixture(scope="module")
def whole(model, tmp_path_factory) -> tuple[NftConfig, dict[str, bytes]]:
    """A collection made at once: four blocks of candidates, and films."""
    config = config_of(
        model, tmp_path_factory.mktemp("whole") / "drop", seeds="0-103", count=60, floor=0.3, features="embedded",
        seconds=0.5, fps=4.0, psi=0.9, psi_to=0.4,
    )  # fmt: skip
    make_drop(config)
    return config, files_of(config.outdir)


@pytest.mark.parametrize("calls", [1, 8])
def test_a_killed_drop_continues_to_the_same_bytes(whole, tmp_path, repository, calls, monkeypatch):
    config, files = whole
    config = replace(config, outdir=tmp_path / "drop")
    command = [sys.executable, "-c", KILL, json.dumps(config.to_dict()), str(calls)]
    killed = subprocess.run(command, cwd=repository, capture_output=True)
    assert killed.returncode == -9, killed.stderr
    assert not (config.outdir / "provenance.json").exists()
    drawn: list[Recipe] = []
    look = Viewer.look
    monkeypatch.setattr(Viewer, "look", lambda self, recipes: (drawn.extend(recipes), look(self, recipes))[1])
    make_drop(config)
    assert files_of(config.outdir) == files
    first_block = {Recipe.of_seed(seed, psi=config._psi_of(seed)) for seed in range(1, 32)}
    assert drawn and not first_block & set(drawn)


def test_two_processes_make_the_same_bytes(whole, tmp_path):
    config, files = whole
    config = replace(config, outdir=tmp_path / "drop", workers=2)
    drop = make_drop(config)
    assert drop.pieces == 60 and files_of(config.outdir) == files


def test_ranks_of_a_launcher_share_the_work(whole, tmp_path, repository):
    config, files = whole
    script = "import json, sys\nfrom ganlib.nft import NftConfig, make_drop\n"
    script += "make_drop(NftConfig.from_dict(json.loads(sys.argv[1])))"
    command = [sys.executable, "-c", script, json.dumps(replace(config, outdir=tmp_path / "drop").to_dict())]
    ranks = [
        subprocess.Popen(command, cwd=repository, env=os.environ | {"RANK": str(rank), "WORLD_SIZE": "2"})
        for rank in (1, 0)
    ]
    assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]
    assert files_of(tmp_path / "drop") == files


def test_a_stop_keeps_what_is_done(model, tmp_path):
    class Stopper(SilentReporter):
        asked = False

        def progress(self, done: float, total: float, message: str = "") -> None:
            self.asked = True

        def should_stop(self) -> bool:
            return self.asked

    config = config_of(model, tmp_path / "drop", seeds="0-99")
    with pytest.raises(Stopped):
        make_drop(config, Stopper())
    assert len(list((tmp_path / "drop" / WORK / "pictures").iterdir())) == 32
    assert make_drop(config).pieces == 100


def test_the_job_makes_the_drop_in_its_own_directory(model, tmp_path):
    config = config_of(model, Path("drop"), seeds="1-3")
    run = create_run(tmp_path / "runs", "nft", "plums", config.to_dict())
    from ganlib.commands.verbs import worker_of

    assert work(run, worker_of("nft"), echo=SilentReporter()) == "done"
    assert validate_drop(run.path / "drop") == []
    assert "drop/provenance.json" in RunDir.open(run.path).status["artefacts"]


# --- choosing ---------------------------------------------------------------------------------------------------------


def look_of(features: list[list[float]]) -> CandidateFeatures:
    count = len(features)
    digests = np.arange(count * 32, dtype=np.uint8).reshape(count, 32)
    zeros = np.zeros((count, 2), np.float32)
    return CandidateFeatures(np.zeros((count, 3), np.int64), zeros, zeros, np.array(features, np.float32), digests)


def test_no_two_pieces_are_closer_than_the_floor():
    chooser = Chooser(NftConfig(seeds="0", floor=0.5))
    chooser.add(look_of([[0.0, 0], [10, 0], [0, 10], [1, 0], [10, 4.0]]))
    assert chooser.usual == pytest.approx(np.median([10, 10, 1, 116**0.5, 200**0.5, 9, 4, 101**0.5, 136**0.5, 97**0.5]))
    assert chooser.taken == [0, 1, 2]
    assert [(i, piece) for i, piece, _ in chooser.near] == [(3, 0), (4, 1)]
    assert chooser.near[0][2] == pytest.approx(1 / chooser.usual)


def test_a_floor_that_is_too_high_says_how_many_were_found(model, tmp_path):
    config = config_of(model, tmp_path / "drop", count=10, floor=1.0, features="embedded")
    with pytest.raises(InputError, match=r"pieces where 10 were asked for: of 10 candidates \d+ are") as caught:
        make_drop(config)
    assert "--floor" in caught.value.hint and "--count" in caught.value.hint


def test_copies_of_a_picture_are_left_out(tmp_path):
    G = networks.tiny_generator(seed=1)
    save_snapshot(tmp_path / "m.safetensors", G_ema=G, licence="CC0")
    config = config_of(tmp_path / "m.safetensors", tmp_path / "drop", seeds="0-3", psi=0.0)  # all the average picture
    drop = make_drop(config)
    assert (drop.pieces, drop.skipped["copies"]) == (1, 3)


def test_models_that_must_not_be_sold_are_refused_unless_allowed(tmp_path, capsys):
    path = tmp_path / "m.safetensors"
    save_snapshot(path, G_ema=networks.tiny_generator(), licence="CC BY-NC 4.0", data="photographs")
    config = config_of(path, tmp_path / "drop", seeds="0-1")
    with pytest.raises(InputError, match="not for sale") as caught:
        make_drop(config)
    assert "--allow-noncommercial" in caught.value.hint and not (tmp_path / "drop").exists()
    command = ["nft", "--network", str(path), "--seeds", "0-1", "--outdir", str(tmp_path / "drop"), "--device", "cpu"]
    assert main([*command, "--allow-noncommercial"]) == 0
    assert "WARNING, not for sale" in capsys.readouterr().err
    rights = json_of(tmp_path / "drop" / "0.json")["properties"]["rights"]
    assert rights["may_be_sold"] is False and rights["training_data"] == "photographs"


def test_a_folder_with_other_files_is_left_alone(model, tmp_path):
    (tmp_path / "drop").mkdir()
    (tmp_path / "drop" / "0.png").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        make_drop(config_of(model, tmp_path / "drop"))
    assert (tmp_path / "drop" / "0.png").read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seeds": ""}, "no candidates"),
        ({"name": "{colour of the moon}"}, "unknown word"),
        ({"description": "{"}, "cannot be read"),
        ({"description": "{number.__class__}"}, "unknown word"),
        ({"name": "{number!r}"}, "not possible"),
        ({"name": "{collection}", "collection": "x" * 40}, "Metaplex holds 32"),
        ({"base_uri": "ftp://x"}, "no base address"),
        ({"creators": ("abc:50",)}, "add up to 50"),
        ({"targets": ("Cluster",)}, "no target"),
        ({"royalty": 20_000}, "royalty = 20000"),
        ({"count": 11}, "11 pieces of 10"),
        ({"favourites": ("nope",)}, "favourite"),
        ({"label": 2}, "no class 2"),
        ({"traits": ("smell",)}, "traits = .*smell"),
        ({"symbol": "SYMBOLSYMBOL"}, "too long"),
    ],
)
def test_options_that_do_not_work_out_are_refused(model, tmp_path, options, words):
    with pytest.raises(InputError, match=words) as caught:
        make_drop(config_of(model, tmp_path / "drop", **options))
    assert caught.value.hint
    assert not list((tmp_path / "drop").glob("*.png")) if (tmp_path / "drop").exists() else True


# --- traits -----------------------------------------------------------------------------------------------------------


def test_colours_are_named_by_their_share_of_the_picture():
    picture = np.zeros((60, 60, 3), np.uint8)
    for rows, word in ((slice(0, 36), "teal"), (slice(36, 54), "orange"), (slice(54, 60), "ivory")):
        picture[rows] = [int(NAMED[word][i : i + 2], 16) for i in (1, 3, 5)]
    assert [WORDS[place] for place in main_colours(picture)] == ["teal", "orange", "ivory"]
    assert main_colours(np.full((8, 8, 3), 255, np.uint8)) == [WORDS.index("white"), -1, -1]


def test_titled_directions_become_traits_in_sigmas(tmp_path):
    path = save_tiny(tmp_path / "plum.safetensors", seed=3)
    from ganlib.render.renderer import Renderer

    renderer = Renderer.open(path, device="cpu")
    offset = (renderer.w_plus([Recipe.of_seed(5)])[0, 0] - renderer.w_avg).cpu()
    save_direction(path.with_suffix(""), Direction("ripe", offset / 2, title="Ripeness"))
    save_direction(path.with_suffix(""), Direction("nameless", offset))
    seen = preview_drop(config_of(path, tmp_path / "drop", seeds="5,6"), renderer=renderer)
    assert seen.pieces[0].traits["Ripeness"] == "very high"  # seed 5 lies two sigmas along it
    assert "nameless" not in seen.pieces[0].traits
    assert not (tmp_path / "drop").exists()


def test_classes_are_a_trait_of_models_that_have_them(tiny_labelled_model, tmp_path):
    seen = preview_drop(config_of(tiny_labelled_model, tmp_path, label=2, seeds="0-2"))
    assert {piece.traits["Class"] for piece in seen.pieces} == {"2"}
    named = save_snapshot(
        tmp_path / "named.safetensors", G_ema=load_generator(tiny_labelled_model), classes=("pear", "plum", "fig")
    )
    seen = preview_drop(config_of(named.path, tmp_path, label=2, seeds="0-2"))
    assert {piece.traits["Class"] for piece in seen.pieces} == {"fig"}


def test_rarity_is_counted_for_each_trait_and_value():
    pieces = [
        {"Colour": "red", "Cluster": "A"}, {"Colour": "red", "Cluster": "red"}, {"Colour": "blue", "Cluster": "A"},
        {"Colour": "red", "Cluster": "A"},
    ]  # fmt: skip
    found = rarity_of(pieces, [("Colour", "red", 0.75), ("cluster", "a", 0.2), ("Colour", "green", 0.3)])
    common, rare = -math.log2(0.75), -math.log2(0.25)
    assert found.scores == pytest.approx([2 * common, common + rare, common + rare, 2 * common], abs=1e-6)
    assert found.ranks == (3, 1, 2, 4)
    rows = {(row.trait, row.value): row for row in found.table}
    assert (rows["Colour", "red"].share, rows["Colour", "red"].is_met) == (0.75, True)
    assert (rows["Cluster", "red"].pieces, rows["Cluster", "red"].wanted) == (1, None)
    assert rows["Cluster", "A"].is_met is False
    assert (rows["Colour", "green"].pieces, rows["Colour", "green"].is_met) == (0, False)


def test_rarity_files_say_the_same(model, tmp_path):
    drop = make_drop(config_of(model, tmp_path / "drop", targets=("Cluster=A:99%",), clusters=3))
    table = json_of(tmp_path / "drop" / "rarity.json")
    assert drop.missed and drop.missed[0].startswith("Cluster = A:")
    rows = list(csv.DictReader((tmp_path / "drop" / "rarity.csv").read_text().splitlines()))
    assert [int(row["rank"]) for row in rows] == [piece["rank"] for piece in table["pieces"]]
    assert sorted(piece["rank"] for piece in table["pieces"]) == list(range(1, 11))
    sizes = [row["pieces"] for row in table["traits"] if row["trait"] == "Cluster"]
    assert sizes == sorted(sizes, reverse=True) and sum(sizes) == 10


def test_templates_are_filled_with_words_and_nothing_else():
    words = {"collection": "A", "number": 7, "Main colour": "red"}
    assert fill("{Collection} #{number:04} {{x}} {main colour}", words) == "A #0007 {x} red"


# --- before and after -------------------------------------------------------------------------------------------------


def test_a_preview_says_what_the_drop_will_be_and_writes_nothing(model, tmp_path):
    config = config_of(model, tmp_path / "drop", cluster_names=("Sweet", "Sour"), clusters=2, name="{Cluster} {number}")
    seen = preview_drop(config, thumbnails=3)
    assert not (tmp_path / "drop").exists() and seen.is_whole and seen.warning == ""
    assert [bool(piece.thumbnail) for piece in seen.pieces] == [True] * 3 + [False] * 7
    make_drop(config)
    for piece in seen.pieces:
        item = json_of(tmp_path / "drop" / f"{piece.number}.json")
        assert item["name"] == piece.name
        assert {row["trait_type"]: row["value"] for row in item["attributes"]} == piece.traits
    cost = nft.estimate_drop(replace(config, seconds=1.0, fps=4.0))
    assert cost.pieces == 10 and cost.seconds > 0 and cost.bytes > 10_000


def test_a_preview_knows_what_would_be_refused(model, tmp_path):
    config = config_of(model, tmp_path / "drop", floor=1.0, count=10)
    problem = preview_drop(config).problem
    with pytest.raises(InputError) as refused:
        make_drop(config)
    assert problem is not None and (problem.message, problem.hint) == (refused.value.message, refused.value.hint)
    assert preview_drop(config, most=5).problem is None, "the rest was not looked at"
    assert preview_drop(replace(config, floor=0.0)).problem is None


def test_the_command_previews_makes_and_checks(model, tmp_path, capsys):
    command = ["nft", "--network", str(model), "--seeds", "0-4", "--outdir", str(tmp_path / "d"), "--device", "cpu"]
    assert main([*command, "--dry-run", "--targets", "Cluster=A:90%"]) == 0
    out = capsys.readouterr().out
    assert "5 pieces" in out and "not met" in out and not (tmp_path / "d").exists()
    assert main(command) == 0
    assert "5 pieces" in capsys.readouterr().out
    assert main(["nft", "--check", str(tmp_path / "d")]) == 0
    out = capsys.readouterr().out
    assert "no problems" in out and out.count("warning: 5 of 5 pieces: Metaplex expects") == 2
    full = [*command[:-3], str(tmp_path / "e"), "--device", "cpu", "--symbol", "ORC", "--creators", "7xabc:100"]
    assert main(full) == 0 and main(["nft", "--check", str(tmp_path / "e")]) == 0
    assert "warning" not in capsys.readouterr().out
    assert main([*command, "--dry-run", "--count", "5", "--floor", "1"]) == 2
    assert "too like another" in capsys.readouterr().err
    (tmp_path / "d" / "3.png").unlink()
    assert main(["nft", "--check", str(tmp_path / "d")]) == 2
    assert "3.png: missing" in capsys.readouterr().out
    assert main(["nft", "--check", str(tmp_path / "nowhere")]) == 2
