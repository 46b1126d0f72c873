"""The methods of parameter-efficient tuning in one table: a name → what makes a GPT-Neo tunable that way.

    tuned = adapt(backbone, "lora", r=8)         # only LoRA's numbers, and a classification head, train
    save_adapter(tuned, folder)                  # only they are written
    tuned = load_adapter(fresh_backbone, folder)

Every method gives a model that takes input_ids, attention_mask and labels (B, T) and answers with loss and logits
(B, T, V), for `GPTNeoForCausalLM` and `GPTNeoForTokenClassification` alike, so that a loop needn't know which it
trains. What is written carries a fingerprint of the backbone, taken before tuning: on another one an adapter gives
noise that looks like answers. The fingerprint reads sixteen numbers of each matrix, so that it takes no time; a
backbone of which a few rows were changed may pass.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from labkit.files import write_bytes_atomic
from labkit.models.bottleneck import add_bottlenecks
from labkit.models.freezing import bitfit, full, head_only, in_head, top_layers
from labkit.models.lora import add_lora, unmerge
from labkit.models.neo import gpt_neo_1_3b_config
from labkit.models.soft_prompt import SoftPrompt
from labkit.profile import LabError, unknown

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel

FILE = "adapter.safetensors"


@dataclass(frozen=True)
class Method:
    """A way to tune: `apply(model, **sizes)` freezes the rest and returns what is to be trained."""

    about: str
    paper: str
    by: str  # "hand", or the library it is taken from
    apply: Callable[..., nn.Module]


def prefix_tuning(model: PreTrainedModel, n_tokens: int = 8) -> nn.Module:
    """`n_tokens` keys and values that every layer sees before the text's own: 2 · width · layers numbers each."""
    from peft import PrefixTuningConfig

    task = "CAUSAL_LM" if hasattr(model, "lm_head") else "TOKEN_CLS"
    return _peft(model, PrefixTuningConfig(task_type=task, num_virtual_tokens=n_tokens))


def ia3(model: PreTrainedModel) -> nn.Module:
    """A factor for each key, each value and each hidden unit of the MLP, as in the paper; 1 at the start."""
    from peft import IA3Config, inject_adapter_in_model

    # peft's own choice for GPT-Neo scales queries instead of keys, which is the same in q·k; these are the paper's.
    config = IA3Config(target_modules=["k_proj", "v_proj", "c_proj"], feedforward_modules=["c_proj"])
    model = inject_adapter_in_model(config, model)
    for name, p in model.named_parameters():
        if in_head(name):
            p.requires_grad_(True)  # which peft has frozen with the rest
    return model


def _peft(model: PreTrainedModel, config: PeftConfig) -> PeftModel:
    from peft import get_peft_model

    with warnings.catch_warnings():  # about a name inside transformers that peft 0.21 still asks for
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        return get_peft_model(model, config)


METHODS: dict[str, Method] = {
    "full": Method("every parameter", "", "hand", full),
    "top_layers": Method("the last blocks and the last normalisation", "", "hand", top_layers),
    "head_only": Method("the output matrix or the classification head", "", "hand", head_only),
    "bitfit": Method("the biases", "Ben Zaken et al. 2022", "hand", bitfit),
    "bottleneck": Method("small networks behind attention and MLP", "Houlsby et al. 2019", "hand", add_bottlenecks),
    "lora": Method("a low-rank correction of queries and values", "Hu et al. 2021", "hand", add_lora),
    "prompt_tuning": Method("vectors before the text", "Lester et al. 2021", "hand", SoftPrompt),
    "prefix_tuning": Method("keys and values before the text's, a layer", "Li & Liang 2021", "peft", prefix_tuning),
    "ia3": Method("a factor for each key, value and hidden unit", "Liu et al. 2022", "peft", ia3),
}


@dataclass(frozen=True)
class Recipe:
    """How a model became tunable; what its adapter's file says of it."""

    method: str
    sizes: Mapping[str, Any]
    backbone: str  # its fingerprint


def adapt(model: PreTrainedModel, method: str, **sizes: Any) -> nn.Module:
    """Make `model` tunable by a method of the table, with a classification head if it has one.

    The model is changed, or wrapped, not copied. `sizes` are the method's own arguments.
    Raises `LabError` for an unknown method, and for a model that is tuned already.
    """
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    if hasattr(model, "recipe"):
        raise LabError(f"this model is adapted already, by {model.recipe.method}: take a fresh one, or a copy")
    # Taken before the weights can change. How a prompt began is of no use to its file.
    recipe = Recipe(method, {k: v for k, v in sizes.items() if k != "text_ids"}, fingerprint(model))
    tuned = METHODS[method].apply(model, **sizes)
    tuned.recipe = recipe
    return tuned


def fingerprint(model: nn.Module) -> str:
    """Sixteen hexadecimal digits of the names, shapes and some values of all parameters but a classification head's.

    Values are rounded to bf16 first, so that a backbone in half precision is still itself. On the meta device there
    are none.
    """
    digest = hashlib.sha256()
    for name, p in model.named_parameters():
        if not in_head(name):
            digest.update(f"{name} {tuple(p.shape)} ".encode())
            if not p.is_meta:
                some = p.detach().flatten()[:: max(1, p.numel() // 16)][:16].cpu()
                digest.update(some.to(torch.bfloat16).view(torch.int16).numpy().tobytes())
    return digest.hexdigest()[:16]


def save_adapter(model: nn.Module, folder: Path) -> Path:
    """Write what `adapt` left trainable, and nothing else, to a file in `folder`; returns the file.

    Raises `LabError` for a model that `adapt` didn't make.
    """
    from safetensors.torch import save

    recipe = getattr(model, "recipe", None)
    if recipe is None:
        raise LabError("this model has no adapter to save: make it tunable with adapt(model, method) first")
    tensors = {name: p.detach().cpu().contiguous() for name, p in _trained(model).items()}
    about = {"method": recipe.method, "sizes": json.dumps(recipe.sizes), "backbone": recipe.backbone}
    write_bytes_atomic(Path(folder) / FILE, save(tensors, metadata=about))
    return Path(folder) / FILE


def load_adapter(model: PreTrainedModel, folder: Path) -> nn.Module:
    """`adapt` a fresh backbone as the adapter in `folder` was, and give it that adapter's numbers.

    Raises `LabError`, before the model is touched, if the file is missing or damaged or of another backbone; and if
    its head has other labels.
    """
    path = Path(folder) / FILE
    recipe, tensors = _read(path)
    _check_backbone(path, recipe, fingerprint(model))
    tuned = adapt(model, recipe.method, **recipe.sizes)
    _fill(tuned, tensors, path)
    return tuned


class Adapters:
    """Several adapters of one method and size for one backbone, which is in memory once.

    `use(name)` copies a few tensors into the model: the tasks take turns, they can't be mixed in a batch.
    """

    def __init__(self, model: PreTrainedModel, folders: Mapping[str, Path]) -> None:
        """Read the adapters in `folders`, by name. Raises `LabError` as `load_adapter`, or if they aren't alike."""
        self.model: nn.Module | None = None
        self.tensors: dict[str, dict[str, Tensor]] = {}
        self.paths = {name: Path(folder) / FILE for name, folder in folders.items()}
        for name, path in self.paths.items():
            recipe, self.tensors[name] = _read(path)
            if self.model is None:
                self.model = load_adapter(model, path.parent)
            _check_backbone(path, recipe, self.model.recipe.backbone)
            if recipe != self.model.recipe:
                raise LabError(f"{path} has another method or other sizes than the rest: serve it from its own model")
            self.use(name)

    def use(self, name: str) -> nn.Module:
        """The model with the adapter of this name in it. Raises `LabError` for an unknown one."""
        if name not in self.tensors:
            raise unknown("adapter", name, self.tensors)
        _fill(self.model, self.tensors[name], self.paths[name])
        return self.model


def _trained(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def _read(path: Path) -> tuple[Recipe, dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        raise LabError(f"no adapter in {path.parent}: save one there with save_adapter")
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata()
            recipe = Recipe(about["method"], json.loads(about["sizes"]), about["backbone"])
            return recipe, {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise LabError(f"{path} is damaged, or no adapter of this course ({error}): save it again") from error


def _check_backbone(path: Path, recipe: Recipe, found: str) -> None:
    if recipe.backbone != found:
        raise LabError(
            f"{path} was trained on another backbone (fingerprint {recipe.backbone}, this one's is {found}): "
            "load the model that it was trained on, or train an adapter for this one"
        )


def _fill(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    mine = _trained(model)
    shapes, theirs = ({name: t.shape for name, t in each.items()} for each in (mine, tensors))
    odd = sorted(name for name in shapes | theirs if shapes.get(name) != theirs.get(name))
    if odd:
        raise LabError(f"{path} doesn't fit this model at {odd[0]}: same method, sizes and labels are needed")
    unmerge(model)  # or the last adapter's correction would stay in the matrices
    with torch.no_grad():
        for name, p in mine.items():
            p.copy_(tensors[name])


def report_counts() -> dict[str, tuple[int, int]]:
    """Trainable and all numbers of the GPT-Neo report's two set-ups, and of the model its first number belongs to.

    As `peft` counts, on the meta device, so without weights. In the total it counts a classification head twice, once
    as it was.
    """
    from peft import LoraConfig, PromptTuningConfig
    from transformers import (
        GPTNeoForCausalLM,
        GPTNeoForTokenClassification,
        RobertaConfig,
        RobertaForTokenClassification,
    )

    neo = gpt_neo_1_3b_config()
    neo.num_labels = 11
    roberta = RobertaConfig(  # roberta-large's, from its public config.json
        vocab_size=50_265, hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096,
        max_position_embeddings=514, type_vocab_size=1, num_labels=11,
    )  # fmt: skip
    lora = {"task_type": "TOKEN_CLS", "r": 16, "lora_alpha": 16, "lora_dropout": 0.1, "bias": "all"}
    prompt = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=8)
    with torch.device("meta"):
        models = {
            "LoRA, GPT-Neo 1.3B": _peft(GPTNeoForTokenClassification(neo), LoraConfig(**lora)),
            "LoRA, roberta-large": _peft(RobertaForTokenClassification(roberta), LoraConfig(**lora)),
            "prompt tuning, GPT-Neo 1.3B": _peft(GPTNeoForCausalLM(neo), prompt),
        }
    return {name: model.get_nb_trainable_parameters() for name, model in models.items()}
