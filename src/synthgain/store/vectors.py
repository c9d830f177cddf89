"""Arrays about the anchors of a corpus, computed once, kept beside them as .npy and memory-mapped: vectors and nearest neighbours.

Neighbours are exact up to `EXACT` vectors: blocked products, n² · dimensions multiplications (60,000 × 256 took 211 s on two cores that
nine other processes shared). Above that a graph of small worlds (HNSW, Malkov and Yashunin, arXiv 1603.09320) is built by `voyager`, by one thread so that it is
the same graph every time, and asked by all threads. 60,000 × 256 took 75 s to build on the same
cores, less busy.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from synthgain.types import Embedder, SynthgainError, digest

EXACT = 50_000  # vectors
CELLS = 2**24  # similarities in memory at once: 64 MB
LINKS, EFFORT, LOOKED = 16, 100, 100  # of the graph: links a vector, candidates while building, candidates while asked
ASKED = 4_096  # vectors put in, or asked about, at a time

Vectors = NDArray[np.float32]
_N = TypeVar("_N", np.float32, np.int64)


def key(embedder: Embedder) -> str:
    """12 hexadecimal digits of an embedder's identity."""
    return digest(embedder.identity)[:12]


@contextmanager
def on_disk(folder: Path, doing: str) -> Iterator[None]:
    """Trouble of the disk as an error to act on: code 3 where it is full."""
    try:
        yield
    except OSError as error:
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            raise SynthgainError(
                f"nothing can be written here ({error.strerror}): {doing}",
                where=str(folder),
                next=f"chmod u+rwx {folder}",
            ) from error
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise SynthgainError(
            f"the disk is full: {doing}",
            where=str(folder),
            code=3,
            next="free disk space, or use a folder on a larger disk",
        ) from error


# ---------------------------------------------------------------------------------------------- kept beside the anchors


def remembered(file: Path, n: int, kind: type[_N], blocks: Callable[[int], Iterable[NDArray[_N]]]) -> NDArray[_N]:
    """The array in `file`, memory-mapped read-only; where it is not there or has not n rows, it is made first.

    `blocks(done)` gives its rows from row `done` on, some at a time. What a stop leaves half made is gone on with.
    """
    held = _opened(file, n, kind)
    if held is not None:
        return held
    if not n:
        return np.zeros((0, 0), kind)
    part = file.with_name(f".{file.name}.part")
    with on_disk(file.parent, f"{file.name} is being written"):
        with open(part, "r+b" if part.exists() else "w+b") as out:
            done, width = _begun(out, n, kind)
            for block in blocks(done):
                if not width:
                    width = block.shape[1]
                    np.lib.format.write_array_header_1_0(
                        out,
                        {"descr": np.dtype(kind).newbyteorder("<").str, "fortran_order": False, "shape": (n, width)},
                    )
                if block.shape[1] != width:
                    raise SynthgainError(f"rows of {width} and of {block.shape[1]} numbers came", where=str(file))
                out.write(np.ascontiguousarray(block, np.dtype(kind).newbyteorder("<")).tobytes())
            out.flush()
            os.fsync(out.fileno())
        part.replace(file)
    made = _opened(file, n, kind)
    if made is None:
        raise SynthgainError("the array that was just written cannot be read", where=str(file), next="check the disk")
    return made


def _opened(file: Path, n: int, kind: type[_N]) -> NDArray[_N] | None:
    """The array, if it is there and is what is meant."""
    try:
        held = np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return held if held.ndim == 2 and len(held) == n and held.dtype == kind else None


def _begun(out: BinaryIO, n: int, kind: type[_N]) -> tuple[int, int]:
    """(whole rows that stand in a half-made file, their width), the file open behind them; (0, 0) and an empty file where it is of no use."""
    try:
        np.lib.format.read_magic(out)
        shape, _, dtype = np.lib.format.read_array_header_1_0(out)
        if len(shape) != 2 or shape[0] != n or dtype != kind or not shape[1]:
            raise ValueError("another array")
    except ValueError:
        out.seek(0)
        out.truncate()
        return 0, 0
    start, size = out.tell(), dtype.itemsize * shape[1]
    done = min(n, (out.seek(0, os.SEEK_END) - start) // size)
    out.truncate(start + done * size)
    out.seek(start + done * size)
    return done, shape[1]


# ---------------------------------------------------------------------------------------------- vectors


def blocks_of_vectors(texts: Iterable[list[str]], embedder: Embedder) -> Iterator[Vectors]:
    """Unit vectors of texts, block by block; a zero vector stays. SynthgainError where what comes is no vectors."""
    for batch in texts:
        came = np.asarray(embedder(batch), np.float64)
        if came.ndim != 2 or len(came) != len(batch) or not came.shape[1]:
            raise _no_vectors(embedder, f"for {len(batch)} texts an array of shape {came.shape} came")
        if not np.isfinite(came).all():
            raise _no_vectors(embedder, "a vector holds a number that is not finite")
        norms = np.linalg.norm(came, axis=1, keepdims=True)
        yield (came / np.where(norms > 0, norms, 1.0)).astype(np.float32)


def _no_vectors(embedder: Embedder, what: str) -> SynthgainError:
    return SynthgainError(
        f"the embedder gives no vectors: {what}", where=embedder.identity, next="use another embedder"
    )


# ---------------------------------------------------------------------------------------------- neighbours


def blocks_of_neighbours(vectors: Vectors, k: int, done: int = 0, exact: int = EXACT) -> Iterator[NDArray[np.int64]]:
    """For each vector from row `done` on the k others nearest to it by cosine, nearest first, equals by place: int64, block by block.

    Above `exact` vectors by the graph. Its recall@10 against the exact ones, 60,000 vectors of 256 dimensions in 1,000 Gaussian clusters:
    1.00 with noise as large as the spread of their centres (measured on all), 0.92 with twice that, where clusters have all but
    dissolved (measured on 2,000).
    """
    if len(vectors) <= exact:
        size = max(1, CELLS // len(vectors))
        for start in range(done, len(vectors), size):
            yield _nearest(vectors, start, min(len(vectors), start + size), k)
        return
    graph = _graph(vectors)
    for start in range(done, len(vectors), ASKED):
        end = min(len(vectors), start + ASKED)
        try:
            found, far = graph.query(vectors[start:end], k + 1, query_ef=max(LOOKED, 2 * (k + 1)))
        except RuntimeError:  # the graph is in pieces, and one of them is smaller than k
            size = max(1, CELLS // len(vectors))
            for part in range(start, end, size):
                yield _nearest(vectors, part, min(end, part + size), k)
            continue
        found = found.astype(np.int64)
        found = np.take_along_axis(found, np.lexsort((found, far)), axis=1)
        itself = found == np.arange(start, end)[:, None]
        itself[~itself.any(axis=1), -1] = True  # many equal ones: it is not among them, and the last is too many
        yield found[~itself].reshape(end - start, k)


def _nearest(vectors: Vectors, start: int, end: int, k: int) -> NDArray[np.int64]:
    """Exactly, for the rows from start to end."""
    alike = vectors[start:end] @ vectors.T
    alike[np.arange(end - start), np.arange(start, end)] = -np.inf
    found = np.argpartition(alike, -k, axis=1)[:, -k:]
    order = np.lexsort((found, -np.take_along_axis(alike, found, axis=1)))
    return np.take_along_axis(found, order, axis=1).astype(np.int64)


def _graph(vectors: Vectors) -> Any:
    try:
        import voyager
    except ImportError as error:
        raise SynthgainError(
            f"the neighbours of {len(vectors):,} anchors need an index, and `voyager` is not installed",
            where="neighbours",
            next='pip install "voyager>=2.2,<3"',
        ) from error
    graph = voyager.Index(
        voyager.Space.InnerProduct,
        vectors.shape[1],
        M=LINKS,
        ef_construction=EFFORT,
        random_seed=1,
        max_elements=len(vectors),
    )
    for start in range(0, len(vectors), ASKED):
        graph.add_items(vectors[start : start + ASKED], num_threads=1)
    return graph
