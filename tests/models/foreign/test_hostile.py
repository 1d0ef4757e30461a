"""Hostile model files: each ends in an error with a hint, and nothing in it runs.

Two witnesses: a file that the payloads would write, and an audit hook that hears of commands, compiled code, imports
and files opened for writing.
"""

from __future__ import annotations

import io
import os
import pickle
import random
import struct
import sys
import tracemalloc
import zipfile

import foreign_files as files
import pytest
import torch

from ganlib.base.errors import CheckpointError
from ganlib.models.foreign import open_foreign

MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
NAMES = """
os.system posix.system nt.system os.popen os.execv os.remove os.spawnl subprocess.Popen subprocess.call
subprocess.check_output builtins.eval builtins.exec builtins.compile builtins.open builtins.getattr builtins.setattr
builtins.__import__ builtins.globals builtins.map builtins.type builtins.bytearray builtins.dict __builtin__.eval
__builtin__.apply __builtin__.getattr importlib.import_module runpy.run_path runpy._run_code timeit.timeit pdb.run
operator.attrgetter operator.methodcaller operator.itemgetter functools.partial functools.reduce types.FunctionType
types.CodeType marshal.loads pickle.loads _pickle.loads cloudpickle.loads dill.loads joblib.load pandas.read_pickle
torch.load torch.hub.load torch.jit.load torch.package.PackageImporter torch.serialization.load torch.ops.load_library
torch.utils.cpp_extension.load_inline torch.utils.collect_env.run torch.storage._load_from_bytes.__globals__
torch.storage.io torch.storage.torch.load torch._utils.__builtins__ collections.OrderedDict.__init__
collections.OrderedDict.__reduce__ collections.os collections.namedtuple argparse.Namespace.__class__
argparse._os.system numpy.load numpy.fromfile numpy.memmap numpy.f2py.compile numpy.ndarray.tofile
numpy.core.multiarray.fromfile torch_utils.persistence._src_to_module torch_utils.persistence.import_hook
dnnlib.util.get_obj_by_name dnnlib.util.call_func_by_name dnnlib.util.open_url dnnlib.tflib.network.Network.__init__
webbrowser.open ctypes.CDLL pty.spawn platform.popen shutil.rmtree pathlib.PosixPath socket.socket
urllib.request.urlopen http.client.HTTPSConnection asyncio.run code.interact bdb.Bdb cProfile.run trace.Trace
codecs.open _codecs.decode _codecs.lookup io.FileIO io.open_code copyreg._reconstructor copyreg.add_extension sys.exit
sys.settrace gc.get_objects signal.raise_signal logging.config.dictConfig smtplib.SMTP sqlite3.connect
multiprocessing.Process threading.Thread ganlib.latents.paths ganlib.models.foreign.reader.open_foreign __main__.secret
"""
CALLED = NAMES.split()
HEARD = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.remove", "os.rename", "subprocess.Popen",
    "exec", "compile", "import", "pickle.find_class", "marshal.loads", "socket.connect", "socket.__new__",
    "shutil.rmtree", "ctypes.dlopen", "urllib.Request", "code.__new__", "function.__new__", "webbrowser.open",
)  # fmt: skip
_heard: list[str] = []
_listening = False


def _hook(event, arguments):
    if _listening and (event in HEARD or (event == "open" and str(arguments[1] or "r")[:1] in "wax")):
        _heard.append(f"{event} {arguments}")


sys.addaudithook(_hook)


@pytest.fixture
def refuse(tmp_path, monkeypatch):
    """`refuse(data)`: opens the file, and returns the error's message, having seen that nothing ran."""
    warm = tmp_path / "warm.pt"  # whatever this studio imports late is imported now
    torch.save(files.rosinality(files.tiny()[0]), warm)
    open_foreign(warm)
    for codec in ("cp437", "raw_unicode_escape"):  # Python's own, of odd names in archives and of protocol 0
        "".encode(codec)

    def refuse(data, name="model.pkl", may_open=False):
        global _listening
        path = tmp_path / name
        path.write_bytes(data)
        _heard.clear()
        try:
            _listening = True
            model = open_foreign(path)
        except CheckpointError as error:
            message = error.message
            assert error.hint
            assert name in message and len(message) < 500
        else:
            assert may_open, f"{model.source} was opened"
            message = ""
        finally:
            _listening = False
        assert _heard == []
        assert not (tmp_path / "canary").exists()
        return message

    monkeypatch.chdir(tmp_path)
    return refuse


# ---- Ways to ask for a call ----------------------------------------------------------------------------------------

COMMAND = b"X" + struct.pack("<I", 12) + b"touch canary"


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def by_stack(module, name):
    return text(module) + text(name) + b"\x93"


MODULE = by_stack("torch_utils.persistence", "_reconstruct_persistent_obj")


def plain(module, name):
    return f"c{module}\n{name}\n".encode() + b"(" + COMMAND + b"tR."


def modern(module, name):
    return b"\x80\x04" + by_stack(module, name) + COMMAND + b"\x85R."


def as_object(module, name):
    return b"\x80\x02" + by_stack(module, name) + COMMAND + b"\x85\x81."


def as_instance(module, name):
    return b"\x80\x02(" + COMMAND + f"i{module}\n{name}\n".encode() + b"."


def as_state(module, name):
    """A call hidden in the state of a network."""
    call = by_stack(module, name) + COMMAND + b"\x85R"
    meta = b"}(" + text("class_name") + text("Generator") + text("state") + b"}(" + text("training") + call + b"uu"
    return b"\x80\x04}" + text("G_ema") + MODULE + meta + b"\x85Rs."


def legacy(value=b"N.", keys=b"].", system=None, rest=b""):
    """A file of PyTorch before 1.6."""
    system = pickle.dumps(system or {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}, 2)
    return MAGIC + pickle.dumps(1001, 2) + system + value + keys + rest


def nested(payload):
    """A pickle whose tensor is made of these bytes."""
    data = b"B" + struct.pack("<I", len(payload)) + payload
    return b"\x80\x04}" + text("G_ema") + by_stack("torch.storage", "_load_from_bytes") + data + b"\x85Rs."


def archive(value, compression=zipfile.ZIP_STORED, **entries):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as made:
        made.writestr("model/data.pkl", value)
        for name, data in entries.items():
            made.writestr(f"model/{name.replace('__', '/')}", data)
    return stream.getvalue()


WAYS = {
    "plain": lambda m, n: b"\x80\x02" + plain(m, n),
    "modern": modern,
    "object": as_object,
    "instance": as_instance,
    "state": as_state,
    "archive": lambda m, n: archive(modern(m, n)),
    "legacy": lambda m, n: legacy(modern(m, n)),
    "legacy header": lambda m, n: modern(m, n).replace(b"\x80\x04", MAGIC + b"\x80\x04"),
    "nested": lambda m, n: nested(legacy(modern(m, n))),
    "nested header": lambda m, n: nested(MAGIC + modern(m, n)),
    "nested keys": lambda m, n: nested(legacy(keys=modern(m, n))),
    "nested pickle": lambda m, n: nested(modern(m, n)),
    "nested archive": lambda m, n: nested(archive(modern(m, n))),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_name_outside_the_list_is_called(refuse, way):
    assert len(CALLED) > 100
    for dotted in CALLED:
        module, name = dotted.rsplit(".", 1)
        refuse(WAYS[way](module, name))
        refuse(WAYS[way](*dotted.split(".", 1)))


def test_what_is_asked_for_is_named(refuse):
    assert "posix.system" in refuse(modern("posix", "system"))
    assert "builtins.eval" in refuse(nested(legacy(modern("builtins", "eval"))))
    message = refuse(modern("posix\x1b[2J\n", "x" * 5000))
    assert "\x1b" not in message and "\n" not in message


def test_real_payloads_do_not_run(refuse):
    """Pickled by Python itself, with a reduce that works when it is loaded as usual."""

    class Payload:
        def __init__(self, *call):
            self.call = call

        def __reduce__(self):
            return self.call[0], self.call[1:]

    calls = [(os.system, "touch canary"), (eval, "open('canary', 'w')"), (exec, "open('canary', 'w')")]
    calls += [(getattr, Payload(__import__, "os"), "system"), (open, "canary", "w")]
    for call in calls:
        for protocol in range(6):
            data = pickle.dumps({"G_ema": Payload(*call)}, protocol)
            refuse(data)
        stream = io.BytesIO()
        torch.save({"g_ema": Payload(*call)}, stream)
        refuse(stream.getvalue(), "model.pt")
        stream = io.BytesIO()
        torch.save({"g_ema": Payload(*call)}, stream, _use_new_zipfile_serialization=False)
        refuse(stream.getvalue(), "model.pt")
        refuse(nested(stream.getvalue()))


# ---- Allowed names, hostile arguments ------------------------------------------------------------------------------

ORDERED, NAMESPACE = by_stack("collections", "OrderedDict"), by_stack("argparse", "Namespace")
REBUILD, NESTED = by_stack("torch._utils", "_rebuild_tensor_v2"), by_stack("torch.storage", "_load_from_bytes")
DTYPE = by_stack("numpy", "dtype")
F4 = DTYPE + text("f4") + b"\x85R"
FILLED = by_stack("numpy._core.numeric", "_frombuffer")
STORAGE = by_stack("torch", "FloatStorage")
SYSTEM = text("posix") + text("system")
SIDE = struct.pack("<q", 2**39)
ODD = {
    "a dict of a number": ORDERED + b"K\x05\x85R",
    "a dict of text": ORDERED + text("ab") + b"\x85R",
    "a dict with an unknown argument": ORDERED + b")" + b")\x86R",
    "state of a function": NESTED + b"}" + text("__globals__") + b"}sb",
    "slots of a function": REBUILD + b"N}" + text("__code__") + COMMAND + b"s\x86b",
    "defaults of a function": REBUILD + b"N}" + text("__defaults__") + b")s\x86b",
    "state of a class": ORDERED + b"}" + text("__init__") + NESTED + b"sb",
    "slots of a namespace": NAMESPACE + b")\x81N}" + text("__class__") + STORAGE + b"s\x86b",
    "a namespace with arguments": NAMESPACE + COMMAND + b"\x85R",
    "items of a function": NESTED + COMMAND + COMMAND + b"s",
    "a call of a storage": STORAGE + b"K\x05\x85R",
    "a call of text": text("os.system") + COMMAND + b"\x85R",
    "a call of a call": NESTED + COMMAND + b"\x85R" + COMMAND + b"\x85R",
    "a call with no tuple": ORDERED + COMMAND + b"R",
    "a name made of no text": b"K\x05K\x06\x93",
    "a name made of an attribute": text("torch.storage") + text("_load_from_bytes.__globals__") + b"\x93",
    "nested text": NESTED + text("abc") + b"\x85R",
    "a nested number": NESTED + b"K\x05\x85R",
    "a tensor of nothing": REBUILD + b"(NK\x00))\x89)tR",
    "a tensor of text": REBUILD + b"(" + COMMAND + b"K\x00))\x89)tR",
    "a parameter of text": by_stack("torch._utils", "_rebuild_parameter") + COMMAND + b"\x89N\x87R",
    "an array of objects": DTYPE + text("O8") + b"\x85R",
    "an array of records": DTYPE + b"](" + text("a") + text("f4") + b"\x86e\x85R",
    "a dtype with fields": F4 + b"(K\x03" + text("|") + b"N(" + text("a") + b"t}J\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb",
    "a dtype of an odd order": F4 + b"(K\x03" + text("O") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",
    "a scalar without value": by_stack("numpy.core.multiarray", "scalar") + F4 + b"C\x01a\x86R",
    "a scalar of objects": by_stack("numpy.core.multiarray", "scalar") + COMMAND + COMMAND + b"\x86R",
    "an array of another class": by_stack("numpy.core.multiarray", "_reconstruct") + ORDERED + b"K\x00\x85C\x01b\x87R",
    "a filled array of text": FILLED + COMMAND + F4 + b"K\x01\x85" + text("C") + b"tR",
    "an array in an odd order": FILLED + b"(C\x04aaaa" + F4 + b"K\x01\x85" + text("Z") + b"tR",
    "text in another encoding": by_stack("_codecs", "encode") + text("abc") + text("rot13") + b"\x86R",
    "text that is no latin-1": by_stack("_codecs", "encode") + text("€") + text("latin1") + b"\x86R",
    "a set of lists": by_stack("builtins", "set") + b"](]e\x85R",
    "a network of text": MODULE + COMMAND + b"\x85R",
    "a network without state": MODULE + b"}\x85R",
    "a persistent id": COMMAND + b"Q",
    "a persistent id of text": b"Ptouch canary\n",
    "an extension": b"\x82\x01",
    "a large extension": b"\x84\x01\x00\x00\x00",
    "an object with keywords": ORDERED + b")}\x92",
    "a buffer from elsewhere": b"\x97",
    "a byte that means nothing": b"\xff",
    "a memory of nothing": b"h\x07",
    "a stack of nothing": b"0",
    "a mark of nothing": b"t",
    "an uneven dict": b"}(" + COMMAND + b"u",
    "a list as a key": b"}]Ns",
    "a number without end": b"I" + b"9" * 6000 + b"\n",
    "a name without end": b"c" + b"a" * 200_000,
}


@pytest.mark.parametrize("way", ["pickle", "archive", "legacy"])
def test_hostile_arguments_of_allowed_names_are_refused(refuse, way):
    for odd in ODD.values():
        value = b"\x80\x04}" + text("G_ema") + odd + b"s."
        refuse({"pickle": lambda v: v, "archive": archive, "legacy": legacy}[way](value))


def test_no_attempt_changes_the_list_of_names(refuse, tmp_path):
    for odd in ODD.values():
        refuse(b"\x80\x04}" + text("G_ema") + odd + b"s.")
    G, D = files.tiny()
    (tmp_path / "good.pkl").write_bytes(files.snapshot(G, D))
    assert torch.equal(files.make_pictures(open_foreign(tmp_path / "good.pkl").G_ema), files.make_pictures(G))


# ---- Sizes ---------------------------------------------------------------------------------------------------------


def storage_of(numel, fields):
    """A persistent id of a storage of so many floats."""
    pid = b"(" + text("storage") + STORAGE + text("0") + text("cpu") + b"\x8a\x08" + struct.pack("<q", numel)
    return pid + (b"N" if fields == 6 else b"") + b"tQ"


def view_of(storage, shape, stride=None, offset=0):
    def numbers(values):
        return b"(" + b"".join(b"\x8a\x08" + struct.pack("<q", value) for value in values) + b"t"

    start = b"\x8a\x08" + struct.pack("<q", offset)
    return REBUILD + b"(" + storage + start + numbers(shape) + numbers(stride or [1] * len(shape)) + b"\x89)tR"


def state_dict(tensor, name="synthesis.b4.conv1.weight"):
    return b"\x80\x04}" + text(name) + tensor + b"s."


SHAPES = [
    ([2**39], None, 0), ([2**62], None, 0), ([4], None, 2**62), ([2**31, 2**31], None, 0), ([-1], None, 0),
    ([4], [-1], 0), ([4], [2**61], 0), ([2**20] * 8, [0] * 8, 0), ([1] * 65, None, 0), ([0, 2**39], None, 0),
    ([1000], [0], 0), ([4], None, 1),
]  # fmt: skip


@pytest.mark.parametrize("is_zip", [True, False])
def test_huge_and_impossible_shapes_take_no_memory(refuse, is_zip):
    tracemalloc.start()
    try:
        for shape, stride, offset in SHAPES:
            if is_zip:
                value = state_dict(view_of(storage_of(4, 5), shape, stride, offset))
                data = archive(value, data__0=b"\0" * 16)
            else:
                value = state_dict(view_of(storage_of(4, 6), shape, stride, offset))
                data = legacy(value, pickle.dumps(["0"], 2), rest=struct.pack("<q", 4) + b"\0" * 16)
            refuse(data, "model.pt")
        for numel in (5, 2**30, 2**39, 2**62, -1):
            refuse(archive(state_dict(view_of(storage_of(numel, 5), [4])), data__0=b"\0" * 16), "model.pt")
            value = state_dict(view_of(storage_of(numel, 6), [4]))
            for said in (4, numel):
                rest = struct.pack("<q", said) + b"\0" * 16
                refuse(legacy(value, pickle.dumps(["0"], 2), rest=rest), "model.pt")
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()


def test_depth_without_end_is_refused(refuse):
    for data in (
        b"\x80\x04" + b"(" * 300_000 + b".",
        b"\x80\x04" + b"]" * 200_000 + b"a" * 199_999 + b".",
        b"\x80\x04)" + b"\x85" * 300_000 + b".",
    ):
        assert "operations" in refuse(data)
    shallow = b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b"."
    assert "a list" in refuse(shallow)


def test_bombs_take_no_memory(refuse):
    doubling = b"N\x94" + b"".join(b"h" + bytes([i]) + b"h" + bytes([i]) + b"\x86\x94" for i in range(100))

    def network(children):
        state = b"}" + text("_modules") + b"}(" + children + b"us"
        return MODULE + b"}(" + text("class_name") + text("Generator") + text("state") + state + b"u\x85R"

    crowd = network(b"") + b"\x940"
    for level in range(7):
        crowd += network(b"".join(text(name) + b"h" + bytes([level]) for name in "abcdefgh")) + b"\x940"
    tower = network(b"") + b"\x940"
    for level in range(60):
        tower += network(text("a") + b"h" + bytes([level]) + text("b") + b"h" + bytes([level])) + b"\x940"
    array = by_stack("_codecs", "encode")
    million = b"X" + struct.pack("<I", 2**20) + b"a" * 2**20
    bombs = {
        "tuples as a key": b"\x80\x04" + doubling + b"}hdNs.",
        "tuples in a set": b"\x80\x04\x8f(" + doubling + b"\x90.",
        "modules that multiply": b"\x80\x04" + crowd + b"}" + text("G_ema") + b"h\x07s.",
        "modules that double": b"\x80\x04" + tower + b"}" + text("G_ema") + b"h\x3cs.",
        "a network that holds itself": b"\x80\x04}" + text("G_ema") + MODULE + b"}(" + text("class_name")
        + text("Generator") + text("state") + b"}\x94" + text("_modules") + b"}" + text("a") + MODULE + b"}("
        + text("class_name") + text("Generator") + text("state") + b"h\x00u\x85Rssu\x85Rs.",
        "a place in memory": b"\x80\x04Nr\xff\xff\xff\x7f.",
        "many places": b"\x80\x04N" + b"".join(b"r" + struct.pack("<I", i * 65536) for i in range(60000)) + b".",
        "a long string": b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"abc",
        "a longer string": b"\x80\x04\x8d" + struct.pack("<Q", 2**63) + b"abc",
        "a long text": b"\x80\x04X" + struct.pack("<I", 2**32 - 1) + b"abc",
        "a long array": b"\x80\x05\x96" + struct.pack("<Q", 2**50) + b"abc",
        "a long frame": b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"N.",
        "a long whole number": b"\x80\x04\x8b" + struct.pack("<i", 2**31 - 1) + b"abc",
        "one text encoded again and again": b"\x80\x04" + million + b"\x940"
        + (array + b"h\x00" + text("latin1") + b"\x86R") * 50 + b".",
        "one list copied again and again": b"\x80\x04](" + b"NN\x86" * 20000 + b"e\x940"
        + (by_stack("collections", "OrderedDict") + b"h\x00\x85R") * 1000 + b".",
    }  # fmt: skip
    tracemalloc.start()
    try:
        for name, data in bombs.items():
            refuse(data)
            assert tracemalloc.get_traced_memory()[1] < 2**27, name
    finally:
        tracemalloc.stop()


def test_one_tensor_under_many_names_is_not_copied_for_each(refuse):
    first = view_of(storage_of(2**18, 5), [2**18]) + b"\x940"
    names = b"".join(text(f"synthesis.b4.x{i}") + b"h\x00" for i in range(2000))
    value = b"\x80\x04" + first + b"}(" + names + b"u."
    assert "unfolds" in refuse(archive(value, data__0=b"\0" * 2**20), "model.pt")


def test_archives_that_unfold_or_lie_are_refused(refuse):
    value = state_dict(view_of(storage_of(2**24, 5), [2**24]))
    assert "compressed" in refuse(archive(value, zipfile.ZIP_DEFLATED, data__0=b"\0" * 2**26), "model.pt")
    assert "compressed" in refuse(archive(value, zipfile.ZIP_LZMA, data__0=b"\0" * 2**20), "model.pt")
    good = archive(state_dict(view_of(storage_of(4, 5), [4])), data__0=b"\1" * 16)
    lying = good.replace(struct.pack("<II", 16, 16), struct.pack("<II", 2**31, 2**31))
    assert lying != good
    refuse(lying, "model.pt")
    refuse(good.replace(b"\1" * 16, b"\2" * 16), "model.pt")  # the checksum differs
    refuse(archive(b"N.", data__0=b"").replace(b"data.pkl", b"data.pkx"), "model.pt")
    assert "byte order" in refuse(archive(b"N.", byteorder=b"big"), "model.pt")
    assert "byte order" in refuse(legacy(system={"little_endian": False}), "model.pt")
    with pytest.warns(UserWarning, match="Duplicate"):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as made:
            made.writestr("a/data.pkl", b"N.")
            made.writestr("a/data.pkl", modern("posix", "system"))
    assert "twice" in refuse(stream.getvalue(), "model.pt")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        for i in range(40_000):
            made.writestr(f"a/{i:050}", b"")
    assert "table" in refuse(stream.getvalue(), "model.pt")
    for way in ("code.py", "../../canary"):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as made:
            made.writestr(way, b"x")
        refuse(stream.getvalue(), "model.pt")


# ---- Damage --------------------------------------------------------------------------------------------------------


def good_files():
    G, D = files.tiny(resolution=8)
    streams = [io.BytesIO(), io.BytesIO()]
    for stream, is_zip in zip(streams, (True, False), strict=True):
        torch.save(files.rosinality(G, D), stream, _use_new_zipfile_serialization=is_zip)
    tensorflow = files.tf_networks(G, D)
    return {
        "snapshot.pkl": files.snapshot(G, D, p=0.5), "stylegan3.pkl": files.snapshot(files.tiny_alias_free()),
        "tensorflow.pkl": files.pickled(tensorflow, 2),
        "python2.pkl": files.python2(tensorflow), "zip.pt": streams[0].getvalue(), "legacy.pt": streams[1].getvalue(),
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(good_files()))
def test_a_truncated_file_is_refused_wherever_it_ends(refuse, name):
    data = good_files()[name]
    assert refuse(data, name, may_open=True) == ""
    for end in [0, 1, 2, 15, 16, *range(20, len(data) - 1, len(data) // 40), len(data) - 1]:
        refuse(data[:end], name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(good_files()))
def test_a_truncated_file_is_refused_at_every_tenth_byte(refuse, name):
    data = good_files()[name]
    for end in range(0, len(data), 10):
        refuse(data[:end], name)


@pytest.mark.parametrize("name", sorted(good_files()))
def test_a_mutated_file_opens_or_is_refused(refuse, name):
    data, rng = good_files()[name], random.Random(name)
    for _ in range(40):
        changed = bytearray(data)
        for _ in range(rng.choice([1, 1, 3, 20])):
            changed[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.3:
            start = rng.randrange(len(data))
            del changed[start : start + rng.randrange(1, 200)]
        refuse(bytes(changed), name, may_open=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(good_files()))
def test_thousands_of_mutations_open_or_are_refused(refuse, name):
    data, rng = good_files()[name], random.Random(f"{name} again")
    for _ in range(2000):
        changed = bytearray(data)
        for _ in range(rng.choice([1, 2, 8])):
            changed[rng.randrange(len(data))] = rng.choice([rng.randrange(256), *b"cR\x93\x81bQ(.th\x94"])
        refuse(bytes(changed), name, may_open=True)
