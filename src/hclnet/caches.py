"""What can be computed again and is kept where there is a place for it. Nothing here needs torch."""

from __future__ import annotations

import logging
from pathlib import Path

from hclnet.storage import FULL, Unwritable, check_writable
from hclnet_runtime.text import shown


def writable(folder: Path) -> Path:
    """The folder, made if need be.

    Raises:
        ValueError: it can't be written; the message says what to do.
    """
    try:
        check_writable(folder)
    except Unwritable as error:
        raise unwritable(folder, error.__cause__ or error) from None
    return folder


def unwritable(folder: Path, error: BaseException) -> ValueError:
    """What went wrong with a cache, as a sentence."""
    if getattr(error, "errno", None) in FULL:
        why, way = "its disk is full", "Free some space, or set HCLNET_CACHE to a folder on another disk"
    else:
        reason = getattr(error, "strerror", None) or str(error)
        why, way = f"{reason[:1].lower()}{reason[1:].rstrip('.')}", "Set HCLNET_CACHE to a folder of yours"
    return ValueError(f"The cache {shown(folder)} can't be written: {why}. {way}.")


def _no_remark_on_folders(record: logging.LogRecord) -> bool:
    remarks = ("not a writable directory", "mkdir -p failed", "temporary cache directory")
    return not any(remark in record.getMessage() for remark in remarks)


# matplotlib, which several packages import, does without a folder of the user's, and need not say so each time.
logging.getLogger("matplotlib").addFilter(_no_remark_on_folders)
