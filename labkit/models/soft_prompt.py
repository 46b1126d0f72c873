"""Prompt tuning (Lester et al. 2021): a few vectors in front of every text, and nothing else, are trained.

    [p₁ … pₙ] [e(x₁) … e(x_T)]  →  frozen model  →  logits of x₁ … x_T

Where padding stands must not change an answer, so rows are laid out prompt, text, padding, wherever their padding
was. Positions are then 0, 1, 2 …, and local attention, which counts places in the row, sees as far as it did alone.
`peft` puts the prompt before the padding and drops position ids, so its answers change with padding on the left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from labkit.models.freezing import train_only

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.utils import ModelOutput


class SoftPrompt(nn.Module):
    """A frozen `backbone`, and `n_tokens` vectors that are learnt for it.

    They begin as the embeddings of `text_ids`, repeated or cut to fit; without them as random vectors, as long as
    embeddings are (`peft` draws from N(0, 1): fifty times as long where embeddings began at 0.02).
    """

    def __init__(self, backbone: PreTrainedModel, n_tokens: int = 8, text_ids: Sequence[int] | None = None) -> None:
        super().__init__()
        self.backbone = train_only(backbone, lambda name: False)
        table = backbone.get_input_embeddings().weight.detach()
        if text_ids:
            start = table[[text_ids[i % len(text_ids)] for i in range(n_tokens)]]
        else:
            start = table.new_empty(n_tokens, table.shape[1]).normal_() * table.std()
        self.prompt = nn.Parameter(start)

    def embed(self, input_ids: Tensor) -> Tensor:
        """Ids (B, T) → prompt and text (B, n_tokens + T, width): what `backbone.generate` takes as `inputs_embeds`.

        Raises `ValueError` if that is longer than the backbone's context.
        """
        longest = self.backbone.config.max_position_embeddings - len(self.prompt)
        if input_ids.shape[1] > longest:
            raise ValueError(f"a text of {input_ids.shape[1]} tokens: behind the prompt there is room for {longest}")
        text = self.backbone.get_input_embeddings()(input_ids)
        return torch.cat([self.prompt.to(text.dtype).expand(len(text), -1, -1), text], dim=1)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        logits_to_keep: Tensor | None = None,
    ) -> ModelOutput:
        """As the backbone's: ids, mask (1: text, 0: padding on either side) and labels (B, T) → loss, logits (B, T, V).

        The prompt has no labels and its logits are cut off; the loss counts the text's first token, if labelled.
        Of rows without mask and labels, `logits_to_keep` says at which of the T places logits are wanted; with them it
        raises `ValueError`.
        """
        if logits_to_keep is not None:
            if attention_mask is not None or labels is not None:
                raise ValueError("logits_to_keep is for rows without attention_mask and labels: leave one of them out")
            places = logits_to_keep + len(self.prompt)
            return self.backbone(inputs_embeds=self.embed(input_ids), logits_to_keep=places, use_cache=False)
        if attention_mask is None:
            return self._read(input_ids, torch.ones_like(input_ids), labels)
        order = attention_mask.argsort(dim=1, descending=True, stable=True)  # text first, as it was, then padding
        labels = None if labels is None else labels.gather(1, order)
        output = self._read(input_ids.gather(1, order), attention_mask.gather(1, order), labels)
        output.logits = output.logits.take_along_dim(order.argsort(dim=1)[..., None], dim=1)
        return output

    def _read(self, input_ids: Tensor, mask: Tensor, labels: Tensor | None) -> ModelOutput:
        """`forward` for rows whose padding is on the right."""
        beside = mask.new_ones(len(mask), len(self.prompt))
        output = self.backbone(
            inputs_embeds=self.embed(input_ids),
            attention_mask=torch.cat([beside, mask], dim=1),
            labels=None if labels is None else torch.cat([beside * -100, labels], dim=1),
            use_cache=False,
        )
        output.logits = output.logits[:, len(self.prompt) :]
        return output
