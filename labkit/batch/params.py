"""Parameters of a notebook: read from its cell with `ast`, replaced from the command line, strictly checked.

The cell tagged `parameters` holds annotated assignments of plain values only, the same three first::

    PROFILE: str = "laptop"
    SOURCE: str = ""
    SEED: int = 0
    max_steps: int | None = None

papermill only warns of an unknown name, runs on with a value of the wrong type, and reads the cell with
regular expressions that skip what they can't parse. Here everything is checked before anything runs.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labkit.profile import LabError, unknown

FOR_ALL = ("SEED", "dry_run")  # parameters that are set without a notebook's number
FIRST_THREE = {"PROFILE": "str", "SOURCE": "str", "SEED": "int"}
_TYPES = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "list": list,
    "dict": dict,
    "None": type(None),
}


@dataclass(frozen=True)
class Parameter:
    """One line of the parameters cell: `name: annotation = default`."""

    name: str
    annotation: str
    default: object

    def accepts(self, value: object) -> bool:
        """Whether `value` is what the annotation says: an int will do for a float, a bool is not an int."""
        return _fits(value, ast.parse(self.annotation, mode="eval").body)

    def parse(self, text: str) -> object:
        """The value a command line means by `text`. Raises `LabError` if its type is not the annotation's."""
        try:
            value = ast.literal_eval({"true": "True", "false": "False"}.get(text, text))
        except (ValueError, SyntaxError):
            value = text
        if self.accepts(value):
            return value
        if self.accepts(text):  # a str that looks like something else, such as 2024
            return text
        raise LabError(f"{self.name} must be {self.annotation}, not {type(value).__name__} {value!r}")


def _fits(value: object, annotation: ast.expr) -> bool:
    match annotation:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _fits(value, left) or _fits(value, right)
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            return isinstance(value, list) and all(_fits(v, item) for v in value)
        case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[key, item])):
            return isinstance(value, dict) and all(_fits(k, key) and _fits(v, item) for k, v in value.items())
        case ast.Constant(value=None):
            return value is None
        case ast.Name(id=name) if name in _TYPES:
            if isinstance(value, bool):
                return name == "bool"
            return isinstance(value, (int, float) if name == "float" else _TYPES[name])
    raise LabError(
        f"the annotation {ast.unparse(annotation)!r} is not one of "
        "str, int, float, bool, None, list[…], dict[…, …], or some of these joined by |"
    )


def read_parameters(source: str) -> dict[str, Parameter]:
    """The parameters that the source of a parameters cell declares, in its order. Raises `LabError`."""
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise LabError(f"the parameters cell is not Python: {error}") from None
    parameters = {}
    for statement in statements:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=ast.expr() as value):
                parameters[name] = _declared(name, annotation, value)
            case _:
                line = ast.unparse(statement)
                raise LabError(f"the parameters cell may hold only lines like 'steps: int = 600', not {line!r}")
    declared = {name: p.annotation for name, p in list(parameters.items())[:3]}
    if list(declared.items()) != list(FIRST_THREE.items()):
        wanted = ", ".join(f"{name}: {annotation}" for name, annotation in FIRST_THREE.items())
        raise LabError(f"the parameters cell must begin with {wanted}")
    return parameters


def _declared(name: str, annotation: ast.expr, value: ast.expr) -> Parameter:
    try:
        parameter = Parameter(name, ast.unparse(annotation), ast.literal_eval(value))
    except ValueError:
        raise LabError(f"the default of {name} must be a plain value, not {ast.unparse(value)!r}") from None
    if not parameter.accepts(parameter.default):
        raise LabError(f"{name} is declared {parameter.annotation}, but its default is {parameter.default!r}")
    return parameter


def replace(declared: Mapping[str, Mapping[str, Parameter]], settings: Sequence[str]) -> dict[str, dict[str, object]]:
    """Check the command line's `02.max_steps=500` and sort them by notebook; `SEED=1` goes to all that have it.

    Args:
        declared: the parameters of every notebook, by notebook id.
        settings: what followed each `--set`.

    Returns:
        for every notebook id, the values replaced (perhaps none).
    """
    replaced: dict[str, dict[str, object]] = {notebook: {} for notebook in declared}
    for setting in settings:
        left, equals, text = setting.partition("=")
        where, dot, name = left.strip().rpartition(".")
        if not equals or not (dot or name in FOR_ALL):
            raise LabError(f"--set {setting}: write it like --set 02.max_steps=500 (or --set SEED=1 for all notebooks)")
        if name in ("PROFILE", "SOURCE"):
            raise LabError(f"--set {setting}: {name} is one for all notebooks, set it with --{name.lower()}")
        if dot and name == "dry_run":  # the others would begin their hours of work
            raise LabError(f"--set {setting}: {name} is one for all: --set {name}={text.strip()} --only {where}")
        for notebook in [find(where, declared)] if dot else [id_ for id_ in declared if name in declared[id_]]:
            if name not in declared[notebook]:
                raise unknown(f"parameter of {notebook}", name, declared[notebook])
            try:
                replaced[notebook][name] = declared[notebook][name].parse(text.strip())
            except LabError as error:
                raise LabError(f"--set {setting}: {error}") from None
    return replaced


def find(name: str, ids: Sequence[str] | Mapping[str, object]) -> str:
    """The notebook that `name` means, by its id or its number. Raises `LabError` with the nearest one."""
    for notebook in ids:
        if name == notebook or name.zfill(2) == notebook.split("_")[0]:
            return notebook
    raise unknown("notebook", name, ids)
