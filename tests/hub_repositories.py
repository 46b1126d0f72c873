"""Every repository that the course uses, small, in the layout that the real ones have."""

from __future__ import annotations

import gzip
import json
import random
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hub import served

from labkit.tasks import hellaswag, ner, novels, paraphrase, pubmed, scitldr, sentiment, titles

WORDS = "the learning of a small model needs text that is good and plain enough for its readers".split()
LARGE = 200_000  # bytes of the file that tests interrupt


def write_all(folder: Path) -> None:
    """Write them below `folder`, for a `Hub`."""
    for split, name in pubmed.FILES.hub.items():
        rows = [{"article": f"{split} {i} one .\nAnd two .", "abstract": f"sum {i} ."} for i in range(4)]
        _parquet(served(folder, "pubmed") / name, rows)
    for split, name in scitldr.FILES.hub.items():
        rows = [
            {"paper_id": f"{split}{i}", "source": ["We nap.", f"Often {i}."], "target": ["Naps."]} for i in range(3)
        ]
        _parquet(served(folder, "scitldr") / name, rows)
    for split, name in ner.FILES.hub.items():
        _lines(
            served(folder, "bionlp2004") / name,
            [{"tokens": [split, "RNA"], "tags": [9, 10]}, {"tokens": ["x"], "tags": [0]}],
        )
    (served(folder, "bionlp2004") / "bionlp2004.py").write_text("raise SystemExit('this must not run')")
    for split, name in paraphrase.FILES.hub.items():
        rows = [{"sentence1": f'"{split} {i} .', "sentence2": "Only .", "label": i % 2, "idx": i} for i in range(12)]
        _parquet(served(folder, "mrpc") / name, rows)
    _phrasebank(served(folder, "financial_phrasebank") / sentiment.ARCHIVE)
    questions = [{"ctx": f"So {i}", "endings": list("abcd"), "label": "1", "source_id": "x"} for i in range(8)]
    for name in hellaswag.FILES.hub.values():
        _parquet(served(folder, "hellaswag") / name, questions)
    for language, name in novels.HUB_FILES.items():
        books = [{"id": f"{i}-0", "text": _book(language, i)} for i in range(4)] + [{"id": "9-0", "text": "A play."}]
        _parquet(served(folder, "novels") / name, books)
    csl = [{"doc_id": f"c{i}", "title": f"标题{i}", "abstract": f"摘要 {i}"} for i in range(1_050)]
    path = served(folder, "csl") / titles.ARCHIVE
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress("\n".join(json.dumps(row) for row in csl).encode()))
    _vocabulary(served(folder, "gpt2_bpe"))
    _fineweb(served(folder, "fineweb_edu"))


def _parquet(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def _lines(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _phrasebank(path: Path) -> None:
    """Each stricter file is a part of the looser ones; the first is latin-1."""
    lines = [f"Sales of caf\xe9 {i} rose .@{'positive' if i % 2 else 'neutral'}\r\n" for i in range(40)]
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for level, member in sentiment.MEMBERS.items():
            text = "".join(lines[: 60 - level // 2])
            archive.writestr(f"{sentiment.ARCHIVE_FOLDER}/{member}", text.encode("latin-1"))


def _book(language: str, i: int) -> str:
    rng = random.Random(i)
    if language == "zh":
        said = "".join(
            f"第{n}回\n\n“{''.join(rng.choices('山水人家日月风雨', k=240))}。”他说。\n\n" for n in "一二三四五六"
        )
        return f"标题：书{i}\n作者：作者{i}\n\n{said}"
    chapters = (
        f"CHAPTER {n}\n\n" + "".join(f'"{" ".join(rng.choices(WORDS, k=30))}," said he.\n\n' for _ in range(4))
        for n in ("I", "II", "III", "IV", "V", "VI")
    )
    return f"Title: Book {i}\nAuthor: Ann O'Thor\n\n" + "".join(chapters)


def _vocabulary(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({"a": 0, "b": 1}))
    (folder / "merges.txt").write_text("#version: 0.2\n")


def _fineweb(folder: Path) -> None:
    rng = random.Random(0)
    for part in range(2):
        rows = [{"id": f"{part}-{i}", "text": " ".join(rng.choices(WORDS, k=60))} for i in range(40)]
        _parquet(folder / "sample" / "10BT" / f"{part:03d}_00000.parquet", rows)
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: sample-10BT\n  data_files:\n  - split: train\n    path: sample/10BT/*\n---\n"
    )
