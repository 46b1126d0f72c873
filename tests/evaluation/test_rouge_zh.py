"""Chinese scored by characters; read as English it would score 0 or, by its numbers alone, anything."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from labkit.evaluation.rouge import rouge
from labkit.evaluation.rouge_zh import characters, rouge_zh

KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")


class Characters:
    """`characters` as `rouge-score` takes a tokenizer."""

    def tokenize(self, text: str) -> list[str]:
        return characters(text)


GOOGLE = RougeScorer(KINDS, tokenizer=Characters())
odd = st.sampled_from(
    ["新", "的", "方", "法", "。", ",", "\n", "SOS", "sos", "６4", "18", "β受", "〇", " ", "龥", "_", "naïve"]
)
texts = st.lists(odd, max_size=30).map("".join) | st.text(max_size=30)


@settings(max_examples=300, deadline=None)
@given(texts, texts)
@example("", "法")
@example("法\n新", "新\n法")
def test_equal_to_rouge_score_with_the_same_tokens(prediction, reference):
    """To the last digit: the detour over hexadecimal digits must neither join two tokens nor tell one from itself."""
    theirs = GOOGLE.score(reference, prediction)
    assert rouge_zh([prediction], [reference]) == {kind: [theirs[kind].fmeasure] for kind in KINDS}


@settings(max_examples=200, deadline=None)
@given(*[st.text(st.characters(max_codepoint=127), max_size=60)] * 2)
def test_on_ascii_it_is_the_rouge_of_the_other_notebooks(prediction, reference):
    assert rouge_zh([prediction], [reference]) == rouge([prediction], [reference])


def test_by_hand():
    """我爱北京 and 我在北京: 3 of 4 characters, the one pair 北京 of 3, and three in order."""
    assert rouge_zh(["我爱北京"], ["我在北京。"]) == {
        "rouge1": [0.75], "rouge2": [pytest.approx(1 / 3)], "rougeL": [0.75], "rougeLsum": [0.75],
    }  # fmt: skip
    assert rouge(["我爱北京"], ["我爱北京"])["rouge1"] == [0.0]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("用SOS方法,减少了64.18%。", "用 sos 方 法 减 少 了 64 18"),
        ("ＡＢＣ１２，，Ａ", "abc12 a"),
        ("(β受体)、naïve/x_1", "β 受 体 naïve x 1"),
        ("\u3000二〇\ue000二\t㍻", "二 〇 二 平 成"),
        ("\U00020000\uf900", "\U00020000 豈"),
        ("—《》“”…·%", ""),
    ],
)
def test_what_is_a_token(text, tokens):
    """Full-width and half-width are one; numbers and Latin words stay whole, or their letters would match by chance."""
    assert characters(text) == tokens.split()


def test_one_missing_is_an_error():
    with pytest.raises(ValueError):
        rouge_zh(["新"], [])
