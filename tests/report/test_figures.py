"""The figures' rules: what is refused, and that equal figures give equal files."""

from __future__ import annotations

import subprocess
import sys

import matplotlib
import pytest
from matplotlib import pyplot as plt

from labkit.profile import LabError
from labkit.report import figures

matplotlib.use("agg")
ALT = "A line falls from 3 to 1."


@pytest.fixture(autouse=True)
def style():
    with plt.rc_context():
        figures.use_style()
        yield
    plt.close("all")


def draw(**labels):
    fig, ax = plt.subplots()
    ax.plot([1, 2], [3, 1])
    ax.set(**({"xlabel": "step", "ylabel": "loss", "title": "The loss falls"} | labels))
    return fig


@pytest.mark.parametrize(
    ("labels", "alt", "message"),
    [
        ({}, "  ", "alt is empty"),
        ({}, "the loss falls.", "alt repeats the title"),
        ({"title": ""}, ALT, "no title"),
        ({"xlabel": ""}, ALT, "axes 1 has no x label"),
        ({"ylabel": " "}, ALT, "axes 1 has no y label"),
    ],
)
def test_what_a_reader_would_miss_is_refused_by_name(labels, alt, message):
    with pytest.raises(LabError, match=message):
        figures.check(draw(**labels), alt)


def test_all_faults_are_told_at_once():
    with pytest.raises(LabError, match=r"title.*alt.*x label.*y label"):
        figures.check(draw(title="", xlabel="", ylabel=""), "")


def test_a_complete_figure_passes():
    figures.check(draw(), ALT)


def test_shared_axes_need_one_label_and_axes_without_ticks_none():
    fig, (top, bottom) = plt.subplots(2, sharex=True)
    fig.suptitle("Two panels")
    top.set_ylabel("loss")
    bottom.set(xlabel="step", ylabel="rate")
    figures.check(fig, ALT)
    fig, ax = plt.subplots()
    ax.set(title="A map", xlabel="key", ylabel="query")
    fig.colorbar(ax.imshow([[0, 1], [1, 0]]), label="weight")
    figures.check(fig, ALT)


def test_a_colour_bar_without_a_label_is_refused():
    fig, ax = plt.subplots()
    ax.set(title="A map", xlabel="key", ylabel="query")
    fig.colorbar(ax.imshow([[0, 1], [1, 0]]))
    with pytest.raises(LabError, match="axes 2 has no y label"):
        figures.check(fig, ALT)


def test_equal_figures_give_equal_bytes_in_another_process_on_another_day():
    """Else a report that is built again shows every figure as changed."""
    code = (
        "import hashlib, matplotlib; matplotlib.use('agg')\n"
        "import matplotlib.pyplot as plt\n"
        "from labkit.report import figures; figures.use_style()\n"
        "fig, ax = plt.subplots(); ax.plot([1, 2], [3, 1], label='a')\n"
        "ax.fill_between([1, 2], [0, 1], [3, 1])\n"
        "ax.legend(); ax.set_title('t')\n"
        "print(*(hashlib.sha256(figures.render(fig, kind)).hexdigest() for kind in ('svg', 'png')))"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
        for env in ({"SOURCE_DATE_EPOCH": "0"}, {"SOURCE_DATE_EPOCH": "900000000", "PYTHONHASHSEED": "1"})
    ]
    assert len(runs[0].stdout.split()) == 2
    assert runs[0].stdout == runs[1].stdout


def test_lines_differ_in_more_than_colour():
    cycle = plt.rcParams["axes.prop_cycle"].by_key()
    looks = list(zip(cycle["marker"], map(str, cycle["linestyle"]), strict=True))
    assert len(set(cycle["color"])) == len(set(looks)) == len(looks) >= 6
    assert {c.upper() for c in cycle["color"]} <= {
        getattr(figures, name) for name in "BLUE VERMILLION GREEN PURPLE ORANGE SKY BLACK".split()
    }


def test_a_title_that_would_be_cut_off_is_refused():
    fig, ax = plt.subplots(figsize=(3, 2))
    ax.set(
        xlabel="step",
        ylabel="loss [nats/token]",
        title="A finding that needs a good many more words than fit here",
    )
    with pytest.raises(LabError, match="wider than the figure"):
        figures.check(fig, "a description")
    ax.set_title("A finding")
    figures.check(fig, "a description")
    plt.close(fig)
