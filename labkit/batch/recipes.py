"""Recipes: settings of many notebooks under one name, from `data/recipes.yaml`.

    settings = load_recipe("paper", "full", declared)  # ["02_pretrain_ddp.max_steps=19073", …]
    replace(declared, [*settings, *options.set])       # what --set says comes later, so it wins

"paper" is what the documents used, where they say it; "default", the corrected one, is the notebooks as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from labkit.batch.params import Parameter
from labkit.profile import PROFILES, ROOT, LabError, unknown

RECIPES = ROOT / "data" / "recipes.yaml"
DEFAULT = "default"


def load_recipe(
    name: str, profile: str, declared: Mapping[str, Mapping[str, Parameter]], path: Path | None = None
) -> list[str]:
    """What a recipe sets at a profile, spelled as after `--set`.

    `declared` has the parameters of every notebook, by its id. Raises `LabError` for an unknown recipe, and one that
    names the file (`RECIPES`, if no `path` is given) for an entry that no notebook declares, or of another type.
    """
    if name == DEFAULT:
        return []
    path = path or RECIPES
    try:
        recipes = yaml.safe_load(path.read_text(encoding="utf-8"))
        if name not in recipes:
            raise unknown("recipe", name, (DEFAULT, *recipes))
        return list(_settings(recipes[name], profile, declared, path.name))
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise LabError(f"{path} can't be read ({error!r}): its head says how it is written") from None


def _settings(
    recipe: Mapping[str, Any], profile: str, declared: Mapping[str, Mapping[str, Parameter]], file: str
) -> Iterator[str]:
    for notebook, entry in recipe.items():
        if notebook not in declared:
            raise LabError(f"{file}: {unknown('notebook', notebook, declared)}")
        for name, said in entry.get("parameters", {}).items():
            if name not in declared[notebook]:
                raise LabError(f"{file}: {unknown(f'parameter of {notebook}', name, declared[notebook])}")
            parameter, value, at = declared[notebook][name], said["value"], said.get("at", profile)
            if not parameter.accepts(value):  # YAML takes 2e-5 for text, and 2.0e-5 for a number
                found = f"{type(value).__name__} {value!r}"
                raise LabError(f"{file}: {notebook}.{name} must be {parameter.annotation}, not {found}")
            if at not in PROFILES:
                raise LabError(f"{file}: {notebook}.{name}: {unknown('profile', at, PROFILES)}")
            if at == profile:
                yield f"{notebook}.{name}={value!r}"
