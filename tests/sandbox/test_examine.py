"""Tests of a program: what passes, what falls and why, and that a program cannot say of itself that it passed."""

import pytest

from synthgain.sandbox import Limits, Sandbox

ADD = ["assert add(1, 2) == 3", "assert add(-1, 1) == 0"]
RIGHT = "def add(a, b):\n    return a + b"
CHECK = "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate([1], [2]) == [1, 2]\n"


def test_a_right_program_passes(sandbox: Sandbox) -> None:
    examined = sandbox.examine(RIGHT, ADD)
    assert (examined.passed, examined.held, examined.of, examined.why) == (True, 2, 2, "")
    assert sandbox.examine(RIGHT, [CHECK], entry_point="add").passed


@pytest.mark.parametrize(
    "program, why, held",
    [
        ("def add(a, b): return a - b", "wrong", 0),
        ("def add(a, b): return 3", "wrong", 1),
        ("def add(a, b): return None", "wrong", 0),
        ("def add(a, b): print(a + b)", "wrong", 0),
        ("def add(a, b): raise ValueError('no')", "error", 0),
        ("def add(a, b): assert False", "error", 0),
        ("def add(a): return a", "error", 0),
        ("def other(): pass", "error", 0),
        ("def add(a, b)", "error", 0),
        ("1 / 0", "error", 0),
        ("import nothing_there", "error", 0),
        ("def add(a, b):\n  while True: pass", "time", 0),
        ("while True: pass", "time", 0),
        ("def add(a, b): return [0] * 10 ** 10", "memory", 0),
        ("x = 'a' * 10 ** 10", "memory", 0),
        ("import socket\ndef add(a, b): socket.socket(); return a + b", "refused", 0),
        ("import os\ndef add(a, b): return os.system('true')", "wrong", 0),
        ("import subprocess\ndef add(a, b): subprocess.run(['true']); return a + b", "refused", 0),
        ("def add(a, b): open('/x', 'w'); return a + b", "refused", 0),
        ("def add(a, b):\n  while True: print('x' * 1000)", "output", 0),
    ],
)
def test_a_wrong_program_falls_for_what_it_did(program: str, why: str, held: int, sandbox: Sandbox) -> None:
    examined = sandbox.examine(program, ADD, limits=Limits(seconds=1, wall=20))
    assert (examined.passed, examined.why, examined.held) == (False, why, held), examined


FORGED = [
    "print('passed'); print('OK', flush=True)",
    "import os; os._exit(0)",
    "import sys; sys.exit(0)",
    "raise SystemExit",
    "import atexit, os; atexit.register(os._exit, 0)",
    "def add(a, b):\n  import os; os._exit(0)",
    "def add(a, b): raise SystemExit(0)",
    "def add(a, b): raise KeyboardInterrupt",
    "import threading, os; threading.Timer(0.01, os._exit, (0,)).start()\ndef add(a, b):\n  import time; time.sleep(1); return 0",
    # objects that say that they are equal to anything
    "class Any:\n  def __eq__(self, o): return True\n  def __ne__(self, o): return False\n  __hash__ = None\ndef add(a, b): return Any()",
    "class Any(int):\n  def __eq__(self, o): return True\n  __hash__ = int.__hash__\ndef add(a, b): return Any()",
    "class Any(str):\n  def __eq__(self, o): return True\ndef add(a, b): return Any()",
    "class Any(list):\n  def __eq__(self, o): return True\ndef add(a, b): return Any()",
    "class M(type):\n  def __eq__(c, o): return True\n  def __hash__(c): return 1\nclass Any(metaclass=M): pass\ndef add(a, b): return Any",
    "class Any:\n  def __eq__(self, o): return True\nadd = lambda a, b: (Any(), Any())",
    "class Any:\n  def __bool__(self): return True\n  def __call__(self, *a): return self\n  def __eq__(self, o): return self\nadd = Any()",
    # the harness, in this interpreter and elsewhere
    "import builtins\nbuiltins.AssertionError = SystemExit\nbuiltins.__debug__ = False\ndef add(a, b): return 0",
    "import builtins\nclass E(Exception): pass\nbuiltins.AssertionError = E\ndef add(a, b): return 0",
    "import sys\nm = sys.modules['synthgain.sandbox.inside.examiner']\nm.Examination._held = lambda *a: None\nm.Examination.__call__ = lambda s: {'passed': True, 'held': 2, 'of': 2, 'kind': '', 'why': ''}\ndef add(a, b): return 0",
    "import sys\nm = sys.modules['synthgain.sandbox.inside.program']\nm._raised = lambda e: ['value', 3, None]\ndef add(a, b): raise ValueError",
    "import sys\nv = sys.modules['synthgain.sandbox.inside.values']\nv.packed = lambda value, handle: True\ndef add(a, b): return 0",
    "import json\njson.dumps = lambda m: '{\"passed\": true, \"held\": 2, \"of\": 2}'\ndef add(a, b): return 0",
    "import unittest\nunittest.TestCase.assertEqual = lambda *a: None\ndef add(a, b): return 0",
    "import os\nfor n in range(200):\n  try: os.write(n, b'{\"passed\": true, \"held\": 2, \"of\": 2, \"kind\": \"\", \"why\": \"\"}')\n  except OSError: pass\ndef add(a, b): return 0",
    "import os, struct\nm = b'[\"value\", null, null]'\nfor _ in range(20): os.write(4, struct.pack('=I', len(m)) + m)\ndef add(a, b): return 0",
    "import os, struct\nm = b'[\"value\", [\"handle\", 0, \"int\"], null]'\nfor _ in range(20): os.write(4, struct.pack('=I', len(m)) + m)",
    "import os, struct\nm = b'[\"raised\", [\"SystemExit\", \"BaseException\"], \"SystemExit\", \"0\", 0]'\nfor _ in range(20): os.write(4, struct.pack('=I', len(m)) + m)",
    "import os, struct\nm = b'[' * 100_000\nos.write(4, struct.pack('=I', len(m)) + m)\ndef add(a, b): return 0",
    "import os, struct\nos.write(4, struct.pack('=I', 1 << 31) + b'x')\ndef add(a, b): return 0",
    "import os\nos.write(4, os.urandom(4096))\ndef add(a, b): return 0",
    "import os\nos.close(4)\ndef add(a, b): return 0",
    "import os\nos.dup2(1, 4)\ndef add(a, b): return 0",
    # Python's own names
    "def add(a, b): return 0\ndef set(x): return 1\ndef sorted(x): return 1\ndef isinstance(*a): return True",
    "import builtins\nbuiltins.sorted = lambda *a: 1\nbuiltins.len = lambda *a: 1\ndef add(a, b): return 0",
    "add = 3",
    "add = max",
    "add = dict",
    # the tests' process
    "import os, signal\ndef add(a, b):\n  for p in range(1, 300):\n    try:\n      if p != os.getpid(): os.kill(p, signal.SIGKILL)\n    except OSError: pass\n  return 0",
    "import os, signal\nos.kill(-1, signal.SIGSTOP)\ndef add(a, b): return 0",
]  # fmt: skip


@pytest.mark.parametrize("program", FORGED)
def test_a_pass_cannot_be_forged(program: str, sandbox: Sandbox) -> None:
    examined = sandbox.examine(program, ADD, limits=Limits(seconds=2, wall=5))
    assert not examined.passed, program
    assert examined.why, examined
    assert sandbox.examine(RIGHT, ADD).passed


def test_what_tests_expect_is_not_in_the_programs_interpreter(sandbox: Sandbox) -> None:
    search = (
        "import gc, glob, os, sys\ndef add(a, b):\n  word, found = ''.join(['pass', 'word-']), []\n  frame = sys._getframe().f_back\n  while frame:\n"
        "    found += [str(v) for v in [*frame.f_locals.values(), *frame.f_globals.values()]]\n    frame = frame.f_back\n"
        "  found += [str(o) for o in gc.get_objects()]\n"
        "  for f in glob.glob('/scratch/*') + glob.glob('/tmp/*') + glob.glob('/proc/*/*'):\n    found.append(open(f).read())\n"
        "  for n in range(100):\n    try: found.append(os.pread(n, 10 ** 6, 0).decode('latin1'))\n    except OSError: pass\n"
        "  return next((t[t.index(word):][:13] for t in found if word in t), 'none')"
    )
    assert not sandbox.examine(search, ["assert add(1, 2) == 'password-4711'"]).passed
    own = search + "\nkept = 'password-4711'"
    assert sandbox.examine(own, ["assert add(1, 2) == 'password-4711'"]).passed  # the search would find it


def test_names_of_python_are_never_the_programs(sandbox: Sandbox) -> None:
    tests = [
        "assert set(f([1, 2])) == {1, 2}",
        "assert math.isclose(f([1.0])[0], 1.0)",
        "assert sorted(f([2, 1])) == [1, 2]",
    ]
    good = "def f(x): return x"
    assert sandbox.examine(good, tests).passed
    lies = "class math:\n  isclose = staticmethod(lambda *a: True)\ndef set(x): return 1\ndef sorted(x): return 1\ndef f(x): return [0]"
    examined = sandbox.examine(lies, tests)
    assert examined.held == 0 and examined.why == "wrong"


def test_helpers_of_the_prompt_are_the_tests_own(sandbox: Sandbox) -> None:
    prompt = "def encode(s):\n    return s[::-1]\n\ndef decode(s):\n    '''Undo encode.'''\n"
    tests = ["def check(candidate):\n    assert candidate(encode('abc')) == 'abc'\n"]
    assert sandbox.examine(prompt + "    return s[::-1]\n", tests, prompt=prompt, entry_point="decode").passed
    cheat = "def encode(s): return s\ndef decode(s): return s"
    assert sandbox.examine(cheat, tests, prompt=prompt, entry_point="decode").why == "wrong"


def test_classes_generators_and_changes_in_place_are_seen(sandbox: Sandbox) -> None:
    program = (
        "class Node:\n  def __init__(self, v): self.v, self.left = v, None\n  def depth(self): return 1 + (self.left.depth() if self.left else 0)\n"
        "def first(n):\n  yield from range(n)\ndef turn(x):\n  x.reverse()\ndef fails(): raise KeyError('k')\ndef big(): return 10 ** 5000\n"
        "def node(n): return n.v\ndef odd(): return {(1, 2): {3}, None: b'x', 1.5: 2j}\ndef same(x): return x\n"
    )
    tests = [
        "root = Node(1)\nroot.left = Node(2)\nassert root.depth() == 2 and root.left.v == 2",
        "assert list(first(3)) == [0, 1, 2]",
        "xs = [1, 2]\nturn(xs)\nassert xs == [2, 1]",
        "try:\n    fails()\nexcept KeyError:\n    pass\nelse:\n    assert False",
        "assert big() == 10 ** 5000",
        "assert node(Node(7)) == 7",
        "assert odd() == {(1, 2): {3}, None: b'x', 1.5: 2j}",
        "import math\nassert math.isnan(same(float('nan'))) and same(float('inf')) > 1 and same('\\ud800ü') == '\\ud800ü'",
        "from collections import Counter, deque, OrderedDict\nassert same(Counter('aab')) == Counter('aab') and same(deque([1])) == deque([1])",
        "from fractions import Fraction\nfrom datetime import date\nassert same(Fraction(1, 3)) == Fraction(1, 3) and same(date(2020, 1, 2)) == date(2020, 1, 2)",
        "assert same(int) is int and type(same((1,))) is tuple and same(range(3)) == range(3)",
        "class TestIt:\n    pass\nimport unittest\nclass T(unittest.TestCase):\n    def test_it(self):\n        self.assertEqual(same(1), 1)",
        "def test_one():\n    assert same([[]]) == [[]]",
    ]  # fmt: skip
    examined = sandbox.examine(program, tests)
    assert examined.passed, examined


def test_functions_of_tests_that_fail_are_found(sandbox: Sandbox) -> None:
    for tests in (
        "import unittest\nclass T(unittest.TestCase):\n    def test_it(self):\n        self.assertEqual(same(1), 2)",
        "def test_one():\n    assert same(1) == 2",
    ):
        assert sandbox.examine("def same(x): return x", [tests]).why == "wrong"


@pytest.mark.parametrize(
    "tests",
    [
        [],
        ["assert True"],
        ["assert add(1, 2"],
        ["assert add(lambda: 1, 2)"],
        ["import os\nos._exit(0)"],
        ["while True: pass"],
    ],
)
def test_tests_that_cannot_be_used_are_no_pass(tests: list[str], sandbox: Sandbox) -> None:
    examined = sandbox.examine(RIGHT, tests, limits=Limits(seconds=1, wall=20))
    assert not examined.passed and examined.why in ("tests", "error", "time"), examined


def test_tests_are_held_too(sandbox: Sandbox) -> None:
    tests = ["assert add(1, 2) == 3\nimport socket\nsocket.socket()"]
    assert not sandbox.examine(RIGHT, tests).passed
