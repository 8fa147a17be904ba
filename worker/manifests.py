"""C2PA manifests: what a file's signed history says, read by a process that may die (`manifest_reader`).

What is told is a claim. `valid` means that the signature holds and the bytes are those that were signed; it does not
say that the signer can be trusted. Where an operator has a list of certificates, it is `trusted` or `untrusted`
instead. Nothing is fetched. A reader that crashes or takes too long is replaced, and the manifest counts as there and
unreadable: it keeps no file from its score.
"""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from moderation import logs
from worker import anchors
from worker.storable import storable

SECONDS = 20.0
LONGEST_ANSWER = 64_000
_MARKS: Final = (b"c2pa", b"dcterms:provenance")  # without one of these a file has no manifest, and says of none
_PROGRAM = Path(__file__).with_name("manifest_reader.py")

log = logs.get(__name__)

Text = Annotated[str, AfterValidator(lambda text: storable(text, 80))]


class Claims(BaseModel):
    """What the reader answers, held to lengths: it has run hostile bytes through native code."""

    state: Literal["valid", "trusted", "untrusted", "invalid", "remote", "unreadable"]
    issuer: Text | None = None
    generator: Text | None = None
    actions: list[Text] = Field(default=[], max_length=8)
    source_types: list[Text] = Field(default=[], max_length=8)
    ai_generated: bool = False


class Reader:
    """One reading process, started when it is first needed and again when it has died. Safe from many threads."""

    def __init__(self, seconds: float = SECONDS, program: Path = _PROGRAM, trusted: Path | None = None) -> None:
        """``trusted`` is a PEM file of certificates.

        Raises:
            BadSettings: when it is none.
        """
        self._seconds, self._command = seconds, [sys.executable, "-I", str(program)]
        if trusted is not None:
            anchors.count(trusted)
            self._command.append(str(trusted.resolve()))
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, content: bytes, content_type: str) -> dict[str, Any] | None:
        """Returns `{present, valid, state, issuer, generator, actions, source_types, ai_generated}`; None when the file
        carries no manifest.
        """
        if not any(mark in content for mark in _MARKS):
            return None
        with self._lock:
            answer = self._asked(content, content_type)
        if answer is None:
            return None
        valid = {"valid": True, "trusted": True, "untrusted": True, "invalid": False}.get(answer.state)
        return {"present": True, "valid": valid, **answer.model_dump()}

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _asked(self, content: bytes, content_type: str) -> Claims | None:
        process = self._process = self._process or self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        late = threading.Timer(self._seconds, process.kill)
        late.start()
        try:
            process.stdin.write(json.dumps({"type": content_type, "bytes": len(content)}).encode() + b"\n")
            process.stdin.write(content)
            process.stdin.flush()
            told = json.loads(process.stdout.readline(LONGEST_ANSWER))
            return None if told is None else Claims.model_validate(told)
        except (OSError, ValueError, ValidationError) as error:
            log.warning("manifest_unreadable", error=str(error), content_type=content_type)
            self.close()
            return Claims(state="unreadable")
        finally:
            late.cancel()

    def _started(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - our own program
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ},
            cwd="/",
        )
