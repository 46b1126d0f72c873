"""What `benchmarks.gpu` measures: a job for each number, made of the code that the notebooks run.

A job, once built, is a model on the device and a function that does one round of work with it; `gpu.py` holds the
clock. All is computed as the course does it, in mixed precision on a GPU; "in fp32" is for comparison. Batches, papers
an update and samples are the course's, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.gpu_models import Sizes, distilbart, papers
from benchmarks.scaling import model_config
from benchmarks.speed import matmul, matmul_size
from labkit.evaluation.generate import generate
from labkit.evaluation.loss import batch_loss
from labkit.evaluation.summarise import summarise_bart
from labkit.models.adapters import adapt
from labkit.models.fast import FastLoss
from labkit.models.flops import flops_per_token
from labkit.models.gpt2 import GPT2
from labkit.profile import pick_device, pick_dtype, seed_everything
from labkit.tasks.pairs import Pair, encode, seq2seq, shuffled
from labkit.training.compare_tuning import BATCH
from labkit.training.finetune import Batch, finetune
from labkit.training.policy import LogProbs, Writer
from labkit.training.recipes import BETAS
from labkit.training.reinforce import RATES, ReinforceConfig
from labkit.training.tuning import tune

Work = Callable[[], object]  # one round
Loss = Callable[[Tensor, Tensor], Tensor]  # of tokens and those that follow them
LoRA, PROMPT = ("lora", {"r": 16}), ("prompt_tuning", {"n_tokens": 8})
TUNING_LR = 1e-4
PROMPT_TOKENS = 16  # that GPT-2 continues


class Job(NamedTuple):
    """A number to measure: a round does `amount` of `unit` (without its "/s"), at `flops` each where they are known."""

    what: str
    unit: str
    amount: float
    build: Callable[[], Work]
    flops: float | None = None


@dataclass(frozen=True)
class Rung:
    """One way to pretrain; each switch is one lever. `speed.RUNGS` has those of a CPU, too."""

    says: str
    bf16: bool = True
    head: bool = True
    fused_adamw: bool = True
    compiled: bool = False
    transformers: bool = False


RUNGS: dict[str, Rung] = {
    "fp32": Rung("the plain model", bf16=False, head=False, fused_adamw=False),
    "bf16": Rung("matrix products in autocast", head=False, fused_adamw=False),
    "fused head": Rung("logits in chunks, gradients on the spot", fused_adamw=False),
    "fused AdamW": Rung("one pass over the parameters"),
    "transformers": Rung("GPT2LMHeadModel, bf16, fused AdamW", transformers=True),
    "compiled blocks": Rung("FastLoss as it comes: what notebook 02 trains with", compiled=True),
    "transformers, compiled": Rung("the same, compiled as a whole", compiled=True, transformers=True),
}


def pretraining(s: Sizes) -> list[Job]:
    """The peak of plain products, and every rung."""
    p, n = s.profile, matmul_size()
    tokens, flops = s.steps * p.micro_batch_size * p.block_size, flops_per_token(model_config(p), p.block_size)
    peak = Job(f"product of two {n} × {n} matrices", "TFLOP", s.steps * 2 * n**3 / 1e12, partial(products, s), 1e12)
    ladder = [Job(f"GPT-2, {name}", "tokens", tokens, partial(pretrain, s, r), flops) for name, r in RUNGS.items()]
    return [peak, *ladder]


def products(s: Sizes) -> Work:
    """Products in a row: one alone would be over before the clock is read."""
    product = matmul()
    return lambda: [product() for _ in range(s.steps)]


def pretrain(s: Sizes, rung: Rung) -> Work:
    """Steps on one micro-batch of random tokens: forward, backward, clipping, AdamW."""
    seed_everything(0)
    p, device = s.profile, pick_device()
    dtype = pick_dtype(device) if rung.bf16 else torch.float32
    tokens = torch.randint(p.vocab_size, (p.micro_batch_size, p.block_size + 1), device=device)
    trained, loss = (_their_loss if rung.transformers else _our_loss)(GPT2(model_config(p)), rung, dtype)
    optimizer = torch.optim.AdamW(trained.parameters(), lr=p.max_lr, betas=BETAS, fused=rung.fused_adamw)

    def steps() -> None:
        for _ in range(s.steps):
            loss(tokens[:, :-1], tokens[:, 1:]).backward()
            nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return steps


def _our_loss(model: GPT2, rung: Rung, dtype: torch.dtype) -> tuple[nn.Module, Loss]:
    """The module that is trained, on the device, and its loss of (x, y)."""
    if not rung.head:
        return model.to(pick_device()), partial(batch_loss, model, dtype=dtype)
    if rung.compiled:
        model.to(pick_device())
    fast = FastLoss(model, dtype)  # which compiles the blocks if they are on a GPU by now
    return fast.to(pick_device()), fast


def _their_loss(model: GPT2, rung: Rung, dtype: torch.dtype) -> tuple[nn.Module, Loss]:
    theirs = model.to_hf().train().to(pick_device())
    if rung.compiled and pick_device().type == "cuda":
        theirs.compile()
    # It shifts labels itself. No cache of keys and values, as training has no use for one.
    return theirs, multiplying_in(dtype, lambda x, y: theirs(input_ids=x, labels=x, use_cache=False).loss)


def multiplying_in(dtype: torch.dtype, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The same function, its matrix products in `dtype`, whatever the one that calls it would have."""

    def wrapped(*arguments: Any, **named: Any) -> Tensor:
        with torch.autocast(pick_device().type, dtype, enabled=dtype != torch.float32):
            return function(*arguments, **named)

    return wrapped


def summarising(s: Sizes) -> list[Job]:
    """DistilBART, supervised and by reward, as the course does it; the first also in fp32."""
    p, c = s.profile, ReinforceConfig
    return [
        Job("DistilBART, cross-entropy", "papers", s.steps * p.finetune_batch, partial(supervise, s)),
        Job("DistilBART, cross-entropy, in fp32", "papers", s.steps * p.finetune_batch, partial(supervise, s, True)),
        Job(f"DistilBART, REINFORCE with {c.samples} texts a paper", "papers", c.papers, partial(reinforce, s)),
    ]


def supervise(s: Sizes, fp32: bool = False) -> Work:
    """Fine-tuning on abstracts, as notebook 04 does it."""
    model, tokenizer = distilbart(s)
    p = s.profile
    pairs = encode(tokenizer, papers(s, s.steps * p.finetune_batch), p.source_tokens, p.summary_tokens)
    loader = shuffled(pairs, p.finetune_batch, partial(seq2seq, pad_id=tokenizer.pad_token_id), seed=0)

    def loss_of(batch: Batch) -> Tensor:
        return model(**batch).loss

    loss_of = multiplying_in(torch.float32, loss_of) if fp32 else loss_of
    return partial(finetune, model, loss_of, loader, s.steps, p.finetune_lr)


def reinforce(s: Sizes) -> Work:
    """One update of `labkit.training.reinforce` in one process, with its own papers, slices and samples."""
    model, tokenizer = distilbart(s)
    p, c = s.profile, ReinforceConfig
    writer, log_probs = Writer(model, tokenizer, p.summary_tokens, c.samples), LogProbs(model)
    some = papers(s, c.papers // c.slices)
    pairs = encode(tokenizer, some, p.source_tokens, p.summary_tokens)
    optimizer = torch.optim.AdamW(model.parameters(), RATES["rloo"], BETAS, weight_decay=0.0, fused=True)

    def update() -> None:
        for seed in range(c.slices):
            loss, _ = writer.loss(log_probs, "rloo", some, pairs, seed)
            (loss / c.slices).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return update


def tuning(s: Sizes) -> list[Job]:
    """GPT-Neo, with LoRA and with a prompt; each also with activations computed twice instead of kept."""
    return [
        Job(f"GPT-Neo, {said}{', checkpointing' if again else ''}", "texts", s.steps * BATCH,
            partial(tune_neo, s, method, sizes, again))
        for said, (method, sizes) in {"LoRA, r = 16": LoRA, "prompt of 8 tokens": PROMPT}.items()
        for again in (False, True)
    ]  # fmt: skip


def tune_neo(s: Sizes, method: str, sizes: Mapping[str, Any], checkpointing: bool) -> Work:
    """An epoch of `tune` on texts of one length with an answer of one token, as notebooks 08 to 10 do it."""
    seed_everything(0)
    with pick_device():
        model = s.neo()
    if checkpointing:  # its old name goes with transformers 6
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    vocabulary = model.config.vocab_size
    pairs: list[Pair] = [
        (torch.randint(vocabulary, (s.tuning_tokens,)), torch.randint(vocabulary, (1,))) for _ in range(s.steps * BATCH)
    ]
    return partial(tune, adapt(model, method, **sizes), pairs, 1, TUNING_LR, BATCH)


def generation(s: Sizes) -> list[Job]:
    """Greedy texts, of the same length for all."""
    written = [
        Job(f"GPT-2 writes {batch} at a time", "tokens", batch * s.new_tokens, partial(write_gpt2, s, batch))
        for batch in s.batches
    ]
    many = Job(f"DistilBART writes {s.articles} at a time", "tokens", s.articles * s.new_tokens, partial(write_bart, s))
    return [*written, many]


def write_gpt2(s: Sizes, batch: int) -> Work:
    """Texts after a short prompt, with a cache of keys and values."""
    seed_everything(0)
    with pick_device() as device:
        model = GPT2(model_config(s.profile)).eval()
        prompt = torch.randint(s.profile.vocab_size, (batch, PROMPT_TOKENS), device=device)
    return partial(generate, model, prompt, s.new_tokens, temperature=0)


def write_bart(s: Sizes) -> Work:
    """Abstracts of whole articles; reading them is in the time."""
    model, tokenizer = distilbart(s)
    articles = [paper.article for paper in papers(s, s.articles)]
    return partial(summarise_bart, model, tokenizer, articles, s.profile.source_tokens, s.new_tokens)


# In order: a section's share of the time, and its jobs.
SECTIONS: dict[str, tuple[float, Callable[[Sizes], list[Job]]]] = {
    "pretraining": (0.4, pretraining),
    "summarising": (0.25, summarising),
    "tuning": (0.2, tuning),
    "generation": (0.15, generation),
}
