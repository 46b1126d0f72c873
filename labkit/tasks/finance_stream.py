"""A synthetic stream of financial news, day by day: what it is about, in which tone, and what changes on the way.

    stream = finance_stream()
    news = stream.days[0][0]
    news.tone.prompt, news.topic.prompt                            # two tasks on one text, each an `Example`
    LABELS[news.tone.label], TOPICS[news.topic.label]              # the truth, to score answers and alerts

The sentences are `synthetic_finance`'s, on companies of five trades. What a sentence is about shows in up to three
ways: a word for the trade ("the grocer Kelmo", `TOLD` of the sentences), the trade's goods, or nothing but the
company's name, and then one must know who that is.

**Designed in:** all of it. A day's news is on all topics alike, in the tones of `synthetic_finance.SHARES`. On the days
of `SURGES` there is `VOLUME` times as much on one topic as on any other, and `SURGE` of that is bad: so much that half
an ear will do, since in trials a GPT-Neo with nine answers in ten right missed half of the bad news. From the day
`DRIFT` on, `DRIFTED` of the sentences have new words for rises and falls and are on new companies: what the topic is
can still be read where it is said, which way the news points only by who was told what the words mean. Old words keep
their meaning. Days differ by chance alone: no weekends, no seasons, no rumours that last; an alarm has it easier here
than outside.

No text is one that `synthetic_finance` makes, so a model that read or was tuned on its sentences has met none of these;
their combinations are of its training side, so who trains on the stream may still be tested on its test split. No
sentence comes twice. Days to come differ from those before, so split by day.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from labkit.profile import unknown
from labkit.tasks.labelled import key
from labkit.tasks.sentiment import LABELS, Sentence
from labkit.tasks.synthetic_finance import COMPANIES, PRODUCTS, SHARES, endless

TOPICS = ("banks", "energy", "retail", "technology", "construction")
PROMPT = '"sentence" : {text} "Topic" :'
SURGES = {day: "energy" for day in (25, 26, 27)} | {day: "banks" for day in (50, 51, 52)}
DRIFT = 40
VOLUME, SURGE = 3, 0.6
TOLD = 0.6
DRIFTED = 0.7

_TRADES = {
    "banks": ("lender", "bank", "savings bank", "mortgage house"),
    "energy": ("oil firm", "gas firm", "power company", "utility"),
    "retail": ("grocer", "retailer", "chain of shops", "department store"),
    "technology": ("chip maker", "computer firm", "network operator", "games studio"),
    "construction": ("builder", "contractor", "house builder", "road builder"),
}
_GOODS = {
    "banks": ("loans", "credit cards", "mortgages", "savings plans"),
    "energy": ("petrol", "heating oil", "electricity", "natural gas"),
    "retail": ("groceries", "clothes", "shoes", "toys"),
    "technology": ("chips", "laptops", "computer games", "routers"),
    "construction": ("houses", "bridges", "tunnels", "roads"),
}
# Every fifth company is of the same trade. Of the new ones a model has never met the name.
NEW_COMPANIES = (
    "Arvaxo Brindor Corvelt Draxen Eltrabo Farnu Grendal Hovitt Ixeron Jandrel Kivaro Lorbex Mavinda Nurdal Orvane "
    "Pelkin Quandel Rimvold Sorvita Tarnex Ubriko Veskar Wolmar Xandio Ybrent"
).split()
# All that `synthetic_finance` has for a rise or a fall → what is said instead after the drift.
NEW_WORDS = {
    tuple(old.split("|")): tuple(new.split("|"))
    for old, new in (
        ("rose|increased|grew|climbed", "surged|soared|jumped|swelled"),
        ("fell|decreased|declined|dropped", "plunged|slumped|sank|shrank"),
        ("a rise|an increase|growth", "a surge|a jump|an upswing"),
        ("a fall|a decrease|a decline", "a plunge|a slump|a slide"),
        ("the rise|the increase|the growth", "the surge|the jump|the upswing"),
        ("the fall|the decrease|the decline", "the plunge|the slump|the slide"),
        ("higher|larger", "soaring|swelling"),
        ("lower|smaller", "sinking|shrinking"),
        ("exceeded|was above|came in over", "topped|beat|outran"),
        ("missed|was below|came in under", "trailed|undershot|lagged"),
    )
}
_ANY_OLD = re.compile(rf"\b(?:{'|'.join([*COMPANIES, *PRODUCTS, *(word for words in NEW_WORDS for word in words)])})\b")


@dataclass(frozen=True)
class Topic:
    """A sentence, and what it is about as an index of `TOPICS`."""

    text: str
    label: int

    @property
    def prompt(self) -> str:
        """See `labelled.Example`."""
        return PROMPT.format(text=self.text)


@dataclass(frozen=True)
class News:
    """One text as an example of two tasks, and whether it is in the words and on the companies of after the drift."""

    tone: Sentence
    topic: Topic
    new: bool


@dataclass(frozen=True)
class Stream:
    """The news of each day, and what was planned: on which days a topic surges, and when the drift begins, if ever."""

    days: list[list[News]]
    surges: Mapping[int, str]
    drift: int | None
    name: str = "synthetic stream of financial news"


def finance_stream(
    seed: int = 0,
    n_days: int = 60,
    per_day: int = 100,
    surges: Mapping[int, str] = SURGES,
    drift: int | None = DRIFT,
) -> Stream:
    """`n_days` days of `per_day` sentences. The same numbers give the same stream, more days the same first days.

    Raises `LabError` for a surge on a topic that isn't in `TOPICS`.
    """
    if odd := set(surges.values()) - set(TOPICS):
        raise unknown("topic", min(odd), TOPICS)
    rng = random.Random(f"news {seed}")
    sentences = {label: endless(f"news {seed} {label}", test=False, shares={label: 1}) for label in LABELS}
    seen: set[str] = set()
    days: list[list[News]] = []
    for day in range(n_days):
        days.append([])
        for _ in range(per_day):
            (topic,) = rng.choices(TOPICS, [VOLUME if surges.get(day) == topic else 1 for topic in TOPICS])
            shares = _surging(SHARES) if surges.get(day) == topic else SHARES
            (label,) = rng.choices(LABELS, [shares[label] for label in LABELS])
            new = drift is not None and day >= drift and rng.random() < DRIFTED
            fresh = (_news(rng, sentence, topic, new) for sentence in sentences[label])
            days[-1].append(next(news for news in fresh if key(news.tone.text) not in seen))
            seen.add(key(days[-1][-1].tone.text))
    return Stream(days, surges, drift)


def _surging(shares: Mapping[str, float]) -> dict[str, float]:
    """The shares of the labels if `SURGE` of the news is bad, and the rest in proportion."""
    rest = (1 - SURGE) / (1 - shares["negative"])
    return {label: SURGE if label == "negative" else share * rest for label, share in shares.items()}


def _news(rng: random.Random, sentence: Sentence, topic: str, new: bool) -> News:
    """The sentence on a company and the goods of that topic, and in new words if it is `new`."""
    at = TOPICS.index(topic)
    company = rng.choice((NEW_COMPANIES if new else COMPANIES)[at :: len(TOPICS)])
    who = f"the {rng.choice(_TRADES[topic])} {company}" if rng.random() < TOLD else f"{company} Group"
    words = dict.fromkeys(COMPANIES, who) | dict.fromkeys(PRODUCTS, rng.choice(_GOODS[topic]))
    if new:
        words |= {old: rng.choice(fresh) for olds, fresh in NEW_WORDS.items() for old in olds}
    text, combination = (
        _ANY_OLD.sub(lambda m: words.get(m[0], m[0]), t) for t in (sentence.text, sentence.combination)
    )
    text = text[0].upper() + text[1:]
    return News(replace(sentence, text=text, combination=combination), Topic(text, at), new)
