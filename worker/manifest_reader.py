"""A program of its own that reads C2PA manifests for `worker.manifests`: a file in, one line of JSON out, and again.
Its argument, where it has one, is a PEM file of the certificates under which trusted signers sign.

It runs native code over hostile bytes, so it has nothing to lose: no secrets in its environment, a bounded memory, and,
once it has started, not one file descriptor left beside the three it came with. It can open no file and no connection:
a manifest that names a server, a certificate that names an OCSP responder, an identity that names a web site are not
followed, whatever the library would do. It imports nothing of Unmask.
"""

import io
import json
import resource
import sys
from pathlib import Path
from typing import Any

import c2pa

MEMORY = 4 << 30
TEXT = 80  # characters of any text that is passed on
FEW = 8  # of anything that may be many
_SETTINGS: dict[str, dict[str, Any]] = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": False},
    "core": {"allowed_network_hosts": []},
}
# IPTC's words for pictures that a trained model made, alone or in parts
_MADE = {"trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "compositeSynthetic"}


def main() -> None:
    """Answers requests, each a line `{"type", "bytes"}` and so many bytes, until there are no more."""
    trust = _trusting(*map(Path, sys.argv[1:]))
    context = c2pa.Context.from_dict(_SETTINGS | trust)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    while line := sys.stdin.buffer.readline():
        asked = json.loads(line)
        answer = _answer(asked["type"], sys.stdin.buffer.read(asked["bytes"]), context)
        if trust and answer and answer["state"] == "valid":
            answer["state"] = "untrusted"  # with a list, to be valid and no more is to be not on it
        told = json.dumps(answer)
        sys.stdout.buffer.write(told.encode() + b"\n")
        sys.stdout.buffer.flush()


def _trusting(anchors: Path | None = None) -> dict[str, dict[str, Any]]:
    """Settings that trust who signs under the certificates in a file; none that trust nobody."""
    if anchors is None:
        return {}
    return {
        "verify": _SETTINGS["verify"] | {"verify_trust": True},
        "trust": {"trust_anchors": anchors.read_text("ascii")},
    }


def _answer(kind: str, content: bytes, context: Any) -> dict[str, Any] | None:
    """What the manifest says; None when there is none."""
    try:
        with c2pa.Reader(kind, io.BytesIO(content), context=context) as reader:
            return _summary(json.loads(reader.json()))
    except c2pa.C2paError as error:
        if str(error).startswith("ManifestNotFound") or "no JUMBF data found" in str(error):
            return None
        return {"state": "remote" if str(error).startswith("Remote") else "unreadable"}
    except Exception:  # noqa: BLE001 - whatever a parser stumbles over; the manifest is there and says nothing
        return {"state": "unreadable"}


def _summary(store: dict[str, Any]) -> dict[str, Any]:
    manifests = store.get("manifests") or {}
    active = manifests.get(store.get("active_manifest")) or {}
    signature = active.get("signature_info") or {}
    generators = active.get("claim_generator_info") or [{"name": active.get("claim_generator")}]
    told = [action for manifest in manifests.values() for action in _actions(manifest)]
    # An ingredient's manifest counts, too: what was made by a model and then edited says so there.
    sources = [str(action.get("digitalSourceType") or "").rsplit("/", 1)[-1] for action in told]
    return {
        "state": str(store.get("validation_state") or "unreadable").lower(),
        "issuer": _text(signature.get("issuer")),
        "generator": _text(" ".join(str(part) for name in ("name", "version") if (part := generators[0].get(name)))),
        "actions": _few(str(action.get("action") or "") for action in told),
        "source_types": _few(sources),
        "ai_generated": any(source in _MADE for source in sources),
    }


def _actions(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        action
        for assertion in manifest.get("assertions") or []
        if str(assertion.get("label")).startswith("c2pa.actions")
        for action in assertion["data"].get("actions") or []
    ]


def _few(texts: Any) -> list[str]:
    return [text for told in list(dict.fromkeys(texts))[:FEW] if (text := _text(told))]


def _text(value: object) -> str | None:
    return str(value)[:TEXT] if value else None


if __name__ == "__main__":
    main()
