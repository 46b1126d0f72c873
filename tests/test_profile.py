"""The dial and the switch: every notebook's first cell. A wrong word here must be answered with the right one."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from labkit import profile
from labkit.profile import PROFILES, SOURCES, LabError, pick_device, pick_dtype, resolve, results_dir


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("labtop",), "did you mean 'laptop'"),
        (("smoke", "embeded"), "did you mean 'embedded'"),
        (("smoke", "", "1"), "SEED must be a whole number"),
        (("smoke", "", True), "SEED must be a whole number"),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_one(arguments, words):
    with pytest.raises(LabError, match=words):
        resolve(*arguments)


@pytest.mark.parametrize("value", ["", "/no/such/folder"])
def test_local_without_its_folder_never_falls_back(monkeypatch, value):
    monkeypatch.setenv("LABKIT_DATA", value)
    with pytest.raises(LabError, match="set LABKIT_DATA to the folder"):
        resolve("smoke", "local")


def test_the_source_defaults_to_the_profiles():
    assert {name: resolve(name).source for name in PROFILES} == {
        "smoke": "embedded", "laptop": "embedded", "full": "hub",
    }  # fmt: skip


def test_resolving_seeds_everything():
    resolve("smoke", seed=3)
    first = torch.rand(3)
    resolve("smoke", seed=3)
    assert torch.equal(first, torch.rand(3))
    resolve("smoke", seed=4)
    assert not torch.equal(first, torch.rand(3))


def test_results_say_the_source_unless_it_is_the_profiles_own(tmp_path):
    assert results_dir("smoke", "embedded", tmp_path) == tmp_path / "smoke"
    assert results_dir("smoke", "local", tmp_path) == tmp_path / "smoke-local"


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_is_trainable(name):
    """Sizes that contradict each other would show only after an hour of `full`."""
    p = PROFILES[name]
    assert p.n_embd % p.n_head == 0
    assert p.batch_size % (p.micro_batch_size * p.nproc) == 0
    assert p.warmup_steps < p.max_steps and p.eval_every <= p.max_steps
    assert p.eval_tokens >= p.block_size and p.vocab_size <= 2**16 and p.source in SOURCES


def test_full_is_gpt2_small_at_the_reports_size():
    p = PROFILES["full"]
    assert (p.n_layer, p.n_head, p.n_embd, p.block_size, p.vocab_size) == (12, 12, 768, 1024, 50_257)
    assert p.batch_size * p.block_size == 524_288


def test_the_first_cell_shows_what_it_resolved():
    lab = resolve("smoke")
    for shown in (str(lab), lab._repr_html_()):
        assert "smoke" in shown and "embedded" in shown and "2 layers" in shown


def test_html_is_escaped():
    odd = dataclasses.replace(PROFILES["smoke"], purpose="<script>")
    assert "<script>" not in profile.Lab(odd, "embedded", 0)._repr_html_()


def test_bf16_is_taken_only_where_the_hardware_has_it(monkeypatch):
    monkeypatch.setattr(profile, "cpu_has_bf16", lambda: False)
    assert pick_dtype(torch.device("cpu")) == torch.float32
    monkeypatch.setattr(profile, "cpu_has_bf16", lambda: True)
    assert pick_dtype(torch.device("cpu")) == torch.bfloat16


def test_a_worker_takes_its_own_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert pick_device() == torch.device("cuda", 3)
