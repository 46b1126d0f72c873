"""GPT-2, plainly: the model of notebook 01, which prints this file.

A decoder-only transformer with learned positions, pre-norm blocks and a head tied to the token embedding
(Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", §2.3). Parameter names follow
OpenAI's checkpoint, so `from_hf` and `to_hf` are key-by-key copies. No dropout: a course that sees each token
about once has nothing to regularise. Shapes: B batch, T time, C = n_embd, H = n_head, V = vocab_size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel


@dataclass(frozen=True)
class GPT2Config:
    """Sizes of a GPT-2; the defaults are GPT-2 small, 124,439,808 parameters."""

    vocab_size: int = 50_257
    block_size: int = 1024
    n_layer: int = 12
    n_head: int = 12
    n_embd: int = 768


class CausalSelfAttention(nn.Module):
    """Every position looks at itself and its past: softmax(q kᵀ / √(C/H)) v, in H heads side by side."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        if config.n_embd % config.n_head:
            raise ValueError(f"n_embd={config.n_embd} does not divide into n_head={config.n_head} heads")
        self.n_head = config.n_head
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd)

    def forward(self, x: Tensor, mask: Tensor | None = None, cache: KVCache | None = None, layer: int = 0) -> Tensor:
        """(B, T, C) → (B, T, C). With a cache, x holds the T newest positions and the past is in the cache."""
        B, T, C = x.shape
        qkv = self.c_attn(x).view(B, T, 3, self.n_head, C // self.n_head).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind() if cache is None else (qkv[0], *cache.append(layer, qkv[1:]))
        return self.c_proj(self.attend(q, k, v, mask).transpose(1, 2).reshape(B, T, C))

    @staticmethod
    def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """What q (B, H, T, D) finds at k and v (B, H, past + T, D), a tensor like q; `mask`: where q may look at k."""
        # A single new token may see everything, so it needs no mask; several new ones never follow a filled
        # cache (`GPT2.hidden` sees to that), so without a mask it is the plain square triangle.
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None and q.shape[2] > 1)


class MLP(nn.Module):
    """Each position by itself: widen fourfold, bend, narrow."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd)
        self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) → (B, T, C)."""
        # OpenAI's GELU is the tanh approximation; the exact one would miss the checkpoint's logits by 1e-3.
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


class Block(nn.Module):
    """Attention, then MLP, each on a normalised copy and added to the stream."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd)
        self.attn = CausalSelfAttention(config)
        self.ln_2 = nn.LayerNorm(config.n_embd)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, mask: Tensor | None = None, cache: KVCache | None = None, layer: int = 0) -> Tensor:
        """(B, T, C) → (B, T, C)."""
        x = x + self.attn(self.ln_1(x), mask, cache, layer)
        return x + self.mlp(self.ln_2(x))


class GPT2(nn.Module):
    """Token ids (B, T) in, next-token logits (B, T, V) out."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.block_size, config.n_embd)
        self.h = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.lm_head.weight = self.wte.weight  # one matrix for reading and writing tokens
        self.init_weights()

    def init_weights(self) -> None:
        """Normal(0, 0.02), biases 0; the layers that write to the residual stream are scaled by 1/√(2·n_layer).

        Each block adds to the stream twice, so without the scaling its variance would grow with depth.
        """
        for name, p in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(p)
            elif p.dim() == 2:
                residual = name.endswith("c_proj.weight")
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * self.config.n_layer) if residual else 0.02)

    def forward(self, idx: Tensor, cache: KVCache | None = None) -> Tensor:
        """Token ids (B, T) → logits (B, T, V). Raises `ValueError` past `block_size`."""
        return self.lm_head(self.hidden(idx, cache))

    def hidden(
        self,
        idx: Tensor,
        cache: KVCache | None = None,
        position_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Token ids (B, T) → what the head reads, (B, T, C).

        Tokens stand at 0, 1, 2 … and see their past, unless `position_ids` (B, T) and `attention_mask`
        (B, 1, T, T), True where the row's token may look at the column's, say otherwise.
        Raises `ValueError` past `block_size`.
        """
        past = cache.length if cache is not None else 0
        T = idx.shape[1]
        if position_ids is None and past + T > self.config.block_size:
            raise ValueError(f"{past + T} tokens do not fit into a context of {self.config.block_size}")
        if past and T > 1:
            raise ValueError("after the prompt, a cached model takes one token at a time")
        if position_ids is None:
            position_ids = torch.arange(past, past + T, device=idx.device)
        x = self.wte(idx) + self.wpe(position_ids)
        for layer, block in enumerate(self.h):
            x = block(x, attention_mask, cache, layer)
        if cache is not None:
            cache.length += T
        return self.ln_f(x)

    def num_parameters(self) -> int:
        """Trainable numbers; the tied head counts once."""
        return sum(p.numel() for p in self.parameters())

    @classmethod
    def from_hf(cls, hf: GPT2LMHeadModel) -> GPT2:
        """The same model from `transformers`: equal logits for equal ids."""
        c = hf.config
        model = cls(GPT2Config(c.vocab_size, c.n_positions, c.n_layer, c.n_head, c.n_embd))
        weights = hf.transformer.state_dict()
        with torch.no_grad():
            for name, p in model.named_parameters():  # skips the tied lm_head.weight
                p.copy_(weights[name].t() if _is_conv1d(name) else weights[name])
        return model

    def to_hf(self) -> GPT2LMHeadModel:
        """This model as `transformers`' GPT2LMHeadModel, ready for `save_pretrained`."""
        from transformers import GPT2Config as HFConfig
        from transformers import GPT2LMHeadModel

        c = self.config
        hf = GPT2LMHeadModel(
            HFConfig(
                vocab_size=c.vocab_size, n_positions=c.block_size, n_layer=c.n_layer, n_head=c.n_head,
                n_embd=c.n_embd, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
                bos_token_id=None, eos_token_id=None,
            )
        )  # fmt: skip
        weights = {n: p.t() if _is_conv1d(n) else p for n, p in self.named_parameters()}
        hf.transformer.load_state_dict(weights)
        return hf.eval()


def _is_conv1d(name: str) -> bool:
    # OpenAI's TensorFlow code kept these four matrices as (in, out); nn.Linear keeps (out, in).
    return name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight"))


class KVCache:
    """Keys and values of the positions already read, so that a new token costs one column, not the whole square.

    Memory: 2 · n_layer · B · block_size · C numbers, allocated once.
    """

    def __init__(self, model: GPT2, batch_size: int) -> None:
        c, weight = model.config, model.wte.weight
        shape = (2, batch_size, c.n_head, c.block_size, c.n_embd // c.n_head)
        self.layers = [weight.new_empty(shape) for _ in range(c.n_layer)]
        self.length = 0

    def append(self, layer: int, kv: Tensor) -> tuple[Tensor, Tensor]:
        """Store the new keys and values of a layer, `kv` (2, B, H, T, C/H); return all keys and all values so far."""
        past, T = self.length, kv.shape[3]
        # `narrow` is one call where [:, :, :, past : past + T] makes four: a step of one token feels it.
        self.layers[layer].narrow(3, past, T).copy_(kv)
        return self.layers[layer].narrow(3, 0, past + T).unbind()
