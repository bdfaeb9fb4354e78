"""The slow references are modules of `tests/`, whichever folder pytest is started from."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
