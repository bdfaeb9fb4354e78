"""Whether an image file is complete and undamaged: its checksums, if its format has any.

A picture that comes out proves nothing: Pillow reads the pixels of a PNG without their checksums, and takes the zeros
at the end of a JPEG whose download stopped for gray. Nothing is decoded here.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from PIL import Image, TiffImagePlugin

from hclnet_runtime.data.pillow import without_pixel_limit, without_remarks

_AT_ONCE = 2**20  # bytes
_PNG, _JPEG, _TIFF = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_DEFLATE = (8, 32946)  # compressions of TIFF that end in a checksum
_START_OF_SCAN = 0xDA
_MOST_SCANS = 100  # a progressive JPEG has about 10; each takes as long as a whole picture, and only a few bytes
_HUFFMAN = (0xC0, 0xC1, 0xC2)  # beginnings of frames that are not coded arithmetically


class Damaged(ValueError):
    """A file is not as it was written; the message says what shows it, without the file's name."""


def check_whole(path: str | Path, pixels: bool = False) -> None:
    """Look through a file: a PNG's chunks for their checksums, a JPEG for the mark of its end.

    Args:
        path: of a file of any format. Of one that has no checksum nothing is said.
        pixels: also the checksum of the pixels before they were compressed, in a PNG or in a TIFF by deflate. For that
            they are unpacked, which costs nearly as much as decoding; the rest costs a twentieth of it.

    Raises:
        Damaged: something is wrong.
        OSError: the file can't be read.
    """
    with open(path, "rb") as file:  # noqa: PTH123, of "" Path would make the folder that one is in
        start = file.read(8)
        if start == _PNG:
            _png(file, pixels)
        elif start.startswith(_JPEG):
            _jpeg(file)
        elif start.startswith(_TIFF) and pixels:
            _tiff(path, file)


def _png(file: BinaryIO, pixels: bool) -> None:
    """A chunk is its length, its kind, its content and the CRC-32 of the last two."""
    packed = _Packed()
    while True:
        head = file.read(8)
        left, kind = int.from_bytes(head[:4]), head[4:]
        if len(head) < 8:
            raise Damaged("it is cut off: it has no end")
        name = kind.decode() if kind.isalpha() and kind.isascii() else kind.hex()
        checksum = zlib.crc32(kind)
        while left:
            data = file.read(min(left, _AT_ONCE))
            if not data:
                raise Damaged(f"it is cut off in its chunk {name}")
            checksum = zlib.crc32(data, checksum)
            left -= len(data)
            if pixels and kind == b"IDAT":
                packed.add(data)
        if file.read(4) != checksum.to_bytes(4):
            raise Damaged(f"the checksum of its chunk {name} is wrong")
        if kind == b"IEND":
            break
    if pixels:
        packed.end()


def _jpeg(file: BinaryIO) -> None:
    """The mark of the end comes after the first scan; in what is coded there, its two bytes can't occur."""
    file.seek(2)
    while len(mark := file.read(4)) == 4 and mark[0] == 0xFF:
        if mark[1] == 0xFF:  # fill
            file.seek(-3, 1)
            continue
        if mark[1] in _HUFFMAN:
            _check_room(file, int.from_bytes(mark[2:]) - 2)
            continue
        if mark[1] == _START_OF_SCAN:
            before, scans = b"", 1
            while data := file.read(_AT_ONCE):
                ended = before + data[:1] == b"\xff\xd9"
                scans += 0 if ended else data.partition(b"\xff\xd9")[0].count(b"\xff\xda")
                if scans > _MOST_SCANS:
                    raise Damaged(f"it has more than {_MOST_SCANS} scans, which would take minutes to decode")
                if ended or b"\xff\xd9" in data:
                    return
                before = data[-1:]
            raise Damaged("it is cut off: its end marker is missing")
        file.seek(int.from_bytes(mark[2:]) - 2, 1)
    # What has no scan is for the decoder to refuse.


def _check_room(file: BinaryIO, length: int) -> None:
    """A JPEG has at least one bit for each unit of its pixels: a block of 8 x 8 of each channel, or more at once.

    Args:
        file: at the content of the frame's header.
        length: of that content, bytes.

    Raises:
        Damaged: the file is shorter than that. The decoder would fill the rest with gray.
    """
    header = file.read(length)
    height, width = int.from_bytes(header[1:3]), int.from_bytes(header[3:5])
    sampling = header[7::3] or b"\x11"
    across, down = (8 * max(1, max(values)) for values in ([s >> 4 for s in sampling], [s & 15 for s in sampling]))
    here = file.tell()
    bits = 8 * file.seek(0, 2)
    file.seek(here)
    if -(-width // across) * -(-height // down) > bits:
        raise Damaged(f"it is too short for the {width:,} x {height:,} pixels that it claims")


def _tiff(path: str | Path, file: BinaryIO) -> None:
    try:
        with without_remarks(), without_pixel_limit(), Image.open(path) as image:
            tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
            if tags.get(259) not in _DEFLATE:
                return
            # Strips, or else tiles.
            places, lengths = (273, 279) if 273 in tags else (324, 325)
            parts = list(zip(tags[places], tags[lengths]))
    except Exception:  # for the decoder to refuse
        return
    for place, length in parts:
        packed = _Packed()
        file.seek(place)
        for data in _pieces(file, length):
            packed.add(data)
        packed.end()


def _pieces(file: BinaryIO, length: int) -> Iterator[bytes]:
    while length > 0 and (data := file.read(min(length, _AT_ONCE))):
        length -= len(data)
        yield data


class _Packed:
    """What zlib packed, in pieces: unpacked to nowhere, for the sake of the checksum at its end (Adler-32)."""

    def __init__(self) -> None:
        self.stream = zlib.decompressobj()

    def add(self, data: bytes) -> None:
        try:
            while data and not self.stream.eof:
                self.stream.decompress(data, _AT_ONCE)
                data = self.stream.unconsumed_tail
        except zlib.error:
            raise Damaged("the checksum of its pixels is wrong") from None

    def end(self) -> None:
        if not self.stream.eof:
            raise Damaged("its pixels are cut off")
