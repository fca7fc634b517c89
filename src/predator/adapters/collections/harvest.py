"""Docstrings read from source files. Nothing is imported: importing has side effects."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import os
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from predator.domain.errors import InputError

STDLIB = "stdlib"

_TRIALS = {"tests", "test", "testing", "conftest", "idlelib", "lib2to3", "turtledemo"}
_FOREIGN = {"site-packages", "dist-packages", "ensurepip", "pip", "_vendor", "externals"}
_FOREIGN_PARTS = {"_external", "array_api_compat", "array_api_extra", "cobyqa", "pyprima"}
_SKIPPED = _TRIALS | _FOREIGN | _FOREIGN_PARTS | {"__pycache__"}
_DOCUMENTED_BY_CALL = {"add_newdoc", "_add_newdoc", "add_docstring"}


@dataclass(frozen=True, slots=True)
class Source:
    """One Python file of a package: its path, the module it defines, its size in bytes."""

    package: str
    path: Path
    module: str
    size: int


def find_sources(package: str, cure: str) -> list[Source]:
    """The Python files of an installed ``package`` (or ``"stdlib"``), in order of module path.

    Raises ``InputError`` with ``cure`` where it is not installed.
    """
    prefix = () if package == STDLIB else (package,)
    root = _package_folder(package, cure) if prefix else Path(sysconfig.get_path("stdlib"))
    sources: list[Source] = []
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if _is_module(name))
        parts = (*prefix, *Path(folder).relative_to(root).parts)
        for file in sorted(files):
            path, stem = Path(folder, file), file.removesuffix(".py")
            if stem == file or not _is_module(stem) or not path.is_file():
                continue
            module = ".".join(parts if stem == "__init__" else (*parts, stem))
            if module:
                sources.append(Source(package, path, module, path.stat().st_size))
    if not sources:
        raise InputError(f"{package} is installed without its Python sources", cure=cure)
    return sources


def _package_folder(package: str, cure: str) -> Path:
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    for location in (spec and spec.submodule_search_locations) or ():
        if Path(location).is_dir():
            return Path(location)
    raise InputError(f"the package {package} is not installed", cure=cure)


def _is_module(name: str) -> bool:
    return name.isidentifier() and name not in _SKIPPED and not name.startswith("test_")


def read_docstrings(source: Source) -> Iterator[tuple[str, str]]:
    """Qualified names and cleaned docstrings of a file: module, classes, functions, and what
    numpy's and scipy's ``add_newdoc`` calls say about C functions. Nothing where it is not
    Python of this version."""
    try:
        data = source.path.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's files
            tree = ast.parse(data)
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    yield from _of_definitions(source.module, tree)
    if b"add_newdoc" in data or b"add_docstring" in data:
        yield from _of_calls(source.module, tree)


def _of_definitions(
    name: str, node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
) -> Iterator[tuple[str, str]]:
    if docstring := ast.get_docstring(node):
        yield name, docstring
    if isinstance(node, ast.Module | ast.ClassDef):
        for child in node.body:
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield from _of_definitions(f"{name}.{child.name}", child)


def _of_calls(module: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        if node.func.id not in _DOCUMENTED_BY_CALL:
            continue
        try:
            arguments = [ast.literal_eval(argument) for argument in node.args]
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            continue  # a docstring built at run time
        match arguments:
            case [str(name), str(docstring)]:
                found = [(f"{module.rpartition('.')[0]}.{name}", docstring)]
            case [str(place), str(name), str(docstring), *_]:
                found = [(f"{place}.{name}", docstring)]
            case [str(place), str(name), (str(attribute), str(docstring)), *_]:
                found = [(f"{place}.{name}.{attribute}", docstring)]
            case [str(place), str(name), [*members], *_]:
                found = [
                    (f"{place}.{name}.{member[0]}", member[1])
                    for member in members
                    if isinstance(member, tuple) and [type(part) for part in member] == [str, str]
                ]
            case _:
                continue
        for name, docstring in found:
            yield name, inspect.cleandoc(docstring)
