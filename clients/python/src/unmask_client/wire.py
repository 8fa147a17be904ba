"""Where steps meet httpx: the same for both drivers, which only send what is built here."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import httpx

from unmask_client.steps import Answer, Request
from unmask_client.version import VERSION

READ_SECONDS = 30.0
TIMEOUT = httpx.Timeout(READ_SECONDS, connect=10.0)


def settings(base_url: str) -> dict[str, Any]:
    """Returns what an httpx client of either kind is made with. The API key is no part of it: see `build`.

    Raises:
        ValueError: unless ``base_url`` is one that begins with http:// or https://.
    """
    url = httpx.URL(base_url.rstrip("/").removesuffix("/v1"))
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"{base_url!r} is no address; it looks like https://unmask.example.org")
    return {"base_url": url, "headers": {"User-Agent": f"unmask-client/{VERSION}"}, "timeout": TIMEOUT}


def build(http: httpx.Client | httpx.AsyncClient, request: Request, api_key: str) -> httpx.Request:
    """Returns the request for httpx; its file, if it has one, stands at its beginning.

    The API key goes to the API alone: a presigned address is somebody else's.
    """
    timeout = http.timeout.as_dict()
    if timeout["read"] is not None:
        timeout["read"] += request.held_seconds
    headers = dict(request.headers)
    if request.with_key:
        headers["Authorization"] = f"Bearer {api_key}"
    built = http.build_request(
        request.method,
        request.url,
        params=request.query or None,
        headers=headers,
        timeout=httpx.Timeout(**timeout),
        **_body(request),
    )
    if isinstance(http, httpx.AsyncClient) and request.file is not None:
        assert isinstance(built.stream, httpx.SyncByteStream)
        built.stream = Threaded(iter(built.stream))
    return built


def _body(request: Request) -> Mapping[str, Any]:
    if request.file is not None:
        request.file.seek(0)
    if request.form is not None:
        # no name but a neutral one: the server looks at the bytes, and names may be personal
        return {"data": request.form, "files": {"file": ("media", request.file, "application/octet-stream")}}
    if request.file is not None:
        return {"content": request.file if request.file.size else b""}
    return {} if request.json is None else {"json": request.json}


def answer(response: httpx.Response) -> Answer:
    """Returns what came back, once it has been read."""
    return Answer(
        response.status_code, {name.lower(): value for name, value in response.headers.items()}, response.content
    )


class Threaded(httpx.AsyncByteStream):
    """A body that is read from disk in a thread, so that no event loop waits for a disk."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (chunk := await asyncio.to_thread(next, self._chunks, None)) is not None:
            yield chunk
