"""The same numbers, sooner: every lever that makes training faster than the plain model, in one place.

    loss = FastLoss(model)(x, y)        # instead of cross_entropy(model(x), y)

`gpt2.py` says what is computed, this file says how, and a test holds the two together. Each lever is chosen by what
the hardware has; without bf16 all of them fall back to the plain path. `benchmarks/speed.py` measures them one by one.

- **bf16** matrix products (autocast), twice as fast and more where the CPU or GPU has them; weights stay fp32.
- **Fused head and loss.** The logits are the largest tensor of a small model: 8 × 256 tokens × 8,192 words in fp32 are
  67 MB, and a plain step makes four of them. In chunks they stay in the cache: less memory, fewer page faults.
- **Attention** on a CPU in bf16 as two batched matrix products: torch's fused kernel is made for long rows, and costs
  more than twice as much at 256 positions. The price is the square of scores, so long contexts keep the kernel.
- **Compiled blocks** on a GPU, where `torch.compile` fuses what lies between the matrix products. On two CPU cores
  compiling costs a minute and gives nothing.

Two levers live elsewhere: the fused AdamW in `training/recipes.py`, the allocator in `training/launch.py`.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from labkit.models.gpt2 import GPT2, CausalSelfAttention
from labkit.profile import pick_dtype

CHUNK = {"cpu": 512, "cuda": 8192}  # tokens whose logits exist at a time; a GPU wants large products
LONGEST_SQUARE = 512  # positions up to which the square of scores is cheaper than the fused kernel


class FastLoss(nn.Module):
    """A GPT-2 that returns its loss: what a training loop wraps in DDP and calls.

    `dtype` is that of matrix products (default: the hardware's fastest). The model's own forward returns logits as
    before; only its attention may take the faster way from here on.
    """

    def __init__(self, model: GPT2, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.model = model
        self.dtype = dtype or pick_dtype(model.wte.weight.device)
        for block in model.h:
            block.attn.attend = attend
            if model.wte.weight.device.type == "cuda":
                block.compile()

    def forward(self, x: Tensor, y: Tensor, ignore_index: int | None = None) -> Tensor:
        """Mean cross-entropy (nats a token) of next tokens `y` after `x`, both (B, T), on any device.

        Where `y` is `ignore_index` nothing is asked, and no logits are made.
        """
        weight = self.model.wte.weight
        x, y = x.to(weight.device, non_blocking=True), y.to(weight.device, non_blocking=True)
        with torch.autocast(weight.device.type, self.dtype, enabled=self.dtype != torch.float32):
            hidden = self.model.hidden(x)
        hidden, y = hidden.flatten(0, 1), y.flatten()
        if ignore_index is not None:
            hidden, y = hidden[y != ignore_index], y[y != ignore_index]
        return FusedCrossEntropy.apply(hidden, weight, y, self.dtype, torch.is_grad_enabled())


class FusedCrossEntropy(torch.autograd.Function):
    """Mean cross-entropy of `hidden @ weight.T` against `targets`, without ever holding all logits.

    The gradient of the logits is softmax − one-hot, known as soon as they are; so each chunk's logits are turned into
    gradients of `hidden` and `weight` on the spot, and `backward` only scales them. The softmax goes through two
    products a chunk; the one-hot part picks rows, once for all chunks.
    """

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        dtype: torch.dtype,
        training: bool,
    ) -> Tensor:
        """`hidden` (N, C), `weight` (V, C), `targets` (N,) → a scalar in fp32; products run in `dtype`."""
        h, w, n = hidden.to(dtype), weight.to(dtype), len(targets)
        grad_hidden, grad_weight = torch.empty_like(h), torch.zeros_like(weight)
        loss = torch.zeros((), device=h.device)
        size = CHUNK[h.device.type]
        for i in range(0, n, size):
            p = (h[i : i + size] @ w.t()).softmax(1)
            loss -= p.gather(1, targets[i : i + size, None]).float().clamp_min(1e-38).log().sum()
            if training:
                torch.mm(p, w, out=grad_hidden[i : i + size])
                grad_weight += p.t() @ h[i : i + size]
        if training:
            grad_hidden -= w[targets]
            grad_weight.index_add_(0, targets, h.to(weight.dtype), alpha=-1)
            ctx.save_for_backward(grad_hidden, grad_weight)
        ctx.n, ctx.hidden_dtype = n, hidden.dtype
        return loss / n

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of `hidden` and `weight`."""
        grad_hidden, grad_weight = ctx.saved_tensors
        scale = grad / ctx.n
        return (grad_hidden * scale).to(ctx.hidden_dtype), grad_weight * scale, None, None, None


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """`CausalSelfAttention.attend`, faster on a CPU in bf16 for rows of up to `LONGEST_SQUARE` positions."""
    B, H, T, D = q.shape
    if q.device.type != "cpu" or q.dtype != torch.bfloat16 or mask is not None or T > LONGEST_SQUARE or k.shape[2] != T:
        return CausalSelfAttention.attend(q, k, v, mask)
    q, k, v = (t.reshape(B * H, T, D) for t in (q, k, v))
    scores = torch.baddbmm(_past(T, q.dtype), q, k.transpose(1, 2), alpha=D**-0.5)
    return torch.bmm(scores.softmax(-1), v).view(B, H, T, D)


@cache
def _past(T: int, dtype: torch.dtype) -> Tensor:
    """What is added to scores (T, T): −∞ where a row would look at a later column."""
    with torch.inference_mode(False):  # whoever comes first: later ones may train
        return torch.full((T, T), -torch.inf, dtype=dtype).triu(1)
