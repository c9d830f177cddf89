"""Shared by every test: where real data lies, if it is here at all."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("SYNTHGAIN_DATA") or Path(__file__).parent.parent.parent / "shared" / "data")


@pytest.fixture
def real_data() -> Path:
    """The folder of real data sets; the test is skipped where they are absent."""
    if not DATA.is_dir():
        pytest.skip(f"the real data sets are not at {DATA}; set SYNTHGAIN_DATA to their folder")
    return DATA
