"""What SOURCE=local makes of each dataset in LABKIT_DATA, in a few words: if one can be read, it is whole enough."""

from __future__ import annotations

from collections.abc import Callable

from labkit.profile import Lab
from labkit.tasks.hellaswag import load_hellaswag
from labkit.tasks.ner import load_ner
from labkit.tasks.novels import load_novels
from labkit.tasks.paraphrase import load_paraphrase
from labkit.tasks.plaintext import read_documents
from labkit.tasks.pubmed import load_pubmed
from labkit.tasks.scitldr import load_scitldr
from labkit.tasks.sentiment import read_files
from labkit.tasks.titles import load_titles


def _splits(load: Callable[[Lab], object]) -> Callable[[Lab], str]:
    def read(lab: Lab) -> str:
        data = load(lab)
        return " / ".join(f"{len(getattr(data, split)):,}" for split in ("train", "validation", "test"))

    return read


def _novels(lab: Lab) -> str:
    books = {language: load_novels(lab, language) for language in ("en", "zh")}
    return ", ".join(f"{len(b.train) + len(b.heldout)} books ({language})" for language, b in books.items())


READERS: dict[str, Callable[[Lab], str]] = {
    "educational": lambda lab: f"{len(read_documents('educational')):,} documents",
    "wikitext2": lambda lab: f"{len(read_documents('wikitext2')):,} documents",
    "pubmed": _splits(load_pubmed),
    "scitldr": _splits(load_scitldr),
    "bionlp2004": _splits(load_ner),
    "financial_phrasebank": lambda lab: " / ".join(f"{len(some):,}" for some in read_files(lab).values()),
    "mrpc": _splits(load_paraphrase),
    "hellaswag": lambda lab: f"{len(load_hellaswag(lab, count=20_000)):,} questions",
    "novels": _novels,
    "csl": _splits(load_titles),
}
