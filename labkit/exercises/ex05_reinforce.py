"""The exercises of notebook 05: a baseline that costs nothing, and how likely a text is.

The reference answers are closed forms.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from labkit.exercises.exercise import Case, Exercise, Mistake

# --- 05-leave-one-out -------------------------------------------------------------------------------------


def leave_one_out(rewards: Tensor) -> Tensor:
    """Each of `rewards` (papers, k) minus the mean of its paper's other rewards."""
    return rewards - _others(rewards) / (rewards.shape[1] - 1)


def _others(rewards: Tensor, dim: int = 1) -> Tensor:
    """The sum of the other rewards."""
    return rewards.sum(dim, keepdim=True) - rewards


def _random_rewards() -> tuple[Tensor]:
    return (torch.rand(3, 4, generator=torch.Generator().manual_seed(0)),)


_BATCH = "the baseline is one for the whole batch: a text about an easy paper looks good for that alone"
_BATCH_HINT = "Each row is a paper. Take sums and means along it: dim=1, with keepdim=True."
_ACROSS = "rewards are compared across papers, not within a paper"
_ACROSS_HINT = "Rows are papers, columns their texts: go along the row, dim=1."

_LEAVE_ONE_OUT = Exercise(
    id="05-leave-one-out",
    wants="leave_one_out",
    difficulty="easy",
    minutes=5,
    reference=leave_one_out,
    cases=(
        Case("one paper, 2 texts: each is the other one's baseline", lambda: (torch.tensor([[0.2, 0.6]]),)),
        Case(
            "an easy paper and a hard one, 3 texts each: the first text is 0.6 - (0.7 + 0.8) / 2 = -0.15",
            lambda: (torch.tensor([[0.6, 0.7, 0.8], [0.1, 0.2, 0.0]]),),
        ),
        Case("3 papers, 4 texts each", _random_rewards),
    ),
    mistakes=(
        Mistake(
            "the baseline counts the text's own reward in",
            "It may not depend on the text it judges: sum the paper's rewards, take away this one, divide by k - 1.",
            lambda rewards: rewards - rewards.mean(1, keepdim=True),
        ),
        Mistake(_BATCH, _BATCH_HINT, lambda rewards: rewards - rewards.mean()),
        Mistake(_BATCH, _BATCH_HINT, lambda rewards: rewards - (rewards.sum() - rewards) / (rewards.numel() - 1)),
        Mistake(
            "there is no baseline: every text is made likelier, and the differences drown in noise",
            "From each reward take away the mean of its paper's other rewards.",
            lambda rewards: rewards,
        ),
        Mistake(
            "the sign is turned: the worst texts would be made likelier",
            "Reward minus baseline, so that a text better than the others gets a number above 0.",
            lambda rewards: -leave_one_out(rewards),
        ),
        Mistake(_ACROSS, _ACROSS_HINT, lambda rewards: rewards - _others(rewards, 0) / (rewards.shape[0] - 1)),
        Mistake(_ACROSS, _ACROSS_HINT, lambda rewards: rewards - rewards.mean(0)),
        Mistake(
            "the other rewards are divided by k, but there are only k - 1 of them",
            "One was left out, so divide by `rewards.shape[1] - 1`.",
            lambda rewards: rewards - _others(rewards) / rewards.shape[1],
        ),
        Mistake(
            "the baseline is the sum of the other rewards, not their mean",
            "There are k - 1 others: divide by `rewards.shape[1] - 1`.",
            lambda rewards: rewards - _others(rewards),
        ),
        Mistake(
            "that is the baseline itself",
            "Take it away from the rewards.",
            lambda rewards: _others(rewards) / (rewards.shape[1] - 1),
        ),
        Mistake(
            "that is GRPO's advantage: own reward in the mean, and divided by the standard deviation",
            "Leave one out needs neither: the reward, minus the mean of the paper's others.",
            lambda rewards: (rewards - rewards.mean(1, keepdim=True)) / rewards.std(1, keepdim=True),
        ),
    ),
    hints=(
        "What is the sum of the *others*, if you know the sum of all?",
        (
            "The others' sum is the paper's sum minus the reward itself; `sum(dim=1, keepdim=True)` keeps the shape "
            "so that it can be subtracted."
        ),
        "There are k - 1 others: divide their sum by that, and take the result from the reward.",
    ),
    praise="the other texts are the baseline, and it costs nothing.",
)

# --- 05-log-prob ------------------------------------------------------------------------------------------


def text_log_prob(logits: Tensor, text: Tensor, pad_id: int) -> Tensor:
    """Nats, log p, of each text (batch, time) as (batch,), from logits (batch, time, vocab), padding left out."""
    return (_nats(logits, text) * (text != pad_id)).sum(1)


def _nats(logits: Tensor, text: Tensor, dim: int = -1) -> Tensor:
    return _of(logits.log_softmax(dim), text)


def _of(scores: Tensor, text: Tensor) -> Tensor:
    """The text's own among the scores (batch, time, vocab)."""
    return scores.gather(-1, text[..., None]).squeeze(-1)


def _without_end(text: Tensor, pad_id: int) -> Tensor:
    """Where the real tokens are, but for the last."""
    real = text != pad_id
    return real & (real.cumsum(1) < real.sum(1, keepdim=True))


def _overflowing(logits: Tensor, text: Tensor, pad_id: int) -> Tensor:
    weights = logits.exp()
    nats = _of(weights / weights.sum(-1, keepdim=True), text).log()
    return nats.masked_fill(text == pad_id, 0).sum(1)


def _underflowing(logits: Tensor, text: Tensor, pad_id: int) -> Tensor:
    return _of(logits.softmax(-1), text).log().masked_fill(text == pad_id, 0).sum(1)


def _shifted(logits: Tensor, text: Tensor, pad_id: int) -> Tensor:
    return text_log_prob(logits[:, :-1], text[:, 1:], pad_id)


def _equal_logits() -> tuple[Tensor, Tensor, int]:
    return torch.zeros(1, 4, 5), torch.tensor([[3, 4, 2, 1]]), 1


def _random_texts(pad_id: int, scale: float = 1.0) -> tuple[Tensor, Tensor, int]:
    """Texts of 2, 5 and 4 tokens, the end (2) included."""
    g = torch.Generator().manual_seed(0)
    logits, text = scale * torch.randn(3, 5, 8, generator=g), torch.randint(3, 8, (3, 5), generator=g)
    lengths = torch.tensor([[2], [5], [4]])
    text = text.masked_fill(torch.arange(5) == lengths - 1, 2)
    return logits, text.masked_fill(torch.arange(5) >= lengths, pad_id), pad_id


_MEAN = "that is a mean over the tokens, not the sum"
_MEAN_HINT = "Probabilities of a text's tokens multiply, so their logs add up. The length belongs in it."
_STABLE_HINT = "`log_softmax` does both in one step, and keeps to numbers that a float can hold."

_LOG_PROB = Exercise(
    id="05-log-prob",
    wants="text_log_prob",
    difficulty="medium",
    minutes=7,
    reference=text_log_prob,
    cases=(
        Case("5 tokens, all equally likely; a text of 2, its end (2) and padding (1): 3 times -ln 5", _equal_logits),
        Case("3 texts of different lengths, the padding is 1", lambda: _random_texts(1)),
        Case("the same with 0 for padding", lambda: _random_texts(0)),
        Case("logits in the hundreds, as a very sure model has them", lambda: _random_texts(1, scale=100.0)),
    ),
    mistakes=(
        Mistake(
            "the padding is counted in: a short text looks less likely in a wide batch",
            "Where `text == pad_id` there is no token: multiply these by 0 before the sum.",
            lambda logits, text, pad_id: _nats(logits, text).sum(1),
        ),
        Mistake(
            "padding is taken to be token 1, whatever `pad_id` says",
            "Another tokenizer has another id for it: compare with `pad_id`.",
            lambda logits, text, pad_id: text_log_prob(logits, text, 1),
        ),
        Mistake(
            "the end is left out: the model could never learn when to stop",
            "The end is a token that the model chose. Only padding is left out: `text != pad_id`.",
            lambda logits, text, pad_id: (_nats(logits, text) * _without_end(text, pad_id)).sum(1),
        ),
        Mistake(
            _MEAN,
            _MEAN_HINT,
            lambda logits, text, pad_id: text_log_prob(logits, text, pad_id) / (text != pad_id).sum(1),
        ),
        Mistake(_MEAN, _MEAN_HINT, lambda logits, text, pad_id: text_log_prob(logits, text, pad_id) / text.shape[1]),
        Mistake(
            "probabilities are added up, not their logs",
            "Take the log: `log_softmax` instead of `softmax`.",
            lambda logits, text, pad_id: (_of(logits.softmax(-1), text) * (text != pad_id)).sum(1),
        ),
        Mistake(
            "that is the probability, a product that soon is too small for a float",
            "Add up logs instead: `log_softmax`, then a sum.",
            lambda logits, text, pad_id: text_log_prob(logits, text, pad_id).exp(),
        ),
        Mistake(
            "logits are added up as they are, but they are no log-probabilities yet",
            "Take `log_softmax` over the vocabulary first: then the probabilities of all tokens sum to 1.",
            lambda logits, text, pad_id: (_of(logits, text) * (text != pad_id)).sum(1),
        ),
        Mistake(
            "the softmax runs over time, not over the vocabulary",
            "At each position one token is chosen among all of the vocabulary: take the last axis, dim=-1.",
            lambda logits, text, pad_id: (_nats(logits, text, dim=1) * (text != pad_id)).sum(1),
        ),
        Mistake(
            "the sign is turned: that is a loss",
            "log p is never above 0. The minus comes later, where the loss is made.",
            lambda logits, text, pad_id: -text_log_prob(logits, text, pad_id),
        ),
        Mistake(
            "that is one number for the whole batch",
            "Each text has a reward of its own, so it needs its own log p: sum over time only, dim=1.",
            lambda logits, text, pad_id: text_log_prob(logits, text, pad_id).sum(),
        ),
        Mistake(
            "that is how sure the model is of its favourite token, whatever the text says",
            "Pick the text's own tokens out of the vocabulary: `gather(-1, text[..., None])`.",
            lambda logits, text, pad_id: (logits.log_softmax(-1).amax(-1) * (text != pad_id)).sum(1),
        ),
        Mistake(
            "shifted once too often: the first token is left out, the others are judged by the logits before theirs",
            "The decoder's input was shifted already: logits[:, t] are for text[:, t].",
            _shifted,
        ),
        Mistake("exp overflows: your softmax gives inf/inf = NaN for big logits", _STABLE_HINT, _overflowing),
        Mistake(
            "an unlikely token's softmax rounds to 0, and its log is -inf",
            _STABLE_HINT,
            _underflowing,
        ),
    ),
    hints=(
        "In steps, printing each shape: log_softmax over the vocabulary, gather the text's tokens, drop padding, sum.",
        (
            "`gather` along the last axis wants an index with as many axes as the log-probabilities: give `text` one "
            "more, of size 1, and take it away again."
        ),
        "Multiply by a mask that is 0 where the text is `pad_id`, and sum over time.",
    ),
    praise="this is what REINFORCE makes likelier, or less so.",
)

# --- 05-noise ---------------------------------------------------------------------------------------------


def advantage_noise(sigma: float, k: int) -> float:
    """The standard deviation of a leave-one-out advantage, for k independent rewards that scatter by `sigma`."""
    return sigma * math.sqrt(k / (k - 1))


_NOISE = Exercise(
    id="05-noise",
    wants="advantage_noise",
    difficulty="medium",
    minutes=5,
    reference=advantage_noise,
    cases=(
        Case("two texts: the difference of two rewards that scatter by 1, so √2", lambda: (1.0, 2)),
        Case("four texts, rewards that scatter by 0.2", lambda: (0.2, 4)),
        Case("eight texts, rewards that scatter by 0.1", lambda: (0.1, 8)),
    ),
    mistakes=(
        Mistake(
            "that is the variance, not the standard deviation",
            "Variances add up; take the root at the end.",
            lambda sigma, k: sigma**2 * k / (k - 1),
        ),
        Mistake(
            "the baseline is the mean of the k - 1 *others*, not of k",
            "Its variance is σ² / (k - 1).",
            lambda sigma, k: sigma * math.sqrt(1 + 1 / k),
        ),
        Mistake(
            "that is the scatter around the mean of all k, the reward itself among them: then it is no baseline",
            "Leave-one-out averages the k - 1 others, which are independent of the reward.",
            lambda sigma, k: sigma * math.sqrt(1 - 1 / k),
        ),
        Mistake(
            "standard deviations don't add up",
            "Add up the variances of the reward and of its baseline, then take the root.",
            lambda sigma, k: sigma * (1 + 1 / math.sqrt(k - 1)),
        ),
        Mistake(
            "a baseline that is itself a mean of few rewards is noisy, too",
            "The reward's variance is σ², the baseline's σ² / (k - 1). They are independent.",
            lambda sigma, k: sigma,
        ),
    ),
    hints=(
        "An advantage is a reward minus a mean of others. Variances of independent things add up, under a minus, too.",
        "The reward has the variance σ², the mean of k - 1 others σ² / (k - 1).",
        "The sum is σ² · k / (k - 1). What is asked for is its root.",
    ),
    praise="with eight texts the baseline's own noise costs 7 %: a perfect baseline could save no more.",
)

EXERCISES: tuple[Exercise, ...] = (_LEAVE_ONE_OUT, _LOG_PROB, _NOISE)
