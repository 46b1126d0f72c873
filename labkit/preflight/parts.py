"""What each notebook trains in the full profile: models of real size with random weights, and batches of real shape.

One row a kind of training. It is there to be counted and rehearsed before anything is downloaded, so it holds shapes
and no texts; the number of parameters is what the literature gives, to be found again. Steps are those of all trainings
of that kind in the notebook together, from the profile where it has them. Writing and scoring come on top.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labkit.models.adapters import METHODS, adapt
from labkit.models.fast import FastLoss
from labkit.models.gpt2 import GPT2, GPT2Config
from labkit.models.neo import gpt_neo_1_3b_config
from labkit.profile import PROFILES
from labkit.tasks.ner import LABELS
from labkit.training.policy import LogProbs

if TYPE_CHECKING:
    from transformers import (
        BartForConditionalGeneration,
        GPTNeoForCausalLM,
        GPTNeoForTokenClassification,
        Qwen2ForCausalLM,
    )

Batch = dict[str, Tensor]
FULL = PROFILES["full"]
SAMPLES = 8  # texts for each article, of REINFORCE


@dataclass(frozen=True)
class Part:
    """One kind of training. `rows` × `tokens` is a step's batch, or a micro-batch where the loop has them."""

    name: str
    start: Callable[[], nn.Module]
    loss: Callable[[nn.Module, Batch], Tensor]
    batch: Callable[[int, int], Batch]  # of so many rows and tokens
    rows: int
    tokens: int
    steps: int
    parameters: int  # of what `start` makes
    trained: int | None = None  # of them, or added to them; None: all
    method: str = ""  # of `models.adapters.METHODS`; "": everything is trained
    sizes: Mapping[str, Any] = field(default_factory=dict)
    copies: int = 0  # of the model that are kept beside it
    by: str = "finetune"  # the loop; "pretrain" is a recipe's, "write" trains nothing
    spread: str = ""  # over GPUs: "" one alone, "ddp" the rows, "fsdp" the model
    recomputes: bool = True  # its blocks, where a GPU is small (`models.checkpointing`)

    @property
    def n_trained(self) -> int:
        """Numbers that are trained."""
        return self.parameters if self.trained is None else self.trained

    def tunable(self, model: nn.Module, saved: bool = False) -> nn.Module:
        """What `start` made, as it is trained. `saved`: so that it can be saved, which takes numbers that are real."""
        if self.by == "write":
            return model.requires_grad_(False)
        if not self.method:
            return model
        return adapt(model, self.method, **self.sizes) if saved else METHODS[self.method].apply(model, **self.sizes)


def gpt2() -> FastLoss:
    """GPT-2 124M, as every loop of the course trains it."""
    return FastLoss(GPT2(GPT2Config()))


def distilbart(decoder_layers: int = 6) -> BartForConditionalGeneration:
    """sshleifer/distilbart-cnn-6-6's shape, or that of its student."""
    from transformers import BartConfig, BartForConditionalGeneration

    return BartForConditionalGeneration(BartConfig(vocab_size=50_264, encoder_layers=6, decoder_layers=decoder_layers))


def neo() -> GPTNeoForCausalLM:
    """GPT-Neo 1.3B's shape."""
    from transformers import GPTNeoForCausalLM

    return GPTNeoForCausalLM(gpt_neo_1_3b_config())


def neo_tagger() -> GPTNeoForTokenClassification:
    """GPT-Neo 1.3B's shape with a head for names in biomedical text."""
    from transformers import GPTNeoForTokenClassification

    config = gpt_neo_1_3b_config()
    config.num_labels = len(LABELS)
    return GPTNeoForTokenClassification(config)


def qwen() -> Qwen2ForCausalLM:
    """Qwen2.5-0.5B's shape, from its public config.json."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        vocab_size=151_936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
        num_key_value_heads=2, max_position_embeddings=32_768, tie_word_embeddings=True,
        rope_parameters={"rope_theta": 1e6, "rope_type": "default"},
    )  # fmt: skip
    return Qwen2ForCausalLM(config)


def text(vocabulary: int, labels: int = 0) -> Callable[[int, int], Batch]:
    """Random ids, and what follows each of them, or one of so many `labels`; both (rows, tokens)."""

    def batch(rows: int, tokens: int) -> Batch:
        ids = torch.randint(vocabulary, (rows, tokens + 1))
        return {"input_ids": ids[:, :-1], "labels": torch.randint(labels, (rows, tokens)) if labels else ids[:, 1:]}

    return batch


def article(rows: int, tokens: int) -> Batch:
    """Random articles (rows, tokens) with abstracts (rows, a quarter of it), for BART."""
    ids = torch.randint(4, 50_264, (rows, tokens))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids[:, : tokens // 4].contiguous()}


def gpt2_loss(model: nn.Module, batch: Batch) -> Tensor:
    """`FastLoss`, nats a token."""
    return model(batch["input_ids"], batch["labels"])


def every_token(model: nn.Module, batch: Batch) -> Tensor:
    """Cross-entropy at all positions: more than a task asks that wants a label, so a bound of its memory."""
    return F.cross_entropy(model(input_ids=batch["input_ids"]).logits.flatten(0, 1).float(), batch["labels"].flatten())


def bart_loss(model: nn.Module, batch: Batch) -> Tensor:
    """Cross-entropy of an abstract, nats a token."""
    return model(**batch).loss


def rloo_loss(model: nn.Module, batch: Batch) -> Tensor:
    """What a policy gradient descends on: each article's `SAMPLES` texts, with weights that cancel."""
    texts = batch["labels"].repeat_interleave(SAMPLES, dim=0)
    weights = torch.tensor([1.0, -1.0], device=texts.device).repeat(len(texts) // 2)
    return -(weights * LogProbs(model)(batch["input_ids"], batch["attention_mask"], texts)).sum() / len(texts)


NEO, QWEN, GPT2_SMALL, DISTILBART = 1_315_575_808, 494_032_768, 124_439_808, 229_933_056
STUDENT = DISTILBART - 3 * 16_796_672  # a decoder layer: two attentions, an MLP of 4 × 1,024 and three norms
TAGGER = NEO + len(LABELS) * (2048 + 1)
NER_STEPS = 10 * -(-16_619 // 16)  # ten epochs of the Hub's training sentences

_gpt2 = dict(start=gpt2, loss=gpt2_loss, batch=text(50_257), tokens=1024, parameters=GPT2_SMALL, recomputes=False)
_bart = dict(start=distilbart, loss=bart_loss, batch=article, rows=16, tokens=FULL.source_tokens, parameters=DISTILBART)
_student = _bart | dict(start=lambda: distilbart(3), parameters=STUDENT)
_neo = dict(start=neo, loss=every_token, batch=text(50_257), rows=16, tokens=128, parameters=NEO)
_tagger = _neo | dict(start=neo_tagger, batch=text(50_257, len(LABELS)), parameters=TAGGER)
_qwen = dict(start=qwen, loss=every_token, batch=text(151_936), parameters=QWEN)
_prompt = dict(method="prompt_tuning", sizes={"n_tokens": 20}, trained=20 * 2048)
_lora = dict(method="lora", trained=24 * 2 * 16 * (2048 + 2048))  # queries and values, rank 16
_adapters = dict(method="bottleneck", trained=24 * 2 * (2 * 8 * 2048 + 8 + 2048))
_every = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_qwen_lora = dict(method="lora", sizes={"r": 16, "alpha": 32, "targets": _every},
                  trained=24 * 16 * (2 * (896 + 896) + 2 * (896 + 128) + 3 * (896 + 4864)))  # fmt: skip

PARTS: dict[str, tuple[Part, ...]] = {
    "02": (
        Part("pretraining", rows=FULL.micro_batch_size, by="pretrain", spread="ddp",
             steps=FULL.max_steps * FULL.batch_size // FULL.micro_batch_size, **_gpt2),
    ),
    "03": (Part("fine-tuning", rows=FULL.finetune_batch, steps=3 * FULL.finetune_steps, **_gpt2),),
    "04": (
        Part("teacher", steps=FULL.bart_steps, **_bart),
        Part("student", steps=4 * FULL.finetune_steps, copies=1, **_student),
    ),
    "05": (
        Part("cross-entropy", steps=FULL.finetune_steps, **_student),
        Part("REINFORCE", steps=11 * FULL.rl_updates, spread="ddp", copies=1,
             **_student | dict(rows=6, loss=rloo_loss)),
    ),
    "06": (
        Part("GPT-2 writes", rows=1, steps=0, by="write", trained=0, **_gpt2),
        Part("DistilBART writes", steps=0, by="write", trained=0, **_student),
    ),
    "07": (
        Part("LoRA", method="lora", sizes={"r": 16, "alpha": 16, "dropout": 0.1, "bias": "all"}, trained=3_563_531,
             steps=4 * NER_STEPS, **_tagger),
        Part("full fine-tuning", steps=NER_STEPS, copies=1, **_tagger),
    ),
    "08": (Part("prompt tuning", steps=2_400, **_neo, **_prompt),),
    "09": (
        Part("prompt tuning", steps=320, copies=1, **_neo, **_prompt),
        Part("LoRA", steps=700, copies=3, **_neo, **_lora),
    ),
    "10": (  # of nine methods the largest, and one that 07 to 09 don't have
        Part("full fine-tuning", steps=250, copies=1, spread="fsdp", **_neo),
        Part("bottleneck adapters", steps=150, copies=2, **_neo, **_adapters),
    ),
    "11": (Part("EWC", steps=2_000, copies=4, **_neo),),  # the first model, the backbone, the anchor and the Fisher
    "12": (
        Part("GPT-2", rows=8, steps=200, by="pretrain", **_gpt2),
        Part("Qwen", rows=8, tokens=1024, steps=150, by="pretrain", **_qwen),
    ),
    "13": (
        Part("full", rows=16, tokens=256, steps=4_000, copies=2, **_qwen),
        Part("LoRA", rows=16, tokens=256, steps=4_000, copies=2, **_qwen, **_qwen_lora),
    ),
}  # fmt: skip
