"""One file from the Hub, whole or not at all, however often the transfer is killed.

`huggingface_hub` 2 no longer goes on where a killed download stopped: each process writes a file of its own, lest two
of them mix. Here the part has the checksum in its name and a lock beside it, so it can be taken up again, byte by byte.
It gets its own name only when its content has the checksum that the Hub announced.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from labkit.hub import Repository, hub_errors
from labkit.profile import LabError

if TYPE_CHECKING:
    from huggingface_hub import RepoFile

CHUNK = 1 << 20


def look_up(of: Repository, files: Iterable[str]) -> list[RepoFile]:
    """Sizes and checksums of files. Raises `LabError` for one that isn't in the repository, and if the Hub fails."""
    from huggingface_hub import HfApi

    files = list(files)
    with hub_errors(f"looking up {', '.join(files)} of {of}"):
        found = HfApi().get_paths_info(of.id, files, repo_type=of.kind, revision=of.revision)
    if missing := set(files) - {file.path for file in found}:
        raise LabError(f"{of} has no {', '.join(sorted(missing))}: look up where it is now, and change labkit/fetch")
    return found


def list_files(of: Repository, folder: str = "") -> list[RepoFile]:
    """All files in a folder of the repository, and below it. Raises `LabError` if the Hub fails."""
    from huggingface_hub import HfApi, RepoFile

    with hub_errors(f"listing the files of {of}"):
        tree = HfApi().list_repo_tree(of.id, folder or None, recursive=True, repo_type=of.kind, revision=of.revision)
        return [entry for entry in tree if isinstance(entry, RepoFile)]


def transfer(of: Repository, file: RepoFile, folder: Path) -> Path:
    """The file below `folder`, under the path it has in the repository; what is already there is not sent again.

    Raises `LabError` if the Hub fails, the content isn't what it announced, or the path leads out of the folder.
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    path = inside(folder, file.path)
    announced = checksum_of(file)
    part = path.with_name(f"{path.name}.{announced[:16]}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(part.with_suffix(".lock")):
        if path.exists():
            return path
        url = hf_hub_url(of.id, file.path, repo_type=of.kind, revision=of.revision)
        with hub_errors(f"sending {file.path} of {of}"), part.open("ab") as stream:
            if (begun := stream.tell()) > file.size:
                begun = stream.truncate(0)
            http_get(url, stream, resume_size=begun, headers=build_hf_headers(), expected_size=file.size)
            stream.flush()
            os.fsync(stream.fileno())
        if checksum(part, like=announced, size=file.size) != announced:
            part.unlink()
            raise LabError(
                f"{file.path} of {of} came with another checksum than the Hub announced: run again; if that "
                "doesn't help, something between here and the Hub changes what is sent (a mirror? see HF_ENDPOINT)"
            )
        os.replace(part, path)
    return path


def inside(folder: Path, name: str) -> Path:
    """`folder / name`. Raises `LabError` if that is not inside the folder: names come from the network."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or path == folder.resolve():
        raise LabError(f"{name!r} leads out of {folder}: this is no file to be had from the Hub")
    return path


def checksum_of(file: RepoFile) -> str:
    """What the Hub announces: a SHA-256 of large files, git's SHA-1 of small ones."""
    return file.lfs.sha256 if file.lfs else file.blob_id


def checksum(path: Path, like: str = "", size: int = 0) -> str:
    """A file's SHA-256; or, if `like` has the length of a SHA-1, the name that git gives a file of that size."""
    digest = hashlib.sha1(b"blob %d\0" % size) if len(like) == 40 else hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
