"""Equal compute must be equal: a recipe that gets more steps than it paid for wins for nothing."""

from __future__ import annotations

from benchmarks import recipes


def test_dearer_steps_are_fewer(monkeypatch):
    cost = {"adamw": 1.0, "muon": 2.0, "gpt3": 0.5}
    monkeypatch.setattr(recipes.Stepper, "__init__", lambda self, recipe, p: setattr(self, "recipe", recipe))
    monkeypatch.setattr(recipes.Stepper, "seconds", lambda self: next(
        cost[name] for name in cost if recipes.RECIPES[name] is self.recipe))  # fmt: skip
    assert recipes.equal_steps("smoke", 100, ["muon", "gpt3"]) == {"muon": 50, "gpt3": 200}


def test_every_recipe_can_be_timed_and_trained(corpus_cache):
    for recipe in recipes.RECIPES.values():
        assert recipes.Stepper(recipe, recipes.PROFILES["smoke"]).seconds() > 0
    assert 2 < recipes.bits_per_byte("default", "smoke", steps=8, seed=0) < 5


def test_the_table_compares_equal_numbers_of_seeds():
    rows = recipes.table({"adamw": [2.0, 2.2, 9.0], "muon": [1.8, 2.0]}, {"adamw": 10, "muon": 9}, seeds=2)
    assert [round(row["bits_per_byte"], 3) for row in rows] == [2.1, 1.9]
    assert round(rows[1]["against adamw, %"], 1) == -9.5
