import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from synthgain.store.lock import writing
from synthgain.types import SynthgainError

HOLD = """
import sys
from pathlib import Path
from synthgain.store.lock import writing
with writing(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdin=pipe, stdout=pipe, text=True)
    assert process.stdin is not None and process.stdout is not None
    with process:
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_another_writer_is_refused_by_its_pid_and_may_write_later(tmp_path: Path) -> None:
    with holder(tmp_path) as other:
        for _ in range(2):
            with pytest.raises(SynthgainError, match=f"another process \\(pid {other.pid}\\)") as error:
                with writing(tmp_path):
                    pass
            assert error.value.code == 2 and str(tmp_path) in str(error.value)
        assert other.stdin is not None
        other.stdin.close()
        other.wait(30)
    with writing(tmp_path):
        pass


def test_a_killed_writer_holds_nothing(tmp_path: Path) -> None:
    with holder(tmp_path) as other:
        os.kill(other.pid, signal.SIGKILL)
        other.wait(30)
        with writing(tmp_path), pytest.raises(SynthgainError, match=f"this process \\(pid {os.getpid()}\\)"):
            with writing(tmp_path):
                pass


def test_one_process_writes_a_folder_once(tmp_path: Path) -> None:
    said: list[str] = []

    def second() -> None:
        try:
            with writing(tmp_path):
                said.append("granted")
        except SynthgainError as error:
            said.append(error.what)

    with writing(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        second()
        with writing(tmp_path / "another"):
            pass
    assert said == [f"this process (pid {os.getpid()}) is writing this folder"] * 2
    second()
    assert said[-1] == "granted"


def test_a_block_that_fails_lets_go(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), writing(tmp_path / "new" / "folder"):
        raise ZeroDivisionError
    with writing(tmp_path / "new" / "folder"):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="the locks of POSIX")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_disk_without_locks_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    import fcntl

    def none(file: object, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(SynthgainError, match="this disk has no file locks") as error, writing(tmp_path):
        pass
    assert error.value.code == 2 and "another disk" in error.value.next
    assert "process" not in error.value.what and str(tmp_path) in error.value.where


@pytest.mark.skipif(sys.platform == "win32", reason="the locks of POSIX")
def test_a_run_on_a_disk_without_locks_buys_nothing_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    import synthgain as sg

    def none(file: object, operation: int) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(SynthgainError, match="no file locks") as error:
        sg.generate("rephrase", ["A text."], model="scripted/words?n=5", out=tmp_path / "run")
    assert error.value.code == 2 and not (tmp_path / "run").exists()


def test_a_lock_that_nobody_owns_up_to_is_not_blamed_on_a_process(tmp_path: Path) -> None:
    with holder(tmp_path):
        (tmp_path / ".lock.pid").unlink()
        with pytest.raises(SynthgainError, match="another machine may be writing it") as error, writing(tmp_path):
            pass
        (tmp_path / ".lock.pid").write_text("7 elsewhere")
        with pytest.raises(SynthgainError, match="pid 7 on elsewhere"), writing(tmp_path):
            pass
    assert error.value.code == 2 and "local disk" in error.value.next


WITHOUT = """
import sys, warnings
sys.modules["fcntl"] = None  # as on Windows
warnings.simplefilter("ignore")  # filelock says that it is left with a lock of its own making
import asyncio
from pathlib import Path
import synthgain.store
from synthgain.store.lock import writing
from synthgain.types import Call, Prompt, SynthgainError, assistant, user

async def fill(folder):
    prompt = Prompt((user("q"),))
    memory = synthgain.store.CallMemory(folder)
    await memory.put(Call(prompt.id("m"), prompt, assistant("a"), "s"), "m")
    memory.close()

folder = Path(sys.argv[1])
with writing(folder):
    try:
        with writing(folder):
            print("granted twice")
    except SynthgainError as error:
        print(error.what.split(" (")[0])
    asyncio.run(fill(folder / "calls"))
with writing(folder):
    print(len(synthgain.store.CallMemory(folder / "calls", readonly=True)))
"""


def test_a_run_is_written_where_fcntl_does_not_exist(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT, str(tmp_path)], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["this process", "1"], done.stderr
