"""Article → abstract: the papers of a lab's source.

    papers = load_papers(resolve("laptop"))

`embedded` papers are synthetic: with them a model trains for a minute, and what it states can be checked. `local` and
`hub` read PubMed (the report's task) or SciTLDR (an abstract → one sentence).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from labkit.profile import Lab, unknown
from labkit.tasks.papers import Papers
from labkit.tasks.pubmed import load_pubmed
from labkit.tasks.scitldr import load_scitldr
from labkit.tasks.synthetic_papers import synthetic_papers

DATASETS: dict[str, Callable[[Lab], Papers]] = {"pubmed": load_pubmed, "scitldr": load_scitldr}


def load_papers(lab: Lab, dataset: str = "pubmed", optional: bool = False) -> Papers:
    """As many papers as the profile has use for; real ones are taken from the top of their files.

    `dataset` is which real ones; `optional` is `synthetic_papers`'. Raises `LabError` for a dataset that isn't in
    `DATASETS`, or whose files are missing.
    """
    if dataset not in DATASETS:
        raise unknown("dataset", dataset, DATASETS)
    n_train, n_test = lab.profile.train_papers, lab.profile.test_papers
    if lab.source == "embedded":
        return synthetic_papers(n_train, n_test, optional)
    papers = DATASETS[dataset](lab)
    return replace(
        papers, train=papers.train[:n_train], validation=papers.validation[:n_test], test=papers.test[:n_test]
    )
