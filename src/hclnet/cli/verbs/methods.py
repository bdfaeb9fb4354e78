"""`hclnet methods`."""

from __future__ import annotations


def methods() -> None:
    """List the methods and their options."""
    from hclnet.cli.tables import methods_table

    methods_table()
