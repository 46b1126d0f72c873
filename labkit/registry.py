"""Versions of a model on disk, which of them is live, and the way back.

    registry = Registry(lab.results / "registry")
    name = registry.add(lambda folder: save_adapter(model, folder), {"tone": 0.84}, "after a week of feedback")
    registry.promote(name)                                         # or promote_if_no_worse(name, tolerance=0.01)
    model = load_adapter(backbone, registry.last_good())           # back to the version before it: registry.rollback()

    v1/model/…  v1/metrics.json       what was saved; its scores, parent, date, note, and the SHA-256 of every file
    live.json   live.before.json      the promoted versions, the live one last; a spare copy, less the last promotion

Whatever happens, the last good model loads. A version is written aside, flushed and renamed; so is live.json: a kill or
a full disk in between changes nothing. A JSON file carries a checksum of itself: no flipped bit makes another version
live. One process writes at a time; others wait, then work on what it left. Readers need no lock. The cost: what is
loaded is read once more before, to check it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from labkit.profile import LabError

WAIT = 60.0  # seconds, for another process to finish; to save a model takes a few
LIVE, SPARE, METRICS = "live.json", "live.before.json", "metrics.json"


def regressions(old: Mapping[str, float], new: Mapping[str, float], tolerance: float = 0.0) -> dict[str, float]:
    """By how much each old test's score (more is better) fell, where that is more than `tolerance`.

    A test that wasn't run again fell by infinity. Scores of few examples differ by chance: see `intervals`.
    """
    falls = {test: score - new.get(test, float("-inf")) for test, score in old.items()}
    return {test: fall for test, fall in falls.items() if not fall <= tolerance}  # NaN is no pass


class Registry:
    """The versions in one folder. What can't be done raises `LabError`; damage passed over is told to `warn`."""

    def __init__(self, folder: Path, warn: Callable[[str], None] = print) -> None:
        self.folder, self.warn = Path(folder), warn
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.folder / ".lock")

    def add(self, save: Callable[[Path], object], metrics: Mapping[str, float], note: str = "") -> str:
        """Let `save` fill an empty folder, and keep it as the next version, not live yet; its name.

        `metrics` are scores, more is better; a NaN raises `ValueError`.
        """
        with self._alone():
            model = (partial := self.folder / ".partial") / "model"
            shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed: only one writes at a time
            model.mkdir(parents=True)
            try:
                save(model)
                paths = sorted([model, *model.rglob("*")])
                for path in paths:
                    _flush(path)
                sha256 = {path.relative_to(model).as_posix(): _sha256(path) for path in paths if path.is_file()}
                if not sha256:
                    raise LabError("a version has no files: save(folder) must write the model into its folder")
                name = f"v{1 + max([0, *(int(name[1:]) for name in [*self._names(), *self._promoted()])])}"
                about = {"name": name, "parent": self.live(), "when": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"}
                _write_sealed(partial / METRICS, {**about, "note": note, "metrics": dict(metrics), "sha256": sha256})
                os.rename(partial, self.folder / name)
                _flush(self.folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        return name

    def versions(self) -> list[dict[str, Any]]:
        """Name, parent (then live), when (UTC), note, metrics and sha256 of each version, the oldest first."""
        return [about for name in self._names() if (about := self._unless_damaged(self._about, name))]

    def path(self, version: str) -> Path:
        """The folder that `save` filled. Raises `LabError` if there is no such version, or a file isn't as it was."""
        model = self.folder / version / "model"
        for name, digest in self._about(version)["sha256"].items():
            if not (file := model / name).is_file() or _sha256(file) != digest:
                raise LabError(f"{file} is missing or damaged: restore it from a copy, or take last_good()")
        return model

    def live(self) -> str | None:
        """The version promoted last, whatever became of its files; None if there is none yet."""
        return (self._promoted() or [None])[-1]

    def last_good(self) -> Path:
        """The folder of the live version; if it is damaged, `warn` is told, and it is the one promoted before it."""
        return self.folder / self._intact(self._promoted())[-1] / "model"

    def promote(self, version: str) -> None:
        """Make a version the live one. Raises `LabError`, as `path` does, if it isn't intact."""
        with self._alone():
            self.path(version)
            if version != self.live():
                self._point([*self._promoted(), version])

    def promote_if_no_worse(self, version: str, tolerance: float = 0.0) -> dict[str, float]:
        """Promote unless there are `regressions` from the metrics of the live version; these are returned.

        Nobody can promote in between: of two processes the second is compared with what the first made live.
        """
        with self._alone():
            old = self._about(live)["metrics"] if (live := self.live()) else {}
            if not (worse := regressions(old, self._about(version)["metrics"], tolerance)):
                self.promote(version)
        return worse

    def rollback(self) -> str:
        """Make live what was promoted before, and is intact; its name. Raises `LabError` if there is nothing."""
        with self._alone():
            self._point(earlier := self._intact(self._promoted()[:-1]))
        return earlier[-1]

    def _point(self, promoted: list[str]) -> None:
        agreed = min(self._promoted(), promoted, key=len) or promoted
        _write_sealed(self.folder / SPARE, {"promoted": agreed})
        _write_sealed(self.folder / LIVE, {"promoted": promoted})

    def _promoted(self) -> list[str]:
        """The promoted versions, less those rolled back, the live one last."""
        if not (self.folder / LIVE).exists():
            return []
        for name in (LIVE, SPARE):
            if content := self._unless_damaged(_read_sealed, self.folder / name):
                return content["promoted"]
        raise LabError(f"{self.folder / LIVE} and its spare are lost: delete it, and promote the version you trust")

    def _intact(self, promoted: list[str]) -> list[str]:
        """Less the damaged ones at the end."""
        for n in range(len(promoted), 0, -1):
            if self._unless_damaged(self.path, promoted[n - 1]):
                return promoted[:n]
        raise LabError(f"{self.folder} has no intact promoted version to go to: promote another, or add one")

    def _unless_damaged(self, read: Callable[[Any], Any], what: Any) -> Any:
        try:
            return read(what)
        except (LabError, OSError) as error:
            self.warn(f"warning: {error}")

    def _names(self) -> list[str]:
        names = (path.name for path in self.folder.glob("v*") if path.name[1:].isdecimal())
        return sorted(names, key=lambda name: int(name[1:]))

    def _about(self, version: str) -> dict[str, Any]:
        return _read_sealed(self.folder / version / METRICS)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            with self._lock.acquire(timeout=WAIT):
                yield
        except Timeout:
            raise LabError(f"another process has held {self.folder} for {WAIT:g} s: wait for it, or end it") from None
        except OSError as error:
            raise LabError(f"{self.folder} can't be written ({error}): make room; live is {self.live()}") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_sealed(path: Path, content: dict[str, Any]) -> None:
    """Write JSON with a checksum of itself; a kill leaves the old file or the new one, and so does a power cut."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps({**content, "seal": _seal(content)}, indent=2, allow_nan=False) + "\n")
    _flush(partial)
    os.replace(partial, path)
    _flush(path.parent)


def _read_sealed(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError, KeyError):
        content = json.loads(path.read_text())
        if content.pop("seal") == _seal(content):
            return content
    raise LabError(f"{path} is missing or damaged: restore it from a copy, or take last_good()")


def _seal(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
