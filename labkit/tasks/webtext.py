"""Text for pretraining: one object, whatever the source.

    corpus = load_webtext(resolve("laptop"))
    x, y = corpus.batch("train", batch_size=8, block_size=256, seed=0, step=0)

`embedded` harvests docstrings of installed packages (`docstrings.py`), `local` reads text files
(`plaintext.py`), `hub` streams FineWeb-Edu (`fineweb.py`), as `local` does with the full profile. Each is built once
and cached (`corpus.py`): the laptop's embedded text takes about 20 s of two cores, and 0.05 s from then on.

    python -m labkit.tasks.webtext --profile full     # prepares a corpus from the shell
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.profile import PROFILES, SOURCES, Lab, LabError, Profile, cache_dir, cpu_cores, resolve
from labkit.tasks import bpe, docstrings, documents, plaintext, shards
from labkit.tasks.bpe import Tokenizer, TrainedBPE
from labkit.tasks.corpus import Corpus, Recipe, load_or_build, make_key, statistics
from labkit.tasks.documents import Document, deduplicate, split
from labkit.tasks.shards import ShardWriter
from labkit.tasks.workers import refuse_while_importing

NPROC = min(4, cpu_cores())
ENCODE_BATCH = 256  # documents


def load_webtext(lab: Lab, name: str = "") -> Corpus:
    """The corpus of this profile and source, from the cache or built now.

    `name` is a local text's: `educational`, the default but with the full profile, `wikitext2`, or `fineweb_edu`.

    Raises `LabError` if a package, folder or the Hub is missing, and for a cache that was damaged.
    """
    refuse_while_importing()
    name = name or ("fineweb_edu" if lab.profile.name == "full" else "educational")
    recipe: Recipe
    if lab.source == "embedded":
        recipe = docstring_recipe(lab.profile)
    elif lab.source == "local" and name != "fineweb_edu":
        recipe = plaintext_recipe(lab.profile, name)
    else:
        from labkit.tasks.fineweb import FineWeb  # brings datasets: a second, for this source only

        recipe = FineWeb.for_profile(lab.profile, lab.source)
    return load_or_build(recipe, cache_dir() / "webtext" / f"{lab.source}-{lab.profile.name}-{recipe.key}")


@dataclass(frozen=True)
class DocumentRecipe:
    """A corpus from documents that fit in memory, with a vocabulary trained on them: embedded and local."""

    source: str
    name: str
    text: str  # what the text is, for a reader of the statistics
    key: str
    vocab_size: int
    read: Callable[[], list[Document]]

    def build(self, folder: Path) -> dict[str, Any]:
        """Deduplicate, split, train the vocabulary on the training half, encode. See `Recipe`."""
        for left_over in folder.iterdir():
            left_over.unlink()
        train, val = split(deduplicate(self.read()))
        tokenizer = TrainedBPE.train((d.text for d in train), self.vocab_size, folder / "tokenizer.json")
        tokens = {name: _encode(docs, tokenizer, folder, name) for name, docs in (("train", train), ("val", val))}
        return statistics(
            source=self.source,
            name=self.name,
            text=self.text,
            documents=len(train) + len(val),
            tokens=tokens,
            val_bytes=sum(len(document.text.encode()) for document in val),
            tokenizer=tokenizer,
        )


def _encode(docs: Sequence[Document], tokenizer: Tokenizer, folder: Path, split: str) -> int:
    writer = ShardWriter(folder, split)
    for i in range(0, len(docs), ENCODE_BATCH):
        for ids in tokenizer.encode_batch([document.text for document in docs[i : i + ENCODE_BATCH]]):
            writer.write([*ids, tokenizer.eot])
    return sum(writer.close())


def docstring_recipe(profile: Profile) -> DocumentRecipe:
    """The embedded text: docstrings of the profile's packages."""
    versions = [f"{package} {docstrings.version(package)}" for package in profile.packages]
    code = [Path(module.__file__).read_text() for module in (docstrings, documents, bpe, shards)]
    return DocumentRecipe(
        source="embedded",
        name="docstrings",
        text=f"real English (not synthetic): docstrings of {', '.join(versions)}",
        key=make_key(sys.version, versions, profile.vocab_size, _trainer_version(), code),
        vocab_size=profile.vocab_size,
        read=lambda: docstrings.harvest(profile.packages, NPROC),
    )


def plaintext_recipe(profile: Profile, name: str) -> DocumentRecipe:
    """The local text `name`: `educational` or `wikitext2`."""
    files = plaintext.text_files(name)
    contents = [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]
    code = [Path(module.__file__).read_text() for module in (plaintext, documents, bpe, shards)]
    return DocumentRecipe(
        source="local",
        name=name,
        text=f"real text (not synthetic): {name}/ ({', '.join(path.stem for path in files)}) in LABKIT_DATA",
        key=make_key(contents, profile.vocab_size, _trainer_version(), code),
        vocab_size=profile.vocab_size,
        read=lambda: plaintext.read_documents(name),
    )


def _trainer_version() -> str:
    import tokenizers

    return tokenizers.__version__


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare a corpus from the shell, and print its statistics as JSON."""
    parser = argparse.ArgumentParser(prog="python -m labkit.tasks.webtext", description=main.__doc__)
    parser.add_argument("--profile", default="laptop", help=f"one of {', '.join(PROFILES)} (default: laptop)")
    parser.add_argument("--source", default="", help=f"one of {', '.join(SOURCES)} (default: the profile's own)")
    names = ", ".join([*plaintext.LOCAL, "fineweb_edu"])
    parser.add_argument("--name", default="", help=f"local text, one of {names} (default: the profile's)")
    args = parser.parse_args(argv)
    try:
        corpus = load_webtext(resolve(args.profile, args.source), args.name)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(corpus.stats | {"folder": str(corpus.folder)}, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
