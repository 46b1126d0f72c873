"""Metrics for Hugging Face `evaluate`, in files of this package: nothing is fetched.

    metric = evaluate.load(metric_path("rouge"))
    metric.compute(predictions=["the cat sat"], references=["a cat sat down"])  # {"rouge1": 0.571…, …}

`evaluate` copies a metric's file into the user's Hugging Face cache and imports it from there.
"""

from __future__ import annotations

from pathlib import Path


def metric_path(name: str) -> str:
    """The folder that `evaluate.load` takes. Raises `ValueError` for a metric that isn't here.

    A folder is never looked up on the Hub, as a bare "rouge" would be.
    """
    folder = Path(__file__).parent / name
    if not (folder / f"{name}.py").is_file():
        raise ValueError(f"no metric {name!r} in {folder.parent.name}/")
    return str(folder)
