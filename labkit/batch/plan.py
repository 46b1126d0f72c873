"""Which notebooks there are, what each declares, and the order that respects what they need.

A notebook is `notebooks/NN_topic.ipynb`, called by its stem or its number. What the runner must know of it
stands in its own metadata, all of it optional::

    "labkit": {"needs": ["02"], "cores": 2, "limit_minutes": 30}

Notebooks are read as plain JSON: nothing of Jupyter is imported until one has to run.
"""

from __future__ import annotations

import graphlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labkit.batch.params import Parameter, find, read_parameters
from labkit.profile import ROOT, LabError


@dataclass(frozen=True)
class Cell:
    """What matters of a cell to the runner; outputs and metadata other than tags do not."""

    kind: str  # "code", "markdown" or "raw"
    source: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Notebook:
    """One lesson as declared by its file."""

    path: Path
    cells: tuple[Cell, ...]
    parameters: Mapping[str, Parameter]
    needs: tuple[str, ...]  # ids of the notebooks whose results it reads
    cores: int
    limit_minutes: float | None  # instead of the profile's

    @property
    def id(self) -> str:
        """The stem of its file name, such as `02_pretrain_ddp`."""
        return self.path.stem

    @property
    def number(self) -> str:
        """What comes before the first underscore, such as `02`."""
        return self.id.split("_")[0]

    @property
    def title(self) -> str:
        """Its first markdown heading."""
        return next((heading for cell in self.cells if (heading := _headings(cell))), [self.id])[0]

    def heading_above(self, position: int) -> str:
        """The nearest markdown heading at or above the cell at `position`, which counts from 1."""
        headings = [heading for cell in self.cells[:position] for heading in _headings(cell)]
        return headings[-1] if headings else ""


def _headings(cell: Cell) -> list[str]:
    if cell.kind != "markdown":
        return []
    outside = "".join(cell.source.split("```")[::2])  # a "#" in a fenced block is a comment
    return [line.lstrip("#").strip() for line in outside.splitlines() if line.startswith("#")]


def notebooks_dir() -> Path:
    """Where the notebooks are: `LABKIT_NOTEBOOKS`, else `notebooks/` of the repository."""
    return Path(os.environ.get("LABKIT_NOTEBOOKS") or ROOT / "notebooks").expanduser().resolve()


def discover(folder: Path) -> dict[str, Notebook]:
    """Every notebook of `folder` by id, each after those it needs. Raises `LabError` for a faulty one."""
    paths = sorted(folder.glob("[0-9]*_*.ipynb"))
    if not paths:
        raise LabError(f"no notebooks NN_topic.ipynb in {folder}: LABKIT_NOTEBOOKS may name another folder")
    ids = [path.stem for path in paths]
    return in_order([_read(path, ids) for path in paths])


def _read(path: Path, ids: Sequence[str]) -> Notebook:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        cells = tuple(
            Cell(c["cell_type"], "".join(c["source"]), tuple(c["metadata"].get("tags", ()))) for c in raw["cells"]
        )
        declared = raw["metadata"].get("labkit", {})
    except (ValueError, KeyError, TypeError) as error:
        raise LabError(f"{path} is not a notebook of format 4 ({error!r}): open and save it in JupyterLab") from None
    try:
        tagged = [cell for cell in cells if cell.kind == "code" and "parameters" in cell.tags]
        if len(tagged) != 1:
            raise LabError(f"it has {len(tagged)} code cells tagged 'parameters', and must have one")
        return Notebook(
            path=path,
            cells=cells,
            parameters=read_parameters(tagged[0].source),
            needs=tuple(find(need, ids) for need in declared.get("needs", ())),
            cores=int(declared.get("cores", 1)),
            limit_minutes=declared.get("limit_minutes"),
        )
    except LabError as error:
        raise LabError(f"{path.name}: {error}") from None


def in_order(notebooks: Iterable[Notebook]) -> dict[str, Notebook]:
    """By id, sorted as far as needs allow. Raises `LabError` if notebooks need each other in a circle."""
    by_id = {notebook.id: notebook for notebook in notebooks}
    sorter = graphlib.TopologicalSorter({n.id: n.needs for n in by_id.values()})
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        circle = " → ".join(error.args[1][::-1])
        raise LabError(f"notebooks need each other in a circle, {circle}: mend 'needs' in their metadata") from None
    ordered: dict[str, Notebook] = {}
    ready: set[str] = set()
    while sorter.is_active():
        ready |= set(sorter.get_ready())
        first = min(ready)
        ready.remove(first)
        ordered[first] = by_id[first]
        sorter.done(first)
    return ordered


def select(notebooks: Mapping[str, Notebook], only: str | None = None, start: str | None = None) -> list[str]:
    """The ids that `--only 02,05` or `--from 04` mean, in the order of `notebooks`; all without either."""
    if only is not None:
        wanted = {find(name.strip(), notebooks) for name in only.split(",")}
        return [id_ for id_ in notebooks if id_ in wanted]
    if start is not None:
        first = find(start, notebooks)
        return [id_ for id_ in notebooks if id_ >= first]
    return list(notebooks)
