"""A ledger of two claims, one to test and one that can't be, for the tests of the report."""

from __future__ import annotations

import yaml

from labkit.files import write_json_atomic
from labkit.report.ledger import Ledger, load_claims

SMALL = yaml.safe_load("""
documents:
  - {id: a, title: report, about: words, exhibits: [{where: Table 1, shows: numbers,
      reported: {columns: [x, y], rows: [[1, 2]]}, figures: [02_x/curve], tables: [02_x/rows]}]}
claims:
  - {id: high, document: a, where: p. 1, says: it is high, comparable: true, why: same, measured: "{02_x/score}",
     holds_if: [{metric: 02_x/score, above: 0.5}], refuted_if: [{metric: 02_x/score, below: 0.5}]}
  - {id: far, document: a, where: p. 2, says: it is far, comparable: false, why: too big, untestable: no telescope}
""")


def written(tmp_path, ledger) -> Ledger:
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump(ledger))
    return load_claims(path)


def recorded(folder, notebook="02_x", **metrics):
    entries = {name: {"value": value, "unit": "", "n": None, "ci95": ci} for name, (value, ci) in metrics.items()}
    write_json_atomic(folder / notebook / "metrics.json", {"metrics": entries})
