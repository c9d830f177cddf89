"""Shared by every test: where real data lies, if it is here at all, and a cache that is not the user's."""

import contextlib
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("SYNTHGAIN_DATA") or ROOT.parent / "shared" / "data")
CACHE = ROOT / ".pytest_cache" / "synthgain"

# Hundreds of tests start a process of their own: each would compile the package anew where the shell forbids bytecode.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def own_cache() -> None:
    """A cache for the tests and their processes, kept between runs; the user's weights are read from there, nothing is written to it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    users = Path(os.environ.get("SYNTHGAIN_CACHE") or Path.home() / ".cache" / "synthgain").expanduser()
    if users != CACHE:  # as it is in a process of the tests
        for kept in (*users.glob("*.gguf"), *(config.parent for config in users.glob("*/config.json"))):
            link = CACHE / kept.name
            if link.is_symlink() and not link.exists():
                link.unlink()
            with contextlib.suppress(FileExistsError):
                link.symlink_to(kept)
    os.environ["SYNTHGAIN_CACHE"] = str(CACHE)


own_cache()


@pytest.fixture
def real_data() -> Path:
    """The folder of real data sets; the test is skipped where they are absent."""
    if not DATA.is_dir():
        pytest.skip(f"the real data sets are not at {DATA}; set SYNTHGAIN_DATA to their folder")
    return DATA
