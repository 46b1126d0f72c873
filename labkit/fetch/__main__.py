"""The command: `python -m labkit.fetch --help`."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from labkit.fetch import manifest
from labkit.profile import PROFILES, LabError, resolve, unknown

EPILOG = """
examples:
  python -m labkit.fetch data                        everything that the laptop profile reads
  python -m labkit.fetch data --only pubmed,mrpc     some of it
  python -m labkit.fetch data --profile full         the models and all of FineWeb-Edu's sample, too
  python -m labkit.fetch data --verify               is what is there still whole, and can it be read?
  HF_ENDPOINT=https://mirror.example python -m labkit.fetch data

Interrupted, it goes on where it stopped. HF_TOKEN is for repositories that ask for one.
exit codes: 0 done, 1 a check failed, 2 the command is wrong or the Hub failed, 130 interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch, list or verify."""
    parser = argparse.ArgumentParser(
        prog="python -m labkit.fetch",
        description="Fetch the course's datasets and models from the Hugging Face Hub into a folder for SOURCE=local.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="where to (default: $LABKIT_DATA)")
    parser.add_argument("--only", default="", metavar="NAME,NAME", help="these datasets and models")
    parser.add_argument("--profile", default="laptop", choices=PROFILES, help="for this size (default: laptop)")
    parser.add_argument("--list", action="store_true", help="print sizes and licences, and fetch nothing")
    parser.add_argument(
        "--verify", action="store_true", help="compare what is there with what was fetched, and read it"
    )
    options = parser.parse_args(arguments)
    if not options.folder and os.environ.get("LABKIT_DATA"):
        options.folder = Path(os.environ["LABKIT_DATA"])
    try:
        if options.list:
            return list_(options.profile, options.only, options.folder)
        if not options.folder:
            parser.error("where to? Name a folder, or set LABKIT_DATA")
        folder = options.folder.expanduser().resolve()
        return verify(folder, options.only) if options.verify else fetch(folder, options.profile, options.only)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: run the same command again, and it goes on", file=sys.stderr)
        return 130


def fetch(folder: Path, profile: str, only: str) -> int:
    """Fetch what isn't there yet."""
    from labkit.fetch import wanted
    from labkit.hub import probe

    selected = choose(wanted.names(profile), [*wanted.names("full"), "educational"], only)
    missing = [name for name in selected if not wanted.is_there(name, folder, profile)]
    for name in (name for name in selected if name not in missing):
        print(f"{name:22} is there, whole")
    if not missing:
        return 0
    probe()
    files = {name: wanted.files_of(name) for name in missing}
    folder.mkdir(parents=True, exist_ok=True)
    needed, free = sum(wanted.bytes_needed(*of) for of in files.items()), shutil.disk_usage(folder).free
    if needed > free:
        raise LabError(
            f"this may take {_size(needed)} and {folder} has {_size(free)} left: free some space, take a folder on "
            "another disk, or fetch some with --only"
        )
    for name in missing:
        repository = wanted.origin(name)
        print(f"{name:22} {_size(sum(f.size for f in files[name]))} of {repository}; licence: {repository.licence}")
        wanted.fetch(name, files[name], folder, profile)
    print(f"\nAll of it is for study under the licences above; some forbid commerce.\nexport LABKIT_DATA={folder}")
    if (folder / "models").is_dir():
        print(f"export LABKIT_MODELS={folder / 'models'}")
    return 0


def verify(folder: Path, only: str) -> int:
    """Compare what was fetched with the manifest, then read every dataset as SOURCE=local does."""
    from labkit.fetch.readers import READERS

    if not folder.is_dir():
        raise LabError(f"{folder} is no folder: fetch something first")
    fetched = manifest.read(folder)
    known = list(dict.fromkeys([*READERS, *fetched]))
    selected = choose([n for n in known if n in fetched or (folder / n).is_dir()], known, only)
    bad = 0
    for name in selected:
        faults = list(manifest.faults(folder, name)) if name in fetched else []
        said = "checksums match" if name in fetched else "not fetched by this command, so no checksums"
        if not faults and name in READERS:
            try:
                with _data_in(folder):
                    said += f"; reads: {READERS[name](resolve('laptop', 'local'))}"
            except LabError as error:
                faults = [str(error)]
        print(f"{name:22} {'BAD: ' + '; '.join(faults) if faults else said}")
        bad += bool(faults)
    if not selected:
        raise LabError(f"nothing that the course knows is in {folder}: is this the right folder?")
    if bad:
        print(f"\n{bad} of {len(selected)} are bad: delete their folders and fetch them again", file=sys.stderr)
    return 1 if bad else 0


@contextmanager
def _data_in(folder: Path) -> Iterator[None]:
    """SOURCE=local reads from there, for a while."""
    before = os.environ.get("LABKIT_DATA", "")
    os.environ["LABKIT_DATA"] = str(folder)
    try:
        yield
    finally:
        os.environ["LABKIT_DATA"] = before


def list_(profile: str, only: str, folder: Path | None) -> int:
    """A line for each: size, repository, licence; sizes are the Hub's, or those of the folder, or unknown."""
    from labkit.fetch import wanted
    from labkit.hub import probe

    have = manifest.read(folder) if folder else {}
    try:
        probe()
        online = True
    except LabError:
        online = False
    for name in choose(wanted.names(profile), [*wanted.names("full"), "educational"], only):
        size = "?"
        if name in have:
            size = _size(sum(entry["bytes"] for entry in have[name]["files"].values()))
        elif online and name != "educational":
            try:
                size = _size(sum(file.size for file in wanted.files_of(name)))
            except LabError:
                online = False
        repository = wanted.origin(name)
        print(f"{name:22} {size:>9}  {repository!s:45} {repository.licence}")
    if not online:
        print("\nThe Hub doesn't answer, so sizes are those of what is in the folder.")
    return 0


def choose(default: Sequence[str], known: Sequence[str], only: str) -> list[str]:
    """The names in `only`, or the default ones. Raises `LabError` for an unknown name."""
    for name in filter(None, only.split(",")):
        if name not in known:
            raise unknown("dataset or model", name, known)
    return only.split(",") if only else list(default)


def _size(n_bytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000 or unit == "GB":
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    raise AssertionError


if __name__ == "__main__":
    sys.exit(main())
