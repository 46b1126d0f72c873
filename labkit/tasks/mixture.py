"""The texts that the course's small models are pretrained on: prose, and the worlds of the tasks to come.

    texts = mixture(resolve("laptop"), notes=True)                 # for the GPT-Neo of notebooks 07 to 11
    texts = papers_and_prose(resolve("laptop"))                    # for the Qwen of notebooks 12 and 13

Most of the first is financial news, on which notebooks 08 and 10 build: in as many steps a mixture of equal parts
taught no model to tell good news from bad. A little is prose (docstrings, or LABKIT_DATA's textbooks), and what
biologists and newsmen might write: with SOURCE=embedded synthetic text, with `local` the words of the real datasets'
training splits. Never a test sentence, and no label of any training set. `notes` adds sentences with a remark that
names what they are ("Analysts called the tone positive."): the only place where the words of the labels stand beside
what they mean. They are synthetic, whatever the source. Notebook 08 compares a model that has read them with one that
has read as much text without. The second is papers without their titles, in Chinese where the lab's papers are, with
prose between.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from labkit.profile import Lab
from labkit.tasks.bpe import END_OF_TEXT
from labkit.tasks.ner import load_ner
from labkit.tasks.paraphrase import load_paraphrase
from labkit.tasks.sentiment import load_sentiment
from labkit.tasks.synthetic_finance import finance_notes, finance_text
from labkit.tasks.synthetic_ner import synthetic_abstracts
from labkit.tasks.synthetic_paraphrase import paraphrase_notes, paraphrase_text
from labkit.tasks.titles import load_titles
from labkit.tasks.webtext import load_webtext


def mixture(lab: Lab, notes: bool) -> list[str]:
    """Texts in a random order, the same for every seed: `lab.profile.neo_texts` on finance and a few on all else.

    Without notes as many sentences come without remarks.
    """
    n = lab.profile.neo_texts
    finance, pairs = (finance_notes, paraphrase_notes) if notes else (finance_text, paraphrase_text)
    texts = [*prose(lab, "train", n // 48), *_worlds(lab, n), *finance(1, n), *pairs(1, n // 8)]
    random.Random(0).shuffle(texts)
    return texts


def papers_and_prose(lab: Lab) -> list[str]:
    """Of each paper to train on its body, if there is one, and abstract; and a piece of prose to every two papers."""
    papers = load_titles(lab).train
    texts = [f"{paper.article} {paper.abstract}".strip() for paper in papers]
    texts += prose(lab, "train", len(papers) // 2)
    random.Random(0).shuffle(texts)
    return texts


def prose(lab: Lab, split: str, n: int, tokens: int = 80) -> list[str]:
    """`n` pieces of about 60 words from all over the lab's general text; those of the split `val` are held out."""
    corpus = load_webtext(lab)
    pieces, _ = corpus.batch(split, n, tokens, seed=0, step=0)
    return [corpus.tokenizer.decode(piece).replace(END_OF_TEXT, "\n").strip() for piece in pieces.tolist()]


def _worlds(lab: Lab, n: int) -> Iterable[str]:
    """Unlabelled text of the three tasks; of real data the training splits, once."""
    if lab.source == "embedded":
        return synthetic_abstracts(n // 48)
    tagged = (" ".join(sentence.tokens) for sentence in load_ner(lab).train)
    return [*tagged, *(e.text for e in load_sentiment(lab).train), *(e.text for e in load_paraphrase(lab).train)]
