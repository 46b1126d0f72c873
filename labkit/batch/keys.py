"""Is the result that lies there still the result of this notebook? A key over everything it was made from.

The key hashes what can change a result: code cells and tags (not markdown, not outputs), parameters, every
labkit file (and benchmark) the notebook imports directly or through others, the files of `data/` that these name, the
keys of the notebooks it needs, and the versions of the packages that compute. These are kept beside it, so that a run
can say *why* it runs.

The price: comments and docstrings of labkit count as code (notebooks show them with `inspect.getsource`), and a module
imported under a name made at run time, or a file that nothing names as `ROOT / "data" / "claims.yaml"`, is not seen.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from labkit.batch.plan import Notebook
from labkit.profile import ROOT
from labkit.report import provenance

PACKAGES = ("labkit", "benchmarks")  # whose files count
Ingredients = dict[str, dict[str, object]]


def ingredients(notebook: Notebook, parameters: Mapping[str, object], needs: Mapping[str, str]) -> Ingredients:
    """Everything its result depends on; `needs` holds the keys of the notebooks it needs, by id."""
    code = [cell for cell in notebook.cells if cell.kind == "code"]
    return {
        "cells": {"code": _digest([(cell.source, sorted(cell.tags)) for cell in code])},
        "parameter": dict(parameters),
        "file": {name: _file_digest(ROOT / name) for name in closure((cell.source for cell in code), ROOT)},
        "needs": dict(needs),
        "version": versions(),
    }


def key(parts: Ingredients) -> str:
    """One hash over all ingredients."""
    return _digest(parts)


def changes(old: Ingredients, new: Ingredients) -> dict[tuple[str, str], str]:
    """Why a result made from `old` is not one of `new`: a sentence for each (kind, name) that differs."""
    said = {}
    for kind, now in new.items():
        before = old.get(kind, {})
        for name in sorted(before.keys() | now.keys()):
            if before.get(name) != now.get(name):
                said[kind, name] = _sentence(kind, name, before.get(name), now.get(name))
    return said


def _sentence(kind: str, name: str, before: object, now: object) -> str:
    match kind:
        case "cells":
            return "its code cells changed"
        case "file":
            return f"{name} changed" if before and now else f"{name} {'is' if now else 'is no longer'} imported"
        case "needs":
            return f"needs {name.split('_')[0]}, whose result changed"
        case "version":
            return f"{name} {before} → {now}"
    return f"parameter {name} {before!r} → {now!r}"


@functools.cache
def versions() -> dict[str, object]:
    """Python's version and those of the packages that compute results (None where one is missing)."""
    return {**provenance.versions(), "papermill": provenance.version("papermill")}


def closure(code: Iterable[str], root: Path) -> list[str]:
    """The labkit files, relative to `root`, that code cells import directly or through one another, and their data."""
    waiting = {path for source in code for name in _names_in_cell(source) for path in _files(name, root)}
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        found.add(path)
        waiting |= {p for name in _names_in_file(path, root) for p in _files(name, root)} - found
    found |= {p for path in found for p in _data_in_file(path, root)}
    return sorted(path.relative_to(root).as_posix() for path in found)


def _files(name: str, root: Path) -> set[Path]:
    """What importing `labkit.a.b` reads: the packages' `__init__.py` on the way, and the module itself."""
    parts = name.split(".")
    if parts[0] not in PACKAGES or not all(part.isidentifier() for part in parts):
        return set()
    stems = [root.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1)]
    return {p for stem in stems for p in (stem / "__init__.py", stem.with_suffix(".py")) if p.is_file()}


def _names_in_cell(source: str) -> set[str]:
    """Names of modules a cell may import; lines for IPython or a shell are searched for anything like one."""
    lines = source.splitlines()
    magic = [line for line in lines if line.lstrip().startswith(("%", "!"))]
    python = ["pass" if line.startswith(("%", "!")) else line for line in lines]
    try:
        names = set(_names(ast.parse("\n".join(python)), package=""))
    except SyntaxError:
        magic, names = lines, set()
    return names | set(re.findall(r"\blabkit(?:\.\w+)+", "\n".join(magic)))


@functools.cache
def _names_in_file(path: Path, root: Path) -> frozenset[str]:
    package = ".".join(path.relative_to(root).parent.parts)
    try:
        return frozenset(_names(ast.parse(path.read_bytes()), package))
    except SyntaxError:  # the notebook that imports it says so better
        return frozenset()


@functools.cache
def _data_in_file(path: Path, root: Path) -> frozenset[Path]:
    """The files kept with the code that it names; not folders, such as the cache."""
    names = re.findall(r'ROOT / "data" / "([\w.-]+)"', path.read_text(encoding="utf-8"))
    return frozenset(p for name in names if (p := root / "data" / name).is_file())


def _names(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = importlib.util.resolve_name("." * level + (module or ""), package) if level else module
                yield base
                yield from (f"{base}.{alias.name}" for alias in names)
            case ast.Constant(value=str(text)) if text.startswith("labkit."):
                yield text  # launch("labkit.training.pretrain") runs a module by its name


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@functools.cache
def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
