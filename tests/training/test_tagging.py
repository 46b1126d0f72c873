"""What Trainer is told, and what it must not do unasked."""

from __future__ import annotations

import copy

import pytest
import torch

from labkit.evaluation.entities import entity_scores
from labkit.models.adapters import adapt
from labkit.models.neo import new_neo
from labkit.profile import LabError
from labkit.tasks.alignment import align, cut_words
from labkit.tasks.ner import LABELS
from labkit.tasks.synthetic_ner import synthetic_ner
from labkit.training.finetune import Diverged
from labkit.training.tagging import tag, tagger, train_tagger
from labkit.zoo import train_tokenizer

SENTENCES = synthetic_ner(24, 12)
TOKENIZER = train_tokenizer([" ".join(s.tokens) for s in SENTENCES.train])


def backbone():
    torch.manual_seed(0)
    return new_neo(len(TOKENIZER), 32, 2, 2, 128, window=16)


def examples(sentences, max_tokens: int = 128):
    return align(TOKENIZER, sentences, max_tokens, at="last")


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_a_tagger_is_the_backbone_with_a_head():
    """Not a model that shares its weights: tuned, it would spoil the backbone for the next comparison."""
    start = backbone()
    model, ids = tagger(start), torch.randint(len(TOKENIZER), (2, 9))
    with torch.no_grad():
        assert torch.equal(model(ids).logits, model.classifier(start.transformer(ids)[0]))
        assert torch.equal(model.train()(ids).logits, model(ids).logits), "dropout before the head"
        model.transformer.wte.weight.zero_()
    assert torch.equal(start.transformer.wte.weight, backbone().transformer.wte.weight)
    assert model.config.num_labels == len(LABELS) and not hasattr(start.config, "classifier") and model.training
    assert torch.equal(tagger(start, seed=1).classifier.weight, tagger(start, seed=1).classifier.weight)
    assert not torch.equal(tagger(start, seed=1).classifier.weight, tagger(start, seed=2).classifier.weight)


def test_it_learns_and_the_log_says_so():
    """The real "before" comes first; what Trainer scores is what `tag` scores."""
    few = SENTENCES.train[:6]
    model = tagger(backbone())
    rows = train_tagger(model, TOKENIZER, examples(few), epochs=60, lr=1e-2, held_out=(examples(few), few))
    scored = [row for row in rows if "f1" in row]
    assert [row["epoch"] for row in scored] == list(range(61)) and scored[0]["step"] == 0
    assert scored[0]["f1"] < 0.2 and scored[-1]["f1"] > 0.9
    losses = [row["loss"] for row in rows if "loss" in row]
    assert losses[-1] < 0.1 * losses[0] and all({"step", "epoch"} <= row.keys() for row in rows)
    tags = tag(model, TOKENIZER, examples(few), few)
    assert entity_scores([s.tags for s in few], tags).f1 == pytest.approx(scored[-1]["f1"], abs=0.1)  # bf16, batches


def test_words_that_were_cut_count_as_missed():
    """A metric of what was labelled alone would call a model that reads half a sentence as good as any."""
    some = SENTENCES.validation
    short = examples(some, max_tokens=16)
    assert cut_words(some, short) > 50
    model = tagger(backbone())
    row, *_ = train_tagger(model, TOKENIZER, examples(SENTENCES.train[:1]), 1, 0.0, held_out=(short, some))
    tags = tag(model, TOKENIZER, short, some)
    assert [len(t) for t in tags] == [len(s.tokens) for s in some]
    scores = entity_scores([s.tags for s in some], tags)
    expected = (scores.f1, scores.recall, scores.accuracy)
    assert (row["f1"], row["recall"], row["accuracy"]) == pytest.approx(expected, abs=0.02)


def test_only_the_adapter_moves_and_the_seed_decides_how():
    """A frozen weight that decays is no longer the backbone's; a run that can't be repeated proves nothing."""

    def run(seed: int):
        torch.manual_seed(5)
        model = adapt(tagger(backbone()), "lora", r=2, dropout=0.5)
        before = state(model)
        rows = train_tagger(model, TOKENIZER, examples(SENTENCES.train), 1, 1e-2, batch_size=4, seed=seed)
        trained = {name for name, p in model.named_parameters() if p.requires_grad}
        assert {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])} == trained
        assert not model.training
        return [row["loss"] for row in rows]

    assert run(0) == run(0) != run(1)


@pytest.mark.parametrize("batch_size", [1, 5])
def test_padding_and_batches_change_no_tag(batch_size):
    model = tagger(backbone())
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(4)  # tags far from a tie
    some = SENTENCES.test
    assert tag(model, TOKENIZER, examples(some), some, batch_size) == tag(model, TOKENIZER, examples(some), some)


def test_ctrl_c_and_a_loss_that_is_no_number_keep_the_log(monkeypatch):
    """Trainer's own default shows the last good loss instead of NaN, and trains on."""
    rows, model = [], tagger(backbone())
    honest, calls = model.forward, iter(range(100))

    def interrupted(*args, **kwargs):
        if next(calls) == 4:
            raise KeyboardInterrupt
        return honest(*args, **kwargs)

    monkeypatch.setattr(model, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_tagger(model, TOKENIZER, examples(SENTENCES.train), 4, 1e-3, batch_size=4, rows=rows)
    assert [row["step"] for row in rows] == [1, 2, 3, 4] and not model.training
    broken = tagger(backbone())
    with torch.no_grad():
        broken.classifier.bias.fill_(float("nan"))
    with pytest.raises(Diverged, match="loss is nan at step 1") as error:
        train_tagger(broken, TOKENIZER, examples(SENTENCES.train), 1, 1e-3)
    assert len(error.value.rows) == 1


def test_nothing_is_left_on_disk_or_on_the_screen(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    start = copy.deepcopy(SENTENCES.train)
    train_tagger(tagger(backbone()), TOKENIZER, examples(start[:4]), 1, 1e-3, held_out=(examples(start), start))
    assert not list(tmp_path.iterdir()) and not capsys.readouterr().out


def test_no_examples_are_an_error_that_says_so():
    with pytest.raises(LabError, match="nothing to train on"):
        train_tagger(tagger(backbone()), TOKENIZER, [], 1, 1e-3)
