"""A sheet on which people rate texts without knowing who wrote them, and what they answered.

    items = [Item("p-1", "The door was locked.", {"full": "He tried the key.", "LoRA": "It rained."}), …]
    key = write_rating_sheet(Path("sheet.html"), items)               # and sheet.key.json beside it: keep that one back
    rows = read_ratings(["ratings-Ada.json", "ratings-Ben.json"], key)    # for a DataFrame, and for `agreement`

The sheet is one file that opens without a network. For each item it shows the context and its continuations under
letters, to be rated from 1 to 5 on every criterion, and asks which one is best. What is answered stays in the rater's
browser until it is downloaded, as a file that knows items and letters only; the key says whose text a letter was. Every
system is first as often as the others, give or take one, as readers favour what they read first. Blind means that the
sheet doesn't tell: who has the code, the texts and the seed can draw the order again.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import jinja2
from markupsafe import Markup

from labkit.files import write_json_atomic, write_text_atomic
from labkit.profile import LabError
from labkit.report.index import HERE

# The three angles of Novel-GPT.
CRITERIA = {
    "logic": "Does it follow from what went before, with no contradiction?",
    "background": "Does it fit what the context says of its people and their world?",
    "style": "Could the same author have written it?",
}
SCALE = (1, 2, 3, 4, 5)
NO_DIFFERENCE = "none"  # instead of a letter, where no continuation is better


@dataclass(frozen=True)
class Item:
    """A context, and how each system, by name, goes on from there. `id` is seen by the raters."""

    id: str
    context: str
    continuations: Mapping[str, str]


def write_rating_sheet(
    path: Path,
    items: Sequence[Item],
    criteria: Mapping[str, str] = CRITERIA,
    seed: int = 0,
    title: str = "Which continuation is better?",
) -> Path:
    """Write the sheet to `path` (….html) and its key beside it (….key.json); returns the key's path.

    `criteria` are names and the questions they stand for; `seed` draws which system gets which letter. Raises
    `LabError` unless all items have different ids and the same systems, two or more.
    """
    systems = sorted(items[0].continuations) if items else []
    if len(systems) < 2 or any(sorted(item.continuations) != systems for item in items):
        raise LabError(
            "a rating sheet compares: give items that all have a continuation of the same two systems or more"
        )
    if len({item.id for item in items}) < len(items):
        raise LabError("two items have the same id: their ratings couldn't be told apart")
    key = {"criteria": list(criteria), "items": _letters([item.id for item in items], systems, seed)}
    texts = json.dumps([[asdict(item) for item in items], key, seed])
    key = {"sheet": hashlib.sha256(texts.encode()).hexdigest()[:12], **key}
    # Jinja escapes nothing unless told to; only our own CSS is marked as safe.
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True)
    page = environment.get_template("rating.html.j2").render(
        title=title,
        items=items,
        criteria=criteria,
        scale=SCALE,
        no_difference=NO_DIFFERENCE,
        key=key,
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
    )
    write_text_atomic(path, page)
    beside = Path(path).with_suffix(".key.json")
    write_json_atomic(beside, key)
    return beside


def read_ratings(files: Sequence[Path], key: Path) -> list[dict[str, Any]]:
    """A row for each rater, item and continuation, with the system that the key gives it.

    Columns: `rater`, `item`, `position` (its letter), `system`, each criterion (1–5), and `preferred`: 1 for the best
    one, 0 for the others, or one part of 1 for each if they were called alike. What wasn't answered is None. Raises
    `LabError` naming the file that is damaged, belongs to another sheet, or comes from a rater who was read already.
    """
    solved = _load(key)
    if not {"sheet", "criteria", "items"} <= set(solved):
        raise LabError(f"{key} is no key of a rating sheet: take the .key.json that was written beside the sheet")
    rows: list[dict[str, Any]] = []
    seen: dict[str, Path] = {}
    for file in files:
        answers = _load(file)
        rater = answers.get("rater")
        if not isinstance(rater, str) or not isinstance(answers.get("answers"), dict):
            raise LabError(f"{file} holds no ratings: take the file that the sheet's button downloads")
        if answers.get("sheet") != solved["sheet"]:
            raise LabError(f"{file} answers another sheet than {key} is the key of: find its own key")
        if rater in seen:
            raise LabError(f"{seen[rater]} and {file} are both by {rater!r}: leave one out, or correct the name in it")
        seen[rater] = file
        try:
            for item, answer in answers["answers"].items():
                rows += [{"rater": rater, "item": item, **row} for row in _unblind(item, answer, solved)]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise LabError(f"{file} is damaged ({error}): ask {rater} to download it again") from error
    return rows


def _letters(ids: Sequence[str], systems: Sequence[str], seed: int) -> dict[str, dict[str, str]]:
    """Which system each letter is, by item: the systems in an order drawn once, begun at each of them in turn."""
    rng = random.Random(f"rating sheet {seed}")
    order = rng.sample(systems, len(systems))
    turns = [i % len(order) for i in range(len(ids))]
    rng.shuffle(turns)
    return {
        id_: dict(zip(ascii_uppercase, order[turn:] + order[:turn], strict=False))
        for id_, turn in zip(ids, turns, strict=True)
    }


def _load(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise LabError(f"can't read {path} ({error.strerror}): check the path") from error
    except ValueError as error:
        raise LabError(f"{path} is no JSON ({error}): download it again") from error
    return loaded if isinstance(loaded, dict) else {}


def _unblind(item: str, answer: Mapping[str, Any], key: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of one item. Raises `ValueError` and the like for an answer that the sheet doesn't allow."""
    if item not in key["items"]:
        raise ValueError(f"it has no item {item!r}")
    systems, best = key["items"][item], answer["prefers"]
    if best not in (None, NO_DIFFERENCE, *systems) or set(answer["ratings"]) != set(systems):
        raise ValueError(f"item {item!r} has the continuations {', '.join(systems)}, not those it answers")
    for position, system in systems.items():
        ratings = answer["ratings"][position]
        for criterion, rating in ratings.items():
            if criterion not in key["criteria"] or type(rating) is not int or rating not in SCALE:
                raise ValueError(
                    f"item {item!r}: {rating!r} for {criterion!r} is no rating from {SCALE[0]} to {SCALE[-1]}"
                )
        yield {
            "position": position,
            "system": system,
            **{criterion: ratings.get(criterion) for criterion in key["criteria"]},
            "preferred": _preferred(best, position, len(systems)),
        }


def _preferred(best: str | None, position: str, n: int) -> float | None:
    if best is None:
        return None
    return 1 / n if best == NO_DIFFERENCE else float(best == position)
