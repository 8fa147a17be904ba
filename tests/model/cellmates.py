"""What the cells of a test are asked to do: they import it by name."""

import ctypes
import os
import signal
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Odd(NamedTuple):
    value: object


def make(word):
    return word


def never():
    raise OSError("the tool cannot be made")


def echo(tool, value):
    return tool, value


def pid(_tool):
    return os.getpid()


def environment(_tool):
    return sorted(os.environ)


def loop(_tool):
    """In native code that holds the interpreter and never looks at signals."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    ctypes.PyDLL(None).pause()


def spin(_tool):
    while True:
        pass


def wait(_tool, file):
    while not Path(file).exists():
        time.sleep(0.01)
    return "waited"


def hoard(_tool, size):
    return len(np.ones(size, np.uint8))


def crash(_tool, number):
    os.kill(os.getpid(), number)
    time.sleep(60)


def killed_once(_tool, file):
    """As when the system is short of memory for a moment."""
    if not Path(file).exists():
        Path(file).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "second time"


def bug(_tool):
    raise ZeroDivisionError("a bug")


def leave(_tool):
    os._exit(3)


class Trap:
    """An answer that would run a command where it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch /tmp/unmask-was-trapped",)


def trap(_tool):
    return Trap()


def arrays(_tool):
    return {"crop": np.arange(12, dtype=np.uint8).reshape(2, 2, 3), "one": np.float32(0.5), "turned": np.eye(3).T}
