"""Where version 0.1 had `hclnet.workflows.locate`: scripts that reach for the module find it.

Importing a module makes it an attribute of its package, so that `hclnet.locate` is this module from then on; called, it
is the function `hclnet.locate`.
"""

import sys
from types import ModuleType
from typing import Any

from hclnet.workflows import load
from hclnet.workflows import locate as module


class _Callable(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return load.locate(*arguments, **options)


module.__class__ = _Callable
sys.modules[__name__] = module
