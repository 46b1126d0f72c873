"""The log of a training run: JSON lines that a figure can be drawn from, and a line now and then for the reader.

A row is written when it is known, so a killed run keeps its curve; resuming drops the rows it will compute again.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ECHO_SECONDS = 5.0  # between the first lines; later ones come at growing distance, twenty a tenfold of time


class Log:
    """Rows {"step", "loss", "lr", "grad_norm", "tokens", "seconds"} and {"step", "val_loss", "val_bits_per_byte"};
    in reinforcement `reward` for `tokens`.

    Losses in nats a token; `seconds` are those spent training since the run began, without evaluation.
    Every rank has a log; only the one that `writes` has the file and speaks.
    """

    def __init__(self, path: Path, start: int, max_steps: int, writes: bool, echo: Callable[[str], None]) -> None:
        self.path, self.max_steps, self.writes, self.echo = path, max_steps, writes, echo
        self.rows: list[dict[str, Any]] = []
        if start and path.exists():
            self.rows = [row for row in read_log(path) if row["step"] < start]
        self.start = start
        self.seconds = next((row["seconds"] for row in reversed(self.rows) if "seconds" in row), 0.0)
        self.began = time.monotonic()
        self.next_echo = self.began + ECHO_SECONDS
        if writes:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(json.dumps(row) + "\n" for row in self.rows), encoding="utf-8")

    def write(self, row: dict[str, Any]) -> None:
        """Keep one row, and now and then say how far the run is."""
        self.rows.append(row)
        if not self.writes:
            return
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
        now = time.monotonic()
        if now >= self.next_echo or row["step"] >= self.max_steps:
            self.next_echo = now + ECHO_SECONDS + 0.12 * (now - self.began)
            self.echo(self.summary())

    def summary(self) -> str:
        """Where the run stands, in a line: losses, tokens a second, time left."""
        train = next((row for row in reversed(self.rows) if "loss" in row), None)
        val = next((row for row in reversed(self.rows) if "val_loss" in row), None)
        done = train["step"] + 1 if train else self.start
        text = f"step {done:,} of {self.max_steps:,}"
        if train:
            text += f"  loss {train['loss']:.3f}"
            text += f"  {train['tokens'] / train['seconds']:,.0f} tokens/s" if "tokens" in train else ""
            text += f"  reward {train['reward']:.3f}" if "reward" in train else ""
        if val:
            text += f"  validation {val['val_loss']:.3f} ({val['val_bits_per_byte']:.3f} bits/byte)"
        if self.start < done < self.max_steps:
            left = (time.monotonic() - self.began) / (done - self.start) * (self.max_steps - done)
            text += f"  {left // 60:.0f} min {left % 60:02.0f} s left"
        return text


def read_log(path: Path) -> list[dict[str, Any]]:
    """The rows of a log.jsonl; a last line that a kill cut short is dropped."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            rows.append(json.loads(line))
    return rows
