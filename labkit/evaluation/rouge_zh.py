"""ROUGE of Chinese, where words have no spaces between them: by characters.

    characters("用SOS方法,减少了64.18%")                          # 用 sos 方 法 减 少 了 64 18
    rouge_zh(["用新方法"], ["新的方法"])["rouge1"]                  # [0.75]

A Chinese character is a token; a run of any other letters and digits is one, as it is for `rouge`; punctuation is none.
Full-width letters and digits are taken for the narrow ones (Unicode's NFKC). On text in ASCII the scores are `rouge`'s.
Others cut Chinese into words first: their scores are lower, depend on who cuts, and don't compare with these.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from labkit.evaluation.rouge import rouge

_HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff"
_TOKEN = re.compile(rf"[{_HAN}]|[^\W_{_HAN}]+")


def characters(text: str) -> list[str]:
    """The text's tokens: Chinese characters, and words and numbers of other scripts in lower case."""
    return _TOKEN.findall(unicodedata.normalize("NFKC", text).lower())


def rouge_zh(predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
    """Each pair's `rouge1`, `rouge2`, `rougeL` and `rougeLsum`, F1, 0–1, over `characters`.

    Raises `ValueError` unless there are as many predictions as references.
    """
    return rouge([_spell(text) for text in predictions], [_spell(text) for text in references])


def _spell(text: str) -> str:
    """Every token as a word that `rouge` can read, different ones differently: its bytes in hexadecimal digits."""
    lines = text.split("\n")
    return "\n".join(" ".join(token.encode().hex() for token in characters(line)) for line in lines)
