"""Pictures become vectors: any size, any batch, no random state, and only from weights that are the known ones."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ganlib.base import workspace
from ganlib.base.errors import CheckpointError, GanlibError, InputError
from ganlib.features import extractors
from ganlib.features.extractors import FeatureExtractor, SqueezeNet, discriminator_extractor, open_extractor
from ganlib.models.checkpoints import save_snapshot
from ganlib.networks import ARCHITECTURES, build_discriminator, tiny_generator

REPOSITORY = Path(__file__).resolve().parents[2]
WEIGHTS = Path(os.environ.get("ATELIER_WEIGHTS", REPOSITORY.parent / "shared" / "weights"))


def some_pictures(num: int, side: int = 16, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (num, 5, 5, 3), np.uint8)
    return np.stack([np.asarray(Image.fromarray(x).resize((side, side), Image.Resampling.BICUBIC)) for x in small])


def model_with_discriminator(path: Path, arch: str = "stylegan2", **options: object) -> Path:
    G = tiny_generator(arch, **options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        save_snapshot(path, G_ema=G, D=build_discriminator(G.spec))
    return path


@pytest.fixture(scope="module")
def extractor(tmp_path_factory) -> FeatureExtractor:
    return discriminator_extractor(model_with_discriminator(tmp_path_factory.mktemp("d") / "My Model.safetensors"))


@pytest.fixture
def squeezenet(monkeypatch) -> FeatureExtractor:
    """The real weights, on small pictures to save time."""
    path = WEIGHTS / extractors.SQUEEZENET_FILE
    if not path.is_file():
        pytest.skip(f"no SqueezeNet weights in {WEIGHTS}; ATELIER_WEIGHTS names another folder")
    monkeypatch.setenv(extractors.WEIGHTS_VARIABLE, str(path))
    return open_extractor("squeezenet")


# --- any extractor ----------------------------------------------------------------------------------------------------


def test_a_row_depends_on_its_picture_alone(extractor):
    pictures = some_pictures(7)
    together = extractor(pictures, batch=7)
    assert together.shape == (7, extractor.dim) and together.dtype == np.float32
    spread = together.std()
    for batch in (1, 3):
        np.testing.assert_allclose(extractor(pictures, batch=batch), together, atol=1e-4 * spread)
    np.testing.assert_allclose(extractor(pictures[::-1].copy())[::-1], together, atol=1e-4 * spread)
    assert np.abs(together[0] - together[1]).max() > 0.01 * spread


def test_no_random_state_is_touched(extractor):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first, second = extractor(some_pictures(3)), extractor(some_pictures(3))
    assert np.array_equal(first, second)
    assert torch.equal(torch.get_rng_state(), before[0]) and np.array_equal(np.random.get_state()[1], before[1])


def test_features_change_with_every_colour_and_position(extractor):
    picture = some_pictures(1)
    base = extractor(picture)
    assert not np.allclose(extractor(picture[..., ::-1].copy()), base, rtol=1e-3)
    assert not np.allclose(extractor(255 - picture), base, rtol=1e-3)


def test_grey_pictures_count_as_rgb(extractor):
    grey = some_pictures(2)[..., :1]
    np.testing.assert_array_equal(extractor(grey), extractor(np.repeat(grey, 3, axis=3)))


def test_large_pictures_are_made_small_without_aliasing():
    """A pattern finer than the small picture's pixels becomes flat grey, as in a careful image program."""
    seen = []

    class Spy(nn.Module):
        def forward(self, rgb):
            seen.append(rgb)
            return rgb.mean(dim=[2, 3])

    spy = FeatureExtractor("spy", 3, 16, "0" * 64, Spy())
    fine = np.zeros((1, 96, 96, 3), np.uint8)
    fine[:, :, ::2] = 255
    spy(fine)
    assert (seen[-1][..., 2:-2] - 127.5).abs().max() < 8
    photo = some_pictures(1, 48)
    spy(photo)
    pillow = np.asarray(Image.fromarray(photo[0]).resize((16, 16), Image.Resampling.BICUBIC)).astype(float)
    assert np.abs(seen[-1][0].permute(1, 2, 0).numpy() - pillow).max() < 1.5
    spy(some_pictures(1, 4))
    assert seen[-1].shape == (1, 3, 16, 16) and seen[-1].min() >= 0 and seen[-1].max() <= 255


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((2, 8, 8, 3), np.float32),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((2, 3, 8, 8), np.uint8),
        np.zeros((2, 0, 8, 3), np.uint8),
    ],
    ids=["float", "one picture", "channels first", "empty"],
)
def test_other_arrays_are_refused(extractor, pixels):
    with pytest.raises(InputError, match="uint8"):
        extractor(pixels)


def test_no_pictures_give_no_rows(extractor):
    assert extractor(np.zeros((0, 8, 8, 3), np.uint8)).shape == (0, extractor.dim)


# --- a model's discriminator ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", sorted(ARCHITECTURES))
def test_every_family_has_discriminator_features(tmp_path, arch):
    path = model_with_discriminator(tmp_path / f"{arch}.safetensors", arch)
    opened = discriminator_extractor(path)
    vectors = opened(some_pictures(5), batch=5)
    assert opened.dim >= 16 and np.isfinite(vectors).all()
    np.testing.assert_allclose(opened(some_pictures(5), batch=2), vectors, atol=1e-4 * vectors.std())


@pytest.mark.parametrize("options", [{"label_dim": 3}, {"img_channels": 1}], ids=["classes", "grey"])
def test_discriminators_with_classes_or_grey_pictures_serve_too(tmp_path, options):
    opened = discriminator_extractor(model_with_discriminator(tmp_path / "m.safetensors", **options))
    vectors = opened(some_pictures(4))
    assert np.ptp(vectors, axis=0).max() > 0
    assert 0.5 < np.sqrt(np.mean(vectors**2)) < 1  # normalised: the mean squares of mean and deviation add up to 1


def test_the_name_is_the_models_and_the_key_its_weights(extractor, tmp_path):
    assert extractor.name == "my-model-d"
    same = discriminator_extractor(model_with_discriminator(tmp_path / "My Model.safetensors"))
    other = discriminator_extractor(model_with_discriminator(tmp_path / "other.safetensors", channel_max=8))
    assert same.key == extractor.key and same == extractor
    assert other.weights_digest != extractor.weights_digest and extractor.key.startswith("my-model-d-")


def test_a_model_without_discriminator_is_refused(tiny_model):
    with pytest.raises(InputError, match="discriminator"):
        discriminator_extractor(tiny_model)


# --- names and weights ------------------------------------------------------------------------------------------------


def test_auto_is_embedded_until_weights_are_there(monkeypatch, tmp_path):
    path = model_with_discriminator(tmp_path / "berry.safetensors")
    monkeypatch.delenv(extractors.WEIGHTS_VARIABLE, raising=False)
    monkeypatch.setenv(workspace.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(extractors, "bundled_model", lambda: path)
    assert open_extractor("auto").name == open_extractor("embedded").name == open_extractor("berry-d").name == "berry-d"
    (tmp_path / extractors.SQUEEZENET_FILE).write_bytes(b"not the weights")
    with pytest.raises(CheckpointError, match="sha256"):
        open_extractor("auto")
    path.unlink()
    with pytest.raises(InputError, match="bundled model"):
        open_extractor("embedded")


def test_the_bundled_model_has_embedded_features():
    assert extractors.bundled_model().parent == REPOSITORY / "checkpoints"
    if not extractors.bundled_model().is_file():
        pytest.skip("the bundled model is absent")
    opened = open_extractor("embedded")
    assert opened.name == extractors.embedded_name() == f"{extractors.bundled_model().stem}-d"
    assert opened(some_pictures(2, 64)).shape == (2, opened.dim)


@pytest.mark.parametrize("name", ["vgg", "", "squeezenet", "inception"])
def test_features_that_are_not_here_say_what_is(monkeypatch, tmp_path, name):
    monkeypatch.delenv(extractors.WEIGHTS_VARIABLE, raising=False)
    monkeypatch.setenv(workspace.CACHE_VARIABLE, str(tmp_path))
    with pytest.raises(InputError) as caught:
        open_extractor(name)
    assert "embedded" in caught.value.hint


def test_a_variable_that_names_no_file_is_not_passed_over(monkeypatch, tmp_path):
    monkeypatch.setenv(extractors.WEIGHTS_VARIABLE, str(tmp_path / "missing.pth"))
    with pytest.raises(InputError, match="missing"):
        open_extractor("auto")


def test_other_files_are_no_squeezenet(monkeypatch, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"features.0.weight": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="sha256"):
        extractors.load_squeezenet(path)
    import hashlib

    # Even a file that passes the checksum is only ever read as tensors of the right shape.
    monkeypatch.setattr(extractors, "SQUEEZENET_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(CheckpointError, match="cannot be read"):
        extractors.load_squeezenet(path)
    with pytest.raises(GanlibError):
        extractors.load_squeezenet(tmp_path / "missing.pth")


def test_squeezenet_wants_blue_green_red_less_caffes_means():
    """One bright channel lights up the input of its own place: red is last, and its mean is 123."""
    network, seen = SqueezeNet(), []
    network.features[0].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    rgb = torch.zeros(1, 3, 32, 32)
    rgb[:, 0] = 255
    maps = network.maps(rgb)
    np.testing.assert_allclose(seen[0][0, :, 0, 0].numpy(), [-104, -117, 255 - 123])
    assert [tuple(m.shape[1:]) for m in maps] == [(64, 15, 15), (128, 7, 7), (256, 3, 3), (512, 1, 1)]


@pytest.mark.parity
def test_squeezenet_tells_content_from_noise(squeezenet):
    """Two views of one picture are nearer than two pictures; the classes that the weights know are not needed."""
    assert (squeezenet.name, squeezenet.dim) == ("squeezenet", 512)
    pictures = some_pictures(4, 96)
    vectors, mirrored = squeezenet(pictures), squeezenet(pictures[:, :, ::-1].copy())
    same = np.linalg.norm(vectors - mirrored, axis=1)
    different = np.linalg.norm(vectors - np.roll(vectors, 1, axis=0), axis=1)
    assert same.max() < different.min()
    assert 0.3 < np.sqrt(np.mean(vectors**2)) < 3  # the kernel distance wants vectors of about unit size


@pytest.mark.parametrize("family", ["stylegan2", "progan", "dcgan"])
def test_a_discriminator_sees_smaller_pictures_too(family):
    network = extractors.DiscriminatorFeatures(build_discriminator(tiny_generator(family, resolution=32).spec)).eval()
    rgb = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 255
    small = torch.nn.functional.avg_pool2d(rgb, 2).requires_grad_()
    coarse, whole = network.maps(small), network.maps(rgb)
    assert 0 < len(coarse) <= len(whole)
    for a, b in zip(coarse, whole, strict=False):
        assert a.shape[1] == b.shape[1] and a.shape[-1] * 2 == b.shape[-1]
    sum(x.square().sum() * (i + 1) + x.sum() for i, x in enumerate(coarse)).backward()
    assert small.grad is not None and small.grad.abs().sum() > 0
    for a, b in zip(network.maps(rgb), whole, strict=True):
        assert torch.equal(a, b)
