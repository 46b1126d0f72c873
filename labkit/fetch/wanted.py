"""What is fetched for a profile, and how it gets into its place.

Datasets are converted to the files that SOURCE=local reads. Models and FineWeb-Edu are kept as they are, a model in
`models/<name>`, for LABKIT_MODELS. Weights come as safetensors; a repository that has only a pickle is read with
`weights_only` and saved as safetensors, so that nobody whom the folder is given to has to trust a pickle.
"""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from labkit.fetch import manifest
from labkit.fetch.convert import convert
from labkit.fetch.transfer import inside, list_files, look_up, transfer
from labkit.files import write_lines_atomic
from labkit.hub import Repository, hub_errors, repository
from labkit.profile import LabError
from labkit.tasks import hellaswag, ner, novels, paraphrase, pubmed, scitldr, sentiment, titles

if TYPE_CHECKING:
    from huggingface_hub import RepoFile

SAMPLE, SAMPLE_FILES = 6_000, 3  # documents of FineWeb-Edu, some 30 MB, in so many files: what "educational" is made of
FILES = {
    "pubmed": list(pubmed.FILES.hub.values()),
    "scitldr": list(scitldr.FILES.hub.values()),
    "bionlp2004": list(ner.FILES.hub.values()),
    "financial_phrasebank": [sentiment.ARCHIVE],
    "mrpc": list(paraphrase.FILES.hub.values()),
    "hellaswag": list(hellaswag.FILES.hub.values()),
    "novels": list(novels.HUB_FILES.values()),
    "csl": [titles.ARCHIVE],
    "gpt2_bpe": ["vocab.json", "merges.txt"],
}
MODELS = ("neo", "qwen", "distilbart")
OF_MODELS = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "vocab.json",
             "merges.txt", "special_tokens_map.json", "added_tokens.json")  # fmt: skip
PICKLE = "pytorch_model.bin"
GROWS = 3  # lines of JSON take up to so many times what their Parquet took, beside it until it is deleted


def names(profile: str) -> list[str]:
    """What a profile needs; the small ones make their models, and read a sample of FineWeb-Edu."""
    if profile == "full":
        return [*FILES, "fineweb_edu", *MODELS]
    return [*FILES, "educational"]


def origin(name: str) -> Repository:
    """The repository that it comes from."""
    return repository("fineweb_edu" if name == "educational" else name)


def is_there(name: str, folder: Path, profile: str) -> bool:
    """Whether it was fetched, all of it is still as it was, and it is enough for the profile."""
    entry = manifest.read(folder).get(name)
    if not entry or any(manifest.faults(folder, name)):
        return False
    return name != "novels" or novels.HUB_COUNTS[entry["profile"]] >= novels.HUB_COUNTS[profile]


def files_of(name: str) -> list[RepoFile]:
    """Its files on the Hub, with their sizes. Raises `LabError` if the Hub fails or lacks one."""
    if name == "educational":
        return []  # streamed
    of = origin(name)
    if name == "fineweb_edu":
        return [file for file in list_files(of, "sample/10BT") if file.path.endswith(".parquet")]
    if name not in MODELS:
        return look_up(of, FILES[name])
    every = list_files(of)
    weights = [file for file in every if file.path.endswith(".safetensors") and "/" not in file.path]
    weights = weights or [file for file in every if file.path == PICKLE]
    if not weights:
        raise LabError(f"{of} has no weights (*.safetensors or {PICKLE}): take a commit that has, in labkit/hub.py")
    return [file for file in every if file.path in OF_MODELS] + weights


def bytes_needed(name: str, files: list[RepoFile]) -> int:
    """Space that fetching takes, at its most."""
    return sum(file.size for file in files) * (1 if name in ("fineweb_edu", "gpt2_bpe") else GROWS)


def fetch(name: str, files: list[RepoFile], folder: Path, profile: str) -> None:
    """Fetch `files_of(name)`, put them into their place and enter them in the manifest.

    Killed at any point it can be called again, and goes on. Raises `LabError` if the Hub fails or sends nonsense.
    """
    raw = folder / ".parts" / name
    paths = {file.path: transfer(origin(name), file, raw) for file in files}
    if name == "educational":
        placed = _sample(folder / name)
    elif name in MODELS:
        placed = _model(paths, folder / "models" / name)
    elif name in ("fineweb_edu", "gpt2_bpe"):
        placed = [_move(path, inside(folder / name, file)) for file, path in paths.items()]
    else:
        placed = convert(name, paths, folder / name, profile)
    of = origin(name)
    about = {"repository": of.id, "revision": of.revision, "licence": of.licence, "profile": profile}
    manifest.add(folder, name, placed, **about)
    shutil.rmtree(raw, ignore_errors=True)


def _move(path: Path, to: Path) -> Path:
    to.parent.mkdir(parents=True, exist_ok=True)
    os.replace(path, to)
    return to


def _sample(folder: Path) -> list[Path]:
    """The first documents of FineWeb-Edu, as plain text."""
    from labkit.tasks.fineweb import open_stream

    with hub_errors("streaming FineWeb-Edu"):
        rows = islice(open_stream(), SAMPLE)
        texts = [row["text"] for row in tqdm(rows, "educational", SAMPLE, unit="document", leave=False)]
    parts = (texts[i::SAMPLE_FILES] for i in range(SAMPLE_FILES))
    return [write_lines_atomic(folder / f"fineweb-edu-{i}.txt", _blank_between(part)) for i, part in enumerate(parts)]


def _blank_between(texts: list[str]) -> Iterator[str]:
    for text in texts:
        yield text.replace("\n", "\n\n")
        yield ""


def _model(fetched: Mapping[str, Path], folder: Path) -> list[Path]:
    """The model's folder, anew: these files, and its weights as safetensors."""
    files = dict(fetched)
    if PICKLE in files:
        files["model.safetensors"] = _as_safetensors(files.pop(PICKLE))
    shutil.rmtree(folder, ignore_errors=True)
    return [_move(path, inside(folder, name)) for name, path in files.items()]


def _as_safetensors(weights: Path) -> Path:
    """The weights of a pickle in a file beside it, each time anew: what a killed process left there may be cut off."""
    import torch
    from safetensors.torch import save_file

    try:
        tensors = torch.load(weights, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise LabError(f"{weights} holds no plain weights ({error}): don't use it") from error
    path = weights.with_name("model.safetensors")
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, path, {"format": "pt"})
    return path
