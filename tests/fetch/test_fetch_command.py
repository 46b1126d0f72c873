"""`python -m labkit.fetch` over every repository: if it fails, there is no course without a network."""

from __future__ import annotations

import json
import shutil
from dataclasses import astuple
from types import SimpleNamespace

import pytest
import torch
from hub import served

from labkit.fetch import manifest, wanted
from labkit.fetch.__main__ import main
from labkit.fetch.readers import READERS
from labkit.hub import REPOSITORIES
from labkit.profile import LabError, resolve
from labkit.tasks.hellaswag import load_hellaswag
from labkit.tasks.ner import load_ner
from labkit.tasks.novels import load_novels
from labkit.tasks.paraphrase import load_paraphrase
from labkit.tasks.pubmed import load_pubmed
from labkit.tasks.scitldr import load_scitldr
from labkit.tasks.sentiment import read_files
from labkit.tasks.titles import load_titles


@pytest.fixture(scope="module")
def folder(hub_folder, tmp_path_factory):
    """All that the laptop profile reads, fetched once."""
    from hub import Hub, point_at

    folder = tmp_path_factory.mktemp("fetched")
    with pytest.MonkeyPatch.context() as monkeypatch, Hub(hub_folder) as hub:
        point_at(hub.url, tmp_path_factory.mktemp("home"), monkeypatch)
        monkeypatch.setattr(wanted, "_sample", sample)
        assert main([str(folder)]) == 0
    return folder


def sample(folder):
    """`datasets` has its own copy of the Hub's address, so the stream has a test of its own."""
    folder.mkdir()
    (folder / "fineweb-edu-0.txt").write_text("A paragraph.\n\nAnother.\n")
    return [folder / "fineweb-edu-0.txt"]


def everything(data) -> list:
    return sorted(repr(astuple(record)) for record in (*data.train, *data.validation, *data.test))


SAME = {
    "pubmed": lambda lab: everything(load_pubmed(lab)),
    "scitldr": lambda lab: everything(load_scitldr(lab)),
    "bionlp2004": lambda lab: everything(load_ner(lab)),
    "financial_phrasebank": read_files,
    "mrpc": lambda lab: everything(load_paraphrase(lab)),
    "hellaswag": load_hellaswag,
    "novels": lambda lab: sorted(
        book.text
        for language in ("en", "zh")
        for part in (load_novels(lab, language),)
        for book in part.train + part.heldout
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_local_reads_what_hub_reads(folder, hub, monkeypatch, name):
    """The same records, through another format. (CSL's splits are made by another rule: see below.)"""
    monkeypatch.setenv("LABKIT_DATA", str(folder))
    load = SAME[name]
    local, of_hub = load(resolve("smoke", "local")), load(resolve("smoke", "hub"))
    assert local == of_hub and len(local) > 2


def test_csl_is_split_once_for_all(folder, monkeypatch):
    monkeypatch.setenv("LABKIT_DATA", str(folder))
    papers = load_titles(resolve("laptop", "local"))
    assert papers.train and papers.test and not {p.title for p in papers.train} & {p.title for p in papers.test}
    assert len((folder / "csl" / "ts_test.tsv").read_text().splitlines()) == 1_000


def test_verify_finds_every_change(folder, tmp_path, capsys):
    """A byte, a length, a loss, a dataset that isn't one."""
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert main([str(copy), "--verify"]) == 0
    assert "BAD" not in capsys.readouterr().out
    for name, entry in manifest.read(copy).items():
        path = copy / next(iter(entry["files"]))
        whole = path.read_bytes()
        for damaged in (whole[:-1], bytes([whole[0] ^ 1]) + whole[1:], None):
            path.unlink() if damaged is None else path.write_bytes(damaged)
            assert any(manifest.faults(copy, name)), (name, damaged and len(damaged))
            path.write_bytes(whole)
    (copy / "mrpc" / "msr_paraphrase_test.txt").unlink()
    assert main([str(copy), "--verify"]) == 1
    said = capsys.readouterr().out
    assert "mrpc                   BAD: mrpc/msr_paraphrase_test.txt is missing" in said


def test_a_folder_that_came_otherwise_is_read(folder, tmp_path, capsys):
    """Originals have no checksums here; that they can be read is known all the same, and said apart."""
    shutil.copytree(folder / "bionlp2004", tmp_path / "bionlp2004")
    assert main([str(tmp_path), "--verify"]) == 0
    assert "no checksums; reads: 1 / 1 / 2" in capsys.readouterr().out
    (tmp_path / "bionlp2004" / "devel.tsv").write_text("no tab")
    assert main([str(tmp_path), "--verify"]) == 1
    assert "line 1 of" in capsys.readouterr().out


def test_what_is_there_is_not_fetched_again(folder, hub, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert main([str(copy), "--only", "mrpc,csl"]) == 0
    assert not hub.requests and "mrpc                   is there, whole" in capsys.readouterr().out
    (copy / "mrpc" / "msr_paraphrase_test.txt").write_text("cut")
    assert main([str(copy), "--only", "mrpc,csl"]) == 0
    assert not any(manifest.faults(copy, "mrpc")) and not any("csl" in request for request in hub.requests)
    assert not (copy / ".parts" / "mrpc").exists()


def test_a_larger_profile_takes_more_novels_and_a_smaller_one_what_is_there(hub, tmp_path, monkeypatch):
    """What is enough for a laptop is whole, and not enough for the full profile."""
    monkeypatch.setattr("labkit.tasks.novels.HUB_COUNTS", {"smoke": 0, "laptop": 1, "full": 2})
    counts = []
    for profile in ("laptop", "full", "laptop"):
        assert main([str(tmp_path), "--only", "novels", "--profile", profile]) == 0
        counts.append(len(list((tmp_path / "novels" / "en").glob("*.txt"))))
    assert counts == [3, 4, 4] and not any(manifest.faults(tmp_path, "novels"))


def test_a_conversion_that_is_killed_is_done_again(hub, tmp_path, monkeypatch):
    """Nothing has entered the manifest by then, so nothing can pass."""
    from labkit.fetch import convert

    real, calls = convert.write_lines_atomic, []

    def dies(path, lines):
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(path, lines)

    monkeypatch.setattr(convert, "write_lines_atomic", dies)
    assert main([str(tmp_path), "--only", "mrpc"]) == 130
    assert manifest.read(tmp_path) == {} and len(calls) == 2
    monkeypatch.setattr(convert, "write_lines_atomic", real)
    assert main([str(tmp_path), "--only", "mrpc"]) == 0
    assert not any(manifest.faults(tmp_path, "mrpc"))


def test_a_model_comes_as_safetensors_and_loads(hub, tmp_path, monkeypatch, tmp_path_factory):
    """Though its repository has a pickle; and a pickle that would run code is refused."""
    from labkit.models.neo import new_neo
    from labkit.zoo import load_backbone, train_tokenizer

    hub.folder = tmp_path_factory.mktemp("models")
    repository = served(hub.folder, "neo")
    tokenizer = train_tokenizer(["so far labels"] * 3)
    model = new_neo(len(tokenizer), 8, 2, 2, 16, 8)
    model.save_pretrained(repository)
    tokenizer.save_pretrained(repository)
    (repository / "model.safetensors").unlink()
    torch.save(model.state_dict(), repository / "pytorch_model.bin")
    (repository / "evil.py").write_text("raise SystemExit")
    left = tmp_path / ".parts" / "neo" / "model.safetensors"  # cut off, by a process that was killed as it wrote it
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    assert main([str(tmp_path), "--only", "neo", "--profile", "full"]) == 0
    names = {path.name for path in (tmp_path / "models" / "neo").iterdir()}
    assert "model.safetensors" in names and not {"pytorch_model.bin", "evil.py"} & names
    monkeypatch.setenv("LABKIT_MODELS", str(tmp_path / "models"))
    loaded, _ = load_backbone(resolve("smoke"))
    assert all(
        torch.equal(a, b) for a, b in zip(model.state_dict().values(), loaded.state_dict().values(), strict=True)
    )
    torch.save(SimpleNamespace(run="code"), repository / "pytorch_model.bin")
    with pytest.raises(LabError, match="no plain weights"):
        wanted.fetch("neo", wanted.files_of("neo"), tmp_path / "other", "full")


def test_all_of_the_sample_keeps_its_form(hub, tmp_path):
    assert main([str(tmp_path), "--only", "fineweb_edu"]) == 0
    assert len(list((tmp_path / "fineweb_edu" / "sample" / "10BT").glob("*.parquet"))) == 2


def test_list_says_sizes_and_licences(hub, folder, capsys):
    assert main(["--list"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said] == wanted.names("laptop")
    assert any(line.startswith("financial_phrasebank") and "CC BY-NC-SA" in line for line in said)
    assert sum(" ? " in line for line in said) == 1  # the stream's


def test_list_without_a_network_knows_what_the_folder_has(folder, monkeypatch, capsys):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert main([str(folder), "--list", "--profile", "full"]) == 0
    said = capsys.readouterr().out
    assert "doesn't answer" in said and " B  nyu-mll/glue" in said.replace("kB", "B")


def test_a_full_disk_is_noticed_before_anything_is_sent(hub, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1_000))
    assert main([str(tmp_path / "new"), "--only", "mrpc"]) == 2
    assert "has 1 kB left: free some space" in capsys.readouterr().err
    assert not any("/resolve/" in request for request in hub.requests)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x", "--only", "mrcp"], "did you mean 'mrpc'"),
        (["/no/where", "--verify"], "is no folder"),
        ([], "Name a folder"),
    ],
)
def test_a_wrong_command_says_so(arguments, said, monkeypatch, capsys):
    monkeypatch.delenv("LABKIT_DATA", raising=False)
    try:
        assert main(arguments) == 2
    except SystemExit as exit_:
        assert exit_.code == 2
    assert said in capsys.readouterr().err


def test_every_dataset_of_the_table_can_be_fetched_and_read():
    """A repository that is added to the table must be added here, too."""
    assert set(wanted.names("full")) == set(REPOSITORIES)
    assert set(wanted.names("laptop")) - {"gpt2_bpe"} <= set(READERS)


def test_a_manifest_that_was_edited_badly_says_so(tmp_path):
    (tmp_path / manifest.NAME).write_text(json.dumps({"other": 1}))
    with pytest.raises(LabError, match="delete it"):
        manifest.read(tmp_path)


def test_the_sample_of_text_is_streamed_through_the_real_library(hub_folder, tmp_path):
    """By the real command; documents keep a blank line between their paragraphs and one another."""
    import subprocess
    import sys

    from hub import Hub

    with Hub(hub_folder) as hub:
        command = [sys.executable, "-m", "labkit.fetch", str(tmp_path), "--only", "educational"]
        done = subprocess.run(command, env=hub.env(tmp_path / "home"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    texts = [path.read_text() for path in sorted((tmp_path / "educational").glob("*.txt"))]
    assert len(texts) == wanted.SAMPLE_FILES and sum(text.count("\n\n") for text in texts) == 80
    assert not any(manifest.faults(tmp_path, "educational"))
