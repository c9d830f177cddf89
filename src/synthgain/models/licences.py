"""What the weights that a URI names say of their licence and descent. Nothing is loaded, and nothing is fetched."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthgain.models.fetching import on_hub
from synthgain.models.known import KNOWN
from synthgain.models.weights import HUB, hub_file, metadata
from synthgain.types import SynthgainError

HEAD = 20_000  # characters of a README that are read


@dataclass(frozen=True)
class Licensed:
    """A licence as weights name it (None: they name none), and the names that they have or come from."""

    licence: str | None = None
    names: tuple[str, ...] = ()


def licensed(uri: str) -> Licensed | None:
    """Of local/…, hf://… and hf/…; None for a model whose weights are elsewhere."""
    if uri.startswith(HUB):
        return _of_file(_on_hub(uri), uri)
    kind, _, name = uri.partition("/")
    if kind == "local":
        name = name.rpartition("?threads=")[0] or name
        if (known := KNOWN.get(name)) is not None:
            return Licensed(known.licence, (name, known.hub))
        return _of_file(_on_hub(name) if name.startswith(HUB) else Path(name).expanduser(), name)
    return _of_folder(Path(name).expanduser()) if kind in ("hf", "reward") else None


def _on_hub(uri: str) -> Path | None:
    return on_hub(*hub_file(uri))


def _of_file(path: Path | None, name: str) -> Licensed:
    fields: Mapping[str, Any] = {}
    with contextlib.suppress(SynthgainError):  # whoever opens it says what is wrong with it
        fields = metadata(path) if path is not None else {}
    said = ("general.name", "general.basename", "general.organization", "general.architecture", "general.license.name")
    names = [str(fields[key]) for key in said if fields.get(key)]
    names += [str(value) for key, value in fields.items() if re.fullmatch(r"general\.base_model\.\d+\.name", key)]
    licence = fields.get("general.license.name") if fields.get("general.license") == "other" else None
    licence = licence or fields.get("general.license")
    return Licensed(None if licence is None else str(licence), (*names, Path(name).name))


def _of_folder(folder: Path) -> Licensed:
    """From the header of the folder's README.md, and its config.json."""
    names, head = [folder.name], ""
    with contextlib.suppress(OSError):
        with (folder / "README.md").open(encoding="utf-8", errors="replace") as file:
            head = file.read(HEAD)
    head = head.split("\n---", 1)[0] if head.startswith("---") else ""
    said = dict(re.findall(r"(?m)^(license|license_name|base_model)\s*:[ \t]*[\"']?([^\n\"']+)", head))
    names += re.findall(r"(?m)^-[ \t]*[\"']?([\w.-]+/[\w.-]+)", head.partition("base_model:")[2][:300])
    with contextlib.suppress(OSError, ValueError):
        config = json.loads((folder / "config.json").read_text("utf-8"))
        names += [str(config[key]) for key in ("_name_or_path", "model_type") if config.get(key)]
    licence = said.get("license_name") if said.get("license", "").strip() == "other" else None
    return Licensed((licence or said.get("license", "")).strip() or None, (*names, said.get("base_model", "")))
