"""`run_all.py` as people start it, over small notebooks with real faults."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import psutil
import pytest
from small_course import Course

from labkit.profile import ROOT, cpu_cores


def wait_for(what: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def child(pid_file: Path) -> str:
    """A cell that starts a silent process in a session of its own, as torchrun starts its workers."""
    return (
        "import pathlib, subprocess\n"
        "child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        f"pathlib.Path({str(pid_file) + '.new'!r}).write_text(str(child.pid))\n"
        f"pathlib.Path({str(pid_file) + '.new'!r}).rename({str(pid_file)!r})"
    )


LONG = "import time\ntime.sleep(600)"

ENVIRONMENT = """
import os
from labkit.profile import resolve, results_dir
assert (PROFILE, SOURCE, SEED, steps) == ("smoke", "embedded", 0, 4)
assert os.environ["LABKIT_BATCH"] == "1" and int(os.environ["OMP_NUM_THREADS"]) >= 2
assert os.environ["HF_HUB_OFFLINE"] == "1" and "HF_ENDPOINT" not in os.environ
assert os.path.exists("01_ok.ipynb"), "a notebook runs in its own folder"
folder = results_dir(PROFILE, SOURCE)
folder.joinpath("here").touch()
print("it says this")
"""


class TestEveryWayToEnd:
    """One run in which every notebook ends in another way."""

    @pytest.fixture(scope="class")
    @classmethod
    def faulty(cls, tmp_path_factory: pytest.TempPathFactory) -> Course:
        folder = tmp_path_factory.mktemp("every {way} to end")
        course = Course(folder)
        course.add("01_ok", ENVIRONMENT, parameters="steps: int = 3", cores=2)
        course.add("02_fails", "1", "def f():\n    raise ValueError('boom')", "f()", needs=["01"])
        course.add("03_needs_it", "1", needs=["02"])
        course.add("04_exits", "import sys\nsys.exit(0)", "1")
        course.add("05_dies", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "1")
        swallow = "import time\ntry:\n    time.sleep(600)\nexcept KeyboardInterrupt:\n    pass"
        never = f"open({str(folder / 'went on')!r}, 'w')"
        course.add("06_long", child(folder / "pid"), swallow, never, limit_minutes=0.1)
        notebooks = course.results / "notebooks"
        notebooks.mkdir(parents=True)
        (notebooks / "01_ok.partial.ipynb").write_text('{"half')
        (notebooks / "02_fails.run.json").write_text("{}")
        (notebooks / "04_exits.run.json").write_text('{"half')
        course.done = course.run("--set", "01.steps=4", HF_ENDPOINT="")
        return course

    def test_status_and_exit_code(self, faulty: Course):
        assert {id_: row["status"] for id_, row in faulty.rows().items()} == {
            "01_ok": "ok",
            "02_fails": "failed",
            "03_needs_it": "skipped",
            "04_exits": "incomplete",
            "05_dies": "killed",
            "06_long": "timeout",
        }
        assert faulty.done.returncode == 1
        assert faulty.done.stderr == ""

    def test_the_good_one_knows_its_setting_and_leaves_everything(self, faulty: Course):
        row = faulty.rows()["01_ok"]
        assert row["error"] is None and row["cell"] is None
        assert row["title"] == "Lesson 01_ok" and row["seconds"] > 0 and row["peak_rss_mb"] > 30
        assert (faulty.results / "here").exists()
        notebooks = faulty.results / "notebooks"
        assert (notebooks / "01_ok.log").read_text() == "it says this\n"
        assert json.loads((notebooks / "01_ok.run.json").read_text())["ingredients"]["parameter"]["steps"] == 4
        assert "it says this" in (notebooks / "01_ok.html").read_text()
        assert (faulty.results / "index.html").exists()

    def test_a_failure_is_placed_and_quoted(self, faulty: Course):
        row = faulty.rows()["02_fails"]
        assert row["cell"] == 6 and row["heading"] == "The work"
        assert row["error"].startswith("ValueError: boom\n") and "----> 1 f()" in row["error"]
        assert "\x1b" not in row["error"] and len(row["error"].splitlines()) <= 16
        said = faulty.done.stdout
        assert "cell 6 of 6, under 'The work'" in said
        assert "run it again: python run_all.py --profile smoke --only 02" in said

    def test_the_others_say_why(self, faulty: Course):
        rows = faulty.rows()
        assert rows["03_needs_it"]["error"] == "needs 02, which failed"
        assert "sys.exit" in rows["04_exits"]["error"] and rows["04_exits"]["cell"] == 4
        assert "the kernel died" in rows["05_dies"]["error"] and "out of memory" in rows["05_dies"]["error"]
        assert "limit of 0.1 minutes" in rows["06_long"]["error"]

    def test_a_swallowed_interrupt_does_not_let_the_notebook_go_on(self, faulty: Course):
        folder = faulty.notebooks.parent
        assert not (folder / "went on").exists()
        assert not lives(int((folder / "pid").read_text()))

    def test_a_bad_end_is_kept_to_look_at_and_never_counts_as_done(self, faulty: Course):
        notebooks = faulty.results / "notebooks"
        assert {p.name for p in notebooks.glob("*.run.json")} == {"01_ok.run.json"}
        assert not list(notebooks.glob("*.partial.ipynb"))
        for id_ in ("02_fails", "04_exits", "05_dies", "06_long"):
            assert nbformat.read(notebooks / f"{id_}.ipynb", as_version=4).cells
            assert (notebooks / f"{id_}.html").exists()

    def test_junit(self, faulty: Course):
        assert faulty.junit() == {
            "01_ok": [],
            "02_fails": ["failure"],
            "03_needs_it": ["skipped"],
            "04_exits": ["failure"],
            "05_dies": ["error"],
            "06_long": ["error"],
        }

    def test_another_run_of_one_keeps_the_rows_of_the_others(self, faulty: Course):
        before = faulty.rows()
        done = faulty.run("--only", "01", "--set", "01.steps=4")
        assert done.returncode == 0 and "01_ok  cached" in done.stdout
        after = faulty.rows()
        assert after["01_ok"]["status"] == "cached"
        for field in ("seconds", "peak_rss_mb", "finished"):
            assert after["01_ok"][field] == before["01_ok"][field]
        assert {i: after[i] for i in after if i != "01_ok"} == {i: before[i] for i in before if i != "01_ok"}

    def test_a_need_that_ended_badly_must_be_run_too(self, faulty: Course):
        done = faulty.run("--only", "03", "--set", "01.steps=4")
        assert done.returncode == 2
        assert "02_fails (its last run did not end well)" in done.stderr and "--only 02,03" in done.stderr

    def test_explain(self, faulty: Course):
        assert faulty.run("--explain").stdout.splitlines() == [
            "01_ok  would run: parameter steps 4 → 3",
            "02_fails  would run: its last run did not end well; needs 01, which will run",
            "03_needs_it  would run: never ran; needs 02, which will run",
            "04_exits  would run: its last run did not end well",
            "05_dies  would run: its last run did not end well",
            "06_long  would run: its last run did not end well",
        ]


def test_what_is_done_is_not_done_again_until_something_changes(course: Course):
    """Run from a copy of the library, so that a file of it can be edited."""
    home = course.notebooks.parent / "home"
    shutil.copytree(ROOT / "labkit", home / "labkit", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "run_all.py", home)
    module = home / "labkit" / "toy.py"
    module.write_text("SIZE = 1")
    course.root = home
    lesson = "import labkit.toy\nassert labkit.toy.SIZE == 1"
    course.add("01_a", lesson)
    course.add("02_b", "1", needs=["01"])
    first = course.run()
    assert first.returncode == 0, first.stdout + first.stderr
    notebooks = course.results / "notebooks"
    times = {path: path.stat().st_mtime_ns for path in notebooks.iterdir()}

    course.add("01_a", lesson, markdown="Words that change no result.")
    again = course.run()
    assert again.returncode == 0
    assert {id_: row["status"] for id_, row in course.rows().items()} == {"01_a": "cached", "02_b": "cached"}
    assert {path: path.stat().st_mtime_ns for path in notebooks.iterdir()} == times

    def explained() -> list[str]:
        return course.run("--explain").stdout.splitlines()

    assert explained() == ["01_a  cached", "02_b  cached"]
    module.write_text("SIZE = 2")
    assert explained() == [
        "01_a  would run: labkit/toy.py changed",
        "02_b  would run: needs 01, which will run",
    ]
    module.write_text("SIZE = 1")
    course.add("02_b", "2", needs=["01"])
    assert explained() == ["01_a  cached", "02_b  would run: its code cells changed"]
    (notebooks / "01_a.ipynb").unlink()
    assert explained()[0] == "01_a  would run: never ran", "a sidecar without its notebook is no result"
    assert course.run("--explain", "--force", "--only", "01").stdout == "01_a  would run: never ran; --force\n"


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_loses_nothing_that_was_finished(course: Course, sig: signal.Signals):
    pid_file = course.notebooks.parent / "pid"
    course.add("01_short", "1")
    course.add("02_long", child(pid_file), LONG, needs=["01"])
    course.add("03_after", "1", needs=["02"])
    process = course.start()
    wait_for(pid_file.exists)
    started = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(sig)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert not any(lives(p.pid) for p in started) and not lives(int(pid_file.read_text()))
    rows = course.rows()
    assert rows["01_short"]["status"] == "ok" and "03_after" not in rows
    assert (rows["02_long"]["status"], rows["02_long"]["error"]) == ("killed", "interrupted")
    assert course.run("--explain", "--only", "01").stdout == "01_short  cached\n"


@pytest.mark.skipif(sys.platform != "linux", reason="needs prctl")
def test_nothing_is_orphaned_when_the_runner_is_killed(course: Course):
    pid_file = course.notebooks.parent / "pid"
    course.add("01_long", child(pid_file), LONG)
    process = course.start()
    wait_for(pid_file.exists)
    started = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    wait_for(lambda: not any(lives(p.pid) for p in started))
    assert not lives(int(pid_file.read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="needs prctl")
def test_a_killed_worker_is_told_as_such_and_leaves_nothing(course: Course):
    pid_file = course.notebooks.parent / "pid"
    course.add("01_long", child(pid_file), LONG)
    process = course.start()
    wait_for(pid_file.exists)
    (worker,) = psutil.Process(process.pid).children()
    worker.kill()
    said, _ = process.communicate(timeout=60)
    row = course.rows()["01_long"]
    assert process.returncode == 1 and row["status"] == "killed" and "SIGKILL" in row["error"], said
    assert not lives(int(pid_file.read_text()))
    notebooks = course.results / "notebooks"
    assert nbformat.read(notebooks / "01_long.ipynb", as_version=4).cells and (notebooks / "01_long.html").exists()


def test_a_kernel_that_does_not_start_gets_a_second_chance(course: Course):
    """A port that another process takes first is nobody's fault and passes."""
    flag, spec = course.notebooks.parent / "flag", course.notebooks.parent / "kernels" / "python3"
    spec.mkdir(parents=True)
    launcher = (
        f"import os, sys; first = not os.path.exists({str(flag)!r}); open({str(flag)!r}, 'w')\n"
        "if first: sys.exit('Address already in use')\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'ipykernel_launcher', *sys.argv[1:]])"
    )
    argv = [sys.executable, "-c", launcher, "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "p", "language": "python"}))
    course.add("01_a", "1")
    done = course.run(JUPYTER_PATH=str(spec.parents[1]))
    assert flag.exists() and done.returncode == 0, done.stdout


def test_two_runs_share_a_folder_but_no_notebook(course: Course):
    """As the jobs of an array do, a notebook each: none may lose another's row, or write into its files."""
    pid_file = course.notebooks.parent / "pid"
    course.add("01_long", child(pid_file), LONG)
    course.add("02_short", "1")
    process = course.start("--only", "01")
    wait_for(pid_file.exists)
    again, other = course.run("--only", "01,02"), course.run("--only", "02")
    process.terminate()
    process.communicate()
    assert again.returncode == 2 and "another run is at 01_long in" in again.stderr
    assert other.returncode == 0
    assert {id_: row["status"] for id_, row in course.rows().items()} == {"01_long": "killed", "02_short": "ok"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--profile", "smok"], "unknown profile 'smok': did you mean 'smoke'?"),
        (["--source", "hubb"], "unknown source 'hubb': did you mean 'hub'?"),
        (["--source", "local"], "LABKIT_DATA is not set"),
        (["--only", "01_bild"], "unknown notebook '01_bild': did you mean '01_build'?"),
        (["--from", "9"], "unknown notebook '9'"),
        (["--set", "01.step=1"], "did you mean 'steps'?"),
        (["--set", "01.steps=few"], "steps must be int, not str 'few'"),
        (["--jobs", "0"], "must be 1 or more"),
        (["--only", "01", "--from", "01"], "not allowed with"),
        (["--only", "02"], "02_after needs results that are missing: 01_build (never ran)"),
    ],
)
def test_a_command_that_is_wrong_says_so_and_runs_nothing(course: Course, options: list[str], message: str):
    course.add("01_build", "1", parameters="steps: int = 3")
    course.add("02_after", "1", needs=["01"])
    done = course.run(*options)
    assert done.returncode == 2 and message in done.stderr
    assert "Traceback" not in done.stderr and not course.out.exists()


def test_what_needs_all_cores_goes_first_and_who_runs_alone_has_them_all(course: Course, tmp_path):
    """Between narrow notebooks a wide one would find no gap; and a core without a notebook would do nothing."""
    seen = tmp_path / "seen"
    note = f"import os\nprint('{{}}', os.environ['OMP_NUM_THREADS'], file=open({str(seen)!r}, 'a'))"
    for id_, cores in (("00_narrow", 1), ("01_narrow", 1), ("02_narrow", 1), ("03_wide", cpu_cores())):
        course.add(id_, note.format(id_), cores=cores)
    course.run("--jobs", "2")
    (first, threads), *others = (line.split() for line in seen.read_text().splitlines())
    assert (first, int(threads)) == ("03_wide", cpu_cores())
    assert others[-1][0] == "00_narrow"  # the course's first ones are short: they fill the gap at the end
    assert {int(threads) for _, threads in others} == {max(1, cpu_cores() // 2)}
    seen.unlink()
    course.run("--jobs", "2", "--only", "01", "--force")
    assert seen.read_text().split() == ["01_narrow", str(cpu_cores())]


def test_list(course: Course):
    course.add("01_build", "1", parameters="steps: int = 3", cores=2)
    said = course.run("--list").stdout
    assert "01_build  Lesson 01_build  (2 cores)" in said and "steps: int = 3" in said


def test_seeds_get_folders_of_their_own_and_make_bands(course, monkeypatch, tmp_path, capsys):
    """In this process, for the sake of `data/`: the real bands must not be written over."""
    from labkit.batch import cli
    from labkit.report import bands

    recorded = (
        "from labkit.profile import resolve\nfrom labkit.report.record import Record\n"
        "Record('01_x', resolve(PROFILE, SOURCE, SEED)).metric('loss', 3 + SEED)"
    )
    course.add("01_x", recorded)
    monkeypatch.setenv("LABKIT_NOTEBOOKS", str(course.notebooks))
    monkeypatch.setattr(bands, "headlines", lambda: {"01_x/loss": "the loss"})
    monkeypatch.setattr(bands, "REFERENCE", tmp_path / "reference")
    assert cli.main(["--profile", "smoke", "--out", str(course.out), "--seeds", "3", "--jobs", "1"]) == 0
    assert "reference/smoke.json" in capsys.readouterr().out.replace("\n", "")
    assert (course.out / "seed-2" / "smoke" / "index.html").exists()
    band = bands.reference("smoke")["01_x/loss"]
    assert (band.mean, band.n) == (4, 3)
