"""Token shards: what is written is what is read, windows stay inside, an interrupted writer can go on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.profile import LabError
from labkit.tasks.shards import Shards, ShardWriter, shard_path


def write(folder, tokens, shard_tokens, split="train"):
    writer = ShardWriter(folder, split, shard_tokens)
    for part in np.array_split(np.asarray(tokens), 5):
        writer.write(part)
    return writer.close()


def test_documents_run_on_from_shard_to_shard(tmp_path):
    """Raw little-endian uint16, every shard full but the last: what any other program expects."""
    counts = write(tmp_path, range(250), 100)
    assert counts == [100, 100, 50]
    assert [path.stat().st_size for path in sorted(tmp_path.iterdir())] == [200, 200, 100]
    assert (tmp_path / "train_00001.bin").read_bytes()[:4] == b"\x64\x00\x65\x00"
    shards = Shards(tmp_path, "train")
    assert len(shards) == 250
    assert shards.window(np.array([0, 100, 240]), 10).tolist() == [
        list(range(10)), list(range(100, 110)), list(range(240, 250))
    ]  # fmt: skip
    assert shards.window(np.array([0]), 3).dtype == np.int64


@pytest.mark.parametrize("start", [-1, 95, 195, 245, 250, 999])
def test_a_window_over_an_edge_is_refused(tmp_path, start):
    """Wrapping around, or reading short, would train on tokens that were never neighbours."""
    write(tmp_path, range(250), 100)
    with pytest.raises(IndexError, match="crosses the edge"):
        Shards(tmp_path, "train").window(np.array([0, start]), 10)


def test_windows_lie_within_shards_and_cover_them(tmp_path):
    """Inputs of 3 tokens and one more as target: all that fit into a shard, none across an edge."""
    write(tmp_path, range(25), 10)
    shards = Shards(tmp_path, "train")
    assert shards.starts(4, stride=3).tolist() == [0, 3, 6, 10, 13, 16, 20]
    shards.window(shards.starts(4, stride=3), 4)


@settings(max_examples=50, deadline=None)
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=5), length=st.integers(1, 12), data=st.data())
def test_a_windows_start_is_known_by_its_number(tmp_path_factory, lengths, length, data):
    """A batch asks for eight windows of millions: the same starts as counting through all shards, short ones too."""
    folder = tmp_path_factory.mktemp("shards")
    for i, n in enumerate(lengths):
        shard_path(folder, "train", i).write_bytes(np.arange(n, dtype="<u2").tobytes())
    stride = data.draw(st.integers(1, length))
    ends = np.cumsum(lengths)
    counted = [
        start for end, n in zip(ends, lengths, strict=True) for start in range(end - n, end - length + 1, stride)
    ]
    shards = Shards(folder, "train")
    assert shards.n_windows(length, stride) == len(counted)
    if counted:
        assert shards.starts(length, stride).tolist() == counted
        numbers = data.draw(st.lists(st.integers(0, len(counted) - 1), max_size=6))
        assert shards.starts(length, stride, numbers).tolist() == [counted[i] for i in numbers]
        for beyond in (-1, len(counted)):
            with pytest.raises(IndexError, match="windows"):
                shards.starts(length, stride, np.array([beyond]))


def test_too_little_text_says_so(tmp_path):
    """A validation text shorter than the context: the message has the two numbers."""
    write(tmp_path, range(8), 100, "val")
    with pytest.raises(LabError, match="val text has 8 tokens, too few for one window of 9"):
        Shards(tmp_path, "val").starts(9, stride=8)
    assert len(Shards(tmp_path, "train")) == 0


@settings(max_examples=10, deadline=None)
@given(done=st.integers(0, 60), more=st.integers(0, 60), shard=st.integers(10, 40))
def test_taking_up_the_work_gives_the_same_bytes(tmp_path_factory, done, more, shard):
    """Written, flushed, written further, killed: the next writer cuts the rest off and ends the same."""
    whole, resumed = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("resumed")
    write(whole, range(100), shard)
    writer = ShardWriter(resumed, "train", shard)
    writer.write(range(done))
    counts = writer.flush()
    writer.write(range(1_000, 1_000 + more))
    writer.close()
    writer = ShardWriter(resumed, "train", shard, counts)
    assert len(writer) == done
    writer.write(range(done, 100))
    writer.close()
    assert [(p.name, p.read_bytes()) for p in sorted(resumed.iterdir())] == [
        (p.name, p.read_bytes()) for p in sorted(whole.iterdir())
    ]


def test_lost_tokens_are_noticed(tmp_path):
    """A shard shorter than what was saved about it must not be filled up with zeros."""
    counts = write(tmp_path, range(50), 100)
    shard_path(tmp_path, "train", 0).write_bytes(b"\0" * 10)
    with pytest.raises(LabError, match="delete the folder"):
        ShardWriter(tmp_path, "train", 100, counts)
