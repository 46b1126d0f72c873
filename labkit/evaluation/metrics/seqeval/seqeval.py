"""Entity F1 as a metric of Hugging Face `evaluate`: `labkit.evaluation.entities`, strictly in IOB2."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from labkit.evaluation.entities import entity_scores

_TAGS = datasets.List(datasets.Value("string"))


class Seqeval(evaluate.Metric):
    """`compute(predictions=…, references=…)` takes lists of tags and answers as the Hub's metric of this name does.

    `overall_precision`, `overall_recall`, `overall_f1` (micro) and `overall_accuracy` (by word), all 0–1, and for each
    kind of entity `precision`, `recall`, `f1` and `number`.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Entity precision, recall and F1 by seqeval, strictly in IOB2, where the Hub's is lenient.",
            citation="Nakayama 2018, seqeval: A Python framework for sequence labeling evaluation",
            inputs_description="predictions and references: lists of lists of tags such as B-DNA, I-DNA, O",
            features=datasets.Features({"predictions": _TAGS, "references": _TAGS}),
        )

    def _compute(self, predictions: list[list[str]], references: list[list[str]]) -> dict[str, Any]:
        scores = entity_scores(references, predictions)
        kinds = {
            kind: {"precision": one.precision, "recall": one.recall, "f1": one.f1, "number": one.gold}
            for kind, one in scores.kinds.items()
        }
        overall = {name: getattr(scores, name) for name in ("precision", "recall", "f1", "accuracy")}
        return kinds | {f"overall_{name}": value for name, value in overall.items()}
