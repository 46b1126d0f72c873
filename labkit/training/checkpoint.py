"""Checkpoints that are whole or absent: written beside the old one, flushed to disk, then renamed over it.

A checkpoint holds everything the next step depends on: weights, the optimiser's moments, the step and the settings.
Batches are a pure function of (seed, step), so there is no loader state to save. Loading uses `weights_only=True`:
a checkpoint from somebody else can't run code here.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from labkit.profile import LabError


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors and plain values) to `path` atomically: a kill leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as stream:
        torch.save(state, stream)
        stream.flush()
        os.fsync(stream.fileno())  # else a power cut may leave the new name on an empty file
    os.replace(partial, path)


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint written by `save_checkpoint`. Raises `LabError` if it is missing or damaged."""
    if not path.exists():
        raise LabError(f"no checkpoint at {path}: train first, or leave out --resume")
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, OSError, KeyError, pickle.UnpicklingError) as error:
        raise LabError(f"the checkpoint {path} is damaged ({error}): delete it and train again") from error
