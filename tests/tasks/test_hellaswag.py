"""Questions with four endings: the made ones must be fair, the real ones read right."""

from __future__ import annotations

import json
import os
import random
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub import Hub, run_in_child, served
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.hub import REPOSITORIES
from labkit.profile import LabError, resolve
from labkit.tasks.corpus import Corpus
from labkit.tasks.hellaswag import (
    CONTEXT_WORDS,
    ENDING_WORDS,
    NAMES,
    VALIDATION,
    clean,
    held_out,
    load_hellaswag,
    make_questions,
    read_row,
    unigram_loss,
)
from labkit.tasks.shards import Shards, ShardWriter
from labkit.tasks.webtext import load_webtext

ROW = {
    "ind": 7, "activity_label": "Napping", "ctx_a": "[header] How to nap [title] Lie down.", "ctx_b": "",
    "ctx": "[header] How to nap [title] Lie down. [step] Close your eyes.",
    "endings": ["Sleep.", "Run. [substeps] Fast.", "Shout.", "Eat  soup."], "label": "0",
}  # fmt: skip


DIGITS_TO_LETTERS = str.maketrans("0123456789", "abcdefghij")


def texts(seed: int, n: int = 12) -> list[str]:
    """Documents of random words in paragraphs of 5 to 60."""
    rng = random.Random(seed)

    def paragraph() -> str:
        words = (str(rng.getrandbits(rng.randint(1, 30))) for _ in range(rng.randint(5, 60)))
        return " ".join(words).translate(DIGITS_TO_LETTERS)

    return ["\n\n".join(paragraph() for _ in range(rng.randint(1, 12))) for _ in range(n)]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), salt=st.integers(0, 10_000))
def test_a_judge_that_reads_no_context_is_at_chance_exactly(seed, salt):
    """Else accuracy would measure fluent endings, or long ones, or a label that is right too often."""
    questions = make_questions(texts(seed), len, seed)
    judges = [len, lambda ending: -len(ending), lambda ending: hash((salt, ending)), lambda ending: ending]
    for judge in judges:
        right = [min(sorted(q.endings), key=judge) == q.endings[q.label] for q in questions]
        assert sum(right) * 4 == len(questions) > 0
    assert set(Counter(q.label for q in questions).values()) == {len(questions) // 4}


def test_one_ending_is_true_and_three_are_from_other_documents():
    """An ending from the same document could be as right as the true one."""
    documents = texts(1)
    home = {re.sub(r"\s+", " ", text): i for i, text in enumerate(documents)}
    for q in make_questions(documents, len, 0):
        here = [i for text, i in home.items() if re.sub(r"\s+", " ", f"{q.context} {q.endings[q.label]}") in text]
        assert len(here) == 1
        origins = [next(i for text, i in home.items() if ending in text) for ending in q.endings]
        assert origins[q.label] == here[0] and len(set(origins)) == 4
        assert {len(ending.split()) for ending in q.endings} == {ENDING_WORDS}
        assert len(q.context.split()) == CONTEXT_WORDS


def test_the_endings_of_a_question_are_neighbours_by_loss():
    """A rare word in one ending would drown what the context says."""
    documents = texts(2, n=40)
    spread = np.mean([np.ptp([len(e) for e in q.endings]) for q in make_questions(documents, len, 0)])
    at_random = np.mean([np.ptp([len(e) for e in q.endings]) for q in make_questions(documents, hash, 0)])
    assert spread < at_random / 3


def test_nothing_is_asked_twice_and_a_seed_repeats():
    documents = texts(3) + texts(3)  # every paragraph twice
    questions = make_questions(documents, len, 5)
    assert len({q.context for q in questions}) == len({q.endings[q.label] for q in questions}) == len(questions)
    assert questions == make_questions(documents, len, 5) != make_questions(documents, len, 6)


def test_too_little_text_says_so():
    with pytest.raises(LabError, match="too few for a question"):
        make_questions(["one two three"], len, 0)


class Letters:
    """A tokenizer of one token a character."""

    vocab_size, eot = 128, 0

    def encode(self, text: str) -> list[int]:
        return [ord(c) for c in text]

    def decode(self, ids: np.ndarray) -> str:
        return "".join(map(chr, ids))


def test_held_out_documents_come_back_whole(tmp_path):
    """The end-of-text token ends a document, not a document that spells its name."""
    texts = ["about <|endoftext|> and such", "second", "third"]
    for split in ("train", "val"):
        writer = ShardWriter(tmp_path, split)
        for text in texts:
            writer.write([*Letters().encode(text), 0])
        writer.close()
    corpus = Corpus(Letters(), Shards(tmp_path, "train"), Shards(tmp_path, "val"), {}, tmp_path)
    assert held_out(corpus) == texts
    loss = unigram_loss(corpus)
    assert loss("o") < loss("s") < loss("x") < loss("Q")  # as often as they occur


def test_the_profile_s_questions(corpus_cache):
    """What a notebook gets: enough of them, from validation text only, called synthetic, the same each time."""
    lab = resolve("smoke", "embedded")
    corpus = load_webtext(lab)
    questions = load_hellaswag(lab, corpus)
    assert len(questions) == 64 and questions == load_hellaswag(lab)
    assert load_hellaswag(lab, corpus, 8) == questions[:8]
    assert load_hellaswag(replace(lab, seed=1), corpus) != questions
    held = "\n".join(held_out(corpus))
    assert all(q.context in held for q in questions)
    assert "synthetic" in NAMES["embedded"] and "HellaSwag-shaped" in NAMES["embedded"]
    assert str(questions[0]).count("→") == 1


def test_rows_of_both_editions_are_read():
    """The Hub's label is text and its how-to articles have markers; the local file has neither."""
    q = read_row(ROW, "here", 1)
    assert q.context == "How to nap. Lie down. Close your eyes."
    assert q.endings == ("Sleep.", "Run. Fast.", "Shout.", "Eat soup.") and q.label == 0
    assert read_row(json.dumps(ROW | {"ctx": q.context, "label": 0}), "here", 1) == q
    assert clean("cite [1] and [www.example.org]") == "cite [1] and [www.example.org]"


@pytest.mark.parametrize("fault", [{"label": "4"}, {"label": ""}, {"endings": ["one"]}, {"endings": None}, "{", "[]"])
def test_what_is_no_question_is_refused_with_its_place(fault):
    row = fault if isinstance(fault, str) else ROW | fault
    with pytest.raises(LabError, match="row 3 of there"):
        read_row(row, "there", 3)


def test_the_local_file(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    lab = resolve("smoke", "local")
    with pytest.raises(LabError, match=r"hellaswag_val\.jsonl.*SOURCE=embedded"):
        load_hellaswag(lab)
    rows = [ROW | {"ctx": f"context {i}\u2028", "label": i % 4} for i in range(100)]
    (tmp_path / "hellaswag").mkdir()
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (tmp_path / "hellaswag" / "hellaswag_val.jsonl").write_text(lines, encoding="utf-8")
    assert len(load_hellaswag(lab)) == 64
    everything = load_hellaswag(lab, count=1000)
    assert len({q.context for q in everything}) == 100 and everything[:64] == load_hellaswag(lab)
    assert [q.context for q in everything] != [f"context {i}" for i in range(100)]  # not the file's order


def test_the_real_file():
    if not os.environ.get("LABKIT_DATA"):
        pytest.skip("LABKIT_DATA is not set")
    questions = load_hellaswag(resolve("full", "local"))
    assert len(questions) == 10_042
    assert not any(re.search(r"\[(header|title|step|substeps)\]", " ".join([q.context, *q.endings])) for q in questions)
    assert all(all(q.endings) and q.context for q in questions)


LOAD = """
import json
from labkit.profile import LabError, resolve
from labkit.tasks.hellaswag import load_hellaswag
try:
    print(json.dumps([q.context for q in load_hellaswag(resolve("smoke", "hub"), count=50)]))
except LabError as error:
    print("LabError", error)
"""


def test_the_hub_s_file_is_read_alone(tmp_path):
    """Through the real libraries and a real server: the pinned revision, and no split but the one that has labels."""
    folder = served(tmp_path / "hub", "hellaswag")
    (folder / "data").mkdir(parents=True)
    rows = [ROW | {"ctx": f"context {i}"} for i in range(30)]
    for name in (VALIDATION, VALIDATION.replace("validation", "test"), VALIDATION.replace("validation", "train")):
        pq.write_table(pa.Table.from_pylist(rows), folder / name)
    with Hub(tmp_path / "hub") as hub:
        contexts = json.loads(run_in_child(LOAD, hub.env(tmp_path / "home")))
        assert sorted(contexts) == sorted(f"context {i}" for i in range(30))
        fetched = [request for request in hub.requests if "/resolve/" in request and request.endswith(".parquet")]
        assert fetched and all("validation" in request for request in fetched)
        assert any(REPOSITORIES["hellaswag"].revision in request for request in hub.requests)
        (folder / VALIDATION).unlink()
        assert "LabError" in run_in_child(LOAD, hub.env(tmp_path / "elsewhere"))


def test_no_hub_is_an_error_with_a_remedy(tmp_path):
    out = run_in_child(LOAD, os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)})
    assert out.startswith("LabError") and "SOURCE=embedded" in out
