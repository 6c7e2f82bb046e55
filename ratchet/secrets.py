"""What of a config is shown to others: no secret, and no path that tells of this machine.

What a run needs is kept as it is in its record, which its owner alone can read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MASK = "(not shown)"
_SECRET_WORDS = frozenset(
    {
        "apikey",
        "authorization",
        "bearer",
        "cookie",
        "credential",
        "credentials",
        "passphrase",
        "passwd",
        "password",
        "passwords",
        "secret",
        "secrets",
    }
)
_SECRET_ENDS = frozenset({"auth", "key", "keys", "token"})
"""Secret as a last word alone: `stop_token_ids` and `key_columns` are none."""
_TOKENS_OF_TEXT = frozenset({"bos", "cls", "eos", "eot", "mask", "pad", "sep", "unk"})
"""With these before it, a token is one of a tokenizer's."""
_URL_USER = re.compile(r"://[^/@\s]+@")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def is_secret(key: Any) -> bool:
    """Whether a key names a token, key, secret or password: `hf_token`, `apiKey`, not `max_tokens`.

    A tokenizer's own tokens (`eos_token`) are no secrets.
    """
    words = [word.lower() for word in _WORD.findall(str(key))]
    if _TOKENS_OF_TEXT & set(words):
        return False
    return bool(_SECRET_WORDS & set(words) or _SECRET_ENDS & set(words[-1:]))


def masked(value: Any) -> Any:
    """`value` with every secret in it replaced, however deep its key lies."""
    if isinstance(value, Mapping):
        return {k: _mask(inner) if is_secret(k) else masked(inner) for k, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(inner) for inner in value]
    return value


def _mask(value: Any) -> Any:
    """Nothing stays nothing, so that a default is seen as such."""
    return MASK if value not in (None, "", (), [], {}) else value


def shown(value: Any) -> Any:
    """`value` for others to read: secrets masked, paths as `shown_path` has them."""
    return _with_shown_paths(masked(value))


def _with_shown_paths(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_shown_paths(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_shown_paths(inner) for inner in value]
    if not isinstance(value, str):
        return value
    return shown_path(value) if _is_absolute(value) else _URL_USER.sub("://", value)


def _is_absolute(text: str) -> bool:
    """`/think` alone may be a prompt's word, so one name is a path only where it is there."""
    if not text.startswith("/") or len(text) > os.pathconf("/", "PC_PATH_MAX"):
        return False
    has_folders = text.rstrip("/").count("/") > 1 and "\n" not in text
    return has_folders or os.path.exists(text)


def shown_path(path: str | Path) -> str:
    """A path from the current folder or from home; what lies elsewhere by its name alone."""
    path = Path(path)
    if not path.is_absolute():
        return str(path)
    for root, mark in ((Path.cwd(), ""), (Path.home(), "~")):
        if path.is_relative_to(root):
            return str(mark / path.relative_to(root)) if mark else str(path.relative_to(root))
    return path.name
