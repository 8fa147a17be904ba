"""Processes in which a dozen threads make the first submissions of their lives at once; `python -m … URL KEY MEDIA`.

What SQLAlchemy works out when a statement is first used, it works out without a lock. A statement that is made once and
shared by threads must not have anything left to work out, and only the first use in a process shows whether it has.
"""

import io
import os
import sys
import threading
import traceback

from moderation import acceptance, blobs, database, media, platforms, verdicts
from moderation.acceptance import Draft
from tests.conftest import jpeg

PROCESSES = 24
THREADS = 12


def submit_at_once(url: str, key: str, folder: str) -> bool:
    """Says whether every thread of this process, which has executed nothing yet, gets its submission."""
    sessions = database.sessions(database.connect(url, pool=THREADS))
    store = blobs.connect(folder)
    # threads take turns in haste only from here on: connecting so, on a busy machine, outlasts its timeout
    start, made = threading.Barrier(THREADS, lambda: sys.setswitchinterval(1e-6)), []

    def submit(number: int) -> None:
        file = io.BytesIO(jpeg(size=(20 + number, 20)))
        facts = media.inspect(file, max_pixels=10**6, max_frames=9)
        with sessions.begin() as session:
            session.connection()  # so that no thread is late because it has to connect
            start.wait(120)
            owner = platforms.authenticate(session, key).platform_id
            row = acceptance.submit(session, store, Draft(platform_id=owner), facts, file)
            assert verdicts.standing(session, facts.sha256) is None
            made.append((row.id, row.state, row.received_at.tzinfo is not None))

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len({row_id for row_id, *_ in made}) == THREADS and {tuple(rest) for _, *rest in made} == {("waiting", True)}


def main(url: str, key: str, folder: str) -> None:
    """Exits with the number of processes in which a thread got none."""
    failed = 0
    for _ in range(PROCESSES):
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if submit_at_once(url, key, folder) else 1)
            except BaseException:  # noqa: BLE001 - nothing of pytest or of the parent may run here
                traceback.print_exc()
                os._exit(1)
        failed += os.waitpid(child, 0)[1] != 0
    sys.exit(failed)


if __name__ == "__main__":
    main(*sys.argv[1:])
