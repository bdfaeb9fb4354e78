"""What can be computed again and is kept where there is a place for it. Nothing here needs torch."""

from __future__ import annotations

import logging
from pathlib import Path

from hclnet.storage import Unwritable, check_writable
from hclnet_runtime.text import shown


def writable(folder: Path) -> Path:
    """The folder, made if need be.

    Raises:
        ValueError: it can't be written; the message says what to do.
    """
    try:
        check_writable(folder)
    except Unwritable as error:
        reason = getattr(error.__cause__, "strerror", None) or str(error)
        why = f"{reason[:1].lower()}{reason[1:].rstrip('.')}"
        raise ValueError(
            f"The cache {shown(folder)} can't be written: {why}. Set HCLNET_CACHE to a folder of yours."
        ) from None
    return folder


def _no_remark_on_folders(record: logging.LogRecord) -> bool:
    remarks = ("not a writable directory", "mkdir -p failed", "temporary cache directory")
    return not any(remark in record.getMessage() for remark in remarks)


# matplotlib, which several packages import, does without a folder of the user's, and need not say so each time.
logging.getLogger("matplotlib").addFilter(_no_remark_on_folders)
