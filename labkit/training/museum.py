"""The bug museum of pretraining: mistakes of the report's code, each one line, planted in the loop that has none.

    with planted("restarted schedule"):
        broken = pretrain(config)

    python -m labkit.training.museum --bug "bypassed wrapper" --profile smoke --out run     # also under torchrun

None of them raises an error, and each leaves a curve that looks like learning. What finds them is a property that a
correct run must have: see `tests/training/test_museum.py` and notebook 02.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from torch import Tensor, nn
from torch.distributed.elastic.multiprocessing.errors import record

from labkit.profile import unknown
from labkit.training.distributed import Ranks
from labkit.training.log import Log
from labkit.training.pretrain import parse_args, pretrain
from labkit.training.recipes import Recipe

EPOCHS = 4  # parts that a run is cut into, as the report's 76,000 steps were


def bypassed_wrapper() -> AbstractContextManager[Any]:
    """The loop calls the bare model instead of the DDP wrapper: gradients are never averaged.

    Every process trains a model of its own on its share of the batch, and rank 0's is taken for the result.
    """

    def wrap(ranks: Ranks, model: nn.Module, *example: Tensor) -> nn.Module:
        return model

    return patch.object(Ranks, "wrap", wrap)


def restarted_schedule() -> AbstractContextManager[Any]:
    """Steps are counted from 0 in every epoch: the warm-up comes back, and the rate returns to its maximum."""
    right = Recipe.rate

    def rate(recipe: Recipe, step: int, warmup_steps: int, max_steps: int) -> float:
        epoch = max_steps // EPOCHS
        return right(recipe, step % epoch, warmup_steps, epoch)

    return patch.object(Recipe, "rate", rate)


def overwritten_log() -> AbstractContextManager[Any]:
    """The log is opened for writing in every epoch: of the curve only the last part is left."""
    right = Log.write

    def write(log: Log, row: dict[str, Any]) -> None:
        if "loss" in row and row["step"] % (log.max_steps // EPOCHS) == 0:
            log.path.write_text("", encoding="utf-8")
        right(log, row)

    return patch.object(Log, "write", write)


BUGS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "bypassed wrapper": bypassed_wrapper,
    "restarted schedule": restarted_schedule,
    "overwritten log": overwritten_log,
}


def planted(bug: str) -> AbstractContextManager[Any]:
    """A context in which `pretrain` has this bug. Raises `LabError` for a name that is not in `BUGS`."""
    if bug not in BUGS:
        raise unknown("bug", bug, BUGS)
    return BUGS[bug]()


@record
def main() -> None:
    """Pretrain with one bug; all further options are `labkit.training.pretrain`'s."""
    parser = argparse.ArgumentParser(prog="python -m labkit.training.museum", description=main.__doc__)
    parser.add_argument("--bug", required=True, help=f"one of {', '.join(BUGS)}")
    args, rest = parser.parse_known_args()
    with planted(args.bug):
        pretrain(parse_args(rest), echo=lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
