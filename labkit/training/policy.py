"""What a policy gradient is made of: texts, what they earn, and how strongly each is to be made likelier.

The gradient of the expected reward is an expectation itself (Williams 1992),

    ∇ E[R(y)] = E[(R(y) − b) ∇ log p(y|x)],   y sampled from p(·|x),

for any baseline b that doesn't depend on y. Whatever b is, the mean stays the same; the variance doesn't:

- `sampled`: b = 0. Rewards are all positive, so every sample is pushed up, and the differences drown in noise.
- `scst`: the reward of the greedy text (Rennie et al. 2017, "Self-critical sequence training").
- `rloo`: the mean reward of the *other* samples for the same article (Kool et al. 2019, "Buy 4 REINFORCE samples").
- `report`: the summarising report's: the best of four beams in place of a sample, and no baseline. A beam isn't drawn
  from p, so this is the gradient of nothing; it makes the model surer of what it would write anyway.
- `cross-entropy`: the control, on the references. `mixed`: `rloo` and a share of cross-entropy.

All of them raise a weighted sum of log-likelihoods. They differ in whose texts, and in the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from labkit.evaluation.rouge import rouge_l
from labkit.evaluation.seq2seq import write
from labkit.tasks.pairs import Pair, seq2seq
from labkit.tasks.papers import Paper
from labkit.tasks.synthetic_papers import check_facts
from labkit.training.finetune import mixed_precision

if TYPE_CHECKING:
    from transformers import BartForConditionalGeneration, PreTrainedTokenizerFast

METHODS = ("report", "sampled", "scst", "rloo", "mixed", "cross-entropy")
WITHOUT_BASELINE = ("report", "sampled")
BEAMS = 4
# What a text about a paper earns, 0–1. The second is a trap, see notebook 05: it is right to the last digit, and what
# nobody can read can't be wrong.
REWARDS: dict[str, Callable[[str, Paper], float]] = {
    "rougeL": lambda text, paper: rouge_l(text, paper.abstract),
    "facts": lambda text, paper: check_facts(paper, text).accuracy,
}
CROSS_ENTROPY_SHARE = 0.3  # of `mixed`, beside 1 of the reward's


class LogProbs(nn.Module):
    """log p(text | source) under a model: what the gradient is taken of, and what DDP wraps."""

    def __init__(self, model: BartForConditionalGeneration) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor, texts: Tensor) -> Tensor:
        """Nats of each of `texts` (batch · samples, time), end included and padding not, as (batch · samples,).

        A source (batch, source time) is read once for its texts, which stand side by side as `write` returns them.
        """
        config, samples = self.model.config, len(texts) // len(input_ids)
        start = texts.new_full((len(texts), 1), config.decoder_start_token_id)
        with mixed_precision(self.model):
            encoded = self.model.model.encoder(input_ids, attention_mask).last_hidden_state
            logits = self.model(
                encoder_outputs=(encoded.repeat_interleave(samples, dim=0),),
                attention_mask=attention_mask.repeat_interleave(samples, dim=0),
                decoder_input_ids=torch.cat([start, texts[:, :-1]], dim=1),
                use_cache=False,
            ).logits
        nats = logits.float().log_softmax(-1).gather(-1, texts[..., None]).squeeze(-1)
        return (nats * (texts != config.pad_token_id)).sum(1)


@dataclass(frozen=True)
class Writer:
    """A model with all it takes to write about papers and to be paid for it.

    The model must be in evaluation mode: with dropout its texts would come from another distribution than the one
    whose gradient is taken. `scaled`: advantages over a baseline are divided by their standard deviation, so that one
    learning rate does for a model that earns .3 and for one that earns .6.
    """

    model: BartForConditionalGeneration
    tokenizer: PreTrainedTokenizerFast
    max_new_tokens: int
    samples: int
    scaled: bool = True
    reward: str = "rougeL"  # one of `REWARDS`

    def loss(
        self, log_probs: nn.Module, method: str, papers: Sequence[Paper], pairs: Sequence[Pair], seed: int
    ) -> tuple[Tensor, float]:
        """What to descend on for some papers, encoded as `pairs`, and the mean reward of the texts written for it.

        `log_probs` is a `LogProbs` of this model, or DDP's wrapper of one.
        """
        batch = {name: tensor.to(self.model.device) for name, tensor in seq2seq(pairs, self.pad).items()}
        references = batch.pop("labels")
        references = references.masked_fill(references < 0, self.pad)
        texts, weights, reward = self.weighted_texts(method, batch, papers, references, seed)
        return -(weights * log_probs(**batch, texts=texts)).sum(), reward

    def weighted_texts(
        self, method: str, sources: dict[str, Tensor], papers: Sequence[Paper], references: Tensor, seed: int
    ) -> tuple[Tensor, Tensor, float]:
        """The texts (papers · k, time) whose log-likelihood `method` raises, their weights (papers · k,), mean reward.

        Cross-entropy is the same sum with the references for samples: each token weighs alike, and nothing is earned.
        """
        supervised = torch.ones(len(papers), device=references.device) / (references != self.pad).sum()
        if method == "cross-entropy":
            return references, supervised, 0.0
        texts = self.write(method, sources, seed)
        rewards = self.rewards(texts, papers)
        greedy = self.rewards(self.write("greedy", sources, seed), papers) if method == "scst" else None
        advantage = advantages(method, rewards, greedy)
        if self.scaled and method not in WITHOUT_BASELINE:
            advantage = advantage / (advantage.std() + 1e-6)
        weights = advantage / rewards.numel()
        if method == "mixed":  # a paper's reference stands beside its samples
            width = max(texts.shape[1], references.shape[1])
            rows = [nn.functional.pad(t, (0, width - t.shape[1]), value=self.pad) for t in (texts, references)]
            texts = torch.cat([t.view(len(papers), -1, width) for t in rows], dim=1).flatten(0, 1)
            weights = torch.cat([weights, CROSS_ENTROPY_SHARE * supervised[:, None]], dim=1)
        return texts, weights.flatten(), rewards.mean().item()

    def write(self, how: str, sources: dict[str, Tensor], seed: int = 0) -> Tensor:
        """Texts as token ids: `greedy`, one of `report`'s beams, else samples."""
        # An autocast of its own: one around writing and gradient keeps the copies of weights that it made, and those
        # that are made for writing lead back to no weight.
        with mixed_precision(self.model):
            return self._write(how, sources, seed)

    def _write(self, how: str, sources: dict[str, Tensor], seed: int) -> Tensor:
        n = self.max_new_tokens
        if how == "report":
            return self.model.generate(**sources, num_beams=BEAMS, do_sample=False, max_new_tokens=n)[:, 1:]
        if how == "greedy":
            return write(self.model, **sources, max_new_tokens=n)
        generator = torch.Generator(sources["input_ids"].device).manual_seed(seed)
        return write(self.model, **sources, max_new_tokens=n, temperature=1, generator=generator, samples=self.samples)

    def rewards(self, texts: Tensor, papers: Sequence[Paper]) -> Tensor:
        """What each text (papers · k, time) earns, as (papers, k)."""
        written = self.tokenizer.batch_decode(texts, skip_special_tokens=True)
        k = len(written) // len(papers)
        earned = [REWARDS[self.reward](text, papers[i // k]) for i, text in enumerate(written)]
        return torch.tensor(earned, device=texts.device).view(len(papers), k)

    @property
    def pad(self) -> int:
        """The id of padding."""
        return self.model.config.pad_token_id


def advantages(method: str, rewards: Tensor, greedy: Tensor | None = None) -> Tensor:
    """R − b for `rewards` (papers, k); `greedy` (papers, 1) are the greedy texts' rewards."""
    if method in WITHOUT_BASELINE:
        return rewards
    if method == "scst":
        return rewards - greedy
    others = (rewards.sum(1, keepdim=True) - rewards) / (rewards.shape[1] - 1)
    return rewards - others


@torch.no_grad()
def divergence(writer: Writer, start: BartForConditionalGeneration, pairs: Sequence[Pair], seed: int) -> float:
    """KL(p‖p₀) in nats a text: how far `writer` has gone from the model it began with, on its own samples.

    The mean of log p(y|x) − log p₀(y|x) over y sampled from p, an unbiased estimate, for papers encoded as `pairs`.
    """
    batch = {name: tensor.to(start.device) for name, tensor in seq2seq(pairs, writer.pad).items() if name != "labels"}
    texts = writer.write("sampled", batch, seed)
    now, then = (LogProbs(model)(**batch, texts=texts) for model in (writer.model, start))
    return (now - then).mean().item()


def gradient_variance(writer: Writer, method: str, papers: Sequence[Paper], pairs: Sequence[Pair], draws: int) -> float:
    """The trace of the gradient's covariance, from `draws` independent sets of texts for the same papers.

    Advantages are left as they are, or methods with a baseline would be measured on another scale.
    """
    writer = replace(writer, scaled=False)
    log_probs, parameters = LogProbs(writer.model), list(writer.model.parameters())
    gradients = []
    for seed in range(draws):
        loss, _ = writer.loss(log_probs, method, papers, pairs, seed)
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)]))
    return torch.stack(gradients).var(dim=0).sum().item()
