"""Financial PhraseBank: the traps of its files, splits without leaks, and the report's with one."""

from __future__ import annotations

import os
import tracemalloc
import zipfile

import pytest
from hub import Hub, run_in_child, served

from labkit.hub import REPOSITORIES
from labkit.profile import LabError, resolve
from labkit.tasks.labelled import key
from labkit.tasks.sentiment import (
    ARCHIVE,
    FOLDER,
    LABELS,
    LEVELS,
    MEMBERS,
    Sentence,
    leaky_split,
    load_sentiment,
    read_files,
    read_member,
)

# Each at the highest level of agreement at which it stands in a file.
LINES = {
    100: "Profit of Sepp\u00e4l\u00e4 rose .@positive\nProfit of Sepp\u00e4l\u00e4 rose .@positive\n",
    75: "Write to ir@sepp.fi .@neutral\n",
    66: "Costs of EUR\xa01 mn\x20.@negative\n",
    50: "\u00c5 firm split its share .@neutral\nwrite to IR@sepp.fi@positive\n",
}


def members() -> dict[str, bytes]:
    """The four files, each holding the stricter ones' lines too; the strictest is UTF-8, as it is in the wild."""
    texts = {level: "".join(LINES[other] for other in LEVELS if other >= level) for level in LEVELS}
    return {MEMBERS[n]: text.encode("utf-8" if n == 100 else "latin-1") for n, text in texts.items()}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    (tmp_path / FOLDER).mkdir()
    for name, data in members().items():
        (tmp_path / FOLDER / name).write_bytes(data)
    return tmp_path / FOLDER


def everything(data) -> list[Sentence]:
    return data.train + data.validation + data.test


def local():
    return resolve("smoke", "local")


def test_the_traps_of_the_local_files(folder):
    """Two encodings, an '@' in a sentence, a sentence twice, and once more with a label that fewer people gave."""
    data = load_sentiment(local())
    found = {sentence.text: (LABELS[sentence.label], sentence.agreement) for sentence in everything(data)}
    assert found == {
        "Profit of Seppälä rose .": ("positive", 100),
        "Write to ir@sepp.fi .": ("neutral", 75),
        "Costs of EUR\xa01 mn .": ("negative", 66),
        "Å firm split its share .": ("neutral", 50),
    }
    assert data.dropped == 2 and "50 %" in data.name
    assert len(everything(load_sentiment(local(), 75))) == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"Sales rose .@positiv", "line 2 of .*unknown label 'positiv': did you mean 'positive'.*[Ff]etch"),
        (b"Sales rose .", "line 2 of .*no '@'.*Fetch it again"),
        (b"", "line 2 of .*no '@'"),
        (b" @neutral", "line 2 of .*no sentence"),
        (b"Sepp\x8al\x8a rose .@positive", r"line 2 of .*neither latin-1 nor UTF-8 .*x8a.*fetch the original"),
        ("S\u00e4le .@neutral\nno".encode("utf-16")[2:], "line 2 of .*neither latin-1 nor UTF-8"),
    ],
)
def test_a_bad_line_is_refused_with_its_place(folder, line, message):
    """A file that was cut off, edited or converted must not become other data."""
    path = folder / MEMBERS[50]
    first, rest = path.read_bytes().split(b"\n", 1)
    path.write_bytes(first + b"\n" + line + b"\n" + rest)
    with pytest.raises(LabError, match=message) as error:
        load_sentiment(local())
    assert str(path) in str(error.value)


def test_a_file_cut_off_between_two_lines_is_noticed_by_its_neighbour(folder):
    """Each line is well-formed then: only the stricter file knows what is missing."""
    path = folder / MEMBERS[66]
    path.write_bytes(path.read_bytes().rsplit(b"\n", 3)[0] + b"\n")  # the last two lines are a sentence and its copy
    with pytest.raises(LabError, match=r"66Agree.txt lacks 2 sentences of .*75Agree.txt.*'Profit of Sepp"):
        load_sentiment(local())


def test_the_file_in_utf_8_is_not_read_as_latin_1(folder):
    """As public loaders do: then 'Seppälä' of one file is not that of the others, and a copy leaks."""
    path = folder / MEMBERS[100]
    path.write_bytes(path.read_bytes().decode("latin-1").encode("utf-8"))
    with pytest.raises(LabError, match="re-encoded"):
        load_sentiment(local())
    path.write_bytes(members()[MEMBERS[100]].decode().encode("utf-8-sig"))
    assert len(read_files(local())[100]) == 2


def test_missing_files_and_unknown_levels_say_what_to_do(folder):
    with pytest.raises(LabError, match=r"unknown agreement '60'.*known: 50, 66"):
        load_sentiment(local(), 60)
    (folder / MEMBERS[75]).unlink()
    assert read_files(local(), 100).keys() == {100}
    with pytest.raises(LabError, match=r"75Agree\.txt.*SOURCE=embedded"):
        load_sentiment(local())


def test_the_prompt_is_what_the_report_s_scorer_looks_for():
    """It searches the output for this: with another prompt every answer of the report's models would be missed."""
    sentence = Sentence("Sales fell .", 0, 100)
    assert f"{sentence.prompt} {LABELS[sentence.label]}" == '"sentence" : Sales fell . "Label" : negative'


@pytest.mark.parametrize("agreement", LEVELS)
def test_embedded_is_called_synthetic_and_split_cleanly(agreement):
    data = load_sentiment(resolve("smoke", "embedded"), agreement)
    assert "synthetic" in data.name and data.leak_share == 0
    assert min(sentence.agreement for sentence in everything(data)) == agreement
    assert len({key(sentence.text) for sentence in everything(data)}) == len(everything(data)) > 100


def test_the_report_s_split_leaks():
    """The exhibit must show the fault at every size, and its seed must matter."""
    leaky = leaky_split(resolve("laptop", "embedded"))
    assert 0.88 < leaky.leak_share < 0.92 and "synthetic" in leaky.name
    assert min(sentence.agreement for sentence in leaky.test) == 66
    assert leaky_split(resolve("laptop", "embedded", 1)).train != leaky.train


def test_the_real_files():
    if not os.environ.get("LABKIT_DATA"):
        pytest.skip("LABKIT_DATA is not set")
    files = read_files(local())
    assert [len(files[level]) for level in LEVELS] == [4846, 4217, 3453, 2264]
    texts = {level: {sentence.text for sentence in files[level]} for level in LEVELS}
    assert texts[100] < texts[75] < texts[66] < texts[50]
    loose, strict = load_sentiment(local()), load_sentiment(local(), 100)
    assert len(everything(loose)) == 4835 and loose.dropped == 11 and loose.leak_share == 0
    assert {s.text for s in strict.test}.isdisjoint(s.text for s in loose.train)  # levels share one split
    shares = [sum(s.label == label for s in everything(loose)) / 4835 for label in range(3)]
    assert shares == pytest.approx([0.125, 0.594, 0.281], abs=0.002)
    assert 0.89 < leaky_split(local()).leak_share < 0.91


def archive(path) -> bytes:
    """The Hub's archive, with members of the same names that aren't the files."""
    with zipfile.ZipFile(path, "w") as written:
        for name, data in members().items():
            written.writestr(f"__MACOSX/FinancialPhraseBank-v1.0/._{name}", b"\x00")
            written.writestr(f"FinancialPhraseBank-v1.0/{name}", data)
    return path.read_bytes()


LOAD = """
from labkit.profile import PROFILES, Lab
from labkit.tasks.sentiment import load_sentiment
data = load_sentiment(Lab(PROFILES["smoke"], "hub", 0))
print(len(data.train + data.validation + data.test), data.dropped, data.name)
"""


def test_the_hub_s_archive_is_read_at_the_pinned_revision(tmp_path):
    path = served(tmp_path / "hub", "financial_phrasebank") / ARCHIVE
    path.parent.mkdir(parents=True)
    archive(path)
    with Hub(tmp_path / "hub") as hub:
        assert run_in_child(LOAD, hub.env(tmp_path / "home")) == "4 2 Financial PhraseBank, 50 % agreement"
        assert any(REPOSITORIES["financial_phrasebank"].revision in request for request in hub.requests)


@pytest.mark.parametrize("fault", ["cut off", "another archive", "encrypted", "no answer"])
def test_a_bad_download_says_what_to_do(tmp_path, monkeypatch, fault):
    """What was cut off stays in the cache: the error must name the file to delete."""
    path = tmp_path / "fetched.zip"
    whole = archive(path)

    def fetch(*_, **__):
        if fault == "no answer":
            raise OSError("no route")
        return str(path)

    monkeypatch.setattr("labkit.hub.probe", lambda: None)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", fetch)
    if fault == "cut off":
        path.write_bytes(whole[: len(whole) // 2])
    elif fault == "encrypted":
        flags = [at + 8 for at in range(len(whole)) if whole[at : at + 4] == b"PK\1\2"]
        path.write_bytes(bytes(byte | 1 if at in flags else byte for at, byte in enumerate(whole)))
    elif fault == "another archive":
        with zipfile.ZipFile(path, "w") as other:
            other.writestr("data.txt", b"x")
    said = "check the network" if fault == "no answer" else rf"no whole archive .*delete {path}"
    with pytest.raises(LabError, match=said):
        load_sentiment(resolve("smoke", "hub"))


def test_an_archive_that_would_fill_the_disk_is_refused(tmp_path):
    """Two hundred megabytes of zeros, in two hundred kilobytes."""
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(200 << 20))
    with zipfile.ZipFile(path) as archive, pytest.raises(LabError, match="over the limit"):
        read_member(archive, "bomb")


def test_an_archive_that_holds_more_than_it_announces_fills_no_memory(tmp_path):
    """Its directory says a hundred bytes; what is unpacked to find out that this is a lie must be bounded, too."""
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(100 << 20))
    raw = bytearray(path.read_bytes())
    size = raw.rindex(b"PK\1\2") + 24
    raw[size : size + 4] = (100).to_bytes(4, "little")
    path.write_bytes(raw)
    tracemalloc.start()
    with zipfile.ZipFile(path) as archive, pytest.raises(zipfile.BadZipFile, match="CRC"):
        read_member(archive, "bomb")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 << 20


def test_a_method_that_is_unpacked_without_a_limit_is_refused(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("bomb", bytes(1 << 20))
    with zipfile.ZipFile(path) as archive, pytest.raises(zipfile.BadZipFile, match="without a limit"):
        read_member(archive, "bomb")
