"""What several test files need beside data."""

import contextlib
import signal
import threading
import time
from types import SimpleNamespace

import cvxrelu

#: The promise is 0.2 s where nothing else runs; a crowded machine may let the process wait for longer.
SECONDS_TO_HEAR_CTRL_C = 2.0


#: Regressors and classifiers that are one network or kernel machine.
PREDICTORS = sorted(name for name in cvxrelu._ESTIMATORS if not name.startswith(("NormalScores", "ExponentialWeights")))


@contextlib.contextmanager
def press_ctrl_c_after(seconds):
    """Send SIGINT to this process after so many seconds; tells how long it and its CPU took to leave the block."""
    state = SimpleNamespace(seconds_until_caught=None, cpu_seconds_until_caught=None)
    sent = []

    def press():
        sent.extend((time.monotonic(), time.process_time()))
        signal.raise_signal(signal.SIGINT) if threading.current_thread() is threading.main_thread() else (
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        )

    timer = threading.Timer(seconds, press)
    timer.start()
    try:
        yield state
    finally:
        timer.cancel()
        timer.join()
        if sent:
            state.seconds_until_caught = time.monotonic() - sent[0]
            state.cpu_seconds_until_caught = time.process_time() - sent[1]
