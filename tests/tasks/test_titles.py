"""Titles and abstracts: splits without leaks, the traps of CSL's files, and instructions that survive a cut."""

from __future__ import annotations

import gzip
import json
import os

import pytest
from hub import Hub, run_in_child, served

from labkit.hub import REPOSITORIES
from labkit.profile import LabError, resolve
from labkit.tasks.labelled import key
from labkit.tasks.titles import (
    ARCHIVE,
    DEV,
    TEST,
    TitledPaper,
    encode_titles,
    instruction,
    load_titles,
    read_archive,
)
from labkit.zoo import train_tokenizer


def line(abstract: str, title: str) -> str:
    return f"to title\t{abstract}\t{title}\n"


DEV_LINES = [line(f"开发摘要{i}。", f"开发标题{i}") for i in range(40)]
TEST_LINES = [line(f"测试摘要{i}。", f"测试标题{i}") for i in range(20)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    (tmp_path / "csl").mkdir()
    for name, lines in ((DEV, DEV_LINES), (TEST, TEST_LINES)):
        (tmp_path / name).write_text("".join(lines), encoding="utf-8")
    return tmp_path


def local():
    return load_titles(resolve("smoke", "local"))


def titles(papers: list[TitledPaper]) -> set[str]:
    return {paper.title for paper in papers}


def test_the_local_files(folder):
    """Test as published, cut to the profile; a tenth of the rest to validate with; the columns in their places."""
    papers = local()
    assert [paper.title for paper in papers.test] == [f"测试标题{i}" for i in range(16)]
    assert (papers.test[3].abstract, papers.test[3].id) == ("测试摘要3。", "ts_test-4")
    assert len(papers.validation) == 4 and len(papers.train) == 36 and papers.dropped == 0
    assert titles(papers.train) | titles(papers.validation) == {f"开发标题{i}" for i in range(40)}
    assert local() == papers and "CSL" in papers.name


def test_what_the_test_set_has_is_not_trained_on(folder):
    """The same abstract in other punctuation, a title of a test paper, a paper twice: each leaks or counts double."""
    copies = [line("测试摘要5,", "另一个"), line("另一个摘要", "测试标题19"), DEV_LINES[7]]
    with (folder / DEV).open("a", encoding="utf-8") as file:
        file.writelines(copies)
    papers = local()
    assert papers.dropped == 3 and len(papers.train) + len(papers.validation) == 40
    assert titles(papers.train).isdisjoint({"另一个", "测试标题19"})


def test_spaces_a_mark_at_the_start_and_windows_ends_of_lines(folder):
    """Copies that went through an editor are the same data."""
    text = "".join(TEST_LINES).replace("测试摘要0", "\u3000测试 \u3000 摘要0 ")
    (folder / TEST).write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    papers = local()
    assert papers.test[0].abstract == "测试 摘要0 。" and papers.test[1].title == "测试标题1"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("to title\t只有摘要", "isn't 'to title', an abstract and a title, with tabs between: fetch"),
        ("to title\t摘要\t标题\t还有", "isn't 'to title'"),
        ("to summary\t标题\t摘要", "isn't 'to title'"),
        ("", "isn't 'to title'"),
        ("to title\t摘要\t \u3000", "lacks its abstract or its title: fetch"),
        ("to title\t\t标题", "lacks its abstract or its title"),
        ("to title\t摘要\t标题".encode("gb18030"), "not UTF-8 .*fetch the original"),
        ("to title\t摘要\t标题".encode()[:-1], "not UTF-8"),
    ],
)
def test_a_bad_line_is_refused_with_its_place(folder, bad, message):
    """Cut off, converted, or another task's file: it must not become other data."""
    path, bad = folder / DEV, bad if isinstance(bad, bytes) else bad.encode()
    lines = [text.encode() for text in DEV_LINES]
    path.write_bytes(b"".join([lines[0], bad + b"\n", *lines[1:]]))
    with pytest.raises(LabError, match=f"line 2 of .*ts_dev.tsv.*{message}"):
        local()


def test_a_missing_or_empty_file_says_what_to_do(folder):
    (folder / TEST).write_bytes(b"")
    with pytest.raises(LabError, match=r"line 1 of .*ts_test\.tsv"):
        local()
    (folder / TEST).unlink()
    with pytest.raises(LabError, match=r"ts_test\.tsv.*SOURCE=embedded"):
        local()


def test_instructions_are_in_the_papers_language(folder):
    paper = TitledPaper("1", (), "It naps.", title="Naps")
    english, chinese = instruction(resolve("smoke", "embedded")), instruction(resolve("smoke", "local"))
    assert english.prompt(paper) == "Write the abstract of this paper: Naps\nAbstract:" and english.target == "abstract"
    assert chinese.prompt(paper).endswith("Naps\n摘要：")
    assert "It naps." in instruction(resolve("smoke", "embedded"), "abstract->title").prompt(paper)
    with pytest.raises(LabError, match="unknown direction 'abstract->titel': did you mean 'abstract->title'"):
        instruction(resolve("smoke", "embedded"), "abstract->titel")


@pytest.mark.parametrize(("source", "direction"), [("embedded", "title->abstract"), ("local", "abstract->title")])
def test_what_is_encoded_is_the_prompt_and_the_target(folder, source, direction):
    lab = resolve("smoke", source)
    papers, task = load_titles(lab), instruction(lab, direction)
    tokenizer = train_tokenizer([task.prompt(paper) + paper.title + paper.abstract for paper in papers.train])
    pairs = encode_titles(tokenizer, papers.test, task, 200, 200)
    for paper, (prompt, target) in zip(papers.test, pairs, strict=True):
        said, end = tokenizer.decode(prompt), task.end
        assert said.replace(f" {end}", end).strip() == task.prompt(paper)
        text, empty = tokenizer.decode(target).split(tokenizer.eos_token)
        assert text.strip() == getattr(paper, task.target) and not empty


def test_a_cut_prompt_keeps_its_instruction_and_a_cut_target_its_end(folder):
    """Cut at the end, a prompt would no longer ask; without an end of text, a model never learns to stop."""
    lab = resolve("smoke", "embedded")
    papers, task = load_titles(lab), instruction(lab, "abstract->title")
    tokenizer = train_tokenizer([paper.abstract for paper in papers.train])
    whole = encode_titles(tokenizer, papers.test, task, 999, 999)
    for (prompt, target), (short, cut) in zip(whole, encode_titles(tokenizer, papers.test, task, 40, 6), strict=True):
        assert len(short) == 40 < len(prompt) and len(cut) == 6 < len(target)
        assert tokenizer.decode(short).endswith("\nTitle:") and prompt[:30].tolist() == short[:30].tolist()
        assert cut[-1] == tokenizer.eos_token_id and cut[:-1].tolist() == target[:5].tolist()


def test_the_real_files():
    if not os.environ.get("LABKIT_DATA"):
        pytest.skip("LABKIT_DATA is not set")
    papers = load_titles(resolve("laptop", "local"))
    assert [len(papers.train), len(papers.validation), len(papers.test), papers.dropped] == [900, 100, 200, 0]
    everything = papers.train + papers.validation + papers.test
    for texts in ([p.title for p in everything], [p.abstract for p in everything]):
        assert len({key(text) for text in texts}) == 1200 and all(text == " ".join(text.split()) for text in texts)
    assert sum(len(p.title) < len(p.abstract) for p in everything) == 1200  # the columns are not swapped


LOAD = """
import json
from labkit.profile import resolve
from labkit.tasks.titles import load_titles
papers = load_titles(resolve("smoke", "hub"))
splits = [[paper.title for paper in split] for split in (papers.train, papers.validation, papers.test)]
print(json.dumps([splits, papers.dropped, papers.test[0].abstract[:2], papers.name]))
"""


def row(i: int, **fault: object) -> dict[str, object]:
    return {"doc_id": f"csl-{i}", "title": f"标题{i}", "abstract": f"摘要{i}", "keywords": []} | fault


def serve(tmp_path, rows: list[dict[str, object]]):
    path = served(tmp_path / "hub", "csl") / ARCHIVE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("\n".join(json.dumps(r) for r in rows).encode()))
    return path


def test_the_hub_s_file_is_sampled_by_hash(tmp_path):
    """At the pinned revision; in any order of the file the same papers, no paper twice, an empty one counted."""
    rows = [row(i) for i in range(60)] + [row(100, title="标题7"), row(101, abstract=" "), row(102, abstract="摘要3!")]
    serve(tmp_path, rows)
    with Hub(tmp_path / "hub") as hub:
        splits, dropped, abstract, name = json.loads(run_in_child(LOAD, hub.env(tmp_path / "home")))
        assert any(REPOSITORIES["csl"].revision in request for request in hub.requests)
        serve(tmp_path, [row(i) for i in reversed(range(60))])
        again = json.loads(run_in_child(LOAD, hub.env(tmp_path / "elsewhere")))
    train, validation, test = splits
    assert [len(train), len(validation), len(test), dropped] == [40, 4, 16, 3] and again[0] == splits
    assert sorted(train + validation + test) == sorted(f"标题{i}" for i in range(60))
    assert abstract == "摘要" and "NeuCLIR" in name


@pytest.mark.parametrize("fault", ["a bad row", "cut off", "no archive", "no answer"])
def test_a_bad_download_says_what_to_do(tmp_path, monkeypatch, fault):
    """What was cut off stays in the cache: the error must name the file to delete."""
    path = serve(tmp_path, [row(i) for i in range(60)] + [row(61, title=None)])
    if fault == "cut off":
        path.write_bytes(path.read_bytes()[:300])
    elif fault == "no archive":
        path.write_bytes(b"<html>")

    def fetch(*_, **__):
        if fault == "no answer":
            raise OSError("no route")
        return str(path)

    monkeypatch.setattr("labkit.hub.probe", lambda: None)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", fetch)
    said = {"a bad row": "row 61 of .*is no CSL record", "no answer": "failed while giving .*check the network"}
    with pytest.raises(LabError, match=said.get(fault, f"is no whole archive .*delete {path} and run again")):
        load_titles(resolve("smoke", "hub"))


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(b"x" * (50 << 20)))
    with pytest.raises(LabError, match="row 1 of the archive is no CSL record"):
        list(read_archive(path, "the archive"))


def test_an_archive_without_an_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    """Equal papers shrink a thousandfold; fetching holds all of them at once."""
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(b'{"doc_id": 1, "title": "t", "abstract": "a"}\n' * 10_000))
    monkeypatch.setattr("labkit.tasks.titles.MOST_BYTES", 10_000)
    papers = read_archive(path, "the archive")
    with pytest.raises(LabError, match="the archive has over 10,000 bytes"):
        assert len([next(papers) for _ in range(10_000)]) < 1_000
