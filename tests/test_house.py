"""The architecture, enforced: who may import whom, and what a file may contain."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]

# Leftmost is the ground: a module imports only modules to its left. Packages count as one name. This list *is* the
# architecture; a name may stand here before its file exists.
ORDER = [
    *("base", "runs", "compute", "media", "networks", "models", "latents", "features", "dataset"),
    *("render", "superres", "video", "metrics", "projection", "compare", "nft", "model_card", "training"),
    *("commands", "__main__"),
]

STANDARD_LIBRARY_ONLY = ("base", "runs")
FORBIDDEN_IN_PAGES = {"torch", "numpy", "PIL", "torchvision", "imageio"}


def python_files(*tops: str) -> list[Path]:
    found: list[Path] = []
    for top in tops:
        path = REPOSITORY / top
        found += [path] if path.is_file() else sorted(path.rglob("*.py"))
    return found


GANLIB = python_files("ganlib")
ROOF = [path for path in python_files("app.py", "pages") if path.exists()]
SHIPPED = GANLIB + ROOF + python_files("benchmarks")
ALL = SHIPPED + python_files("tests")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    return list(ast.walk(tree_of(path)))


def here(path: Path, node: ast.AST | None = None) -> str:
    return f"{path.relative_to(REPOSITORY)}:{getattr(node, 'lineno', 1)}"


def imports(path: Path) -> Iterator[tuple[ast.AST, str]]:
    """Every imported module as a dotted name; `from a import b` counts as `a.b`, wherever in the file it stands."""
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)


def storey(dotted: str) -> str:
    """`ganlib.networks.ops.filter2d` → `networks`; empty for the package itself and its constants."""
    name = dotted.split(".")[1] if "." in dotted else ""
    return name if name in MODULES else ""


def module_of(path: Path) -> str:
    return path.relative_to(REPOSITORY / "ganlib").parts[0].removesuffix(".py")


MODULES = {module_of(path) for path in GANLIB} - {"__init__"}


def test_every_module_has_a_place_in_the_order():
    assert MODULES - set(ORDER) == set()
    assert len(ORDER) == len(set(ORDER))


def test_imports_go_one_way():
    wrong = []
    for path in GANLIB:
        own = module_of(path)
        for node, dotted in imports(path):
            if dotted.split(".")[0] != "ganlib" or not (target := storey(dotted)) or target == own:
                continue
            if own == "__init__" or ORDER.index(target) > ORDER.index(own):
                wrong.append(f"{here(path, node)}: {own} imports {target}")
    assert wrong == []


def test_the_ground_needs_only_the_standard_library():
    wrong = []
    for path in GANLIB:
        if module_of(path) in STANDARD_LIBRARY_ONLY:
            tops = [(node, dotted.split(".")[0]) for node, dotted in imports(path)]
            wrong += [f"{here(path, n)}: {top}" for n, top in tops if top not in {"ganlib", *sys.stdlib_module_names}]
    assert wrong == []


def test_ganlib_never_imports_streamlit():
    wrong = [here(path, node) for path in GANLIB for node, name in imports(path) if name.split(".")[0] == "streamlit"]
    assert wrong == []


def test_pages_never_hold_a_tensor():
    wrong = [
        f"{here(path, node)}: {name}"
        for path in ROOF
        for node, name in imports(path)
        if name.split(".")[0] in FORBIDDEN_IN_PAGES
    ]
    assert wrong == []


def test_words_are_drawn_in_one_place():
    """With the fonts of `ganlib.media.lettering`, which have the letters; Pillow's own has few beyond Latin."""
    wrong = [
        here(path, node)
        for path in SHIPPED
        for node in nodes_of(path)
        if path.parent.name != "lettering"
        and (getattr(node, "attr", getattr(node, "name", "")) in ("ImageFont", "load_default", "multiline_text"))
    ]
    assert wrong == []


def test_imports_are_absolute():
    relative = [
        here(path, node) for path in ALL for node in nodes_of(path) if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_private_names_stay_in_their_file():
    """A leading underscore is private; a package may be called so (`pages/_ui`), its public names are public."""

    def is_private(name: str) -> bool:
        return name.startswith("_") and not name.startswith("__")

    wrong = []
    for path in SHIPPED:
        modules: set[str] = set()
        for node in nodes_of(path):
            if not isinstance(node, ast.ImportFrom) or (node.module or "").split(".")[0] not in ("ganlib", "pages"):
                continue
            base = REPOSITORY.joinpath(*(node.module or "").split("."))
            for alias in node.names:
                if (base / alias.name).is_dir() or (base / f"{alias.name}.py").is_file():
                    modules.add(alias.asname or alias.name)
                elif is_private(alias.name):
                    wrong.append(f"{here(path, node)}: {alias.name}")
        for node in nodes_of(path):
            if isinstance(node, ast.Attribute) and is_private(node.attr) and ast.unparse(node.value) in modules:
                wrong.append(f"{here(path, node)}: {ast.unparse(node)}")
    assert wrong == []


def test_functions_are_no_bare_participles():
    wrong = [
        f"{here(path, node)}: {node.name}"
        for path in SHIPPED
        for node in tree_of(path).body
        if isinstance(node, ast.FunctionDef)
        and re.fullmatch(r"[a-z]+ed|kept|told|shown|made|found|drawn|known|held|left|frozen|bled", node.name)
    ]
    assert wrong == []


def test_files_of_pytorch_are_read_in_one_place():
    wrong = [
        here(path, node)
        for path in SHIPPED
        for node in nodes_of(path)
        if path.name != "torch_files.py" and isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"
    ]
    assert wrong == []


def test_no_error_is_swallowed_whole():
    wrong = []
    for path in ALL:
        for node in nodes_of(path):
            if not isinstance(node, ast.ExceptHandler):
                continue
            broad = isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")
            if node.type is None or (broad and all(isinstance(line, ast.Pass) for line in node.body)):
                wrong.append(here(path, node))
    assert wrong == []


def test_nothing_is_unpickled_without_an_allow_list():
    """torch.load only with weights_only=True, numpy.load without allow_pickle, pickle.load never."""

    def option(call: ast.Call, name: str) -> object:
        return next((k.value.value for k in call.keywords if k.arg == name and isinstance(k.value, ast.Constant)), None)

    wrong = []
    for path in SHIPPED:
        for node in nodes_of(path):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            called = ast.unparse(node.func)
            if called in ("pickle.load", "pickle.loads", "pickle.Unpickler", "torch.storage._load_from_bytes"):
                wrong.append(f"{here(path, node)}: {called}")
            elif called == "torch.load" and option(node, "weights_only") is not True:
                wrong.append(f"{here(path, node)}: torch.load without weights_only=True")
            elif any(k.arg == "allow_pickle" and option(node, "allow_pickle") is not False for k in node.keywords):
                wrong.append(f"{here(path, node)}: allow_pickle")
    assert wrong == []


# The argument that says what a widget begins with, and its place.
BEGINS_WITH = {
    "segmented_control": ("default", 2), "pills": ("default", 2), "multiselect": ("default", 2), "radio": ("index", 2),
    "selectbox": ("index", 2), "slider": ("value", 3), "select_slider": ("value", 2), "number_input": ("value", 3),
    "text_input": ("value", 1), "text_area": ("value", 1), "checkbox": ("value", 1), "toggle": ("value", 1),
}  # fmt: skip


def test_a_widget_begins_with_its_argument_or_with_what_the_session_holds():
    """With both, Streamlit warns, once in the life of a process: what a test sees depends on those before it."""
    begun: dict[str, str] = {}
    held = set()
    for path in ROOF:
        for node in nodes_of(path):
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
                held |= {ast.unparse(node.slice)} if "state" in ast.unparse(node.value) else set()
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr == "setdefault" and "state" in ast.unparse(node.func.value):
                held.add(ast.unparse(node.args[0]))
            if node.func.attr in BEGINS_WITH:
                name, place = BEGINS_WITH[node.func.attr]
                given = {word.arg: word.value for word in node.keywords}
                first = given.get(name) or next(iter(node.args[place:]), None)
                if ast.unparse(node.func.value) == "fields":  # they begin with the option's default
                    is_held = "value" in given and ast.unparse(given["value"]) == "fields.HELD"
                    first = None if is_held else node
                if first is not None and ast.unparse(first) != "None" and "key" in given:
                    begun[ast.unparse(given["key"])] = here(path, node)
    assert {key: where for key, where in begun.items() if key in held and key.startswith("'")} == {}


# What these read came with the studio, or is told by the system; the first is the door itself.
READ_THEIR_OWN = (
    "ganlib/base/filesystem.py", "ganlib/compute/device.py", "ganlib/nft/metadata.py", "pages/_ui/components/mount.py",
)  # fmt: skip
READERS = ("torch.load", "np.load", "np.memmap", "np.fromfile", "zipfile.ZipFile", "Image.open", "io.open", "open")
READERS_BY_NAME = ("safe_open", "load_file", "connect", "copyfile")  # libraries that open a path by themselves


def test_files_are_read_through_one_door():
    """A path may lead to a device or a pipe: whoever reads a file calls `ganlib.base.filesystem`, and libraries are
    handed what it opened. ffmpeg is given files by `input_of`, which looks at them; `muxing` and others name their
    own."""
    wrong = []
    for path in SHIPPED:
        if str(path.relative_to(REPOSITORY)) in READ_THEIR_OWN or path.is_relative_to(REPOSITORY / "benchmarks"):
            continue
        functions = [node for node in nodes_of(path) if isinstance(node, ast.FunctionDef)]
        checking = {
            inner
            for function in functions
            if any(isinstance(node, ast.Name) and node.id == "check_regular" for node in ast.walk(function))
            for inner in ast.walk(function)
        }
        for node in nodes_of(path):
            if isinstance(node, ast.Attribute) and node.attr in ("read_bytes", "read_text"):
                wrong.append(f"{here(path, node)}: {ast.unparse(node)}")
            if not isinstance(node, ast.Call) or node in checking:
                continue
            called, first = ast.unparse(node.func), ast.unparse(node.args[0]) if node.args else "''"
            modes = {first, *(ast.unparse(argument) for argument in node.args[1:2])}
            is_reading = not modes & {"'w'", "'wb'", "'a'", "'ab'", "'ab+'", "'r+b'", "'rb+'", "'x'"}
            if called in READERS:
                is_wrong = is_reading and first not in ("stream", "file") and "BytesIO(" not in first
            elif called.endswith(".open"):
                is_wrong = first in ("'r'", "'rb'", "'rt'", "''")
            else:
                is_wrong = called.rpartition(".")[2] in READERS_BY_NAME
            wrong += [f"{here(path, node)}: {called}({first})"] if is_wrong else []
    assert wrong == []


def test_nobody_outside_networks_asks_for_an_architecture_by_name():
    wrong = []
    for path in SHIPPED:
        if path.is_relative_to(REPOSITORY / "ganlib" / "networks"):
            continue
        for node in nodes_of(path):
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
                if any(isinstance(side, ast.Attribute) and side.attr == "arch" for side in sides):
                    wrong.append(here(path, node))
    assert wrong == []


def test_files_are_short_and_none_is_a_drawer():
    long = {here(path): count for path in ALL if (count := len(path.read_text("utf-8").splitlines())) > 500}
    assert long == {}
    assert [here(path) for path in ALL if path.stem in ("utils", "helpers", "common", "misc")] == []


def test_importing_does_nothing(tmp_path):
    """No file, no output, no device, and nothing that takes as long as torch and is seldom called: every module is
    imported in an empty folder that is also the home."""
    names = [".".join(path.relative_to(REPOSITORY).with_suffix("").parts) for path in GANLIB]
    names = [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]
    script = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\n"
    script += "torch = sys.modules.get('torch')\nassert torch is None or not torch.cuda.is_initialized()\n"
    script += "assert not {'sklearn', 'scipy.stats'} & set(sys.modules)\n"
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(
        [sys.executable, "-c", script, *names],
        cwd=tmp_path,
        env=os.environ | home | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert list(tmp_path.rglob("*")) == []


def test_no_page_uses_streamlits_block_of_code():
    """It loads 1.6 MB of script, more than a third of all, for its colours: every browser that opens a page pays."""
    called = [
        here(path, node)
        for path in ROOF
        for node in nodes_of(path)
        if isinstance(node, ast.Attribute) and node.attr == "code" and ast.unparse(node.value) == "st"
    ]
    assert called == []
