"""Names that are paths, options, patterns, control characters or no text at all, and links that lead nowhere."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

NAMES = (
    "-rf.jpg",
    "--help.png",
    "--model=x.jpg",
    "-.jpg",
    "~.jpg",
    "~root.jpg",
    "$HOME.jpg",
    "$(touch pwned).jpg",
    "`id`;id|id&.jpg",
    "%2e%2e%2fpasswd.jpg",
    "a\\..\\..\\windows\\win.ini.jpg",
    "C:\\autoexec.jpg",
    "file:..jpg",
    "https:example.com.jpg",
    "hf:user.jpg",
    "*.jpg",
    "[a-z].jpg",
    "?.jpg",
    "**.jpg",
    "{a,b}.jpg",
    "%s%n%d{0}{name!r}.jpg",
    "nul.jpg",
    "con.png",
    " .jpg",
    " leading and trailing .jpg",
    "two  spaces\tand a tab.jpg",
    "a new\nline.jpg",
    "a carriage\rreturn.jpg",
    "\x1b[2J\x1b[31mred.jpg",
    "\x01\x02\x07\x08\x7f.jpg",
    "\u202egpj.exe.jpg",
    "\u200b\ufeff.jpg",
    "e\u0301 and \u00e9.jpg",
    "\U0001f98a\u200d\U0001f9ac.jpg",
    "<script>alert(1)<&>.jpg",
    "' OR 1=1; --\".jpg",
    '","boxes":[{"x":1}],".jpg',
    "=cmd|'calc'!A1.jpg",
    "a,b;c.jpg",
    "#.jpg",
    "x" * 251 + ".jpg",
    "\u00e4" * 125 + ".jpg",
    "UPPER.JPG",
    "dots...jpg.png.jpg",
    os.fsdecode(b"\xff\xfe\x80.jpg"),
    os.fsdecode(b"caf\xe9.jpg"),
)


@dataclass(frozen=True, slots=True)
class Links:
    """What leads elsewhere: to a picture, nowhere, or to what is no file."""

    good: frozenset[Path]
    bad: frozenset[Path]
    passed_over: frozenset[Path]


def links(root: Path, target: Path) -> Links:
    """Links in a folder of classes, circles of folders among them; and a pipe.

    Args:
        root: with class folders in it.
        target: a picture.
    """
    home = target.parent
    leads = {
        home / "relative link.jpg": Path(target.name),
        home / "absolute link.jpg": target.absolute(),
        home / "link to a link.jpg": Path("relative link.jpg"),
    }
    nowhere = {
        home / "link to nothing.jpg": Path("gone.jpg"),
        home / "link to itself.jpg": Path("link to itself.jpg"),
        home / "circle 1.jpg": Path("circle 2.jpg"),
        home / "circle 2.jpg": Path("circle 1.jpg"),
        home / "link through a file.jpg": Path(target.name) / "x.jpg",
        home / "link with a long target.jpg": Path("y" * 300),
    }
    circles = {
        home / "up": Path(".."),
        home / "here": Path(),
        home / "to itself": Path("to itself"),
    }
    for link, aim in {**leads, **nowhere, **circles}.items():
        link.symlink_to(aim)
    pipe, device = home / "pipe.jpg", home / "endless.png"
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    return Links(frozenset(leads), frozenset(nowhere), frozenset({pipe, device}))
