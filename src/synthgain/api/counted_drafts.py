"""What one draft asks for: it is run to its end with few answers that were bought, or none, and made-up ones for the rest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from synthgain.api.foretelling import (
    Size,
    Took,
)
from synthgain.api.unsaid import UNSAID, made_up, size_of, taken_over
from synthgain.chain import Buyer, Numbered, Opened, Tally
from synthgain.chain.buying import Purchase, Stopped
from synthgain.chain.wave import drafted
from synthgain.store import CallMemory
from synthgain.types import Call, Group, Model, Prompt, assistant

MADE_UP = "made up"  # the model of an answer that nobody gave
MOST = 6_000  # calls that one draft is counted up to, and all drafts that are counted to tell of others
Kind = tuple[str, bool]  # of calls: the role, and whether a schema is asked for


@dataclass
class Asked:
    """What one draft asked for: different calls by kind and by id, and the answers that were really given.

    `known` are the ids of those that were remembered, where only counted.

    `whole` is true where the draft came to its end by itself; `cut` where it asked for more than is counted; `broke` where it could do
    nothing with an answer that nobody gave.
    """

    group: Group = ()
    calls: dict[Kind, int] = field(default_factory=lambda: defaultdict(int))
    sizes: dict[str, tuple[Kind, Size]] = field(default_factory=dict)
    given: list[Call | Purchase] = field(default_factory=list)
    known: dict[str, Call] = field(default_factory=dict)
    times: int = 0  # that something was asked for, the same again too
    whole: bool = False
    cut: bool = False
    broke: bool = False

    @property
    def told(self) -> bool:
        """Whether the counts are those of the whole draft."""
        return self.whole and not self.broke

    @property
    def n(self) -> int:
        return sum(self.calls.values())

    @cached_property
    def words(self) -> set[str]:
        return {word for anchor in self.group for word in anchor.text.split()}

    @property
    def document(self) -> tuple[str, ...]:
        return tuple(anchor.id for anchor in self.group)

    def add(self, id: str, prompt: Prompt) -> None:
        self.times += 1
        if id not in self.sizes:
            self.sizes[id] = kind_of(prompt), self.size(prompt)
            self.calls[kind_of(prompt)] += 1

    def size(self, prompt: Prompt) -> Size:
        own = sum(taken_over(turn["content"].split(), self.words) for turn in prompt.messages)
        return Size(size_of(prompt), own, prompt.sampling.max_tokens)

    def took(self, call: Call) -> Took:
        size = self.size(call.prompt)
        return Took(self.document, size, call.tokens_in, call.tokens_out, call.cost, call.seconds)

    def answers(self) -> Iterator[Call]:
        """The calls that were bought or remembered."""
        for got in self.given:
            if isinstance(got, Call):
                yield got
            elif got.task.done() and not got.task.cancelled() and got.task.exception() is None:
                yield got.task.result()


def kind_of(prompt: Prompt) -> Kind:
    return prompt.to, prompt.schema is not None


class Few(Buyer):
    """Buys the first `share` calls of each draft. What a draft asks beyond is answered by what its role said last, so that it comes to its end
    and shows what it would buy."""

    def __init__(
        self, models: Mapping[str, Model], memory: CallMemory, tally: Tally, watch: Any, *, share: int, **limits: Any
    ) -> None:
        super().__init__(models, memory, tally, watch, **limits)
        self.share = share
        self.asked: dict[int, Asked] = defaultdict(Asked)
        self.said: dict[Kind, str] = {}  # what was answered last

    @property
    def width(self) -> int:
        """Drafts look ahead no further than this allows: conversations come to their end one after the other, and rows are seen."""
        return 1

    def order(self, prompt: Prompt, rank: int, base: int) -> Call | Purchase:
        asked = self.asked[rank]
        sent = replace(prompt, seed=self.seed, draw=base + prompt.draw) if base or self.seed else prompt
        id = sent.id(self.identities.get(prompt.to, ""))
        # what goes on from an answer that nobody gave is another draft's only by the wording of that
        asked.add(f"{rank} {id}" if any(UNSAID in turn["content"] for turn in prompt.messages) else id, prompt)
        if asked.n > MOST:
            asked.cut = True
            raise Stopped
        if not self.share and (known := self.memory.find(id, sent)) is not None:
            asked.known[id] = known
            return known
        if len(asked.given) >= self.share or self.stopped is not None:
            message = assistant(self.said.get(kind_of(prompt)) or made_up(prompt))
            return Call(f"{MADE_UP} {rank} {asked.n}", prompt, message, MADE_UP)
        got = super().order(prompt, rank, base)
        asked.given.append(got)
        return got

    async def receive(self, purchase: Purchase) -> Call:
        call = await super().receive(purchase)
        self.said[kind_of(call.prompt)] = call.text
        return call

    def lost(
        self,
        group: Group,
        reason: str,
        prompt: Prompt | None = None,
        *,
        call: str = "",
        draft: bool = False,
        final: bool = False,
    ) -> None:
        """What broke; a draft that broke over an answer that nobody gave is none of it."""
        mine = next(a for a in self.asked.values() if a.group == group)
        if call or len(mine.given) >= mine.n:
            super().lost(group, reason, prompt, call=call, draft=draft, final=final)
        else:
            mine.broke = True

    async def drafted(self, parts: Opened, numbered: Numbered, told: Any) -> None:
        """One draft, up to its end."""
        asked = self.asked[numbered.number]
        asked.group = numbered.group
        asked.whole = (await drafted(parts, numbered, self, 0, (), told)).whole
