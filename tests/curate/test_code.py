"""Where a program stands in an answer."""

import time

import pytest

from synthgain.curate.code import defines, fenced, program_in

F = "def f(x):\n    return x\n"


@pytest.mark.parametrize(
    "text, program",
    [
        (F, F),
        (f"```python\n{F}```", F),
        (f"```\n{F}```\nSo it goes.", F),
        (f"~~~py\n{F}~~~", F),
        (f"Sure:\n\n```Python\n{F}", F),
        (f"<think>```python\nwrong\n```</think>\n```python\n{F}```", F),
        (f"First:\n```python\ndef f(x): pass\n```\nBetter:\n```python\n{F}```\nUse:\n```python\nprint(f(1))\n```", F),
        (f"```bash\npip install x\n```\n```python\n{F}```", F),
        ("```python\nimport re\n```\nthen\n```python\nx = 1\n```", "import re\n\n\nx = 1\n"),
        (f"Here is the function:\n\n{F}\nIt gives back what it was given.", F + "\n"),
        (f"LIMIT = 3\n{F}", f"LIMIT = 3\n{F}"),
        (f"import re\n\n{F}\nprint(f(1))\n# done", f"import re\n\n{F}\nprint(f(1))\n# done\n"),
        ("    return x + 1\n", "    return x + 1\n"),
        (f"```python\r\n{F}```".replace("\n", "\r\n"), F),
        ("I cannot write that.", None),
        ("The answer is 5", None),
        ("", None),
        ("```json\n{}\n```", None),
        ("```python\n\n```", None),
    ],
)
def test_programs_are_found(text: str, program: str | None) -> None:
    found = program_in(text, ("f",))
    assert (found and found.strip("\n")) == (program and program.strip("\n"))


def test_what_defines_a_name() -> None:
    assert (
        defines(F, ("f",))
        and defines("async def f(): 1", ("f",))
        and defines("f = max", ("f",))
        and defines("class f: 1", ("f",))
    )
    assert not defines("def ff(): 1", ("f",)) and not defines("f(1)", ("f",)) and not defines("f == 1", ("g",))
    assert fenced("a\n````md\n```python\nx\n```\n````\n") == [("md", "```python\nx\n```\n")]


def test_a_megabyte_of_nonsense_is_read_soon() -> None:
    began = time.process_time()
    for part in ("`" * 3 + "\n", "def f(", "(" * 100, "x = [", "\t", "import a\n", '"""', "a." * 50 + "\n"):
        program_in(part * (1_000_000 // len(part)), ("f",))
    assert time.process_time() - began < 20
