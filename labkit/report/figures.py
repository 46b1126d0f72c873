"""Figures: one style, and files that are equal, byte for byte, when the figures are.

The style (`lab.mplstyle`) uses Okabe and Ito's colours with a marker and a dash pattern for each, so that no
line is told by its colour alone. A figure is refused unless a reader who cannot see it, or who meets it
without the notebook, still understands it: it needs a title, a label on every axis, and a description in
words. `matplotlib` is imported inside functions, so that building the index page doesn't pay for it.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.profile import LabError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, for when a colour must be named: the same thing, the same colour in every figure.
BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK, YELLOW = "#E69F00", "#56B4E9", "#000000", "#F0E442"

STYLE = Path(__file__).with_name("lab.mplstyle")


def use_style() -> None:
    """Make the course's style the default of every figure drawn from now on in this process."""
    import matplotlib.pyplot as plt

    plt.style.use(STYLE)


def title_of(fig: Figure) -> str:
    """The figure's own title on one line: its suptitle, else the first title of its axes, else ""."""
    titles = [fig.get_suptitle()]
    titles += [ax.get_title(loc) for ax in fig.axes for loc in ("left", "center", "right")]
    return " ".join(next((t for t in titles if t.strip()), "").split())


def check(fig: Figure, alt: str) -> None:
    """Raise `LabError`, naming all that is missing, unless `fig` has a title, axis labels and a description.

    `alt` is what a reader hears instead of seeing the figure, so it must say more than the title does.
    """
    title = title_of(fig)
    faults = []
    if not title:
        faults.append("it has no title: use ax.set_title(…) or fig.suptitle(…)")
    if not alt.strip():
        faults.append("alt is empty: say in a sentence or two what the figure shows")
    elif _words(alt) == _words(title):
        faults.append("alt repeats the title: say what a reader would see, with the numbers that matter")
    if title and _too_wide(fig):
        faults.append("its title is wider than the figure: shorten it, or break it into two lines")
    faults += [
        f"{_name(ax)} has no {axis} label: use ax.set_{axis}label('what it is [unit]')"
        for ax in fig.axes
        for axis in ("x", "y")
        if not _labelled(ax, axis)
    ]
    if faults:
        raise LabError("this figure can't be kept: " + "; ".join(faults))


def _too_wide(fig: Figure) -> bool:
    """Whether the end of a title would be cut off at the edge of `fig`."""
    fig.draw_without_rendering()  # lays it out
    texts = [t for ax in fig.axes for t in (ax.title, ax._left_title, ax._right_title)]
    return any(t.get_text() and t.get_window_extent().x1 > fig.bbox.x1 + 1 for t in texts)


def _words(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())


def _name(ax: Axes) -> str:
    return f"axes {ax.figure.axes.index(ax) + 1}"


def _labelled(ax: Axes, axis: str) -> bool:
    """Whether `axis` of `ax` has a name: of its own, or of the axes it is shared with, or needs none."""
    if not ax.get_visible() or not ax.axison or not len(getattr(ax, f"get_{axis}ticks")()):
        return True
    if getattr(ax.figure, f"get_sup{axis}label")().strip():
        return True
    siblings = getattr(ax, f"get_shared_{axis}_axes")().get_siblings(ax)
    return any(getattr(a, f"get_{axis}label")().strip() for a in siblings)


def render(fig: Figure, kind: str) -> bytes:
    """`fig` as the bytes of an "svg" or "png" file, the same every time: no date, no program's name."""
    unnamed = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}
    stream = io.BytesIO()
    fig.savefig(stream, format=kind, metadata=unnamed[kind])
    return stream.getvalue()
