"""A commented configuration, written from the settings models themselves."""

import ast
import inspect
import json
from types import ModuleType

from pydantic.fields import FieldInfo

from serd import settings


def template() -> str:
    """TOML with every key commented out, its meaning above it, its default beside it."""
    meanings = _docstrings(settings)
    lines = [
        "# serd's configuration. What stands behind a # is the default. Paths without a / at their",
        "# beginning count from the folder that serd is started in: for the service that is /.",
    ]
    tables = []
    for name, field in settings.Settings.model_fields.items():
        if name == "sources":
            tables += ["", *_comment(meanings["Settings", name]), "[sources]"]
            tables += [f"{key} = {json.dumps(spec)}" for key, spec in field.default.items()]
        elif isinstance(field.default, settings.Table):
            table = type(field.default)
            tables += ["", *_comment(inspect.getdoc(table) or ""), f"[{name}]"]
            for key, inner in table.model_fields.items():
                tables += _key(key, inner, meanings.get((table.__name__, key), ""))
        else:
            lines += _key(name, field, meanings.get(("Settings", name), ""))
    return "\n".join([*lines, *tables, ""])


def _key(name: str, field: FieldInfo, meaning: str) -> list[str]:
    default = field.get_default(call_default_factory=True)
    # JSON's strings and numbers are TOML's; TOML has no null, for which "" is taken.
    return [*_comment(meaning), f"# {name} = {json.dumps('' if default is None else default)}"]


def _comment(text: str) -> list[str]:
    return [f"# {line.strip()}" for line in text.replace("`", "").splitlines() if line.strip()]


def _docstrings(module: ModuleType) -> dict[tuple[str, str], str]:
    """The strings below the fields of each class: the only place where they are explained."""
    found = {}
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ClassDef):
            for field, text in zip(node.body, node.body[1:], strict=False):
                if (
                    isinstance(field, ast.AnnAssign)
                    and isinstance(field.target, ast.Name)
                    and isinstance(text, ast.Expr)
                    and isinstance(text.value, ast.Constant)
                ):
                    found[node.name, field.target.id] = inspect.cleandoc(str(text.value.value))
    return found
