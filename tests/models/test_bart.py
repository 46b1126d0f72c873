"""A student inherits layers; if the wrong ones, or with a broken cache, its score would be blamed on the method."""

from __future__ import annotations

import json

import pytest
import torch
from hub import Hub, run_in_child, served
from transformers import BartForConditionalGeneration

from labkit.evaluation.seq2seq import write
from labkit.hub import REPOSITORIES
from labkit.models.bart import kept_layers, new_bart, shrink, starting_bart, train_tokenizer
from labkit.profile import resolve


@pytest.fixture(scope="module")
def teacher() -> BartForConditionalGeneration:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(["so far labels are scarce"] * 3, 280)
    return new_bart(tokenizer, d_model=32, encoder_layers=1, decoder_layers=4, max_tokens=32).eval()


def test_special_tokens_are_barts():
    tokenizer = train_tokenizer(["so far labels are scarce"], 280)
    assert tokenizer.convert_tokens_to_ids(["<s>", "<pad>", "</s>", "<unk>"]) == [0, 1, 2, 3]
    ids = tokenizer("so far, naïve ünits")["input_ids"]
    assert ids[0] == 0 and ids[-1] == 2 and 3 not in ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == "so far, naïve ünits"


@pytest.mark.parametrize(("n", "keep", "layers"), [(12, 6, [0, 2, 4, 7, 9, 11]), (4, 2, [0, 3]), (4, 4, [0, 1, 2, 3])])
def test_layers_kept_are_spread_from_first_to_last(n, keep, layers):
    assert kept_layers(n, keep) == layers


def test_a_student_has_copies_of_the_chosen_layers_and_of_all_else(teacher):
    student = shrink(teacher, 2)
    theirs = teacher.model.decoder.layers
    for layer, i in zip(student.model.decoder.layers, (0, 3), strict=True):
        for name, p in layer.named_parameters():
            assert torch.equal(p, theirs[i].get_parameter(name))
            assert p.data_ptr() != theirs[i].get_parameter(name).data_ptr()  # training it must not train the teacher
    assert torch.equal(student.model.encoder.layers[0].fc1.weight, teacher.model.encoder.layers[0].fc1.weight)
    assert len(theirs) == 4 and student.config.decoder_layers == 2


def test_a_student_of_all_layers_is_the_teacher(teacher):
    ids = torch.randint(4, 200, (2, 9))
    with torch.no_grad():
        a, b = (m(input_ids=ids, decoder_input_ids=ids).logits for m in (teacher, shrink(teacher, 4)))
    assert torch.equal(a, b)


def test_a_students_cache_belongs_to_its_own_layers(teacher):
    """With the teacher's layer numbers a student's keys and values would land in layers that it doesn't have."""
    student, ids = shrink(teacher, 2), torch.randint(4, 200, (3, 9))
    mask = torch.ones_like(ids)
    theirs = student.generate(input_ids=ids, attention_mask=mask, max_new_tokens=12, do_sample=False, num_beams=1)
    assert torch.equal(write(student, ids, mask, 12), theirs[:, 1:])


def test_a_student_cannot_have_more_layers(teacher):
    with pytest.raises(ValueError, match="1 to 4"):
        shrink(teacher, 5)


LOAD = """
import json, torch
from labkit.models.bart import starting_bart
from labkit.profile import LabError, resolve
try:
    model, tokenizer = starting_bart(resolve("smoke", "hub"), [])
    print(json.dumps([model.num_parameters(), tokenizer("so far labels")["input_ids"]]))
except LabError as error:
    print("LabError", error)
"""


def test_the_hubs_model_is_taken_at_its_pinned_revision(teacher, tmp_path):
    """Through the real libraries and a real server; without one, a message that says what to do."""
    folder = served(tmp_path / "hub", "distilbart")
    teacher.save_pretrained(folder)
    tokenizer = train_tokenizer(["so far labels are scarce"] * 3, 280)
    tokenizer.save_pretrained(folder)
    with Hub(tmp_path / "hub") as hub:
        parameters, ids = json.loads(run_in_child(LOAD, hub.env(tmp_path / "home")))
        assert (parameters, ids) == (teacher.num_parameters(), tokenizer("so far labels")["input_ids"])
        assert any(REPOSITORIES["distilbart"].revision in request for request in hub.requests)
        said = run_in_child(LOAD, hub.env(tmp_path / "other") | {"HF_ENDPOINT": "http://127.0.0.1:9"})
    assert said.startswith("LabError") and "Hub does not answer" in said and "SOURCE=embedded" in said


def test_elsewhere_a_small_one_is_made_for_the_profile():
    lab = resolve("smoke", "embedded")
    model, tokenizer = starting_bart(lab, ["so far labels are scarce"] * 3)
    longest = max(lab.profile.source_tokens, lab.profile.summary_tokens)
    assert model.config.d_model == lab.profile.bart_width and model.config.max_position_embeddings == longest
    assert model.config.vocab_size == len(tokenizer)
