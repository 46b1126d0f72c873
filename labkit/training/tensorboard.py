"""The log of a training run as TensorBoard shows it.

    log_rows(finetune(...), lab.results / "13_full_or_lora" / "tensorboard" / "LoRA")
    # tensorboard --logdir <the folder above>

Every number of a row becomes a point of the curve of its name, at the row's "step"; a row need not have all of them.
Nothing else of the course needs the package.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Real
from pathlib import Path
from typing import Any


def log_rows(rows: Iterable[Mapping[str, Any]], folder: Path) -> None:
    """Write an event file into `folder`, in the place of an earlier one: a run that is repeated isn't drawn twice."""
    from torch.utils.tensorboard import SummaryWriter  # a second, and warnings, for who only imports

    for earlier in folder.glob("events.out.tfevents.*"):
        earlier.unlink()
    with SummaryWriter(folder) as writer:
        for row in rows:
            for name, value in row.items():
                if name != "step" and isinstance(value, Real):
                    writer.add_scalar(name, value, row["step"])
