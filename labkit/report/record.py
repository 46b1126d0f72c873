"""What a notebook leaves: metrics with their provenance, figures with their descriptions, tables.

    record = Record("02_pretrain_ddp", lab)
    record.metric("val_loss", 3.21, unit="nats/token", n=65_536, ci95=[3.19, 3.23])
    record.figure(fig, "loss_curve", alt="Training loss falls from 9.0 to 3.3 nats a token …")
    record.table(rows, "samples")

Everything lands in `<results>/<notebook>/` the moment it is recorded, in files that are whole or not there,
so an interrupted notebook loses nothing. The report is built from these files alone. The cost:
`metrics.json` is rewritten at every call, which is nothing for dozens of metrics and wrong for thousands
(training curves belong in a table).
"""

from __future__ import annotations

import base64
import dataclasses
import math
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.files import write_bytes_atomic, write_json_atomic, write_text_atomic
from labkit.profile import Lab, LabError
from labkit.report import figures, provenance

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class Record:
    """The results of one run of one notebook. Making one starts afresh: what the last run left is removed."""

    def __init__(self, notebook: str, lab: Lab) -> None:
        self.notebook = _name("notebook", notebook)
        self.folder = lab.results / notebook
        self._started = time.monotonic()
        self._figures = 0
        self._content: dict[str, Any] = {
            "notebook": notebook,
            "profile": lab.profile.name,
            "source": lab.source,
            "seed": lab.seed,
            "metrics": {},
            "provenance": {
                "git": provenance.git_commit(),
                "versions": provenance.versions(),
                "hardware": provenance.hardware(),
                "data": {},
            },
        }
        for kind in ("figures", "tables"):
            shutil.rmtree(self.folder / kind, ignore_errors=True)
        figures.use_style()
        self._write()

    def metric(
        self,
        name: str,
        value: Any,
        unit: str = "",
        n: int | None = None,
        ci95: Sequence[float] | None = None,
    ) -> None:
        """Keep one number (or text, or yes/no); the same name again replaces it.

        `unit` is what the value counts ("nats/token", "s"; "" for a fraction), `n` on how many things it was
        measured, `ci95` its 95 % interval as `[low, high]`. Scalars of numpy and torch are converted.
        Raises `LabError` for a NaN or an infinity, and for what isn't a scalar.
        """
        where = f"metric {_name('metric', name)!r}"
        interval = None if ci95 is None else [_scalar(bound, f"ci95 of {where}") for bound in ci95]
        if interval is not None and (len(interval) != 2 or not interval[0] <= interval[1]):
            raise LabError(f"ci95 of {where} is {ci95!r}: give [low, high] with low ≤ high, or None")
        self._content["metrics"][name] = {
            "value": _scalar(value, where),
            "unit": unit,
            "n": None if n is None else _scalar(n, f"n of {where}"),
            "ci95": interval,
        }
        self._write()

    def figure(self, fig: Figure, name: str, alt: str) -> None:
        """Show `fig` here, keep it as SVG and PNG, and close it.

        `alt` is for readers who cannot see it: what the figure shows, with the numbers that matter.
        Raises `LabError` if it is missing or repeats the title, or if the title or an axis label is missing.
        """
        from IPython.display import display
        from matplotlib import pyplot as plt

        alt = " ".join(alt.split())
        stem = self.folder / "figures" / _name("figure", name)
        figures.check(fig, alt)
        png = figures.render(fig, "png")
        write_bytes_atomic(stem.with_name(f"{name}.svg"), figures.render(fig, "svg"))
        write_bytes_atomic(stem.with_name(f"{name}.png"), png)
        self._figures += 1
        sidecar = {"title": figures.title_of(fig), "alt": alt, "number": self._figures}
        write_json_atomic(stem.with_name(f"{name}.json"), sidecar)
        # The PNG has twice the pixels of the screen; the width keeps the text at its intended size.
        shown = {"alt": alt, "width": round(fig.get_size_inches()[0] * 100)}
        data = {"image/png": base64.b64encode(png).decode(), "text/plain": f"Figure: {alt}"}
        display(data, raw=True, metadata={"image/png": shown})
        plt.close(fig)
        self._write()

    def table(self, rows: pd.DataFrame | Sequence[Mapping[str, Any]], name: str) -> None:
        """Show `rows` (a DataFrame, or one dict a row) as a table and keep it as CSV.

        An index is kept if it says something, that is, unless it merely numbers the rows.
        """
        import pandas as pd
        from IPython.display import display

        frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
        if frame.empty:
            raise LabError(f"table {name!r} has no rows: record it after they are filled in")
        counted = isinstance(frame.index, pd.RangeIndex)
        csv = frame.to_csv(index=not counted, lineterminator="\n")
        write_text_atomic(self.folder / "tables" / f"{_name('table', name)}.csv", csv)
        with pd.option_context("display.max_colwidth", None):  # samples of text are not to be cut
            display(frame)
        self._write()

    def data(self, **facts: Any) -> None:
        """Keep facts about the data (documents, tokens, hash, whether it is synthetic) for the provenance.

        `record.data(webtext=corpus.stats)`: mappings, dataclasses, lists and scalars are taken, at any depth.
        """
        for name, fact in facts.items():
            self._content["provenance"]["data"][name] = _plain(fact, f"data {name!r}")
        self._write()

    def _write(self) -> None:
        cost = {
            "seconds": round(time.monotonic() - self._started, 2),
            "peak_rss_mb": provenance.peak_rss_mb(),
        }
        content = self._content | {"provenance": self._content["provenance"] | cost}
        write_json_atomic(self.folder / "metrics.json", content)


def _name(kind: str, name: str) -> str:
    """`name` if it can be a file name and a key everywhere; `LabError` otherwise."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", str(name)):
        raise LabError(f"{kind} name {name!r}: use letters, digits, '_', '-' and '.', such as 'val_loss'")
    return name


def _scalar(value: Any, where: str) -> int | float | str | bool:
    """`value` as a plain Python scalar; `LabError` if it is none or isn't finite."""
    if hasattr(value, "item"):
        try:
            value = value.item()
        except (ValueError, RuntimeError) as error:
            raise LabError(f"{where} holds many values: record one of them, or their mean") from error
    if not isinstance(value, (bool, int, float, str)):
        raise LabError(f"{where} is a {type(value).__name__}: give a number, a text, True or False")
    if isinstance(value, float) and not math.isfinite(value):
        raise LabError(
            f"{where} is {value}: nothing follows from it. Find where it arises (a mean over nothing? a "
            "learning rate that is too high?), or record a text that says why there is no number"
        )
    return value


def _plain(fact: Any, where: str) -> Any:
    """`fact` with its containers and scalars as those of JSON."""
    if dataclasses.is_dataclass(fact) and not isinstance(fact, type):
        fact = dataclasses.asdict(fact)
    if isinstance(fact, Mapping):
        return {str(key): _plain(value, f"{where}, {key!r}") for key, value in fact.items()}
    if isinstance(fact, (list, tuple)):
        return [_plain(value, where) for value in fact]
    if isinstance(fact, Path):
        return str(fact)
    return None if fact is None else _scalar(fact, where)
