"""A backbone is made once, whole, from exactly what it says; nothing stands in for another silently."""

from __future__ import annotations

import json

import pytest
import torch
from hub import Hub, run_in_child, served

from labkit import zoo
from labkit.hub import REPOSITORIES
from labkit.models.neo import new_neo
from labkit.models.qwen import new_qwen
from labkit.profile import LabError, resolve
from labkit.zoo import load_backbone, load_pretrained, train_tokenizer


@pytest.fixture(scope="module")
def made(corpus_cache):
    return load_backbone(resolve("smoke"))


def test_it_is_a_gpt_neo_of_the_profiles_size_with_a_tokenizer_for_its_text(made):
    model, tokenizer = made
    p = resolve("smoke").profile
    assert (model.config.hidden_size, model.config.num_layers) == (p.neo_width, p.n_layer)
    assert model.config.attention_layers == ["global", "local"] and not model.training
    assert model.config.vocab_size == len(tokenizer) and tokenizer.pad_token == tokenizer.eos_token
    text = "The net loss – EUR 2.1 mn – of α-tubulin"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == " " + text


def test_a_qwen_is_made_too_and_its_words_come_in_the_pieces_it_was_trained_on(corpus_cache):
    """`AutoTokenizer` would cut them another way, and the model would read what it never met."""
    model, tokenizer = load_backbone(resolve("smoke"), "qwen")
    assert (
        model.config.model_type == "qwen2" and model.config.num_key_value_heads == model.config.num_attention_heads // 2
    )
    text = "It scores 93.5 on ImageNet, 小说 in 2021."
    ids = tokenizer(text)["input_ids"]
    assert ids == tokenizer.backend_tokenizer.encode(text).ids and tokenizer.decode(ids) == " " + text
    assert " 9" not in tokenizer.convert_tokens_to_string(tokenizer.tokenize("93")[1:])


def test_it_is_made_once(made, monkeypatch):
    monkeypatch.setattr(zoo, "save_pretrained", lambda *_: pytest.fail("trained again"))
    again, _ = load_backbone(resolve("smoke", seed=5))
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), made[0].parameters(), strict=True))


def test_without_notes_it_is_another(made):
    model, _ = load_backbone(resolve("smoke"), "neo-no-notes")
    assert not torch.equal(model.transformer.wte.weight, made[0].transformer.wte.weight)


def test_a_build_that_breaks_off_leaves_nothing_behind(corpus_cache, monkeypatch, tmp_path):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(zoo, "cache_dir", lambda: tmp_path)
    monkeypatch.setattr(zoo, "train_language_model", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_backbone(resolve("smoke"))
    assert not [path for path in (tmp_path / "zoo").iterdir() if path.is_dir()]


def test_a_folder_comes_first_and_an_empty_one_is_an_error(monkeypatch, tmp_path):
    tokenizer = train_tokenizer(["so far"] * 3)
    new_neo(len(tokenizer), 8, 2, 2, 16, 8).save_pretrained(tmp_path / "neo")
    tokenizer.save_pretrained(tmp_path / "neo")
    monkeypatch.setenv("LABKIT_MODELS", str(tmp_path))
    assert load_backbone(resolve("smoke"))[0].config.hidden_size == 8
    with pytest.raises(LabError, match=r"neo-no-notes holds no model.*LABKIT_MODELS"):
        load_backbone(resolve("smoke"), "neo-no-notes")
    (tmp_path / "neo" / "config.json").write_text("{}")
    with pytest.raises(LabError, match="can't be loaded"):
        load_pretrained(tmp_path / "neo")


def test_a_folder_that_brings_code_is_refused_without_a_question(tmp_path, monkeypatch):
    """`transformers` asks whether to run it, unless it is told; models come from anywhere, and "y" is quickly typed."""
    about = {"model_type": "evil", "auto_map": {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}}
    (tmp_path / "config.json").write_text(json.dumps(about))
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(LabError, match="can't be loaded"):
        load_pretrained(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_unknown_names_are_refused():
    with pytest.raises(LabError, match="did you mean 'neo'"):
        load_backbone(resolve("smoke"), "noe")
    with pytest.raises(LabError, match="SOURCE=embedded"):
        load_backbone(resolve("smoke", "hub"), "neo-no-notes")


LOAD = """
import json
from labkit.profile import LabError, resolve
from labkit.zoo import load_backbone
try:
    model, tokenizer = load_backbone(resolve("smoke", "hub"), {name!r})
    print(json.dumps([model.num_parameters(), tokenizer(["so", "far"], is_split_into_words=True)["input_ids"]]))
except LabError as error:
    print("LabError", error)
"""


@pytest.mark.parametrize("name", ["neo", "qwen"])
def test_the_hubs_model_is_taken_at_its_pinned_revision(tmp_path, name):
    load = LOAD.replace("{name!r}", repr(name))
    folder = served(tmp_path / "hub", name)
    tokenizer = train_tokenizer(["so far labels"] * 3)
    model = new_neo(len(tokenizer), 8, 2, 2, 16, 8) if name == "neo" else new_qwen(len(tokenizer), 8, 2, 2, 1, 16)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    with Hub(tmp_path / "hub") as hub:
        parameters, ids = json.loads(run_in_child(load, hub.env(tmp_path / "home")))
        assert (parameters, ids) == (model.num_parameters(), tokenizer("so far")["input_ids"])
        assert any(REPOSITORIES[name].revision in request for request in hub.requests)
        said = run_in_child(load, hub.env(tmp_path / "other") | {"HF_ENDPOINT": "http://127.0.0.1:9"})
    assert said.startswith("LabError") and "Hub does not answer" in said
