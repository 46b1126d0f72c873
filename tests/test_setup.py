"""One set of versions: pip users, conda users and the tests must not install three different courses."""

from __future__ import annotations

import ast
import json
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from labkit.profile import ROOT


@pytest.fixture(scope="module")
def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in pinned), "constraints.txt holds exact pins only"
    return {name.lower().replace("_", "-"): version for name, version in (line.split("==") for line in pinned)}


@pytest.fixture(scope="module")
def declared() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [Requirement(r) for r in project["dependencies"] + project["optional-dependencies"]["dev"]]


def test_every_dependency_is_pinned_within_its_range(declared, pins):
    for requirement in declared:
        assert requirement.specifier.contains(pins[requirement.name]), requirement.name


def test_torch_is_the_version_with_a_cpu_wheel(pins):
    assert pins["torch"] == "2.13.0"  # without +cpu, so that the same file serves GPU machines


def test_environment_yml_has_the_same_packages_and_pins_and_says_why(declared, pins):
    text = (ROOT / "environment.yml").read_text()
    pip = next(d["pip"] for d in yaml.safe_load(text)["dependencies"] if isinstance(d, dict))
    conda = dict(line.split("==") for line in pip if "==" in line)
    assert conda == {r.name: pins[r.name] for r in declared}
    uncommented = [line for line in text.splitlines() if "==" in line and "#" not in line]
    assert not uncommented, "each dependency says which notebooks need it"


def test_imports_are_declared(declared):
    """A module that works only because another package happens to bring it breaks with that package's next release."""
    declared_names = {r.name.replace("-", "_").lower() for r in declared}
    aliases = {
        "IPython": "ipykernel", "jupyter_client": "nbclient", "traitlets": "nbconvert", "yaml": "pyyaml",
        "markupsafe": "jinja2", "huggingface_hub": "datasets", "pyarrow": "datasets", "sklearn": "scikit_learn",
        "safetensors": "transformers",
    }  # fmt: skip
    for path in (ROOT / "labkit").rglob("*.py"):
        for name in _imported(path):
            known = name in sys.stdlib_module_names or name == "labkit"
            assert known or aliases.get(name, name).lower().replace("-", "_") in declared_names, f"{path}: {name}"


def _imported(path: Path) -> set[str]:
    """The packages that a file imports anywhere, by the first part of their names."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    modules = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    modules += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    return {module.split(".")[0] for module in modules}


def test_the_container_is_made_of_what_is_here(pins):
    """It can't be built where the tests run; a file that was renamed, or another Python, would break it."""
    text = (ROOT / "Dockerfile").read_text()
    (version,) = re.findall(r"^FROM python:([\d.]+)-slim$", text, re.MULTILINE)
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert SpecifierSet(requires).contains(version)
    copied = [
        name for line in re.findall(r"^COPY --chown=learner (.+) \S+$", text, re.MULTILINE) for name in line.split()
    ]
    assert "pyproject.toml" in copied and all((ROOT / name).exists() for name in copied)
    assert re.search(r"^CMD .*notebooks/00_start_here\.ipynb", text, re.MULTILINE)
    torch = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch==")]
    assert torch == [f"torch=={pins['torch']}"]  # what `grep ^torch==` finds there
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".venv", "results"} <= set(ignored)


def test_the_dev_container_builds_that_dockerfile():
    settings = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    folder = ROOT / ".devcontainer"
    assert (folder / settings["build"]["dockerfile"]).resolve() == ROOT / "Dockerfile"
    assert (folder / settings["build"]["context"]).resolve() == ROOT
    workdir = re.search(r"^WORKDIR (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert workdir and settings["workspaceFolder"] == workdir[1], "the installed labkit is the one that is edited"
