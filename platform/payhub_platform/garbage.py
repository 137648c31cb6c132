"""Python's garbage collector, set for a process that keeps much and makes few cycles."""

import gc
from typing import Final

YOUNG_MAX: Final = 200_000  # objects made since the last collection; Python's own 700 or 2,000 is for scripts
MIDDLE_EVERY: Final = 20  # young collections
OLD_EVERY: Final = 50  # middle ones


def spare_what_lives() -> None:
    """Stop looking for garbage among what is there by now, and look less often; call it after the start.

    Modules, models and state live as long as the process. Looking through them finds nothing and holds all
    payments up meanwhile.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_MAX, MIDDLE_EVERY, OLD_EVERY)
