"""What has to run, and why: each notebook with its parameters, its key, and what speaks against its cache."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from labkit.batch import keys
from labkit.batch.plan import Notebook
from labkit.batch.results import Results, Sidecar
from labkit.profile import LabError


@dataclass(frozen=True)
class Task:
    """One notebook of this run."""

    notebook: Notebook
    replaced: dict[str, object]  # the parameters that papermill is told to replace
    ingredients: keys.Ingredients
    key: str
    sidecar: Sidecar | None  # of the result that lies there, good for this key or not
    reasons: tuple[str, ...]  # why it runs; empty: the result that lies there is good

    @property
    def id(self) -> str:
        """The notebook's id."""
        return self.notebook.id


def decide(
    notebooks: Mapping[str, Notebook],
    results: Results,
    replaced: Mapping[str, Mapping[str, object]],
    selected: Collection[str],
    force: bool = False,
) -> list[Task]:
    """The selected notebooks, in order, each with why it runs.

    Args:
        notebooks: all there are, each after those it needs.
        results: where earlier results lie.
        replaced: by id, the values that replace defaults (`PROFILE` and `SOURCE` among them).
        selected: ids of the notebooks asked for.
        force: run every selected notebook.

    Raises `LabError` if a selected notebook needs one that is neither selected nor has a good result.
    """
    tasks: dict[str, Task] = {}
    for id_, notebook in notebooks.items():
        task = _task(notebook, results, dict(replaced[id_]), tasks, force and id_ in selected)
        missing = [need for need in notebook.needs if need not in selected and tasks[need].reasons]
        if id_ in selected and missing:
            raise _missing_needs(notebook, [tasks[need] for need in missing], selected)
        tasks[id_] = task
    return [task for id_, task in tasks.items() if id_ in selected]


def _task(
    notebook: Notebook,
    results: Results,
    replaced: dict[str, object],
    before: Mapping[str, Task],
    force: bool,
) -> Task:
    final = {name: p.default for name, p in notebook.parameters.items()} | replaced
    needs = {need: before[need].key for need in notebook.needs}
    ingredients = keys.ingredients(notebook, final, needs)
    sidecar = results.sidecar(notebook.id)
    if sidecar:
        said = keys.changes(sidecar.ingredients, ingredients)
    else:
        ran = results.of(notebook.id, "ipynb").exists()
        said = {("run", ""): "its last run did not end well" if ran else "never ran"}
    for need in needs:
        if before[need].reasons:
            said["needs", need] = f"needs {before[need].notebook.number}, which will run"
    if force:
        said["run", "force"] = "--force"
    return Task(notebook, replaced, ingredients, keys.key(ingredients), sidecar, tuple(said.values()))


def _missing_needs(notebook: Notebook, missing: list[Task], selected: Collection[str]) -> LabError:
    said = "; ".join(f"{task.id} ({', '.join(task.reasons)})" for task in missing)
    numbers = sorted({id_.split("_")[0] for id_ in selected} | {task.notebook.number for task in missing})
    return LabError(f"{notebook.id} needs results that are missing: {said}; run them too: --only {','.join(numbers)}")
