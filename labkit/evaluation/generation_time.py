"""How long models of one shape take to write: full fine-tuning, LoRA, and LoRA merged.

    timing = time_generation({"full": full, "LoRA": tuned, "merged": unload(copy.deepcopy(tuned))}, ids, new_tokens=64)
    print(timing.ratio("LoRA", "full"), work(tuned, ids), work(full, ids))

They take turns, and each round begins with another one, so that whatever else the machine does hits all alike; ratios
are medians over rounds of times that are neighbours. All write as many tokens, whether they mean to stop or not, in a
loop that does nothing else. `work` is what no clock is needed for: multiplications, and the calls to do them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm


class Timing(NamedTuple):
    """Seconds of each round, and the tokens that were written (batch, new tokens), by model."""

    seconds: dict[str, list[float]]
    tokens: dict[str, Tensor]

    def ratio(self, name: str, than: str) -> float:
        """How many times as long as `than` one takes: the median over rounds."""
        return statistics.median(a / b for a, b in zip(self.seconds[name], self.seconds[than], strict=True))


def time_generation(models: Mapping[str, nn.Module], ids: Tensor, new_tokens: int, rounds: int = 9) -> Timing:
    """Let the models, in evaluation mode, continue the prompts `ids` (batch, time) greedily, `rounds` times in turn.

    A first turn of each doesn't count.
    """
    tokens = {name: greedy(model, ids, new_tokens) for name, model in models.items()}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    names = list(models)
    for turn in tqdm(range(rounds), desc="rounds", leave=False):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            began = time.perf_counter()
            greedy(models[name], ids, new_tokens).cpu()  # which waits for a GPU to have finished
            seconds[name].append(time.perf_counter() - began)
    return Timing(seconds, tokens)


@torch.inference_mode()
def greedy(model: nn.Module, ids: Tensor, new_tokens: int) -> Tensor:
    """The next tokens (batch, new_tokens), each the likeliest, with a cache of keys and values."""
    found = model(input_ids=ids, use_cache=True)
    tokens = [found.logits[:, -1:].argmax(-1)]
    while len(tokens) < new_tokens:
        found = model(input_ids=tokens[-1], past_key_values=found.past_key_values, use_cache=True)
        tokens.append(found.logits[:, -1:].argmax(-1))
    return torch.cat(tokens, dim=1)


class Work(NamedTuple):
    """Of one forward pass: floating-point operations in matrix products, and calls of torch's operators."""

    flops: int
    calls: int


@torch.inference_mode()
def work(model: nn.Module, ids: Tensor) -> Work:
    """What the model does to read `ids` (batch, time): counted, so the same every time."""
    with FlopCounterMode(display=False) as flops:
        model(input_ids=ids, use_cache=False)
    with _Calls() as calls:
        model(input_ids=ids, use_cache=False)
    return Work(flops.get_total_flops(), calls.n)


class _Calls(TorchDispatchMode):
    n = 0

    def __torch_dispatch__(self, func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.n += 1
        return func(*args, **(kwargs or {}))
