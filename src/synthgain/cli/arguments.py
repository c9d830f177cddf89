"""Options that commands share, and how their texts are read."""

from __future__ import annotations

import inspect
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from synthgain.models import Reach
    from synthgain.types import SynthgainError


app = typer.Typer(
    name="synthgain",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="""Make synthetic training data for language models, and know what it adds.

    With --json a command prints one JSON object on standard output and nothing else there; progress and what a person should know go to standard error.

    Exit codes: 0 done; 1 a fault of ours; 2 bad usage or input, or a folder that holds something else or that another process writes; 3 stopped at a budget, a limit of
    candidates or a full disk; 4 a model or server cannot be reached; 5 too many broken drafts; 130 interrupted. From 3 on everything bought is kept, and
    the message says what to type to go on.
    """,
)

Anchors = Annotated[
    str,
    typer.Argument(
        help="A file or folder (.txt .md .jsonl .json .csv, also .gz or .zst; .parquet; .pdf .docx .html …), a data set on disk, hf://…, or a run."
    ),
]
Out = Annotated[Path, typer.Option("-o", "--out", help="The folder to write.")]
ModelOptions = Annotated[
    list[str] | None,
    typer.Option(
        "-m",
        "--model",
        help="[ROLE=]URI, repeatable: local/…, openai/…, hf/…, reward/PATH (a reward model: its answer is a score), scripted/…",
    ),
]
Sets = Annotated[list[str] | None, typer.Option("--set", help="KNOB=VALUE, repeatable (see `synthgain recipes NAME`).")]
Withs = Annotated[
    list[str] | None, typer.Option("--with", help="Add a check, repeatable: a name, NAME=VALUE, or a .py file.")
]
Withouts = Annotated[
    list[str] | None, typer.Option("--without", help="Leave a check out, repeatable (`all` leaves out every one).")
]
Against = Annotated[
    list[str] | None,
    typer.Option(
        "--against",
        help="Drop rows whose text, prompt or answer is nearly that of a row of this set (a file, a folder, hf://…), or that hold one inside them, "
        "with words or numbers changed too; repeatable.",
    ),
]
TextField = Annotated[str | None, typer.Option("--text-field", help="The column that holds the text.")]
IdField = Annotated[str | None, typer.Option("--id-field", help="The column that names a row.")]
Strict = Annotated[
    bool, typer.Option("--strict", help="A row or file that cannot be used is an error; else it is skipped and said.")
]
TargetIs = Annotated[
    str,
    typer.Option("--target-is", help="Where the value lies: text, or answer (given its prompt). Default: by the data."),
]
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
RuntimeOption = Annotated[
    str,
    typer.Option(
        "--runtime",
        help="What writes with the weights of local/…: llama (llama.cpp), torch (transformers), or auto: the faster of the two here.",
    ),
]
Wait = Annotated[
    float | None,
    typer.Option("--wait", help="Minutes that a server may be away, such as while it loads a model (default: 0.5)."),
]
RequestsPerMinute = Annotated[
    float | None, typer.Option("--requests-per-minute", help="Ask each server's model no more often.")
]
Headers = Annotated[
    list[str] | None,
    typer.Option("--header", help="'NAME: VALUE' for servers, repeatable; write a secret as '$VARIABLE'."),
]
Extras = Annotated[
    list[str] | None,
    typer.Option(
        "--extra", help="[ROLE:]FIELD=JSON in every request to a server, repeatable, such as reasoning_effort=low."
    ),
]
MaxCost = Annotated[float | None, typer.Option("--max-cost", help="Stop before the data set costs more USD.")]
MaxTokens = Annotated[
    int | None,
    typer.Option(
        "--max-tokens",
        help="Stop before all calls together take more tokens, in and out (one answer's length: --set max_tokens=N).",
    ),
]
Replace = Annotated[
    bool, typer.Option("--replace", "--yes", help="Replace rows of another request in this folder without asking.")
]
Calls = Annotated[
    list[str] | None,
    typer.Option(
        "--calls",
        help="Recorded calls serve first, repeatable: a file that `synthgain export RUN --to calls` wrote, or a run.",
    ),
]
CallsOnly = Annotated[
    bool, typer.Option("--calls-only", help="… and nothing is bought: what is missing breaks, and no model is needed.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


@dataclass(frozen=True)
class Reaching:
    """How models are reached: options of every command that makes data (see `shared`), in this order."""

    base_url: BaseUrl = ""
    served_as: ServedAs = None
    price: PriceOption = None
    concurrency: Concurrency = None
    runtime: RuntimeOption = "auto"
    wait: Wait = None
    requests_per_minute: RequestsPerMinute = None
    header: Headers = None
    extra: Extras = None

    def reach(self) -> Reach:
        return reach(
            self.base_url,
            self.served_as,
            self.price,
            self.concurrency,
            wait=self.wait,
            requests_per_minute=self.requests_per_minute,
            headers=self.header,
            extra=self.extra,
            runtime=self.runtime,
        )


@dataclass(frozen=True)
class Asking:
    """What `preview` and `generate` ask alike. Every field is an option of both (see `shared`), in this order."""

    model: ModelOptions = None
    set_: Sets = None
    with_: Withs = None
    without: Withouts = None
    against: Against = None
    text_field: TextField = None
    id_field: IdField = None
    strict: Strict = False
    seed: Seed = 0
    max_cost: MaxCost = None
    max_tokens: MaxTokens = None
    calls: Calls = None
    calls_only: CallsOnly = False

    def options(self) -> dict[str, Any]:
        """The same as keyword arguments of `api.generate` and `api.preview`."""
        from synthgain.api.against import against

        return {
            "model": models_by_role(self.model),
            "knobs": knobs(self.set_),
            "with_": [*(self.with_ or ()), *against(self.against or ())],
            "without": self.without or (),
            "text_field": self.text_field,
            "id_field": self.id_field,
            "strict": self.strict,
            "seed": self.seed,
            "max_cost": self.max_cost,
            "max_tokens": self.max_tokens,
            "calls": self.calls or (),
            "calls_only": self.calls_only,
        }


def shared(command: Callable[..., None]) -> Callable[..., None]:
    """The command with each parameter that is a dataclass replaced by that class's fields, each an option of its own."""
    parameters = inspect.signature(command, eval_str=True).parameters
    kinds: dict[str, type] = {
        name: p.annotation
        for name, p in parameters.items()
        if isinstance(p.annotation, type) and is_dataclass(p.annotation)
    }
    spread = {name: [*inspect.signature(kind, eval_str=True).parameters.values()] for name, kind in kinds.items()}

    @wraps(command)
    def typed(**given: Any) -> None:
        made = {name: kinds[name](**{p.name: given.pop(p.name) for p in own}) for name, own in spread.items()}
        command(**made, **given)

    options = (option for name, p in parameters.items() for option in spread.get(name, [p]))
    by_keyword = [p.replace(kind=p.KEYWORD_ONLY) for p in options]
    vars(typed).update(__signature__=inspect.Signature(by_keyword), __annotations__={})
    return typed


def reach(
    base_url: str,
    served_as: Sequence[str] | None = None,
    price: Sequence[str] | None = None,
    concurrency: int | None = None,
    *,
    wait: float | None = None,
    requests_per_minute: float | None = None,
    headers: Sequence[str] | None = None,
    extra: Sequence[str] | None = None,
    runtime: str = "auto",
) -> Reach:
    from synthgain.api.asking import sensible
    from synthgain.models import Reach

    sensible(concurrency=concurrency, wait=wait, requests_per_minute=requests_per_minute)
    return Reach(
        base_url=base_url,
        served_as=by_role(served_as),
        price=by_role(price),
        concurrency=concurrency,
        wait=wait,
        requests_per_minute=requests_per_minute,
        headers=tuple(headers or ()),
        extra=fields_by_role(extra),
        runtime=runtime,
    )


def fields_by_role(given: Sequence[str] | None) -> dict[str, dict[str, Any]]:
    """[ROLE:]FIELD=VALUE options by role; a VALUE that is no JSON is a text."""
    from synthgain.types import SynthgainError

    found: dict[str, dict[str, Any]] = {}
    for text in given or ():
        named, equals, value = text.partition("=")
        role, _, name = named.rpartition(":")
        if not equals or not name.strip():
            raise SynthgainError(
                f"--extra needs FIELD=JSON, not {text!r}", next="write it like --extra reasoning_effort=low"
            )
        try:
            read = json.loads(value)
        except ValueError:
            read = value
        found.setdefault(role.strip(), {})[name.strip()] = read
    return found


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


def short_of(option: str, n: int, words: str) -> SynthgainError:
    """What to say of an option that takes `n` words and was given fewer; `words` names them."""
    from synthgain.types import SynthgainError

    after = f"write {option} {words}, each in quotes; `synthgain {sys.argv[1]} --help` says more"
    return SynthgainError(f"it takes {n} words, and fewer are given", where=option, next=after)


def watched(work: Callable[[Any], Any], *, lines: bool = False) -> Any:
    """Run `work(watch)` under the live panel; with `lines` as in a log, where other things are printed meanwhile."""
    from synthgain.report.live import Live

    with Live(sys.stderr, mode="log" if lines else "auto") as live:
        return work(live)
