"""A configuration's fields as the options of a command, so that a run in a notebook and one under torchrun agree."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from typing import TypeVar

Config = TypeVar("Config")


def parse_config(
    config: type[Config], prog: str, description: str, argv: Sequence[str] | None, said: Mapping[str, str]
) -> Config:
    """The dataclass `config` from a command line: `max_steps: int` is `--max-steps`, a bool is a flag.

    A field without a default is required; one whose default is None or empty has its value elsewhere, as a rule in the
    profile. `said` are texts of help that replace the ones made here.
    """
    parser = argparse.ArgumentParser(
        prog=prog, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    types = {"str": str, "int": int, "float": float}
    for f in dataclasses.fields(config):
        flag = "--" + f.name.replace("_", "-")
        if f.type == "bool":
            parser.add_argument(flag, action="store_true", help=said.get(f.name))
            continue
        required = f.default is dataclasses.MISSING
        default = None if required else f.default
        usual = "required" if required else f"default: {default if default not in (None, '') else 'the profile’s'}"
        kind = types[f.type.removesuffix(" | None")]
        parser.add_argument(flag, type=kind, default=default, required=required, help=said.get(f.name, usual))
    return config(**vars(parser.parse_args(argv)))
