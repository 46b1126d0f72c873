"""What stands around a lesson: the way to its neighbours, the minutes it takes, its words and its papers.

    python -m labkit.report.reading --write        # bring the notebooks up to date
    python -m labkit.report.reading                # fail if one isn't

All of it is made from what is there anyway: the notebooks' files and titles, `data/glossary.yaml` and
`data/references.yaml`. Two lines of a notebook's first cell are written here, its last two cells (`cell-NN-words`,
`cell-NN-references`), and the links in its prose from a word to its meaning. Nothing else of a notebook is touched, and
no code, so results stay valid.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import yaml
from nbformat import NotebookNode, v4

from labkit.files import write_text_atomic
from labkit.profile import ROOT, LabError
from labkit.report import glossary

NOTEBOOKS = ROOT / "notebooks"
REFERENCES = ROOT / "data" / "references.yaml"
WORDS_A_MINUTE, LINES_A_MINUTE = 130, 12  # of prose in a second language; of code, with what it prints
_NAVIGATION = re.compile(r"^\[.*\.ipynb\)\n\n", re.MULTILINE)
_MINUTES = re.compile(r"^\*\*Minutes:\*\*.*$", re.MULTILINE)
_MARK = '<div id="Words"></div>'  # for VS Code, where links to headings are in lower case; Jupyter keeps the case


def up_to_date(folder: Path = NOTEBOOKS) -> dict[Path, str]:
    """The text of every notebook in `folder`, as it should be. Raises `LabError` for a file that is no notebook."""
    notebooks = {path: _read(path) for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    marker = glossary.Marker(glossary.load_glossary())
    for path, notebook in notebooks.items():
        notebook.cells = [c for c in notebook.cells if not re.fullmatch(r"cell-\d\d-(words|references)", c.id)]
        for cell in notebook.cells[1:]:
            if cell.cell_type == "markdown" and not cell.source.startswith("## The map"):
                cell.source = marker.mark(cell.source, path.stem[:2])
    papers = _references()
    for path, notebook in notebooks.items():
        first, number = notebook.cells[0], path.stem[:2]
        first.source = _navigation(first.source, path, notebooks)
        first.source = _MINUTES.sub(_minutes(notebook), first.source)
        for name, text in (("words", _words(number, marker, notebooks)), ("references", papers.get(number))):
            if text:
                notebook.cells.append(v4.new_markdown_cell(text, id=f"cell-{number}-{name}"))
    return {path: v4.writes(notebook) + "\n" for path, notebook in notebooks.items()}


def _read(path: Path) -> NotebookNode:
    try:
        return v4.reads(path.read_text(encoding="utf-8"))
    except (ValueError, AttributeError, KeyError) as error:
        raise LabError(f"{path} is not a notebook: {error}") from error


def _navigation(source: str, path: Path, notebooks: dict[Path, NotebookNode]) -> str:
    """The first cell with links to the notebooks before and after this one, under its title."""
    paths = list(notebooks)
    place = paths.index(path)
    before, after = paths[max(place - 1, 0) : place], paths[place + 1 : place + 2]
    links = [f"[← {_title(notebooks[p])}]({p.name})" for p in before]
    links += [f"[{_title(notebooks[p])} →]({p.name})" for p in after]
    title, _, rest = _NAVIGATION.sub("", source, count=1).partition("\n\n")
    return "\n\n".join([title, *([" · ".join(links)] if links else []), rest])


def _title(notebook: NotebookNode) -> str:
    return notebook.cells[0].source.partition("\n")[0].removeprefix("# ")


def _minutes(notebook: NotebookNode) -> str:
    """How long it takes to read, rounded to five minutes, and what its exercises say of themselves."""
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    words, lines = len(" ".join(prose).split()), len("\n".join(code).splitlines())
    reading = max(5, 5 * round((words / WORDS_A_MINUTE + lines / LINES_A_MINUTE) / 5))
    tasks = [int(n) for text in prose for n in re.findall(r"^### Exercise.*?\b(\d+) minutes", text, re.M | re.S)]
    exercises = f", {sum(tasks)} for the exercises" if tasks else ""
    return f"**Minutes:** about {reading} to read{exercises}; to run it, see the table."


def _words(number: str, marker: glossary.Marker, notebooks: dict[Path, NotebookNode]) -> str:
    if number != "00":
        found = marker.first[number]
        return f"{_MARK}\n\n## Words\n\n{glossary.table(found)}" if found else ""
    names = {path.stem[:2]: path.name for path in notebooks}
    return (
        f"{_MARK}\n\n## Words\n\nWhere the course first uses a technical word, the word is a link to the end of that "
        "notebook, where it is explained in English and Chinese. These are the words of this notebook:\n\n"
        f"{glossary.table(marker.first[number])}\n\n"
        "And all words of the course, each with a link to the table that explains it:\n\n"
        f"{glossary.index(marker.first, names)}"
    )


def _references() -> dict[str, str]:
    """The cell of each notebook that uses a paper, by number, from `data/references.yaml`."""
    lines: dict[str, list[str]] = {}
    for paper in yaml.safe_load(REFERENCES.read_text(encoding="utf-8")):
        title = paper["title"] + ("" if paper["title"][-1] in "?!" else ".")
        where = ", ".join([*filter(None, [paper.get("where")]), *map(_link, filter(None, [paper.get("link")]))])
        for number, what in paper["for"].items():
            line = f"- {paper['authors']} ({paper['year']}). *{title}* {where}. For {what}."
            lines.setdefault(number, []).append(line)
    return {number: "## References\n\n" + "\n".join(sorted(found)) for number, found in lines.items()}


def _link(link: str) -> str:
    """`arXiv:1706.03762`, or an address, as a Markdown link."""
    if link.startswith("arXiv:"):
        return f"[{link}](https://arxiv.org/abs/{link.removeprefix('arXiv:')})"
    return f"[{link.removeprefix('https://')}]({link})"


def main(arguments: list[str] | None = None) -> int:
    """Check or write the notebooks; the exit code is 1 if one was not up to date and stays so."""
    parser = argparse.ArgumentParser(prog="python -m labkit.report.reading", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=NOTEBOOKS, help="of the notebooks")
    parser.add_argument("--write", action="store_true", help="write what has changed (default: only say so)")
    args = parser.parse_args(arguments)
    try:
        texts = up_to_date(args.folder)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    changed = [path for path, text in texts.items() if path.read_text(encoding="utf-8") != text]
    for path in changed:
        if args.write:
            write_text_atomic(path, texts[path])
        print(f"{path.name}: {'written' if args.write else 'not up to date: run with --write'}")
    return 1 if changed and not args.write else 0


if __name__ == "__main__":
    sys.exit(main())
