"""Does prompt tuning work because pretraining has met the label words, whatever the seed? Several trainings tell.

    python -m benchmarks.prompt_tuning [--task sentiment] [--seeds 3] [--source embedded] [--epochs 10]

The same tuning on two backbones that differ in nothing but the notes they were pretrained on (`tasks.mixture`), as in
notebooks 08 and 09, beside the majority class and a linear model on the same training examples. A seed draws these
examples and their order; backbones, the start of the prompt and the test examples are the same for all. Intervals are
over seeds, Student's, of differences within a seed too. About two minutes a seed on two cores, and as many for the
backbones if they aren't kept already. With --source hub there is but one backbone, and no one knows what it read.
Writes results/bench/prompt_tuning_<task>.json; after Ctrl-C too, with the seeds that were finished.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from tqdm import tqdm

from benchmarks.publish import columns_over_seeds, publish
from labkit.evaluation import classification
from labkit.evaluation.labels import score_labels
from labkit.models.soft_prompt import SoftPrompt
from labkit.profile import PROFILES, SOURCES, Lab, pick_device, resolve
from labkit.tasks.labelled import Example, Labelled
from labkit.tasks.paraphrase import load_paraphrase
from labkit.tasks.sentiment import load_sentiment
from labkit.training.tuning import encode_examples, tune
from labkit.zoo import load_backbone

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

TOKENS, RATE, BATCH = 20, 0.03, 16
WITH, WITHOUT = "prompt tuning, notes", "prompt tuning, no notes"
BACKBONES = {WITH: "neo", WITHOUT: "neo-no-notes"}
MEASURED = ("accuracy", "macro_f1")


class Task(NamedTuple):
    """A dataset and the words that a prompt begins as."""

    load: Callable[[Lab], Labelled[Any]]
    start: str


TASKS = {
    "sentiment": Task(load_sentiment, "Is the tone of this sentence negative, neutral or positive? The tone is"),
    "paraphrase": Task(load_paraphrase, "Are the two sentences equivalent or not equivalent in meaning? They are"),
}

Backbone = tuple["PreTrainedModel", "PreTrainedTokenizerFast"]
Scores = dict[str, dict[str, float]]  # system → measured → value


def predict(
    backbone: Backbone, start: str, train: Sequence[Example], data: Labelled[Any], epochs: float, seed: int
) -> list[int]:
    """The labels that a prompt, tuned on `train`, gives the test examples."""
    model, tokenizer = backbone
    soft = SoftPrompt(model, TOKENS, tokenizer(start, add_special_tokens=False)["input_ids"]).to(pick_device())
    pairs = encode_examples(tokenizer, train, data.labels, model.config.max_position_embeddings - TOKENS)
    tune(soft, pairs, epochs, RATE, BATCH, seed)
    return score_labels(soft, tokenizer, [e.prompt for e in data.test], data.labels).argmax(1).tolist()


def run_seed(
    backbones: Mapping[str, Backbone], start: str, data: Labelled[Any], n_train: int, epochs: float, seed: int
) -> Scores:
    """Every system's scores on the test examples, with the training examples that this seed draws."""
    train = random.Random(seed).sample(data.train, min(n_train, len(data.train)))
    systems: dict[str, Callable[[], list[int]]] = {
        "majority": lambda: classification.majority(data.train, data.test),
        "TF-IDF": lambda: classification.tfidf_logistic(train, data.test),
    }
    for name, backbone in backbones.items():
        systems[name] = lambda backbone=backbone: predict(backbone, start, train, data, epochs, seed)
    truth, found = [example.label for example in data.test], {}
    for name, system in systems.items():
        began = time.perf_counter()
        scores = classification.score(truth, system(), len(data.labels))
        seconds = time.perf_counter() - began
        found[name] = {"accuracy": scores.accuracy, "macro_f1": scores.macro_f1, "seconds": seconds}
    return found


def table(seeds: Sequence[Scores]) -> list[dict[str, object]]:
    """A row a system, and a row for what notes are worth and for what is above the baselines, within each seed."""
    rows = [_row(name, [seed[name] for seed in seeds]) for name in seeds[0]]
    for other in (WITHOUT, "majority", "TF-IDF"):
        if other in seeds[0]:
            gains = [{m: seed[WITH][m] - seed[other][m] for m in MEASURED} for seed in seeds]
            rows.append(_row(f"notes minus {other.removeprefix('prompt tuning, ')}", gains))
    return rows


def _row(name: str, seeds: Sequence[dict[str, float]]) -> dict[str, object]:
    row: dict[str, object] = {"system": name}
    for measured in MEASURED:
        row |= columns_over_seeds(measured, [seed[measured] for seed in seeds])
    return row | {"seconds": fmean(seed["seconds"] for seed in seeds) if "seconds" in seeds[0] else None}


def fitting(data: Labelled[Any], backbones: Mapping[str, Backbone]) -> Labelled[Any]:
    """Those examples whose prompt and answer fit behind a soft prompt, whichever the backbone."""

    def fits(example: Example) -> bool:
        return all(
            len(tokenizer(example.prompt)["input_ids"]) + 8 + TOKENS <= model.config.max_position_embeddings
            for model, tokenizer in backbones.values()
        )

    splits = ([e for e in split if fits(e)] for split in (data.train, data.validation, data.test))
    return Labelled(data.labels, *splits, data.name, data.dropped)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="sentiment", choices=TASKS, help="default: sentiment")
    parser.add_argument("--seeds", type=int, default=3, help="trainings on each backbone (default: 3)")
    parser.add_argument("--source", default="embedded", choices=SOURCES, help="of the examples (default: embedded)")
    parser.add_argument("--profile", default="laptop", choices=PROFILES, help="whose backbones (default: laptop)")
    parser.add_argument("--train", type=int, default=800, help="examples to train on (default: 800)")
    parser.add_argument("--epochs", type=float, default=10, help="of each training (default: 10)")
    args = parser.parse_args(argv)
    lab, task = resolve(args.profile, args.source), TASKS[args.task]
    names = {system: name for system, name in BACKBONES.items() if args.source != "hub" or name == "neo"}
    backbones = {system: load_backbone(lab, name) for system, name in names.items()}
    data = fitting(task.load(lab), backbones)
    finished: list[Scores] = []
    bar = tqdm(range(args.seeds), desc="seeds")
    try:
        for seed in bar:
            finished.append(run_seed(backbones, task.start, data, args.train, args.epochs, seed))
            bar.set_postfix_str(", ".join(f"{name} {s['accuracy']:.3f}" for name, s in finished[-1].items()))
    except KeyboardInterrupt:
        print("interrupted")
    if finished:
        title = f"{data.name}: {args.train} examples, {args.epochs:g} epochs, {len(finished)} seeds"
        facts = vars(args) | {"seeds": finished, "data": data.name, "tested": len(data.test)}
        publish(f"prompt_tuning_{args.task}", title, table(finished), **facts)


if __name__ == "__main__":
    main()
