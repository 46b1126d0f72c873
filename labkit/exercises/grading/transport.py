"""Arguments and answers as JSON between the grader and its worker.

    text = json.dumps(encode((torch.ones(2), 3)))
    value = decode(json.loads(text))

Never pickle: the bytes come from a process that ran a stranger's code. Numbers, texts and `None` stand for
themselves; lists, tuples, dictionaries, tensors and arrays are a JSON object with one key that names the kind.
Anything else travels as the name of its type, which is all that a verdict says about it.
"""

from __future__ import annotations

import math
from typing import Any

DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64")
MOST = 1_000_000  # numbers in one tensor: answers are tiny


def encode(value: Any) -> Any:
    """`value` as what `json.dumps` takes."""
    import numpy as np
    import torch

    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, float):  # numpy's float64 is one
        return float(value)
    if isinstance(value, list | tuple):
        return {"tuple" if isinstance(value, tuple) else "list": [encode(v) for v in value]}
    if isinstance(value, dict):
        return {"dict": [[encode(k), encode(v)] for k, v in value.items()]}
    kind = "array" if isinstance(value, np.ndarray | np.generic) else "tensor"
    if kind == "array":
        value = torch.as_tensor(np.asarray(value).tolist() if value.dtype == object else np.asarray(value))
    if isinstance(value, torch.Tensor) and (dtype := str(value.dtype).removeprefix("torch.")) in DTYPES:
        dense = value.detach().cpu().to_dense()
        if dense.numel() <= MOST:
            return {kind: [dtype, list(dense.shape), dense.flatten().tolist()]}
    return {"other": type(value).__name__}


def decode(data: Any) -> Any:
    """The value again. Raises `ValueError` or `TypeError` for anything that `encode` doesn't write."""
    import torch

    if not isinstance(data, dict):
        if isinstance(data, list):
            raise ValueError("a bare list")
        return data
    ((kind, inside),) = data.items()
    match kind:
        case "list":
            return [decode(v) for v in inside]
        case "tuple":
            return tuple(decode(v) for v in inside)
        case "dict":
            return {decode(k): decode(v) for k, v in inside}
        case "tensor" | "array":
            dtype, shape, numbers = inside
            if dtype not in DTYPES or len(shape) > 8 or math.prod(shape) != len(numbers) or len(numbers) > MOST:
                raise ValueError("a tensor that isn't one")
            tensor = torch.tensor(numbers, dtype=getattr(torch, dtype)).reshape(shape)
            return tensor if kind == "tensor" else tensor.numpy()
        case "other":
            return type(str(inside)[:40], (), {})()
    raise ValueError(f"an unknown kind: {str(kind)[:40]!r}")
