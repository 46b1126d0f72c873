"""A table of scores needs a text for every article, in the articles' order."""

from __future__ import annotations

import pytest
import torch

from labkit.evaluation.generate import generate
from labkit.evaluation.summarise import summarise_bart, summarise_gpt2
from labkit.models.bart import new_bart, train_tokenizer
from labkit.models.gpt2 import GPT2, GPT2Config
from labkit.tasks.bpe import TrainedBPE
from labkit.tasks.pairs import causal_sources
from labkit.tasks.synthetic_papers import synthetic_papers

PAPERS = synthetic_papers(12, 1).train
ARTICLES = ["", "Straße 论文 ümläut.", *(paper.article for paper in PAPERS)]
TEXTS = [text for paper in PAPERS for text in (paper.article, paper.abstract)]


def test_bart_gives_each_article_its_own_text():
    torch.manual_seed(0)
    tokenizer = train_tokenizer(TEXTS, 400)
    model = new_bart(tokenizer, 32, 1, 1, 64).eval()
    torch.nn.init.normal_(model.model.shared.weight, std=0.5)
    texts = summarise_bart(model, tokenizer, ARTICLES, 40, 8)
    assert len(texts) == len(ARTICLES)
    assert texts[5] == summarise_bart(model, tokenizer, [ARTICLES[5]], 40, 8)[0]
    assert summarise_bart(model, tokenizer, [], 40, 8) == []


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory) -> tuple[GPT2, TrainedBPE]:
    torch.manual_seed(0)
    bpe = TrainedBPE.train(TEXTS, 400, tmp_path_factory.mktemp("bpe") / "tokenizer.json")
    model = GPT2(GPT2Config(bpe.vocab_size, 64, n_layer=1, n_head=2, n_embd=32)).eval()
    torch.nn.init.normal_(model.wte.weight, std=0.5)
    return model, bpe


def test_gpt2_gives_each_article_what_it_would_get_alone(gpt2):
    """Articles are sorted by length inside; a slip would hand out abstracts to the wrong articles."""
    model, bpe = gpt2
    texts = summarise_gpt2(model, bpe, ARTICLES, 40, 8)
    assert texts == [summarise_gpt2(model, bpe, [article], 40, 8)[0] for article in ARTICLES]


def test_a_text_ends_at_the_end_of_text(gpt2):
    model, bpe = gpt2
    (prompt,) = causal_sources(bpe, ARTICLES[3:4], 40)
    idx = torch.tensor([prompt])
    second = generate(model, idx, 4, temperature=0)[0, len(prompt) + 1].item()
    stopped = generate(model, idx, 4, temperature=0, eos=second)
    assert stopped[0].tolist() == [*prompt, *stopped[0, len(prompt) :].tolist()] and stopped[0, -1] == second
    assert stopped.shape[1] <= len(prompt) + 2


def test_a_bias_keeps_the_end_away(gpt2):
    model, bpe = gpt2
    idx = torch.tensor(causal_sources(bpe, ARTICLES[3:4], 40))
    likely = generate(model, idx, 1, temperature=0)[0, -1].item()
    assert generate(model, idx, 1, temperature=0, eos=likely, eos_bias=-100)[0, -1] != likely
