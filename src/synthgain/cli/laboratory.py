"""The arguments of `synthgain simulate`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from synthgain.numbers import interval

laboratory = typer.Typer(
    no_args_is_help=True,
    help="The paper's laboratory: worlds in which everything the theory speaks of is known.",
    rich_markup_mode=None,
)

Out = Annotated[Path | None, typer.Option("-o", "--out", help="Pictures: a folder (.png, .svg, .html) or one file.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed gives the same numbers.")]


@laboratory.command()
def gmm(
    axis: Annotated[
        list[str] | None, typer.Option("--axis", help="K, J or L, repeatable (default: all three).")
    ] = None,
    values: Annotated[str, typer.Option("--values", help="Of the axis: 2..15 or 2,4,8.")] = "2..15",
    k: Annotated[int, typer.Option("--K", help="Components that anchors show.")] = 2,
    j: Annotated[int, typer.Option("--J", help="Components that M adds and the truth has.")] = 2,
    l: Annotated[int, typer.Option("--L", help="Components that M adds and the truth has not.")] = 2,  # noqa: E741
    protocol: Annotated[
        list[str] | None, typer.Option("--protocol", help="authors, text, valid, text-valid, no-fit; repeatable.")
    ] = None,
    divergence: Annotated[
        list[str] | None, typer.Option("--divergence", help="histogram, reverse, forward; repeatable (default: all).")
    ] = None,
    generator: Annotated[
        str, typer.Option("--generator", help="informed, or another M (see docs/laboratory.md).")
    ] = "informed",
    knows: Annotated[float, typer.Option("--knows", help="Share of the unseen part that M knows.")] = 1.0,
    dimension: Annotated[int, typer.Option("--dimension", "-d")] = 2,
    anchors: Annotated[int, typer.Option("--anchors", help="A component.")] = 50,
    synthetic: Annotated[
        int | None, typer.Option("--synthetic", help="Synthetic points (default: the protocol's).")
    ] = None,
    worlds: Annotated[int, typer.Option("--worlds", help="A point.")] = 300,
    scene: Annotated[
        bool, typer.Option("--scene", help="One world drawn (the paper's Figure 2) instead of the figure.")
    ] = False,
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """The paper's Figures 2 and 4, as published and with exact densities beside.

    Example: synthgain simulate gmm --axis J --worlds 100 -o figure/
    """
    from synthgain.api import simulating as lab

    asked: dict[str, Any] = dict(
        axes=tuple(axis or ("K", "J", "L")),
        values=_numbers(values),
        K=k,
        J=j,
        L=l,
        protocols=tuple(protocol or ("authors",)),
        divergences=tuple(divergence or ("histogram", "reverse", "forward")),
        generator=generator,
        knows=knows,
        dimension=dimension,
        anchors=anchors,
        synthetic=synthetic,
        worlds=worlds,
        seed=seed,
    )
    if scene:
        one = lab.scene(**asked)
        _given(one, out, as_json, lambda: print("one world; draw it with -o FILE.png, or see its figures with --json"))
        return
    result = lab.gmm(**asked, progress=_progress())
    _given(result, out, as_json, lambda: print("\n".join(lab.sentences(result))))


@laboratory.command()
def chain(
    world: Annotated[str, typer.Argument(help="A shipped world, `random`, or a JSON file with one.")] = "lossy-edit",
    seed: Seed = 0,
    worlds: Annotated[bool, typer.Option("--worlds", help="List the shipped worlds.")] = False,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """A small discrete world, enumerated: every quantity, and both sides of every inequality.

    Example: synthgain simulate chain lossy-edit
    """
    from synthgain.api import simulating as lab

    if worlds:
        for name, one in lab.WORLDS.items():
            print(f"{name:<24} {one.says}")
        return
    given: Any = json.loads(Path(world).read_text("utf-8")) if world.endswith(".json") else world
    result = lab.chain(given, seed=seed)

    def told() -> None:
        for name, nats in result["quantities"].items():
            print(f"{name:<28} {'-' if nats is None else f'{nats:.4f} nats'}")
        for one in result["inequalities"]:
            held = "holds" if one["holds"] else "does not hold"
            print(f"{one['name']:<28} {one['left']:.4f} <= {one['right']:.4f}: {held} (slack {one['slack']:+.4f})")

    _given(result, out, as_json, told)


@laboratory.command()
def gain(
    world: Annotated[
        str, typer.Option("--world", help="location (closed form) or language (toy languages).")
    ] = "language",
    dose: Annotated[
        str,
        typer.Option(
            "--dose",
            help="What is turned up: noise; temperature, hallucination, off_task, copying, verifier, documents.",
        ),
    ] = "",
    values: Annotated[str, typer.Option("--values", help="Of the dose: 0.5,1,2 (default: the dose's own).")] = "",
    worlds: Annotated[int, typer.Option("--worlds")] = 12,
    documents: Annotated[int, typer.Option("--documents", help="Synthetic ones.")] = 400,
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Real benefit against ΔI: does more information gain help?

    Example: synthgain simulate gain --dose temperature
    """
    from synthgain.api import simulating as lab

    chosen = dose or ("noise" if world == "location" else "temperature")
    found = lab.settings(
        world=world,
        dose=chosen,
        values=_decimals(values),
        worlds=worlds,
        documents=documents,
        seed=seed,
        progress=_progress(),
    )

    def told() -> None:
        for one in found:
            print(", ".join(f"{key} {value}" for key, value in one.knobs.items() if key in ("dose", "value")))
            for r in one.readings:
                print(f"    {r.name:<20} {'-' if r.value is None else interval(r.value, r.low, r.high)} {r.unit}")

    readings = [r.json() | {"setting": one.knobs} for one in found for r in one.readings]
    if out is not None:
        for file in lab.draw(found, out):
            print(file, file=sys.stderr)
    print(json.dumps({"settings": [one.json() for one in found], "readings": readings})) if as_json else told()


def _given(result: dict[str, Any], out: Path | None, as_json: bool, told: Callable[[], None]) -> None:
    from synthgain.api import simulating as lab

    if out is not None:
        for file in lab.draw(result, out):
            print(file, file=sys.stderr)
    print(json.dumps(result)) if as_json else told()


def _numbers(text: str) -> tuple[int, ...]:
    """ "2..15" or "2,4,8"."""
    from synthgain.types import SynthgainError

    try:
        first, dots, last = text.partition("..")
        return tuple(range(int(first), int(last) + 1)) if dots else tuple(int(part) for part in text.split(","))
    except ValueError:
        raise SynthgainError(f"{text!r} are no whole numbers", where="--values", next="write 2..15 or 2,4,8") from None


def _decimals(text: str) -> tuple[float, ...]:
    from synthgain.types import SynthgainError

    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise SynthgainError(f"{text!r} are no numbers", where="--values", next="write 0.5,1,2") from None


def _progress() -> Callable[[int, int], None] | None:
    """A line that moves, in a terminal only."""
    if not sys.stderr.isatty():
        return None

    def show(done: int, of: int) -> None:
        print(f"\r{done} of {of}" + ("\n" if done == of else ""), end="", file=sys.stderr, flush=True)

    return show
