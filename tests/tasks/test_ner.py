"""Tagged sentences: each format's traps, and errors that name the file, the line and what to do."""

from __future__ import annotations

import json
import os

import pytest
from hub import Hub, run_in_child, served

from labkit.hub import REPOSITORIES
from labkit.profile import LabError, resolve
from labkit.tasks.ner import FILES, KINDS, LABELS, Sentence, TaggedSentences, find_fault, load_ner, parse
from labkit.tasks.rows import read_row

# In the original formats: abstracts begin with a line in the training and test files, with a block in the other; a
# sentence of the training set stands in both others too, a validation sentence in the test set.
TRAIN = "###MEDLINE:1\n\nFOS-9\tB-DNA\ngene\tI-DNA\nis\tO\n\nmice\tO\nnap\tO\n\n###MEDLINE:2\n\nrats\tO\n\nbats\tO\n\n"
DEVEL = "-DOCSTART-\tO\n\nrats\tO\n\nFOS-9\tB-protein\nFOS-8\tB-protein\n\n-DOCSTART-\tO\n\nowls\tO\n"
TEST = "###MEDLINE:3\n\nmice\tO\nnap\tO\n\nowls\tO\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    (tmp_path / "bionlp2004").mkdir()
    for split, text in (("train", TRAIN), ("validation", DEVEL), ("test", TEST)):
        (tmp_path / FILES.local[split]).write_text(text, encoding="utf-8")
    return tmp_path / "bionlp2004"


def load(**sizes: int) -> TaggedSentences:
    return load_ner(resolve("smoke", "local"), **sizes)


def words(sentences: list[Sentence]) -> list[str]:
    return [" ".join(sentence.tokens) for sentence in sentences]


def test_labels_are_in_the_hub_s_order():
    """The Hub's tags are numbers: in another order every entity of it would be of another kind."""
    order = "O B-DNA I-DNA B-protein I-protein B-cell_type I-cell_type B-cell_line I-cell_line B-RNA I-RNA"
    assert list(LABELS) == order.split() and len(KINDS) == 5


def test_the_local_files(folder):
    """Else MEDLINE and DOCSTART lines would be learnt as words, or a test sentence be trained on."""
    data = load()
    assert words(data.train) == ["FOS-9 gene is", "bats"]
    assert data.train[0].tags == ("B-DNA", "I-DNA", "O")
    assert words(data.validation) == ["rats", "FOS-9 FOS-8"], "two entities side by side are two"
    assert words(data.test) == ["mice nap", "owls"], "the test set stays whole"
    assert data.dropped == {"duplicates across splits": 3, "-DOCSTART- blocks": 2}
    assert data.name == "BioNLP2004"


def test_sizes_cut_each_split_after_duplicates_are_out(folder):
    """Cut first, a duplicate beyond the cut would leave one sentence too few, or a leak."""
    data = load(n_train=1, n_test=1)
    assert [words(s) for s in (data.train, data.validation, data.test)] == [["FOS-9 gene is"], ["rats"], ["mice nap"]]


@pytest.mark.parametrize("change", [lambda b: b.replace(b"\n", b"\r\n"), lambda b: b.rstrip(b"\n")])
def test_other_ends_of_lines_and_of_the_file_change_nothing(folder, change):
    before = load()
    for path in folder.iterdir():
        path.write_bytes(change(path.read_bytes()))
    assert load() == before


FAULTS = {
    b"mice\tB-prot": r"line 4 .*unknown label 'B-prot' \(known: O, B-DNA",
    b"mice\tB-DNA\textra": "line 4 .*unknown label",
    b"mice": "line 4 .*no tab",
    b"mice\t": "line 4 .*unknown label ''",
    b"\tO": "line 4 .*'' is no word",
    b"sea mice\tO": "line 4 .*'sea mice' is no word",
    b"mice\tI-DNA": "line 4 .*I-DNA follows O.*begins with B-",
    b"mice\tB-DNA\ncells\tI-RNA": "line 5 .*I-RNA follows B-DNA",
    "größe\tO".encode("latin-1"): "line 4 .*no UTF-8",
}


@pytest.mark.parametrize("line", FAULTS)
@pytest.mark.parametrize("cut", [True, False])
def test_a_bad_line_is_refused_with_its_place(folder, line, cut):
    """At the end of a file, where a broken download stops, as well as within one."""
    path = folder / "test.iob2"
    path.write_bytes(b"###MEDLINE:3\n\ncats\tO\n" + line + (b"" if cut else b"\n\nowls\tO\n"))
    with pytest.raises(LabError, match=r"(?s)" + FAULTS[line]) as error:
        load()
    assert str(path) in str(error.value) and "fetch the file again" in str(error.value)


def test_a_missing_or_empty_file_says_what_to_do(folder):
    (folder / "test.iob2").write_bytes(b"###MEDLINE:3\n\n")
    with pytest.raises(LabError, match=r"test\.iob2 has no sentence: fetch"):
        load()
    (folder / "test.iob2").unlink()
    with pytest.raises(LabError, match=r"test\.iob2.*SOURCE=embedded"):
        load()


@pytest.mark.parametrize(
    ("tokens", "tags", "fault"),
    [
        (("a", "b"), ("O",), (1, "2 words and 1 tags")),
        ((), (), (0, "0 words")),
        (("a", "b"), ("B-DNA", "I-protein"), (1, "I-protein follows B-DNA")),
        (("a", None), ("O", "O"), (1, "None is no word")),
    ],
)
def test_a_sentence_that_is_none_cannot_be_made(tokens, tags, fault):
    place, complaint = find_fault(tokens, tags)
    assert place == fault[0] and fault[1] in complaint
    with pytest.raises(ValueError, match=fault[1]):
        Sentence(tokens, tags)


def test_embedded_sentences_are_synthetic_and_say_so():
    data = load_ner(resolve("smoke"), n_train=30, n_test=10)
    assert "synthetic" in data.name and [len(data.train), len(data.validation), len(data.test)] == [30, 10, 10]


def test_the_real_files():
    if not os.environ.get("LABKIT_DATA"):
        pytest.skip("LABKIT_DATA is not set")
    data = load()
    assert [len(data.train), len(data.validation), len(data.test)] == [16_670, 1_733, 3_856]
    assert data.dropped == {"duplicates across splits": 143, "-DOCSTART- blocks": 200}
    seen = [{s.tokens for s in split} for split in (data.train, data.validation, data.test)]
    assert not (seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2])
    assert sum(tag.startswith("B-") for s in data.test for tag in s.tags) == 8_662


LOAD = """
import json
from dataclasses import asdict
from labkit.profile import LabError, resolve
from labkit.tasks.ner import load_ner
try:
    print(json.dumps(asdict(load_ner(resolve("smoke", "hub")))))
except LabError as error:
    print("LabError", " ".join(str(error).split()))
"""


def test_the_hub_s_files_are_read_beside_its_script(tmp_path):
    """Through the real libraries and a real server; `datasets` refuses a repository with a script."""
    folder = served(tmp_path / "hub", "bionlp2004")
    (folder / "dataset").mkdir(parents=True)
    (folder / "bionlp2004.py").write_text("raise SystemExit('this must not run')")
    rows = {
        split: [{"tokens": [split, "RNA"], "tags": [9, 10]}, {"tokens": ["same"], "tags": [0]}] for split in FILES.hub
    }
    for split, name in FILES.hub.items():
        (folder / name).write_text("\n".join(map(json.dumps, rows[split])) + "\n")
    with Hub(tmp_path / "hub") as hub:
        data = json.loads(run_in_child(LOAD, hub.env(tmp_path / "home")))
        assert data["train"] == [{"tokens": ["train", "RNA"], "tags": ["B-RNA", "I-RNA"]}]
        assert [len(data["validation"]), len(data["test"])] == [1, 2] and data["name"] != "BioNLP2004"
        assert data["dropped"] == {"duplicates across splits": 2, "-DOCSTART- blocks": 0}
        assert any(REPOSITORIES["bionlp2004"].revision in request for request in hub.requests)
        (folder / FILES.hub["test"]).write_text(json.dumps(rows["test"][0]) + '\n{"tokens": ["x"], "ta')
        said = run_in_child(LOAD, hub.env(tmp_path / "cut"))
        assert said.startswith("LabError row 2 of dataset/test.json of tner/bionlp2004") and "fetch" in said
        (folder / FILES.hub["test"]).unlink()
        assert "LabError the Hugging Face Hub failed" in run_in_child(LOAD, hub.env(tmp_path / "elsewhere"))


@pytest.mark.parametrize(
    "row",
    [
        {"tokens": ["x"], "tags": [11]},
        {"tokens": ["x"], "tags": [-1]},
        {"tokens": [], "tags": []},
        {"tokens": ["x"], "tags": [0, 0]},
        {"tokens": "x", "tags": [0]},
        {"tokens": [1], "tags": [0]},
        {"tokens": ["x"]},
    ],
)
def test_a_bad_row_of_the_hub_s_is_refused(row):
    """A tag of −1 would be the last label, a text for a list be read letter by letter."""
    with pytest.raises(LabError, match=r"row 7 of valid\.json is no tagged sentence"):
        read_row(parse, "tagged sentence", json.dumps(row), "valid.json", 7)
