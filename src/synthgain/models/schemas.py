"""Answers that follow a JSON schema: which tokens may come next, from llguidance.

Tokens that would leave the schema are taken out before anything else of the law, so a log-probability under a schema is of the
law among those that remain. An answer ends where nothing can follow but its end. Between its parts at most
a little white space is allowed: a small model that may write blanks for ever does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from synthgain.models.folders import Loaded
from synthgain.types import CallFailed, SynthgainError, in_order

UNDER = ", tokens outside the schema left out"  # what is added to the law's name
WHITE = {"whitespace_pattern": r"[ \n]{0,16}"}


@dataclass
class Schemas:
    """Steers of one folder; its vocabulary is read once (a second or two)."""

    loaded: Loaded
    _vocabulary: Any = field(init=False, default=None)

    def __call__(self, schema: Mapping[str, Any]) -> Steer:
        """A new answer's. CallFailed where the library cannot follow the schema, with what it says."""
        llguidance = library()
        if self._vocabulary is None:
            self._vocabulary = _vocabulary(self.loaded)
        matcher = llguidance.LLMatcher
        try:
            grammar = matcher.grammar_from_json_schema(in_order(schema), overrides=WHITE)
        except ValueError as error:
            raise CallFailed(f"the schema cannot be followed: {error}") from error
        found = matcher(self._vocabulary, grammar, log_level=0)
        if found.is_error():
            raise CallFailed(f"the schema cannot be followed: {found.get_error()}")
        return Steer(found)


@dataclass
class Steer:
    """One answer on its way through a schema."""

    matcher: Any

    def allowed(self, logits: Any) -> Any:
        """True for each token of the vocabulary that may come next."""
        import numpy as np

        bits = np.unpackbits(np.frombuffer(self.matcher.compute_bitmask(), np.uint8), bitorder="little")
        found = logits.new_zeros(logits.shape[-1]).bool()
        some = min(len(bits), len(found))
        found[:some] = found.new_tensor(bits[:some])
        if self.matcher.is_error() or not bool(found.any()):
            raise CallFailed(f"the schema cannot be followed further: {self.matcher.get_error() or 'no token fits'}")
        return found

    def take(self, token: int) -> None:
        self.matcher.consume_token(token)

    def over(self) -> bool:
        """Whether nothing but the end can follow."""
        return bool(self.matcher.is_stopped())


def library() -> Any:
    """llguidance, or how to install it."""
    try:
        import llguidance
        import llguidance.hf
    except ImportError as error:
        raise SynthgainError(
            "answers of a transformers model that follow a schema need llguidance",
            next='pip install "synthgain[schema]"',
        ) from error
    return llguidance


def _vocabulary(loaded: Loaded) -> Any:
    try:
        return library().hf.from_tokenizer(
            loaded.tokenizer,
            n_vocab=int(loaded.model.config.get_text_config().vocab_size),
            eos_token=sorted(loaded.ends()),
        )
    except (ValueError, RuntimeError) as error:
        raise CallFailed(f"the folder's tokenizer cannot follow a schema: {error}") from error
