"""Many rows through one transformers model as one stream of tokens: nothing is padded, and a shared beginning is kept once.

A row is a prompt and the answer that is being written behind it. In one step some rows give one token (the last that they wrote) and
some a stretch of their prompt; all of these stand in one line, so that every matrix is multiplied once by all. Only
attention knows which token is of which row: it is ours, registered with transformers as "synthgain".

    Pages     keys and values: a place for each row's own tokens, and beginnings that rows have in common
    Stream    a step for architectures whose attention goes through transformers' interface; what it says is compared with
              the plain forward pass when a model is opened
    OneByOne  a step for all others: row after row with the library's own cache
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from synthgain.models.folders import Loaded

NAME = "synthgain"  # of our attention in transformers' interface
ROOM = 128  # tokens that a place first has room for
TOLERANCE = {"float32": 1e-3, "bfloat16": 0.1, "int8": 0.1}  # of logits, relative to their spread


@dataclass(frozen=True)
class Stretch:
    """Tokens that a row gives in this step. With `ask`, what follows the last of them is wanted."""

    place: int
    tokens: Sequence[int]
    ask: bool


@dataclass(frozen=True, eq=False)
class Beginning:
    """What was read of a text that several rows begin with: keys and values (heads, tokens, width) by layer."""

    said: str  # a character for each token
    keys: list[Any]
    values: list[Any]

    @property
    def bytes(self) -> int:
        return sum(part.nbytes for part in (*self.keys, *self.values))


class Reads(Protocol):
    """What writes steps: `step` gives logits (asked stretches, vocabulary) in order."""

    def step(self, stretches: Sequence[Stretch]) -> Any: ...
    def begin(self, place: int, beginning: Beginning | None, count: int) -> None: ...
    def beginning(self, place: int, said: str) -> Beginning | None: ...


# ---------------------------------------------------------------------------------------------- what was read


@dataclass
class Pages:
    """Keys and values of `places` rows. A row's tokens are the first `start` of its beginning, then its own `length`."""

    torch: Any
    places: int
    keys: list[Any] = field(default_factory=list)  # by layer: (places, heads, room, width)
    values: list[Any] = field(default_factory=list)
    room: int = 0
    length: list[int] = field(init=False)
    start: list[int] = field(init=False)
    shared: list[Beginning | None] = field(init=False)

    def __post_init__(self) -> None:
        self.length, self.start = [0] * self.places, [0] * self.places
        self.shared = [None] * self.places

    def reserve(self, tokens: int) -> None:
        """Room for so many own tokens at each place."""
        if tokens <= self.room:
            return
        self.room = max(ROOM, tokens + tokens // 4)
        for layers in (self.keys, self.values):
            for layer, old in enumerate(layers):
                layers[layer] = self._roomier(old)

    def _roomier(self, old: Any) -> Any:
        new = old.new_zeros((*old.shape[:2], self.room, old.shape[3]))  # what is masked is multiplied too: no NaN
        new[:, :, : old.shape[2]] = old
        return new

    def layer(self, at: int, key: Any, value: Any) -> tuple[Any, Any]:
        """The pages of a layer, made when the layer is first read."""
        while at >= len(self.keys):
            for layers, like in ((self.keys, key), (self.values, value)):
                layers.append(like.new_zeros((self.places, like.shape[0], self.room, like.shape[2])))
        return self.keys[at], self.values[at]

    def taken(self, place: int, said: str) -> Beginning:
        """A copy of what a place has read, as a beginning for others; `said` has a character for each of its tokens."""
        own, before, start = len(said) - self.start[place], self.shared[place], self.start[place]

        def of(layers: list[Any], held: list[Any] | None) -> list[Any]:
            copies = []
            for at, layer in enumerate(layers):
                part = layer[place, :, : max(own, 0)]
                parts = [part] if held is None else [held[at][:, : min(start, len(said))], part]
                copies.append(self.torch.cat(parts, dim=1) if len(parts) > 1 else part.clone())
            return copies

        return Beginning(
            said, of(self.keys, before.keys if before else None), of(self.values, before.values if before else None)
        )


# ---------------------------------------------------------------------------------------------- one step


class Unfit(Exception):
    """This model's attention asks for something that ours does not do."""


class Step:
    """The stretches of one forward pass, and what attention needs to know of them: the same for every layer.

    Rows that give one token come first, in the order of their places.
    """

    def __init__(self, pages: Pages, stretches: Sequence[Stretch], device: Any) -> None:
        self.pages, self.torch, self.device = pages, pages.torch, device
        single = sorted((s for s in stretches if len(s.tokens) == 1), key=lambda s: s.place)
        self.longer = [s for s in stretches if len(s.tokens) > 1]
        self.order = [*single, *self.longer]
        self.singles = [s.place for s in single]
        self.offsets = [0]
        for stretch in self.order:
            self.offsets.append(self.offsets[-1] + len(stretch.tokens))
        pages.reserve(max(pages.length[s.place] + len(s.tokens) for s in stretches))
        at = pages.length
        self.rows = self.torch.tensor(self.singles, device=device, dtype=self.torch.long)
        self.ends = self.torch.tensor([at[p] for p in self.singles], device=device, dtype=self.torch.long)
        self.first = (
            max(self.singles, default=-1) + 1
        )  # so many places are looked at as they lie, if most of them are asked
        self.as_they_lie = 2 * len(self.singles) >= self.first
        self.longest = max((at[p] + 1 for p in self.singles), default=0)
        self._masks: dict[Any, Any] = {}
        self.groups = self._groups()

    def positions(self) -> list[int]:
        """Of each token of the stream, in its row."""
        found: list[int] = []
        for stretch in self.order:
            first = self.pages.start[stretch.place] + self.pages.length[stretch.place]
            found.extend(range(first, first + len(stretch.tokens)))
        return found

    def _groups(self) -> list[tuple[Beginning, int, Any]]:
        """Rows with the same beginning: it, how much of it, and their tokens in the stream (a slice or indices)."""
        found: dict[tuple[int, int], tuple[Beginning, list[int]]] = {}
        for stretch, first, last in zip(self.order, self.offsets, self.offsets[1:], strict=False):
            beginning, start = self.pages.shared[stretch.place], self.pages.start[stretch.place]
            if beginning is not None and start:
                found.setdefault((id(beginning), start), (beginning, []))[1].extend(range(first, last))
        return [(beginning, start, self._slice(tokens)) for (_, start), (beginning, tokens) in found.items()]

    def _slice(self, tokens: list[int]) -> Any:
        if tokens[-1] - tokens[0] == len(tokens) - 1:
            return slice(tokens[0], tokens[-1] + 1)
        return self.torch.tensor(tokens, device=self.device)

    # the masks hold -inf where a token must not look; they depend on a window only where one is shorter than the row

    def _own_mask(self, window: int | None) -> Any:
        if ("own", window) not in self._masks:
            seen = self.torch.arange(self.longest, device=self.device)[None]
            ends = self.ends
            if self.as_they_lie:
                ends = ends.new_zeros(self.first).index_put_((self.rows,), ends)
            out = seen > ends[:, None]
            if window is not None:
                out |= seen <= ends[:, None] - window
            mask = self.torch.zeros(out.shape, device=self.device).masked_fill_(out, -float("inf"))
            self._masks["own", window] = mask[:, None, None]
        return self._masks["own", window]

    def _causal(self, stretch: Stretch, window: int | None) -> Any:
        if (stretch.place, window) not in self._masks:
            first, count = self.pages.length[stretch.place], len(stretch.tokens)
            looks = self.torch.arange(first, first + count, device=self.device)[:, None]
            seen = self.torch.arange(first + count, device=self.device)[None]
            out = seen > looks
            if window is not None:
                out |= seen <= looks - window
            self._masks[stretch.place, window] = self.torch.zeros(out.shape, device=self.device).masked_fill_(
                out, -float("inf")
            )
        return self._masks[stretch.place, window]

    def _before_mask(self, tokens: Any, start: int, window: int) -> Any:
        """Of a beginning's tokens, for some tokens of the stream (tokens, start)."""
        places = self.torch.tensor(self.positions(), device=self.device)[tokens]
        seen = self.torch.arange(start, device=self.device)[None]
        return self.torch.zeros((len(places), start), device=self.device).masked_fill_(
            seen <= places[:, None] - window, -float("inf")
        )

    def attend(self, layer: int, query: Any, key: Any, value: Any, look: Look) -> Any:
        """Writes the stream's keys and values (heads, tokens, width) into the pages, and gives (tokens, query heads, width)."""
        keys, values = self.pages.layer(layer, key, value)
        n = len(self.singles)
        if n:
            keys[self.rows, :, self.ends] = key[:, :n].transpose(0, 1)
            values[self.rows, :, self.ends] = value[:, :n].transpose(0, 1)
        heads, width = key.shape[0], value.shape[2]
        query = query.unflatten(
            0, (heads, -1)
        )  # (heads, group, tokens, width): the query heads of a key head side by side
        out = query.new_empty((*query.shape[:3], width))
        mass = query.new_empty(query.shape[:3], dtype=self.torch.float32)  # ln of what the softmax divides by
        if n:
            got, weight = self._singles(query[:, :, :n].permute(2, 0, 1, 3), keys, values, look)
            out[:, :, :n], mass[:, :, :n] = got.permute(1, 2, 0, 3), weight.permute(1, 2, 0)
        for stretch, first, last in zip(self.longer, self.offsets[n:], self.offsets[n + 1 :], strict=False):
            begin = self.pages.length[stretch.place]
            end = begin + last - first
            keys[stretch.place, :, begin:end] = key[:, first:last]
            values[stretch.place, :, begin:end] = value[:, first:last]
            out[:, :, first:last], mass[:, :, first:last] = look(
                query[:, :, first:last],
                keys[stretch.place, :, :end],
                values[stretch.place, :, :end],
                self._causal(stretch, look.window),
            )
        for beginning, start, tokens in self.groups:
            mask = None if look.window is None else self._before_mask(tokens, start, look.window)
            got, weight = look(
                query[:, :, tokens], beginning.keys[layer][:, :start], beginning.values[layer][:, :start], mask
            )
            both = self.torch.logaddexp(weight, mass[:, :, tokens])
            mine = (mass[:, :, tokens] - both).exp()[..., None].to(out.dtype)
            out[:, :, tokens] = out[:, :, tokens] * mine + got * (weight - both).exp()[..., None].to(out.dtype)
        return out.permute(2, 0, 1, 3).flatten(1, 2)

    def _singles(self, asked: Any, keys: Any, values: Any, look: Look) -> tuple[Any, Any]:
        """What rows of one token each (rows, heads, group, width) see of their own tokens."""
        mask, seen = self._own_mask(look.window), self.longest
        if len(self.singles) == self.first:
            return look(asked, keys[: self.first, :, :seen], values[: self.first, :, :seen], mask)
        if not self.as_they_lie:
            return look(asked, keys[self.rows, :, :seen], values[self.rows, :, :seen], mask)
        spread = asked.new_zeros((self.first, *asked.shape[1:])).index_put_((self.rows,), asked)
        got, weight = look(spread, keys[: self.first, :, :seen], values[: self.first, :, :seen], mask)
        return got[self.rows], weight[self.rows]

    def done(self) -> None:
        for stretch in self.order:
            self.pages.length[stretch.place] += len(stretch.tokens)


@dataclass(frozen=True)
class Look:
    """Softmax attention, with what a layer asks for."""

    torch: Any
    scale: float
    window: int | None = None
    softcap: float | None = None

    def __call__(self, query: Any, key: Any, value: Any, mask: Any) -> tuple[Any, Any]:
        """What (…, heads, group, tokens, width) see of (…, heads, seen, width), and ln of the sum of their weights.

        `mask` is added to the scores (…, tokens, seen). Softmax in float32. The group and the tokens are multiplied as one.
        """
        group, tokens = query.shape[-3], query.shape[-2]
        if query.dim() == 4 and key.dim() == 4:  # a row each, one token: (rows, heads, group, width)
            scores = query @ key.transpose(-1, -2)
        else:
            scores = (query.flatten(-3, -2) @ key.transpose(-1, -2)).unflatten(-2, (group, tokens))
        scores = scores.float() * self.scale
        if self.softcap is not None:
            scores = (scores / self.softcap).tanh() * self.softcap
        if mask is not None:
            scores = scores + mask
        mass = scores.logsumexp(-1)
        weights = (scores - mass.clamp(min=-1e30)[..., None]).exp().to(value.dtype)
        if query.dim() == 4 and key.dim() == 4:
            return weights @ value, mass
        return (weights.flatten(-3, -2) @ value).unflatten(-2, (group, tokens)), mass


def _attention(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    synthgain_step: Step | None = None,
    **others: Any,
) -> tuple[Any, None]:
    """Our attention, as transformers calls it: (1, heads, tokens, width) each."""
    unknown = [name for name in ("s_aux", "position_bias", "head_mask") if others.get(name) is not None]
    if synthgain_step is None or attention_mask is not None or unknown:
        raise Unfit(f"its attention has {unknown or 'a mask'}")
    step = synthgain_step
    longest = max(step.pages.start[s.place] + step.pages.length[s.place] + len(s.tokens) for s in step.order)
    window = sliding_window if sliding_window is not None and sliding_window < longest else None
    look = Look(step.torch, query.shape[-1] ** -0.5 if scaling is None else scaling, window, softcap)
    return step.attend(module.layer_idx, query[0], key[0], value[0], look)[None], None


# ---------------------------------------------------------------------------------------------- readers


class Stream:
    """All rows of a step in one forward pass."""

    def __init__(self, loaded: Loaded, places: int) -> None:
        import transformers

        transformers.AttentionInterface.register(NAME, _attention)
        self.loaded, self.pages = loaded, Pages(loaded.torch, places)

    def step(self, stretches: Sequence[Stretch]) -> Any:
        torch, model = self.loaded.torch, self.loaded.model
        step = Step(self.pages, stretches, model.device)
        wanted = [last - 1 for s, last in zip(step.order, step.offsets[1:], strict=True) if s.ask]
        before, model.config._attn_implementation = model.config._attn_implementation, NAME
        try:
            with torch.inference_mode():
                logits = model(
                    input_ids=torch.tensor([[t for s in step.order for t in s.tokens]], device=model.device),
                    position_ids=torch.tensor([step.positions()], device=model.device),
                    use_cache=False,
                    logits_to_keep=torch.tensor(wanted, device=model.device, dtype=torch.long),
                    synthgain_step=step,
                ).logits[0]
        finally:
            model.config._attn_implementation = before
        step.done()
        asked = [s.place for s in step.order if s.ask]
        back = [asked.index(s.place) for s in stretches if s.ask]
        return logits[back]

    def begin(self, place: int, beginning: Beginning | None, count: int) -> None:
        pages = self.pages
        pages.length[place], pages.start[place], pages.shared[place] = 0, count, beginning if count else None

    def beginning(self, place: int, said: str) -> Beginning | None:
        return self.pages.taken(place, said)


class OneByOne:
    """Row after row, each with the library's own cache: for any architecture."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self.caches: dict[int, tuple[Any, int]] = {}

    def step(self, stretches: Sequence[Stretch]) -> Any:
        torch, model, found = self.loaded.torch, self.loaded.model, []
        with torch.inference_mode():
            for stretch in stretches:
                cache, seen = self.caches.get(stretch.place, (None, 0))
                ids = torch.tensor([list(stretch.tokens)], device=model.device)
                out = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
                self.caches[stretch.place] = (out.past_key_values, seen + len(stretch.tokens))
                if stretch.ask:
                    found.append(out.logits[0, -1])
            return torch.stack(found) if found else None

    def begin(self, place: int, beginning: Beginning | None, count: int) -> None:
        self.caches.pop(place, None)

    def beginning(self, place: int, said: str) -> Beginning | None:
        return None


def reader(loaded: Loaded, places: int) -> Reads:
    """The stream, where it says what the plain forward pass says of a few tokens; else one row after another."""
    return Stream(loaded, places) if _fits(loaded) else OneByOne(loaded)


def _fits(loaded: Loaded) -> bool:
    """Whether the stream agrees with the library: two rows, one read in two parts, one behind a beginning of the other."""
    torch, model = loaded.torch, loaded.model
    if not getattr(model, "_supports_attention_backend", False):
        return False
    size = int(model.config.get_text_config().vocab_size)
    tokens = [(7 * n + 3) % size for n in range(12)]
    with torch.inference_mode():
        whole = model(input_ids=torch.tensor([tokens], device=model.device), logits_to_keep=1).logits[0, -1].float()
    try:
        stream = Stream(loaded, 2)
        stream.step([Stretch(0, tokens[:8], False)])
        stream.begin(1, stream.beginning(0, "".join(map(chr, tokens[:6]))), 6)
        got = stream.step([Stretch(1, tokens[6:11], False), Stretch(0, tokens[8:], True)])
        last = stream.step([Stretch(1, tokens[11:], True)])
    except (Unfit, TypeError, KeyError, ValueError, AttributeError, RuntimeError, IndexError):
        return False
    spread = float(whole.max() - whole.min()) or 1.0
    near = TOLERANCE[loaded.arithmetic] * spread
    return all(float((row.float() - whole).abs().max()) <= near for row in (got[0], last[0]))
