"""Options that commands share, and how their texts are read."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from synthgain.models import Reach


app = typer.Typer(
    name="synthgain",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Make synthetic training data for language models, and know what it adds.",
)

Anchors = Annotated[
    str,
    typer.Argument(
        help="A file or folder (.txt .md .jsonl .jsonl.gz .json .csv .parquet), a data set on disk, hf://…, or a run."
    ),
]
Out = Annotated[Path, typer.Option("-o", "--out", help="The folder to write.")]
ModelOptions = Annotated[
    list[str] | None, typer.Option("-m", "--model", help="[ROLE=]URI, repeatable: local/…, openai/…, hf/…, scripted/…")
]
Sets = Annotated[list[str] | None, typer.Option("--set", help="KNOB=VALUE, repeatable (see `synthgain recipes NAME`).")]
Withs = Annotated[
    list[str] | None, typer.Option("--with", help="Add a check, repeatable: a name, NAME=VALUE, or a .py file.")
]
Withouts = Annotated[
    list[str] | None, typer.Option("--without", help="Leave a check out, repeatable (`all` leaves out every one).")
]
TextField = Annotated[str | None, typer.Option("--text-field", help="The column that holds the text.")]
IdField = Annotated[str | None, typer.Option("--id-field", help="The column that names a row.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Another seed buys other answers.")]
Limit = Annotated[int | None, typer.Option("--limit", help="Only the first N groups of anchors.")]
BaseUrl = Annotated[str, typer.Option("--base-url", help="The OpenAI-compatible server (else OPENAI_BASE_URL).")]
ServedAs = Annotated[
    list[str] | None,
    typer.Option("--served-as", help="[ROLE=]LABEL, repeatable: stands for the server's URL in identities."),
]
PriceOption = Annotated[
    list[str] | None, typer.Option("--price", help="[ROLE=]IN,OUT in USD per million tokens, repeatable.")
]
Concurrency = Annotated[
    int | None, typer.Option("--concurrency", help="Calls in flight at the start (default: adaptive).")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def reach(
    base_url: str,
    served_as: Sequence[str] | None = None,
    price: Sequence[str] | None = None,
    concurrency: int | None = None,
) -> Reach:
    from synthgain.api.asking import sensible
    from synthgain.models import Reach

    sensible(concurrency=concurrency)
    return Reach(base_url=base_url, served_as=by_role(served_as), price=by_role(price), concurrency=concurrency)


def by_role(given: Sequence[str] | None) -> dict[str, str]:
    """[ROLE=]VALUE options by role ("" is every role not named)."""
    return {role: value for role, value in map(_parted, given or ())}


def models_by_role(given: Sequence[str] | None) -> dict[str, str]:
    """-m options by role ("" is every role not named)."""
    from synthgain.api.asking import DEFAULT_MODEL

    return by_role(given or [DEFAULT_MODEL])


def _parted(text: str) -> tuple[str, str]:
    """A role stands before "=", a URI's kind before "/"."""
    before, equals, after = text.partition("=")
    return (before, after) if equals and "/" not in before else ("", text)


def knobs(given: Sequence[str] | None) -> dict[str, str]:
    from synthgain.types import SynthgainError

    found: dict[str, str] = {}
    for text in given or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise SynthgainError(f"--set needs KNOB=VALUE, not {text!r}", next="see the knobs: synthgain recipes NAME")
        found[name.strip().replace("-", "_")] = value
    return found


def command_line() -> str:
    """What was typed."""
    return shlex.join(["synthgain", *sys.argv[1:]])


def watched(work: Callable[[Any], Any]) -> Any:
    """Run `work(watch)` under the live panel."""
    from synthgain.report.live import Live

    with Live(sys.stderr) as live:
        return work(live)
