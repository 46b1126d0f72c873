"""Nothing that comes from outside is run: no call in the library, the benchmarks or a notebook would do it."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.profile import ROOT

# Calls that run what they read, or a text as a command, however they are called.
NEVER = {
    "eval", "exec", "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "tempfile.mktemp",
    "marshal.load", "marshal.loads", "shelve.open", "joblib.load", "pandas.read_pickle", "torch.hub.load",
    "yaml.unsafe_load", "yaml.full_load", "yaml.unsafe_load_all", "yaml.full_load_all", "shutil.unpack_archive",
    *(f"{pickler}.{name}" for pickler in ("pickle", "dill", "cloudpickle") for name in ("load", "loads", "Unpickler")),
}  # fmt: skip
# Of any call: the argument, and the only value it may have.
ONLY = {"trust_remote_code": False, "allow_pickle": False, "shell": False, "verify": True}
# Of some calls: an argument that has to be there, with one of these values.
NEEDED = {
    "torch.load": ("weights_only", {"True"}),
    "yaml.load": ("Loader", {"yaml.SafeLoader", "yaml.CSafeLoader"}),
    "yaml.load_all": ("Loader", {"yaml.SafeLoader", "yaml.CSafeLoader"}),
    "jinja2.Environment": ("autoescape", {"True"}),
    # Without it these ask the reader whether a repository's code is to be run, and 15 seconds later they give up.
    "Auto*.from_pretrained": ("trust_remote_code", {"False"}),
}
JUSTIFIED = {
    ("labkit/exercises/grading/worker.py", "exec"): 2,  # students' code, in a sandbox
}


def dangers(source: str) -> Iterator[str]:
    """The calls in `source` that may run, or unpack to anywhere, what they are given."""
    tree = ast.parse(source)
    names = dict(_imported(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            first, *rest = ast.unparse(node.func).split(".")
            name = ".".join([names.get(first, first), *rest]).removeprefix("builtins.")
            yield from _in_call(name, {word.arg: word.value for word in node.keywords}, node.args)
        elif isinstance(node, ast.Constant) and node.value == "trust_remote_code":
            yield "trust_remote_code by its name in a text"


def _in_call(name: str, words: dict[str | None, ast.expr], arguments: list[ast.expr]) -> Iterator[str]:
    if name in NEVER:
        yield name
    if name.split(".")[-1] in ("extract", "extractall"):
        yield f"{name}: read members by their names instead, as sentiment.read_member does"
    for word, value in words.items():
        if word in ONLY and ast.unparse(value) != str(ONLY[word]):
            yield f"{name}({word}={ast.unparse(value)})"
    kind = re.sub(r".*\bAuto\w+", "Auto*", name)
    if kind in NEEDED:
        word, allowed = NEEDED[kind]
        if word not in words or ast.unparse(words[word]) not in allowed:
            yield f"{name} without {word}={' or '.join(sorted(allowed))}"
    if name == "evaluate.load" and not (arguments and ast.unparse(arguments[0]).startswith("metric_path(")):
        yield "evaluate.load of anything but a metric that is kept here: others are code from the Hub"
    if name == "markupsafe.Markup" and "page.css" not in ast.unparse(arguments[0]):
        yield "Markup of anything but our own CSS: it isn't escaped"


def _imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((a.asname, a.name) for a in node.names if a.asname)
        elif isinstance(node, ast.ImportFrom):
            yield from ((a.asname or a.name, f"{node.module}.{a.name}") for a in node.names)


def all_code() -> Iterator[tuple[str, str]]:
    """Every Python file that users run, and every code cell."""
    for path in [ROOT / "run_all.py", *ROOT.glob("labkit/**/*.py"), *ROOT.glob("benchmarks/**/*.py")]:
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
    for path in ROOT.glob("notebooks/*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                yield path.relative_to(ROOT).as_posix(), "".join(cell["source"])


def test_no_code_runs_what_comes_from_outside():
    """A data set, a model or a submission could do anything to whoever opens it."""
    found = Counter((where, danger) for where, source in all_code() for danger in dangers(source))
    assert found == JUSTIFIED


PLANTED = {
    "trust_remote_code=True": "AutoModel.from_pretrained('x', trust_remote_code=True)",
    "by its name": "options = {'trust_remote_code': True}\nload(**options)",
    "trust_remote_code=None": "load_dataset('x', trust_remote_code=None)",
    "without trust_remote_code": "from transformers import AutoTokenizer\nAutoTokenizer.from_pretrained('x')",
    "pickle.load": "import pickle\npickle.load(stream)",
    "pickle.loads": "from pickle import loads as read\nread(data)",
    "pickle.Unpickler": "import pickle as p\np.Unpickler(stream).load()",
    "joblib.load": "import joblib\njoblib.load('x')",
    "pandas.read_pickle": "import pandas as pd\npd.read_pickle('x')",
    "allow_pickle=True": "import numpy as np\nnp.load('x', allow_pickle=True)",
    "torch.load without weights_only": "import torch\ntorch.load('x')",
    "torch.load without": "import torch\ntorch.load('x', weights_only=False)",
    "torch.hub.load": "import torch\ntorch.hub.load('x', 'y')",
    "evaluate.load": "import evaluate\nevaluate.load('rouge')",
    "eval": "eval(text)",
    "exec": "def f():\n    import builtins\n    builtins.exec(text)",
    "yaml.load without": "import yaml\nyaml.load(stream)",
    "yaml.load": "import yaml\nyaml.load(stream, Loader=yaml.Loader)",
    "yaml.unsafe_load": "from yaml import unsafe_load\nunsafe_load(stream)",
    "archive.extractall": "import tarfile\nwith tarfile.open('x') as archive:\n    archive.extractall()",
    "extract:": "import zipfile\nzipfile.ZipFile('x').extract('y')",
    "shutil.unpack_archive": "import shutil\nshutil.unpack_archive('x')",
    "shell=True": "import subprocess\nsubprocess.run(f'ls {folder}', shell=True)",
    "os.system": "from os import system\nsystem('ls')",
    "subprocess.getoutput": "import subprocess\nsubprocess.getoutput('ls')",
    "tempfile.mktemp": "import tempfile\ntempfile.mktemp()",
    "verify=False": "requests.get(url, verify=False)",
    "without autoescape": "import jinja2\njinja2.Environment(loader=loader)",
    "Markup of": "from markupsafe import Markup\nMarkup(text)",
}


@pytest.mark.parametrize("told", PLANTED)
def test_each_fault_is_seen(told):
    """Else the test above is green because it looks at nothing."""
    assert any(told in danger for danger in dangers(PLANTED[told])), list(dangers(PLANTED[told]))


def test_what_only_looks_like_one_is_left_alone():
    """A checker that cries at every `model.eval()` is switched off."""
    harmless = """
import ast, re, subprocess, tempfile, torch, yaml
model.eval()  # not eval(text), nor trust_remote_code=True
re.compile("eval(x)"), ast.literal_eval("1"), tempfile.mkstemp(), yaml.safe_load(stream)
torch.load("x", map_location="cpu", weights_only=True)
yaml.load(stream, Loader=yaml.SafeLoader), subprocess.run(["ls"], shell=False)
'''pickle.load(stream)'''
"""
    assert list(dangers(harmless)) == []


def test_all_places_are_looked_at():
    """A folder that moved would never be looked at again, and nobody would know."""
    places = Counter(Path(where).parts[0] for where, _ in all_code())
    assert places["labkit"] > 100 and places["benchmarks"] > 10 and places["notebooks"] > 200 and places["run_all.py"]
