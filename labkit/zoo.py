"""Models by name: from the Hub, from a folder, or made here and kept.

    model, tokenizer = load_backbone(resolve("laptop"))                      # a GPT-Neo
    model, tokenizer = load_backbone(resolve("laptop"), "neo-no-notes")      # which never met a label in context
    model, tokenizer = load_backbone(resolve("laptop"), "qwen")

With SOURCE=hub "neo" is EleutherAI/gpt-neo-1.3B, the GPT-Neo report's, and "qwen" Qwen/Qwen2.5-0.5B. Else they have a
few layers, are pretrained on `tasks.mixture` for a minute or a minute and a half of two cores, and kept in the cache by
what made them: text, sizes, code. A folder `<name>` in LABKIT_MODELS, as `save_pretrained` writes one, comes before all
of them.
"""

from __future__ import annotations

import inspect
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from filelock import FileLock

from labkit.hub import REPOSITORIES, reach
from labkit.models import neo, qwen
from labkit.models.checkpointing import spare_activations
from labkit.models.files import save_pretrained
from labkit.profile import Lab, LabError, cache_dir, pick_device, unknown
from labkit.secrets import said
from labkit.tasks.bpe import END_OF_TEXT, train_bpe
from labkit.tasks.corpus import make_key
from labkit.tasks.mixture import mixture, papers_and_prose
from labkit.training.language_model import train_language_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

NAMES = ("neo", "neo-no-notes", "qwen")
# Of what is made here. A small vocabulary costs words in pieces, a large one time; most texts outrun the window.
VOCAB_SIZE, BLOCK_SIZE, WINDOW, TOKENS_PER_STEP = 2048, 256, 64, 2048


def load_backbone(lab: Lab, name: str = "neo") -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """A language model and its tokenizer, ready to evaluate, on the CPU; made now if it isn't in the cache.

    Raises `LabError` for an unknown name, a folder that holds no model, and if the Hub fails; with SOURCE=hub there is
    no "neo-no-notes", since nobody knows what a published model has not read.
    """
    if name not in NAMES:
        raise unknown("model", name, NAMES)
    if models := os.environ.get("LABKIT_MODELS"):
        return load_pretrained(Path(models).expanduser() / name)
    if lab.source != "hub":
        return load_pretrained(_made(lab, name))
    if name not in REPOSITORIES:
        raise LabError(f"there is no {name!r} on the Hub: take SOURCE=embedded, where it is made")
    reach(name, "config.json")
    return load_pretrained(REPOSITORIES[name].id, REPOSITORIES[name].revision)


def load_pretrained(where: str | Path, revision: str = "main") -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """The causal language model and tokenizer in a `save_pretrained` folder, or a repository of the Hub.

    Words of a sentence that comes in pieces keep their spaces, and a tokenizer without padding pads with its end of
    text. Raises `LabError` if they can't be had.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
    from transformers.utils import logging

    logging.disable_progress_bar()
    if isinstance(where, Path) and not (where / "config.json").exists():
        raise LabError(f"{where} holds no model: put a folder there that save_pretrained wrote, or unset LABKIT_MODELS")
    try:
        model = AutoModelForCausalLM.from_pretrained(where, revision=revision, trust_remote_code=False)
        if model.config.model_type == "qwen2":  # for which AutoTokenizer would cut words by a rule of its own
            tokenizer = PreTrainedTokenizerFast.from_pretrained(where, revision=revision)
        else:
            tokenizer = AutoTokenizer.from_pretrained(
                where, revision=revision, add_prefix_space=True, trust_remote_code=False
            )
    except (OSError, ValueError) as error:
        raise LabError(
            f"{where} can't be loaded; mend or delete it, or take SOURCE=embedded: {said(error)}"
        ) from None  # a traceback would repeat what `said` leaves out
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return spare_activations(quick_attention(model)).eval(), tokenizer


def quick_attention(model: PreTrainedModel) -> PreTrainedModel:
    """The model with plain attention on a CPU, where the fused kernel's backward pass takes a third of a step."""
    if pick_device().type == "cpu":
        model.set_attn_implementation("eager")
    return model


def _made(lab: Lab, name: str) -> Path:
    """The folder of a model that is made here; it is there, whole, when this returns."""
    texts = papers_and_prose(lab) if name == "qwen" else mixture(lab, notes=name == "neo")
    p = lab.profile
    sizes = [p.neo_width, p.n_layer, p.n_head, VOCAB_SIZE, BLOCK_SIZE, WINDOW, TOKENS_PER_STEP, _steps(lab, name)]
    code = [inspect.getsource(part) for part in (neo, qwen, train_language_model, pretrain, train_bpe)]
    folder = cache_dir() / "zoo" / f"{name}-{make_key(texts, sizes, code, torch.__version__)}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(folder.name + ".lock")):
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".partial-") as partial:
                model, tokenizer = pretrain(lab, name, texts)
                save_pretrained(model, tokenizer, Path(partial, name))
                os.rename(Path(partial, name), folder)
    return folder


def pretrain(lab: Lab, name: str, texts: Sequence[str]) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """A small GPT-Neo or Qwen, trained to predict each next token of `texts`, and the vocabulary of those."""
    p, device = lab.profile, pick_device()
    tokenizer = train_tokenizer(texts)
    tokens = torch.tensor([i for ids in tokenizer(texts)["input_ids"] for i in (*ids, tokenizer.eos_token_id)])
    with torch.random.fork_rng():
        torch.manual_seed(0)  # one backbone for all seeds: what is compared are ways to tune it
        if name == "qwen":
            model = qwen.new_qwen(len(tokenizer), p.neo_width, p.n_layer, p.n_head, p.n_head // 2, BLOCK_SIZE)
        else:
            model = neo.new_neo(len(tokenizer), p.neo_width, p.n_layer, p.n_head, BLOCK_SIZE, WINDOW)
    train_language_model(quick_attention(model).to(device), tokens, _steps(lab, name), TOKENS_PER_STEP, BLOCK_SIZE)
    return model, tokenizer


def _steps(lab: Lab, name: str) -> int:
    return lab.profile.qwen_steps if name == "qwen" else lab.profile.neo_steps


def train_tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE, GPT-2's kind; the first word of a text has a space before it, as all others have."""
    from transformers import PreTrainedTokenizerFast

    bpe = train_bpe(texts, VOCAB_SIZE, [END_OF_TEXT], add_prefix_space=True)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token=END_OF_TEXT, pad_token=END_OF_TEXT)
