"""Model files as other tools write them, made from networks of this studio, for tests."""

from __future__ import annotations

import pickle
import re
import struct
import sys
import types
from contextlib import contextmanager

import numpy as np
import torch

from ganlib import networks

CLASSES = {"ToRGB": "ToRGBLayer", "EqualizedLinear": "FullyConnectedLayer", "EqualizedConv2d": "Conv2dLayer"}


def tiny(*, resolution=16, label_dim=0, architecture="skip", D_architecture="resnet", seed=0, **options):
    """A generator with every weight, noise strength and mean drawn at random, and its discriminator."""
    spec = networks.architecture("stylegan2").make_spec(
        resolution=resolution, label_dim=label_dim, z_dim=8, w_dim=8, channel_base=64, channel_max=6, mapping_layers=2,
        architecture=architecture, D={"D_architecture": D_architecture}, **options,
    )  # fmt: skip
    torch.manual_seed(seed)
    G, D = networks.build_generator(spec), networks.build_discriminator(spec)
    with torch.no_grad():
        for network in (G, D):
            for name, tensor in network.state_dict().items():
                if tensor.ndim < 2 and not name.endswith("filter"):
                    tensor.add_(torch.randn_like(tensor) * 0.3)
    return G, D


def tiny_alias_free(*, label_dim=0, seed=0, **options):
    """A StyleGAN3 generator with every weight, magnitude and mean drawn at random."""
    spec = networks.architecture("stylegan3").make_spec(
        resolution=16, label_dim=label_dim, z_dim=8, w_dim=8, channel_base=64, channel_max=6, num_layers=4, **options
    )
    torch.manual_seed(seed)
    G = networks.build_generator(spec)
    with torch.no_grad():
        for name, tensor in G.state_dict().items():
            if tensor.ndim < 2 and "filter" not in name:
                tensor.add_(torch.rand_like(tensor) * 0.3)
    return G


def make_pictures(G, count=2):
    z = torch.randn(count, G.spec.z_dim, generator=torch.Generator().manual_seed(1))
    label = torch.eye(G.spec.label_dim)[:count] if G.spec.label_dim else None
    with torch.no_grad():
        w = G.w_avg + 0.7 * (G.mapping(z, label) - G.w_avg)
        return G.synthesis(w[:, None].repeat(1, G.spec.num_ws, 1), noise_mode="const")


def judge(D, side, label_dim=0):
    images = torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        return D(images, torch.eye(label_dim)[torch.arange(4) % label_dim] if label_dim else None)


@contextmanager
def modules(**members):
    """Stand-ins for the modules of other tools, while their objects are pickled."""
    made = {}
    for dotted, names in members.items():
        path = dotted.replace("__", ".")
        for i in range(1, path.count(".") + 2):
            made.setdefault(".".join(path.split(".")[:i]), types.ModuleType(path))
        for name, value in names.items():
            value.__module__, value.__qualname__ = path, name
            setattr(made[path], name, value)
    before = {name: sys.modules.get(name) for name in made}
    sys.modules.update(made)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


# ---- NVIDIA's snapshots --------------------------------------------------------------------------------------------


def _reconstruct_persistent_obj(meta):
    raise AssertionError("never called")


class Persistent:
    def __init__(self, class_name, state, source="raise RuntimeError('source text was run')"):
        self.meta = {"type": "class", "version": 6, "module_src": source, "class_name": class_name, "state": state}

    def __reduce__(self):
        return _reconstruct_persistent_obj, (self.meta,)


class EasyDict(dict):
    pass


def persistent(module, **attributes):
    """A network of this studio as NVIDIA's persistence writes it."""
    kind = type(module).__name__
    state = {
        "training": False,
        "_parameters": dict(module._parameters),
        "_buffers": {name: value for name, value in module._buffers.items()},
        "_modules": {name: persistent(child) for name, child in module._modules.items()},
        "_init_args": (),
        "_init_kwargs": EasyDict(w_dim=8),
        **attributes,
    }
    if kind == "ToRGB" and hasattr(module, "magnitude_ema"):
        kind = "SynthesisLayer"  # StyleGAN3 has one class for both
    for name in ("conv_clamp", "use_fp16", "output_scale", "bandwidth"):
        if hasattr(module, name):
            state[name] = getattr(module, name)
    if kind == "EqualizedLinear":
        state |= {"activation": module.act, "bias_gain": module.bias_gain}
    if kind == "DiscriminatorEpilogue":
        group = {"group_size": module.mbstd_group_size, "num_channels": module.mbstd_num_channels}
        state["_modules"]["mbstd"] = Persistent("MinibatchStdLayer", {"_modules": {}, **group})
    return Persistent(CLASSES.get(kind, kind), state)


def pickled(value, protocol=4):
    with modules(
        torch_utils__persistence={"_reconstruct_persistent_obj": _reconstruct_persistent_obj},
        dnnlib__util={"EasyDict": EasyDict},
        dnnlib__tflib__network={"Network": TFNetwork},
    ):
        return pickle.dumps(value, protocol=protocol)


def snapshot(G, D=None, p=None, **more):
    value = {"G_ema": persistent(G), "training_set_kwargs": EasyDict(path="/data/plums.zip"), **more}
    if D is not None:
        value |= {"G": persistent(G), "D": persistent(D)}
    if p is not None:
        value["augment_pipe"] = Persistent("AugmentPipe", {"_buffers": {"p": torch.tensor(p)}, "_modules": {}})
    return pickled(value)


# ---- TensorFlow's era ----------------------------------------------------------------------------------------------


class TFNetwork:
    def __init__(self, **state):
        self.__dict__.update(state)


def tf_networks(G, D, *, lod=False, **options):
    """(G, D, Gs) with the variables of both networks under TensorFlow's names."""
    spec = G.spec
    G_vars, D_vars = {}, {}
    layers = {"conv0": "Conv0_up", "conv1": "Conv1", "torgb": "ToRGB", "skip": "Skip"}
    for name, tensor in G.state_dict().items():
        x = tensor.numpy()
        words = name.split(".")
        if name == "mapping.w_avg":
            G_vars["dlatent_avg"] = x
        elif words[0] == "mapping":
            layer = "LabelEmbed" if words[1] == "embed" else f"Dense{words[1][2:]}"
            G_vars[f"{layer}/{words[2]}"] = x.T
        elif words[2] == "const":
            G_vars["4x4/Const/const"] = x[None]
        else:
            side, layer = int(words[1][1:]), layers[words[2]]
            layer = "Conv" if (side, layer) == (4, "Conv1") else layer
            at = f"{side}x{side}/{layer}"
            if lod and layer == "ToRGB":
                at = f"ToRGB_lod{(spec.resolution // side).bit_length() - 1}"
            key = ".".join(words[3:])
            if key == "noise_const":
                number = 0 if side == 4 else 2 * side.bit_length() - 7 + (layer == "Conv1")
                G_vars[f"noise{number}"] = x[None, None]
            elif key == "weight":
                x = x.transpose(2, 3, 1, 0)
                G_vars[f"{at}/weight"] = x[::-1, ::-1] if layer in ("Conv0_up", "Skip") else x
            else:
                renamed = {"affine.weight": ("mod_weight", x.T), "affine.bias": ("mod_bias", x - 1)}
                to, x = renamed.get(key, (key, x))
                G_vars[f"{at}/{to}"] = np.float32(x) if key == "noise_strength" else x
    renames = {"conv0": "Conv0", "conv1": "Conv1_down", "skip": "Skip", "fromrgb": "FromRGB", "conv": "Conv"}
    for name, tensor in D.state_dict().items():
        x, words = tensor.numpy(), name.split(".")
        x = x.transpose(2, 3, 1, 0) if x.ndim == 4 else x.T
        if words[0] == "mapping":
            layer = "LabelEmbed" if words[1] == "embed" else f"Mapping{words[1][2:]}"
        elif words[1] in ("fc", "out"):
            layer = {"fc": "4x4/Dense0", "out": "Output"}[words[1]]
        else:
            side = int(words[0][1:])
            layer = f"{side}x{side}/{renames[words[1]]}"
            if lod and words[1] == "fromrgb":
                layer = f"FromRGB_lod{(spec.resolution // side).bit_length() - 1}"
        D_vars[f"{layer}/{words[-1]}"] = x
    static = {"resolution": spec.resolution, "num_channels": 3, "label_size": spec.label_dim, **options}

    def network(name, variables, components=()):
        return TFNetwork(
            version=4, name=name, static_kwargs=dict(static), components=dict(components), build_func_name=name,
            build_module_src="raise RuntimeError('source text was run')", variables=list(variables.items()),
        )  # fmt: skip

    own = {"dlatent_avg", "lod"}
    is_mapping = re.compile("Dense|LabelEmbed").match
    inner = {name: value for name, value in G_vars.items() if name not in own}
    Gs = network(
        "Gs",
        {"lod": np.float32(0), "dlatent_avg": G_vars["dlatent_avg"]},
        {
            "mapping": network("G_mapping", {n: v for n, v in inner.items() if is_mapping(n)}),
            "synthesis": network("G_synthesis", {n: v for n, v in inner.items() if not is_mapping(n)}),
        },
    )
    return Gs, network("D", D_vars), Gs


def python2(value):
    """A pickle as Python 2 with an older numpy wrote it: text and bytes are the same kind of string."""
    return b"\x80\x02" + _python2(value) + b"."


def _python2(value):
    if isinstance(value, np.ndarray | np.generic):
        data = value.tobytes()
        dtype = b"cnumpy\ndtype\n" + _python2((value.dtype.str[1:], 0, 1)) + b"R"
        dtype += _python2((3, "<", None, None, None, -1, -1, 0)) + b"b"
        if isinstance(value, np.generic):
            return b"cnumpy.core.multiarray\nscalar\n(" + dtype + _python2(data) + b"tR"
        start = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n" + _python2((0,)) + _python2("b") + b"tR"
        return start + b"(K\x01" + _python2(value.shape) + dtype + b"\x89" + _python2(data) + b"tb"
    if isinstance(value, TFNetwork):
        return b"cdnnlib.tflib.network\nNetwork\n)\x81" + _python2(vars(value)) + b"b"
    if isinstance(value, str | bytes):
        data = value.encode() if isinstance(value, str) else value
        return b"T" + struct.pack("<i", len(data)) + data
    if isinstance(value, dict):
        return b"}(" + b"".join(_python2(k) + _python2(v) for k, v in value.items()) + b"u"
    if isinstance(value, list | tuple):
        return b"(" + b"".join(map(_python2, value)) + (b"l" if isinstance(value, list) else b"t")
    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    return b"J" + struct.pack("<i", value) if isinstance(value, int) else b"G" + struct.pack(">d", value)


# ---- rosinality ----------------------------------------------------------------------------------------------------


def rosinality(G, D=None, *, noises=True):
    """The state dicts of a checkpoint, from networks of skip and resnet kind without classes."""
    g, d, kernel = {}, {}, torch.tensor([1.0, 3, 3, 1]).outer(torch.tensor([1.0, 3, 3, 1])) / 64
    for name, x in G.state_dict().items():
        words = name.split(".")
        if words[0] == "mapping":
            if words[1] != "w_avg":
                g[f"style.{int(words[1][2:]) + 1}.{words[2]}"] = x
            continue
        side, key = int(words[1][1:]), ".".join(words[3:])
        i = 2 * (side.bit_length() - 4) + (words[2] == "conv1")
        if words[2] == "const":
            g["input.input"] = x[None]
            continue
        place = {True: "conv1", False: f"convs.{i}"}[side == 4]
        if words[2] == "torgb":
            place = "to_rgb1" if side == 4 else f"to_rgbs.{side.bit_length() - 4}"
            if side > 4:
                g[f"{place}.upsample.kernel"] = kernel * 4
        elif words[2] == "conv0":
            g[f"{place}.conv.blur.kernel"] = kernel * 4
        if key == "noise_const":
            if noises:
                g[f"noises.noise_{0 if side == 4 else i + 1}"] = x[None, None]
            continue
        to, x = {
            "weight": ("conv.weight", x[None]), "noise_strength": ("noise.weight", x.reshape(-1)),
            "affine.weight": ("conv.modulation.weight", x), "affine.bias": ("conv.modulation.bias", x),
            "bias": ("bias", x.reshape(1, -1, 1, 1)) if words[2] == "torgb" else ("activate.bias", x),
        }[key]  # fmt: skip
        g[f"{place}.{to}"] = x
    for name, x in (D.state_dict() if D is not None else {}).items():
        words, top = name.split("."), G.spec.resolution
        side = int(words[0][1:])
        i = (top // side).bit_length()
        ends = {"conv.weight": "final_conv.0.weight", "conv.bias": "final_conv.1.bias"}
        ends |= {f"{a}.{c}": f"final_linear.{b}.{c}" for a, b in (("fc", 0), ("out", 1)) for c in ("weight", "bias")}
        inner = {"conv0.weight": "conv1.0.weight", "conv0.bias": "conv1.1.bias", "conv1.weight": "conv2.1.weight"}
        inner |= {"conv1.bias": "conv2.2.bias", "skip.weight": "skip.1.weight"}
        key = ".".join(words[1:])
        if words[1] == "fromrgb":
            d[f"convs.0.{0 if words[2] == 'weight' else 1}.{words[2]}"] = x
        else:
            d[ends[key] if side == 4 else f"convs.{i}.{inner[key]}"] = x
            if key == "conv1.weight":
                d[f"convs.{i}.conv2.0.kernel"] = kernel
    return {"g_ema": g, "latent_avg": G.w_avg} | ({"d": d} if D is not None else {})
