"""The parameters that each page reads from its address, derived from the code: a new one is known without being listed.

Every mapping with an address's parameters is called `query`, or is `st.query_params`. What a page reads is what the
functions that it can reach read of such a mapping.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = tuple(sorted(path.stem for path in (REPOSITORY / "pages").glob("[a-z]*.py")))
Function = ast.FunctionDef | ast.AsyncFunctionDef
Scope = Function | ast.Module


class UnknownKeyError(AssertionError):
    """A parameter is read by a name that cannot be derived; teach `_Reader.texts` how it is written."""


@dataclass(frozen=True, eq=False)
class _File:
    """One module: where its constants can be looked up, and whose it is."""

    path: Path
    tree: ast.Module
    parents: dict[ast.AST, ast.AST]

    def scope_of(self, node: ast.AST) -> Scope:
        while not isinstance(node := self.parents[node], Scope):
            pass
        return node


@cache
def parameters(page: str) -> tuple[str, ...]:
    """The names of the parameters that `page` reads, sorted. Raises UnknownKeyError."""
    reader = _Reader(page)
    found = {text for file, scope in reader.reached for text in reader.read_in(file, scope)}
    return tuple(sorted(found))


class _Reader:
    """What one page can reach: its own code, and every function or class whose name is spoken in what it reaches."""

    def __init__(self, page: str) -> None:
        start = _parsed(REPOSITORY / "pages" / f"{page}.py")
        self.files = _with_imports(start)
        self.reached: list[tuple[_File, Scope]] = [(start, start.tree)]
        self.reached += [(file, file.tree) for file in self.files[1:]]
        functions = [(file, function) for file in self.files for function in _functions(file)]
        names: set[str] = set()
        before = -1
        while len(self.reached) > before:
            before = len(self.reached)
            # What a module that is imported merely defines is not yet called.
            names.update(*(_spoken(*each) for each in self.reached if each[1] is start.tree or each[1] != each[0].tree))
            self.reached += [each for each in functions if each[1].name in names and self._name(*each) & names]
            functions = [each for each in functions if not self._name(*each) & names]

    def _name(self, file: _File, function: Function) -> set[str]:
        """How it may be called: of a class method also by the class; a special one by the class alone."""
        parent = file.parents[function]
        if not isinstance(parent, ast.ClassDef):
            return {function.name}
        if function.name.startswith("__"):
            return {parent.name}
        is_of_class = any(ast.unparse(each) == "classmethod" for each in function.decorator_list)
        return {f"{parent.name}.{function.name}"} if is_of_class else {f".{function.name}"}

    def read_in(self, file: _File, scope: Scope) -> Iterator[str]:
        """The parameters that are read in one function, or by a module outside its functions."""
        for node in _own(scope):
            match node:
                case ast.Call(func=ast.Attribute(value=query, attr="get" | "pop"), args=[key, *_]) if _is_query(query):
                    yield from self.texts(file, key)
                case ast.Subscript(value=query, slice=key, ctx=ast.Load()) if _is_query(query):
                    yield from self.texts(file, key)
                case ast.Compare(left=key, ops=[ast.In() | ast.NotIn()], comparators=[query]) if _is_query(query):
                    yield from self.texts(file, key)
                case ast.Call(func=ast.Name(id="arrived"), args=[_, *keys]):
                    for key in keys:
                        is_many = isinstance(key, ast.Starred)
                        yield from self.items(file, key.value) if is_many else self.texts(file, key)
                case ast.For(iter=ast.Call(func=ast.Attribute(value=query, attr="items"))) if _is_query(query):
                    yield from self._known_in(file, node)
                case ast.Assign(targets=[target], value=value) | ast.NamedExpr(target=target, value=value):
                    is_address = isinstance(value, ast.Call) and ast.unparse(value.func) in ("place.arrive", "arrived")
                    if is_address and ast.unparse(target) != "query":
                        raise UnknownKeyError(f"{file.path}:{node.lineno}: name it query")
                case _:
                    pass

    def _known_in(self, file: _File, loop: ast.For) -> Iterator[str]:
        """Of `for name, text in query.items()`: what `name` is compared with."""
        name = ast.unparse(loop.target.elts[0]) if isinstance(loop.target, ast.Tuple) else ""
        for node in ast.walk(loop):
            if isinstance(node, ast.Compare) and ast.unparse(node.left) == name:
                yield from self.items(file, node.comparators[0])

    def texts(self, file: _File, key: ast.expr) -> list[str]:
        """The texts that an expression can be."""
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            return [key.value]
        if isinstance(key, ast.Name):
            found = self._texts_of_name(file, key)
            if found is not None:
                return found
        raise UnknownKeyError(f"{file.path.relative_to(REPOSITORY)}:{key.lineno}: {ast.unparse(key)}")

    def _texts_of_name(self, file: _File, key: ast.Name) -> list[str] | None:
        """Of a name that a loop or a caller gives; None for another."""
        node: ast.AST = key
        while not isinstance(node, ast.Module):
            node = file.parents[node]
            loops = [node] if isinstance(node, ast.For) else getattr(node, "generators", [])
            for loop in loops:
                first = loop.target.elts[0] if isinstance(loop.target, ast.Tuple) else loop.target
                if ast.unparse(first) == key.id:
                    is_rows = first is not loop.target and isinstance(loop.iter, ast.Tuple | ast.List)
                    columns = [row.elts[0] for row in loop.iter.elts] if is_rows else []
                    return [t for each in columns for t in self.texts(file, each)] or self.items(file, loop.iter)
            if isinstance(node, Function) and key.id in (names := [each.arg for each in node.args.args]):
                calls = self._arguments(file, node, names.index(key.id), key.id)
                return [text for caller, given in calls for text in self.texts(caller, given)]
        return None

    def _arguments(self, own: _File, function: Function, place: int, name: str) -> Iterator[tuple[_File, ast.expr]]:
        """What is given for one argument wherever a function of this name is called."""
        called = {function.name, f"{own.path.stem}.{function.name}"}
        is_inner = not isinstance(own.parents[function], ast.Module)
        for file in [own] if is_inner else self.files:
            for node in _nodes(file):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in called:
                    if len(node.args) > place:
                        yield file, node.args[place]
                    yield from ((file, each.value) for each in node.keywords if each.arg == name)

    def items(self, file: _File, many: ast.expr) -> list[str]:
        """The texts in a collection: written there, in its function, in its module, or given by its callers."""
        match many:
            case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
                return [text for element in elements for text in self.texts(file, element)]
            case ast.Dict(keys=keys):
                return [text for key in keys if key is not None for text in self.texts(file, key)]
            case ast.BinOp(left=left, op=ast.BitAnd()):  # legal.keys() & query.keys()
                return self.items(file, left)
            case ast.Call(func=ast.Attribute(value=value, attr="keys" | "items")):
                return self.items(file, value)
            case ast.Attribute(value=ast.Name(id="self"), attr=attribute):
                given = [(each, word.value) for each in self.files for node in _nodes(each)
                         if isinstance(node, ast.Call) for word in node.keywords if word.arg == attribute]  # fmt: skip
                return [text for each, value in given for text in self.items(each, value)]
            case ast.Name(id=name):
                scope = file.scope_of(many)
                names = [each.arg for each in scope.args.args] if isinstance(scope, Function) else []
                if name in names:
                    found = self._arguments(file, scope, names.index(name), name)  # type: ignore[arg-type]
                    return [text for caller, given in found for text in self.items(caller, given)]
                for node in ast.walk(scope):
                    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
                    if isinstance(node, ast.Assign | ast.AnnAssign) and ast.unparse(targets[0] or many) == name:
                        return self.items(file, node.value or many)
                return list(map(str, getattr(importlib.import_module(_dotted(file.path)), name)))
        raise UnknownKeyError(f"{file.path.relative_to(REPOSITORY)}:{many.lineno}: {ast.unparse(many)}")


def _is_query(node: ast.expr) -> bool:
    return ast.unparse(node) in ("query", "st.query_params")


def _own(scope: Scope) -> Iterator[ast.AST]:
    """The nodes of a scope without those of the functions in it."""
    todo = list(ast.iter_child_nodes(scope))
    while todo:
        node = todo.pop()
        yield node
        todo += [] if isinstance(node, Function) else list(ast.iter_child_nodes(node))


@cache
def _spoken(file: _File, scope: Scope) -> frozenset[str]:
    """The names in a scope: of functions, of attributes with their dot, and both together."""
    names: set[str] = set()
    for node in _own(scope):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Attribute):
            names |= {f".{node.attr}", node.attr}
            if isinstance(node.value, ast.Name):
                names.add(f"{node.value.id}.{node.attr}")
    return frozenset(names)


@cache
def _nodes(file: _File) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(file.tree))


@cache
def _functions(file: _File) -> tuple[Function, ...]:
    return tuple(node for node in _nodes(file) if isinstance(node, Function))


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def _parsed(path: Path) -> _File:
    tree = ast.parse(_text(path))
    return _File(path, tree, {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)})


def _with_imports(start: _File) -> list[_File]:
    """A file, and all of the project's that it imports, also through others."""
    found = {start.path: start}
    todo = [start]
    while todo:
        for node in ast.walk(todo.pop().tree):
            names = [each.name for each in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            base = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            for path in filter(None, (_path_of(base + name) for name in names)):
                # Of the library, what has to do with addresses.
                if path not in found and ("pages" in path.parts or "query" in _text(path)):
                    found[path] = _parsed(path)
                    todo.append(found[path])
    return list(found.values())


def _path_of(dotted: str) -> Path | None:
    """The file of a module of the project, or of a name in it."""
    parts = dotted.split(".")
    if parts[0] not in ("pages", "ganlib"):
        return None
    for base in (REPOSITORY.joinpath(*parts), REPOSITORY.joinpath(*parts[:-1])):
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.is_file():
                return path
    return None


def _dotted(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
