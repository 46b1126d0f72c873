"""Do people who rate the same texts agree? If not, the mean of their ratings says little about the texts.

    logic = pd.DataFrame(read_ratings(files, key)).pivot(index="rater", columns=["item", "system"], values="logic")
    alpha(logic), alpha_interval(logic, items=logic.columns.get_level_values("item"))
    weighted_kappa(logic.loc["Ada"], logic.loc["Ben"])

Both are 1 for agreement in everything and 0 for what raters who answer by chance reach, each with how often the raters
gave which rating; below 0 they agree less than that. Krippendorff takes .8 as enough to rely on and .667 as the least
for tentative conclusions. Missing ratings are None or NaN: not everybody rates everything.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from labkit.profile import unknown

LEVELS = ("nominal", "ordinal", "interval")
Ratings = Sequence[Sequence[float | None]]  # (raters, units), or a DataFrame of that form


def weighted_kappa(a: Sequence[float | None], b: Sequence[float | None], scale: Sequence[int] = range(1, 6)) -> float:
    """Cohen's kappa of two raters with quadratic weights (Cohen 1968), over the units that both rated.

    To miss by two points weighs four times as much as by one. NaN if both gave one and the same rating throughout:
    chance would agree as well. Raises `ValueError` without a unit that both rated, and for ratings off the `scale`.
    """
    from sklearn.metrics import cohen_kappa_score

    pairs = np.array([a, b], dtype=float)
    pairs = pairs[:, ~np.isnan(pairs).any(axis=0)]
    if not pairs.size or not np.isin(pairs, scale).all():
        raise ValueError(f"kappa needs units that both rated, with ratings from {list(scale)}")
    if np.ptp(pairs) == 0:
        return float("nan")
    # Without all labels, ratings that nobody gave would be no steps, and 2 and 4 neighbours.
    return float(cohen_kappa_score(*pairs.astype(int), labels=list(scale), weights="quadratic"))


def alpha(ratings: Ratings, level: str = "ordinal") -> float:
    """Krippendorff's alpha of any number of raters: 1 − observed disagreement / disagreement by chance.

    `level` says how far two ratings are apart: "nominal" (equal or not), "ordinal" (by how many ratings lie between),
    "interval" (by their difference, squared). NaN if all ratings are the same. Units with one rating don't count.
    Source: Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability". Raises `ValueError` without a unit that
    two rated, `LabError` for another level.
    """
    coincidences, values = _coincidences(ratings)
    return float(_alpha(coincidences.sum(axis=0), values, level))


def alpha_interval(
    ratings: Ratings,
    level: str = "ordinal",
    items: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
    resamples: int = 2_000,
    seed: int = 0,
) -> tuple[float, float]:
    """The interval of `alpha` over items, from samples of them with replacement (Efron 1979, percentiles).

    `items` names each unit's: two continuations of one text are not two draws, so an item is drawn with all its units.
    Without it every unit is an item. The raters are taken as given. Raises as `alpha` does.
    """
    coincidences, values = _coincidences(ratings)
    number: dict[Hashable, int] = {}
    item = [number.setdefault(name, len(number)) for name in (range(len(coincidences)) if items is None else items)]
    n = len(number)
    by_item = np.zeros((n, *coincidences.shape[1:]))
    np.add.at(by_item, item, coincidences)
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
    found = _alpha(np.tensordot(times, by_item, axes=1), values, level)
    low, high = np.nanquantile(found, ((1 - confidence) / 2, (1 + confidence) / 2))
    return float(low), float(high)


def _coincidences(ratings: Ratings) -> tuple[np.ndarray, np.ndarray]:
    """How often each value meets each other one within a unit (units, values, values), and the values."""
    table = np.asarray(ratings, dtype=float)
    values = np.unique(table[~np.isnan(table)])
    counts = (table[:, :, None] == values).sum(axis=0)  # (units, values)
    raters = counts.sum(axis=1)
    if not (raters >= 2).any():
        raise ValueError("agreement needs a unit that two rated")
    meetings = counts[:, :, None] * counts[:, None, :] - np.eye(len(values)) * counts[:, :, None]
    # Each rating counts once, however many others it meets; a single one meets none, its row is all 0.
    return meetings / np.maximum(1, raters - 1)[:, None, None], values


def _alpha(coincidences: np.ndarray, values: np.ndarray, level: str) -> np.ndarray:
    """Of coincidences (..., values, values); a tensor (...,)."""
    if level not in LEVELS:
        raise unknown("level", level, LEVELS)
    n = coincidences.sum(axis=-1)
    total = n.sum(axis=-1)
    place = n.cumsum(axis=-1) - n / 2 if level == "ordinal" else np.broadcast_to(values, n.shape)
    distance = (place[..., :, None] - place[..., None, :]) ** 2
    if level == "nominal":
        distance = distance > 0
    observed = (coincidences * distance).sum(axis=(-1, -2))
    by_chance = (n[..., :, None] * n[..., None, :] * distance).sum(axis=(-1, -2))
    with np.errstate(invalid="ignore", divide="ignore"):
        return 1 - (total - 1) * observed / by_chance
