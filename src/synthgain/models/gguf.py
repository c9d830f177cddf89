"""Weights from one file format to another: GGUF to a transformers folder, and back.

to_folder(gguf, folder)               de-quantised, an ordinary folder
to_gguf(folder, file, like=gguf)      Q8_0, with the tokenizer and metadata of `like`
requantise(gguf, file)                any quantisation to Q8_0
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthgain.models.fetching import replacing
from synthgain.models.folders import quiet
from synthgain.models.weights import LARGE, cache_folder, content_hash, metadata
from synthgain.types import SynthgainError

if TYPE_CHECKING:
    import numpy as np

    Tensor = tuple[str, np.ndarray[Any, Any], bool]  # name, values (float32), whether to keep them in float32

STREAMED = (
    "llama",
    "qwen2",
    "qwen3",
)  # architectures whose tensors are those of transformers, but for the order of rows
SPARE = 200_000_000  # bytes
Q8_0_FILE = 7  # the number that general.file_type has for "mostly Q8_0"


def requantise(src: Path, dst: Path) -> Path:
    """Writes the weights of `src` as Q8_0 into `dst` (atomically) and gives `dst`."""
    metadata(src)
    gguf = _gguf()
    like = gguf.GGUFReader(src)

    def tensors() -> Iterable[Tensor]:
        for tensor in like.tensors:
            yield tensor.name, gguf.dequantize(tensor.data, tensor.tensor_type), tensor.tensor_type.name == "F32"

    return _write(dst, like, tensors(), {})


def to_gguf(folder: Path, out: Path, *, like: Path) -> Path:
    """Writes a Llama-shaped transformers folder as Q8_0 GGUF, with the tokenizer and metadata of `like`.

    `like` is the GGUF file of the model that the folder was trained from. The folder's own chat
    template is taken where it has one. SynthgainError where the shapes are not the same.
    """
    metadata(like)
    gguf, torch, transformers = _gguf(), _torch(), _transformers()
    teacher = gguf.GGUFReader(like)
    config = _config(transformers, folder)
    state = _state(folder, torch)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads or config.num_attention_heads}
    # ggml keeps shapes in reverse; `data.shape` of a quantised tensor counts bytes
    shapes = {tensor.name: tuple(int(n) for n in reversed(tensor.shape)) for tensor in teacher.tensors}
    if config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    found: dict[str, str] = {}
    for key in state:
        name = names.get_name(key, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise SynthgainError(f"the weight {key!r} has no place in a GGUF file", where=str(folder))
        found[name] = key
    _same_shapes(folder, found, shapes, {key: tuple(value.shape) for key, value in state.items()})

    def tensors() -> Iterable[Tensor]:
        for name, key in sorted(found.items()):
            part = key.split(".")[-2]
            array = state[key].to(torch.float32).numpy()
            yield name, _interleaved(array, heads[part]) if part in heads else array, array.ndim == 1

    return _write(out, teacher, tensors(), _own_template(folder))


def to_folder(gguf_path: Path, out: Path, *, dtype: str = "float32") -> Path:
    """Writes a GGUF file as an ordinary transformers folder: weights, tokenizer, chat template, generation settings.

    float32 keeps the de-quantised values exactly; `dtype="bfloat16"` halves the folder. Weights of Llama's and Qwen's shapes go
    tensor by tensor, so that memory holds one at a time; other architectures as transformers reads them, whole. The folder
    appears whole or not at all.
    """
    shape = metadata(gguf_path).get("general.architecture")
    torch, transformers = _torch(), _transformers()
    where, file = str(gguf_path.resolve().parent), gguf_path.name
    out.parent.mkdir(parents=True, exist_ok=True)
    half = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        with quiet(transformers):
            if shape in STREAMED:
                _stream(gguf_path, half, dtype, shape)
            else:
                _by_transformers(gguf_path, half, getattr(torch, dtype))
            tokenizer = transformers.AutoTokenizer.from_pretrained(where, gguf_file=file)
            tokenizer.save_pretrained(half)
            transformers.GenerationConfig(
                do_sample=True,  # `transformers serve` answers greedily at any temperature without it
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id,
            ).save_pretrained(half)
        half.chmod(0o755)
        try:
            half.rename(out)
        except OSError:
            if not (out / "config.json").is_file():  # a race that another process has won is won by both
                raise
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return out


def folder_of(gguf_path: Path) -> Path:
    """The transformers folder of a GGUF file, made once and kept in the cache under the file's content hash.

    In float32, which is exact; in bfloat16 for a file of more than `LARGE` bytes. SynthgainError where the disk has no room for it.
    """
    out = cache_folder() / f"{gguf_path.stem}-{content_hash(gguf_path)[:12]}"
    if (out / "config.json").is_file():
        return out
    large = gguf_path.stat().st_size > LARGE
    size = numbers(gguf_path) * (2 if large else 4)
    free = shutil.disk_usage(out.parent).free
    if free < size + SPARE:
        raise SynthgainError(
            f"the weights take {size / 1e9:.1f} GB as a transformers folder, and {free / 1e9:.1f} GB are free",
            where=str(out),
            next="make room, set SYNTHGAIN_CACHE to a folder on a larger disk, or write with --runtime llama, which reads the file as it is",
        )
    if large:
        print(
            f"Writing {gguf_path.name} as a transformers folder, once ({size / 1e9:.1f} GB) ...",
            file=sys.stderr,
            flush=True,
        )
    return to_folder(gguf_path, out, dtype="bfloat16" if large else "float32")


def numbers(gguf_path: Path) -> int:
    """How many numbers the weights are."""
    return sum(int(tensor.n_elements) for tensor in _gguf().GGUFReader(gguf_path).tensors)


def _by_transformers(gguf_path: Path, half: Path, dtype: Any) -> None:
    """Weights and configuration as transformers reads the file: whole, and slowly."""
    torch, transformers = _torch(), _transformers()
    where, file = str(gguf_path.resolve().parent), gguf_path.name
    try:
        read = transformers.AutoModelForCausalLM.from_pretrained(where, gguf_file=file, dtype=torch.float32)
    except (ValueError, NotImplementedError, KeyError, TypeError) as error:
        raise SynthgainError(
            f"transformers cannot read weights of this architecture ({metadata(gguf_path).get('general.architecture')}): {str(error).splitlines()[0]}",
            where=str(gguf_path),
            next="write with --runtime llama; a student has to begin from a transformers folder",
        ) from error
    config = read.config
    for name in ("quantization_config", "_pre_quantization_dtype"):  # it is no longer quantised
        if hasattr(config, name):
            delattr(config, name)
    model = type(read)(config)
    model.load_state_dict(read.state_dict())
    model.tie_weights()
    model.to(dtype).save_pretrained(half)


def _stream(gguf_path: Path, half: Path, dtype: str, shape: str) -> None:
    """Weights and configuration, tensor by tensor."""
    gguf, torch, transformers = _gguf(), _torch(), _transformers()
    reader = gguf.GGUFReader(gguf_path)
    held = {tensor.name: tensor for tensor in reader.tensors}
    config = transformers.AutoConfig.from_pretrained(str(gguf_path.resolve().parent), gguf_file=gguf_path.name)
    config.dtype = getattr(torch, dtype)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    arch = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == shape)
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads} if shape == "llama" else {}
    tied = set(model.all_tied_weights_keys) if config.tie_word_embeddings else set()
    wanted = {}
    for key, value in model.state_dict().items():
        if key in tied:
            continue
        name = names.get_name(key, try_suffixes=(".weight", ".bias"))
        if name not in held:
            raise SynthgainError(
                f"the file has no tensor for {key!r}", where=str(gguf_path), next="fetch the file again"
            )
        wanted[key] = (held[name], tuple(value.shape))

    def values(key: str) -> Any:
        tensor, size = wanted[key]
        array = gguf.dequantize(tensor.data, tensor.tensor_type).reshape(size)
        part = key.split(".")[-2]
        return torch.from_numpy(_apart(array, heads[part]) if part in heads else array).to(config.dtype)

    _write_safetensors(half / "model.safetensors", {key: size for key, (_, size) in wanted.items()}, values, dtype)
    config.architectures = [type(model).__name__]
    config.save_pretrained(half)


def _write_safetensors(
    path: Path, shapes: Mapping[str, tuple[int, ...]], values: Callable[[str], Any], dtype: str
) -> None:
    """A safetensors file whose tensors are made one after another."""
    torch = _torch()
    width = getattr(torch, dtype).itemsize
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for key, shape in shapes.items():
        begin, end = end, end + width * math.prod(shape)
        header[key] = {"dtype": {2: "BF16", 4: "F32"}[width], "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for key in shapes:
            file.write(values(key).contiguous().view(torch.uint8).numpy().tobytes())


# ---------------------------------------------------------------------------------------------- parts


def _write(dst: Path, like: Any, tensors: Iterable[Tensor], changed: Mapping[str, str]) -> Path:
    """A Q8_0 file with the metadata of `like`, but for `changed`."""
    gguf = _gguf()
    kinds = gguf.GGMLQuantizationType
    dst.parent.mkdir(parents=True, exist_ok=True)
    with replacing(dst) as half:
        writer = gguf.GGUFWriter(half, like.get_field("general.architecture").contents())
        _copy_metadata(gguf, like, writer, changed)
        for name, values, exact in tensors:
            kind = kinds.F32 if exact or values.shape[-1] % 32 else kinds.Q8_0
            writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return dst


def _copy_metadata(gguf: Any, like: Any, writer: Any, changed: Mapping[str, str]) -> None:
    array = gguf.GGUFValueType.ARRAY
    for field in like.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture", "general.file_type"):
            continue
        if field.name in changed:
            continue
        kind = field.types[0]
        writer.add_key_value(field.name, field.contents(), kind, sub_type=field.types[-1] if kind == array else None)
    for name, text in changed.items():
        writer.add_string(name, text)
    writer.add_file_type(Q8_0_FILE)


def _interleaved(weight: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """Rows of a query or key projection in llama.cpp's order.

    transformers rotates the first half of a head's rows against the second half, llama.cpp rotates
    neighbours: row i of the first half and row i of the second become rows 2i and 2i+1.
    """
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def _apart(weight: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """The inverse of `_interleaved`: rows in the order of transformers."""
    pairs = weight.reshape(heads, weight.shape[0] // heads // 2, 2, *weight.shape[1:])
    return pairs.swapaxes(1, 2).reshape(weight.shape)


def _same_shapes(
    folder: Path,
    found: Mapping[str, str],
    wanted: Mapping[str, tuple[int, ...]],
    given: Mapping[str, tuple[int, ...]],
) -> None:
    """SynthgainError where a weight is missing or of another shape than in the teacher's file."""
    # a tied model has no output matrix; factors of the rotation are metadata, not learned
    missing = [name for name in wanted if name not in found and name not in ("output.weight", "rope_freqs.weight")]
    if missing:
        raise SynthgainError(
            f"the folder has no weight for {missing[0]!r} (and {len(missing) - 1} more)", where=str(folder)
        )
    for name, key in found.items():
        if name in wanted and wanted[name] != given[key]:
            raise SynthgainError(
                f"{key} has shape {given[key]}, the file that it should be like has {wanted[name]}",
                where=str(folder),
                next="give the GGUF file of the model that this folder was trained from",
            )


def _own_template(folder: Path) -> dict[str, str]:
    path = folder / "chat_template.jinja"
    return {"tokenizer.chat_template": path.read_text("utf-8")} if path.is_file() else {}


def _config(transformers: Any, folder: Path) -> Any:
    if not (folder / "config.json").is_file():
        raise SynthgainError("this is no transformers folder (no config.json)", where=str(folder))
    config = transformers.AutoConfig.from_pretrained(folder)
    if config.model_type != "llama":
        raise SynthgainError(
            f"only Llama-shaped students can be written as GGUF, this is {config.model_type!r}", where=str(folder)
        )
    return config


def _state(folder: Path, torch: Any) -> dict[str, Any]:
    """All weights of a folder by name."""
    from safetensors.torch import load_file

    files = sorted(folder.glob("model*.safetensors"))
    if not files:
        raise SynthgainError("the folder holds no weights (model.safetensors)", where=str(folder))
    return {name: tensor for file in files for name, tensor in load_file(file).items()}


def _gguf() -> Any:
    try:
        import gguf
    except ImportError as error:
        raise SynthgainError("writing GGUF needs the gguf package", next='pip install "synthgain[local]"') from error
    return gguf


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise SynthgainError("this needs torch", next='pip install "synthgain[train]"') from error
    return torch


def _transformers() -> Any:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import transformers
    except ImportError as error:
        raise SynthgainError("this needs transformers", next='pip install "synthgain[train]"') from error
    return transformers
