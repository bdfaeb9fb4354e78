"""The random states of Python, numpy and torch belong to the caller: what draws from them in here puts them back."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

_VARIABLES = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")  # Lightning's, which it sets with the seed


@contextmanager
def random_states_kept() -> Iterator[None]:
    """At the end the random states, and the variables of the seed, are as they were; also as a decorator."""
    of_python, of_numpy, of_torch = random.getstate(), np.random.get_state(), torch.get_rng_state()
    of_cards = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    before = {name: os.environ.get(name) for name in _VARIABLES}
    try:
        yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)
        torch.set_rng_state(of_torch)
        if of_cards is not None:
            torch.cuda.set_rng_state_all(of_cards)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
