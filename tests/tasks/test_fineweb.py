"""The hub's text against a real local server: resuming after SIGKILL, clear failures."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub import Hub, served

from labkit.tasks.bpe import GPT2BPE

WORDS = "the learning of a small language model needs text that is good and plain enough for students".split()


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    write_dataset(served(folder, "fineweb_edu"))
    write_vocabulary(served(folder, "gpt2_bpe"))
    with Hub(folder) as hub:
        yield hub


def write_dataset(folder: Path) -> None:
    """Two parquet files of several row groups, as FineWeb-Edu lays them out."""
    rng = random.Random(0)
    (folder / "sample" / "10BT").mkdir(parents=True)
    for part in range(2):
        rows = [
            {
                "id": f"<urn:uuid:{part}-{i}>",
                "text": " ".join(rng.choices(WORDS, k=rng.randint(5, 40))),
                "score": 3.0,
            }
            for i in range(600)
        ]
        pq.write_table(
            pa.Table.from_pylist(rows),
            folder / "sample" / "10BT" / f"{part:03d}_00000.parquet",
            row_group_size=100,
        )
    (folder / "data" / "CC-MAIN-2013-20").mkdir(parents=True)
    other = pa.Table.from_pylist([{"id": "elsewhere", "text": "not in the sample", "score": 3.0}])
    pq.write_table(other, folder / "data" / "CC-MAIN-2013-20" / "000_00000.parquet")
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/*/*\n"
        "- config_name: sample-10BT\n  data_files:\n  - split: train\n    path: sample/10BT/*\n---\n# text\n"
    )


def write_vocabulary(folder: Path) -> None:
    """A byte-level BPE of 300 entries in the format of GPT-2's files, end-of-text last."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.train_from_iterator([" ".join(WORDS)] * 3, trainers.BpeTrainer(vocab_size=300, show_progress=False))
    merges = [tuple(merge) for merge in json.loads(bpe.to_str())["model"]["merges"]]
    printable = [chr(b) for b in range(256) if chr(b).isprintable() and chr(b) != " "]
    alphabet = printable + [chr(256 + n) for n in range(256 - len(printable))]
    tokens = [*alphabet, *("".join(merge) for merge in merges), "<|endoftext|>"]
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))


BUILD = """
import json, sys
from pathlib import Path
from labkit.tasks import corpus, fineweb
fineweb.VAL_SHARE = 0.1

if __name__ == "__main__":
    sizes = json.loads(sys.argv[2])
    after = sizes.pop("stop_after", None)
    if after is not None:  # stand still in the middle of a chunk, with its tokens partly written
        whole, chunks = fineweb._write, 0
        def _write(chunk, tokens, writers):
            global chunks
            chunks += 1
            result = whole(chunk, tokens, writers)
            if chunks > after:
                print("ready", flush=True)
                import time; time.sleep(60)
            return result
        fineweb._write = _write
    made = corpus.load_or_build(fineweb.FineWeb(**sizes), Path(sys.argv[1]))
    print(json.dumps(made.stats))
"""
SIZES = {"train_tokens": 10**9, "val_tokens": 0, "chunk_documents": 150, "shard_tokens": 4_000, "nproc": 1}


def command(tmp_path: Path, folder: str, **sizes: int) -> list[str]:
    script = tmp_path / "build.py"
    script.write_text(BUILD)
    return [sys.executable, str(script), str(tmp_path / folder), json.dumps(SIZES | sizes)]


def build(hub: Hub, tmp_path: Path, folder: str, **sizes: int) -> dict:
    run = subprocess.run(
        command(tmp_path, folder, **sizes),
        env=hub.env(tmp_path / "home"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.splitlines()[-1])


def tokens(folder: Path, split: str) -> np.ndarray:
    return np.concatenate([np.fromfile(path, "<u2") for path in sorted(folder.glob(f"{split}_*.bin"))])


def test_a_killed_build_goes_on_and_ends_with_the_same_bytes(hub, tmp_path):
    """SIGKILL in the middle of the third chunk: nothing twice, nothing lost, no worker left behind."""
    whole = build(hub, tmp_path, "whole")
    killed = subprocess.Popen(
        command(tmp_path, "resumed", stop_after=2, nproc=2),
        env=hub.env(tmp_path / "home"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert killed.stdout.readline() == "ready\n", killed.stderr.read()
    workers = [int(pid) for pid in children(killed.pid)]
    assert workers
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    killed.stdout.close(), killed.stderr.close()
    saved = json.loads((tmp_path / "resumed.partial" / "progress.json").read_text())
    assert saved["documents"] == 300
    assert not (tmp_path / "resumed").exists()
    resumed = build(hub, tmp_path, "resumed")
    assert resumed["hash"] == whole["hash"]
    assert resumed["files"] == whole["files"]
    assert {**resumed, "seconds": 0} == {**whole, "seconds": 0}
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in workers):
        assert time.monotonic() < deadline, "workers outlived their parent"
        time.sleep(0.05)


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_every_document_is_in_one_split_in_order(hub, tmp_path):
    """What is on the disk is what was on the server, split by document, in shards of the size asked for."""
    stats = build(hub, tmp_path, "corpus")
    folder = tmp_path / "corpus"
    bpe = GPT2BPE(folder / "vocab.json", folder / "merges.txt")
    assert bpe.eot == bpe.vocab_size - 1 == stats["vocab_size"] - 1
    dataset = served(hub.folder, "fineweb_edu") / "sample" / "10BT"
    texts = [text for file in sorted(dataset.iterdir()) for text in pq.read_table(file)["text"].to_pylist()]
    halves = {
        split: bpe.decode(tokens(folder, split)).removesuffix("<|endoftext|>").split("<|endoftext|>")
        for split in ("train", "val")
    }
    assert sorted(halves["train"] + halves["val"]) == sorted(texts)
    assert [text for text in texts if text in set(halves["train"])][:20] == halves["train"][:20]
    assert 60 < len(halves["val"]) < 180  # a tenth of 1,200
    assert stats["bytes_per_token"] == pytest.approx(sum(map(len, halves["val"])) / stats["val_tokens"])
    sizes = [stats["files"][name] for name in sorted(stats["files"]) if name.startswith("train")]
    assert set(sizes[:-1]) == {2 * 4_000} and 0 < sizes[-1] <= 2 * 4_000


def test_a_folder_that_was_fetched_gives_the_same_tokens(hub, tmp_path):
    """A class without a network trains on what the others train on; and what isn't there is named."""
    data = tmp_path / "data"
    data.mkdir()
    of_hub = build(hub, tmp_path, "of hub")
    without = {"LABKIT_DATA": str(data), "HF_ENDPOINT": "http://127.0.0.1:9"}
    for missing in ("vocab.json", "no .parquet files"):
        run = subprocess.run(
            command(tmp_path, "local", source="local"),
            env=hub.env(tmp_path / "none") | without,
            capture_output=True,
            text=True,
        )
        assert run.returncode and missing in run.stderr and "labkit.fetch --only" in run.stderr
        shutil.copytree(served(hub.folder, "gpt2_bpe"), data / "gpt2_bpe", dirs_exist_ok=True)
    shutil.copytree(served(hub.folder, "fineweb_edu") / "sample", data / "fineweb_edu" / "sample")
    run = subprocess.run(
        command(tmp_path, "local", source="local"),
        env=hub.env(tmp_path / "none") | without,
        capture_output=True,
        text=True,
    )
    local = json.loads(run.stdout.splitlines()[-1])
    assert local["hash"] == of_hub["hash"] and local["source"] == "local"


def test_the_budget_stops_the_download(hub, tmp_path):
    """A profile that needs few tokens must not read the whole sample."""
    stats = build(hub, tmp_path, "small", train_tokens=2_000)
    assert stats["documents"] == 150  # one chunk
    assert stats["train_tokens"] >= 2_000


def test_no_hub_is_an_error_with_a_remedy(tmp_path):
    """Nobody waits for retries, and nothing is left that looks like a corpus."""
    for setting, word in (
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "does not answer"),
        ({"HF_HUB_OFFLINE": "1"}, "unset it"),
    ):
        run = subprocess.run(
            [sys.executable, "-m", "labkit.tasks.webtext", "--profile", "smoke", "--source", "hub"],
            env=os.environ | setting | {"LABKIT_CACHE": str(tmp_path / "cache"), "HF_HOME": str(tmp_path)},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert run.returncode == 2
        assert word in run.stderr and "SOURCE=embedded" in run.stderr and "Traceback" not in run.stderr
    assert not [path for path in (tmp_path / "cache" / "webtext").iterdir() if path.suffix not in (".partial", ".lock")]


def test_files_of_two_vocabularies_are_refused(hub, tmp_path):
    """A half-updated download must not give wrong tokens."""
    from labkit.profile import LabError

    source = served(hub.folder, "gpt2_bpe")
    merges = (source / "merges.txt").read_text().splitlines(keepends=True)
    (tmp_path / "merges.txt").write_text("".join([merges[0], *reversed(merges[1:])]))
    with pytest.raises(LabError, match="not one BPE vocabulary"):
        GPT2BPE(source / "vocab.json", tmp_path / "merges.txt")


def test_the_real_vocabulary_agrees_with_transformers():
    """Same files, another implementation: the same tokens on the text where implementations differ."""
    folder = Path(os.environ.get("LABKIT_DATA", "")) / "gpt2_bpe"
    if not os.environ.get("LABKIT_DATA") or not folder.is_dir():
        pytest.skip("LABKIT_DATA has no gpt2_bpe/")
    from transformers import GPT2Tokenizer

    ours = GPT2BPE(folder / "vocab.json", folder / "merges.txt")
    theirs = GPT2Tokenizer(vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"))
    assert (ours.vocab_size, ours.eot) == (50_257, 50_256)
    for text in AWKWARD:
        assert ours.encode(text) == theirs.encode(text)
        assert ours.decode(ours.encode(text)) == text


AWKWARD = [
    "", " ", "   leading", "trailing   ", "\n\n\ta\r\n b  \n", "don't we'll I'VE", "x=3.14159e-10; y_1",
    "naïve café 中文字符 русский हिन्दी العربية", "👩‍👩‍👧‍👦 🇫🇷 ½ ﬁ",
    "\u00a0\u2003\u200b\ufeff", "a\u0301 \u0000 \x7f",
]  # fmt: skip
