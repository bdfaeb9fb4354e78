"""The command line: thin verbs over the Python functions. Nothing heavy is imported before a verb runs."""

from hclnet.cli.app import main

__all__ = ["main"]
