"""The texts that ROUGE scores in notebook 13: a prompt's answer must be its own, whoever stands beside it."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tiny_neo import tiny_neo

from labkit.evaluation import complete as module
from labkit.evaluation.complete import complete
from labkit.evaluation.generation_time import greedy
from labkit.models.qwen import new_qwen
from labkit.zoo import train_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # of peft 0.21
PROMPTS = [torch.randint(1, 97, (n,), generator=torch.Generator().manual_seed(n)) for n in (3, 9, 5, 5, 1, 7)]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["abc abd"])


def qwen():
    torch.manual_seed(0)
    model = new_qwen(300, 32, 2, 4, 2, 40).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn_like(p))
    return model


def peft_qwen():
    return get_peft_model(qwen(), LoraConfig(task_type="CAUSAL_LM")).eval()


@pytest.mark.parametrize("make", [qwen, tiny_neo, peft_qwen])
def test_a_text_is_what_its_prompt_alone_gives(make, tokenizer, monkeypatch):
    """Padding on the wrong side, or seen, or counted as positions, would change the shorter prompts' texts."""
    model = make()
    monkeypatch.setattr(module, "BATCH", 4)
    alone = [tokenizer.decode(greedy(model, prompt[None], 10)[0]) for prompt in PROMPTS]
    stopped = [text.split(tokenizer.eos_token)[0].strip() for text in alone]
    assert complete(model, tokenizer, PROMPTS, 10) == stopped and len(set(stopped)) > 3


def test_a_text_ends_at_the_end_of_text(tokenizer):
    """Told to write it at once, the model has written nothing."""
    model = qwen()
    hook = model.get_output_embeddings().register_forward_hook(
        lambda head, inputs, logits: logits.index_fill(-1, torch.tensor([tokenizer.eos_token_id]), 1e4)
    )
    assert complete(model, tokenizer, PROMPTS, 10) == [""] * 6
    hook.remove()
