"""Pretraining that dies as `KILLS` says: blanks between kills, each "victim:step:moment" or "victim:step:moment:ms".

The victim is a rank or "torchrun". Moments: "batch" (before the forward pass), "update" (after the optimiser's step),
"writing" (half of the checkpoint is written), "renaming" (all of it, under its temporary name), "renamed". With `ms`
the signal comes so many milliseconds later, wherever the victim is then. Every kill happens once: it leaves a file.
"""

import io
import os
import signal
import threading
import time
from pathlib import Path

import torch

from labkit.tasks.corpus import Corpus
from labkit.training import checkpoint, log, pretrain

real_batch, real_log, real_save, real_replace = Corpus.batch, log.Log.write, torch.save, os.replace
step_now = 0


def at(step: int, moment: str) -> None:
    """Die here, if that is planned."""
    out, rank = Path(pretrain.parse_args().out), os.environ.get("RANK", "0")
    for kill in os.environ.get("KILLS", "").split():
        victim, when, where, ms = (*kill.split(":"), "0")[:4]
        done = out / f"killed-{kill.replace(':', '-')}"
        if (when, where) == (str(step), moment) and not done.exists() and rank == victim.replace("torchrun", "0"):
            done.touch()
            if ms != "0":
                threading.Timer(int(ms) / 1000, die, [victim]).start()
            else:
                die(victim)


def die(victim: str) -> None:
    os.kill(os.getppid() if victim == "torchrun" else os.getpid(), signal.SIGKILL)
    time.sleep(60)  # torchrun is dead: its workers are about to be told


def batch(self, split, batch_size, block_size, seed, step):
    at(step, "batch")
    return real_batch(self, split, batch_size, block_size, seed, step)


def write(self, row):
    real_log(self, row)
    if "loss" in row:
        at(row["step"], "update")


def save(state, stream):
    global step_now
    step_now = state["step"]
    whole = io.BytesIO()
    real_save(state, whole)
    half = len(whole.getvalue()) // 2
    stream.write(whole.getvalue()[:half])
    stream.flush()
    at(step_now, "writing")
    stream.write(whole.getvalue()[half:])


def replace(source, target):
    at(step_now, "renaming")
    real_replace(source, target)
    at(step_now, "renamed")


if __name__ == "__main__":  # the processes that read the text import this module again
    Corpus.batch, log.Log.write, checkpoint.torch.save, checkpoint.os.replace = batch, write, save, replace
    pretrain.save_model = lambda *_: None  # two seconds of imports; the last checkpoint has the weights, too
    pretrain.main()
