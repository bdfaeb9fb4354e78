"""Where version 0.1 had `hclnet.workflows.locate`: scripts that reach for the module find it."""

import sys

from hclnet.workflows import locate

sys.modules[__name__] = locate
