"""What a notebook calls before it does anything: whether it fits here, and, in a dry run, whether every part works."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from labkit.preflight.fit import Fit, Machine, fit
from labkit.preflight.footprint import footprint
from labkit.preflight.parts import PARTS, Part
from labkit.preflight.rehearsal import rehearse
from labkit.profile import Lab, LabError
from labkit.report.record import Record


class DryRunEnds(Exception):
    """Raised where a dry run is done, so that no cell after it begins the real work; it is no error."""

    def _render_traceback_(self) -> list[str]:
        """What Jupyter shows in place of a traceback."""
        return [str(self)]


def preflight(notebook: str, lab: Lab, dry_run: bool = False) -> None:
    """Show what the parts of `notebook` need and how long they take here; nothing below the full profile.

    Raises `LabError` if one doesn't fit into this machine's memory, or all take longer than the profile allows, with
    what to do. A dry run refuses nothing: it takes two steps of every part, records what it found in results of its
    own, and ends the notebook with `DryRunEnds`.
    """
    if lab.profile.name != "full":
        if dry_run:
            raise LabError("a dry run rehearses the full profile: set PROFILE=full, or dry_run=False")
        return
    from IPython.display import display

    machine, parts = Machine.this(), PARTS[notebook[:2]]
    fits = [fit(part, footprint(part), machine) for part in parts]
    table = pd.DataFrame(map(_row, parts, fits)).set_index("part")
    if dry_run:
        record = Record(notebook, replace(lab, dry_run=True))
        record.table(table, "needs")
        rehearsed = pd.DataFrame(map(rehearse, parts)).set_index("part")
        record.table(rehearsed.round(3), "rehearsed")
        record.metric("parts_rehearsed", len(parts), unit="parts")
        raise DryRunEnds(f"dry run: {len(parts)} of {len(parts)} parts of {notebook} ran; set dry_run=False to train")
    display(table)
    refuse(notebook, parts, fits, machine, 60 * lab.profile.limit_minutes)


def refuse(notebook: str, parts: tuple[Part, ...], fits: list[Fit], machine: Machine, limit: float) -> None:
    """Raise `LabError` if something doesn't fit into memory, or all of it into `limit` seconds."""
    for part, found in zip(parts, fits, strict=True):
        if not found.pieces:
            spread = ", or several of them" if part.spread == "fsdp" else ""
            raise LabError(
                f"{notebook}: {part.name} needs {found.memory / 1e9:.0f} GB even row by row, and {machine.name} has "
                f"{machine.memory / 1e9:.0f}: take a GPU with {found.memory / 1e9:.0f} GB or more{spread}, or "
                "PROFILE=laptop, which shows the same on a small model"
            )
    seconds = sum(found.seconds for found in fits)
    if seconds > limit:
        raise LabError(
            f"{notebook} would train for {seconds / 3600:,.0f} hours on {machine.name}, and the profile allows "
            f"{limit / 3600:.0f}: take a GPU, or more of them, or PROFILE=laptop"
        )


def _row(part: Part, found: Fit) -> dict[str, object]:
    return {"part": part.name, "parameters": part.parameters, "trained": part.n_trained,
            "memory [GB]": round(found.memory / 1e9, 1), "fits": bool(found.pieces), "levers": found.levers,
            "hours": round(found.seconds / 3600, 2)}  # fmt: skip
