"""Two real processes: `no_sync` is only worth teaching if it changes the traffic and not the gradient."""

from __future__ import annotations

import contextlib

import torch

from benchmarks import no_sync
from labkit.models.fast import FastLoss
from labkit.models.gpt2 import GPT2, GPT2Config
from labkit.profile import PROFILES


def test_rows_have_rates_and_their_ratio(monkeypatch):
    """The workers compare the gradients of both ways themselves, and fail if they differ."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    table = no_sync.measure("smoke", nproc=2, n_accumulate=2, rounds=1)
    assert [row["sequences a micro-batch"] for row in table] == list(no_sync.ROWS)
    for row in table:
        assert row["synchronise each, tokens/s"] > 0
        assert abs(row["times"] - row["no_sync, tokens/s"] / row["synchronise each, tokens/s"]) < 1e-9


class Counted(torch.nn.Module):
    """A module with DDP's interface that counts the passes in which gradients would be exchanged."""

    def __init__(self, loss: torch.nn.Module) -> None:
        super().__init__()
        self.loss, self.exchanges, self.held = loss, 0, False

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        self.exchanges += not self.held
        return self.loss(x, y)

    @contextlib.contextmanager
    def no_sync(self):
        self.held = True
        yield
        self.held = False


def test_gradients_are_those_of_the_whole_batch_and_travel_once():
    """Both ways: the mean over micro-batches is the mean over their rows; only the number of exchanges differs."""
    torch.manual_seed(0)
    p = PROFILES["smoke"]
    model = GPT2(GPT2Config(p.vocab_size, p.block_size, 1, p.n_head, p.n_embd))
    tokens = torch.randint(p.vocab_size, (4, 2, p.block_size + 1))
    loss = FastLoss(model, torch.float32)
    loss(tokens.flatten(0, 1)[:, :-1], tokens.flatten(0, 1)[:, 1:]).backward()
    whole = model.wte.weight.grad.clone()
    for hold_back, exchanges in ((True, 1), (False, 4)):
        counted = Counted(loss)
        no_sync.accumulate(counted, list(tokens), hold_back)
        torch.testing.assert_close(model.wte.weight.grad, whole, rtol=1e-4, atol=1e-7)
        assert counted.exchanges == exchanges
