"""Words in pictures: which font draws which letter, in which order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ganlib import video
from ganlib.__main__ import main
from ganlib.base.errors import DataError
from ganlib.media.lettering import Letters, can_shape, faces, layout
from ganlib.video import letter_warnings
from tests.video.films import job_of

OWN = Letters(system=False)
INK = (255, 255, 255)
needs_raqm = pytest.mark.skipif(not can_shape(), reason="Pillow has no raqm")


def mask(words: str, letters: Letters = OWN, size: float = 40) -> np.ndarray:
    return np.asarray(letters.draw([words], size, INK))[..., 3]


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and bool((np.abs(a.astype(int) - b) < 40).all())


@pytest.mark.parametrize(
    "words", ["Příliš žluťoučký kůň", "Ελληνικά, ῥοδοδάκτυλος Ἠώς", "Съешь ещё, Їжак", "שלום", "مرحبا بالعالم"]
)
def test_the_bundled_font_alone_draws_these_scripts(words):
    assert OWN.warnings(words) == [] or not can_shape()
    # No two letters of it look the same, as boxes would.
    letters = [c for c in dict.fromkeys(words) if c.isalpha()]
    shapes = [mask(letter) for letter in letters]
    assert all(not same(a, b) for i, a in enumerate(shapes) for b in shapes[:i])


def test_the_bundled_font_is_small_and_brings_its_licence():
    assert faces.BUNDLED.stat().st_size < 400_000
    assert "Bitstream Vera" in (faces.BUNDLED.parent / "LICENSE-DejaVu.txt").read_text()


def test_letters_that_no_font_has_are_named_and_left_out():
    words = "Film \U000e0fff नम"
    said = " ".join(OWN.warnings(words))
    assert "\U000e0fff" in said and "न" in said and "F" not in said.split("no font here has")[1].split(":")[0]
    assert same(mask("Film \U000e0fff"), mask("Film"))
    assert mask("नम").max() == 0


def test_a_line_from_right_to_left_is_drawn_so_with_digits_and_latin_in_their_own_direction():
    def order(words: str) -> list[str]:
        return [run.letters.strip() for run in OWN._runs(words) if run.letters.strip()]

    assert order("שלום world 12") == ["world 12", "שלום"]
    assert order("film שלום two") == ["film", "שלום", "two"]
    hebrew = OWN.length("ש", 40)
    # Alef alone at the right end: its ink is where the line begins.
    assert same(mask("אש")[:, -int(hebrew / 2) :], mask("א")[:, -int(hebrew / 2) :]) or can_shape()


@needs_raqm
def test_arabic_letters_join():
    apart = sum(OWN.length(letter, 40) for letter in "مرحبا")
    assert OWN.length("مرحبا", 40) < 0.9 * apart


def test_without_raqm_a_script_that_needs_it_is_told_of(monkeypatch):
    monkeypatch.setattr(layout, "can_shape", lambda: False)
    assert "raqm" in " ".join(OWN.warnings("مرحبا")) and OWN.warnings("Čeština") == []
    assert mask("שלום").max() > 0


def test_marks_stay_with_their_letter_and_emoji_in_one_piece():
    assert list(layout._clusters("e\u0301x👩\u200d🎨🇩🇪a")) == ["é", "x", "👩\u200d🎨", "🇩🇪", "a"]


def test_japanese_lines_break_between_letters_and_latin_between_words():
    letters = Letters()
    size, lines = letters.fit("one two three four five six", 30, 150, most=3)
    assert "".join(lines).replace(" ", "") == "onetwothreefourfivesix" and len(lines) <= 3
    assert all(letters.length(line, size) <= 150 for line in lines)
    pieces = [piece for _, piece in layout._pieces("映画、GAN の夢")]
    assert pieces == ["映", "画、", "GAN", "の", "夢"]


def test_words_too_long_for_the_smallest_letters_end_in_dots():
    size, lines = OWN.fit("a" * 300, 20, 60, most=2)
    assert lines[-1].endswith("…") and all(OWN.length(line, size) <= 60 for line in lines)


@pytest.mark.parametrize("words", ["नमस्ते", "日本語", "😀"])
def test_other_scripts_are_drawn_by_fonts_of_the_system(words):
    letters = Letters()
    if letters.warnings(words):
        pytest.skip("no font of the system has them")
    drawn = np.asarray(letters.draw([words], 40, INK))
    assert drawn[..., 3].max() > 200 and 15 < drawn.shape[0] < 90


def test_coloured_emoji_keep_their_colours_at_any_size():
    letters = Letters()
    if not (face := faces.system_face("😀")) or not face.is_coloured:
        pytest.skip("no font of coloured emoji")
    for size in (12, 40, 150):
        drawn = np.asarray(letters.draw(["😀"], size, INK)).astype(int)
        assert abs(drawn.shape[0] - size * 1.15) < 0.3 * size + 3
        assert (drawn[..., 0] - drawn[..., 2])[drawn[..., 3] > 200].max() > 100, "yellow"


def test_the_named_font_comes_first(tmp_path):
    from fontTools import subset
    from fontTools.ttLib import TTFont

    with TTFont(faces.BUNDLED) as font:
        small = subset.Subsetter()
        small.populate(text="A")
        small.subset(font)
        font.save(tmp_path / "only-a.ttf")
    letters = Letters(tmp_path / "only-a.ttf", system=False)
    assert [run.face.name for run in letters._runs("AB")] == ["only-a.ttf", faces.BUNDLED.name]


@pytest.mark.parametrize("data", [b"", b"\x00\x01\x00\x00", b"\x00\x01\x00\x00" + b"\xff" * 400, b"wOF2" + b"0" * 99])
def test_a_damaged_font_is_refused_in_words(tmp_path, data):
    path = tmp_path / "bad.ttf"
    path.write_bytes(data)
    with pytest.raises(DataError):
        Letters(path)


def test_a_cut_font_is_refused_or_drawn_and_never_stops_the_program(tmp_path):
    whole = faces.BUNDLED.read_bytes()
    rng = np.random.default_rng(0)
    for i in range(60):
        data = bytearray(whole if i % 3 else whole[: rng.integers(100, len(whole))])
        for at in rng.integers(0, len(data) if i % 2 else 2000, 200 if i % 2 else 10):
            data[at] = rng.integers(256)
        path = tmp_path / "bad.ttf"
        path.write_bytes(data)
        try:
            letters = Letters(path, system=False)
            letters.draw(["Words"], 20, INK)
        except DataError:
            pass


@pytest.mark.parametrize("path", ["/dev/zero", "/nowhere.ttf"])
def test_a_device_is_no_font(path):
    with pytest.raises(DataError):
        Letters(Path(path))


def test_without_fc_list_the_usual_folders_are_looked_at(monkeypatch, tmp_path):
    (tmp_path / "Some-Regular.ttf").write_bytes(faces.BUNDLED.read_bytes())
    (tmp_path / "Broken.ttf").write_bytes(b"nothing")
    monkeypatch.setattr(faces, "_FOLDERS", (str(tmp_path),))
    monkeypatch.setattr(faces.shutil, "which", lambda name: None)
    faces._files.cache_clear()
    faces.system_face.cache_clear()
    try:
        assert faces.system_face("Ж").name == "Some-Regular.ttf"
        assert faces.system_face("日") is None
    finally:
        faces._files.cache_clear()
        faces.system_face.cache_clear()


def test_a_caption_in_cyrillic_is_not_that_of_boxes(tmp_path):
    from ganlib.networks import tiny_generator
    from ganlib.render.renderer import Renderer

    renderer = Renderer(tiny_generator(), name="tiny", digest="abc")
    job = job_of(seconds=0.1, seeds=(1, 2), size=128)
    one, other = (np.concatenate(list(video.frames(replace(job, caption=words), renderer))) for words in ("Ёж", "Жё"))
    assert not np.array_equal(one, other)
    assert letter_warnings(replace(job, caption="\ufdd0")) and not letter_warnings(replace(job, title="Ёж"))


def test_the_command_names_letters_that_it_cannot_draw(tiny_model, tmp_path, capsys):
    argv = ["video", "--network", str(tiny_model), "--seeds", "1,2", "--out", str(tmp_path / "x.gif"), "--dry-run"]
    assert main([*argv, "--title", "Film \ufdd0"]) == 0
    assert "no font here has" in capsys.readouterr().err
    assert main([*argv, "--title", "Фильм"]) == 0
    assert "warning" not in capsys.readouterr().err
    assert main([*argv, "--title", "Film", "--font", "/dev/zero"]) == 2


def test_a_job_of_before_has_no_font_and_opens():
    values = job_of().to_dict()
    del values["font"]
    assert video.RenderJob.from_dict(values) == job_of()
