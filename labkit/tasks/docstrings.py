"""The embedded text: English prose from the docstrings of installed packages, with no download.

Every Python environment holds megabytes of careful technical English. It is read statically: `ast` parses
each source file, nothing is imported or run. A document is one source file: the docstrings of its module,
classes and functions in order, of which only paragraphs of prose are kept (no doctests, code, signatures,
tables or headings).

Parsing is most of the cost: about 8 MB of source a second on one core. Two things make it that quick: the
garbage collector is off while the trees are built (it would look through millions of live nodes, again and
again: six times slower), and only bodies of modules, classes and functions are visited, never expressions.
Files are spread over processes, and come back in order: the result depends on the packages alone.
"""

from __future__ import annotations

import ast
import gc
import importlib.metadata
import importlib.util
import inspect
import os
import platform
import re
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from tqdm import tqdm  # not tqdm.auto, which scolds notebooks that have no ipywidgets

from labkit.profile import LabError
from labkit.tasks.documents import Document
from labkit.tasks.workers import process_map

STDLIB = "stdlib"
# Folders whose docstrings say little, or belong to somebody else.
SKIPPED_FOLDERS = frozenset(
    (
        "test",
        "tests",
        "_tests",
        "testing",
        "idlelib",
        "lib2to3",
        "turtledemo",
        "site-packages",
        "dist-packages",
    )
)
# What numpy and torch call to give a docstring to a function written in C.
ADDERS = frozenset(("add_newdoc", "add_docstr", "add_docstr_all"))
FILES_A_TASK = 16

# How lines of a docstring are told apart.
_FENCE = re.compile(r"^\s*(```|~~~)")
_RULE = re.compile(r"^\s*([-=~^*#+_.])\1{2,}\s*$")  # under a heading, around a table
_TYPED = re.compile(r"^\s*\*{0,2}\w[\w.*]*(?:, ?\*{0,2}\w[\w.*]*)* : ")  # "a, b : array_like"
_PARAMETER = re.compile(r"^\s*\*{0,2}[a-z_][\w.]*(?: \([^()]*\))?:(?:\s+(?=[A-Z])|\s*$)")  # "seed (`int`): The …"
_ITEM = re.compile(r"^\s*([-*+•]|\(?\d{1,2}[.)]|:\w[^:]*:|@\w+|\.\.)\s")
_WORD = re.compile(r"[A-Za-z][a-z]+")
_WRAPPED = 50  # a line at least this long (indentation included) was broken by the margin, not by its author


def source_files(package: str) -> list[tuple[str, Path]]:
    """(document name, path) of the package's source files, sorted; found without importing it.

    `stdlib` is the standard library; anything else the import name of an installed top-level package or
    module. Raises `LabError` if it isn't installed.
    """
    if package == STDLIB:
        root = Path(sysconfig.get_path("stdlib"))
    else:
        spec = importlib.util.find_spec(package) if package.isidentifier() else None
        if spec is None or not (spec.submodule_search_locations or spec.origin):
            raise LabError(
                f"the embedded text needs the package {package!r}, which is not installed: "
                "install the course's requirements again, or take another profile"
            )
        if not spec.submodule_search_locations:
            return [(f"{package}.py", Path(spec.origin))]
        root = Path(next(iter(spec.submodule_search_locations)))
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(set(folders) - SKIPPED_FOLDERS)
        paths = (Path(folder, file) for file in files if file.endswith(".py"))
        found += [(f"{package}/{path.relative_to(root).as_posix()}", path) for path in paths]
    return sorted(found)


def version(package: str) -> str:
    """What tells one state of the package from another: its version, else a hash of its sources."""
    if package == STDLIB:
        return platform.python_version()
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return sha256(b"".join(path.read_bytes() for _, path in source_files(package))).hexdigest()[:12]


def harvest(packages: Iterable[str], nproc: int = 1) -> list[Document]:
    """One document a source file of these packages, with its paragraphs of prose (often none), in order.

    The result does not depend on `nproc`. Raises `LabError` if a package isn't installed.
    """
    files = [file for package in packages for file in source_files(package)]
    tasks = [files[i : i + FILES_A_TASK] for i in range(0, len(files), FILES_A_TASK)]
    documents: list[Document] = []
    with (
        process_map(nproc) as run,
        tqdm(total=len(files), desc="reading docstrings", unit="file", leave=False) as bar,
    ):
        for found in run(_read, tasks):
            documents += found
            bar.update(len(found))
    return documents


def _read(files: list[tuple[str, Path]]) -> list[Document]:
    collecting = gc.isenabled()
    gc.disable()
    try:
        return [
            Document(name, [text for doc in docstrings(path.read_bytes()) for text in prose(doc)])
            for name, path in files
        ]
    finally:
        if collecting:
            gc.enable()


def docstrings(source: bytes) -> list[str]:
    """The docstrings of a source file: its module's, then those of classes and functions in order.

    A file that doesn't parse (a template, another version's syntax) has none.
    """
    if source.count(b'"""') + source.count(b"'''") < 2:
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's strings
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return list(_docstrings(tree))


def _docstrings(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    if doc := ast.get_docstring(node, clean=False):
        yield doc
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _docstrings(child)
        elif isinstance(child, ast.Expr) and isinstance(child.value, ast.Call):
            if getattr(child.value.func, "id", getattr(child.value.func, "attr", "")) in ADDERS:
                yield max(_strings(child.value), key=len, default="")


def _strings(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def prose(docstring: str) -> list[str]:
    """The paragraphs of prose in a docstring, each on one line.

    A description under a parameter's name is a paragraph of its own; the name and its type are not prose.

    >>> prose('''Sort the rows by their first column, and return nothing.
    ...
    ...     Parameters
    ...     ----------
    ...     rows : list of tuple
    ...         The rows, which are sorted in place. Rows that are
    ...         equal keep their order.
    ...
    ...     >>> sort([(2,), (1,)])
    ...     ''')
    ['Sort the rows by their first column, and return nothing.', 'The rows, which are sorted in place. Rows that are equal keep their order.']
    """  # noqa: E501
    blocks = (" ".join(block) for block in _blocks(inspect.cleandoc(docstring).splitlines()))
    return [text for block in blocks if is_prose(text := " ".join(block.split()))]


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """Lines that belong together: broken by a margin, not by a blank line, a list or indentation."""
    block: list[str] = []
    fenced = doctest = False
    last, last_indent = "", 0
    for line in [*lines, ""]:
        if _FENCE.match(line):
            fenced = not fenced
            line = ""
        elif _RULE.match(line) or _TYPED.match(line):
            line = ""
        parameter = _PARAMETER.match(line)
        text = line[parameter.end() :].strip() if parameter else line.strip()
        doctest = bool(text) and (doctest or text.startswith((">>>", "In [")))  # up to the next blank line
        if fenced or doctest:
            text = ""
        indent = len(line) - len(line.lstrip())
        apart = (
            not text
            or parameter
            or _ITEM.match(line)
            or indent < last_indent
            or (indent > last_indent and len(last) < _WRAPPED)
        )
        if apart and block:
            yield block
            block = []
        if text:
            block.append(text)
        last, last_indent = line, indent


def is_prose(text: str) -> bool:
    """Whether a paragraph reads like English: five words or more, mostly letters."""
    if len(text) < 30 or len(_WORD.findall(text)) < 5:
        return False
    letters = sum(map(str.isalpha, text)) + text.count(" ")
    return letters >= 0.8 * len(text)
