"""The harvest: found without importing, prose only, the same whatever the number of processes."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from labkit.profile import LabError
from labkit.tasks.docstrings import docstrings, harvest, is_prose, prose, source_files, version

MODULE = '''
"""The module says what it is for, in a sentence of some length."""
raise SystemExit("nobody may import me")

class Table(Base):
    """A table of rows that can be sorted and joined with other tables."""

    def sort(self):
        r"""Sort the rows in place \\d and return nothing to the caller."""
        if self:
            def helper():
                """Hidden in a branch, which is never looked into by the harvest."""
        class Inner:
            """A class inside of a function is found like any other class."""

async def load():
    """Load the table from a file that was written by an earlier version."""

add_newdoc("numpy", "abs", """Give the absolute value of each element of the array.""")
print("""An argument of another function is no docstring, however long it is.""")
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    """`fixturepack`, with a template that doesn't parse, bytes that are not UTF-8, and a folder of tests."""
    folder = tmp_path / "fixturepack"
    (folder / "tests").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('imported')\n")
    (folder / "module.py").write_text(MODULE)
    (folder / "template.py").write_text('"""A docstring here"""\n{{ not python }}\n"""and there"""')
    (folder / "latin.py").write_bytes('"""Une chaîne en latin-1, sans déclaration"""\n""""""'.encode("latin-1"))
    (folder / "tests" / "test_it.py").write_text('"""The tests of a package have little to say to anybody."""\n')
    for i in range(40):
        (folder / f"part_{i:02d}.py").write_text(
            f'"""Part {i} of the package tells the same story again, with a number."""'
        )
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_docstrings_in_order_and_nothing_else():
    """Module, classes and functions; what numpy and torch add to C functions; no other strings."""
    assert [text.split()[0:3] for text in docstrings(MODULE.encode())] == [
        "The module says".split(),
        "A table of".split(),
        "Sort the rows".split(),
        "A class inside".split(),
        "Load the table".split(),
        "Give the absolute".split(),
    ]


def test_files_are_found_but_never_imported(package):
    """Importing other people's packages to read their text would run their code."""
    names = [name for name, _ in source_files("fixturepack")]
    assert names == sorted(names) and len(names) == 44
    assert "fixturepack/module.py" in names and not [name for name in names if "tests" in name]
    found = {document.name: document.paragraphs for document in harvest(["fixturepack"])}
    assert list(found) == names
    assert len(found["fixturepack/module.py"]) == 6
    assert found["fixturepack/template.py"] == found["fixturepack/latin.py"] == []
    assert "fixturepack" not in sys.modules


def test_one_process_and_two_read_the_same(package):
    """The corpus may not depend on the machine's number of cores."""
    assert harvest(["fixturepack", "json"], nproc=2) == harvest(["fixturepack", "json"], nproc=1)


def test_the_version_of_a_package_without_one_follows_its_sources(package):
    """An edited source must not be answered from the cache."""
    before = version("fixturepack")
    (package / "module.py").write_text(MODULE + "\n")
    assert version("fixturepack") != before == before.strip()
    assert version("numpy") == __import__("numpy").__version__


@pytest.mark.parametrize("name", ["not_installed_anywhere", "../etc", ""])
def test_a_missing_package_is_named(name):
    """The first thing a reader with an incomplete set-up sees."""
    with pytest.raises(LabError, match=r"not installed: install the course's requirements"):
        source_files(name)


def test_workers_stay_light():
    """A worker that imported torch would take longer to start than to work."""
    code = "import sys, labkit.tasks.docstrings; print({'torch', 'numpy', 'tokenizers'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


def test_a_script_without_a_guard_is_told_so(tmp_path):
    """Its workers import it again: an explanation at once, where waiting for the lock would take forever."""
    script = tmp_path / "unguarded.py"
    script.write_text("from labkit.tasks.docstrings import harvest\nprint(len(harvest(['json'], nproc=2)))\n")
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    assert "this script starts worker processes" in run.stderr
    assert run.stderr.strip().splitlines()[-1].startswith("labkit.profile.LabError: a worker process died")


@pytest.mark.parametrize(
    ("docstring", "paragraphs"),
    [
        (
            """\
            Join two tables by a column that both of them
            have, and keep the order of the left one.

            Args:
                how (`str`, *optional*, defaults to `"left"`):
                    Which rows are kept where the other table has none.
                column: The name of the column that both of the
                    tables must have.
            """,
            [
                "Join two tables by a column that both of them have, and keep the order of the left one.",
                "Which rows are kept where the other table has none.",
                "The name of the column that both of the tables must have.",
            ],
        ),
        (
            """\
            Notes
            -----
            The algorithm is described in the first of the books.

            - first, the rows are sorted by their keys;
            - then, rows with equal keys are joined.

            >>> join(a, b)  # a doctest with quite a few words in it
            the output of this doctest has many words as well

            ```python
            this_is_code = "with some words that are not prose at all"
            ```
            """,
            [
                "The algorithm is described in the first of the books.",
                "- first, the rows are sorted by their keys;",
                "- then, rows with equal keys are joined.",
            ],
        ),
        ("=====  =====  ======\n  A      B    A or B\n=====  =====  ======", []),
        ("a, b : array_like with a long description of its type and shape\n", []),
    ],
)
def test_prose(docstring, paragraphs):
    """Descriptions are kept; names, types, headings, code, doctests and tables are not."""
    assert prose(textwrap.dedent(docstring)) == paragraphs


def test_what_counts_as_prose():
    """Five words, mostly letters."""
    assert is_prose("Return the sum of all the elements.")
    assert not is_prose("Return the sum.")
    assert not is_prose("x = [(1, 2), (3, 4)] + f(y)[0] ** 2 / three four five six")
