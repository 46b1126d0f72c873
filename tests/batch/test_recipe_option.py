"""`--recipe paper`: the documents' own settings, held against the notebooks that are to take them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from small_course import Course

from labkit.batch import cli, recipes
from labkit.batch.params import Parameter, read_parameters
from labkit.batch.plan import discover
from labkit.batch.recipes import RECIPES, load_recipe
from labkit.profile import PROFILES, ROOT, LabError
from labkit.training.recipes import RECIPES as TRAINING

NOTEBOOKS = discover(ROOT / "notebooks")
DECLARED = {id_: notebook.parameters for id_, notebook in NOTEBOOKS.items()}
PAPER = yaml.safe_load(RECIPES.read_text(encoding="utf-8"))["paper"]
FULL = PROFILES["full"]


def entries(kind: str) -> list[tuple[str, str, dict]]:
    """(notebook, name, entry) of all "parameters" or "facts"."""
    return [(id_, name, said) for id_, found in PAPER.items() for name, said in found.get(kind, {}).items()]


def run_all(*options: str) -> subprocess.CompletedProcess[str]:
    """The command as people start it, over the course's own notebooks."""
    env = {name: value for name, value in os.environ.items() if name != "LABKIT_NOTEBOOKS"}
    command = [sys.executable, str(ROOT / "run_all.py"), *options]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)


@pytest.fixture
def course_with_recipe(course: Course, monkeypatch: pytest.MonkeyPatch) -> Course:
    """Two small notebooks, and a recipe of their own."""
    path = course.notebooks.parent / "recipes.yaml"
    path.write_text("paper:\n  01_x: {parameters: {steps: {value: 7}, size: {value: 9, at: full}}}\n")
    monkeypatch.setattr(recipes, "RECIPES", path)
    monkeypatch.setenv("LABKIT_NOTEBOOKS", str(course.notebooks))
    course.add("01_x", "print(steps, size)", parameters="steps: int = 3\nsize: int = 4")
    course.add("02_y", "1", parameters="steps: int = 5")
    return course


@pytest.mark.parametrize("profile", PROFILES)
def test_every_entry_is_a_parameter_of_its_notebook_with_a_value_of_its_type(profile: str):
    """A notebook that renames a parameter would leave its recipe behind, and every run with it would stop."""
    settings = load_recipe("paper", profile, DECLARED)
    wanted = {(id_, name) for id_, name, said in entries("parameters") if said.get("at", profile) == profile}
    assert {tuple(setting.partition("=")[0].split(".")) for setting in settings} == wanted


def test_every_entry_says_where_the_document_has_it():
    """A number without its place can't be looked up, and a document that the ledger lacks isn't known."""
    documents = {d["id"] for d in yaml.safe_load((ROOT / "data" / "claims.yaml").read_text("utf-8"))["documents"]}
    assert {found["document"] for found in PAPER.values()} <= documents
    for id_, name, said in entries("parameters") + entries("facts"):
        assert "value" in said and said["where"], f"{id_}.{name}"
        assert said.keys() <= {"value", "where", "at", "ours", "code"}, f"{id_}.{name}"


def test_what_the_notebooks_have_anyway_they_have():
    """A fact that says "as the notebook has it" is wrong as soon as the notebook or the full profile changes."""
    for id_, name, said in entries("facts"):
        if id_ not in DECLARED:
            pytest.fail(f"{id_} is no notebook")
        if hasattr(FULL, name) and "ours" not in said:
            assert getattr(FULL, name) == said["value"], f"{id_}.{name}"
        if "code" in said:
            assert any(said["code"] in cell.source for cell in NOTEBOOKS[id_].cells), f"{id_}.{name}"


def test_pretraining_is_the_reports():
    """The recipe would pretrain another model than the report's, for a day on eight GPUs."""
    parameters, facts = PAPER["02_pretrain_ddp"]["parameters"], PAPER["02_pretrain_ddp"]["facts"]
    recipe = TRAINING[parameters["recipe"]["value"]]
    assert recipe.lr == pytest.approx(facts["learning_rate"]["value"]) == 1.8e-3
    assert recipe.muon_lr is None and recipe.schedule == "cosine" and recipe.lengths == (1,)
    assert parameters["max_steps"]["value"] == FULL.max_steps == 19_073
    assert facts["warmup_steps"]["value"] == FULL.warmup_steps == 715
    assert FULL.batch_size * FULL.block_size == facts["tokens_a_step"]["value"] == 524_288
    assert FULL.batch_size % (FULL.micro_batch_size * FULL.nproc) == 0 and FULL.micro_batch_size == 16


def test_distilbart_is_tuned_for_three_epochs_of_750_steps():
    """Batch, papers and steps stand in three places, which must go on saying the same."""
    said = PAPER["04_distilbart"]["parameters"]
    assert said["steps"]["value"] == 3 * 750 == 3 * said["train_papers"]["value"] // FULL.bart_batch


def test_the_command_explains_the_recipe_and_writes_nothing(tmp_path: Path):
    """Who plans a long run looks at --explain and --list first."""
    done = run_all("--profile", "full", "--recipe", "paper", "--explain", "--out", str(tmp_path / "out"))
    assert done.returncode == 0 and done.stderr == ""
    assert "02_pretrain_ddp  would run: never ran" in done.stdout and not (tmp_path / "out").exists()
    listed = run_all("--profile", "full", "--recipe", "paper", "--list", "--only", "04", "--set", "04.steps=9").stdout
    assert "train_papers: int = 12000  (its own: 0)" in listed and "steps: int = 9" in listed


def test_an_unknown_recipe_gets_the_nearest_name(tmp_path: Path):
    """A slip must not run the default for a day."""
    done = run_all("--recipe", "papers", "--explain", "--out", str(tmp_path / "out"))
    assert done.returncode == 2 and "unknown recipe 'papers': did you mean 'paper'?" in done.stderr


def test_results_lie_beside_the_corrected_ones(course_with_recipe: Course, capsys: pytest.CaptureFixture):
    """The documents' recipe must never write over the course's own results, nor take them for its own."""
    course = course_with_recipe
    command = ["--profile", "smoke", "--out", str(course.out), "--only", "01", "--jobs", "1"]
    assert cli.main(command) == 0
    own = (course.results / "notebooks" / "01_x.run.json").read_bytes()
    assert cli.main([*command, "--recipe", "paper"]) == 0
    beside = course.out / "paper" / "smoke" / "notebooks"
    assert (beside / "01_x.log").read_text() == "7 4\n"
    assert (course.results / "notebooks" / "01_x.run.json").read_bytes() == own
    capsys.readouterr()
    assert cli.main([*command, "--recipe", "paper", "--set", "01.steps=8", "--explain"]) == 0
    assert capsys.readouterr().out == "01_x  would run: parameter steps 7 → 8\n"
    assert json.loads((beside / "01_x.run.json").read_text())["ingredients"]["parameter"]["size"] == 4


def test_what_failed_is_run_again_with_the_same_recipe(
    course_with_recipe: Course, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """The command that is printed to run it again must not run another recipe."""
    monkeypatch.setenv("COLUMNS", "400")
    course_with_recipe.add("02_y", "raise ValueError('no')")
    command = ["--profile", "smoke", "--out", str(course_with_recipe.out), "--only", "02", "--recipe", "paper"]
    assert cli.main(command) == 1
    assert "run_all.py --profile smoke --recipe paper --only 02" in " ".join(capsys.readouterr().out.split())


def test_bands_are_not_made_from_it(capsys: pytest.CaptureFixture):
    """`--seeds` writes what the course's own results are compared with."""
    assert cli.main(["--recipe", "paper", "--seeds", "3"]) == 2
    assert "leave --recipe paper out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("paper: {01_z: {parameters: {}}}", "recipes.yaml: unknown notebook '01_z': did you mean '01_x'?"),
        ("paper: {01_x: {parameters: {step: {value: 1}}}}", "recipes.yaml: unknown parameter of 01_x 'step': did you"),
        ("paper: {01_x: {parameters: {steps: {value: few}}}}", "recipes.yaml: 01_x.steps must be int, not str 'few'"),
        ("paper: {01_x: {parameters: {lr: {value: 2e-5}}}}", "recipes.yaml: 01_x.lr must be float, not str '2e-5'"),
        (
            "paper: {01_x: {parameters: {steps: {value: 1, at: ful}}}}",
            "recipes.yaml: 01_x.steps: unknown profile 'ful'",
        ),
        ("paper: {01_x: {parameters: {steps: 1}}}", "can't be read"),
        ("paper: [", "can't be read"),
    ],
)
def test_a_faulty_file_is_named(text: str, message: str, tmp_path: Path):
    """Whoever edits the file must learn that the mistake is there, and where."""
    (tmp_path / "recipes.yaml").write_text(text)
    declared: dict[str, dict[str, Parameter]] = {
        "01_x": read_parameters('PROFILE: str = ""\nSOURCE: str = ""\nSEED: int = 0\nsteps: int = 1\nlr: float = 0.1')
    }
    with pytest.raises(LabError) as error:
        load_recipe("paper", "smoke", declared, tmp_path / "recipes.yaml")
    assert message in str(error.value)
