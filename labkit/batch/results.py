"""The results folder as the runner keeps it: where every file is, and those it writes, each in one step.

A notebook that ended well leaves a sidecar `NN_x.run.json`, and the sidecar is the cache: there is no other
state. It goes when the notebook starts again, so a run cut off at any moment leaves nothing that looks good.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from labkit.batch.keys import Ingredients
from labkit.batch.outcome import Row
from labkit.files import write_json_atomic


@dataclass(frozen=True)
class Sidecar:
    """What is kept of a notebook that ended well."""

    key: str
    ingredients: Ingredients
    seconds: float
    peak_rss_mb: float
    finished: str


@dataclass(frozen=True)
class Results:
    """The results of one profile and source."""

    folder: Path

    def of(self, notebook: str, ending: str) -> Path:
        """A file of the notebook by its ending: "ipynb", "html", "log", "run.json" or "partial.ipynb"."""
        return self.folder / "notebooks" / f"{notebook}.{ending}"

    @property
    def index(self) -> Path:
        """The page to open."""
        return self.folder / "index.html"

    def sidecar(self, notebook: str) -> Sidecar | None:
        """What is known of the notebook's good result; None if there is none, or half of one."""
        if not self.of(notebook, "ipynb").is_file():
            return None
        try:
            return Sidecar(**json.loads(self.of(notebook, "run.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def save_sidecar(self, notebook: str, sidecar: Sidecar) -> None:
        """Declare the notebook's result good."""
        write_json_atomic(self.of(notebook, "run.json"), dataclasses.asdict(sidecar))

    def drop_sidecar(self, notebook: str) -> None:
        """Declare the notebook's result not good: it is about to change."""
        self.of(notebook, "run.json").unlink(missing_ok=True)

    def rows(self) -> list[Row]:
        """What `run.json` says of earlier runs, where it can be read."""
        try:
            raw = json.loads((self.folder / "run.json").read_text(encoding="utf-8"))
            return [Row(**row) for row in raw["notebooks"]]
        except (OSError, ValueError, TypeError, KeyError):
            return []

    def save_rows(self, profile: str, source: str, seconds: float, rows: Iterable[Row]) -> None:
        """Write `run.json`."""
        run = {"profile": profile, "source": source, "seconds": round(seconds, 1)}
        write_json_atomic(self.folder / "run.json", {**run, "notebooks": [dataclasses.asdict(row) for row in rows]})
