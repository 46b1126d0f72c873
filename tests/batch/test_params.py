"""Parameters are checked before anything runs: papermill would only warn, hours later or never."""

from __future__ import annotations

import pytest

from labkit.batch.params import Parameter, read_parameters, replace
from labkit.profile import LabError

FIRST = 'PROFILE: str = "laptop"\nSOURCE: str = ""\nSEED: int = 0\n'


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        ("int", "500", 500),
        ("float", "3e-4", 3e-4),
        ("float", "1", 1),
        ("bool", "False", False),
        ("bool", "true", True),
        ("str", "gpt2", "gpt2"),
        ("str", "2024", "2024"),
        ("str", "'2024'", "2024"),
        ("int | None", "None", None),
        ("list[int]", "[1, 2]", [1, 2]),
        ("dict[str, float]", "{'a': 1}", {"a": 1}),
    ],
)
def test_a_value_of_the_right_type(annotation: str, text: str, value: object):
    parsed = Parameter("x", annotation, None).parse(text)
    assert parsed == value and type(parsed) is type(value)


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        ("int", "many"),
        ("int", "True"),
        ("int", "5.0"),
        ("float", "True"),
        ("bool", "1"),
        ("int | None", "'3'"),
        ("list[int]", "[1, 'a']"),
        ("list[int]", "(1, 2)"),
    ],
)
def test_a_value_of_the_wrong_type_says_which_is_wanted(annotation: str, text: str):
    """A bool is an int to Python: such slips must not pass."""
    with pytest.raises(LabError, match="x must be " + annotation.replace("|", r"\|").replace("[", r"\[")):
        Parameter("x", annotation, None).parse(text)


def test_the_cell_is_read_with_its_types_and_defaults():
    parameters = read_parameters(FIRST + "max_steps: int | None = None  # a = b\nrate: float = -1e-3")
    assert list(parameters) == ["PROFILE", "SOURCE", "SEED", "max_steps", "rate"]
    assert parameters["rate"] == Parameter("rate", "float", -1e-3)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            'SOURCE: str = ""\nPROFILE: str = "laptop"\nSEED: int = 0',
            "must begin with PROFILE: str, SOURCE: str",
        ),
        ('PROFILE: str = "laptop"\nSOURCE: str = ""\nSEED: float = 0', "must begin with"),
        (FIRST + "steps = 3", "only lines like"),
        (FIRST + "import os", "only lines like"),
        (FIRST + "steps: int = 6 * 10", "must be a plain value"),
        (FIRST + 'steps: int = "6"', "declared int, but its default is '6'"),
        (FIRST + "steps: Path = 3", "annotation 'Path' is not one of"),
        (FIRST + "steps: int =", "is not Python"),
    ],
)
def test_a_faulty_cell_is_refused_with_its_fault(source: str, message: str):
    with pytest.raises(LabError, match=message):
        read_parameters(source)


DECLARED = {
    "01_one": read_parameters(FIRST),
    "02_two": read_parameters(FIRST + "max_steps: int = 600"),
}


def test_settings_reach_their_notebook_and_a_seed_reaches_all():
    replaced = replace(DECLARED, ["02.max_steps=500", "SEED=1", "02_two.SEED=2"])
    assert replaced == {"01_one": {"SEED": 1}, "02_two": {"SEED": 2, "max_steps": 500}}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("02.max_step=5", "unknown parameter of 02_two 'max_step': did you mean 'max_steps'"),
        ("01.max_steps=5", "unknown parameter of 01_one 'max_steps'"),
        ("03.max_steps=5", "unknown notebook '03'"),
        ("02.max_steps=lots", "--set 02.max_steps=lots: max_steps must be int, not str 'lots'"),
        ("max_steps=5", "write it like --set 02.max_steps=500"),
        ("02.max_steps", "write it like"),
        ("02.PROFILE=smoke", "set it with --profile"),
    ],
)
def test_a_faulty_setting_is_refused_with_the_remedy(setting: str, message: str):
    with pytest.raises(LabError) as caught:
        replace(DECLARED, [setting])
    assert message in str(caught.value)
