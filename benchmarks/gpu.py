"""What one GPU does with the full profile's models: training and writing, in one run of about eight minutes.

    python -m benchmarks.gpu                  # on a machine with a GPU
    python -m benchmarks.gpu --save           # and keep the numbers in data/reference/gpu-<its name>.json
    python -m benchmarks.gpu --tiny           # the same code on small models, on a CPU too: does it run?

Four sections, each with a share of the time: pretraining GPT-2 124M, a lever at a time, beside `transformers`'; a
DistilBART's fine-tuning and REINFORCE; LoRA and prompt tuning of GPT-Neo 1.3B; writing. Weights and texts are random,
as neither speed nor memory asks what they say, and nothing is fetched. What fails, or doesn't fit into the GPU's
memory, becomes a row that says so.

A round is some steps (or an update, or a batch of texts); the first one warms up, compiles, and isn't timed. Rates are
of the median round, `low` and `high` of the slowest and the fastest. A section that would take longer than its share
has fewer rounds; what it leaves goes to the next. MFU is `labkit.models.flops`' count over the data sheet's peak for
bf16 (`published.py`), in fp32 rows too. Memory is the peak of torch's allocator, the building of the model included.
Writes results/bench/gpu.json after every section, and after Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import re
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_models import FULL, TINY, Sizes
from benchmarks.gpu_parts import RUNGS, SECTIONS, Job, Work
from benchmarks.publish import publish
from benchmarks.published import A100, H100, H200, Gpu
from labkit.files import write_json_atomic
from labkit.models.flops import mfu
from labkit.profile import LabError, pick_device
from labkit.report.bands import REFERENCE
from labkit.report.provenance import cpu_model, git_commit

SHEETS = (A100, H100, H200)  # of the SXM form: PCIe cards, pairs (NVL) and slices (MIG) have others
FAILED = "failed"  # how the note of a row begins that fell over, but not for want of memory
PIECES = "batches in pieces, as whole ones ran out of memory"
Row = dict[str, Any]


def sheet(name: str) -> Gpu | None:
    """The data sheet of a GPU by torch's name for it; None if there is none here."""
    words = re.split(r"[\s-]+", name.upper())
    if {"PCIE", "NVL", "MIG"} & set(words):
        return None
    return next((gpu for gpu in SHEETS if gpu.name.split()[0] in words), None)


def machine() -> str:
    """The GPU's name, or the processor's."""
    return torch.cuda.get_device_name(pick_device()) if pick_device().type == "cuda" else cpu_model()


def run(sizes: Sizes, minutes: float, rows: list[Row], keep: Callable[[], object]) -> None:
    """Measure all sections in about so many minutes, a row of `rows` each job; `keep` is called after every section."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    began, share = time.monotonic(), 0.0
    for section, (part, jobs) in SECTIONS.items():
        share += part
        todo = jobs(sizes)
        for i, job in enumerate(todo):
            rows.append(measure(section, job, sizes.rounds, began + 60 * minutes * share, len(todo) - i))
            print(f"{section}: {job.what}: {_result(rows[-1])}", flush=True)
        with contextlib.redirect_stdout(io.StringIO()):  # its table is for the end
            keep()


def measure(section: str, job: Job, most: int, ends: float, waiting: int) -> Row:
    """The row of a job: so many rounds at `most`, and fewer where `waiting` jobs share the time until `ends`."""
    free()
    row: Row = {"section": section, "what": job.what, "unit": f"{job.unit}/s", "rate": None, "low": None, "high": None,
                "MFU": None, "peak_gb": None, "rounds": 0, "seconds": [], "note": ""}  # fmt: skip
    if time.monotonic() >= ends:
        return row | {"note": "no time left"}
    before = memory_errors()
    try:
        seconds = time_rounds(job.build(), most, ends, waiting)
    except Exception as error:  # whatever one of them dies of, the others are still worth their time
        return row | {"note": said(error)}
    rate, low, high = (job.amount / of(seconds) for of in (statistics.median, max, min))
    note = PIECES if memory_errors() > before else ""
    return row | {"rate": rate, "low": low, "high": high, "MFU": _mfu(job, rate), "peak_gb": peak_gb(),
                  "rounds": len(seconds), "seconds": seconds, "note": note}  # fmt: skip


def time_rounds(work: Work, most: int, ends: float, waiting: int = 1) -> list[float]:
    """Seconds of each round, after one that isn't timed; one at least, and no more than fit."""
    work()
    synchronize()
    until = time.monotonic() + (ends - time.monotonic()) / waiting
    seconds: list[float] = []
    while len(seconds) < most and (not seconds or time.monotonic() + seconds[-1] <= until):
        began = time.perf_counter()
        work()
        synchronize()
        seconds.append(time.perf_counter() - began)
    return seconds


def synchronize() -> None:
    """Wait until a GPU has done what it was told."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def free() -> None:
    """Forget the last job's model, what was compiled for it, and its peak of memory."""
    if torch.cuda.is_available():
        torch.compiler.reset()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_gb() -> float | None:
    """The most that was allocated since `free`; None on a CPU, where torch doesn't count."""
    return torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else None


def memory_errors() -> int:
    """How often a GPU's memory ran out so far; `finetune` catches that, and goes on with pieces of a batch."""
    return torch.cuda.memory_stats().get("num_ooms", 0) if torch.cuda.is_available() else 0


def said(error: Exception) -> str:
    """A row's note on an error; what isn't for want of memory is also printed in full."""
    if isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error).lower():
        return "out of memory"
    traceback.print_exception(error)
    return f"{FAILED}: {type(error).__name__}: {str(error).strip().partition(chr(10))[0][:100]}"


def _mfu(job: Job, rate: float) -> float | None:
    found = sheet(machine())
    return mfu(rate, job.flops, found.peak) if found and job.flops else None


def _result(row: Row) -> str:
    """A row as one line of a log."""
    rate = "" if row["rate"] is None else f"{row['rate']:,.1f} {row['unit']}"
    return ", ".join(filter(None, (rate, row["note"])))


def write(rows: Sequence[Row], sizes: Sizes, minutes: float) -> Path:
    """Print the table and write results/bench/gpu.json; every round's seconds are in the file alone."""
    found = sheet(machine())
    facts = {
        "peak": found and {"sheet": found.name, "flops_per_second": found.peak},
        "mfu": "against the sheet's dense bf16 peak" if found else f"unknown: published.py has no sheet of {machine()}",
        "minutes": minutes, "tiny": sizes is TINY, "sizes": settings(sizes),
        "rungs": {name: rung.says for name, rung in RUNGS.items()},
        "seconds": {f"{row['section']}: {row['what']}": row["seconds"] for row in rows},
    }  # fmt: skip
    table = [{name: value for name, value in row.items() if name != "seconds"} for row in rows]
    title = f"{'tiny models' if sizes is TINY else 'the full models'} on {machine()}"
    return publish("gpu", title, table, **facts)


def settings(sizes: Sizes) -> dict[str, Any]:
    """The sizes, as JSON has them."""
    flat = {name: value for name, value in vars(sizes).items() if name not in ("profile", "neo")}
    p = sizes.profile
    return flat | {"profile": p.name, "micro_batch": p.micro_batch_size, "block": p.block_size,
                   "source_tokens": p.source_tokens, "summary_tokens": p.summary_tokens}  # fmt: skip


def save(published: Path, folder: Path = REFERENCE) -> Path:
    """Keep what `write` wrote, with where it came from. Raises `LabError` if it isn't what a GPU really did."""
    check_saving(tiny=False)
    content = json.loads(published.read_text(encoding="utf-8"))
    if content["tiny"] or not content["hardware"]["gpus"] or not any(row["rate"] for row in content["rows"]):
        raise LabError(f"{published} has no numbers of a GPU and the full models: run it again, without --tiny")
    hardware, found = content.pop("hardware"), content.pop("versions")
    content["provenance"] = {"git": git_commit(), "versions": found | {"cuda": torch.version.cuda},
                             "hardware": hardware, "date": datetime.now(UTC).date().isoformat()}  # fmt: skip
    name = re.sub(r"[^a-z0-9]+", "-", machine().lower()).strip("-")
    write_json_atomic(folder / f"gpu-{name}.json", content)
    return folder / f"gpu-{name}.json"


def check_saving(tiny: bool) -> None:
    """Raises `LabError` where no number would be worth keeping: before the minutes are spent."""
    if tiny:
        raise LabError("--save keeps what a GPU does with the full models, and --tiny has others: leave one out")
    if not torch.cuda.is_available() or torch.version.cuda is None:
        raise LabError("--save keeps what a CUDA GPU does, and torch sees none: run this on a machine that has one")


def check(minutes: float, tiny: bool) -> None:
    """Raises `LabError` for no time, and where the full models would take minutes a step."""
    if minutes <= 0:
        raise LabError(f"--minutes {minutes:g} is no time at all: give 8, or fewer to have fewer rounds")
    if pick_device().type != "cuda" and not tiny:
        raise LabError(
            "torch sees no GPU, and on a CPU these models take minutes a step: run this on a machine with one "
            "(there, python -m labkit.doctor says what torch sees), or add --tiny to try the code on small models"
        )


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8, help="what all sections may take together (default: 8)")
    parser.add_argument("--save", action="store_true", help="keep the numbers in data/reference, if they are a GPU's")
    parser.add_argument("--tiny", action="store_true", help="small models: tries the code, measures nothing")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    args = parse_args(argv)
    sizes = TINY if args.tiny else FULL
    rows: list[Row] = []
    keep = partial(write, rows, sizes, args.minutes)
    try:
        if args.save:
            check_saving(args.tiny)
        check(args.minutes, args.tiny)
        if args.tiny:
            torch.set_num_threads(1)  # so small that several would wait for each other
        run(sizes, args.minutes, rows, keep)
        published = keep()
        if args.save:
            print(f"→ {save(published)}")
    except LabError as error:
        sys.exit(f"gpu: {error}")
    except KeyboardInterrupt:
        if rows:
            keep()
        sys.exit("gpu: interrupted" + (", so nothing is kept as a reference" if args.save else ""))
    if failed := [row["what"] for row in rows if row["note"].startswith(FAILED)]:
        sys.exit(f"gpu: {len(failed)} of {len(rows)} failed, see above: {', '.join(failed)}")


if __name__ == "__main__":
    main()
