"""PDF, EPUB, HTML and Office files as texts, with the extra `documents` (kreuzberg).

Documents come from strangers. They are read in a process of their own (`convert.py`), with bounded memory and time; packed parts
that grow too much are refused by the library; nothing in a document is run or fetched, and pictures are not looked at.
"""

from __future__ import annotations

import json
import subprocess
import sys
import weakref
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Timer
from typing import Any

from synthgain.anchors.decode import nothing, whole
from synthgain.types import SynthgainError

ENDINGS = (".pdf", ".epub", ".html", ".htm", ".docx", ".pptx", ".xlsx", ".odt")
LARGEST = 500 << 20  # bytes of a file
SECONDS, SECONDS_MB = 120.0, 30.0  # that a document may take, and more for each MB: 500 pages (1.7 MB) take about 7


class Documents:
    """Reads documents, one after another, in one process that is started when the first comes and ends with this object."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __call__(self, path: Path, where: str) -> str:
        """The document's text. SynthgainError: there is none, it cannot be read, or the extra is not installed."""
        size = path.stat().st_size
        if not size:
            raise nothing(where)
        if size > LARGEST:
            raise SynthgainError(
                f"the document has {size >> 20:,} MB: {LARGEST >> 20} are the most",
                where=where,
                next="cut it into parts",
            )
        if path.suffix.lower() in (".html", ".htm"):
            whole(path, where)  # refuses what is not UTF-8, by name
        said = self._asked(path, where, SECONDS + SECONDS_MB * size / 1e6)
        if "text" not in said:
            raise SynthgainError(
                f"the document cannot be read ({said['wrong']})",
                where=where,
                next="open it and save it again, or convert it to .txt or .md",
            )
        text: str = said["text"]
        if not text.strip():
            raise SynthgainError(
                "there is no text in the document (pages that are pictures?)",
                where=where,
                next="run it through OCR first, or move it away",
            )
        return text

    def _asked(self, path: Path, where: str, seconds: float) -> dict[str, Any]:
        """What the other process says of a document; that it ended, where the document ended it."""
        process = self._running(where)
        assert process.stdin is not None and process.stdout is not None
        late = Event()

        def stop() -> None:
            late.set()
            process.kill()

        timer = Timer(seconds, stop)
        timer.start()
        try:
            process.stdin.write(json.dumps(str(path.absolute())) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = ""
        finally:
            timer.cancel()
        if line:
            said: dict[str, Any] = json.loads(line)
            return said
        self._process = None
        code = process.wait()
        if late.is_set():
            return {"wrong": f"it takes longer than {seconds:.0f} s"}
        return {"wrong": f"it needs more than 4 GB of memory, or crashed its reader (code {code})"}

    def _running(self, where: str) -> subprocess.Popen[str]:
        if self._process is None:
            if find_spec("kreuzberg") is None:
                raise SynthgainError(
                    "documents are read with the extra synthgain[documents], which is not installed",
                    where=where,
                    next='pip install "synthgain[documents]"',
                )
            script = Path(__file__).with_name("convert.py")
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
            )
            weakref.finalize(self, _end, self._process)
        return self._process


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()
