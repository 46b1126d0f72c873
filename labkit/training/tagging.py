"""Tagging words with a GPT-Neo and Hugging Face's `Trainer`, as the GPT-Neo report does.

    examples = align(tokenizer, data.train, max_tokens=256, at="last")
    model = adapt(tagger(backbone), "lora", r=16, alpha=16, dropout=0.1, bias="all")
    rows = train_tagger(model, tokenizer, examples, epochs=3, lr=1e-3)
    tags = tag(model, tokenizer, align(tokenizer, data.test, 256, at="last"), data.test)

What `Trainer` brings: AdamW with a learning rate that falls in a line to 0, clipped gradients, shuffling, scoring after
each epoch. What it would do unasked is turned off: saving, reporting, hiding a loss that is no number, and spreading a
batch over all GPUs, which would multiply it.

Scores are entity F1 of *words*; those that were cut off at the end of the context count as missed.
"""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from tqdm import tqdm
from transformers import (
    DataCollatorForTokenClassification,
    EvalPrediction,
    GPTNeoForTokenClassification,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from labkit.evaluation.metrics import metric_path
from labkit.models.checkpointing import spare_activations
from labkit.profile import LabError, autocast, pick_device, pick_dtype
from labkit.tasks.alignment import Example, word_predictions
from labkit.tasks.ner import LABELS, Sentence
from labkit.training.finetune import Diverged

if TYPE_CHECKING:
    from transformers import GPTNeoForCausalLM, PreTrainedTokenizerFast

Rows = list[dict[str, Any]]


def tagger(backbone: GPTNeoForCausalLM, seed: int = 0) -> GPTNeoForTokenClassification:
    """A copy of the backbone's layers with a new head for `LABELS` on them; `seed` decides where the head begins.

    Without dropout before the head (`transformers` adds 0.1): what drops out is the adapter's business.
    """
    config = copy.deepcopy(backbone.config)
    config.classifier_dropout = 0.0
    config.id2label = dict(enumerate(LABELS))
    config.label2id = {label: i for i, label in enumerate(LABELS)}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = GPTNeoForTokenClassification(config).to(backbone.dtype)
    model.transformer.load_state_dict(backbone.transformer.state_dict())
    return spare_activations(model).eval()


def train_tagger(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerFast,
    examples: Sequence[Example],
    epochs: float,
    lr: float,
    batch_size: int = 16,
    seed: int = 0,
    held_out: tuple[Sequence[Example], Sequence[Sentence]] | None = None,
    rows: Rows | None = None,
) -> Rows:
    """Train what is trainable on aligned `examples`; the model is left where it was trained, ready to evaluate.

    The log has rows {"step", "epoch", "loss"} (nats a word, averaged since the last of about 40 such rows), and with
    `held_out`, examples and their sentences, {"step", "epoch", "val_loss", "precision", "recall", "f1", "accuracy"}:
    before the first step, and after each epoch. They are added to `rows` the moment they are known, so what was
    logged survives Ctrl-C. Raises `Diverged` for a loss that isn't finite, `LabError` if there is nothing to train on.
    """
    if not examples:
        raise LabError("there is nothing to train on: give train_tagger at least one example")
    log = _Log([] if rows is None else rows)
    with tempfile.TemporaryDirectory() as unused:  # Trainer wants a folder, even if it saves nothing
        trainer = Trainer(
            model,
            _arguments(unused, epochs, lr, batch_size, seed, evaluates=held_out is not None),
            DataCollatorForTokenClassification(tokenizer),
            train_dataset=examples,
            eval_dataset=held_out[0] if held_out else None,
            compute_metrics=_Metrics(held_out[1]) if held_out else None,
            preprocess_logits_for_metrics=lambda logits, labels: logits.argmax(-1),  # a label, not eleven logits
            callbacks=[log],
        )
        trainer.remove_callback(PrinterCallback)
        try:
            trainer.train()
        finally:
            log.bar.close()
            model.eval()
    return log.rows


@torch.no_grad()
def tag(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerFast,
    examples: Sequence[Example],
    sentences: Sequence[Sentence],
    batch_size: int = 64,
) -> list[list[str]]:
    """A tag for each word of the sentences that `examples` were aligned from; O for words that were cut."""
    device = next(model.parameters()).device
    collate = DataCollatorForTokenClassification(tokenizer)
    model.eval()
    found: list[list[str]] = []
    for i in tqdm(range(0, len(examples), batch_size), desc="tagging", leave=False):
        batch = collate(list(examples[i : i + batch_size]))
        labels = batch.pop("labels").tolist()
        with autocast(device):
            logits = model(**batch.to(device)).logits
        found += word_predictions(logits.argmax(-1).tolist(), labels, sentences[i : i + batch_size])
    return found


def _arguments(folder: str, epochs: float, lr: float, batch_size: int, seed: int, evaluates: bool) -> TrainingArguments:
    """The report's, with nothing saved; bf16 where the machine multiplies in it."""
    device = pick_device()
    arguments = TrainingArguments(
        folder, learning_rate=lr, num_train_epochs=epochs, weight_decay=0.01, seed=seed, data_seed=seed,
        per_device_train_batch_size=batch_size, per_device_eval_batch_size=64,
        bf16=pick_dtype(device) == torch.bfloat16, save_strategy="no", report_to="none",
        eval_strategy="epoch" if evaluates else "no", eval_on_start=evaluates,
        logging_steps=0.025, logging_nan_inf_filter=False, disable_tqdm=True, remove_unused_columns=False,
        use_cpu=device.type == "cpu", dataloader_pin_memory=device.type == "cuda",
    )  # fmt: skip
    arguments._n_gpu = min(1, arguments.n_gpu)  # it has no option for it
    return arguments


class _Metrics:
    """Trainer's predictions and labels, as ids with padding → entity scores of the sentences' words."""

    def __init__(self, sentences: Sequence[Sentence]) -> None:
        import evaluate

        self.sentences = sentences
        self.seqeval = evaluate.load(metric_path("seqeval"))

    def __call__(self, found: EvalPrediction) -> dict[str, float]:
        predicted = word_predictions(found.predictions, found.label_ids, self.sentences)
        scores = self.seqeval.compute(predictions=predicted, references=[list(s.tags) for s in self.sentences])
        return {name: scores[f"overall_{name}"] for name in ("precision", "recall", "f1", "accuracy")}


class _Log(TrainerCallback):
    """Trainer's log as rows, and a progress bar."""

    KEPT = ("loss", "val_loss", "precision", "recall", "f1", "accuracy")

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.bar = tqdm(desc="tuning", leave=False)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any) -> None:
        logs = {name.replace("eval_loss", "val_loss").removeprefix("eval_"): x for name, x in given["logs"].items()}
        row = {name: logs[name] for name in self.KEPT if name in logs}
        if row:  # Trainer's last words are about time
            self.rows.append({"step": state.global_step, "epoch": state.epoch or 0.0, **row})
        if not math.isfinite(row.get("loss", 0.0)):
            raise Diverged(state.global_step, self.rows)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any) -> None:
        self.bar.total = state.max_steps
        self.bar.update(state.global_step - self.bar.n)
