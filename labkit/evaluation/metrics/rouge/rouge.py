"""ROUGE as a metric of Hugging Face `evaluate`: the means of `labkit.evaluation.rouge` over the pairs."""

from __future__ import annotations

from statistics import fmean

import datasets
import evaluate

from labkit.evaluation.rouge import rouge

_TEXT = datasets.Value("string")


class Rouge(evaluate.Metric):
    """`compute(predictions=…, references=…)` gives mean F1, 0–1: `rouge1`, `rouge2`, `rougeL`, `rougeLsum`."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="ROUGE without stemming; equals rouge-score to the last digit for each pair.",
            citation="Lin 2004, ROUGE: A Package for Automatic Evaluation of Summaries",
            inputs_description="predictions and references: lists of texts of equal length",
            features=datasets.Features({"predictions": _TEXT, "references": _TEXT}),
        )

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, float]:
        return {name: fmean(scores) for name, scores in rouge(predictions, references).items()}
