"""The client that blocks. What it does is in the modules of steps; here they are carried out, and named and typed."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, cast

import httpx

from unmask_client import batches, exchange, folders, outbound, progress, submissions, wire
from unmask_client.batches import BatchAnswer, BatchItem
from unmask_client.calls import Listing
from unmask_client.documents import (
    Accepted,
    Appeal,
    Delivery,
    DeliveryRecord,
    DeliveryState,
    Endpoint,
    EventType,
    NewEndpoint,
    State,
    Submission,
)
from unmask_client.exchange import Patience
from unmask_client.files import File
from unmask_client.folders import Sent
from unmask_client.steps import Attempt, Pause, Request, Step, Steps
from unmask_client.submissions import About, Common

T = TypeVar("T")


class Driver:
    """Carries steps out, one after another, in the thread that asks."""

    def __init__(self, base_url: str, api_key: str, patience: Patience, transport: httpx.BaseTransport | None) -> None:
        self._http = httpx.Client(**wire.settings(base_url), transport=transport)
        self._api_key, self._patience = api_key, patience

    def run(self, steps: Steps[T]) -> T:
        """Returns what an operation returns, or raises what it raises."""
        go_on: Callable[[], Step] = partial(next, steps)
        with closing(steps):  # its files, when we are interrupted between two steps
            while True:
                try:
                    step = go_on()
                except StopIteration as end:
                    return cast("T", end.value)
                try:
                    go_on = partial(steps.send, self._carry_out(step))
                except Exception as error:  # noqa: BLE001 - the operation decides what it means
                    go_on = partial(steps.throw, error)

    def listed(self, listing: Listing[T]) -> Iterator[T]:
        """Yields every item of a list; a page is read when its first item is asked for."""
        cursor = None
        while True:
            page = self.run(listing.page(cursor))
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def close(self) -> None:
        self._http.close()

    def _carry_out(self, step: Step) -> Any:
        match step:
            case Request():
                return self.run(exchange.exchange(step, self._patience))
            case Attempt():
                return wire.answer(self._http.send(wire.build(self._http, step.request, self._api_key)))
            case Pause():
                return time.sleep(step.seconds)
            case _:
                return step.call()


class Client:
    """A platform's way into Unmask. Threads may share one; close it, or use it as a context manager.

    ``patience`` says how long a call is repeated while the server is away or turns it down for now. Every call raises
    `UnmaskError`; ``transport`` is httpx's, for proxies, certificates of your own, and tests.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        patience: Patience = Patience(),  # noqa: B008 - frozen
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._driver = Driver(base_url, api_key, patience, transport)
        self.endpoints, self.deliveries = Endpoints(self._driver), Deliveries(self._driver)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._driver.close()

    def submit(self, file: File, **about: Unpack[About]) -> Accepted:
        """Sends a file: a path, bytes, or a file opened in binary mode, which is sent whole, from its beginning."""
        return self._driver.run(submissions.submit(file, about))

    def submit_url(self, url: str, **about: Unpack[About]) -> Accepted:
        """Submits media that the server is to fetch from a public address; where that fails, its `failure` says why."""
        return self._driver.run(submissions.submit_json({"url": url}, about))

    def submit_upload(self, file: File, **about: Unpack[About]) -> Accepted:
        """Sends a file past the API, straight to where media is kept: for large ones."""
        return self._driver.run(submissions.submit_upload(file, about))

    def submit_batch(self, items: Sequence[BatchItem]) -> tuple[BatchAnswer, ...]:
        """Submits media that is elsewhere, a hundred a request; an item that is refused stops no other.

        An item is a dict: ``url`` or ``upload_id``, and whatever `submit` takes beside the file. Answers come in the
        order of the items.
        """
        return tuple(self._driver.run(batches.submit(items)))

    def submit_folder(
        self,
        folder: str | os.PathLike[str],
        *,
        concurrency: int = 4,
        progress: bool = True,
        **common: Unpack[Common],
    ) -> Iterator[Sent]:
        """Sends every file below a folder, ``concurrency`` at a time, and yields each as it is through: iterate it.

        Each path below the folder is that file's `external_id`. Files that are refused or cannot be read come with
        their error. Run again within a day, it submits nothing twice. ``progress`` shows a bar where rich is installed.

        Raises:
            Unauthorized, Forbidden: since no other file would fare better.
            Unavailable: when several files in a row met a server that is away; run it again later.
        """
        journey = folders.Journey(concurrency)
        paths = folders.files(folder)
        jobs = folders.jobs(Path(folder), paths, common)
        return self._travelling(jobs, len(paths), journey, concurrency, progress)

    def _travelling(
        self, jobs: Iterator[Steps[Sent]], total: int, journey: folders.Journey, concurrency: int, bar: bool
    ) -> Iterator[Sent]:
        with progress.shown(total, wanted=bar) as advance, ThreadPoolExecutor(concurrency) as pool:
            travelling: set[Future[Sent]] = set()
            while True:
                vacant = concurrency - len(travelling)
                travelling |= {pool.submit(self._driver.run, job) for job in islice(jobs, vacant)}
                if not travelling:
                    return
                arrived, travelling = wait(travelling, return_when=FIRST_COMPLETED)
                for future in arrived:
                    sent = journey.checked(future.result())
                    advance(sent)
                    yield sent

    def get(self, submission_id: str) -> Submission:
        """Reads a submission as it stands."""
        return self._driver.run(submissions.get(submission_id))

    def wait(self, submission_id: str, timeout: float = 120.0) -> Submission:
        """Returns a submission once its state is final.

        Raises:
            StillPending: when it is not after ``timeout`` seconds.
        """
        return self._driver.run(submissions.wait(submission_id, timeout))

    def list(
        self,
        *,
        state: State | None = None,
        external_id: str | None = None,
        since: datetime | None = None,
        page_size: int = 100,
    ) -> Iterator[Submission]:
        """Yields submissions, newest first, page after page; ``since`` is the earliest time of receipt."""
        return self._driver.listed(submissions.listing(state, external_id, since, page_size))

    def appeal(self, submission_id: str, reason: str) -> Appeal:
        """Puts a scored submission before people, with the reason given, even where a flag was decided already."""
        return self._driver.run(submissions.appeal(submission_id, reason))

    def erase(self, submission_id: str) -> None:
        """Erases media, verdict and evidence, unless another submission holds the same bytes; a tombstone stays."""
        self._driver.run(submissions.erase(submission_id))


class Endpoints:
    """Where your webhooks go."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def list(self) -> Iterator[Endpoint]:
        """Yields the endpoints, oldest first, without their secrets."""
        return self._driver.listed(outbound.endpoints())

    def get(self, endpoint_id: str) -> Endpoint:
        """Reads an endpoint."""
        return self._driver.run(outbound.endpoint(endpoint_id))

    def create(self, url: str, events: Sequence[EventType] = ()) -> NewEndpoint:
        """Adds an endpoint for these events, or all. Keep its `secret`: it is not told again."""
        return self._driver.run(outbound.create(url, events))

    def update(
        self,
        endpoint_id: str,
        *,
        url: str | None = None,
        events: Sequence[EventType] | None = None,
        enabled: bool | None = None,
    ) -> Endpoint:
        """Changes what is given and leaves the rest; ``enabled`` True ends what had disabled it."""
        return self._driver.run(outbound.update(endpoint_id, url, events, enabled))

    def delete(self, endpoint_id: str) -> None:
        """Removes an endpoint; what still waits for it is dropped."""
        self._driver.run(outbound.delete(endpoint_id))

    def test(self, endpoint_id: str) -> Delivery:
        """Has an `endpoint.test` event sent; `deliveries.get` tells what came of it."""
        return self._driver.run(outbound.test(endpoint_id))

    def rotate(self, endpoint_id: str, *, overlap_seconds: int | None = None) -> NewEndpoint:
        """Gives it a new secret, told this once; until the overlap ends, the one before signs beside it."""
        return self._driver.run(outbound.rotate(endpoint_id, overlap_seconds))


class Deliveries:
    """What was sent to you, what waits, what failed."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def list(
        self, *, status: DeliveryState | None = None, endpoint_id: str | None = None, page_size: int = 100
    ) -> Iterator[Delivery]:
        """Yields deliveries, newest first, page after page."""
        return self._driver.listed(outbound.deliveries(status, endpoint_id, page_size))

    def get(self, delivery_id: str) -> DeliveryRecord:
        """Reads a delivery with its text and every try at sending it."""
        return self._driver.run(outbound.delivery(delivery_id))

    def replay(self, delivery_id: str) -> Delivery:
        """Has a delivery sent again, under the same id."""
        return self._driver.run(outbound.replay(delivery_id))
