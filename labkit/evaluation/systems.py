"""A table of systems in which no row can be lost.

    answers = {"lead": answer(lead, papers, timed=8), "API": ask(configured(cache_dir() / "api"), papers, words=150)}
    pd.DataFrame({name: row(given, papers) for name, given in answers.items()}).T

A system is a function from papers to texts. It may fail on a paper or on all of them, or not be there at all: its own
row says so, and the others stand. What it did write is scored, and the row tells on how many papers; an empty text is
a text, and scores 0. Two systems are compared on the papers that both answered, see `compare`.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np

from labkit.evaluation.api import ApiModel
from labkit.evaluation.intervals import Difference, bootstrap, paired
from labkit.evaluation.rouge import rouge, rouge_l
from labkit.evaluation.summaries import describe
from labkit.tasks.papers import Paper
from labkit.tasks.synthetic_papers import check_facts

System = Callable[[Sequence[Paper]], list[str]]

NOT_CONFIGURED = "not configured"
PROMPT = """Write the abstract of the paper below in about {words} words. Answer with the abstract and nothing else.

{article}"""
_ROUGE = {"ROUGE-1": "rouge1", "ROUGE-2": "rouge2", "ROUGE-L": "rougeL"}
_STYLE = ("words", "repetition", "novelty", "copied")
_FACTS = ("right", "wrong", "unread")


@dataclass(frozen=True)
class Answers:
    """A text for every paper, None where there is none; `says` what happened, "" if all went well.

    `seconds`: what single abstracts took. `cost`: what was paid for them just now, in the prices' money; None if
    nobody knows.
    """

    texts: tuple[str | None, ...]
    seconds: tuple[float, ...] = ()
    says: str = ""
    cost: float | None = None


def answer(system: System, papers: Sequence[Paper], timed: int = 0) -> Answers:
    """What `system` writes about all papers at once; if that fails, about one at a time, so that only some are lost.

    `timed` papers that went well are then written again, one at a time, after one to warm up: somebody who needs an
    abstract waits for a single one, not for a share of a batch.
    """
    texts, error = _attempt(system, papers)
    errors = [error] * len(papers)
    if error and len(papers) > 1:
        alone = [_attempt(system, [paper]) for paper in papers]
        texts, errors = [text for (text,), _ in alone], [error for _, error in alone]
    ready = [paper for paper, text in zip(papers, texts, strict=True) if text is not None][:timed]
    seconds = []
    for paper in [*ready[:1], *ready]:
        begun = time.perf_counter()
        _attempt(system, [paper])
        seconds.append(time.perf_counter() - begun)
    return Answers(tuple(texts), tuple(seconds[1:]), _said(errors))


def ask(model: ApiModel | None, papers: Sequence[Paper], words: int) -> Answers:
    """What the model behind an API writes when asked for about `words` words; no model: `NOT_CONFIGURED`.

    Never raises: a paper that got no reply has no text. Cached replies count with the seconds they took when made, and
    cost nothing.
    """
    if model is None:
        return Answers((None,) * len(papers), says=NOT_CONFIGURED)
    replies = model.complete_all(prompts(papers, words))
    says = [_said([reply.error for reply in replies])]
    if cut := sum(reply.cut_short for reply in replies):
        says.append(f"{cut} of {len(replies)} cut short at {model.max_tokens} tokens")
    return Answers(
        tuple(None if reply.error else reply.text for reply in replies),
        tuple(reply.seconds for reply in replies if not reply.error),
        "; ".join(filter(None, says)),
        model.cost(reply for reply in replies if not reply.cached),
    )


def prompts(papers: Sequence[Paper], words: int) -> list[str]:
    """What `ask` sends, a prompt for each paper."""
    return [PROMPT.format(words=words, article=paper.article) for paper in papers]


def scores(given: Answers, papers: Sequence[Paper]) -> np.ndarray:
    """ROUGE-L (papers,), NaN where there is no text."""
    pairs = zip(given.texts, papers, strict=True)
    return np.array([math.nan if text is None else rouge_l(text, paper.abstract) for text, paper in pairs])


def compare(a: np.ndarray, b: np.ndarray) -> Difference | None:
    """The paired test of a − b on the papers where neither is NaN; None if they are fewer than two."""
    both = ~np.isnan(a) & ~np.isnan(b)
    return paired(a[both], b[both]) if both.sum() >= 2 else None


def row(given: Answers, papers: Sequence[Paper]) -> dict[str, str]:
    """All there is to say of a system, in words for a table: means over the papers it answered.

    ROUGE with its 95 % interval over papers, seconds as median (fastest–slowest), facts an abstract. Facts of real
    papers are "unknown". Without any text every number is "failed", or "not configured", and `notes` has why.
    """
    answered = [(text, paper) for text, paper in zip(given.texts, papers, strict=True) if text is not None]
    names = ["papers", *_ROUGE, *_STYLE, *_FACTS, "seconds"]
    if not answered:
        missing = NOT_CONFIGURED if given.says == NOT_CONFIGURED else "failed"
        return dict.fromkeys(names, missing) | {"notes": given.says}
    texts, about = zip(*answered, strict=True)
    references = [paper.abstract for paper in about]
    each, means = rouge(texts, references), describe(texts, [paper.article for paper in about], references)
    cells = [str(len(texts)), *(with_interval(each[key]) for key in _ROUGE.values())]
    cells += [f"{means['words']:.1f}", *(f"{means[name]:.3f}" for name in _STYLE[1:])]
    if all(paper.facts for paper in about):
        counts = [check_facts(paper, text) for text, paper in answered]
        cells += [f"{fmean(kind):.2f}" for kind in zip(*counts, strict=True)]
    else:
        cells += ["unknown"] * len(_FACTS)
    return dict(zip(names, [*cells, spread(given.seconds)], strict=True)) | {"notes": given.says}


def with_interval(values: Sequence[float]) -> str:
    """A mean and its 95 % interval over items: "0.412 (0.398–0.425)"; a single value has none."""
    low_high = "({:.3f}–{:.3f})".format(*bootstrap(values)) if len(values) > 1 else "(one paper)"
    return f"{fmean(values):.3f} {low_high}"


def spread(seconds: Sequence[float]) -> str:
    """A median with what it came from: "0.031 (0.028–0.055)", fastest and slowest; "not timed" for none."""
    if not seconds:
        return "not timed"
    if max(seconds) < 0.001:
        return "under 0.001"
    return f"{median(seconds):.2g} ({min(seconds):.2g}–{max(seconds):.2g})"


def _attempt(system: System, papers: Sequence[Paper]) -> tuple[list[str | None], str]:
    """The texts and "", or as many None and why."""
    try:
        texts = list(system(papers))
        if len(texts) != len(papers):
            raise ValueError(f"{len(papers)} papers gave {len(texts)} texts")
    except Exception as error:  # whatever a system does, the table goes on; an interrupt is no Exception
        return [None] * len(papers), " ".join(f"{type(error).__name__}: {error}".split())
    return texts, ""


def _said(errors: Sequence[str]) -> str:
    """How many failed, and the commonest reason."""
    failed = [error for error in errors if error]
    if not failed:
        return ""
    ((why, _),) = Counter(failed).most_common(1)
    return f"{len(failed)} of {len(errors)} failed: {why[:200]}"
