"""hf://owner/name[/config][:split]: rows of a data set on the hub, streamed through `datasets`."""

from __future__ import annotations

from typing import Any

from synthgain.anchors.notes import Notes
from synthgain.anchors.tables import Rows, rows_of
from synthgain.types import SynthgainError

SCHEME = "hf://"
ROWS = 256  # at a time


def hub_rows(uri: str, notes: Notes) -> Rows:
    """The rows. SynthgainError (code 4) where the hub cannot be reached, (code 2) where the data set is not there."""
    name, config, split = _parts(uri)
    try:
        import datasets
    except ImportError as error:
        raise SynthgainError(
            "hf:// needs the library `datasets`", where=uri, next='pip install "synthgain[hub]"'
        ) from error
    try:
        loaded: Any = datasets.load_dataset(name, config, split=split, streaming=True)
        if split is None:
            loaded = _only_split(loaded, uri)
        yield from rows_of(
            (batch for table in loaded.with_format("arrow").iter(batch_size=ROWS) for batch in table.to_batches()),
            uri,
            notes,
        )
    except SynthgainError:
        raise
    except Exception as error:  # datasets raises whatever its loaders, the hub client and the network raise
        raise _said(error, uri) from error


def _parts(uri: str) -> tuple[str, str | None, str | None]:
    path, _, split = uri.removeprefix(SCHEME).partition(":")
    parts = path.removeprefix("datasets/").split("/")
    if not 2 <= len(parts) <= 3 or not all(parts):
        raise SynthgainError(
            "this names no data set",
            where=uri,
            next="write hf://owner/name, hf://owner/name:split or hf://owner/name/config:split",
        )
    return "/".join(parts[:2]), parts[2] if len(parts) == 3 else None, split or None


def _only_split(loaded: Any, uri: str) -> Any:
    names = list(loaded)
    if len(names) == 1:
        return loaded[names[0]]
    raise SynthgainError(
        f"this data set has several splits: {', '.join(names)}", where=uri, next=f"name one: {uri}:{names[0]}"
    )


def _said(error: Exception, uri: str) -> SynthgainError:
    said = " ".join(str(error).split())[:400]
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if kinds & {"DatasetNotFoundError", "RepositoryNotFoundError", "GatedRepoError"}:
        return SynthgainError(
            f"there is no such data set on the hub, or it is not open to you ({said})",
            where=uri,
            next="check the name; for a gated or private one set HF_TOKEN",
        )
    if kinds & {
        "ConnectionError",
        "TimeoutError",
        "HTTPError",
        "RequestError",
        "OfflineModeIsEnabled",
        "HfHubHTTPError",
    }:
        return SynthgainError(
            f"the hub cannot be reached ({said})",
            where=uri,
            code=4,
            next="check the network, or download the data set elsewhere and give its folder",
        )
    return SynthgainError(
        f"`datasets` could not read it ({type(error).__name__}: {said})",
        where=uri,
        next="name a config or split, hf://owner/name/config:split, or save it to disk and give its folder",
    )
