"""The command line of `run_all.py`: check everything that was asked for, then plan, explain or run it."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from labkit.batch.decide import Task, decide
from labkit.batch.params import replace
from labkit.batch.plan import Notebook, discover, notebooks_dir, select
from labkit.batch.recipes import DEFAULT, load_recipe
from labkit.batch.results import Results
from labkit.profile import PROFILES, SOURCES, LabError, resolve_source, results_base, results_dir

OK, SOME_FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

EXAMPLES = """\
examples:
  python run_all.py                                  everything, at the size of a laptop
  python run_all.py --profile smoke --jobs 4         does it all work? in minutes
  python run_all.py --only 02,03 --set 02.max_steps=500
  python run_all.py --explain                        what would run, and why; runs nothing
  python run_all.py --profile full --set dry_run=true    two steps of everything at real size: will it run?
  python run_all.py --profile full --recipe paper    the documents' own settings, beneath results/paper/
  python run_all.py --seeds 5                        five times, and data/reference/laptop.json from them

A notebook whose code, parameters, labkit files, needs and package versions are those of its last good run
is not run again ("cached").

exit codes: 0 every selected notebook ran to its end, 1 some did not, 2 the command is wrong, 130 interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code. A `LabError` becomes one line on standard error."""
    options = parser().parse_args(arguments)
    try:
        return _obey(options)
    except LabError as error:
        print(f"run_all.py: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """The options of `run_all.py`."""
    p = argparse.ArgumentParser(
        prog="run_all.py",
        description="Run the notebooks: each in its own process, in parallel, resumable, with a report.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    p.add_argument("--profile", default="laptop", metavar="P", help=f"size: {', '.join(PROFILES)} (default: laptop)")
    p.add_argument("--source", default="", metavar="S", help=f"{', '.join(SOURCES)} (default: the profile's)")
    which = p.add_mutually_exclusive_group()
    which.add_argument("--only", metavar="NN,NN", help="these notebooks, by number or name")
    which.add_argument("--from", dest="start", metavar="NN", help="this notebook and those after it")
    p.add_argument("--jobs", type=_at_least_one, default=2, metavar="N", help="notebooks at a time (default: 2)")
    p.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NN.NAME=VALUE",
        help="replace a parameter of notebook NN; SEED=1 and dry_run=true go to every notebook that has it",
    )
    p.add_argument(
        "--recipe",
        default=DEFAULT,
        metavar="R",
        help="paper: the documents' own settings (data/recipes.yaml), results in DIR/paper (default: the notebooks')",
    )
    p.add_argument(
        "--seeds",
        type=_at_least_one,
        metavar="N",
        help="run seeds 0 to N−1, each in a folder of its own, then write these notebooks' bands of headline numbers",
    )
    p.add_argument("--force", action="store_true", help="run what is cached as well")
    p.add_argument("--explain", action="store_true", help="say what would run and why, and run nothing")
    p.add_argument("--list", action="store_true", help="list notebooks with their parameters, and run nothing")
    p.add_argument("--out", type=Path, metavar="DIR", help="where results go (default: LABKIT_RESULTS or results/)")
    return p


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _obey(options: argparse.Namespace) -> int:
    if options.seeds:
        return _over_seeds(options)
    source = resolve_source(options.profile, options.source)
    notebooks = discover(notebooks_dir())
    selected = select(notebooks, options.only, options.start)
    declared = {id_: n.parameters for id_, n in notebooks.items()}
    settings = load_recipe(options.recipe, options.profile, declared)
    replaced = replace(declared, [*settings, *options.set])
    if options.list:
        _list(notebooks, selected, replaced)
        return OK
    for values in replaced.values():
        values |= {"PROFILE": options.profile, "SOURCE": source}
    base = options.out.expanduser().resolve() if options.out else results_base()
    if options.recipe != DEFAULT:
        base /= options.recipe  # beside the corrected results, never over them
    dry_run = any(values.get("dry_run") for values in replaced.values())
    if dry_run:  # each rehearses by itself, with all the memory there is
        notebooks = {id_: dataclasses.replace(n, needs=()) for id_, n in notebooks.items()}
        selected = [id_ for id_ in selected if "dry_run" in declared[id_]]
        options.jobs = 1
    results = Results(results_dir(options.profile, source, base, dry_run))
    tasks = decide(notebooks, results, replaced, selected, options.force)
    if options.explain:
        for task in tasks:
            print(f"{task.id}  {'would run: ' + '; '.join(task.reasons) if task.reasons else 'cached'}")
        return OK
    return _run(options, tasks, list(notebooks), results, source, base)


def _over_seeds(options: argparse.Namespace) -> int:
    """Seed 0 where results always go, the others in `seed-1`, `seed-2`, … beside them; then the bands over all."""
    from labkit.report import bands

    if options.recipe != DEFAULT:
        raise LabError(f"--seeds writes the bands of the course's own recipe: leave --recipe {options.recipe} out")
    base = options.out or results_base()
    bases = [base / f"seed-{seed}" if seed else base for seed in range(options.seeds)]
    codes = []
    for seed, out in enumerate(bases):
        settings = [*options.set, f"SEED={seed}"]
        codes.append(_obey(argparse.Namespace(**vars(options) | {"seeds": None, "out": out, "set": settings})))
        if codes[-1] == INTERRUPTED:
            return INTERRUPTED
    if not (options.explain or options.list or any(codes)):
        source = resolve_source(options.profile, options.source)
        some = select(discover(notebooks_dir()), options.only, options.start) if options.only or options.start else ()
        print(f"bands: {bands.write([results_dir(options.profile, source, out) for out in bases], notebooks=some)}")
    return max(codes)


def _run(
    options: argparse.Namespace,
    tasks: list[Task],
    notebooks: list[str],
    results: Results,
    source: str,
    base: Path,
) -> int:
    from labkit.batch.run import Batch, Setting
    from labkit.batch.terminal import Terminal

    terminal = Terminal(rerun=lambda id_: _command_for(id_, options))
    batch = Batch(tasks, notebooks, results, Setting(options.profile, source, base), options.jobs)
    finished = batch.run(terminal)
    rows = batch.outcome()
    terminal.summary(rows, results.index)
    if not finished:
        return INTERRUPTED
    return OK if all(row.good for row in rows) else SOME_FAILED


def _command_for(id_: str, options: argparse.Namespace) -> str:
    """The command that runs just this notebook again, as this run did."""
    number = id_.split("_")[0]
    words = ["python", "run_all.py", "--profile", options.profile]
    words += ["--source", options.source] if options.source else []
    words += ["--recipe", options.recipe] if options.recipe != DEFAULT else []
    words += ["--only", number]
    for setting in options.set:
        words += ["--set", setting]
    words += ["--out", str(options.out)] if options.out else []
    return shlex.join(words)


def _list(
    notebooks: dict[str, Notebook], selected: Sequence[str], replaced: Mapping[str, Mapping[str, object]]
) -> None:
    for id_ in selected:
        notebook = notebooks[id_]
        needs = f"  needs {', '.join(notebook.needs)}" if notebook.needs else ""
        print(f"{id_}  {notebook.title}{needs}  ({notebook.cores} core{'s' * (notebook.cores > 1)})")
        for parameter in notebook.parameters.values():
            value = replaced[id_].get(parameter.name, parameter.default)
            own = f"  (its own: {parameter.default!r})" if value != parameter.default else ""
            print(f"    {parameter.name}: {parameter.annotation} = {value!r}{own}")
