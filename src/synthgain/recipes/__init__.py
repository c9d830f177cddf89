"""φ: recipes. Each file of this folder is one system, and the file's name is the recipe's name.

There is no list to keep: a file here is found by its name, a file anywhere else by its path. Either
ends with `RECIPE = Recipe(…)`.
"""

from __future__ import annotations

import difflib
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from synthgain.curate.files import read_from_file
from synthgain.types import Recipe, SynthgainError

__all__ = ["load", "names"]


def names() -> list[str]:
    """The shipped recipes."""
    return sorted(module.name.replace("_", "-") for module in iter_modules(__path__))


def load(name_or_path: str | Path) -> Recipe:
    """The recipe of that name, or the RECIPE of that .py file. SynthgainError where there is none."""
    name = str(name_or_path)
    if isinstance(name_or_path, Path) or name.endswith(".py") or "/" in name or "\\" in name:
        recipe = read_from_file(name, "RECIPE")
    elif name.replace("_", "-") in names():
        recipe = import_module(f"{__name__}.{name.replace('-', '_')}").RECIPE
    else:
        near = difflib.get_close_matches(name.lower(), names(), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise SynthgainError(
            f"there is no recipe {name!r}",
            next=f"{hint}the recipes are: {', '.join(names())}; or give the path of a .py file",
        )
    if not isinstance(recipe, Recipe):
        raise SynthgainError(
            f"RECIPE is a {type(recipe).__name__}, not a Recipe",
            where=name,
            next="end the file with RECIPE = Recipe(…)",
        )
    return recipe
