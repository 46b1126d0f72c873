"""Figures to read: made from seeds, so that what there is to see in them is computed, not written down twice.

    fig, alt = draw_runs()      # notebook 04: four runs, each with a curve of another kind
    fig, alt = draw_systems()   # notebook 06: five systems, against a sixth on the same papers

The alternative text has every number that a reader of the figure could take from it, so the exercise can be done
without seeing. **Designed in:** one run overfits, one diverges, one isn't done, one is; of the systems, two are told
from the sixth only by pairs, two can't be told, one is seen from afar.
"""

from __future__ import annotations

import math
from functools import cache
from statistics import fmean, stdev
from typing import TYPE_CHECKING

import numpy as np

from labkit.report.figures import BLACK, BLUE, VERMILLION

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = tuple(range(0, 1001, 100))
Losses = tuple[list[float], list[float]]  # training and validation, in nats a token, at each of STEPS
Interval = tuple[float, float, float]  # low, mean, high


@cache
def runs() -> dict[str, Losses]:
    """Four runs of the same model, by letter."""
    t = np.array(STEPS) / 1000
    falls = 1.5 + 3 * np.exp(-6 * t)
    shapes = {
        "A": (0.5 + 4 * np.exp(-5 * t), falls + 0.1 + 2.2 * np.clip(t - 0.4, 0, None)),
        "B": (4.5 - 1.9 * t, 4.6 - 1.8 * t),
        "C": (falls - 0.3 * t, falls + 0.15 - 0.3 * t),
        "D": (np.where(t < 0.35, falls, 2.2 + 6 * (t - 0.3)), np.where(t < 0.35, falls + 0.1, 2.4 + 6 * (t - 0.3))),
    }
    g = np.random.default_rng(0)
    noisy = {run: [curve + g.normal(0, 0.01, len(t)) for curve in pair] for run, pair in shapes.items()}
    return {run: (train.round(2).tolist(), val.round(2).tolist()) for run, (train, val) in noisy.items()}


@cache
def scores() -> dict[str, list[float]]:
    """What six systems score on the same 80 papers; `plain` is the one that the others are compared with."""
    g = np.random.default_rng(1)
    paper = g.normal(0.4, 0.12, 80)
    plain = paper + g.normal(0, 0.02, 80)
    better = {"A": (0.02, 0.04), "B": (0.012, 0.1), "C": (-0.025, 0.05), "D": (0.12, 0.05), "E": (-0.01, 0.12)}
    others = {name: plain + mean + _centred(g, 80) * spread for name, (mean, spread) in better.items()}
    return {name: some.round(4).tolist() for name, some in ({"plain": plain} | others).items()}


def _centred(g: np.random.Generator, n: int) -> np.ndarray:
    """Normal noise with a mean of exactly 0: the differences are those that were designed."""
    noise = g.normal(0, 1, n)
    return noise - noise.mean()


def interval(values: list[float]) -> Interval:
    """A mean in its 95 % interval, ± 1.96 standard errors."""
    mean, half = fmean(values), 1.96 * stdev(values) / math.sqrt(len(values))
    return mean - half, mean, mean + half


def own_interval(system: str) -> Interval:
    """A system's mean score by itself."""
    return interval(scores()[system])


def paired_interval(system: str) -> Interval:
    """How much better than `plain` a system is, on the same papers."""
    return interval([a - b for a, b in zip(scores()[system], scores()["plain"], strict=True)])


def draw_runs() -> tuple[Figure, str]:
    """The four runs, and their losses in words."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(2, 2, figsize=(9, 5.4), sharex=True, sharey=True, layout="constrained")
    for ax, (run, (train, val)) in zip(axes.flat, runs().items(), strict=True):
        ax.plot(STEPS, train, color=BLUE, ls="-", marker="o", markevery=1, label="training")
        ax.plot(STEPS, val, color=VERMILLION, ls="--", marker="s", markevery=1, label="validation")
        ax.set(title=f"run {run}", xlabel="optimiser step", ylabel="loss [nats a token]", xticks=STEPS[::2])
        ax.grid(True, alpha=0.3)
    axes[0, 0].legend()
    fig.suptitle("Four runs: what happened to each?")
    told = "; ".join(f"run {run}: training {train}, validation {val}" for run, (train, val) in runs().items())
    return fig, f"Losses in nats a token at steps 0, 100, … 1,000. {told}."


def draw_systems() -> tuple[Figure, str]:
    """The systems alone and against `plain`, and the same in words."""
    import matplotlib.pyplot as plt

    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    alone = {name: own_interval(name) for name in scores()}
    against = {name: paired_interval(name) for name in scores() if name != "plain"}
    for ax, rows in ((left, alone), (right, against)):
        for y, (low, mean, high) in enumerate(rows.values()):
            ax.plot([low, high], [y, y], color=BLUE, ls="-", marker="|", markevery=1)
            ax.plot(mean, y, color=BLACK, marker="o", ls="", markevery=1)
        ax.set_yticks(range(len(rows)), list(rows))
        ax.invert_yaxis()
        ax.set_ylabel("system")
    right.axvline(0, color=BLACK, ls=":")
    left.set(title="each by itself", xlabel="ROUGE-L, mean and 95 % interval")
    right.set(title="minus plain, paper by paper", xlabel="difference of ROUGE-L, mean and 95 % interval")
    fig.suptitle("Five systems and plain, on the same 80 papers: which are better?")
    parts = {"By itself": alone, "Minus plain, paper by paper": against}
    told = (f"{part}: " + "; ".join(f"{name} {_words(i)}" for name, i in rows.items()) for part, rows in parts.items())
    return fig, "Means with 95 % intervals. " + ". ".join(told) + "."


def _words(i: Interval) -> str:
    low, mean, high = i
    return f"{mean:.3f} ({low:.3f} to {high:.3f})"
