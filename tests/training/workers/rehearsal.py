"""A worker for the launcher's tests: says hello, then does what its argument says."""

import argparse
import os
import signal
import time

import torch.distributed as dist

from labkit.training.distributed import Ranks

parser = argparse.ArgumentParser()
parser.add_argument("--then", default="end")
parser.add_argument("--pids", default=os.devnull)
args = parser.parse_args()

ranks = Ranks.join()
with open(args.pids, "a") as stream:
    stream.write(f"{os.getpid()}\n")
print(f"hello from rank {ranks.rank} of {ranks.world_size}", flush=True)
dist.barrier()
if ranks.rank == 1 and args.then == "raise":
    raise ValueError("a planted fault")
if ranks.rank == 1 and args.then == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
if args.then != "end":
    time.sleep(60)
print(f"sum {ranks.sum(ranks.rank + 1)[0]:.0f}", flush=True)
chosen = ranks.from_first(lambda: 5 + ranks.rank)
print(f"rank 0 chose {chosen}, twice is {ranks.sum(chosen)[0]:.0f}", flush=True)
ranks.leave()
