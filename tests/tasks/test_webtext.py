"""The corpus: one object from any source, built once, whole or not there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from labkit.profile import PROFILES, Lab, LabError
from labkit.tasks.corpus import load_or_build
from labkit.tasks.docstrings import harvest
from labkit.tasks.webtext import DocumentRecipe, docstring_recipe, load_webtext, main

SMALL = replace(PROFILES["smoke"], packages=("json", "email", "wsgiref"), vocab_size=400)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("labkit.tasks.webtext.NPROC", 1)
    return tmp_path / "cache" / "webtext"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    recipe = replace(docstring_recipe(SMALL), read=lambda: harvest(SMALL.packages))
    return load_or_build(recipe, tmp_path_factory.mktemp("corpora") / "embedded")


def documents(corpus, split):
    shards = {"train": corpus.train, "val": corpus.val}[split]
    text = corpus.tokenizer.decode(shards.window(np.array([0]), len(shards))[0])
    return text.removesuffix("<|endoftext|>").split("<|endoftext|>")


def test_no_document_and_no_paragraph_crosses_the_split(corpus):
    """Read back from the tokens: the halves share nothing."""
    train, val = documents(corpus, "train"), documents(corpus, "val")
    assert len(train) + len(val) == corpus.stats["documents"] and val
    assert not {p for d in train for p in d.split("\n\n")} & {p for d in val for p in d.split("\n\n")}


def test_statistics_are_true(corpus):
    """They go into the metrics and turn nats a token into bits a byte."""
    stats = corpus.stats
    assert (stats["train_tokens"], stats["val_tokens"]) == (len(corpus.train), len(corpus.val))
    assert stats["vocab_size"] == corpus.tokenizer.vocab_size == 400
    val_bytes = sum(len(text.encode()) for text in documents(corpus, "val"))
    assert stats["bytes_per_token"] == pytest.approx(val_bytes / len(corpus.val))
    assert stats["source"] == "embedded" and stats["synthetic"] is False
    assert "not synthetic" in stats["text"] and "json" in stats["text"]


def test_a_batch_is_a_pure_function_of_seed_and_step(corpus):
    """A resumed run, and every rank of a parallel one, must see what the first run saw."""
    x, y = corpus.batch("train", 8, 16, seed=3, step=5)
    again = corpus.batch("train", 8, 16, seed=3, step=5)
    assert torch.equal(x, again[0]) and torch.equal(y, again[1])
    assert x.shape == y.shape == (8, 16) and x.dtype == y.dtype == torch.int64
    assert torch.equal(x[:, 1:], y[:, :-1])
    assert len(torch.unique(x, dim=0)) == 8  # ranks take rows of it: no two may get the same
    for other in ({"step": 6}, {"seed": 4}, {"split": "val"}):
        arguments = {"split": "train", "batch_size": 8, "block_size": 16, "seed": 3, "step": 5} | other
        assert not torch.equal(x, corpus.batch(**arguments)[0])
    corpus.batch("train", 8, 16, seed=-1, step=0)


def test_every_window_is_read_once_an_epoch_in_another_order_each_time(corpus):
    """A text read with replacement leaves a third of it unread after "one epoch"."""
    n_windows = (len(corpus.train) - 1) // 16
    steps = -(-2 * n_windows // 7)  # batches of 7: the epoch ends within one
    read = torch.cat([corpus.batch("train", 7, 16, seed=0, step=step)[0] for step in range(steps)])
    first, second = read[:n_windows], read[n_windows : 2 * n_windows]
    text = torch.from_numpy(corpus.train.window(np.array([0]), 16 * n_windows)[0]).view(-1, 16)
    for epoch in (first, second):
        assert sorted(map(tuple, epoch.tolist())) == sorted(map(tuple, text.tolist()))
    assert not torch.equal(first, second)


def test_targets_are_the_next_tokens_of_the_text(corpus):
    """y really follows x in the file, for the last position too."""
    text = corpus.train.window(np.array([0]), len(corpus.train))[0]
    x, y = corpus.batch("train", 4, 16, seed=0, step=0)
    windows = np.lib.stride_tricks.sliding_window_view(text, 17)
    for row in torch.cat([x, y[:, -1:]], dim=1).numpy():
        assert (windows == row).all(axis=1).any()


def test_wrong_batches_are_explained(corpus):
    """A typo in the split, a context longer than the text."""
    with pytest.raises(LabError, match="unknown split 'valid': did you mean 'val'"):
        corpus.batch("valid", 8, 16, 0, 0)
    with pytest.raises(LabError, match="too few for one window"):
        corpus.batch("val", 1, 10**6, 0, 0)


def test_the_second_time_it_is_read_from_the_cache(cache, monkeypatch):
    """A notebook must not harvest again; another vocabulary is another corpus."""
    lab = Lab(SMALL, "embedded", 0)
    first = load_webtext(lab)
    assert first.folder.name.startswith("embedded-smoke-")
    monkeypatch.setattr("labkit.tasks.docstrings.harvest", lambda *_: pytest.fail("harvested again"))
    assert load_webtext(lab).stats == first.stats
    assert docstring_recipe(replace(SMALL, vocab_size=401)).key != docstring_recipe(SMALL).key
    assert docstring_recipe(replace(SMALL, packages=("json",))).key != docstring_recipe(SMALL).key
    assert [path.suffix for path in sorted(cache.iterdir())] == ["", ".lock"]


def test_what_a_killed_build_left_is_not_taken_for_a_corpus(cache):
    """Half a shard beside the place of the whole: built anew, and none of it remains."""
    lab = Lab(SMALL, "embedded", 0)
    partial = cache / f"embedded-smoke-{docstring_recipe(SMALL).key}.partial"
    partial.mkdir(parents=True)
    (partial / "train_00007.bin").write_bytes(b"half a sh")
    corpus = load_webtext(lab)
    assert sorted(corpus.stats["files"]) == ["tokenizer.json", "train_00000.bin", "val_00000.bin"]
    assert sorted(path.name for path in corpus.folder.iterdir()) == [
        "stats.json", "tokenizer.json", "train_00000.bin", "val_00000.bin"
    ]  # fmt: skip
    assert not partial.exists()


@pytest.mark.parametrize("damage", ["truncated shard", "missing shard", "no stats", "bad stats"])
def test_a_damaged_cache_is_named_with_the_remedy(cache, damage):
    """Training on half the text without a word would be worse than stopping."""
    corpus = load_webtext(Lab(SMALL, "embedded", 0))
    shard, stats = corpus.folder / "train_00000.bin", corpus.folder / "stats.json"
    if damage == "truncated shard":
        os.truncate(shard, 100)
    elif damage == "missing shard":
        shard.unlink()
    elif damage == "no stats":
        stats.unlink()
    else:
        stats.write_text("{")
    with pytest.raises(LabError, match=f"delete the folder {corpus.folder}"):
        load_webtext(Lab(SMALL, "embedded", 0))


BUILD = """
import sys, time
from pathlib import Path
from labkit.tasks.corpus import load_or_build
from labkit.tasks.documents import Document
from labkit.tasks.webtext import DocumentRecipe

def read():
    print("building", flush=True)
    time.sleep(0.5)
    texts = [f"Document number {i} has a text of its own, {'x' * i}. " * 9 for i in range(20)]
    return [Document(text[:18], [text]) for text in texts]

recipe = DocumentRecipe("embedded", "test", "text", "key", 300, read)
print(load_or_build(recipe, Path(sys.argv[1])).stats["hash"])
"""


def test_of_two_processes_one_builds_and_the_other_waits(tmp_path):
    """Two notebooks start at once with an empty cache: one build, one result."""
    command = [sys.executable, "-c", BUILD, str(tmp_path / "cache" / "corpus")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0].splitlines() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("building" in lines for lines in outputs) == 1
    assert outputs[0][-1] == outputs[1][-1]


def test_a_failed_build_lets_the_next_one_try(tmp_path):
    """The lock is released, and no folder is left in the corpus's place."""
    recipe = DocumentRecipe("embedded", "test", "text", "key", 300, lambda: [])
    for _ in range(2):
        with pytest.raises(LabError, match="too few"):
            load_or_build(recipe, tmp_path / "corpus")
    assert not (tmp_path / "corpus").exists()


def test_local_text_gives_the_same_object(cache, tmp_path, monkeypatch):
    """And its cache follows the files' bytes."""
    (tmp_path / "educational").mkdir()
    for book in "ab":
        text = "\n\n".join(
            f"Section {i} of the book {book} tells of {'many ' * (i % 7)}things." * 5 for i in range(300)
        )
        (tmp_path / "educational" / f"{book}.txt").write_text(text.replace("Section", "Section " + book))
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    lab = Lab(SMALL, "local", 0)
    corpus = load_webtext(lab)
    assert corpus.stats["source"] == "local" and "educational" in corpus.stats["text"]
    assert corpus.batch("val", 2, 8, 0, 0)[0].shape == (2, 8)
    assert load_webtext(lab).folder == corpus.folder
    with (tmp_path / "educational" / "a.txt").open("a") as file:
        file.write("\n\nOne more.")
    assert load_webtext(lab).folder != corpus.folder
    with pytest.raises(LabError, match="unknown local text"):
        load_webtext(lab, "novels")


def test_the_command_prints_statistics_or_an_error(cache, capsys, monkeypatch):
    """`python -m labkit.tasks.webtext` prepares a corpus before a long run."""
    monkeypatch.setitem(PROFILES, "smoke", SMALL)
    assert main(["--profile", "smoke"]) == 0
    assert json.loads(capsys.readouterr().out)["train_tokens"] > 1_000
    assert main(["--profile", "smok"]) == 2
    assert "did you mean 'smoke'" in capsys.readouterr().err


def test_an_unguarded_script_is_told_so(tmp_path):
    """Its workers import it again and would wait for the lock that it holds."""
    script = tmp_path / "unguarded.py"
    script.write_text(
        "from dataclasses import replace\n"
        "from labkit.profile import PROFILES, Lab\n"
        "from labkit.tasks import webtext\n"
        "webtext.NPROC = 2\nsmall = replace(PROFILES['smoke'], packages=('json',), vocab_size=300)\n"
        "webtext.load_webtext(Lab(small, 'embedded', 0))\n"
    )
    run = subprocess.run(
        [sys.executable, str(script)], env=os.environ | {"LABKIT_CACHE": str(tmp_path)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert run.returncode == 1 and "put its work under" in run.stderr
