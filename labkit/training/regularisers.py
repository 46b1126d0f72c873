"""What holds a model back from changing what it knew: penalties to add to the loss of a new task.

    before = copy_of(model)                               # after the old task
    importance = fisher(model, pairs)
    loss = answer_loss(model, batch) + strength / 2 * distance(model, before, importance)

Elastic weight consolidation (EWC, Kirkpatrick et al. 2017) lets a number move the less, the more the old task's
answers hang on it. With all numbers alike it is L2-SP (Li et al. 2018). Learning without forgetting (LwF, Li & Hoiem
2016) lets numbers move as they like, but not the answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labkit.tasks.pairs import Pair, causal
from labkit.training.tuning import answer_loss

Numbers = Mapping[str, Tensor]  # a model's trained parameters, or one number for each of theirs, by name


def copy_of(model: nn.Module) -> dict[str, Tensor]:
    """The numbers that are trained, as they are now."""
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


def fisher(model: nn.Module, pairs: Sequence[Pair]) -> dict[str, Tensor]:
    """The diagonal of the Fisher information of the answers: how much they hang on each number.

    The mean, over the prompts of `pairs`, of the expected squared derivative of log p(answer | prompt), where answers
    are as likely as the model holds them: all that occur in `pairs` are asked about, each weighted by its p. With the
    right answers alone ("empirical Fisher") a task that is learnt well looks as if nothing hung on anything: p − 1 is
    squared there, and is near 0 (van de Ven 2025 compares the ways). One backward pass a prompt and answer.
    """
    found = {name: torch.zeros_like(p) for name, p in model.named_parameters() if p.requires_grad}
    trained = list(map(model.get_parameter, found))
    device = trained[0].device
    for prompt, _ in pairs:
        for answer in {tuple(answer.tolist()): answer for _, answer in pairs}.values():
            batch = {name: tensor.to(device) for name, tensor in causal([(prompt, answer)], pad_id=0).items()}
            log_p = -answer_loss(model, batch) * len(answer)  # the sum over the answer's tokens, not their mean
            for total, slope in zip(found.values(), torch.autograd.grad(log_p, trained), strict=True):
                total.addcmul_(slope, slope, value=log_p.exp().item() / len(pairs))
    return found


def distance(model: nn.Module, anchor: Numbers, importance: Numbers | None = None) -> Tensor:
    """Σ F (θ − θ*)² over the numbers in `anchor`, θ*; with no importance F is 1 for each."""
    moved = {name: (model.get_parameter(name) - before) ** 2 for name, before in anchor.items()}
    return sum((square if importance is None else importance[name] * square).sum() for name, square in moved.items())


def distillation(student: Tensor, teacher: Tensor, temperature: float = 2.0) -> Tensor:
    """How far the student's distributions are from the teacher's: KL divergence, nats, mean over the rows.

    Both are logits (rows, vocabulary). At a higher temperature unlikely tokens count more; its square makes up for the
    smaller gradients (Hinton et al. 2015).
    """
    student, teacher = ((logits.float() / temperature).log_softmax(-1) for logits in (student, teacher))
    return temperature**2 * F.kl_div(student, teacher, reduction="batchmean", log_target=True)
