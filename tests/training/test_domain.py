"""Pretraining on, for two kinds of models: both must be trained, scored and continued as each is by itself."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from statistics import fmean

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labkit.evaluation.controls import Controls
from labkit.evaluation.generate import generate
from labkit.evaluation.loss import batch_loss
from labkit.models.gpt2 import GPT2, GPT2Config
from labkit.models.qwen import new_qwen
from labkit.profile import LabError
from labkit.tasks.bpe import TrainedBPE
from labkit.tasks.pairs import IGNORE
from labkit.training.domain import Writer, fit
from labkit.zoo import train_tokenizer

STORIES = ["Anna went to the mill. Ben was in the mill.", "Ben took the cup. Anna sat down with Ben."] * 8
GREEDY = Controls(temperature=0)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory) -> Writer:
    tokenizer = TrainedBPE.train(STORIES, 300, tmp_path_factory.mktemp("bpe") / "tokenizer.json")
    torch.manual_seed(0)
    return Writer.of_gpt2(GPT2(GPT2Config(300, 32, 1, 2, 32)).eval(), tokenizer, 32)


@pytest.fixture(scope="module")
def qwen() -> Writer:
    tokenizer = train_tokenizer(STORIES)
    torch.manual_seed(0)
    return Writer.of_transformers(new_qwen(len(tokenizer), 32, 1, 2, 1, 32), tokenizer, 32)


@pytest.fixture(params=["gpt2", "qwen"])
def writer(request) -> Writer:
    return request.getfixturevalue(request.param)


def test_a_stream_has_every_text_and_its_end(writer):
    """Without ends two books would be one, and a model would never learn to stop."""
    stream = writer.stream(STORIES).tolist()
    assert stream.count(writer.end) == len(STORIES) and stream[-1] == writer.end
    assert writer.decode(stream[: stream.index(writer.end)]).strip() == STORIES[0]


def test_windows_are_whole_rows_in_order(writer):
    stream = writer.stream(STORIES)
    rows = writer.windows(stream, most=100)
    assert rows.shape == (3, 32) and torch.equal(rows.flatten(), stream[:96])
    with pytest.raises(LabError, match="no row of 32"):
        writer.windows(stream[:20])


def test_losses_are_cross_entropy_of_the_next_token(gpt2, qwen):
    rows = gpt2.windows(gpt2.stream(STORIES), 64)
    wanted = [batch_loss(gpt2.model, row[None, :-1], row[None, 1:]).item() for row in rows]
    assert gpt2.losses(rows) == pytest.approx(wanted, rel=2e-2)  # bf16, where the machine has it
    rows = qwen.windows(qwen.stream(STORIES), 64)
    logits = qwen.model(rows).logits.detach()
    wanted = torch.nn.functional.cross_entropy(logits[:, :-1].mT, rows[:, 1:], reduction="none").mean(1)
    assert qwen.losses(rows) == pytest.approx(wanted.tolist(), rel=1e-4)


def test_only_what_is_labelled_is_asked(writer):
    """The loss after a recap must not count the recap."""
    rows = writer.windows(writer.stream(STORIES), 64)
    labels = rows.clone()
    labels[:, :-1] = IGNORE
    other = rows.clone()
    other[:, 0] = 5  # read, not asked
    assert writer.losses(rows, labels) != writer.losses(rows)
    changed = labels.clone()
    changed[:, 3] = other[:, 3]
    assert len(writer.losses(other, labels)) == 2 and writer.losses(rows, changed) != writer.losses(rows, labels)


def test_training_lowers_the_loss_of_the_model_itself(writer):
    trained = replace(writer, model=copy.deepcopy(writer.model))
    rows = writer.windows(writer.stream(STORIES))
    log = trained.train(writer.stream(STORIES), steps=20, tokens_per_step=128)
    assert len(log) == 20 and not trained.model.training
    assert fmean(trained.losses(rows)) < fmean(writer.losses(rows)) - 0.5
    assert fmean(writer.losses(rows)) == pytest.approx(math.log(300), abs=1.5)


def test_it_goes_on_from_the_last_tokens(gpt2, qwen):
    """Of a prompt longer than its share, the end is what is continued."""
    prompts = gpt2.prompts([STORIES[0] * 9, STORIES[1] * 9], 20)
    assert prompts.shape == (2, 20) and prompts[0].tolist() == gpt2.encode([STORIES[0] * 9])[0][-20:]
    ids = generate(gpt2.model, prompts, 8, controls=GREEDY)[:, 20:].tolist()
    assert gpt2.go_on(prompts, 8, GREEDY) == [gpt2.decode(row) for row in ids]
    prompts = qwen.prompts(STORIES[:2], 999)
    assert prompts.shape[1] == min(map(len, qwen.encode(STORIES[:2])))
    first = qwen.model(prompts).logits[:, -1].argmax(-1).tolist()
    assert qwen.go_on(prompts, 1, GREEDY) == [qwen.decode([token]) for token in first]


def test_a_text_ends_where_the_model_ends_it(writer):
    """What follows the end is another book."""
    prompts = writer.prompts(STORIES[:1], 8)
    read = writer.model(prompts)
    ended = replace(writer, end=getattr(read, "logits", read)[0, -1].argmax().item())  # as if its first token were it
    assert writer.go_on(prompts, 6, GREEDY) != [""] == ended.go_on(prompts, 6, GREEDY)


@given(st.lists(st.integers(), max_size=9), st.lists(st.integers(), max_size=20), st.integers(0, 12))
def test_what_is_in_front_comes_first_and_the_room_is_kept(front, told, room):
    row = fit(front, told, room)
    assert len(row) == min(room, len(front) + len(told)) and row[: len(front)] == front[:room]
    assert row[len(front) :] == (told[-(len(row) - len(front)) :] if len(row) > len(front) else [])


def test_what_is_kept_is_never_pushed_out_by_what_is_in_front(gpt2):
    told = STORIES[0] * 20 + " And so on."
    (row,) = gpt2.beside([STORIES[1] * 20], [told], [" And so on."], 24).tolist()
    kept = gpt2.encode([" And so on."])[0]
    assert len(row) == 24 and row[-len(kept) :] == kept and row[:4] == gpt2.encode([STORIES[1]])[0][:4]
