"""The attendant: a thread of a worker process that sets its pace and ends it when nothing comes of that any more.

It sends the process orders to itself (`pulse`): one that is finished has gone to Redis, through the process's loop and
through a child that works, so it proves that all of them do. In upkeep it also orders the chores, as Celery beat did
before: a beat that died took upkeep with it and nobody noticed. Intervals are of the monotonic clock, which no change
of the time of day moves.

A process that finishes nothing though Redis takes its orders, or that holds an order for too long, is ended, and
whoever supervises it starts it again. While Redis is away there is nothing to finish, and nobody is ended for that.
"""

import mmap
import os
import struct
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NoReturn

from moderation import logs

SICK = 70  # the exit status (EX_SOFTWARE) of a process that ends itself
SECONDS_BETWEEN = 5.0
STARTING_SECONDS = 120.0  # for a process to finish something at all: loading a detector takes a while

log = logs.get(__name__)

# Held while an order is sent, and around every fork. Sending takes locks of kombu's that all its objects share; a child
# that is forked meanwhile inherits them locked, and waits for ever when it sends something itself.
_sending = threading.Lock()
os.register_at_fork(before=_sending.acquire, after_in_parent=_sending.release, after_in_child=_sending.release)


class Stamps:
    """When something was last finished, by the monotonic clock, shared with the children that finish it.

    Eight aligned bytes of shared memory each, written whole, so no lock can be left held by a child that dies.
    """

    def __init__(self, *names: str) -> None:
        self._places = {name: 8 * number for number, name in enumerate(names)}
        self._memory = mmap.mmap(-1, 8 * len(names))
        for name in names:
            self._put(name, time.monotonic() + STARTING_SECONDS)

    def now(self, name: str) -> None:
        """Notes that something was finished now; names that nobody asked for are passed over."""
        if name in self._places:
            self._put(name, time.monotonic())

    def _put(self, name: str, at: float) -> None:
        struct.pack_into("=d", self._memory, self._places[name], at)

    def age(self, name: str) -> float:
        """Returns the seconds since then, negative while a process that starts may take its time."""
        stamp: float = struct.unpack_from("=d", self._memory, self._places[name])[0]
        return time.monotonic() - stamp


@dataclass
class Attendant:
    """See the module.

    ``orders`` are sent every so many seconds: a name of ``stamps`` and what sends it, which returns False while Redis
    is away. ``held`` tells the ids of the orders that the process has taken and not finished.
    """

    stamps: Stamps
    orders: dict[str, tuple[float, Callable[[], bool]]]
    held: Callable[[], Iterable[str]]
    stall_seconds: float
    is_stopping: Callable[[], bool]
    end: Callable[[], NoReturn]
    _due: dict[str, float] = field(default_factory=dict)
    _taken: dict[str, float] = field(default_factory=dict)

    def start(self) -> None:
        """Attends until the process is stopping."""
        threading.Thread(target=self._attend, name="attendant", daemon=True).start()

    def _attend(self) -> None:
        pause = threading.Event()
        try:
            while not self.is_stopping():
                self.look()
                pause.wait(min(1.0, self.stall_seconds / 10, *(seconds for seconds, _ in self.orders.values())))
        except Exception:  # without this thread the process would go on and do nothing
            log.exception("attendant_failed")
            self.end()

    def look(self) -> None:
        """Sends what is due, and ends the process if it is sick."""
        for name, (seconds, send) in self.orders.items():
            now = time.monotonic()
            if now < self._due.get(name, now):
                continue
            self._due[name] = now + seconds
            with _sending:
                sent = send()
            if not sent:
                self.stamps.now(name)  # nothing can be finished that could not be ordered
        why = self._sickness()
        if why and not self.is_stopping():
            log.error("process_stalled", why=why, stall_seconds=self.stall_seconds)
            self.end()

    def _sickness(self) -> str | None:
        now = time.monotonic()
        self._taken = {order: self._taken.get(order, now) for order in self.held()}
        late = [name for name in self.orders if self.stamps.age(name) > self.stall_seconds]
        if late:
            return f"no {' or '.join(late)} was finished"
        if any(now - since > self.stall_seconds for since in self._taken.values()):
            return "an order was taken and never finished"
        return None


def end_with(pids: Iterable[int]) -> NoReturn:
    """Kills the children and ends this process at once. What they held is taken back when its lease runs out."""
    for pid in pids:
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            continue
    os._exit(SICK)
