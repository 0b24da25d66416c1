"""Python reads this at its start when PYTHONPATH has this folder: shifts the clock of a client that has no driver."""

import os
import time

real_time = time.time
time.time = lambda: real_time() + float(os.environ["CLOCK_SKEW"])
