"""How long the oracle waits. A daemon under a sanitizer takes up to ten times as long as the release."""

import os
import time

SECONDS = float(os.environ.get("ORACLE_PATIENCE", "180"))


class TooSlow(Exception):
    pass


def until(what, condition, alive=None, interval=0.05):
    """Waits until `condition()` returns something true, and returns it."""
    end = time.monotonic() + SECONDS
    while True:
        found = condition()
        if found:
            return found
        if alive is not None:
            alive()
        if time.monotonic() > end:
            raise TooSlow(f"after {SECONDS:.0f} s still not: {what}")
        time.sleep(interval)
