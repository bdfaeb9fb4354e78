"""Files that say what is not so: bombs, absurd sizes, wrong names, lying metadata, two formats in one file."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from collections.abc import Iterator

import numpy as np
from PIL import Image, PngImagePlugin

from hostile_images.cuts import HEIC
from hostile_images.made import Case, behind, chunk, drawn, encoded, picture, png, tiff, zeros


def lying_files(rng: random.Random) -> Iterator[Case]:
    """All of them."""
    seed = rng.randrange(10**6)
    for cases in (_bombs, _absurd, _wrong_names, _metadata, _polyglots, _no_images):
        yield from cases(seed)


def _bombs(seed: int) -> Iterator[Case]:
    """Small files whose contents are large."""
    yield Case("bomb 60000.png", png(60_000, 60_000, chunk(b"IDAT", zeros(30_000_000))), False)
    yield Case("bomb 8000.png", png(8000, 8000, chunk(b"IDAT", zeros(8000 * 1001))), True)
    text = b"key\0\0" + zeros(50_000_000)
    pixels = chunk(b"IDAT", zeros(40 * 6))
    yield Case("bomb in zTXt.png", png(40, 40, chunk(b"zTXt", text), pixels), False)
    yield Case("bomb in iCCP.png", png(40, 40, chunk(b"iCCP", b"icc\0\0" + zeros(50_000_000)), pixels), False)
    scans = picture(seed, progressive=True)
    last = scans[scans.rindex(b"\xff\xda") : -2]
    yield Case("20000 scans.jpg", scans[:-2] + last * 20_000 + scans[-2:], False)
    frames = [Image.new("P", (16, 16), k % 2) for k in range(3000)]
    yield Case("3000 frames.gif", encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), True)
    pages = [Image.new("L", (8, 8), k % 256) for k in range(300)]
    yield Case("300 pages.tif", encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]), True)
    yield Case("a terabyte behind it.jpg", picture(seed), False, 2**40)
    yield Case("a terabyte of nothing.jpg", b"", False, 2**40)
    yield Case("a terabyte.tif", tiff([(256, 4, 1, 9)]), False, 2**40)


def _absurd(seed: int) -> Iterator[Case]:
    """Tiny files that claim to be large, or of no size."""
    for width, height in (
        (2**31 - 1, 2**31 - 1),
        (2**32 - 1, 1),
        (1, 2**32 - 1),
        (0, 0),
        (0, 9),
        (9, 0),
        (20_000, 20_000),
    ):
        yield Case(f"claims {width} x {height}.png", png(width, height, chunk(b"IDAT", zeros(9))), False)
    whole = picture(seed)
    frame = whole.index(b"\xff\xc0") + 5
    for width, height in ((65_535, 65_535), (20_000, 20_000), (0, 9), (9, 0)):
        data = whole[:frame] + struct.pack(">HH", height, width) + whole[frame + 4 :]
        yield Case(f"claims {width} x {height}.jpg", data, False)
    still = encoded(drawn(seed).quantize(8), "GIF")
    place = still.index(b",", 13 + 3 * 2 ** ((still[10] & 7) + 1))
    data = still[:6] + b"\xff\xff\xff\xff" + still[10:]
    yield Case("claims 65535 x 65535.gif", data[: place + 5] + b"\xff\xff\xff\xff" + data[place + 9 :], False)
    bitmap = encoded(drawn(seed), "BMP")
    for width, height in ((2**31 - 1, 2**31 - 1), (20_000, 20_000), (0, 0), (-5, 5), (40_000, -40_000)):
        data = bitmap[:18] + struct.pack("<ii", width, height) + bitmap[26:]
        yield Case(f"claims {width} x {height}.bmp", data, False)
    yield from _absurd_tiffs()
    pixmap = b"P6\n60000 60000\n255\n" + bytes(99)
    yield Case("claims 60000 x 60000.ppm", pixmap, False)
    yield Case("claims 20000 x 20000.ppm", pixmap.replace(b"60000", b"20000"), False)
    yield Case("claims 10**30.ppm", pixmap.replace(b"60000", b"1" + b"0" * 30), False)
    heif = HEIC.replace(struct.pack(">II", 64, 64), struct.pack(">II", 2**31 - 1, 2**31 - 1))
    yield Case("claims 2**31.heic", heif, False)


def _absurd_tiffs() -> Iterator[Case]:
    size, one = [(256, 4, 1, 6), (257, 4, 1, 5)], [(258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    strip = [(273, 4, 1, behind(8)), (278, 4, 1, 5), (279, 4, 1, 30)]
    pixels = bytes(30)
    yield Case("plain.tif", tiff([*size, *one, *strip], pixels), True)
    yield Case("next page is itself.tif", tiff([*size, *one, *strip], pixels, 8), True)
    yield Case("next page is far.tif", tiff([*size, *one, *strip], pixels, 2**32 - 1), True)
    for name, tags in {
        "2**32 wide": [(256, 4, 1, 2**32 - 1), (257, 4, 1, 2**32 - 1), *one, *strip],
        "20000 wide": [(256, 4, 1, 20_000), (257, 4, 1, 20_000), *one, *strip],
        "of no size": [(256, 4, 1, 0), (257, 4, 1, 0), *one, *strip],
        "65535 channels": [*size, *one, (277, 3, 1, 65_535), *strip],
        "65535 bits": [*size, (258, 3, 1, 65_535), *one[1:], *strip],
        "2**32 strips": [*size, *one, (273, 4, 2**32 - 1, 8), (278, 4, 1, 1), (279, 4, 2**32 - 1, 8)],
        "strips far off": [*size, *one, (273, 4, 1, 2**32 - 9), *strip[1:]],
        "unknown packing": [*size, one[0], (259, 3, 1, 60_000), one[2], *strip],
        "unknown types": [(256, 99, 1, 6), (257, 0, 1, 5), *one, *strip],
        "no tags": [],
    }.items():
        yield Case(f"{name}.tif", tiff(tags, pixels), False)


def _wrong_names(seed: int) -> Iterator[Case]:
    """A picture under the ending of another format."""
    suffixes = {"JPEG": "png", "PNG": "jpg", "GIF": "bmp", "WEBP": "jpeg", "BMP": "tif", "TIFF": "webp", "AVIF": "gif"}
    for kind, suffix in suffixes.items():
        yield Case(f"really {kind}.{suffix}", picture(seed, kind), True)
    yield Case("really HEIC.jpg", HEIC, True)


def _metadata(seed: int) -> Iterator[Case]:
    """EXIF, ICC and XMP that lie. The picture is none the worse."""
    for orientation in (0, 9, 99, 65_535):
        exif = Image.Exif()
        exif[0x0112] = orientation
        for kind, suffix in (("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp")):
            yield Case(f"orientation {orientation}.{suffix}", picture(seed, kind, exif=exif), True)
    for name, value in {"text": "right side up", "bytes": b"\xff\0"}.items():
        exif = Image.Exif()
        exif[0x010E] = value
        yield Case(f"exif {name}.jpg", picture(seed, exif=exif), True)
    noise = np.random.default_rng(seed).bytes(5000)
    loop = b"Exif\0\0" + tiff([(0x8769, 4, 1, 8), (0x0112, 3, 1, 6)], b"", 8)
    many = b"Exif\0\0" + tiff([(0x0112, 3, 2**32 - 1, 8)])
    for name, exif_bytes in {"noise": b"Exif\0\0" + noise, "in a circle": loop, "many": many, "cut": loop[:17]}.items():
        for kind, suffix in (("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp")):
            yield Case(f"exif {name}.{suffix}", picture(seed, kind, exif=exif_bytes), True)
    thumbnail = Image.Exif()
    thumbnail[0x0100], thumbnail[0x0101] = 2**32 - 1, 2**32 - 1
    thumbnail.get_ifd(0x8769)[0xA002] = 2**32 - 1
    yield Case("exif of another size.jpg", picture(seed, exif=thumbnail), True)
    for name, profile in {"noise": noise, "huge": bytes(3_000_000), "one byte": b"\0"}.items():
        for kind, suffix in (("JPEG", "jpg"), ("PNG", "png"), ("TIFF", "tif"), ("WEBP", "webp")):
            yield Case(f"icc {name}.{suffix}", picture(seed, kind, icc_profile=profile), True)
    entities = (
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">]><x:xmpmeta>&b;&b;</x:xmpmeta>'
    )
    for name, xmp in {"noise": noise, "entities": entities, "orientation": b'<a tiff:Orientation="99"/>'}.items():
        yield Case(f"xmp {name}.jpg", picture(seed, xmp=xmp), True)
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode("latin-1"))
        yield Case(f"xmp {name}.png", picture(seed, "PNG", pnginfo=text), True)


def _polyglots(seed: int) -> Iterator[Case]:
    """Another file before or behind the picture: behind it, it does not matter."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr(zipfile.ZipInfo("../../evil.py"), "raise SystemExit")
    page = b"<!DOCTYPE html><script>alert(1)</script>"
    paper = b"%PDF-1.4\n1 0 obj << /Type /Catalog >> endobj\n%%EOF\n"
    script = b"#!/bin/sh\ntouch pwned\n"
    others = {"zip": archive.getvalue(), "html": page, "pdf": paper, "script": script}
    for other, data in others.items():
        for kind, suffix in (("JPEG", "jpg"), ("PNG", "png"), ("GIF", "gif"), ("BMP", "bmp")):
            yield Case(f"{kind} and {other}.{suffix}", picture(seed, kind) + data, True)
            yield Case(f"{other} and {kind}.{suffix}", data + picture(seed, kind), False)
    yield Case("PNG and JPEG.png", picture(seed, "PNG") + picture(seed), True)


def _no_images(seed: int) -> Iterator[Case]:
    """Other things under the name of a picture."""
    noise = np.random.default_rng(seed + 1).bytes(3000)
    # fmt: off
    others = {
        "empty": b"", "one byte": b"\xff", "noise": noise, "zeros": bytes(3000), "text": b"not a picture\n",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(pwned) (w) file closefile\nshowpage\n",
        "windows program": b"MZ" + bytes(200), "xml": b'<?xml version="1.0"?><!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        "pickle": b"cos\nsystem\n(S'touch pwned'\ntR.", "dicom": bytes(128) + b"DICM" + bytes(99),
    }
    # fmt: on
    for name, data in others.items():
        yield Case(f"{name}.jpg", data, False)
    yield Case("JPEG without a picture.jpg", b"\xff\xd8\xff\xd9", False)
    yield Case("PNG without a picture.png", b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b""), False)
