"""A label on a wrong token trains a model on nonsense, and a word that was lost on the way back hides a miss."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import DataCollatorForTokenClassification, PreTrainedTokenizerFast

from labkit.evaluation.entities import entity_scores
from labkit.profile import LabError
from labkit.tasks.alignment import align, aligned_without_else, check_spaces, cut_words, word_predictions
from labkit.tasks.ner import LABELS, Sentence
from labkit.tasks.pairs import IGNORE
from labkit.tasks.synthetic_ner import synthetic_ner

SENTENCES = synthetic_ner(60, 10).train


def make_tokenizer(spaces: bool = True, special: bool = False) -> PreTrainedTokenizerFast:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=spaces)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator([" ".join(s.tokens) for s in SENTENCES], trainer)
    if special:
        bpe.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
        )
    return PreTrainedTokenizerFast(tokenizer_object=bpe, pad_token="<pad>", bos_token="<s>", eos_token="</s>")


GPT, BERT = make_tokenizer(), make_tokenizer(special=True)
TOKENIZERS = {"without special tokens": GPT, "with special tokens": BERT}
tokenizers = pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS.keys())
places = pytest.mark.parametrize("at", ["first", "last"])


@tokenizers
@places
def test_each_word_has_its_label_at_one_of_its_tokens(tokenizer, at):
    """The definition, from the tokens of each word alone."""
    for sentence, example in zip(SENTENCES, align(tokenizer, SENTENCES, 1_000, at), strict=True):
        expected = []
        for word, tag in zip(sentence.tokens, sentence.tags, strict=True):
            rest = [IGNORE] * (len(tokenizer([word], is_split_into_words=True, add_special_tokens=False).input_ids) - 1)
            label = [LABELS.index(tag)]
            expected += label + rest if at == "first" else rest + label
        if tokenizer is BERT:
            expected = [IGNORE, *expected, IGNORE]
        assert example["labels"] == expected
        assert len(example["input_ids"]) == len(example["attention_mask"]) == len(expected)


def sound(sentences, examples) -> bool:
    """What the test asks that the report's alignment fails: a label a token, and at the first token of each word."""
    return all(
        len(example["labels"]) == len(example["input_ids"])
        and [i for i, label in enumerate(example["labels"]) if label != IGNORE] == _first_tokens(sentence)
        for sentence, example in zip(sentences, examples, strict=True)
    )


def _first_tokens(sentence: Sentence) -> list[int]:
    words = GPT(list(sentence.tokens), is_split_into_words=True).word_ids()
    return [words.index(i) for i in range(len(sentence.tokens))]


def test_the_lost_else_is_found():
    """Counting labels doesn't find it: there is one a word. Their places do, and the lists' lengths."""
    broken = aligned_without_else(GPT, SENTENCES)
    assert sound(SENTENCES, align(GPT, SENTENCES, 1_000)) and not sound(SENTENCES, broken)
    for sentence, example in zip(SENTENCES, broken, strict=True):
        assert len(example["labels"]) == 2 * len(sentence.tokens)
        assert sum(label != IGNORE for label in example["labels"]) == len(sentence.tokens)


def test_with_one_token_a_word_the_lost_else_stops_the_collator_and_else_it_is_silent():
    """A list longer than the batch can't be padded; a shorter one is, and nobody hears of it."""
    collate = DataCollatorForTokenClassification(GPT)
    whole = Sentence(("the", "of", "in"), ("O", "O", "O"))
    split = Sentence(("VKXQ-17", "ZZZQQQ"), ("B-DNA", "I-DNA"))
    with pytest.raises(ValueError, match="expected sequence of length"):
        collate(aligned_without_else(GPT, [whole, Sentence(("the", "of"), ("O", "O"))]))
    batch = collate(aligned_without_else(GPT, [split]))
    assert batch["labels"].shape == batch["input_ids"].shape
    assert (
        batch["labels"][0, 2] == LABELS.index("I-DNA")
        and GPT([*split.tokens], is_split_into_words=True).word_ids()[2] == 0
    )


@tokenizers
@places
@settings(max_examples=40, deadline=None)
@given(limit=st.integers(2, 80), number=st.integers(0, len(SENTENCES) - 1))
def test_a_long_sentence_is_cut_after_a_whole_word(tokenizer, at, limit, number):
    """As many words as fit and no half one, and the rest comes back as O."""
    sentence = SENTENCES[number]
    if len(tokenizer([sentence.tokens[0]], is_split_into_words=True).input_ids) > limit:
        with pytest.raises(LabError, match="fits into max_tokens"):
            align(tokenizer, [sentence], limit, at)
        return
    (whole,), (example,) = align(tokenizer, [sentence], 1_000, at), align(tokenizer, [sentence], limit, at)
    kept = len(sentence.tokens) - cut_words([sentence], [example])
    words = list(sentence.tokens)
    assert len(example["input_ids"]) <= limit
    assert example["input_ids"] == tokenizer(words[:kept], is_split_into_words=True).input_ids
    assert kept == len(words) or len(tokenizer(words[: kept + 1], is_split_into_words=True).input_ids) > limit
    (tags,) = word_predictions([example["labels"]], [example["labels"]], [sentence])
    assert tags == [*sentence.tags[:kept], *["O"] * (len(words) - kept)]
    if limit == 80 and kept == len(words):
        assert example == whole


def test_an_entity_that_was_cut_counts_as_missed():
    """Scored on what was labelled alone, as in the report, a model that reads one word of each sentence is perfect."""
    collate = DataCollatorForTokenClassification(GPT)
    examples = align(GPT, SENTENCES, 20)
    labels = collate(examples)["labels"].numpy()
    right = np.where(labels == IGNORE, 0, labels)
    scores = entity_scores([s.tags for s in SENTENCES], word_predictions(right, labels, SENTENCES))
    assert cut_words(SENTENCES, examples) > 0 and scores.recall < 0.9 and scores.precision > scores.recall


def test_padding_is_no_word():
    labels = DataCollatorForTokenClassification(GPT)(align(GPT, SENTENCES, 1_000))["labels"].numpy()
    assert word_predictions(labels, labels, SENTENCES) == [list(s.tags) for s in SENTENCES]


def test_predictions_of_other_sentences_are_refused():
    one, two = Sentence(("a",), ("O",)), Sentence(("a", "b"), ("O", "O"))
    with pytest.raises(ValueError, match="2 labels for 1 words"):
        word_predictions([[0, 0]], [[0, 0]], [one])
    with pytest.raises(ValueError, match="zip"):
        word_predictions([[0, 0]], [[0, 0]], [two, two])
    with pytest.raises(ValueError, match="zip"):
        word_predictions([[0]], [[0, 0]], [two])


def test_a_tokenizer_that_glues_words_is_refused():
    """GPT-2's does by default, without a word: "a", "b" would be the tokens of "ab"."""
    with pytest.raises(LabError, match="add_prefix_space=True"):
        align(make_tokenizer(spaces=False), SENTENCES, 100)
    check_spaces(GPT)


def test_a_word_without_tokens_is_named():
    """Else every later word of the sentence would have its neighbour's tag."""
    tokenizer = make_tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace("®", "")
    with pytest.raises(LabError, match="has no token for '®'"):
        align(tokenizer, [Sentence(("a", "®", "b"), ("O", "O", "O"))], 100)
