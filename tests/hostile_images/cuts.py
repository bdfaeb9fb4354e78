"""Files that end too early: at each structure of their format, before it, in it and behind its head."""

from __future__ import annotations

import base64
import random
import struct
from collections.abc import Callable, Iterator

from PIL import Image

from hostile_images.made import Case, drawn, encoded

_BOXES = frozenset({b"meta", b"iinf", b"iprp", b"ipco", b"dinf", b"iref"})  # of HEIF, with others in them
_FULL = frozenset({b"meta", b"iinf", b"iref"})  # these begin with a version
_ENDS = {b"iinf": 2}  # bytes more before the first box in it


def jpeg_places(data: bytes) -> Iterator[int]:
    """Segments, their lengths and contents, each scan, and the end marker."""
    place = 2
    yield from (1, 2)
    while place < len(data) - 2:
        kind, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4])
        yield from (place + 1, place + 2, place + 4, place + 2 + length // 2, place + 2 + length)
        place += 2 + length
        if kind == 0xDA:
            begin = place
            while data[place] != 0xFF or data[place + 1] == 0 or 0xD0 <= data[place + 1] <= 0xD7:
                place += 1
            yield from (begin + 1, (begin + place) // 2, place)
    yield len(data) - 1


def png_places(data: bytes) -> Iterator[int]:
    """Chunks, their kinds, contents and checksums."""
    place = 8
    yield from (4, 8)
    while place < len(data):
        length = int.from_bytes(data[place : place + 4])
        yield from (place + 2, place + 4, place + 8, place + 8 + length // 2, place + 8 + length, place + 10 + length)
        place += 12 + length
        yield from [place] if place < len(data) else []


def gif_places(data: bytes) -> Iterator[int]:
    """Header, screen, palette, extensions, and the pixels of the first frame, as far as they are surely not all
    there."""
    place = 13 + (3 * 2 ** ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    yield from (3, 6, 10, 13, (13 + place) // 2, place)
    while data[place] == 0x21:
        yield from (place + 1, place + 2)
        place += 2
        while data[place]:
            yield from (place + 1, place + 1 + data[place] // 2)
            place += 1 + data[place]
        place += 1
    end = place + 10 + (3 * 2 ** ((data[place + 9] & 7) + 1) if data[place + 9] & 0x80 else 0)
    yield from (place, place + 5, place + 9, end, end + 1, end + 1 + data[end] // 4, end + 1 + data[end] // 2)


def tiff_places(data: bytes) -> Iterator[int]:
    """Header, each entry of the directory, and the pixels."""
    order = "<" if data[:2] == b"II" else ">"
    yield from (2, 4, 8)
    (place,) = struct.unpack(order + "I", data[4:8])
    (count,) = struct.unpack(order + "H", data[place : place + 2])
    yield from (place, place + 2)
    for k in range(count):
        yield from (place + 2 + 12 * k + 6, place + 2 + 12 * (k + 1) - 1)
    for part in range(1, 8):
        yield len(data) * part // 8


def webp_places(data: bytes) -> Iterator[int]:
    """RIFF's header and each chunk, up to the pixels of the first frame."""
    yield from (4, 8, 12)
    place = 12
    while place + 8 <= len(data):
        kind, length = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        yield from (place + 4, place + 8, place + 8 + length // 4, place + 8 + length // 2)
        if kind in (b"VP8 ", b"VP8L", b"ANMF"):
            return
        place += 8 + length + length % 2
        yield place


def bmp_places(data: bytes) -> Iterator[int]:
    """Both headers' fields, palette and rows."""
    begin = int.from_bytes(data[10:14], "little")
    yield from (2, 6, 10, 14, 18, 22, 26, 28, 30, 34, 38, 42, 46, 50, 54, begin)
    for part in range(1, 9):
        yield begin + (len(data) - begin) * part // 9


def heif_places(data: bytes) -> Iterator[int]:
    """Boxes, and boxes in boxes; of the pixels the first three quarters."""

    def inside(place: int, end: int) -> Iterator[int]:
        while place + 8 <= end:
            length, kind = int.from_bytes(data[place : place + 4]), data[place + 4 : place + 8]
            parts = (4, 2) if kind == b"mdat" else (2,)
            yield from (place + 4, place + 8, *(place + 8 + (length - 8) // part for part in parts))
            if kind in _BOXES:
                head = 8 + 4 * (kind in _FULL) + _ENDS.get(kind, 0)
                yield from inside(place + head, place + length)
            place += length
            yield from [place] if place < end else []

    yield from inside(0, len(data))


# 60 x 40 pixels, red and blue, made with libheif.
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAX1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAA"
    "ACJpbG9jAAAAAERAAAEAAQAAAAABoQABAAAAAAAAAHMAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRt"
    "AAAAAAABAAAA/WlwcnAAAADdaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMA"
    "AAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkAAAATY29scm5j"
    "bHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xhcAAAADwAAAABAAAAKAAAAAH////8AAAAAv///+gAAAACAAAAEHBp"
    "eGkAAAAAAwgICAAAABhpcG1hAAAAAAAAAAEAAQWBAgMFhAAAAHttZGF0AAAAbygBr1gImf6KxqH/WC/7OwLVaQ6EEB7BzgwmEngX"
    "PCDR4PzHn1HUDrHhT80TaYv9FiJVO7NTYXtSE917FNGU1/aXOIaL2+tCWMDj0axqBPGEFsejoNiWQH/1mqURuL6Jb8AyaWe0S65N"
    "VGykCwIQLA=="
)


def wholes(seed: int) -> Iterator[tuple[str, str, bytes, Callable[[bytes], Iterator[int]]]]:
    """What is cut: a name, a suffix, the whole file, and where its structures are."""
    image, exif = drawn(seed), Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    frames = {"save_all": True, "append_images": [drawn(seed + 1), drawn(seed + 2)]}
    palette, gray = image.quantize(64), image.convert("L")
    for name, options in {
        "baseline": {}, "progressive": {"progressive": True}, "exif": {"exif": exif, "quality": 95},
        "4:2:0": {"subsampling": 2}, "restarts": {"restart_marker_rows": 1}, "icc": {"icc_profile": bytes(500)},
    }.items():  # fmt: skip
        yield name, "jpg", encoded(image, "JPEG", **options), jpeg_places
    yield "gray", "jpg", encoded(gray, "JPEG"), jpeg_places
    yield "cmyk", "jpg", encoded(image.convert("CMYK"), "JPEG"), jpeg_places
    for name, source in {
        "rgb": image, "gray": gray, "palette": palette, "bilevel": image.convert("1"), "alpha": image.convert("RGBA"),
    }.items():  # fmt: skip
        yield name, "png", encoded(source, "PNG"), png_places
    yield "16 bit", "png", encoded(gray.convert("I;16"), "PNG"), png_places
    yield "exif", "png", encoded(image, "PNG", exif=exif, icc_profile=bytes(99)), png_places
    yield "animated", "png", encoded(image, "PNG", **frames), png_places
    yield "still", "gif", encoded(palette, "GIF"), gif_places
    yield "gray", "gif", encoded(gray, "GIF", comment=b"a comment"), gif_places
    yield "interlaced", "gif", encoded(palette, "GIF", interlace=1), gif_places
    yield "animated", "gif", encoded(image, "GIF", **frames), gif_places
    for packed in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield packed, "tif", encoded(image, "TIFF", compression=packed), tiff_places
    yield "fax", "tif", encoded(image.convert("1"), "TIFF", compression="group4"), tiff_places
    yield "16 bit", "tif", encoded(gray.convert("I;16"), "TIFF"), tiff_places
    yield "big endian", "tif", encoded(gray.convert("I;16B"), "TIFF"), tiff_places
    yield "pages", "tif", encoded(image, "TIFF", **frames), lambda data: (p for p in tiff_places(data) if p < 4000)
    yield "lossy", "webp", encoded(image, "WEBP"), webp_places
    yield "lossless", "webp", encoded(image, "WEBP", lossless=True), webp_places
    yield "exif", "webp", encoded(image, "WEBP", exif=exif, icc_profile=bytes(99)), webp_places
    yield "alpha", "webp", encoded(image.convert("RGBA"), "WEBP"), webp_places
    yield "animated", "webp", encoded(image, "WEBP", **frames), webp_places
    for mode in ("RGB", "L", "1"):
        yield mode, "bmp", encoded(image.convert(mode), "BMP"), bmp_places
    yield "palette", "bmp", encoded(palette, "BMP"), bmp_places
    yield "apple", "heic", HEIC, heif_places
    yield "plain", "avif", encoded(image, "AVIF"), heif_places
    yield "exif", "avif", encoded(image, "AVIF", exif=exif), heif_places


def cut_files(rng: random.Random) -> Iterator[Case]:
    """Each whole file at each of its structures, once."""
    for name, suffix, data, places in wholes(rng.randrange(10**6)):
        for place in sorted({place for place in places(data) if 0 <= place < len(data)}):
            yield Case(f"{name} cut at {place}.{suffix}", data[:place], False)
