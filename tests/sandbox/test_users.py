"""The sandbox as an ordinary user, and where there is none."""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from synthgain.sandbox import Limits, Sandbox, pool, warm
from synthgain.types import SynthgainError

SRC = Path(__file__).parent.parent.parent / "src" / "synthgain"
NOBODY = 65534
ASKS = """
import json, os, sys
from synthgain.sandbox import Limits, Sandbox
box = Sandbox(1)
box.ready()
who = box.run("import os; print(os.getuid(), os.getgid(), os.listdir('/scratch'))")
held = box.run("import os, socket\\ntry: open('/etc/passwd')\\nexcept OSError: print('files')\\ntry: socket.socket()\\nexcept OSError: print('network')\\ntry: os.fork()\\nexcept OSError: print('fork')")
many = box.run("import os\\nwhile True: os.fork()", limits=Limits(processes=8, seconds=1, wall=3))
good = box.examine("def f(x): return x + 1", ["assert f(1) == 2"])
bad = box.examine("def f(x): return x", ["assert f(1) == 2"])
box.close()
print(json.dumps([os.getuid(), who.out, held.out.split(), many.ended, good.passed, bad.why]))
"""


def pythons() -> list[str]:
    """Interpreters that an ordinary user may start."""
    found = [getattr(sys, "_base_executable", sys.executable), shutil.which("python3", path="/usr/bin:/usr/local/bin")]
    return [one for one in found if one and _may_start(one)]


def _may_start(python: str) -> bool:
    try:
        command = [python, "-c", "import sys, encodings; sys.exit(sys.version_info < (3, 11))"]
        return (
            subprocess.run(command, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", capture_output=True).returncode
            == 0
        )
    except OSError:
        return False


@pytest.mark.skipif(
    os.name != "posix" or os.getuid() != 0, reason="this is an ordinary user already: all other tests say it"
)
def test_an_ordinary_user_has_the_same_sandbox(request: pytest.FixtureRequest, sandbox: Sandbox) -> None:
    if not pythons():
        pytest.skip("no Python 3.11 on this machine can be started by an ordinary user")
    everybodys = Path(tempfile.mkdtemp())  # pytest's own folders are closed to others
    request.addfinalizer(lambda: shutil.rmtree(everybodys))
    everybodys.chmod(0o755)
    package = everybodys / "src" / "synthgain"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    shutil.copy(SRC / "types.py", package)
    shutil.copytree(SRC / "sandbox", package / "sandbox")
    ran = subprocess.run(
        [pythons()[0], "-c", ASKS],
        env={"PYTHONPATH": str(everybodys / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
    )
    if "allows no sandbox" in ran.stderr:
        pytest.skip(f"no sandbox for ordinary users here: {ran.stderr.splitlines()[-2]}")
    who, uid, held, ended, good, bad = json.loads(ran.stdout or "[0, 0, 0, 0, 0, 0]")
    assert who == NOBODY, ran.stderr
    assert (uid, held) == ("1000 1000 []\n", ["files", "network", "fork"])
    assert ended in ("time", "exit", "signal") and good and bad == "wrong"


def test_elsewhere_it_refuses_and_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for attribute, value, said in (
        ("system", "Darwin", "only Linux"),
        ("machine", "riscv64", "riscv64"),
        ("release", "4.18.0-553.el8", "5.14"),
    ):
        with monkeypatch.context() as there:
            there.setattr(platform, attribute, lambda value=value: value)
            if attribute == "system":
                there.setattr(sys, "platform", "darwin")
            with pytest.raises(SynthgainError, match=said) as told:
                Sandbox(1).ready()
        assert told.value.code == 2 and told.value.next


def test_where_the_kernel_refuses_a_namespace_that_is_said(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> None:
    boot = warm._BOOT.replace("main(int", "from synthgain.sandbox.inside import kernel\n{}\nmain(int")
    refuses = "def no(*a): raise OSError(1, 'Operation not permitted', 'unshare')\nkernel.unshare = no"
    monkeypatch.setattr(warm, "_BOOT", boot.format(refuses))
    with pytest.raises(SynthgainError, match="namespaces of its own: Operation not permitted"):
        Sandbox(1).ready()


def test_a_worker_that_does_not_contain_is_not_used(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> None:
    """Were the filter of calls not put up, the trial program would say so."""
    boot = warm._BOOT.replace(
        "main(int", "from synthgain.sandbox.inside import kernel\nkernel.only_calls_of = lambda f: None\nmain(int"
    )
    monkeypatch.setattr(warm, "_BOOT", boot)
    with pytest.raises(SynthgainError, match="held back only at"):
        Sandbox(1).ready()


def test_a_process_that_was_forked_has_a_sandbox_of_its_own(sandbox: Sandbox) -> None:
    mine = pool.shared()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, b"own" if pool.shared() is not mine else b"same")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 9) == b"own"


@pytest.mark.parametrize("limit", [{"seconds": 0}, {"memory": -1}, {"wall": 0.0}])
def test_a_limit_of_nothing_is_refused(limit: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Limits(**limit)  # type: ignore[arg-type]
