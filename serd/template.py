"""A commented configuration, written from the settings models themselves."""

import ast
import inspect
import json
from pathlib import Path
from types import ModuleType
from typing import Any

from serd import settings


def template() -> str:
    """TOML with every key commented out, its meaning above it, its default beside it."""
    meanings = _docstrings(settings)
    lines = ["# serd's configuration. What stands behind a # is the default."]
    tables = []
    for name, field in settings.Settings.model_fields.items():
        if name == "sources":
            tables += ["", *_comment(meanings["Settings", name]), "[sources]", '# mic = "default"']
        elif isinstance(field.default, settings.Table):
            table = type(field.default)
            tables += ["", *_comment(inspect.getdoc(table) or ""), f"[{name}]"]
            for key, inner in table.model_fields.items():
                tables += _key(key, inner.default, meanings.get((table.__name__, key), ""))
        else:
            lines += _key(name, field.default, meanings.get(("Settings", name), ""))
    return "\n".join([*lines, *tables, ""])


def _key(name: str, default: Any, meaning: str) -> list[str]:
    if default is None or isinstance(default, Path):
        value = '""'
    else:
        value = json.dumps(default) if isinstance(default, (str, bool, int, float)) else '""'
    return [*_comment(meaning), f"# {name} = {value}"]


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
