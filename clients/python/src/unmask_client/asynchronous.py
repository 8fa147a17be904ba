"""The client for asyncio: what `Client` does, awaited. Each call is documented there.

Files are read in threads, so that no event loop waits for a disk.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
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


class AsyncDriver:
    """Carries steps out, one after another, in the event loop that asks."""

    def __init__(
        self, base_url: str, api_key: str, patience: Patience, transport: httpx.AsyncBaseTransport | None
    ) -> None:
        self._http = httpx.AsyncClient(**wire.settings(base_url), transport=transport)
        self._api_key, self._patience = api_key, patience

    async def run(self, steps: Steps[T]) -> T:
        """Returns what an operation returns, or raises what it raises."""
        go_on: Callable[[], Step] = partial(next, steps)
        with closing(steps):  # its files, when we are cancelled between two steps
            while True:
                try:
                    step = go_on()
                except StopIteration as end:
                    return cast("T", end.value)
                try:
                    go_on = partial(steps.send, await self._carry_out(step))
                except Exception as error:  # noqa: BLE001 - the operation decides what it means
                    go_on = partial(steps.throw, error)

    async def listed(self, listing: Listing[T]) -> AsyncIterator[T]:
        """Yields every item of a list; a page is read when its first item is asked for."""
        cursor = None
        while True:
            page = await self.run(listing.page(cursor))
            for item in page.items:
                yield item
            cursor = page.next_cursor
            if cursor is None:
                return

    async def close(self) -> None:
        await self._http.aclose()

    async def _carry_out(self, step: Step) -> Any:
        match step:
            case Request():
                return await self.run(exchange.exchange(step, self._patience))
            case Attempt():
                return wire.answer(await self._http.send(wire.build(self._http, step.request, self._api_key)))
            case Pause():
                return await asyncio.sleep(step.seconds)
            case _:
                return await asyncio.to_thread(step.call)


class AsyncClient:
    """`Client` for asyncio: the same calls, awaited; lists and folders are read with ``async for``."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        patience: Patience = Patience(),  # noqa: B008 - frozen
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._driver = AsyncDriver(base_url, api_key, patience, transport)
        self.endpoints, self.deliveries = AsyncEndpoints(self._driver), AsyncDeliveries(self._driver)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._driver.close()

    async def submit(self, file: File, **about: Unpack[About]) -> Accepted:
        return await self._driver.run(submissions.submit(file, about))

    async def submit_url(self, url: str, **about: Unpack[About]) -> Accepted:
        return await self._driver.run(submissions.submit_json({"url": url}, about))

    async def submit_upload(self, file: File, **about: Unpack[About]) -> Accepted:
        return await self._driver.run(submissions.submit_upload(file, about))

    async def submit_batch(self, items: Sequence[BatchItem]) -> tuple[BatchAnswer, ...]:
        return tuple(await self._driver.run(batches.submit(items)))

    def submit_folder(
        self,
        folder: str | os.PathLike[str],
        *,
        concurrency: int = 4,
        progress: bool = True,
        **common: Unpack[Common],
    ) -> AsyncGenerator[Sent]:
        journey = folders.Journey(concurrency)
        paths = folders.files(folder)
        return self._travelling(folders.jobs(Path(folder), paths, common), len(paths), journey, concurrency, progress)

    async def _travelling(
        self, jobs: Iterator[Steps[Sent]], total: int, journey: folders.Journey, concurrency: int, bar: bool
    ) -> AsyncGenerator[Sent]:
        travelling: set[asyncio.Task[Sent]] = set()
        with progress.shown(total, wanted=bar) as advance:
            try:
                while True:
                    vacant = concurrency - len(travelling)
                    travelling |= {asyncio.create_task(self._driver.run(job)) for job in islice(jobs, vacant)}
                    if not travelling:
                        return
                    arrived, travelling = await asyncio.wait(travelling, return_when=asyncio.FIRST_COMPLETED)
                    for task in arrived:
                        sent = journey.checked(task.result())
                        advance(sent)
                        yield sent
            finally:
                for task in travelling:
                    task.cancel()
                await asyncio.gather(*travelling, return_exceptions=True)

    async def get(self, submission_id: str) -> Submission:
        return await self._driver.run(submissions.get(submission_id))

    async def wait(self, submission_id: str, timeout: float = 120.0) -> Submission:  # noqa: ASYNC109 - Client's name
        return await self._driver.run(submissions.wait(submission_id, timeout))

    def list(
        self,
        *,
        state: State | None = None,
        external_id: str | None = None,
        since: datetime | None = None,
        page_size: int = 100,
    ) -> AsyncIterator[Submission]:
        return self._driver.listed(submissions.listing(state, external_id, since, page_size))

    async def appeal(self, submission_id: str, reason: str) -> Appeal:
        return await self._driver.run(submissions.appeal(submission_id, reason))

    async def erase(self, submission_id: str) -> None:
        await self._driver.run(submissions.erase(submission_id))


class AsyncEndpoints:
    """`Endpoints`, awaited."""

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver

    def list(self) -> AsyncIterator[Endpoint]:
        return self._driver.listed(outbound.endpoints())

    async def get(self, endpoint_id: str) -> Endpoint:
        return await self._driver.run(outbound.endpoint(endpoint_id))

    async def create(self, url: str, events: Sequence[EventType] = ()) -> NewEndpoint:
        return await self._driver.run(outbound.create(url, events))

    async def update(
        self,
        endpoint_id: str,
        *,
        url: str | None = None,
        events: Sequence[EventType] | None = None,
        enabled: bool | None = None,
    ) -> Endpoint:
        return await self._driver.run(outbound.update(endpoint_id, url, events, enabled))

    async def delete(self, endpoint_id: str) -> None:
        await self._driver.run(outbound.delete(endpoint_id))

    async def test(self, endpoint_id: str) -> Delivery:
        return await self._driver.run(outbound.test(endpoint_id))

    async def rotate(self, endpoint_id: str, *, overlap_seconds: int | None = None) -> NewEndpoint:
        return await self._driver.run(outbound.rotate(endpoint_id, overlap_seconds))


class AsyncDeliveries:
    """`Deliveries`, awaited."""

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver

    def list(
        self, *, status: DeliveryState | None = None, endpoint_id: str | None = None, page_size: int = 100
    ) -> AsyncIterator[Delivery]:
        return self._driver.listed(outbound.deliveries(status, endpoint_id, page_size))

    async def get(self, delivery_id: str) -> DeliveryRecord:
        return await self._driver.run(outbound.delivery(delivery_id))

    async def replay(self, delivery_id: str) -> Delivery:
        return await self._driver.run(outbound.replay(delivery_id))
