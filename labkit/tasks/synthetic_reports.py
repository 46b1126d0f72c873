"""Synthetic reports from hospitals and power plants: the words of financial news, and another meaning in each place.

    data = synthetic_reports("hospital", 2_400, 400)
    print(data.test[0].prompt, "→", data.labels[data.test[0].label])

Things rise, fall, or stay as they are, and a reader calls it good, bad or neither. In financial news most things had
better rise (`synthetic_finance`). Here, in a hospital, what is counted had better fall (infections, waiting times); in
a power plant it had better stay as it is (pressure, temperature). Who learns one place after the other, and looks at
the verb alone, is wrong about the places before; who reads *what* rose can know them all.

**Designed in:** the conflict. In a place the label follows from the verb (`MEANING`) and, for neutral sentences, from
whether anything is told at all; there are no exceptions within a place, and as many sentences of each label. Only the
names of things and of who reports them say which place it is. No model of the course is pretrained on these reports.

What is tested is new: a tenth of the combinations of wording, thing and verb are for validation and test only.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice

from labkit.profile import unknown
from labkit.tasks.labelled import Labelled, key, place
from labkit.tasks.sentiment import LABELS, LEVELS, Sentence
from labkit.tasks.synthetic_finance import HELD_OUT, MONTHS, PERIODS

# What a label is told by. "nothing" is a sentence that doesn't say what happened.
MEANING = {
    "hospital": {"negative": ("up",), "neutral": ("same", "nothing"), "positive": ("down",)},
    "power plant": {"negative": ("up", "down"), "neutral": ("nothing",), "positive": ("same",)},
}
THINGS = {
    "hospital": "infection rate|waiting time|error rate|death rate|number of complaints|relapse rate|pain score|"
    "length of stay|number of accidents|fever",
    "power plant": "pressure|water level|core temperature|vibration|voltage|flow rate|rotor speed|humidity|"
    "frequency|coolant level",
}
WHO = {
    "hospital": "Saint Anna|Saint Luke|Saint Martin|Ward 2|Ward 5|Ward 9|Hillside Clinic|Lakeside Clinic|North Clinic",
    "power plant": "Reactor 1|Reactor 3|Unit 4|Unit 7|Block 2|Block 6|Station East|Station West|Plant 8",
}
_VERBS = {
    "up": "rose|increased|grew|climbed",
    "down": "fell|decreased|declined|dropped",
    "same": "did not change|was the same as before|stayed as it was|remained unchanged",
}
_VERBS["nothing"] = "|".join(_VERBS.values())
_TOLD = (
    "{who} 's {thing} {verb} in {when} .",
    "In {when} , the {thing} of {who} {verb} .",
    "{who} said on {day} {month} that its {thing} {verb} in {when} .",
    "The {thing} of {who} {verb} between {month} and December .",
)
_UNTOLD = (
    "{who} will say on {day} {month} if its {thing} {verb} in {when} .",
    "{who} will publish its {thing} for {when} on {day} {month} .",
    "The report tells how {who} measures its {thing} .",
    "The {thing} of {who} was {n} in {when} .",
)


def synthetic_reports(where: str, n_train: int, n_test: int) -> Labelled[Sentence]:
    """`n_train` sentences to train on and `n_test` for validation and for test each, no sentence twice.

    `where` is a key of `MEANING`; the same arguments give the same sentences. Raises `LabError` for another place.
    """
    if where not in MEANING:
        raise unknown("place", where, MEANING)
    seen: set[str] = set()
    sizes = {"train": n_train, "validation": n_test, "test": n_test}
    splits = {split: list(islice(_unseen(_stream(where, split), seen), n)) for split, n in sizes.items()}
    return Labelled(LABELS, **splits, name=f"synthetic {where} reports", dropped=0)


def _stream(where: str, split: str) -> Iterator[Sentence]:
    """Sentences without end, of the test's side or of the other, on both with equal shares of the labels."""
    rng = random.Random(f"{where} {split}")
    while True:
        label = rng.randrange(len(LABELS))
        while True:
            sentence = _sentence(rng, where, label)
            if (split != "train") == (place(sentence.combination) < HELD_OUT):
                break
        yield sentence


def _unseen(sentences: Iterator[Sentence], seen: set[str]) -> Iterator[Sentence]:
    for sentence in sentences:
        if key(sentence.text) not in seen:
            seen.add(key(sentence.text))
            yield sentence


def _sentence(rng: random.Random, where: str, label: int) -> Sentence:
    """A sentence of that label, of either side."""
    happened = rng.choice(MEANING[where][LABELS[label]])
    wording = rng.choice(_UNTOLD if happened == "nothing" else _TOLD)
    thing, verb = (rng.choice(words.split("|")) for words in (THINGS[where], _VERBS[happened]))
    text = wording.format(
        thing=thing, verb=verb, who=rng.choice(WHO[where].split("|")), when=rng.choice(PERIODS),
        month=rng.choice(MONTHS), day=rng.randint(1, 28), n=rng.randint(2, 60),
    )  # fmt: skip
    combination = " | ".join([wording, thing, *([verb] if "{verb}" in wording else [])])
    return Sentence(text, label, max(LEVELS), combination)
