"""Personal data at rest: sealed field by field, found again through keyed blind indexes.

AES-256-GCM; the algorithm's id stands before every ciphertext, so that another (SM4) can follow
without rewriting what is there (DOMAIN.md §5.3).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tael_runtime.embedded_postgres import sync_folder
from tael_runtime.settings import Settings

AES_256_GCM = b"\x01"


class Cipher:
    """Seals and opens bytes, and makes blind indexes, under one 32-byte key."""

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise ValueError("the field key must be 32 bytes (64 hex digits)")
        self._aead = AESGCM(_derived(key, b"seal"))
        self._index_key = _derived(key, b"index")

    def seal(self, plain: bytes) -> bytes:
        """algorithm ‖ nonce ‖ ciphertext."""
        nonce = secrets.token_bytes(12)
        return AES_256_GCM + nonce + self._aead.encrypt(nonce, plain, AES_256_GCM)

    def open(self, sealed: bytes) -> bytes:
        """The plain bytes; raises when they were changed or sealed under another key."""
        if sealed[:1] != AES_256_GCM:
            raise ValueError("sealed by an unknown algorithm")
        return self._aead.decrypt(sealed[1:13], sealed[13:], AES_256_GCM)

    def seal_text(self, plain: str) -> bytes:
        """As seal, of UTF-8."""
        return self.seal(plain.encode())

    def open_text(self, sealed: bytes) -> str:
        """As open, of UTF-8."""
        return self.open(sealed).decode()

    def blind_index(self, kind: str, plain: str) -> bytes:
        """HMAC-SHA-256 for exact look-ups; `kind` keeps an ID number from matching a phone."""
        return hmac.digest(self._index_key, f"{kind}:{plain}".encode(), "sha256")


def _derived(key: bytes, purpose: bytes) -> bytes:
    return hmac.digest(key, b"tael:" + purpose, hashlib.sha256)


def open_cipher(settings: Settings) -> Cipher:
    """The cipher of TAEL_FIELD_KEY, or of a key made once in the data folder."""
    if settings.field_key:
        return Cipher(bytes.fromhex(settings.field_key))
    return Cipher(bytes.fromhex(_key_file(settings.data_dir)))


def _key_file(data_dir: Path) -> str:
    path = data_dir / "field.key"
    data_dir.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        fresh = path.with_name(f"field.key.{secrets.token_hex(4)}")
        fresh.touch(mode=0o600)
        with fresh.open("w") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())  # nothing sealed may outlast its key
        try:
            path.hardlink_to(fresh)  # atomic, and never over a key that somebody else just made
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
        sync_folder(data_dir)
    return path.read_text().strip()
