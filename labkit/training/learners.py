"""Ways to learn tasks one after the other, in one table: a name → a learner.

    learner = LEARNERS["ewc"](sequence, seed=0)
    for i in range(len(sequence.data)):
        learner.learn(i, steps=100, lr=learner.rate)
    scores = learner.scores(prompts, labels)

All begin with the same backbone, and have one loop and equal batches and steps. They differ in what they keep of the
tasks they have learnt (`kept_bytes`), and in what that does to the loss or to the batches. `Naive` keeps nothing.
`Joint` has all data at once: no learner of tasks in turn, but what such a one may hope to reach.

Strengths are the best of three or more, a factor of two to ten apart: by mean accuracy over all tasks at the end, on
100 validation sentences a task, after 100 steps a task, of those with which the second task was learnt at all. One
seed, the course's small GPT-Neo: starting points, no optimum. EWC was tried with two other Fishers, of the true labels:
as it is, where five strengths from 1e3 to 1e7 forgot more or stopped learning, and divided by its mean, which was as
good as the one that is here.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labkit.evaluation.labels import score_labels
from labkit.models.adapters import adapt
from labkit.tasks.labelled import Labelled
from labkit.tasks.pairs import Pair, causal, shuffled
from labkit.training.compare_tuning import BATCH, rates
from labkit.training.finetune import Batch, finetune
from labkit.training.regularisers import copy_of, distance, distillation, fisher
from labkit.training.replay import Reservoir, half_and_half
from labkit.training.router import Router
from labkit.training.tuning import answer_logits, answer_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


@dataclass(frozen=True)
class TaskSequence:
    """Tasks in order, and the model that is to learn them. `pairs` are the training examples, as tokens."""

    backbone: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    data: Sequence[Labelled[Any]]
    pairs: Sequence[Sequence[Pair]]


class Naive:
    """Fine-tuning on each task in turn."""

    paper = ""
    way = "full"  # of tuning
    begins_alike = True  # the first task is learnt as `Naive` learns it

    def __init__(self, sequence: TaskSequence, seed: int = 0) -> None:
        self.sequence, self.seed = sequence, seed
        self.model: nn.Module = copy.deepcopy(sequence.backbone)

    @property
    def rate(self) -> float:
        """The learning rate of this way to tune, for a model of this size."""
        return rates(self.sequence.backbone)[self.way]

    def learn(self, i: int, steps: int, lr: float) -> None:
        """Train on task `i`, the next one, and keep of it what is to be kept."""
        finetune(self.model, self._loss, self._batches(i), steps, lr, warmup_steps=steps // 20, weight_decay=0.0)
        self._remember(i)

    def take_over(self, first: nn.Module) -> None:
        """Be as after `learn(0, …)`, if all `begins_alike`, with the numbers of a model that has learnt the task."""
        self.model.load_state_dict(first.state_dict())
        self._remember(0)

    def scores(self, prompts: Sequence[str], labels: Sequence[str]) -> Tensor:
        """As `score_labels`."""
        return score_labels(self.model, self.sequence.tokenizer, prompts, labels)

    def _loss(self, batch: Batch) -> Tensor:
        logits = answer_logits(self.model, batch)
        return F.cross_entropy(logits, answer_tokens(batch)) + self._penalty(batch, logits)

    def _batches(self, i: int) -> Iterable[Batch]:
        """What task `i` is learnt from."""
        return self._shuffle(self.sequence.pairs[i])

    def _shuffle(self, pairs: Sequence[Pair]) -> Iterable[Batch]:
        return shuffled(pairs, BATCH, partial(causal, pad_id=0), self.seed)

    def _penalty(self, batch: Batch, logits: Tensor) -> Tensor | float:
        """What is added to the loss on `batch`, to whose answers the model gives these `logits`."""
        return 0.0

    def _remember(self, i: int) -> None:
        """Called when task `i` is learnt."""

    def _kept(self) -> Iterable[Tensor]:
        return ()

    @property
    def kept_bytes(self) -> int:
        """The size of what is kept beside the model for the tasks so far, to learn the next one or to answer."""
        return sum(tensor.nbytes for tensor in self._kept())


class L2SP(Naive):
    """No number may go far from where the last task left it."""

    paper = "Li et al. 2018"
    strength = 1.0

    def __init__(self, sequence: TaskSequence, seed: int = 0) -> None:
        super().__init__(sequence, seed)
        self.anchor: dict[str, Tensor] = {}  # nothing holds the first task back
        self.importance: dict[str, Tensor] | None = None

    def _penalty(self, batch: Batch, logits: Tensor) -> Tensor | float:
        return self.strength / 2 * distance(self.model, self.anchor, self.importance)

    def _remember(self, i: int) -> None:
        self.anchor = copy_of(self.model)

    def _kept(self) -> Iterable[Tensor]:
        return [*self.anchor.values(), *(self.importance or {}).values()]


class EWC(L2SP):
    """Important numbers may not go far from where the last task left them.

    One importance for all earlier tasks, the sum of their Fishers, each divided by its mean (Schwarz et al. 2018): a
    task that is learnt to the last example has hardly any gradient left, and would count for nothing beside another.
    """

    paper = "Kirkpatrick et al. 2017"
    strength = 1.0
    examples = 60  # to estimate the Fisher from, of each task

    def _remember(self, i: int) -> None:
        super()._remember(i)
        found = fisher(self.model, self.sequence.pairs[i][: self.examples])
        mean = torch.cat([f.flatten() for f in found.values()]).mean()
        old = self.importance or {}
        self.importance = {name: f / mean + old.get(name, 0.0) for name, f in found.items()}


class LwF(Naive):
    """To new sentences the model shall answer much as it did after the last task."""

    paper = "Li & Hoiem 2016"
    strength = 1.0

    def __init__(self, sequence: TaskSequence, seed: int = 0) -> None:
        super().__init__(sequence, seed)
        self.teacher: nn.Module | None = None

    def _penalty(self, batch: Batch, logits: Tensor) -> Tensor | float:
        if self.teacher is None:
            return 0.0
        with torch.no_grad():
            before = answer_logits(self.teacher, batch)
        return self.strength * distillation(logits, before)

    def _remember(self, i: int) -> None:
        self.teacher = copy.deepcopy(self.model)

    def _kept(self) -> Iterable[Tensor]:
        return () if self.teacher is None else self.teacher.parameters()


class Replay(Naive):
    """Half of each batch is drawn from a few examples of earlier tasks."""

    paper = "Chaudhry et al. 2019"
    size = 120  # examples, of all tasks together; more is better, and nearer to `Joint`

    def __init__(self, sequence: TaskSequence, seed: int = 0) -> None:
        super().__init__(sequence, seed)
        self.memory = Reservoir(self.size, seed)

    def _batches(self, i: int) -> Iterable[Batch]:
        if not self.memory.kept:
            return super()._batches(i)
        return half_and_half(self.sequence.pairs[i], self.memory.kept, BATCH, self.seed)

    def _remember(self, i: int) -> None:
        self.memory.extend(self.sequence.pairs[i])

    def _kept(self) -> Iterable[Tensor]:
        return (tokens for pair in self.memory.kept for tokens in pair)


class LoRAs(Naive):
    """The backbone stays; each task gets a LoRA of its own, and each sentence that of the task it seems to be from."""

    paper = "Hu et al. 2021"
    way = "lora"
    begins_alike = False
    examples = 200  # that the router learns a task from

    def __init__(self, sequence: TaskSequence, seed: int = 0) -> None:
        super().__init__(sequence, seed)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.model = adapt(self.model, "lora")
        self.fresh = copy_of(self.model)
        self.adapters: list[dict[str, Tensor]] = []
        self.router = Router(sequence.backbone, sequence.tokenizer)

    def learn(self, i: int, steps: int, lr: float) -> None:
        """Train a fresh LoRA on task `i`, the next one; the others stay as they are."""
        self._use(self.fresh)
        super().learn(i, steps, lr)

    def _remember(self, i: int) -> None:
        self.adapters.append(copy_of(self.model))
        self.router.add([e.prompt for e in self.sequence.data[i].train[: self.examples]])

    def scores(self, prompts: Sequence[str], labels: Sequence[str]) -> Tensor:
        """As `score_labels`, each prompt with the adapter that the router gives it."""
        route, scores = self.router.route(prompts), torch.empty(len(prompts), len(labels))
        for i in route.unique().tolist():
            self._use(self.adapters[i])
            mine = (route == i).nonzero().flatten()
            scores[mine] = super().scores([prompts[j] for j in mine.tolist()], labels)
        return scores

    @torch.no_grad()
    def _use(self, adapter: Mapping[str, Tensor]) -> None:
        """Copy an adapter's numbers into the model."""
        for name, value in adapter.items():
            self.model.get_parameter(name).copy_(value)

    def _kept(self) -> Iterable[Tensor]:
        return [*(t for adapter in self.adapters for t in adapter.values()), *self.router.means, self.router.scatter]


class Joint(Naive):
    """All tasks' sentences at once, from the first stage on: as many steps, and no order."""

    begins_alike = False

    def _batches(self, i: int) -> Iterable[Batch]:
        return self._shuffle([pair for pairs in self.sequence.pairs for pair in pairs])

    def _kept(self) -> Iterable[Tensor]:
        return (tokens for pairs in self.sequence.pairs for pair in pairs for tokens in pair)


LEARNERS: dict[str, type[Naive]] = {
    "naive": Naive, "l2sp": L2SP, "ewc": EWC, "lwf": LwF, "replay": Replay, "lora": LoRAs, "joint": Joint,
}  # fmt: skip
