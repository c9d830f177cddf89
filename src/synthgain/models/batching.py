"""Answers written side by side: a place that falls free is filled at once, and prompts are read while others are being written.

Waiting prompts are taken in their order, but one that shares a long beginning with a prompt that is just being read waits
until that is done, and then takes the beginning over: a document that thirty prompts ask about is read once. What places
have read stays known after their answers ended, until another row takes the place.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from synthgain.models.folders import Loaded
from synthgain.models.laws import drawn, fined, laws, shape
from synthgain.models.reading import Beginning, Reads, Stretch
from synthgain.models.slots import shared
from synthgain.types import CallFailed, Prompt, Sampling

CHUNK = 256  # tokens of one step
WORTH = 32  # tokens: a shared beginning this much longer than what is there already is kept and taken over
TAIL = 16  # tokens more than a stop text has characters: where it is looked for


@dataclass(eq=False)
class Row:
    """A prompt and its answer. `steer` (a schema) says which tokens may follow; `give` takes the row when it is done, or why it is not."""

    prompt: Prompt
    tokens: list[int]
    most: int
    seed: int
    give: Callable[[Row | Exception], None]
    wanted: Callable[[], bool] = lambda: True  # whether anybody still waits
    steer: Any = None
    written: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    text: str = ""
    finish: str = ""
    said: str = field(init=False)
    read: int = 0  # tokens of the prompt that were read, by this row or for it
    cached: int = 0  # those that were read for another
    began: float = 0.0
    dice: Any = None

    def __post_init__(self) -> None:
        self.said = "".join(map(chr, self.tokens))

    def all(self) -> str:
        """What a place holds when this row has ended: a character for each token."""
        return self.said[: self.read] + "".join(map(chr, self.written[:-1]))


@dataclass
class Batch:
    """`places` rows side by side. `room` bounds the bytes of what is read; a quarter of it may be beginnings."""

    loaded: Loaded
    reads: Reads
    places: int
    room: int
    per_token: int  # bytes of what is read of one token
    arrived: Callable[[], list[Row]] = list  # rows that came meanwhile
    chunk: int = CHUNK
    waiting: deque[Row] = field(init=False, default_factory=deque)
    rows: dict[int, Row] = field(init=False, default_factory=dict)  # by place
    kept: list[Beginning] = field(init=False, default_factory=list)  # the least lately used first
    held: list[str] = field(init=False)  # what each place has read
    free: deque[int] = field(init=False)
    ends: set[int] = field(init=False)

    def __post_init__(self) -> None:
        self.ends = self.loaded.ends()
        self.held = [""] * self.places
        self.free = deque(range(self.places))

    def run(self) -> None:
        """Until nothing waits. What a step raises reaches its rows."""
        while True:
            self.waiting.extend(self.arrived())
            self._leave()
            self._fill()
            if not self.rows and not self.waiting:
                return
            try:
                with self.loaded.torch.inference_mode():
                    self._step()
            except Exception as error:
                for place, row in list(self.rows.items()):
                    self._end(place, row, error)
                self.kept, self.held = [], [""] * self.places

    # ------------------------------------------------------------------------------------------ places

    def _leave(self) -> None:
        """Rows that nobody waits for any more go."""
        for place, row in list(self.rows.items()):
            if not row.wanted():
                self._end(place, row, None)

    def _end(self, place: int, row: Row, error: Exception | None) -> None:
        del self.rows[place]
        self.held[place] = "" if error else row.all()
        self.free.append(place)
        if error or row.finish:
            row.give(error or row)

    def _fill(self) -> None:
        """Gives free places to waiting rows, in order; those whose beginning is being read stay."""
        stay = []
        while self.waiting and self.free:
            row = self.waiting.popleft()
            if not row.wanted():
                continue
            if self._coming(row) or not self._fits(row):
                stay.append(row)
                continue
            try:
                self._place(row)
            except Exception as error:  # such as memory that is not there
                row.give(error)
        self.waiting.extendleft(reversed(stay))

    def _fits(self, row: Row) -> bool:
        """Whether memory allows for it beside the rows that are there; alone a row always may."""
        longest = max((len(r.tokens) - r.cached + r.most for r in (*self.rows.values(), row)), default=0)
        return not self.rows or longest * (len(self.rows) + 1) * self.per_token <= self.room * 3 // 4

    def _coming(self, row: Row) -> bool:
        """Whether a row is just reading more of this one's beginning than is there."""
        reading = [shared(r.said, row.said) for r in self.rows.values() if r.read < len(r.tokens)]
        return bool(reading) and max(reading) >= self._known(row)[1] + WORTH

    def _known(self, row: Row) -> tuple[Beginning | int | None, int]:
        """Who has read most of the row's beginning, and how much: what is kept, before places (which have to be copied)."""
        most = len(row.tokens) - 1  # the last token is always read: what follows it is wanted
        best: tuple[Beginning | int | None, int] = (None, 0)
        for beginning in self.kept:
            if (count := min(shared(beginning.said, row.said), most)) > best[1]:
                best = beginning, count
        for place, held in enumerate(self.held):
            now = self.rows.get(place)
            said = held if now is None else now.all()
            if (count := min(shared(said, row.said), most)) >= best[1] + WORTH:
                best = place, count
        return best

    def _place(self, row: Row) -> None:
        source, count = self._known(row)
        if isinstance(source, int):
            source = self._keep(self.reads.beginning(source, row.said[:count]))
        elif source is not None:
            self.kept.remove(source)
            self.kept.append(source)
        if source is None or count < WORTH:
            source, count = None, 0
        place = self.free.popleft()
        self.reads.begin(place, source, count)
        row.read = row.cached = count
        row.began, row.dice = time.perf_counter(), self.loaded.torch.Generator().manual_seed(row.seed)
        self.rows[place] = row
        if row.most <= 0:
            row.finish = "length"
            self._end(place, row, None)

    def _keep(self, beginning: Beginning | None) -> Beginning | None:
        if beginning is not None:
            self.kept.append(beginning)
            while len(self.kept) > 1 and sum(kept.bytes for kept in self.kept) > self.room // 4:
                self.kept.pop(0)
        return beginning

    # ------------------------------------------------------------------------------------------ steps

    def _step(self) -> None:
        stretches, asked = [], []
        left = self.chunk - sum(1 for row in self.rows.values() if row.read == len(row.tokens))
        for place, row in self.rows.items():
            if row.read == len(row.tokens):
                stretches.append(Stretch(place, row.written[-1:], True))
                asked.append(place)
                continue
            some = row.tokens[row.read : row.read + max(left, 0)]
            if not some:
                continue
            left -= len(some)
            row.read += len(some)
            done = row.read == len(row.tokens)
            stretches.append(Stretch(place, some, done))
            asked += [place] * done
        logits = self.reads.step(stretches) if stretches else None
        if asked:
            self._draw(logits, asked)

    def _draw(self, logits: Any, asked: list[int]) -> None:
        """Rows with one law are drawn together."""
        torch = self.loaded.torch
        alike: dict[Sampling, list[int]] = {}
        for at, place in enumerate(asked):
            if self._steered(place, logits[at]):
                alike.setdefault(shape(self.rows[place].prompt.sampling), []).append(at)
        for sampling, places in alike.items():
            rows = [self.rows[asked[at]] for at in places]
            mine = logits if len(places) == len(asked) else logits[places]
            law = laws(fined(mine.float(), sampling, [row.written for row in rows]), sampling)
            if sampling.temperature <= 0:
                tokens = law.argmax(-1)
            else:
                points = torch.stack([torch.rand((), generator=row.dice, dtype=torch.float64) for row in rows])
                tokens = drawn(law, points.to(law.device))
            values = law.gather(1, tokens[:, None])[:, 0].tolist()
            for at, token, value in zip(places, tokens.tolist(), values, strict=True):
                self._add(asked[at], token, value)

    def _steered(self, place: int, logits: Any) -> bool:
        """Takes out what a row's schema does not allow; False where the row ended by it."""
        row = self.rows[place]
        if row.steer is None:
            return True
        try:
            logits[~row.steer.allowed(logits)] = -float("inf")
        except CallFailed as error:
            self._end(place, row, error)
            return False
        return True

    def _add(self, place: int, token: int, logprob: float) -> None:
        """The row takes its next token, and ends where it does."""
        row = self.rows[place]
        if math.isnan(logprob):
            return self._end(place, row, CallFailed("the model's figures are not numbers"))
        row.written.append(token)
        row.logprobs.append(logprob)
        ended = token in self.ends
        if row.steer is not None and not ended:
            row.steer.take(token)
        cut = self._cut(row)
        if cut is not None:
            row.text, row.finish = cut, "stop"
        elif ended or (row.steer is not None and row.steer.over()):
            row.text, row.finish = self._text(row.written[:-1] if ended else row.written), "stop"
        elif len(row.written) >= row.most:
            row.text, row.finish = self._text(row.written), "length"
        if row.finish:
            self._end(place, row, None)

    def _cut(self, row: Row) -> str | None:
        """The text before the first stop text; None where there is none. The end of the answer is looked at first, which is cheap."""
        stops = [stop for stop in row.prompt.sampling.stop if stop]
        if not any(stop in self._text(row.written[-len(stop) - TAIL :]) for stop in stops):
            return None
        text = self._text(row.written)
        cuts = [at for at in map(text.find, stops) if at >= 0]
        return text[: min(cuts)] if cuts else None

    def _text(self, tokens: list[int]) -> str:
        return str(self.loaded.tokenizer.decode(tokens, skip_special_tokens=True))
