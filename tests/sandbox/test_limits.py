"""What a program may take, and that nothing of it is left for the next."""

import os
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from synthgain.sandbox import Limits, Sandbox
from synthgain.types import SynthgainError

MB = 1 << 20
SOON = Limits(seconds=1, wall=20, memory=128 * MB, output=10_000)
MANY = Limits(seconds=1, wall=3, memory=64 * MB, processes=8, threads=8)


def processes() -> set[str]:
    """The processes of this machine that may run something: those that are ours, and what hangs on them."""
    return {entry for entry in os.listdir("/proc") if entry.isdigit()}


def of_worker(sandbox: Sandbox) -> set[int]:
    """The process ids under the sandbox's idle workers."""
    parents = {}
    for entry in processes():
        try:
            with open(f"/proc/{entry}/stat") as file:
                parents[int(entry)] = int(file.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    found = {worker.process.pid for worker in sandbox._idle}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


@pytest.mark.parametrize(
    "program, ended",
    [
        ("while True: pass", "time"),
        ("import re; re.match(r'(a+)+b', 'a' * 40)", "time"),
        ("7 ** (7 ** 9)", "time"),
        ("import threading\nfor _ in range(4): threading.Thread(target=lambda: [0 for _ in iter(int, 1)]).start()", "time"),
        ("import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass", "time"),
        ("import signal\nfor n in range(1, 65):\n  try: signal.signal(n, signal.SIG_IGN)\n  except Exception: pass\nwhile True: pass", "time"),
        ("import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True: pass", "time"),
        ("x = [0] * (10 ** 9)", "memory"),
        ("x = []\nwhile True: x.append('a' * 10 ** 6)", "memory"),
        ("import mmap\nm = [mmap.mmap(-1, 1 << 24) for _ in range(100)]\nfor one in m: one.write(b'x' * (1 << 24))", "exit"),
        ("x = bytearray()\nwhile True: x += bytes(10 ** 7)", "memory"),
        ("while True: print('x' * 100)", "output"),
        ("print('x' * 10 ** 7, end='')", "output"),
        ("import sys\nwhile True: sys.stderr.write('x')", "output"),
        ("import os\nwhile True: os.write(1, b'x' * 10_000)", "output"),
        ("import sys\nsys.setrecursionlimit(10 ** 9)\ndef f(): f()\nf()", "memory time"),
        ("def f(): f()\nf()", "exit"),
        ("import sys\nsys.setrecursionlimit(10 ** 9)\nclass C:\n  def __getattr__(self, n): return getattr(self, n + '')\nC().x", "signal"),
        ("import ctypes; ctypes.string_at(0)", "signal"),
    ],
)  # fmt: skip
def test_a_program_that_takes_too_much_is_ended(program: str, ended: str, sandbox: Sandbox) -> None:
    began = time.monotonic()
    ran = sandbox.run(program, limits=SOON)
    assert ran.ended in (*ended.split(), "memory") and (ran.ended, ran.code) != ("exit", 0), ran
    assert len(ran.out) + len(ran.err) <= 10_000
    assert ran.peak < 400 * MB
    assert time.monotonic() - began < 40
    assert sandbox.run("print(1)").out == "1\n"


@pytest.mark.parametrize(
    "program",
    [
        "import time; time.sleep(1000)",
        "import threading; threading.Event().wait()",
        "import os; os.read(os.pipe()[0], 1)",
        "import signal; signal.pause()",
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(1)",
        "import threading\nlock = threading.Lock(); lock.acquire(); lock.acquire()",
        "import os; os.kill(os.getpid(), 19); input()\nimport time; time.sleep(9)",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()",
        "import atexit, time; atexit.register(time.sleep, 1000)",
    ],
)
def test_a_program_that_waits_for_ever_is_ended(program: str, sandbox: Sandbox) -> None:
    ran = sandbox.run(program, limits=Limits(wall=0.5))
    assert ran.ended == "time" or "EOFError" in ran.err, ran


@pytest.mark.parametrize(
    "program",
    [
        "import os\nwhile True: os.fork()",
        "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass",
        "import os, time\nif os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0:\n    while True: time.sleep(1)\n  os._exit(0)\nprint('left')",
        "import os, signal, time\nfor _ in range(5):\n  if os.fork() == 0:\n    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n    while True: time.sleep(1)",
        "import os, time\nos.setpgid(0, 0) if os.getpid() != 1 else None\nif os.fork() == 0:\n  os.setpgid(0, 0)\n  while True: pass",
        "import threading, os\nfor _ in range(9): threading.Thread(target=lambda: os.fork() or os.fork()).start()",
        "import os\nfor _ in range(7):\n  if os.fork() == 0:\n    x = bytearray(50 << 20)\n    import time; time.sleep(100)",
        "import os, signal\nif os.fork() == 0:\n  os.kill(-1, signal.SIGKILL)\nos.wait()",
    ],
)  # fmt: skip
def test_no_process_outlives_its_program(program: str, sandbox: Sandbox) -> None:
    sandbox.run("pass")
    before = of_worker(sandbox)
    sandbox.run(program, limits=MANY)
    assert of_worker(sandbox) == before
    assert len(before) == 2


def test_processes_are_counted(sandbox: Sandbox) -> None:
    many = "import os, time\nn = 0\ntry:\n  while True:\n    if os.fork() == 0: time.sleep(9)\n    n += 1\nexcept OSError: print(n, flush=True)\nos._exit(0)"
    assert int(sandbox.run(many, limits=MANY).out) <= 12
    threads = "import threading, time\nn = 0\ntry:\n  while True:\n    threading.Thread(target=time.sleep, args=(9,), daemon=True).start()\n    n += 1\nexcept RuntimeError: print(n, flush=True)\nimport os; os._exit(0)"
    assert 1 <= int(sandbox.run(threads, limits=Limits(threads=8)).out) <= 12


@pytest.mark.parametrize(
    "program, said",
    [
        ("open('f', 'wb').write(b'x' * (64 << 20))", "File too large"),
        ("for i in range(100): open(f'f{i}', 'wb').write(b'x' * (8 << 20))", "No space left"),
        ("for i in range(10 ** 6): open(f'f{i}', 'w').close()", "No space left"),
        ("import os\nfor i in range(10 ** 6): os.mkdir('d'); os.chdir('d')", "OSError"),
        ("import os\nos.truncate(os.open('f', os.O_CREAT | os.O_RDWR), 1 << 40)", "File too large"),
        ("files = [open('/dev/null') for _ in range(10 ** 4)]", "Too many open files"),
        ("import os\npipes = [os.pipe() for _ in range(10 ** 4)]", "Too many open files"),
        ("import fcntl, os\nfcntl.fcntl(os.pipe()[1], 1031, 1 << 20)", "not permitted"),
        ("import os\nos.ftruncate(0, 1 << 30)", "Error"),
        ("import os\nos.write(0, b'x')", "Error"),
    ],
)
def test_files_are_limited(program: str, said: str, sandbox: Sandbox) -> None:
    ran = sandbox.run(program, limits=Limits(seconds=20))
    assert ran.code == 1 and said in ran.err, ran


def test_nothing_survives_from_one_program_to_the_next(sandbox: Sandbox) -> None:
    first = (
        "import builtins, sys, os, random, json, math\nopen('left', 'w').write('x')\nbuiltins.left = 1\nsys.modules['left'] = sys\n"
        "math.left = 1\njson.dumps = None\nsys.path.insert(0, '/scratch')\nos.environ['LEFT'] = '1'\nos.umask(0)\nrandom.seed(5)\n"
        "sys.setrecursionlimit(50_000)\nsecret = 'a text' + ' of its own'\nopen('json.py', 'w').write('raise SystemExit(9)')\nos.mkdir('/tmp/d')"
    )
    then = (
        "import builtins, sys, os, math, json, random, gc\nassert os.listdir('.') == []\nassert not hasattr(builtins, 'left') and 'left' not in sys.modules\n"
        "assert not hasattr(math, 'left') and json.dumps(1) == '1' and 'LEFT' not in os.environ and sys.getrecursionlimit() == 1000\n"
        "texts = [t for o in gc.get_objects() if isinstance(o, dict) for t in o.values() if isinstance(t, str)]\n"
        "assert not [t for t in texts if t == 'a text' + ' of its own']\nprint(random.random())"
    )
    fresh = sandbox.run(then)
    assert (fresh.ended, fresh.code) == ("exit", 0), fresh
    assert sandbox.run(first).code == 0
    assert sandbox.run(then).out == fresh.out


def test_no_core_is_left(sandbox: Sandbox) -> None:
    ran = sandbox.run("import os, resource\nprint(resource.getrlimit(resource.RLIMIT_CORE), flush=True)\nos.abort()")
    assert ran.ended == "signal" and ran.out == "(0, 0)\n"


def test_a_program_is_run_as_python_runs_it(sandbox: Sandbox) -> None:
    ran = sandbox.run("import sys\nprint(input()[::-1], file=sys.stderr)\nprint(__name__)\nsys.exit(3)", given="abc\n")
    assert (ran.ended, ran.code, ran.out, ran.err) == ("exit", 3, "__main__\n", "cba\n")
    everyday = (
        "import asyncio, hashlib, sqlite3, threading, tempfile, uuid, zlib, lzma, bz2, decimal, ssl, csv, xml.etree.ElementTree\n"
        "async def f(): await asyncio.sleep(0); return 5\nprint(asyncio.run(f()), hashlib.sha256(b'').hexdigest()[:4])\n"
        "with tempfile.TemporaryFile() as t: t.write(b'x')\nthreading.Thread(target=print, args=('thread',)).start()\n"
        "from concurrent.futures import ThreadPoolExecutor\nprint(list(ThreadPoolExecutor(2).map(abs, [-1])))\nexit(0)"
    )
    ran = sandbox.run(everyday)
    assert ran.code == 0 and ran.out.split("\n")[0] == "5 e3b0" and "thread" in ran.out and "[1]" in ran.out, ran


def test_sets_come_in_one_order_and_chance_is_seeded(sandbox: Sandbox) -> None:
    program = "import random\nprint(set('abcdefgh'), random.random(), hash('x'))"
    other = Sandbox(1)
    assert sandbox.run(program).out == sandbox.run(program).out == other.run(program).out
    other.close()


def test_threads_share_a_sandbox() -> None:
    shared = Sandbox(2)
    with ThreadPoolExecutor(8) as threads:
        outs = list(threads.map(lambda n: shared.run(f"print({n})").out, range(24)))
    assert outs == [f"{n}\n" for n in range(24)]
    assert len(shared._idle) <= 2
    shared.close()


def test_closing_leaves_no_process_and_a_later_program_runs() -> None:
    shared = Sandbox(1)
    shared.run("pass")
    there = of_worker(shared)
    slow = threading.Thread(target=shared.run, args=("import time; time.sleep(0.5)",))
    slow.start()
    time.sleep(0.2)
    shared.close()
    slow.join()
    assert shared._idle == [] and not {str(number) for number in there} & processes()
    assert shared.run("print(2)").out == "2\n"
    shared.close()


def test_workers_end_with_the_process_that_started_them(tmp_path: object) -> None:
    """However it ends: here by SIGKILL, with a program under way."""
    import sys

    code = (
        "import threading, time\nfrom synthgain.sandbox import Sandbox\nbox = Sandbox(1)\nbox.ready()\nprint(box._idle[0].process.pid, flush=True)\n"
        "box.run('while True: pass')"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        worker = process.stdout.readline().strip()
        time.sleep(0.3)
        process.send_signal(signal.SIGKILL)
    ends = time.monotonic() + 20
    while worker in processes() and time.monotonic() < ends:
        time.sleep(0.05)
    assert worker not in processes()


def test_a_lost_worker_is_replaced(sandbox: Sandbox) -> None:
    sandbox.run("pass")
    for number in of_worker(sandbox):
        os.kill(number, signal.SIGKILL)
    assert sandbox.run("print(3)").out == "3\n"


def test_programs_under_way_can_be_stopped() -> None:
    shared, ends = Sandbox(1), list[BaseException]()

    def runs() -> None:
        try:
            shared.run("import time; time.sleep(100)")
        except SynthgainError as error:
            ends.append(error)

    threads = [threading.Thread(target=runs) for _ in range(3)]
    for thread in threads:
        thread.start()
    while not (workers := {worker.process.pid for worker in shared._busy}):
        time.sleep(0.05)
    began = time.monotonic()
    shared.stop()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began < 30 and [end.code for end in ends] == [130] * 3  # type: ignore[attr-defined]
    assert not {str(number) for number in workers} & processes()
    assert shared.run("print(4)").out == "4\n"
    shared.close()
