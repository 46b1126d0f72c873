"""Whatever happens to the machine, the last good model loads. The faults are real: kills, limits, flipped bits."""

from __future__ import annotations

import errno
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labkit import registry as module
from labkit.profile import LabError
from labkit.registry import Registry, regressions

SAVE = """
import os, signal, sys
from pathlib import Path
from labkit.registry import Registry

def save(text):
    def write(folder):
        (folder / "tokenizer").mkdir()
        (folder / "tokenizer" / "vocab.json").write_text("{}")
        (folder / "adapter.bin").write_text(text)
    return write

os.fsync = lambda descriptor: None  # for a power cut, which is not what these tests are about
registry = Registry(Path(sys.argv[1]))
"""


def save(text: str):
    """Writes a model that says `text`, with a file in a folder below, as a tokenizer's may be."""

    def write(folder):
        (folder / "tokenizer").mkdir()
        (folder / "tokenizer" / "vocab.json").write_text("{}")
        (folder / "adapter.bin").write_text(text)

    return write


def loaded(registry: Registry) -> str:
    """What the last good model says, if it is whole."""
    folder = registry.last_good()
    assert (folder / "tokenizer" / "vocab.json").read_text() == "{}"
    return (folder / "adapter.bin").read_text()


def child(code: str, folder, **streams) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", SAVE + code, str(folder)], text=True, **streams)


@pytest.fixture
def registry(tmp_path):
    """Three versions; v1 and v2 were promoted, v2 is live."""
    made = Registry(tmp_path / "registry", warn=pytest.fail)
    for text, score in (("one", 0.7), ("two", 0.8), ("three", 0.75)):
        made.add(save(text), {"tone": score, "topic": 0.9}, f"the {text}")
        if text != "three":
            made.promote(made.versions()[-1]["name"])
    return made


def test_versions_know_what_they_are(registry):
    names, parents = zip(*((v["name"], v["parent"]) for v in registry.versions()), strict=True)
    assert (names, parents) == (("v1", "v2", "v3"), (None, "v1", "v2"))
    last = registry.versions()[-1]
    assert (last["note"], last["metrics"]["tone"]) == ("the three", 0.75) and last["when"].startswith("20")
    assert sorted(last["sha256"]) == ["adapter.bin", "tokenizer/vocab.json"]
    assert registry.live() == "v2" and loaded(registry) == "two"
    assert (registry.path("v3") / "adapter.bin").read_text() == "three"


def test_ten_comes_after_nine_and_no_number_is_given_twice(registry):
    """As text "v10" is older than "v9"; a name given twice would turn the way back into the way to another model."""
    for n in range(4, 11):
        assert registry.add(save(str(n)), {}) == f"v{n}"
    registry.promote("v10")
    shutil.rmtree(registry.folder / "v10")
    assert registry.add(save("new"), {}) == "v11"
    assert [v["name"] for v in registry.versions()][-2:] == ["v9", "v11"]


def test_the_way_back_is_the_way_that_was_taken(registry):
    """Not by number, and not back to what was rolled back."""
    registry.promote("v1")
    registry.promote("v1")
    registry.promote("v3")
    assert [registry.rollback(), registry.rollback(), registry.rollback()] == ["v1", "v2", "v1"]
    with pytest.raises(LabError, match="no intact promoted version"):
        registry.rollback()
    assert registry.live() == "v1"


def test_nothing_is_live_before_the_first_promotion(tmp_path):
    registry = Registry(tmp_path)
    registry.add(save("one"), {})
    assert registry.live() is None
    with pytest.raises(LabError, match="promote"):
        registry.last_good()
    with pytest.raises(LabError, match=r"v7.*missing"):
        registry.promote("v7")
    with pytest.raises(LabError, match="no files"):
        registry.add(lambda folder: None, {})
    with pytest.raises(ValueError, match="nan"):
        registry.add(save("two"), {"tone": float("nan")})
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["v1"]


def test_a_regression_is_named_and_not_promoted(registry):
    assert registry.promote_if_no_worse("v3", tolerance=0.01) == {"tone": pytest.approx(0.05)}
    assert registry.live() == "v2"
    assert registry.promote_if_no_worse("v3", tolerance=0.06) == {} and registry.live() == "v3"


scores = st.dictionaries(st.sampled_from("abc"), st.floats(0, 1, width=32))


@given(scores, scores, st.floats(0, 0.5))
def test_no_test_gets_worse_unnoticed(old, new, tolerance):
    """One that was left out, or gave NaN, least of all."""
    worse = regressions(old, new, tolerance)
    assert worse.keys() == {t for t in old if t not in new or old[t] - new[t] > tolerance}
    assert regressions(old, old) == {} and regressions({"a": 0.5}, {"a": float("nan")}).keys() == {"a"}


# Damage


def flip(path, at: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 1 << bit
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["model/adapter.bin", "model/tokenizer/vocab.json", "metrics.json"])
def test_a_damaged_version_is_named_and_the_one_before_it_loads(registry, name):
    registry.promote("v3")
    flip(registry.folder / "v3" / name, 5)
    (registry.folder / "v2" / "model" / "adapter.bin").unlink()
    with pytest.raises(LabError, match=rf"v3/{name} is missing or damaged: restore"):
        registry.path("v3")
    with pytest.raises(LabError, match="damaged"):
        registry.promote("v3")
    said: list[str] = []
    registry.warn = said.append
    assert loaded(registry) == "one" and registry.live() == "v3"
    assert f"v3/{name} is missing" in said[0] and "v2/model/adapter.bin is missing" in said[1]
    assert registry.rollback() == "v1" and registry.live() == "v1"
    flip(registry.folder / "v1" / "model" / "adapter.bin", 0)
    with pytest.raises(LabError, match=r"no intact promoted version.*promote another"):
        registry.last_good()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10), st.integers(0, 10_000), st.integers(0, 7))
def test_no_flipped_bit_makes_another_model_live(registry, which, at, bit):
    """ "v2" and "v3" differ in one bit. What loads is what was promoted, whole, and never what wasn't."""
    paths = sorted(path for path in registry.folder.rglob("*") if path.is_file() and path.name != ".lock")
    path = paths[which % len(paths)]
    whole = path.read_bytes()
    said: list[str] = []
    registry.warn = said.append
    flip(path, at, bit)
    try:
        text = loaded(registry)
        assert text in ("one", "two") and (text == "two" or said)
    finally:
        path.write_bytes(whole)


def test_the_first_promotion_has_a_spare_too(tmp_path):
    registry = Registry(tmp_path, warn=lambda _: None)
    registry.promote(registry.add(save("one"), {}))
    flip(tmp_path / "live.json", 30)
    assert loaded(registry) == "one"
    flip(tmp_path / "live.before.json", 30)
    with pytest.raises(LabError, match=r"live.json and its spare are lost: delete it, and promote"):
        registry.last_good()
    (tmp_path / "live.json").unlink()
    registry.promote("v1")
    assert loaded(registry) == "one"


def test_after_a_rollback_the_spare_leads_nowhere_worse(registry):
    registry.rollback()
    flip(registry.folder / "live.json", 30)
    registry.warn = lambda _: None
    assert loaded(registry) == "one"


# A full disk


@pytest.fixture
def full_disk():
    """The system refuses to let any file grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("limit", [0, 3, 100])
def test_a_full_disk_leaves_the_live_version_live(registry, full_disk, limit):
    """At the model's file, and at the small ones around it."""
    before = sorted(registry.folder.rglob("*"))
    full_disk(limit)
    for attempt in (lambda: registry.add(save("x" * 50), {}), lambda: registry.promote("v3"), registry.rollback):
        with pytest.raises(LabError, match=r"can't be written \(.*\): make room; live is v2"):
            attempt()
    full_disk(resource.RLIM_INFINITY)
    assert registry.live() == "v2" and loaded(registry) == "two"
    assert [path for path in sorted(registry.folder.rglob("*")) if path.suffix != ".partial"] == before
    assert registry.add(save("four"), {}) == "v4"
    registry.promote("v4")
    assert loaded(registry) == "four"


@pytest.mark.parametrize("nth", range(1, 8))
def test_a_disk_that_reports_late_that_it_is_full(registry, monkeypatch, nth):
    """Some file systems take all that is written, and say so only when it is flushed."""
    calls = iter(range(1, 100))

    def fsync(descriptor):
        if next(calls) == nth:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(LabError, match="No space left"):
        registry.add(save("four"), {})
        registry.promote("v3")
        registry.promote("v1")
    assert loaded(registry) == {"v1": "one", "v2": "two", "v3": "three"}[registry.live()]


def test_all_is_flushed_before_it_counts(registry, monkeypatch):
    """A power cut may leave the new name on an empty file else."""
    flushed: set[int] = set()
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.add(os.fstat(descriptor).st_ino))
    moved = []

    def checked(move):
        def moves(source, target):
            assert {path.stat().st_ino for path in (source, *source.rglob("*"))} <= flushed
            move(source, target)
            flushed.discard(target.parent.stat().st_ino)
            moved.append(target)

        return moves

    monkeypatch.setattr(os, "rename", checked(os.rename))
    monkeypatch.setattr(os, "replace", checked(os.replace))
    registry.promote(registry.add(save("four"), {}))
    assert [path.name for path in moved] == ["metrics.json", "v4", "live.before.json", "live.json"]
    assert registry.folder.stat().st_ino in flushed


# Killed processes

KILLED = """
import shutil

def kill(event, args):
    global left
    if event in ("open", "os.rename", "os.mkdir", "os.rmdir", "os.remove") and "registry" in str(args[0]):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

for step in range(200):
    copy = registry.folder.parent / f"{step}" / "registry"
    shutil.copytree(registry.folder, copy)
    if not (pid := os.fork()):
        left = step
        sys.addaudithook(kill)
        killed = Registry(copy)
        killed.promote(killed.add(save("four"), {}))
        killed.rollback()
        os._exit(0)
    if os.waitpid(pid, 0)[1] == 0:
        break
"""


def test_killed_at_every_step(registry, monkeypatch):
    """Before each single opening, making, renaming and removing: while adding, promoting and rolling back."""
    assert child(KILLED, registry.folder).wait() == 0
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    copies = [path / "registry" for path in registry.folder.parent.iterdir() if path.name.isdecimal()]
    seen = set()
    for copy in copies:
        after = Registry(copy, warn=pytest.fail)
        assert (loaded(after), after.live()) in {("two", "v2"), ("four", "v4")}
        seen.add(after.live())
        names = [v["name"] for v in after.versions()]
        assert all(after.path(name) for name in names) and names in (["v1", "v2", "v3"], ["v1", "v2", "v3", "v4"])
        after.promote(after.add(save("five"), {}))
        assert loaded(after) == "five" and not (copy / ".partial").exists()
    assert 20 < len(copies) < 200 and seen == {"v2", "v4"}


FOREVER = """
while True:
    name = f"v{len(registry.versions()) + 1}"
    registry.promote(registry.add(save(name), {}))
    print(name, flush=True)
"""


def test_killed_at_random_moments(registry):
    """Each life goes on from where the last one was cut off; also while a file is half-written."""
    dice = random.Random(0)
    for _ in range(8):
        busy = child(FOREVER, registry.folder, stdout=subprocess.PIPE)
        said = [busy.stdout.readline().strip()]
        time.sleep(dice.uniform(0, 0.05))
        busy.kill()
        said += busy.stdout.read().split()
        assert busy.wait() == -signal.SIGKILL
        assert loaded(registry) == registry.live() in (said[-1], f"v{int(said[-1][1:]) + 1}")


# Two processes

TAKE_TURNS = """
for _ in range(6):
    registry.promote(registry.add(save("child"), {}))
    registry.promote("v1")
"""


def test_processes_wait_for_each_other_and_none_s_work_is_lost(registry):
    """Three writers, and a reader that needs no lock."""
    writers = [child(TAKE_TURNS, registry.folder) for _ in range(3)]
    reads = 0
    while any(writer.poll() is None for writer in writers):
        assert loaded(registry) in ("one", "two", "child")
        reads += 1
    assert [writer.returncode for writer in writers] == [0, 0, 0] and reads > 10
    names = [v["name"] for v in registry.versions()]
    assert names == [f"v{n}" for n in range(1, 3 + 18 + 1)]
    back = [registry.rollback() for _ in range(10)]
    assert set(names) > set(back) > {"v1"}


COMPARED = """
name = registry.add(save("child"), {"tone": float(sys.argv[2]), "topic": 0.9})
print(flush=True)
sys.stdin.readline()
print(registry.promote_if_no_worse(name))
"""


def test_the_second_of_two_is_compared_with_the_first(registry):
    """Both are better than v2 and were ready at once: promoted blindly, the worse would win if it came last."""
    writers = []
    for score in (0.875, 1.0):
        code = f"sys.argv.append('{score}')" + COMPARED
        writers.append(child(code, registry.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        writers[-1].stdout.readline()
    assert writers[1].communicate("go\n")[0].strip() == "{}"
    assert "'tone': 0.125" in writers[0].communicate("go\n")[0] and registry.live() == "v5"


HOLD = """
with registry._alone():
    print(flush=True)
    sys.stdin.readline()
"""


def test_who_waits_too_long_is_told(registry, monkeypatch):
    """And the lock of a killed process is free."""
    holder = child(HOLD, registry.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    holder.stdout.readline()
    monkeypatch.setattr(module, "WAIT", 0.2)
    with pytest.raises(LabError, match=r"another process has held .* wait for it"):
        registry.promote("v3")
    assert loaded(registry) == "two"
    holder.kill()
    holder.wait()
    registry.promote("v3")
    assert loaded(registry) == "three"
