"""Pretraining of a small language model on texts that fit in memory: a plain loop in one process.

    train_language_model(model, tokens, steps=800, tokens_per_step=2048, block_size=256)

The recipe is notebook 02's "default" (`recipes.py`): Muon for the blocks' matrices, AdamW for the rest, short rows
first. With AdamW alone, at any rate that was tried, a GPT-Neo of width 128 didn't learn in as many steps to tell good
news from bad; with Muon it does. No checkpoints: what runs here takes a minute or two.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from tqdm import tqdm
from transformers import PreTrainedModel

from labkit.profile import LabError, autocast
from labkit.training.finetune import Batch, backward
from labkit.training.recipes import RECIPES, set_rate


def train_language_model(
    model: PreTrainedModel, tokens: Tensor, steps: int, tokens_per_step: int, block_size: int
) -> list[float]:
    """Train on rows from anywhere in `tokens` (length,), up to `block_size` long; the loss of each step, nats a token.

    The same tokens give the same model. Raises `LabError` for fewer tokens than a row has.
    """
    if len(tokens) <= block_size:
        raise LabError(f"{len(tokens):,} tokens are too few for rows of {block_size}: take a larger profile")
    recipe, device = RECIPES["default"], next(model.parameters()).device
    optimizers = recipe.optimizers(model.base_model, recipe.lr)  # the output matrix is the embeddings'
    generator, losses, pieces = torch.Generator().manual_seed(0), [], 1

    def loss_of(batch: Batch) -> Tensor:
        with autocast(device):
            return model(**batch, use_cache=False).loss

    model.train()
    bar = tqdm(range(steps), desc="pretraining", leave=False)
    for step in bar:
        set_rate(optimizers, recipe.rate(step, steps // 20, steps))
        length = recipe.length(step, steps, block_size)
        starts = torch.randint(len(tokens) - length, (tokens_per_step // length, 1), generator=generator)
        ids = tokens[starts + torch.arange(length)].to(device)
        loss, pieces = backward(model, loss_of, {"input_ids": ids, "labels": ids}, pieces)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        losses.append(loss)
        bar.set_postfix(loss=f"{losses[-1]:.3f}", refresh=False)
    model.eval()
    return losses
