"""Pictures for projection: crops, hostile files, and figures of latents."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from ganlib.base.errors import DataError, InputError
from ganlib.networks import tiny_generator
from ganlib.projection import crop_square, find_targets, project, read_target
from ganlib.projection.figures import ordinariness
from ganlib.projection.prior import INSIDE, OUTSIDE, cluster_centroids, measure_prior
from ganlib.projection.search import LEARNING_RATE, learning_rate, noise_deviation, noise_penalty
from ganlib.projection.target import to_network
from ganlib.runs.records import thin
from tests.projection.test_projection import options


def coloured(width: int, height: int) -> np.ndarray:
    """Red grows to the right, green grows down."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width)[None]
    pixels[..., 1] = np.linspace(0, 255, height)[:, None]
    return pixels


# --- crops ------------------------------------------------------------------------------------------------------------


def test_center_is_the_largest_square_in_the_middle():
    pixels = coloured(90, 30)
    square = crop_square(pixels, 30)
    assert np.array_equal(square, pixels[:, 30:60])


def test_a_box_is_cut_where_its_numbers_say():
    pixels = coloured(100, 60)
    assert np.abs(crop_square(pixels, 20, box=(50, 10, 20, 0)).astype(int) - pixels[10:30, 50:70]).max() <= 1
    assert crop_square(pixels, 16, box=(10, 10, 40, 0)).shape == (16, 16, 3)


def test_a_box_turns_clockwise_about_its_centre():
    """By 90 degrees its own right is the picture's down."""
    pixels = coloured(60, 60)
    turned = crop_square(pixels, 20, box=(10, 20, 20, 90)).astype(int)
    assert np.abs(turned - np.rot90(pixels[20:40, 10:30], 1)).max() <= 2
    assert turned[:, -1, 1].mean() > turned[:, 0, 1].mean() + 50


def test_outside_the_picture_is_the_colour_of_its_edges():
    grey = np.full((40, 40, 3), 90, np.uint8)
    assert (crop_square(grey, 16, box=(-10, -10, 60, 30)) == 90).all()
    assert (crop_square(grey[:20], 16, crop="whole") == 90).all()


def test_subject_finds_the_thing_on_plain_ground():
    pixels = np.full((200, 160, 3), (245, 238, 220), np.uint8)
    down, across = np.mgrid[:200, :160]
    pixels[(down - 60) ** 2 + (across - 100) ** 2 < 30**2] = (180, 40, 30)
    square = crop_square(pixels, 32, crop="subject").astype(int)
    assert square[16, 16, 0] > square[16, 16, 1] + 80  # red in the middle
    assert (square[0, 0] > 200).all()
    with pytest.raises(DataError, match="no subject"):
        crop_square(np.random.RandomState(0).randint(0, 255, (90, 90, 3), np.uint8), 32, crop="subject")


@pytest.mark.parametrize("box", [(500, 0, 20, 0), (0, -90, 20, 0), (0, 0, 4, 0), (0, 0, 9000, 0)])
def test_a_box_beside_the_picture_is_refused(box):
    with pytest.raises(InputError, match="square"):
        crop_square(coloured(60, 60), 16, box=box)
    with pytest.raises(InputError, match="no crop"):
        crop_square(coloured(60, 60), 16, crop="round")


# --- files ------------------------------------------------------------------------------------------------------------


def saved(path, picture: Image.Image, **how: object):
    out = BytesIO()
    picture.save(out, **how)
    path.write_bytes(out.getvalue())
    return path


def test_exif_alpha_cmyk_and_animations_are_read(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = saved(tmp_path / "t.jpg", Image.fromarray(coloured(40, 20)), format="JPEG", exif=exif, quality=95)
    assert read_target(turned).shape == (40, 20, 3)
    clear = saved(tmp_path / "a.png", Image.new("RGBA", (16, 16), (0, 0, 0, 0)), format="PNG")
    assert (read_target(clear) == 255).all()
    print_ = saved(tmp_path / "c.jpg", Image.new("CMYK", (16, 16), (0, 255, 255, 0)), format="JPEG")
    assert read_target(print_)[8, 8, 0] > 150 > read_target(print_)[8, 8, 2]
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    film = saved(tmp_path / "f.gif", frames[0], format="GIF", save_all=True, append_images=frames[1:])
    assert read_target(film)[0, 0].tolist() == [255, 0, 0]


def test_what_is_no_picture_is_refused_in_words(tmp_path):
    (tmp_path / "words.png").write_text("hello, I am text\n")
    saved(tmp_path / "dot.png", Image.new("RGB", (1, 1)), format="PNG")
    saved(tmp_path / "bomb.png", Image.new("1", (20_000, 20_000)), format="PNG")
    for name, words in (("words.png", "text"), ("dot.png", "1×1"), ("bomb.png", "pixels")):
        with pytest.raises(DataError, match=words):
            read_target(tmp_path / name)
    with pytest.raises(DataError, match="no picture at"):
        find_targets([tmp_path / "absent.png"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no pictures"):
        find_targets([tmp_path / "empty"])


def test_nothing_is_written_for_a_bad_picture(tmp_path, tiny_model):
    (tmp_path / "words.png").write_text("hello, I am text\n")
    good = saved(tmp_path / "good.png", Image.fromarray(coloured(32, 32)), format="PNG")
    with pytest.raises(DataError):
        project(options(tiny_model, (good, tmp_path / "words.png"), tmp_path / "out"))
    with pytest.raises(InputError, match="8 numbers of box for 3"):
        project(options(tiny_model, (good, good, good), tmp_path / "out", box=(0.0, 0.0, 16.0, 0.0) * 2))
    assert not (tmp_path / "out").exists()


def test_grey_models_get_luminance():
    spec = tiny_generator(img_channels=1).spec
    image = to_network(np.stack([coloured(16, 16)]), spec)
    assert image.shape == (1, 1, 16, 16)
    assert float(image[0, 0, 0, -1]) == pytest.approx(2 * 0.299 - 1, abs=1e-5)


# --- figures and the schedule -----------------------------------------------------------------------------------------


def test_sigmas_are_about_one_for_the_models_own_w():
    generator = tiny_generator()
    prior = measure_prior(generator, samples=2000)
    assert float(prior.sigmas(prior.samples).square().mean()) == pytest.approx(1.0, abs=0.3)
    assert prior.std == pytest.approx(float((prior.samples - prior.w_avg).square().sum(dim=1).mean().sqrt()), rel=1e-4)
    own = ordinariness(prior.samples[:1].expand(4, -1), prior)
    assert own["verdict"] == INSIDE and "apart" not in own
    far = ordinariness(prior.w_avg + 10 * (prior.samples[:4] - prior.w_avg), prior)
    assert far["verdict"] == OUTSIDE and far["sigmas"] > 5 and far["apart"] > 1


def test_centres_stand_where_the_points_are():
    rng = torch.Generator().manual_seed(0)
    places = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    points = (places[:, None] + 0.1 * torch.randn(3, 50, 2, generator=rng)).reshape(-1, 2)
    centres = cluster_centroids(points, 12, seed=0)
    assert torch.cdist(places, centres).min(dim=1).values.max() < 0.3
    assert torch.equal(centres, cluster_centroids(points, 12, seed=0))


def test_the_schedule_is_the_published_one():
    assert learning_rate(0.0) == 0.0 and learning_rate(0.025) == pytest.approx(LEARNING_RATE / 2)
    assert learning_rate(0.05) == learning_rate(0.75) == pytest.approx(0.1)
    assert learning_rate(0.875) == pytest.approx(0.05) and learning_rate(1.0) == pytest.approx(0.0)
    assert (
        noise_deviation(0.0) == 0.05 and noise_deviation(0.375) == pytest.approx(0.0125) and noise_deviation(0.8) == 0.0
    )


def test_a_film_shows_the_whole_way():
    assert thin(range(5), 144) == [0, 1, 2, 3, 4]
    assert thin(range(1001), 3) == [0, 500, 1000]
    assert (thin(range(0), 9), thin(range(1), 9)) == ([], [0])


def test_noise_with_a_pattern_is_penalised():
    rng = torch.Generator().manual_seed(0)
    free = torch.randn(1, 64, 64, generator=rng)
    pattern = free + free.roll(1, dims=2)
    assert float(noise_penalty(pattern / pattern.std())) > 5 * float(noise_penalty(free))
    assert torch.allclose(noise_penalty(torch.cat([free, pattern]))[:1], noise_penalty(free), rtol=1e-5)
