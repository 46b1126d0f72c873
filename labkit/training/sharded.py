"""Full fine-tuning of a model that one GPU can't hold: every process keeps a share of it (FSDP).

    rows = tune_sharded(model, pairs, epochs=1, lr=1e-5, nproc=4)        # as `tune`, from a notebook cell

Weights, gradients and Adam's averages of 1.3 billion parameters are 21 GB in fp32; on n GPUs each holds an n-th, and a
block's weights are gathered when it computes and dropped after it (ZeRO stage 3, Rajbhandari et al. 2020; torch's
`fully_shard`). The price is traffic: each pass gathers all weights once. The steps are `tune`'s, but for rounding.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.elastic.multiprocessing.errors import record

from labkit.models.checkpointing import spare_activations
from labkit.profile import LabError
from labkit.tasks.pairs import Pair, causal, shuffled
from labkit.training.checkpoint import load_checkpoint, save_checkpoint
from labkit.training.distributed import Ranks
from labkit.training.finetune import Batch, finetune
from labkit.training.launch import launch
from labkit.training.log import Log, read_log
from labkit.training.options import parse_config
from labkit.training.tuning import answer_logits, answer_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class ShardedConfig:
    """One job. `folder` holds model/ and pairs.pt, and receives tuned.pt and log.jsonl."""

    folder: str
    steps: int
    lr: float
    batch_size: int = 16
    seed: int = 0


def tune_sharded(
    model: PreTrainedModel,
    pairs: Sequence[Pair],
    epochs: float,
    lr: float,
    batch_size: int = 16,
    seed: int = 0,
    nproc: int = 2,
) -> list[dict[str, Any]]:
    """All of `model` tuned as `tune` does it, by `nproc` processes together; returns the rows of its log.

    `model` gets the new numbers, where it is. It must take its place in memory here once more, as a file.
    """
    steps = max(1, round(epochs * len(pairs) / batch_size))
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(Path(folder, "model"))
        save_checkpoint(Path(folder, "pairs.pt"), {"pairs": list(pairs)})
        job = ShardedConfig(folder, steps, lr, batch_size, seed)
        launch("labkit.training.sharded", nproc=nproc, **dataclasses.asdict(job))
        model.load_state_dict(load_checkpoint(Path(folder, "tuned.pt"))["model"])
        return read_log(Path(folder, "log.jsonl"))


def work(config: ShardedConfig) -> None:
    """What each process does: its share of the model, its rows of each batch."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
    from transformers import AutoModelForCausalLM

    c, ranks, folder = config, Ranks.join(), Path(config.folder)
    if ranks.world_size == 1:
        raise LabError("one process has nobody to share with: start several with torchrun, or take tune()")
    model = AutoModelForCausalLM.from_pretrained(folder / "model", trust_remote_code=False)
    model = shard(spare_activations(model), ranks)
    pairs = load_checkpoint(folder / "pairs.pt")["pairs"]
    loader = shuffled(pairs, c.batch_size, partial(causal, pad_id=0), c.seed)
    log = Log(folder / "log.jsonl", 0, c.steps, ranks.first, partial(print, flush=True))

    def loss_of(batch: Batch) -> Tensor:
        loss = share_of_loss(model, batch, ranks)
        log.write({"step": len(log.rows), "loss": ranks.sum(loss.item())[0] / ranks.world_size})
        return loss

    finetune(model, loss_of, loader, c.steps, c.lr, warmup_steps=c.steps // 20, weight_decay=0.0)
    tuned = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    if ranks.first:
        save_checkpoint(folder / "tuned.pt", {"model": tuned})
    ranks.leave()


def shard(model: PreTrainedModel, ranks: Ranks) -> PreTrainedModel:
    """`model` with each parameter cut over the processes, and gathered block by block when it is needed."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(ranks.device.type, (ranks.world_size,))
    for block in next(module for module in model.modules() if isinstance(module, nn.ModuleList)):
        fully_shard(block, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def share_of_loss(model: nn.Module, batch: Batch, ranks: Ranks) -> Tensor:
    """This process's part of the answers' mean loss; FSDP takes the mean over processes, which is `answer_loss`.

    Each row goes to one process. One that gets none reads the first row for nothing: the others wait for it.
    """
    rows = torch.arange(len(batch["labels"]))[ranks.rank :: ranks.world_size]
    mine = {name: tensor[rows if len(rows) else slice(1)] for name, tensor in batch.items()}
    asked = answer_tokens(batch).numel()
    total = F.cross_entropy(answer_logits(model, mine), answer_tokens(mine), reduction="sum")
    return total * (ranks.world_size / asked if len(rows) else 0.0)


@record
def main() -> None:
    """Entry point of torchrun."""
    os.environ["TQDM_DISABLE"] = "1"  # the log speaks
    try:
        work(parse_config(ShardedConfig, "python -m labkit.training.sharded", __doc__, None, {}))
    except LabError as error:
        raise SystemExit(f"sharded: {error}") from None
    # DTensor's caches hold on to the group for good, so gloo's threads live into Python's shutdown, which can abort
    # (see `Ranks.leave`). All is written: end without it.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
