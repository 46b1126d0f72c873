"""Soft prompts by hand are what notebooks 08 and 09 print and train; each test says which promise would be broken."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import PromptTuningConfig, get_peft_model
from tiny_neo import tiny_neo
from transformers import GPTNeoForTokenClassification

from labkit.models.soft_prompt import SoftPrompt

PROMPT = SoftPrompt(tiny_neo(), n_tokens=4, text_ids=[5, 6, 7])
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # of peft 0.21
IDS = torch.randint(97, (3, 12), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("padded", [False, True])
def test_equal_to_peft(padded):
    """Logits within 1e-6 and the prompt's gradient within 1e-5, loss included, also with padding on the right."""
    ours = SoftPrompt(tiny_neo(), n_tokens=4)
    theirs = get_peft_model(tiny_neo(), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4))
    with torch.no_grad():
        theirs.prompt_encoder["default"].embedding.weight.copy_(ours.prompt)
    mask = torch.ones_like(IDS)
    if padded:
        mask[0, 7:] = mask[2, 3:] = 0
    labels = IDS.masked_fill(mask == 0, -100)
    a, b = (model(input_ids=IDS, attention_mask=mask, labels=labels) for model in (ours, theirs))
    a.loss.backward()
    b.loss.backward()
    difference = (a.logits - b.logits[:, 4:])[mask.bool()].abs().max()
    assert difference <= 1e-6 and abs(a.loss - b.loss) <= 1e-6
    theirs_grad = theirs.prompt_encoder["default"].embedding.weight.grad
    assert (ours.prompt.grad - theirs_grad).abs().max() <= 1e-5 < theirs_grad.abs().max()


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4), extra=st.integers(0, 12), left=st.booleans())
def test_padding_never_changes_an_answer(lengths, extra, left):
    """Neither side, nor how much: positions and the window of local attention must be those of the text alone."""
    width = max(lengths) + extra
    texts = [torch.arange(n) * 7 % 97 for n in lengths]
    pads = [(width - n, 0) if left else (0, width - n) for n in lengths]
    ids = torch.stack([F.pad(text, pad, value=96) for text, pad in zip(texts, pads, strict=True)])
    mask = torch.stack([F.pad(torch.ones_like(text), pad) for text, pad in zip(texts, pads, strict=True)])
    labels = ids.masked_fill(mask == 0, -100)
    with torch.no_grad():
        batch = PROMPT(ids, mask, labels)
        losses = 0.0
        for row, text in enumerate(texts):
            alone = PROMPT(text[None], labels=text[None])
            assert (batch.logits[row][mask[row].bool()] - alone.logits[0]).abs().max() < 1e-5
            losses += alone.loss * len(text)
        assert abs(batch.loss - losses / sum(lengths)) < 1e-4


def test_the_loss_counts_the_first_token_which_the_prompt_foretells():
    output = PROMPT(IDS, labels=IDS)
    with torch.no_grad():
        logits = PROMPT.backbone(inputs_embeds=PROMPT.embed(IDS)).logits
    expected = F.cross_entropy(logits[:, 3:-1].flatten(0, 1), IDS.flatten())
    assert abs(output.loss - expected) < 1e-5 and output.logits.shape == (3, 12, 97)


def test_logits_at_some_places_are_those_of_all():
    """Off by the prompt's length, labels would be scored by what comes before them."""
    places = torch.tensor([0, 3, 11])
    torch.testing.assert_close(PROMPT(IDS, logits_to_keep=places).logits, PROMPT(IDS).logits[:, places])
    for more in ({"attention_mask": torch.ones_like(IDS)}, {"labels": IDS}):  # which would be passed over
        with pytest.raises(ValueError, match="without attention_mask and labels"):
            PROMPT(IDS, logits_to_keep=places, **more)


def test_only_the_prompt_is_trained():
    model = SoftPrompt(tiny_neo(), n_tokens=4)
    model(IDS, labels=IDS).loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is not None] == ["prompt"]


def test_a_prompt_begins_as_text_or_as_long_as_embeddings_are():
    table = tiny_neo().get_input_embeddings().weight
    assert torch.equal(PROMPT.prompt, table[[5, 6, 7, 5]])
    assert torch.equal(SoftPrompt(tiny_neo(), 2, [5, 6, 7]).prompt, table[[5, 6]])
    drawn = SoftPrompt(tiny_neo(), 35).prompt.detach()
    assert drawn.std().item() == pytest.approx(table.std().item(), rel=0.1) and abs(drawn.mean()) < 0.02


def test_generating_goes_on_from_the_prompt():
    """`embed` is what `generate` needs; the same tokens as reading the whole text again for each."""
    with torch.no_grad():
        theirs = PROMPT.backbone.generate(
            inputs_embeds=PROMPT.embed(IDS), attention_mask=torch.ones(3, 16), max_new_tokens=6, do_sample=False,
            pad_token_id=0,
        )  # fmt: skip
        ids = IDS
        for _ in range(6):
            ids = torch.cat([ids, PROMPT(ids).logits[:, -1:].argmax(dim=-1)], dim=1)
    assert torch.equal(theirs, ids[:, 12:])


def test_a_classifier_of_tokens_trains_its_head_too():
    config = tiny_neo().config
    config.num_labels = 5
    model = SoftPrompt(GPTNeoForTokenClassification(config).eval(), 4)
    labels = IDS % 5
    output = model(IDS, labels=labels)
    assert abs(output.loss - F.cross_entropy(output.logits.flatten(0, 1), labels.flatten())) < 1e-6
    output.loss.backward()
    grads = [name for name, p in model.named_parameters() if p.grad is not None]
    assert grads == ["prompt", "backbone.classifier.weight", "backbone.classifier.bias"]


def test_a_text_too_long_for_prompt_and_context_is_refused():
    """Past the last position a GPU would stop with an assertion that names nothing."""
    with pytest.raises(ValueError, match="37 tokens: behind the prompt there is room for 36"):
        PROMPT(torch.zeros(1, 37, dtype=torch.long))
