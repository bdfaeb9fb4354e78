"""Files that Pillow does not read: what they are, and what to do, as a sentence."""

from __future__ import annotations

from pathlib import Path

from PIL import TiffImagePlugin

from hclnet_runtime.data.pillow import without_remarks

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
UNKNOWN = "is not an image in any format that Pillow reads"

_AS_PNG = "Save its pictures as PNG or TIFF"
_STARTS = {
    b"%PDF": f"is a PDF. {_AS_PNG}",
    b"\x89HDF\r\n\x1a\n": f"is an HDF5 file. {_AS_PNG}",
    b"\x93NUMPY": f"is a NumPy array. {_AS_PNG}",
    b"\xff\x0a": "is a JPEG XL image. Save it as PNG or JPEG",
    b"\0\0\0\x0cJXL ": "is a JPEG XL image. Save it as PNG or JPEG",
    b"\x1aE\xdf\xa3": f"is a video. {_AS_PNG}",
    b"SIMPLE  =": f"is a FITS file. {_AS_PNG}",
}


def what_it_is(path: str | Path) -> str:
    """The rest of a sentence that begins with the file's name and ends with a full stop.

    Raises:
        OSError: the file can't be read.
    """
    with Path(path).open("rb") as file:
        start = file.read(512)
    if not start:
        return "is empty (0 bytes)"
    if start[128:132] == b"DICM":
        return (
            "is a DICOM file, which hclnet does not read, because the window (how its values become gray) is a "
            "choice. Save it as PNG of 8 or 16 bits with a DICOM viewer or pydicom"
        )
    if start[344:348] in (b"n+1\0", b"ni1\0"):
        return "is a NIfTI volume, which hclnet does not read. Save the slices that matter as PNG of 8 or 16 bits"
    if start.startswith(_TIFF) and (known := _tiff(path)):
        return known
    if b"<svg" in start[:300]:
        return "is an SVG drawing. Save it as PNG"
    known = next((known for magic, known in _STARTS.items() if start.startswith(magic)), None)
    return known or UNKNOWN


def _tiff(path: str | Path) -> str | None:
    """Which channels a TIFF has, by the tags of its first page."""
    try:
        with without_remarks(), Path(path).open("rb") as file:
            tags = TiffImagePlugin.ImageFileDirectory_v2(file.read(16 if file.peek(3)[2:3] == b"+" else 8))
            file.seek(tags.next)
            tags.load(file)
        channels, bits = int(tags.get(277, 1)), tags.get(258, (1,))
        depth = bits if isinstance(bits, int) else bits[0]
        kind = "floating point" if tags.get(339, (1,))[0] == 3 else "whole numbers"
    except Exception:  # what can't be known is not known
        return None
    return (
        f"is a TIFF of {channels} channel{'s' * (channels != 1)} of {depth} bits ({kind}), which hclnet does not read. "
        "Save the channels that matter as gray (8 or 16 bits, or 32 in floating point) or as RGB of 8 bits, one file "
        "per image"
    )
