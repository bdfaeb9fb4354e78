"""A file to be made, and the pictures in it."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw


@dataclass(frozen=True, slots=True)
class Case:
    """A file.

    Attributes:
        name: without a folder.
        data: its bytes.
        good: whether it must be read; else it must be named.
        length: of the file, if it is longer than its bytes.
    """

    name: str
    data: bytes
    good: bool
    length: int | None = None


def drawn(seed: int, size: tuple[int, int] = (72, 56)) -> Image.Image:
    """A blob on a smooth ground."""
    rng = np.random.default_rng(seed)
    ground = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    x, y = rng.integers(5, size[0] // 2), rng.integers(5, size[1] // 2)
    color = tuple(int(v) for v in rng.integers(0, 256, 3))
    ImageDraw.Draw(ground).ellipse((x, y, x + size[0] // 3, y + size[1] // 3), fill=color)
    return ground


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def picture(seed: int, kind: str = "JPEG", **options: Any) -> bytes:
    """A whole file."""
    return encoded(drawn(seed), kind, **options)


def chunk(kind: bytes, data: bytes) -> bytes:
    """Of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes, bits: int = 1, mode: int = 0) -> bytes:
    """A PNG that claims a size, with the given chunks after its header."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, mode, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def zeros(count: int) -> bytes:
    """Packed by zlib."""
    packer, block = zlib.compressobj(9), bytes(2**20)
    packed = b"".join(packer.compress(block) for _ in range(count // 2**20))
    return packed + packer.compress(bytes(count % 2**20)) + packer.flush()


def tiff(tags: list[tuple[int, int, int, int]], after: bytes = b"", following: int = 0) -> bytes:
    """A little-endian TIFF with one directory.

    Args:
        tags: of each its number, type, count, and value or offset.
        after: what comes after the directory.
        following: where the next directory is said to be.
    """
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", following) + after


def behind(tags: int) -> int:
    """Where in such a TIFF is what comes after its directory."""
    return 8 + 2 + 12 * tags + 4
