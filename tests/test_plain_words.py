"""Words that come from outside are plain: a model's title with Markdown in it draws no picture from another host."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

# What Streamlit reads as Markdown: the places and keywords of each call; `help` is Markdown everywhere.
BODY, LABEL, OPTIONS, WORDS = {0, "body"}, {0, "label"}, {0, 1, "label", "options", "format_func"}, {0, "text"}
READS: dict[str, set[int | str]] = {
    **dict.fromkeys(("markdown", "caption", "write", "title", "header", "subheader"), BODY),
    **dict.fromkeys(("error", "warning", "info", "success", "toast"), BODY),
    **dict.fromkeys(("button", "form_submit_button", "download_button", "link_button", "page_link", "checkbox"), LABEL),
    **dict.fromkeys(("toggle", "selectbox", "multiselect", "slider", "text_input", "number_input", "text_area"), LABEL),
    **dict.fromkeys(("file_uploader", "color_picker", "expander", "popover", "status", "badge"), LABEL),
    **dict.fromkeys(("radio", "segmented_control", "pills", "select_slider", "tabs"), OPTIONS),
    "metric": {0, 1, 2, "label", "value", "delta"},
    "spinner": WORDS,
    "progress": {1, "text"},
    "image": {1, "caption"},
}
ESCAPING = {"plain", "sentences", "told"}
STATED = {"facts_of"}  # what an option states of itself, in the library
# Parameters of these names are words of the house; whoever calls escapes what it puts in.
OURS = {"label", "help", "sentence", "button"}
# What these give holds what they are given; of `get`, the key does not count.
PASSING = {"join", "get", "list", "tuple", "str", "filter", "items", "values", "enumerate", "zip", "fromkeys", "strip"}
NUMBERS = {"len", "round", "int", "float", "sum", "min", "max", "format_seconds", "range"}


class Page:
    """One file of the roof, and which of its expressions hold nothing that came from outside."""

    def __init__(self, source: str, others: Sequence[Page] = ()) -> None:
        self.others = others
        self.tree = ast.parse(source)
        self.functions = {node.name: node for node in self.tree.body if isinstance(node, ast.FunctionDef)}
        self.asked: set[str] = set()  # a name that leads back to itself is judged by what else it stands for

    def unsafe(self) -> Iterator[tuple[int, str]]:
        """(line, expression) of what a call of Streamlit would read as Markdown, though it may come from outside."""
        for scope in (*(n for n in ast.walk(self.tree) if isinstance(n, ast.FunctionDef)), self.tree):
            for node in _own(scope):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    for words in self._read(node, node.func.attr):
                        if not self.is_safe(words, scope):
                            yield words.lineno, ast.unparse(words)

    @staticmethod
    def _read(call: ast.Call, name: str) -> Iterator[ast.expr]:
        places = READS.get(name, set())
        if name == "write" and ast.unparse(call.func) != "st.write":
            return
        keywords = {word.arg: word.value for word in call.keywords}
        if "format_func" in places & keywords.keys():  # the options are read through it
            places = places - {1, "options"}
        yield from (words for place, words in enumerate(call.args) if place in places)
        yield from (words for name, words in keywords.items() if name in places or name == "help")

    def is_safe(self, words: ast.expr, scope: ast.AST) -> bool:
        def safe(part: ast.expr) -> bool:
            return self.is_safe(part, scope)

        match words:
            case ast.Constant() | ast.Compare():
                return True
            case ast.JoinedStr():
                return all(map(safe, words.values))
            case ast.FormattedValue():  # with a format such as `:,` or `:.1f` it is a number
                return words.format_spec is not None or safe(words.value)
            case ast.BinOp():
                return safe(words.left) and safe(words.right)
            case ast.BoolOp():
                return all(map(safe, words.values))
            case ast.IfExp():
                return safe(words.body) and safe(words.orelse)
            case ast.List() | ast.Tuple() | ast.Set():
                return all(map(safe, words.elts))
            case ast.Dict():
                return all(map(safe, words.values))
            case ast.Starred():
                return safe(words.value)
            case ast.Lambda():
                return safe(words.body)
            case ast.Attribute():
                return words.attr.isupper() or safe(words.value)
            case ast.DictComp():
                return safe(words.key) and safe(words.value)
            case ast.Subscript():
                return safe(words.value)
            case ast.ListComp() | ast.GeneratorExp():
                return safe(words.elt)
            case ast.Call():
                return self._is_safe_call(words, scope)
            case ast.Name():
                return words.id in ESCAPING or words.id[:1].isupper() or self._is_safe_name(words.id, scope)
        return False

    def _is_safe_call(self, call: ast.Call, scope: ast.AST) -> bool:
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
        if name in ESCAPING or name in NUMBERS or name in STATED:
            return True
        if name in PASSING:
            owner = [call.func.value] if isinstance(call.func, ast.Attribute) else []
            return all(self.is_safe(part, scope) for part in (*owner, *call.args[name == "get" :]))
        if name in self.functions:
            return self.gives_safe(name)
        return any(name in page.functions and page.gives_safe(name) for page in self.others)

    def gives_safe(self, name: str) -> bool:
        """Whether all that a function of this file returns is safe."""
        if name in self.asked:
            return True
        self.asked.add(name)
        function = self.functions[name]
        returns = [node.value for node in _own(function) if isinstance(node, ast.Return) and node.value]
        result = bool(returns) and all(self.is_safe(value, function) for value in returns)
        self.asked.discard(name)
        return result

    def _is_safe_name(self, name: str, scope: ast.AST) -> bool:
        """Whether all that is ever put under a name is safe; parameters and loops are not."""
        if isinstance(scope, ast.FunctionDef) and name in OURS & {arg.arg for arg in _parameters(scope)}:
            return True
        values: list[ast.expr] = []
        for node in _own(scope):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            bound = {part.id for target in targets if target for part in ast.walk(target) if isinstance(part, ast.Name)}
            if name not in bound:
                continue
            value = getattr(node, "value", getattr(node, "iter", None))  # of a loop, what it goes through
            if not isinstance(value, ast.expr):
                return False
            values.append(value)
        key = f"{name} in {getattr(scope, 'name', '')}"
        if key in self.asked:
            return True
        self.asked.add(key)
        result = bool(values) and all(self.is_safe(value, scope) for value in values)
        self.asked.discard(key)
        return result


def _parameters(function: ast.FunctionDef) -> list[ast.arg]:
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function or a file without those of the functions in it."""
    for child in ast.iter_child_nodes(scope):
        yield child
        if not isinstance(child, ast.FunctionDef):
            yield from _own(child)


PAGES = {path: Page(path.read_text()) for path in sorted((REPOSITORY / "pages").rglob("*.py"))}
for page in PAGES.values():
    page.others = [other for other in PAGES.values() if other is not page]


def test_what_streamlit_reads_as_markdown_is_plain_or_our_own():
    wrong = []
    for path, page in PAGES.items():
        wrong += [f"{path.relative_to(REPOSITORY)}:{line}: {words}" for line, words in page.unsafe()]
    assert wrong == []


def test_only_the_frame_writes_html():
    with_html = [path.name for path in PAGES if "st.html(" in path.read_text() or "unsafe_allow" in path.read_text()]
    assert with_html == ["frame.py"]


@pytest.mark.parametrize(
    ("source", "is_safe"),
    [
        ("st.caption(f'{model.title}')", False),
        ("st.caption(model.title)", False),
        ("st.caption(plain(model.title))", True),
        ("st.caption(f'**{plain(a)}** {count:,} of {total:d}')", True),
        ("st.button('x', help=path)", False),
        ("st.selectbox('Model', names)", True),  # its options are text
        ("st.segmented_control('Model', names)", False),
        ("st.pills('Model', names, format_func=lambda name: plain(name))", True),
        ("words = 'a' if x else 'b'\nst.error(words)", True),
        ("words = 'a'\nwords += run.name\nst.error(words)", False),
        ("for name in run.names:\n    row.markdown(name)", False),
        ("for name, x in (('a', 1), ('b', 2)):\n    row.markdown(name)", True),
        ("def f(run):\n    return run.name\nst.markdown(f(run))", False),
        ("def f(run):\n    return plain(run.name)\nst.markdown(f(run))", True),
    ],
)
def test_the_check_itself_sees_what_is_not_plain(source, is_safe):
    assert (list(Page(source).unsafe()) == []) is is_safe


def test_words_that_turn_writing_round_are_left_out():
    from pages._ui.common.frame import plain

    assert "\u202e" not in plain("a\u202egnp.exe") and plain("a\u202eb") == "ab"


def test_a_name_in_two_lines_is_one():
    from pages._ui.common.frame import plain

    assert plain("Head\n===\r\nx") == "Head \\=\\=\\= x"
