"""Every program of `attacks.py` is held, and most would not be without the sandbox."""

import inspect
import os
import platform
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from types import FunctionType

import pytest

from sandbox import attacks
from synthgain.sandbox import Limits, Sandbox

LIMITS = Limits(seconds=10, wall=60)


@pytest.fixture(scope="module")
def outside() -> Iterator[str]:
    """What a program may try to reach: a server on a port, and one with an abstract name."""
    name = f"synthgain-{uuid.uuid4().hex}"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
            abstract.bind("\0" + name)
            abstract.listen()
            datagrams.bind("\0" + name + "-d")
            threading.Thread(target=_answer, args=(server,), daemon=True).start()
            yield f"PORT, NAME = {server.getsockname()[1]}, {name!r}\n"


def _answer(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nhello")


def program(attack: FunctionType, outside: str) -> str:
    head = inspect.getsource(attacks).split("# -----")[0]
    tries = f"try:\n    got = {attack.__name__}()\nexcept BaseException as error:\n    print('HELD', type(error).__name__)\n"
    return f"{outside}{head}\n{inspect.getsource(attack)}\n{tries}else:\n    print('OUT' if got else 'HELD', got)\n"


def _there_on_x86(attack: FunctionType) -> None:
    if platform.machine() != "x86_64" and (
        "_call(" in inspect.getsource(attack) or "CFUNCTYPE" in inspect.getsource(attack)
    ):
        pytest.skip("it names calls by their numbers on x86_64")


@pytest.mark.parametrize("attack", attacks.ALL, ids=lambda attack: attack.__name__)
def test_it_is_held(attack: FunctionType, outside: str, sandbox: Sandbox) -> None:
    _there_on_x86(attack)
    ran = sandbox.run(program(attack, outside), limits=LIMITS)
    killed_by_the_filter = ran.ended == "signal" and ran.code in (
        31,
        11,
    )  # SIGSYS; SIGSEGV where 32-bit calls are not there
    assert ran.out.startswith("HELD") or killed_by_the_filter, ran
    assert not os.path.exists("/synthgain-was-here")


@pytest.mark.parametrize("attack", attacks.HARMLESS, ids=lambda attack: attack.__name__)
def test_it_would_get_out_without_a_sandbox(attack: FunctionType, outside: str, tmp_path: object) -> None:
    _there_on_x86(attack)
    bare = [sys.executable, "-W", "ignore", "-c", program(attack, outside)]
    ran = subprocess.run(bare, cwd=str(tmp_path), capture_output=True, text=True, timeout=60)
    assert "OUT" in ran.stdout, (ran.stdout, ran.stderr)
