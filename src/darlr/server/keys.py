"""Keys that let clients in."""

import hashlib
import hmac
import os
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from darlr.errors import ConfigError, DataError

VARIABLE, SHORTEST = "DARLR_KEYS", 16


class Keys:
    """The keys that a server takes; without any, everybody is let in."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Raises ConfigError for a key that could be guessed."""
        if any(len(key) < SHORTEST for key in keys):
            raise ConfigError(f"option keys: a key must have at least {SHORTEST} characters")
        self._digests = [_digest(key) for key in keys]

    @property
    def needed(self) -> bool:
        """Whether a request needs a key."""
        return bool(self._digests)

    def admit(self, authorization: str) -> bool:
        """Whether a header `Bearer KEY` holds a key. Every key is compared, in a time that tells nothing of it."""
        kind, _, key = authorization.partition(" ")
        digest = _digest(key.strip())
        found = [hmac.compare_digest(digest, known) for known in self._digests]
        return kind.lower() == "bearer" and any(found)


def read_keys(file: Path | None, host: str) -> Keys:
    """The keys of a file, one a line, or of the environment's DARLR_KEYS, separated by blanks.

    Raises DataError where the file cannot be read, and ConfigError where an address that others reach has no key.
    """
    try:
        text = os.environ.get(VARIABLE, "") if file is None else file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: the keys cannot be read ({error}); give a text file with one key a line") from error
    keys = text.split()
    if file is not None and not keys:
        raise DataError(f"{file}: holds no key; write one a line")
    if not keys and not _local(host):
        raise ConfigError(
            f"option keys: others can reach {host}; give a file of keys, or {VARIABLE}, or serve on 127.0.0.1"
        )
    return Keys(keys)


def _local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
