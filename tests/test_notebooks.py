"""Every notebook, from first cell to last, as a batch job runs it: the test that the course works."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from labkit.profile import ROOT


def run_all(out, cache, *arguments) -> subprocess.CompletedProcess:
    """`run_all.py` in smoke profile with strict exercises: a master solution that fails its own check fails here."""
    environment = os.environ | {"LABKIT_CACHE": str(cache), "LABKIT_STRICT": "1"}
    environment.pop("OMP_NUM_THREADS", None)
    command = [
        sys.executable,
        "run_all.py",
        "--profile",
        "smoke",
        "--jobs",
        "2",
        "--out",
        str(out),
        *arguments,
    ]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def smoke(tmp_path_factory, corpus_cache):
    out = tmp_path_factory.mktemp("results")
    done = run_all(out, corpus_cache)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return out


def metrics(smoke, notebook: str) -> dict:
    return json.loads((smoke / "smoke" / notebook / "metrics.json").read_text())["metrics"]


def test_every_notebook_ran_to_its_end(smoke):
    run = json.loads((smoke / "smoke" / "run.json").read_text())
    assert {row["id"]: row["status"] for row in run["notebooks"]} == {
        path.stem: "ok" for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")
    }


def test_a_second_run_has_nothing_to_do(smoke, corpus_cache):
    done = run_all(smoke, corpus_cache)
    assert done.returncode == 0
    run = json.loads((smoke / "smoke" / "run.json").read_text())
    assert {row["status"] for row in run["notebooks"]} == {"cached"}


def test_every_figure_is_there_twice_and_described(smoke):
    sidecars = list((smoke / "smoke").glob("*/figures/*.json"))
    assert len(sidecars) >= 5
    for sidecar in sidecars:
        about = json.loads(sidecar.read_text())
        assert about["title"] and len(about["alt"]) > 40
        assert sidecar.with_suffix(".svg").stat().st_size and sidecar.with_suffix(".png").stat().st_size


def test_01_is_gpt2(smoke):
    m = metrics(smoke, "01_build_gpt2")
    assert m["gpt2_small_parameters"]["value"] == 124_439_808
    assert m["hf_max_logit_diff"]["value"] < 1e-5 < m["hf_max_logit_diff_wrong_gelu"]["value"]
    assert m["initial_loss"]["value"] == pytest.approx(m["initial_loss_expected"]["value"], abs=0.1)


def test_02_learns_and_two_processes_are_one(smoke):
    m = {name: metric["value"] for name, metric in metrics(smoke, "02_pretrain_ddp").items()}
    assert m["world_size"] == 2 and m["ddp_max_loss_diff"] < 5e-6 < m["ddp_max_loss_diff_other_seed"]
    assert m["val_loss"] < m["initial_val_loss"] - 0.5 and m["val_bits_per_byte"] < m["uniform_bits_per_byte"]
    assert {"parameters", "train_tokens", "tokens_per_second"} <= m.keys()


def values(smoke, notebook: str) -> dict:
    return {name: metric["value"] for name, metric in metrics(smoke, notebook).items()}


def test_03_trains_each_variant_and_scores_it(smoke):
    """A few steps teach no model to write; but right labels and pretrained weights are worth nats from the first."""
    m = values(smoke, "03_finetune_gpt2")
    assert {"rougeL", "rougeL_lead", "rougeL_random_init"} <= m.keys()
    assert m["rougeL_oracle"] > m["rougeL_lead"] > 0
    broken = ("random_init", "overwritten", "unshifted", "all_three")
    assert m["val_loss"] < min(m[f"val_loss_{cause}"] for cause in broken)


def test_04_has_its_exhibits(smoke):
    m = values(smoke, "04_distilbart")
    assert {"rougeL_student", "rougeL_teacher", "rougeL_lead", "rougeL_shuffled_source", "student_speedup"} <= m.keys()
    assert m["student_speedup"] > 1 and m["rougeL_oracle"] > m["rougeL_lead"]
    assert 0 < m["museum_fp16_gradients_vanished"] < m["museum_fp16_squares_vanished"] <= 1


def test_05_compares_all_methods(smoke):
    m = metrics(smoke, "05_reinforce")
    assert {"rougeL_rloo", "rougeL_ce_control", "rougeL_report_version", "gradient_variance_ratio"} <= m.keys()
    difference = m["rougeL_rloo"]["value"] - m["rougeL_ce_control"]["value"]
    assert m["rloo_minus_ce"]["value"] == pytest.approx(difference)
    assert m["kl_rloo"]["value"] > 0, "not one update reached the policy"


def test_06_has_a_row_for_every_system(smoke):
    m = values(smoke, "06_compare_abstracts")
    table = (smoke / "smoke" / "06_compare_abstracts" / "tables" / "systems.csv").read_text().splitlines()
    rows = [line.partition(",")[0] for line in table[1:]]
    assert rows == ["lead", "oracle", "GPT-2", "BART CE", "BART RL", "wrong paper", "API"]
    assert "not configured" in table[-1] and m["rougeL_oracle"] > m["rougeL_lead"]
