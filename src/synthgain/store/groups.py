"""Which anchors went together, by wave: RUN/groups."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

GROUPS = pa.schema(
    [
        ("group", pa.int64()),
        ("wave", pa.int32()),
        ("base", pa.int64()),
        ("anchor_ids", pa.list_(pa.string())),
        ("places", pa.list_(pa.int64())),  # in RUN/anchors; -1 for one that came from the pool of accepted rows
        ("made", pa.string()),  # those, as JSON: [[text, source, fields], …]
    ]
)
WAVES = 64  # in one file


class GroupsWriter:
    """Writes waves of groups to a folder, some tens of waves a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.waves = 0
        self._out: pq.ParquetWriter | None = None

    def add(self, wave: pa.Table) -> None:
        if self._out is None:
            file = self.folder / f"part-{self.waves // WAVES:05d}.parquet"
            self._out = pq.ParquetWriter(file, GROUPS, compression="zstd")
        self._out.write_table(wave)
        self.waves += 1
        if self.waves % WAVES == 0:
            self.close()

    def close(self) -> None:
        if self._out is not None:
            self._out.close()
            self._out = None
