"""The table of HOUSE.md, "Who may import whom", held against the code."""

import ast
from pathlib import Path

SRC = Path(__file__).parent.parent / "src" / "synthgain"
ROOMS = {
    p.stem if p.is_file() else p.name for p in SRC.iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()
} - {"__init__", "__main__"}
LEAVES = {  # beside `types`: one idea each, that rooms which do not know each other must share
    "facts",  # names and numbers of a text
    "intervals",
    "machine",  # what the processor computes in hardware
    "meanings",
    "numbers",  # how a figure and its interval are written, on the screen, a page and a card
    "passages",  # how a text is cut
    "prompting",  # what prompts on documents share
    "repetition",  # what reading a source again is worth
    "settings",
    "thinking",  # what of an answer was thought
    "turns",  # what other people's rows mean
    "words",  # what a word is
}
MAY = {
    "types": set(),
    **{leaf: set() for leaf in LEAVES},
    "chain": {"store"},
    "engines": {"chain", "store"},
    "loop": {"chain"},
    "report": {"store"},
    "anchors": {"store"},
    "recipes": {"curate"},
    "curate": {"models", "sandbox"},
    "measure": {"models"},
    "api": ROOMS - {"cli"},
    "cli": {"api"},  # and the thin skin: errors, the live panel, lists of what there is (below)
}


def imports(file: Path) -> set[str]:
    """Our rooms that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] if node.module != "synthgain" else [f"synthgain.{a.name}" for a in node.names]
        elif isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        found |= {n.split(".")[1] for n in names if n.startswith("synthgain.")}
    return found


def test_each_room_imports_only_what_the_house_allows() -> None:
    wrong = []
    for file in SRC.rglob("*.py"):
        room = file.relative_to(SRC).parts[0].removesuffix(".py")
        if room in ("__init__", "__main__"):
            continue
        allowed = {"types", *LEAVES, room} | MAY.get(room, set())
        if room == "cli":  # the thin skin: errors, the live panel, and lists of what there is
            allowed |= {"report", "recipes", "models"}
        wrong += [f"{file.relative_to(SRC)} imports {other}" for other in sorted(imports(file) - allowed)]
    assert not wrong, "\n".join(wrong)


def test_types_import_the_standard_library_only() -> None:
    import sys

    for node in ast.walk(ast.parse((SRC / "types.py").read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.module is not None and node.module.split(".")[0] in sys.stdlib_module_names
        elif isinstance(node, ast.Import):
            assert all(a.name.split(".")[0] in {*sys.stdlib_module_names, "pyarrow"} for a in node.names)


def test_no_file_is_named_for_nothing() -> None:
    empty = ("util", "helper", "common", "manager", "base", "abstract", "registry", "factory")
    assert not [f for f in SRC.rglob("*.py") if any(word in f.stem for word in empty)]
