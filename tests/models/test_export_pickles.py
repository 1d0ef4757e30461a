"""Pickles for NVIDIA's programs: objects of their classes by name, all that such objects hold, and nobody's source."""

from __future__ import annotations

import math
import pickle
import pickletools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ganlib.base.errors import CheckpointError, InputError
from ganlib.models import checkpoints
from ganlib.models.export import EXPORTS, export_model
from ganlib.models.export.pickles import LAYOUTS
from ganlib.models.foreign import inspect, open_foreign
from ganlib.models.foreign.pickles import Budget, PickleReader, Stream
from ganlib.models.foreign.values import ALLOWED, NETWORK_CLASSES, Array, Network, View
from ganlib.networks import ops
from tests.models.foreign.foreign_files import modules
from tests.models.test_export import EXACT, assert_close, draw, judge, save

# What Python's own reader finds in a program that has classes of these names. Their forward follows the papers and
# reads everything from the objects' attributes, so that none may be missing.


def activated(x, kind, gain=1.0, clamp=None):
    x = (F.leaky_relu(x, 0.2) if kind == "lrelu" else x) * gain
    return x if clamp is None else x.clamp(-clamp, clamp)


class FullyConnectedLayer(nn.Module):
    def forward(self, x):
        y = F.linear(x, self.weight * self.weight_gain, self.bias * self.bias_gain)
        return activated(y, self.activation, math.sqrt(2) if self.activation == "lrelu" else 1.0)


class MappingNetwork(nn.Module):
    def forward(self, z, c, truncation_psi=1.0):
        parts = [z] if self.z_dim else []
        parts += [self.embed(c)] if self.c_dim else []
        x = torch.cat([part * (part.square().mean(1, keepdim=True) + 1e-8).rsqrt() for part in parts], 1)
        for number in range(self.num_layers):
            x = getattr(self, f"fc{number}")(x)
        if self.num_ws is not None:
            x = self.w_avg.lerp(x[:, None].repeat(1, self.num_ws, 1), truncation_psi)
        return x


class SynthesisLayer(nn.Module):
    def forward(self, x, w):
        assert x.shape[1] == self.in_channels and w.shape[1] == self.w_dim and self.padding == 1
        x = ops.modulated_conv2d_grouped(x, self.weight, self.affine(w), self.resample_filter, up=self.up)
        if self.use_noise:
            x = x + self.noise_const * self.noise_strength
        assert x.shape[1:] == (self.out_channels, self.resolution, self.resolution)
        return activated(x + self.bias[:, None, None], self.activation, self.act_gain, self.conv_clamp)


class ToRGBLayer(nn.Module):
    def forward(self, x, w):
        assert (x.shape[1], w.shape[1]) == (self.in_channels, self.w_dim)
        styles = self.affine(w) * self.weight_gain
        x = ops.modulated_conv2d_grouped(x, self.weight, styles, demodulate=False)
        return activated(x + self.bias[:, None, None], "linear", 1.0, self.conv_clamp)


class SynthesisBlock(nn.Module):
    def forward(self, x, img, ws):
        assert not self.use_fp16 and not self.channels_last and self.fused_modconv_default is True
        w = iter(ws.unbind(1))
        if self.in_channels == 0:
            x = self.conv1(self.const.expand(len(ws), *self.const.shape), next(w))
        elif self.architecture == "resnet":
            y = ops.upfirdn2d(self.skip(x), self.skip.resample_filter, up=2, padding=[2, 1, 2, 1], gain=4)
            x = self.conv0(x, next(w))
            self.conv1.act_gain, clamp = self.conv1.act_gain * math.sqrt(0.5), self.conv1.conv_clamp
            assert clamp is None
            x = y * math.sqrt(0.5) + self.conv1(x, next(w))
        else:
            x = self.conv1(self.conv0(x, next(w)), next(w))
        if img is not None:
            img = ops.upfirdn2d(img, self.resample_filter, up=2, padding=[2, 1, 2, 1], gain=4)
        assert x.shape[2] == self.resolution
        if self.is_last or self.architecture == "skip":
            y = self.torgb(x, next(w))
            assert y.shape[1] == self.img_channels
            img = y if img is None else img + y
        return x, img


class SynthesisNetwork(nn.Module):
    def forward(self, ws):
        assert ws.shape[1:] == (self.num_ws, self.w_dim) and 2**self.img_resolution_log2 == self.img_resolution
        x = img = None
        start = 0
        for side in self.block_resolutions:
            block = getattr(self, f"b{side}")
            x, img = block(x, img, ws[:, start : start + block.num_conv + block.num_torgb])
            start += block.num_conv
        return img


class Generator(nn.Module):
    def forward(self, z, c, truncation_psi=1.0):
        assert (self.mapping.num_ws, self.synthesis.img_channels) == (self.num_ws, self.img_channels)
        return self.synthesis(self.mapping(z, c, truncation_psi))


class Conv2dLayer(nn.Module):
    def forward(self, x, gain=1.0):
        w = self.weight * self.weight_gain
        if self.down == 2:
            x = ops.conv2d_resample(x, w, self.resample_filter, down=2, padding=self.padding)
        else:
            x = F.conv2d(x, w, padding=self.padding)  # the enlarging skip of a generator is enlarged by its block
        x = x if self.bias is None else x + self.bias[:, None, None]
        clamp = None if self.conv_clamp is None else self.conv_clamp * gain
        return activated(x, self.activation, self.act_gain * gain, clamp)


class DiscriminatorBlock(nn.Module):
    def forward(self, x, img):
        if self.in_channels == 0 or self.architecture == "skip":
            y = self.fromrgb(img)
            x = y if x is None else x + y
            after = ops.upfirdn2d(img, self.resample_filter, down=2, padding=1)
            img = after if self.architecture == "skip" else None
        assert x.shape[2] == self.resolution
        if self.architecture != "resnet":
            return self.conv1(self.conv0(x)), img
        y = self.skip(x, gain=math.sqrt(0.5))
        return y + self.conv1(self.conv0(x), gain=math.sqrt(0.5)), img


class MinibatchStdLayer(nn.Module):
    def forward(self, x):
        return ops.minibatch_std(x, self.group_size, self.num_channels)


class DiscriminatorEpilogue(nn.Module):
    def forward(self, x, img, cmap):
        assert x.shape[1:] == (self.in_channels, self.resolution, self.resolution)
        if self.architecture == "skip":
            x = x + self.fromrgb(img)
        if self.mbstd is not None:
            x = self.mbstd(x)
        x = self.out(self.fc(self.conv(x).flatten(1)))
        return x if not self.cmap_dim else (x * cmap).sum(1, keepdim=True) / math.sqrt(self.cmap_dim)


class Discriminator(nn.Module):
    def forward(self, img, c):
        x = None
        for side in self.block_resolutions:
            x, img = getattr(self, f"b{side}")(x, img)
        return self.b4(x, img, self.mapping(None, c) if self.c_dim else None)


class EasyDict(dict):
    def __getattr__(self, name):
        return self[name]


STANDS_IN = {
    kind.__name__: kind
    for kind in (
        FullyConnectedLayer, MappingNetwork, SynthesisLayer, ToRGBLayer, SynthesisBlock, SynthesisNetwork, Generator,
        Conv2dLayer, DiscriminatorBlock, MinibatchStdLayer, DiscriminatorEpilogue, Discriminator,
    )
}  # fmt: skip


def loaded_elsewhere(path, layout):
    """What Python's pickle makes of a file where these classes are."""
    home = LAYOUTS[layout][0].replace(".", "__")
    with modules(**{home: STANDS_IN, "dnnlib__util": {"EasyDict": EasyDict}}), path.open("rb") as stream:
        return pickle.load(stream)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("label_dim", [0, 3])
@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
def test_a_program_with_those_classes_draws_and_judges_as_the_model_does(tmp_path, layout, label_dim, architecture):
    options = {} if architecture == "resnet" else {"conv_clamp": 0.7}
    kinds = {"architecture": architecture, "D": {"D_architecture": architecture}}
    source = save(tmp_path, with_D=True, label_dim=label_dim, **kinds, **options)
    notes = []
    path = export_model(source, tmp_path / "out.pkl", layout, report=notes.append)
    data = loaded_elsewhere(path, layout)
    G, D = checkpoints.load_generator(source), checkpoints.load_discriminator(source)
    inputs, expected = draw(G)
    with torch.no_grad():
        assert_close(data["G_ema"](inputs["z"], inputs.get("label"), truncation_psi=0.7), expected, EXACT)
        rng = torch.Generator().manual_seed(3)
        label = torch.eye(label_dim)[[0, 1, 0, 1]] if label_dim else None
        assert_close(data["D"](torch.randn(4, 3, 16, 16, generator=rng), label), judge(D), EXACT)
    # As those programs check and use what they open.
    assert all(isinstance(data[name], nn.Module) for name in ("G", "D", "G_ema")) and data["G"] is data["G_ema"]
    assert data["training_set_kwargs"] is None and data["augment_pipe"] is None and notes == []
    assert not any(p.requires_grad for p in data["G_ema"].parameters()) and not data["G_ema"].training
    kwargs = data["G_ema"]._init_kwargs
    assert type(kwargs) is EasyDict and kwargs.mapping_kwargs.num_layers == 2
    synthesis = kwargs.synthesis_kwargs if layout == "nvidia-ada-pkl" else kwargs
    assert (synthesis.architecture, synthesis.channel_max, kwargs.c_dim) == (architecture, 16, label_dim)
    assert data["D"]._init_kwargs.epilogue_kwargs.mbstd_group_size == 4
    assert data["about"]["licence"] == "CC-BY-4.0"
    # A module that was loaded is a whole one: it moves, copies its state, and takes hooks.
    names = set(data["G_ema"].double().float().state_dict())
    assert {n for n in names if not n.endswith("resample_filter")} == set(G.state_dict())
    data["G_ema"].synthesis.register_forward_hook(lambda *_: None)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("taps", [(1, 3, 3, 1), (1, 2, 1), tuple(range(1, 10))], ids=str)
def test_our_own_reader_opens_them_as_the_same_model(tmp_path, layout, taps):
    source = save(tmp_path, with_D=True, label_dim=2, resample_filter=taps, conv_clamp=256.0)
    back = open_foreign(export_model(source, tmp_path / "out.pkl", layout))
    G, D = checkpoints.load_generator(source), checkpoints.load_discriminator(source)
    assert_close(draw(back.G_ema)[1], draw(G)[1], EXACT)
    assert_close(judge(back.D), judge(D), EXACT)
    assert back.notes == () and back.spec.params["conv_clamp"] == 256.0


@pytest.mark.parametrize("layout", ["nvidia-pkl", "autolume-pkl"])
@pytest.mark.parametrize("options", [{}, {"conv_kernel": 1, "use_radial_filters": True, "label_dim": 2}])
def test_stylegan3_too(tmp_path, layout, options):
    source = save(tmp_path, "stylegan3", with_D=True, **options)
    back = open_foreign(export_model(source, tmp_path / "out.pkl", layout))
    assert_close(draw(back.G_ema)[1], draw(checkpoints.load_generator(source))[1], EXACT)
    assert_close(judge(back.D), judge(checkpoints.load_discriminator(source)), EXACT)
    assert back.notes == ()
    with pytest.raises(InputError, match="have no StyleGAN3"):
        export_model(source, tmp_path / "ada.pkl", "nvidia-ada-pkl")


def test_without_a_discriminator_there_is_an_empty_module_and_a_word(tmp_path):
    notes = []
    path = export_model(save(tmp_path), tmp_path / "out.pkl", "nvidia-pkl", report=notes.append)
    assert "no discriminator" in notes[0]
    assert type(loaded_elsewhere(path, "nvidia-pkl")["D"]) is nn.Identity
    back = open_foreign(path)
    assert back.D is None and back.notes == ()


def test_there_is_no_text_of_a_program_inside_and_every_name_is_on_the_list(tmp_path):
    source = save(tmp_path, with_D=True)
    path = export_model(source, tmp_path / "out.pkl", "nvidia-pkl")
    operations = list(pickletools.genops(path.read_bytes()))
    texts = [argument for _, argument, _ in operations if isinstance(argument, str)]
    assert max(map(len, texts)) < 200 and not any("module_src" in text or "import " in text for text in texts)
    names = {argument.replace(" ", ".") for operation, argument, _ in operations if operation.name == "GLOBAL"}
    assert names <= set(ALLOWED) and "training.networks_stylegan2.Generator" in names
    model, report = inspect(path)
    assert model is not None and not report.refused
    assert any("name of its class, which is not loaded" in row.meaning for row in report.asked)


# ---- The files of NVIDIA's own programs ----------------------------------------------------------------------------


def objects_of(path):
    size = path.stat().st_size
    with path.open("rb") as stream:
        table = PickleReader(ALLOWED, Budget(size), set()).read(Stream(stream, size))
        found = {}

        def walk(name, part):
            tables = [part.state.get(key) or {} for key in ("_parameters", "_buffers")]
            shapes = {n: None if t is None else t.shape for table in tables for n, t in table.items()}
            own = {}
            for key, value in part.state.items():
                if key[0] != "_":
                    own[key] = value.tensor().tolist() if isinstance(value, Array | View) else value
            found[name] = (part.kind, own, shapes, set(part.state))
            for child, inner in (part.state.get("_modules") or {}).items():
                walk(f"{name}.{child}", inner)

        for name in ("G_ema", "D"):
            if isinstance(table[name], Network):
                walk(name, table[name])
        return found


# These say how a network is trained, or how fast; the files were written by another generation of code or PyTorch.
OF_TRAINING = {"training", "w_avg_beta", "use_fp16", "num_fp16_res"}


@pytest.mark.parity
@pytest.mark.parametrize("name", ["nvidia_snapshot.pkl", "nvidia_snapshot_stylegan3.pkl"])
def test_each_object_holds_what_one_of_nvidias_files_holds(reference, tmp_path, name):
    model = open_foreign(reference / name)
    card = checkpoints.save_snapshot(tmp_path / "m.safetensors", G_ema=model.G_ema, D=model.D)
    theirs = objects_of(reference / name)
    ours = objects_of(export_model(card.path, tmp_path / "out.pkl", "nvidia-pkl"))
    assert set(theirs) <= set(ours) and (model.D is None or set(theirs) == set(ours))
    for path, (kind, attributes, shapes, state) in theirs.items():
        own_kind, own, own_shapes, own_state = ours[path]
        assert (own_kind, own_shapes) == (kind, shapes), path
        assert {key for key in state - own_state if "hook" not in key} == set(), path
        for key, value in attributes.items():
            if key not in OF_TRAINING:
                expected = pytest.approx(value, rel=1e-6) if isinstance(value, int | float) else value
                assert own[key] == expected, (path, key)


# ---- Hostile -------------------------------------------------------------------------------------------------------


def test_names_of_classes_are_only_names(tmp_path):
    """A file that names them with arguments, with a state that is no table, or other names of those modules."""
    path = tmp_path / "hostile.pkl"
    start = b"\x80\x03}(X\x05\x00\x00\x00G_ema"
    for home in {home for homes in LAYOUTS.values() for home in homes if home} | {"torch.nn.modules.linear"}:
        for kind in ("Identity",) if home.startswith("torch") else NETWORK_CLASSES:
            name = f"c{home}\n{kind}\n".encode()
            for rest, words in (
                (b"X\x02\x00\x00\x00ls\x85\x81", "with arguments"),
                (b"X\x02\x00\x00\x00ls\x85R", "with arguments"),
                (b")\x81X\x02\x00\x00\x00lsb", "no table"),
                (b"}X\x08\x00\x00\x00__init__K\x01sb", "sets attributes of"),
                (b")\x81(X\x01\x00\x00\x00aK\x01u", "as if it were a dict"),
                (b")\x81)R", "is only a value"),
            ):
                path.write_bytes(start + name + rest + b"u.")
                with pytest.raises(CheckpointError, match=words):
                    open_foreign(path)
    others = """
        training.networks.os training.networks.Generator.__init__ training.training_loop.training_loop
        training.networks_stylegan2.persistence torch.nn.modules.linear.Linear architectures.networks_stylegan2.exec
    """
    for name in others.split():
        path.write_bytes(start + f"c{name.rpartition('.')[0]}\n{name.rpartition('.')[2]}\n".encode() + b")\x81u.")
        with pytest.raises(CheckpointError, match="refused, and not run"):
            open_foreign(path)


def test_a_network_in_itself_has_an_end(tmp_path):
    name = b"ctraining.networks_stylegan2\nGenerator\n"
    own = b"X\x08\x00\x00\x00_modules}(X\x01\x00\x00\x00ah\x00u"
    (tmp_path / "loop.pkl").write_bytes(b"\x80\x03}(X\x05\x00\x00\x00G_ema" + name + b")\x81q\x00}(" + own + b"ubu.")
    with pytest.raises(CheckpointError):
        open_foreign(tmp_path / "loop.pkl")


def test_the_formats_are_those_of_the_layouts():
    assert [name for name in EXPORTS if name.endswith("-pkl")] == list(LAYOUTS)
    assert np.all([EXPORTS[name].suffix == ".pkl" for name in LAYOUTS])
