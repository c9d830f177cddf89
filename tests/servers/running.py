"""Starts servers that others wrote, each in a process of its own on a loopback port, with a log that says what it answered.

Their packages lie in `.venv-servers` (`make servers`), apart from the project's; llama.cpp's server is in the project's own.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BIN = Path(os.environ.get("SYNTHGAIN_SERVERS") or HERE.parent.parent / ".venv-servers") / "bin"
KEY = "sk-for-this-machine"  # a LiteLLM proxy does not start without one
SLOTS = 4  # of llama.cpp's server
START = 300  # seconds; LiteLLM takes over a minute on a busy machine
LITELLM = """\
model_list:
  - model_name: small
    litellm_params: {{model: openai/smollm2, api_base: "{backend}", api_key: none}}
  - model_name: claude
    litellm_params: {{model: anthropic/claude-sonnet-4-5, api_key: none, mock_response: "Hello from nobody."}}
  - model_name: thinker
    litellm_params: {{model: openai/gpt-5, api_key: none, mock_response: "Hello from nobody."}}
"""  # the last two are never reached: LiteLLM refuses what they do not take, and answers itself


@dataclass
class Process:
    """A server program. `served` is the pattern of a log line that tells of one answer (status 200)."""

    name: str
    command: list[str]
    port: int
    ready: str  # a path that answers once it serves
    served: str
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    _read: int = 0  # bytes of the log
    _seen: int = 0  # answers in them

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=os.environ | dict(self.env)
            )
        deadline = time.monotonic() + START
        while not self._serves():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self.name} did not start:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.2)

    def _serves(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{self.ready}", timeout=5):
                return True
        except OSError:
            return False

    def kill(self) -> None:
        """SIGKILL, now."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def answers(self) -> int:
        """How many completions it has answered, over all its lives."""
        with self.log.open("rb") as log:
            log.seek(self._read)
            new = log.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        self._seen += len(re.findall(self.served.encode(), whole))
        return self._seen


@dataclass
class Server:
    """A server as a test sees it. `mortal` is the process that dies in the middle: a proxy's is the model behind it."""

    front: Process
    model: str  # its name there
    mortal: Process
    logprobs: bool
    schema: bool

    def env(self) -> dict[str, str]:
        """What a user exports."""
        return {"OPENAI_BASE_URL": self.front.base_url, "OPENAI_API_KEY": KEY}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def alive(*processes: Process) -> Iterator[None]:
    """Started in their order; killed in the end, whatever happened."""
    begun: list[Process] = []
    try:
        for process in processes:
            begun.append(process)
            process.start()
        yield
    finally:
        for process in begun:
            process.kill()


def _llamacpp(folder: Path) -> Process:
    pytest.importorskip("xllamacpp", reason='llama.cpp\'s server is in xllamacpp: pip install "synthgain[local]"')
    from synthgain.models.weights import eight_bit, find

    port = free_port()
    command = [sys.executable, str(HERE / "llamacpp.py"), str(eight_bit(find("smollm2-135m")))]
    command += ["--port", str(port), "--slots", str(SLOTS), "--parent", str(os.getpid())]
    served = r"print_timing: .*total time ="  # once for each answer that was not given up
    return Process(
        "llama.cpp", command, port, "/health", served, folder / "llamacpp.log", {"OMP_WAIT_POLICY": "passive"}
    )


def _program(name: str) -> str:
    """A program of `.venv-servers`; the test is skipped where it is not installed."""
    if not (BIN / name).exists():
        pytest.skip(
            f"{name} is not in {BIN.parent}: `make servers` installs it (SYNTHGAIN_SERVERS names another environment)"
        )
    return str(BIN / name)


@contextmanager
def llamacpp(folder: Path) -> Iterator[Server]:
    """llama.cpp's own server with SmolLM2-135M."""
    process = _llamacpp(folder)
    with alive(process):
        yield Server(process, "smollm2", process, logprobs=True, schema=True)


@contextmanager
def transformers(folder: Path, *, draws: bool = True) -> Iterator[Server]:
    """`transformers serve` with a tiny model of random weights; it draws only where generation_config.json says `do_sample`."""
    program = _program("transformers")
    from doubles.tiny import tiny_model

    weights, port = tiny_model(folder / "tiny"), free_port()
    settings = {"do_sample": draws, "eos_token_id": 2, "pad_token_id": 0}
    (weights / "generation_config.json").write_text(json.dumps(settings))
    command = [program, "serve", str(weights), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    served = r'"POST /v1/chat/completions HTTP/1.1" 200'
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder), "OMP_NUM_THREADS": "1"}
    process = Process("transformers", command, port, "/health", served, folder / "transformers.log", offline)
    with alive(process):
        yield Server(process, str(weights), process, logprobs=False, schema=False)


@contextmanager
def litellm(folder: Path) -> Iterator[Server]:
    """A LiteLLM proxy in front of llama.cpp's server."""
    program = _program("litellm")
    behind, port, config = _llamacpp(folder), free_port(), folder / "litellm.yaml"
    config.write_text(LITELLM.format(backend=behind.base_url))
    command = [program, "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    env = {"LITELLM_MASTER_KEY": KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    served = r'"POST /v1/chat/completions HTTP/1.1" 200'
    proxy = Process("litellm", command, port, "/health/liveliness", served, folder / "litellm.log", env)
    with alive(behind, proxy):
        yield Server(proxy, "small", behind, logprobs=True, schema=True)
