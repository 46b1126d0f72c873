"""What a rule answers must be read like what people answer, or the statistics are shown on something else."""

from __future__ import annotations

from labkit.report.rating import Item, read_ratings, write_rating_sheet
from labkit.report.synthetic_raters import write_ratings

ITEMS = [Item(f"p-{i}", "Context.", {"good": "Yes.", "bad": "No."}) for i in range(6)]


def test_ratings_reach_the_system_they_were_meant_for(tmp_path):
    key = write_rating_sheet(tmp_path / "sheet.html", ITEMS)
    file = write_ratings(key, "a rule", lambda item, system, criterion: 5 if system == "good" else len(criterion) % 3)
    rows = read_ratings([file], key)
    assert len(rows) == 12 and {row["rater"] for row in rows} == {"a rule"}
    for row in rows:
        good = row["system"] == "good"
        assert row["logic"] == (5 if good else 2) and row["background"] == (5 if good else 1)
        assert row["preferred"] == good
