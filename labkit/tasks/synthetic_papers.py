"""Synthetic papers: short articles whose abstracts can be checked fact by fact.

    paper = synthetic_paper(0)
    print(paper.article, "→", paper.abstract)
    check_facts(paper, "It scores 82 on SETHOR.")                  # right, wrong, unread

An article tells of its own method, data and scores, and of other people's, a few words to a paragraph; the abstract
picks its own and merges what stands apart. A model that copies the first name it meets, or the last, is wrong. The
same number gives the same paper. Real papers differ in everything but this: who said what must be kept apart.

Three discourses (`TEMPLATES`) are for training; a fourth (`HELD_OUT`) has an order and wordings of its own and tests
what was learnt beyond them. `distractors` adds sentences about other people's work, until the article no longer fits
into a small model's context: half of them at the end of a paragraph, as a paragraph begins with what it is about, and
half as paragraphs of their own.

**Designed in:** with `optional=True` the abstract tells each thing but the contribution only sometimes, by fixed
chances. A likely abstract then differs from one that scores well. Greedy decoding takes the likeliest next word, and a
sentence's four openings share its chance, where its absence has one; F1 pays for a sentence already if its chance is
above half of F1. The comparison, with one opening, is a formula: told least often, and yet the likeliest sentence per
word, which is what a beam goes by. Notebook 05 needs such gaps, and says so. Why four openings: with two whole
wordings, each has a chance that F1 pays for, and a policy learns to write both at once ("We present X is our new graph
network").
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from labkit.tasks.papers import Paper, Papers

TEMPLATES = ("classic", "results first", "shared task")
HELD_OUT = "question"
# How often an abstract of optional sentences tells each thing.
CHANCES = {"problem": 0.45, "contribution": 1.0, "result": 0.75, "comparison": 0.25, "limitation": 0.5}


def _phrases(text: str) -> list[str]:
    return [" ".join(phrase.split()) for phrase in text.split("|")]


def _names() -> list[str]:
    """Pronounceable names that no language model has met."""
    onsets, rimes, ends = "bdfklmnrstvz", ("al", "en", "ir", "os", "um", "ax", "eth", "ol"), ("ia", "or", "et")
    names = [a + b + c for a in onsets for b in rimes for c in ends]
    random.Random("names").shuffle(names)
    return names


METHODS, DATASETS = [name.capitalize() for name in _names()[:60]], [name.upper() for name in _names()[60:100]]
TASKS = _phrases(
    """speech recognition|question answering|image search|protein folding|fraud detection|crop monitoring|
    route planning|code review|music tagging|weather forecasting|text simplification|gene mapping|traffic control|
    video indexing|plagiarism screening|tumour grading|machine translation|spelling correction|credit scoring|
    bird counting|parcel sorting|map drawing|voice cloning|patent retrieval"""
)
KINDS = _phrases(
    """graph network|decision tree|sparse encoder|ranking model|two stage filter|memory network|kernel method|
    rule learner|mixture model|contrastive loss|hash table|beam decoder|wavelet basis|gated layer|prompt tuner|
    random forest|nearest neighbour vote|token pruner"""
)
PROBLEMS = _phrases(
    """labels are scarce|inputs carry noise|inference takes hours|errors cost lives|records stay private|
    classes differ in size|nobody can explain answers|training diverges|sensors drift|vocabularies grow|
    old systems overfit|deadlines are short|examples contradict each other|budgets shrink|users change habits|
    hardware ages"""
)
LIMITS = _phrases(
    """short inputs|one language|large memory|clean recordings|many labels|fixed vocabularies|careful tuning|
    recent hardware|balanced classes|daily updates|expert review|paired examples|long training|known speakers|
    dense sampling|stable networks"""
)
SCORES = range(40, 100)

_ORDER = {
    "classic": "problem related method data result limitation",
    "results first": "result data problem method related limitation",
    "shared task": "data related problem limitation method result",
    "question": "related problem data method limitation result",
}
_BODY = {
    "problem": ("{task} is hard because {problem}.", "in {task}, {problem}."),
    "related": (
        "earlier work used {other} and reported {other_score} on {other_dataset}.",
        "the {other} system reached {other_score} on {other_dataset}.",
    ),
    "method": ("we propose {method}, a {kind}.", "our approach, {method}, is a {kind}."),
    "data": (
        "we test on {dataset} and compare with {baseline}.",
        "all experiments use {dataset}, where {baseline} was the best.",
    ),
    "result": (
        "{method} scores {score} while {baseline} scores {baseline_score}.",
        "we measure {score}; {baseline} stays at {baseline_score}.",
    ),
    "limitation": ("our method needs {limit}.", "a weak point is that it needs {limit}."),
}
_HELD_OUT_BODY = {
    "problem": ("can {task} work although {problem}?",),
    "related": ("{other} was said to reach {other_score} on {other_dataset}.",),
    "method": ("we answer with a {kind} that we call {method}.",),
    "data": ("{dataset} is our test bed and {baseline} our rival.",),
    "result": ("the answer is {score} for {method} and {baseline_score} for {baseline}.",),
    "limitation": ("what it needs is {limit}.",),
}
_DISTRACTOR = (
    "a survey lists {other} with {other_score} on {other_dataset}.",
    "{other} was also tried on {other_dataset} and gave {other_score}.",
    "on {other_dataset} the {kind} of {other} reached {other_score}.",
)
# Four openings a sentence, then always the same; of the comparison one, as formulas are.
_ABSTRACT = {
    part: tuple(f"{opening} {rest}" for opening in openings.split("|"))
    for part, openings, rest in (
        ("problem", "today|often|lately|still", "{problem} in {task}."),
        ("contribution", "we present|this is|meet|introducing", "{method}, a {kind} for {task}."),
        ("result", "it scores|it reaches|we measure|we get", "{score} on {dataset}."),
        ("comparison", "rival", "{baseline} has {baseline_score} on {dataset}."),
        ("limitation", "however|though|alas|sadly", "{task} needs {limit}."),
    )
}


def synthetic_paper(number: int, optional: bool = False, template: str = "", distractors: int = 0) -> Paper:
    """The paper of that number; `template` "" draws one of `TEMPLATES`."""
    rng = random.Random(f"paper {number}")
    template = template or rng.choice(TEMPLATES)
    facts = _facts(rng)
    body = _HELD_OUT_BODY if template == HELD_OUT else _BODY
    paragraphs = [_sentence(rng, body[part], facts) for part in _ORDER[template].split()]
    told = [part for part in _ABSTRACT if not optional or rng.random() < CHANCES[part]]
    abstract = " ".join(_sentence(rng, _ABSTRACT[part], facts) for part in told)
    for _ in range(distractors):
        sentence, place = _sentence(rng, _DISTRACTOR, _facts(rng)), rng.randrange(len(paragraphs))
        if rng.random() < 0.5:
            paragraphs.insert(place, sentence)
        else:
            paragraphs[place] += " " + sentence
    return Paper(str(number), tuple(paragraphs), abstract, template, facts)


def synthetic_papers(n_train: int, n_test: int, optional: bool = False) -> Papers:
    """`n_train` papers to train on, and `n_test` for validation and for test each; no paper is in two splits."""
    first = {"train": 0, "validation": 1_000_000, "test": 2_000_000}
    sizes = {"train": n_train, "validation": n_test, "test": n_test}
    splits = {split: [synthetic_paper(first[split] + i, optional) for i in range(n)] for split, n in sizes.items()}
    return Papers(**splits, name="synthetic papers", dropped=0)


def _facts(rng: random.Random) -> dict[str, str]:
    method, baseline, other = rng.sample(METHODS, 3)
    dataset, other_dataset = rng.sample(DATASETS, 2)
    baseline_score, score = sorted(rng.sample(SCORES, 2))
    return {
        "task": rng.choice(TASKS), "problem": rng.choice(PROBLEMS), "kind": rng.choice(KINDS),
        "method": method, "dataset": dataset, "score": str(score), "limit": rng.choice(LIMITS),
        "baseline": baseline, "baseline_score": str(baseline_score),
        "other": other, "other_dataset": other_dataset, "other_score": str(rng.choice(SCORES)),
    }  # fmt: skip


def _sentence(rng: random.Random, wordings: tuple[str, ...], facts: Mapping[str, str]) -> str:
    text = rng.choice(wordings).format(**facts)
    return text[0].upper() + text[1:]


class FactCount(NamedTuple):
    """What an abstract states: facts that are `right` and `wrong`, and sentences `unread` that nobody can check."""

    right: int
    wrong: int
    unread: int

    @property
    def accuracy(self) -> float:
        """The share of the stated facts that are right; 0 if none is stated."""
        return self.right / max(1, self.right + self.wrong)


def check_facts(paper: Paper, abstract: str) -> FactCount:
    """Read an abstract as its references are worded, and hold every name, phrase and number against the paper.

    A sentence in other words isn't understood and counts as `unread`: a model that is paid for accuracy alone learns
    to write such.
    """
    right = wrong = unread = 0
    for sentence in re.findall(r"[^.]+\.?", abstract):
        match = next(filter(None, (pattern.fullmatch(sentence.strip()) for pattern in _PATTERNS)), None)
        if match is None:
            unread += bool(sentence.strip())
            continue
        agree = [value.lower() == paper.facts[role].lower() for role, value in match.groupdict().items()]
        right, wrong = right + sum(agree), wrong + len(agree) - sum(agree)
    return FactCount(right, wrong, unread)


def total_facts(papers: Iterable[Paper], abstracts: Iterable[str]) -> FactCount:
    """The counts of `check_facts`, added up; real papers, of which no facts are known, count as 0."""
    counts = [check_facts(paper, text) for paper, text in zip(papers, abstracts, strict=True) if paper.facts]
    return FactCount(*map(sum, zip(*counts, strict=True))) if counts else FactCount(0, 0, 0)


def _pattern(wording: str) -> re.Pattern[str]:
    """A wording as what finds its facts: names and numbers are a word, other roles a few."""
    one_word = ("method", "dataset", "score", "baseline", "baseline_score")
    pattern = re.escape(wording)
    for role in re.findall(r"\{(\w+)\}", wording):
        some = r"\w+" if role in one_word else "[a-z ]+"
        pattern = pattern.replace(rf"\{{{role}\}}", f"(?P<{role}>{some})")
    return re.compile(pattern, re.IGNORECASE)


_PATTERNS = [_pattern(wording) for wordings in _ABSTRACT.values() for wording in wordings]
