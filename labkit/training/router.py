"""Which task is a sentence from? Asked of a frozen model, which was never told.

    router = Router(backbone, tokenizer)
    router.add(prompts_of_the_first_task), router.add(prompts_of_the_second)
    router.route(prompts)                                # (prompts,), 0 or 1 each

A sentence is a point: the mean of the model's last hidden states. It belongs to the task whose mean is nearest, where a
step counts the less, the more sentences of one task differ in its direction (Mahalanobis; Lee et al. 2018 find what a
network wasn't trained on this way). With plain distance most of what is measured is how a sentence is built. Kept are a
mean a task and one covariance, to which each new task adds; no sentence, and no task is trained on again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

BATCH = 32
RIDGE = 0.01  # of the mean variance, added to each direction: a few hundred sentences don't show all of them


class Router:
    """The nearest task, by its mean, in the metric of what all tasks vary in."""

    def __init__(self, backbone: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
        self.backbone, self.tokenizer = backbone, tokenizer
        self.means: list[Tensor] = []
        self.scatter, self.n = torch.zeros(()), 0

    def add(self, prompts: Sequence[str]) -> None:
        """Learn the next task from some of its prompts."""
        points = self.embed(prompts)
        self.means.append(points.mean(0))
        apart = points - self.means[-1]
        self.scatter, self.n = self.scatter + apart.mT @ apart, self.n + len(points)

    def route(self, prompts: Sequence[str]) -> Tensor:
        """The task of each prompt, counted in the order in which they were added."""
        covariance = self.scatter / self.n
        ridge = RIDGE * covariance.diagonal().mean() * torch.eye(len(covariance))
        whiten = torch.linalg.inv(torch.linalg.cholesky(covariance + ridge)).mT
        return torch.cdist(self.embed(prompts) @ whiten, torch.stack(self.means) @ whiten).argmin(1)

    @torch.inference_mode()
    def embed(self, prompts: Sequence[str]) -> Tensor:
        """The mean over tokens of the last hidden states, (prompts, width), on the CPU; padding counts nothing."""
        points = []
        for begin in range(0, len(prompts), BATCH):
            some = self.tokenizer(list(prompts[begin : begin + BATCH]), add_special_tokens=False)["input_ids"]
            rows = [torch.tensor(ids) for ids in some]
            ids = pad_sequence(rows, batch_first=True).to(self.backbone.device)
            states = self.backbone.transformer(input_ids=ids).last_hidden_state.float().cpu()
            points += [state[: len(row)].mean(0) for state, row in zip(states, rows, strict=True)]
        return torch.stack(points)
