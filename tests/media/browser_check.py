"""What Chromium shows of each file of the table: `python -m tests.media.browser_check [WORD ...]`, once in a while.

It serves the files on a free port of this machine, reads size, length and corners of what the browser shows, and says
where the table says something else. It needs Debian's Chromium; it is no test, since what browsers show changes.
"""

import json
import re
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright

from tests.media import cards

CHROMIUM = Path("/usr/bin/chromium")
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
LOOK = """async ({address, isVideo, at}) => {
  const shown = isVideo ? document.createElement('video') : new Image();
  const told = new Promise(done => {
    shown.addEventListener('error', () => done('error'));
    shown.addEventListener(isVideo ? 'loadeddata' : 'load', () => done('shown'));
    setTimeout(() => done('late'), 8000);
  });
  shown.muted = true;
  shown.src = address;
  document.body.replaceChildren(shown);
  const came = await told;
  if (came !== 'shown') return {came, why: shown.error ? shown.error.message : ''};
  const seconds = isVideo ? shown.duration : null;  // players reckon anew when they seek
  if (isVideo && at > 0) {
    const sought = new Promise(done => { shown.addEventListener('seeked', done); setTimeout(done, 4000); });
    shown.currentTime = at;
    await sought;
  }
  const width = isVideo ? shown.videoWidth : shown.naturalWidth;
  const height = isVideo ? shown.videoHeight : shown.naturalHeight;
  const canvas = document.createElement('canvas');
  const scale = Math.min(1, 400 / Math.max(width, height));
  canvas.width = Math.max(1, Math.round(width * scale)); canvas.height = Math.max(1, Math.round(height * scale));
  const brush = canvas.getContext('2d', {willReadFrequently: true});
  brush.fillStyle = 'white';
  brush.fillRect(0, 0, canvas.width, canvas.height);
  brush.drawImage(shown, 0, 0, canvas.width, canvas.height);
  const points = [[1, 1], [3, 1], [1, 3], [3, 3]].map(([x, y]) => Array.from(brush.getImageData(
    Math.floor(canvas.width * x / 4), Math.floor(canvas.height * y / 4), 1, 1).data));
  return {came, width, height, points, seconds};
}"""


class Files(BaseHTTPRequestHandler):
    """Files by number, with ranges, as players ask for them."""

    protocol_version = "HTTP/1.1"
    held: Mapping[str, tuple[bytes, str]] = {}

    def do_GET(self) -> None:
        found = self.held.get(self.path)
        body, kind = found or (b"<!doctype html><body>", "text/html")
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first, last = (int(asked[1]), int(asked[2] or len(body) - 1)) if asked else (0, len(body) - 1)
        part = body[first : last + 1]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Accept-Ranges", "bytes")
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(body)}")
        self.end_headers()
        self.wfile.write(part)

    def handle(self) -> None:
        with suppress(ConnectionError):  # players hang up on what they have seen enough of
            super().handle()

    def log_message(self, *_: object) -> None:
        pass


def looks(files: Mapping[str, tuple[bytes, str]], at: float = 0.05) -> dict[str, dict[str, Any]]:
    """What Chromium makes of each file (bytes and content type), by name: `came`, width, height, seconds, corners."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    names = {f"/{number}": name for number, name in enumerate(files)}
    Files.held = {path: files[name] for path, name in names.items()}
    found = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        page = browser.new_page()
        page.goto(address)
        for path, name in names.items():
            found[name] = _look(page, address + path, files[name][1], at)
            if found[name].get("corners") == "WWWW":  # nothing was drawn yet
                found[name] = _look(page, address + path, files[name][1], at)
        browser.close()
    server.shutdown()
    return found


def _look(page: Page, address: str, kind: str, at: float) -> dict[str, Any]:
    seen = page.evaluate(LOOK, {"address": address, "isVideo": kind.startswith("video"), "at": at})
    if seen["came"] == "shown":
        points = seen.pop("points")
        seen["corners"] = "".join(cards.letter(np.array(point)) for point in points)
        seen["first"] = points[0][:3]
    return dict(seen)


def main() -> int:
    """Prints where browser and table differ; returns how often they do."""
    from tests.media.table import CASES

    words = sys.argv[1:]
    chosen = {name: case for name, case in CASES.items() if all(word in name for word in words) and case.shown}
    found = looks({name: (case.body(), case.content_type) for name, case in chosen.items()})
    wrong = 0
    for name, case in chosen.items():
        complaint = case.shown.differs(found[name])
        wrong += bool(complaint)
        print(f"{'DIFFERS' if complaint else 'as told'}  {name}  {complaint or ''} {json.dumps(found[name])}")
    print(f"{len(chosen)} files, {wrong} differ")
    return wrong


if __name__ == "__main__":
    sys.exit(min(1, main()))
