import os
import signal

from worker.slots import Slots


def child(slots):
    """A process that holds a place until it is killed; returns its id once it does, or 0 where there was none."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with slots.taken() as is_ours:
            os.write(writer, b"y" if is_ours else b"n")
            if is_ours:
                signal.pause()
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as said:
        answer = said.read(1)
    if answer == b"y":
        return pid
    os.waitpid(pid, 0)
    return 0


def test_so_many_processes_hold_a_place_and_a_dead_ones_is_free():
    slots = Slots(2)
    first, second = child(slots), child(slots)
    try:
        assert first
        assert second
        with slots.taken() as is_ours:
            assert not is_ours
        assert child(slots) == 0
    finally:
        os.kill(first, signal.SIGKILL)
        os.waitpid(first, 0)
    third = child(slots)
    for pid in (second, third):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert third
    for _ in range(2):  # given back at the end of the block
        with slots.taken() as is_ours:
            assert is_ours
