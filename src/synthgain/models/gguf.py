"""Weights from one file format to another: GGUF to a transformers folder, and back.

to_folder(gguf, folder)               de-quantised, an ordinary folder
to_gguf(folder, file, like=gguf)      Q8_0, with the tokenizer and metadata of `like`
requantise(gguf, file)                any quantisation to Q8_0
"""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthgain.models.fetching import replacing
from synthgain.models.weights import cache_folder, content_hash, metadata
from synthgain.types import SynthgainError

if TYPE_CHECKING:
    import numpy as np

    Tensor = tuple[str, np.ndarray[Any, Any], bool]  # name, values (float32), whether to keep them in float32

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

    float32 keeps the de-quantised values exactly; `dtype="bfloat16"` halves the folder. Llama-shaped
    models only. The folder appears whole or not at all.
    """
    shape = metadata(gguf_path).get("general.architecture")
    if shape != "llama":
        raise SynthgainError(f"only Llama-shaped models can be trained, this one is {shape!r}", where=str(gguf_path))
    torch, transformers = _torch(), _transformers()
    where, file = str(gguf_path.resolve().parent), gguf_path.name
    out.parent.mkdir(parents=True, exist_ok=True)
    half = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        with _quiet(transformers):
            read = transformers.AutoModelForCausalLM.from_pretrained(where, gguf_file=file, dtype=torch.float32)
            tokenizer = transformers.AutoTokenizer.from_pretrained(where, gguf_file=file)
            model = _plain(transformers, read).to(getattr(torch, dtype))
            model.generation_config = transformers.GenerationConfig(
                do_sample=True,  # `transformers serve` answers greedily at any temperature without it
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id,
            )
            model.save_pretrained(half)
            tokenizer.save_pretrained(half)
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
    """The transformers folder of a GGUF file, made once and kept in the cache under the file's content hash."""
    out = cache_folder() / f"{gguf_path.stem}-{content_hash(gguf_path)[:12]}"
    return out if (out / "config.json").is_file() else to_folder(gguf_path, out)


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


def _plain(transformers: Any, read: Any) -> Any:
    """The same model without its memory of having been quantised, so that it can be saved."""
    config = read.config
    for name in ("quantization_config", "_pre_quantization_dtype"):
        if hasattr(config, name):
            delattr(config, name)
    model = transformers.LlamaForCausalLM(config)
    model.load_state_dict(read.state_dict())
    model.tie_weights()
    return model


class _quiet:
    """No progress bars and advice from transformers while it reads."""

    def __init__(self, transformers: Any) -> None:
        self.logging = transformers.utils.logging

    def __enter__(self) -> None:
        self.level, self.bars = self.logging.get_verbosity(), self.logging.is_progress_bar_enabled()
        self.logging.set_verbosity_error()
        self.logging.disable_progress_bar()
        self.caught = warnings.catch_warnings()
        self.caught.__enter__()
        # the reader maps the file read-only and torch warns that it must not be written; it is only read
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable", category=UserWarning)

    def __exit__(self, *_: object) -> None:
        self.caught.__exit__(None, None, None)
        self.logging.set_verbosity(self.level)
        if self.bars:
            self.logging.enable_progress_bar()


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
