"""A file's own checksum: 64 bytes somewhere within, a mark and the SHA-256 of all that the file holds.

The seal is found from the bytes alone, so that a damaged file is known before a library parses it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from meanfield_pde.errors import InputError

__all__ = ["SEAL", "check", "seal"]

_MARK = b"\xff\x00meanfield-pde SHA-256 follows\xff"  # in no text: UTF-8 never has the byte FF
_BLANK = bytes(32)  # what counts as the digest while the digest is computed

#: The seal of a file that is still being written.
SEAL = _MARK + _BLANK

_BLOCK = 2**20


def seal(path: str | Path) -> None:
    """Write the checksum over the last 32 bytes of the seal; the size of the file does not change.

    Raises
    ------
    InputError
        The file does not hold the seal exactly once.
    """
    digest, stated = _scan(Path(path))
    if len(stated) != 1:
        raise InputError(f"must hold the mark of its checksum once, found it {len(stated)} times")
    (place,) = stated
    with Path(path).open("r+b") as file:
        file.seek(place)
        file.write(digest)


def check(path: str | Path) -> None:
    """Refuse a file of which a single byte differs from what was sealed.

    Raises
    ------
    InputError
        There is no seal, or the checksum does not fit.
    """
    digest, stated = _scan(Path(path))
    if not stated:
        raise InputError(
            "has no checksum of this version of meanfield-pde: it was written or rewritten by another "
            "program or version, or is cut off; solve again, or copy its datasets with other HDF5 software"
        )
    if list(stated.values()) != [digest]:
        raise InputError("is damaged, or was changed after it was written (its checksum does not fit)")


def _scan(path: Path) -> tuple[bytes, dict[int, bytes]]:
    """Return the digest of the file with blank seals, and by their places the digests that it states."""
    hashed, stated = hashlib.sha256(), {}
    start, held = 0, b""  # what was read and not hashed yet, because a seal may begin in it
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            held += block
            while 0 <= (begin := held.find(_MARK)) <= len(held) - len(SEAL):
                field, end = begin + len(_MARK), begin + len(SEAL)
                stated[start + field] = held[field:end]
                hashed.update(held[:field] + _BLANK)
                start, held = start + end, held[end:]
            done = max(0, len(held) - len(SEAL) + 1)
            hashed.update(held[:done])
            start, held = start + done, held[done:]
    hashed.update(held)
    return hashed.digest(), stated
