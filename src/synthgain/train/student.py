"""A student on disk: an ordinary transformers folder with `student.json`, which is written last.

A folder without `student.json` is no finished student. A new one is trained in a sibling folder and
put in place by renaming, so that no reader ever meets half a student.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from synthgain.types import SynthgainError

RECORD = "student.json"
SAYS = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "chat_template.jinja",
)


def read_student(folder: Path) -> dict[str, Any] | None:
    """What `student.json` says; None where there is no finished student."""
    file = folder / RECORD
    if not file.is_file():
        return None
    try:
        held = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise SynthgainError(
            f"the student's record cannot be read ({error})", where=str(file), next="remove the folder and train again"
        ) from error
    if not isinstance(held, dict):
        raise SynthgainError(
            "the student's record is no JSON object", where=str(file), next="remove the folder and train again"
        )
    return held


def student_record(folder: Path) -> dict[str, Any]:
    """student.json of a folder that must be a student's; SynthgainError where it is none."""
    record = read_student(folder)
    if record is None:
        raise SynthgainError(
            "this is no student folder (no student.json)",
            where=str(folder),
            next="give the folder that `synthgain train -o` wrote",
        )
    return record


def said_of_rows(record: Mapping[str, Any]) -> str:
    """What a student's training read and what came of it, in one sentence, from its student.json; only what is not 0."""
    return "; ".join(part for part in (said_of_kinds(record), said_of_replay(record), *record.get("notes", ())) if part)


def said_of_kinds(record: Mapping[str, Any]) -> str:
    """What became of each kind of rows."""
    read, method = record["read"], record["method"]
    refused = [*read["skipped"], *read["refused"]]
    counts = (
        (read["held_out"], "held out"),
        (read["empty"], "empty and left out"),
        (sum(one["n"] for one in refused), f"left out: {_reasons(refused)}"),
        (read["texts"] if method == "sft" else 0, "plain texts among chats, learnt whole"),
        (read["chats"] if method == "cpt" else 0, "chats learnt as text, questions too (--method sft: answers alone)"),
        (read["unpaired"], "without rejected turns, left out (--method sft learns answers)"),
        (
            read["with_rejected"] if method == "sft" else 0,
            "with rejected turns, of which the chosen are learnt (--method dpo: both)",
        ),
        (
            0 if record["learn_reasoning"] else read["with_reasoning"],
            "with reasoning, which is not learnt (--learn reasoning)",
        ),
        (read["cut"], f"cut to {read['length']} tokens"),
        (read["no_answer"], f"left out, without an answer inside {read['length']} tokens"),
        (read["tools_unwritten"], "whose tools the chat template does not write"),
        (len(read["files_left_out"]), "other files left out"),
    )
    more = "".join(f"; {n:,} {what}" for n, what in counts if n)
    return f"{read['rows']:,} rows read, {read['learnt']:,} to learn{more}"


def _reasons(refused: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{one['reason']} ({one['n']:,}, first {one['first']})" for one in refused[:3])


def said_of_replay(record: Mapping[str, Any]) -> str:
    """How much of what was learnt was replay; "" where there was none."""
    replay = record.get("replay")
    if not replay:
        return ""
    places, share = replay["substituted"] + replay["added"], replay["tokens"] / max(record["tokens_seen"], 1)
    how = "in place of rows" if replay["mode"] == "substitute" else "besides the rows"
    return (
        f"replay: {places:,} examples {how} from {replay['rows']:,} rows of {replay['from']}, {share:.0%} of the tokens"
    )


def check_place(out: Path) -> None:
    """SynthgainError where something stands at `out` that is not ours to replace."""
    if not out.exists() or (out / RECORD).is_file() or (out.is_dir() and not any(out.iterdir())):
        return
    raise SynthgainError(
        "something that is not a student stands here",
        where=str(out),
        next="give another folder with -o, or move this one away",
    )


def check_model(folder: Path) -> None:
    """SynthgainError where there is no transformers model to start from."""
    if not (folder / "config.json").is_file():
        raise SynthgainError(
            "there is no transformers model here (no config.json)",
            where=str(folder),
            next="give the folder of a model, or a URI such as local/smollm2-135m",
        )
    if not _weights(folder):
        raise SynthgainError(
            "the model's folder holds no weights", where=str(folder), next="it needs model.safetensors"
        )


def weights_digest(folder: Path) -> str:
    """SHA-256 over the files that decide what a model says: weights, configuration, tokenizer, chat template."""
    sha = hashlib.sha256()
    for file in [*_weights(folder), *(folder / name for name in SAYS if (folder / name).is_file())]:
        with file.open("rb") as stream:
            sha.update(f"{file.name}\n{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return sha.hexdigest()


def _weights(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.name.endswith((".safetensors", ".bin")))


def at_work(out: Path, request: str) -> Path:
    """The folder beside `out` where a training keeps its tokens and checkpoints: what another request left there is removed."""
    work, said = out.with_name(f".{out.name}.work"), "request.txt"
    if not (work / said).is_file() or (work / said).read_text("utf-8") != request:
        fresh(work)
        (work / said).write_text(request, "utf-8")
    return work


def fresh(folder: Path) -> Path:
    """The folder, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def place(new: Path, out: Path, record: dict[str, Any]) -> Path:
    """Finish the student in `new` with its record and put it at `out`, in place of the one before."""
    (new / RECORD).write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", "utf-8")
    old = out.with_name(f".{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    new.rename(out)
    shutil.rmtree(old, ignore_errors=True)
    return out
