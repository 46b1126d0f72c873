"""Raters that aren't people: they fill a rating sheet by a rule, to see what the statistics of agreement make of it.

    write_ratings(key, "synthetic, blind", lambda item, system, criterion: rng.randint(1, 5))

What they say is no evidence about any text. They are told the systems, which a person never is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from labkit.files import write_json_atomic


def write_ratings(key: Path, rater: str, rate: Callable[[str, str, str], int]) -> Path:
    """Answer the sheet of that key as its page does, and return the file, `ratings-<rater>.json` beside the key.

    `rate` is given an item's id, a system and a criterion, and says 1 to 5; the best is who has most in all.
    """
    sheet = json.loads(key.read_text(encoding="utf-8"))
    answers = {}
    for item, systems in sheet["items"].items():
        ratings = {
            letter: {criterion: rate(item, system, criterion) for criterion in sheet["criteria"]}
            for letter, system in systems.items()
        }
        best = max(ratings, key=lambda letter: sum(ratings[letter].values()))
        answers[item] = {"ratings": ratings, "prefers": best}
    path = key.parent / f"ratings-{rater}.json"
    write_json_atomic(path, {"sheet": sheet["sheet"], "rater": rater, "answers": answers})
    return path
