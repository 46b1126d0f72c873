"""How sure is a number? Confidence intervals."""

from __future__ import annotations

import math
from statistics import NormalDist


def wilson(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of a proportion, from `successes` among `n` independent trials (Wilson 1927).

    Unlike p ± 1.96·√(p(1−p)/n) it stays within 0–1 and keeps its promise for few trials and for p near 0 or 1.
    Raises `ValueError` for no trials, or more successes than trials.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes in {n} trials have no interval")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p, shrink = successes / n, 1 + z * z / n
    middle = (p + z * z / (2 * n)) / shrink
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / shrink
    return max(0.0, middle - half), min(1.0, middle + half)
