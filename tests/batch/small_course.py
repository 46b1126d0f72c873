"""Small notebooks in a temporary folder, and `run_all.py` as a real process over them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import nbformat

from labkit.profile import ROOT

FIRST_THREE = 'PROFILE: str = "laptop"\nSOURCE: str = ""\nSEED: int = 0'


class Course:
    """A folder of notebooks, a folder of results, and the command over them."""

    def __init__(self, folder: Path) -> None:
        self.notebooks, self.out = folder / "notebooks", folder / "results"
        self.notebooks.mkdir(parents=True)
        self.results = self.out / "smoke"
        self.root = ROOT  # of the repository whose run_all.py is run
        self.done: subprocess.CompletedProcess[str] | None = None  # a run that several tests look at

    def add(self, id_: str, *code: str, parameters: str = "", markdown: str = "", **metadata: object) -> Path:
        """Write a notebook: title, parameters cell, a heading, then the code cells."""
        v4 = nbformat.v4
        first = v4.new_code_cell(f"{FIRST_THREE}\n{parameters}".strip(), metadata={"tags": ["parameters"]})
        cells = [
            v4.new_markdown_cell(f"# Lesson {id_}\n{markdown}"),
            first,
            v4.new_markdown_cell("## The work"),
        ]
        notebook = v4.new_notebook(cells=cells + [v4.new_code_cell(source) for source in code])
        notebook.metadata["kernelspec"] = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
        notebook.metadata["labkit"] = metadata
        path = self.notebooks / f"{id_}.ipynb"
        nbformat.write(notebook, path)
        return path

    def command(self, *options: str) -> tuple[list[str], dict[str, str]]:
        """The command line and its environment."""
        env = {**os.environ, "LABKIT_NOTEBOOKS": str(self.notebooks), "LABKIT_DATA": ""}
        words = [
            sys.executable,
            str(self.root / "run_all.py"),
            "--profile",
            "smoke",
            "--out",
            str(self.out),
            *options,
        ]
        return words, env

    def run(self, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run `run_all.py` to its end."""
        words, env = self.command(*options)
        return subprocess.run(words, env=env | variables, capture_output=True, text=True, timeout=120)

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start `run_all.py` and let it run."""
        words, env = self.command(*options)
        return subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def rows(self) -> dict[str, dict]:
        """`run.json`'s notebooks by id."""
        run = json.loads((self.results / "run.json").read_text())
        return {row["id"]: row for row in run["notebooks"]}

    def junit(self) -> dict[str, list[str]]:
        """For every test case of `junit.xml`, what is wrong with it."""
        suite = ET.parse(self.results / "junit.xml").getroot().find("testsuite")
        return {case.get("name"): [child.tag for child in case] for case in suite.iter("testcase")}
