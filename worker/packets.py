"""XMP packets: the few properties in which tools name themselves, read by a parser that expands nothing.

A caption may quote any markup, so the packet is parsed and not searched. A document type ends the reading, and with it
every entity. So does the first fault. What was found before stays found. The caller bounds the length.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Final
from xml.parsers import expat

# Local names of properties that hold no free text. Prefixes are the writer's own, and often undeclared.
PROPERTIES: Final = frozenset({"CreatorTool", "Software", "softwareAgent", "AISystemUsed", "DigitalSourceType", "AIGC"})
MOST = 64  # values that are read
DEEPEST = 64  # elements inside each other
LONGEST_VALUE = 4_096


class _Stop(Exception):
    """Enough was read."""


class _Reading:
    """The state of one parse: the properties around the present position, and the values found so far."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []
        self._around: list[str | None] = []  # a property's name, or None for any other element
        self._text = ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._around) >= DEEPEST:
            raise _Stop
        name = _local(tag)
        # Inside a property are lists and structures of its own. Other properties start only outside one.
        self._around.append(name if name in PROPERTIES and self._inside() is None else None)
        self._text = ""
        inside = self._inside()
        for key, value in attributes.items():
            local = _local(key)
            if local in PROPERTIES:
                self._keep(local, value)
            elif inside is not None and local in ("resource", "name", "value"):
                self._keep(inside, value)

    def text(self, piece: str) -> None:
        if len(self._text) < LONGEST_VALUE:
            self._text += piece

    def end(self, _tag: str) -> None:
        inside = self._inside()
        if inside is not None and self._text.strip():
            self._keep(inside, self._text)
        self._text = ""
        self._around.pop()

    def _inside(self) -> str | None:
        return next((name for name in self._around if name is not None), None)

    def _keep(self, name: str, value: str) -> None:
        self.found.append((name, value.strip()[:LONGEST_VALUE]))
        if len(self.found) >= MOST:
            raise _Stop


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def properties(packet: str) -> Iterable[tuple[str, str]]:
    """Returns `(property, value)` for each value of `PROPERTIES`, in the packet's order. Never raises."""
    reading = _Reading()
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.StartElementHandler = reading.start
    parser.CharacterDataHandler = reading.text
    parser.EndElementHandler = reading.end
    with suppress(expat.ExpatError, _Stop, ValueError):
        parser.Parse(packet.strip("\ufeff\0 \r\n\t").encode("utf-8", "replace"), True)
    return reading.found


def _refuse(*_: object) -> None:
    raise _Stop
