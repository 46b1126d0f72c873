"""Does an answer equal the reference? If not, say why in words a student can use.

Tolerances: relative 1e-4 for tensors and 1e-5 for single numbers, loose enough for another order of fp32
additions, tight enough that every known mistake is seen. Whole numbers must be exact.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

SHOWN = 24  # the largest tensor that is printed in full


def complaint(got: Any, want: Any) -> str | None:
    """Why `got` is not `want` (a number, tensor, array, text, or several of these); None if it is.

    NaN equals NaN, so that this also recognises a known mistake by its NaNs.
    """
    if got is None and want is not None:
        return "your function returned None: is there a `return` at its end?"
    if isinstance(want, tuple | list):
        return _tuple_complaint(got, want)
    if isinstance(want, Real) and not isinstance(want, bool):
        return _number_complaint(got, want)
    if hasattr(want, "shape"):
        return _tensor_complaint(got, want)
    return None if got == want else "it is not the expected answer"


def _tuple_complaint(got: Any, want: tuple[Any, ...] | list[Any]) -> str | None:
    if not isinstance(got, tuple | list) or len(got) != len(want):
        came = f"{len(got)}" if isinstance(got, tuple | list) else f"one {type(got).__name__}"
        return f"it should return {len(want)} things, but returned {came}"
    whys = [complaint(g, w) for g, w in zip(got, want, strict=True)]
    wrong = [f"number {i} of the {len(want)} returned: {why}" for i, why in enumerate(whys, 1) if why]
    return wrong[0] if wrong else None


def _number_complaint(got: Any, want: Real) -> str | None:
    if hasattr(got, "item") and math.prod(got.shape) == 1:  # a tensor or array of one number
        got = got.item()
    if not isinstance(got, Real) or isinstance(got, bool):
        return f"it should return a number, but returned a {type(got).__name__}"
    if isinstance(got, int) and got.bit_length() > 1000:  # arithmetic with floats would overflow
        return "it is a whole number beyond all reason"
    if math.isnan(got) and not math.isnan(want):
        return "it returned NaN"
    if isinstance(want, int):
        if got == want and not isinstance(got, int):
            return "the value is right, but it is a float: a count is a whole number (divide with `//`)"
        return None if got == want else f"that is {abs(got - want):,.12g} too {'many' if got > want else 'few'}"
    if math.isclose(got, want, rel_tol=1e-5, abs_tol=1e-12) or (math.isnan(got) and math.isnan(want)):
        return None
    return f"that is {got / want:.4g} times the right value" if want else f"it should be 0, not {got:.4g}"


def _tensor_complaint(got: Any, want: Any) -> str | None:
    import numpy as np
    import torch

    if not isinstance(got, torch.Tensor | np.ndarray):
        return f"it should return a tensor, but returned a {type(got).__name__}"
    got, want = torch.as_tensor(got).detach().cpu(), torch.as_tensor(want)
    if got.shape != want.shape:
        return f"the shape should be {tuple(want.shape)}, but is {tuple(got.shape)}"
    if got.dtype != want.dtype:
        return f"the dtype should be {_name(want.dtype)}, but is {_name(got.dtype)}"
    nans = int((torch.isnan(got) & ~torch.isnan(want)).sum())
    if nans:
        return f"{nans} of its {got.numel()} numbers are NaN"
    if torch.allclose(got, want, rtol=1e-4, atol=1e-5, equal_nan=True):
        return None
    gap = (got.double() - want.double()).abs().nan_to_num()
    at = torch.unravel_index(gap.argmax(), gap.shape)
    place = ", ".join(str(int(i)) for i in at)
    return f"it is furthest off at [{place}]: {want[at].item():.4g} expected, {got[at].item():.4g} returned"


def _name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def brief(value: Any) -> str:
    """A value on one line: small tensors in full with four decimals, big ones by shape and dtype."""
    import numpy as np
    import torch

    if isinstance(value, tuple | list):
        return "(" + ", ".join(brief(v) for v in value) + ")"
    if isinstance(value, np.ndarray):
        value = torch.as_tensor(value)
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        if value.numel() > SHOWN:
            return f"tensor of shape {tuple(value.shape)}, {_name(value.dtype)}"
        if value.is_floating_point():
            value = value.double().round(decimals=4)
        return str(value.tolist())
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}" if value.bit_length() < 100 else f"a whole number of {value.bit_length():,} bits"
    text = repr(value)
    return text if len(text) <= 200 else text[:197] + "…"
