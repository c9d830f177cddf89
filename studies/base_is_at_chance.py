"""Does the embedded model know the invented documents before it has read them?

Hypothesis: SmolLM2-135M-Instruct answers the shipped four-option questions closed-book at chance
(0.25): the 95 % Wilson interval holds 0.25 under both scorings, the summed log-probability of an
option and the same per byte. A wording that gives its answer away would show as a rate above it.

The control is the opposite: with the document in the context (the four short ones) the same scorings
should be above chance, else "at chance" would only say that the model cannot answer questions at all.

Run it without arguments; it prints the tables of `base_is_at_chance.md`. Needs the extras local and train.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from synthgain.examples import document_questions, documents
from synthgain.models.gguf import folder_of
from synthgain.models.weights import find

MODEL = "smollm2-135m"
Z = 1.959963984540054


def wilson(right: int, n: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a share."""
    share, spread = right / n, Z * Z / n
    middle = (share + spread / 2) / (1 + spread)
    half = Z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return middle - half, middle + half


@torch.no_grad()
def logprobs(model: Any, tokenizer: Any, prompt: str, options: Sequence[str]) -> list[float]:
    """Sum of ln p(token | before) over each option's tokens, nats. The prompt is read once for all options."""
    first = tokenizer(prompt, return_tensors="pt").input_ids
    read = model(first, use_cache=True)
    tails = [tokenizer(" " + option, add_special_tokens=False).input_ids for option in options]
    width = max(map(len, tails))
    padded = torch.tensor([tail + [tail[-1]] * (width - len(tail)) for tail in tails])
    cache = read.past_key_values
    cache.batch_repeat_interleave(len(tails))
    after = model(padded, past_key_values=cache, use_cache=True).logits
    at_start = read.logits[:, -1:].expand(len(tails), -1, -1)
    law = torch.cat([at_start, after[:, :-1]], dim=1).float().log_softmax(-1)
    chosen = law.gather(2, padded.unsqueeze(2)).squeeze(2)
    return [float(row[: len(tail)].sum()) for row, tail in zip(chosen, tails, strict=True)]


def ask(
    model: Any, tokenizer: Any, questions: Sequence[dict[str, Any]], before: dict[str, str]
) -> list[dict[str, Any]]:
    """Whether the gold option wins, summed and per byte, for each question."""
    answers = []
    for question in questions:
        prompt = f"{before.get(question['document'], '')}Question: {question['question']}\nAnswer:"
        sums = logprobs(model, tokenizer, prompt, question["options"])
        shares = [total / len(option.encode()) for total, option in zip(sums, question["options"], strict=True)]
        answers.append(
            {
                "document": question["document"],
                "facts": question["facts"],
                "summed": sums.index(max(sums)) == question["gold"],
                "per byte": shares.index(max(shares)) == question["gold"],
            }
        )
    return answers


def show(name: str, answers: Sequence[dict[str, Any]]) -> None:
    """One line of the table."""
    cells = []
    for scoring in ("summed", "per byte"):
        right, n = sum(answer[scoring] for answer in answers), len(answers)
        low, high = wilson(right, n)
        cells.append(f"{right / n:.2f} ({low:.2f} to {high:.2f})")
    print(f"| {name} | {len(answers)} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    folder = folder_of(find(MODEL))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = {document["slug"]: document["text"] + "\n\n" for document in documents()}
    short = sorted(texts, key=lambda slug: len(texts[slug]))[:4]
    questions = document_questions()

    print("| questions | n | summed | per byte |\n|---|---:|---|---|")
    closed = ask(model, tokenizer, questions, {})
    show("closed-book, all", closed)
    for facts in (1, 2):
        show(f"closed-book, {facts} fact{'s' * (facts > 1)}", [answer for answer in closed if answer["facts"] == facts])
    for slug in texts:
        show(f"closed-book, {slug}", [answer for answer in closed if answer["document"] == slug])
    opened = ask(model, tokenizer, [question for question in questions if question["document"] in short], texts)
    show("with the document, short ones", opened)
    for facts in (1, 2):
        show(f"with the document, {facts} fact{'s' * (facts > 1)}", [a for a in opened if a["facts"] == facts])


if __name__ == "__main__":
    main()
