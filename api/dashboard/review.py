"""One flag: its evidence, the claim on it, the decision, and the way to the next one.

Every step is a plain form; scripts only press the buttons sooner. What contradicts the ledger gets the page as it is
now, with the reason on top and the note kept.
"""

from datetime import UTC, datetime

from flask import jsonify, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from api.collaborators import collaborators
from api.dashboard.pages import blueprint, field, say
from api.dashboard.pictures import has_preview, has_strip
from api.dashboard.trail import names
from moderation import appeals, decisions, flags
from moderation.errors import Conflict
from moderation.tables import Flag


@blueprint.get("/flags/<id:flag_id>")
def flag(flag_id: str) -> ResponseReturnValue:
    """Shows a flag; looking claims nothing."""
    return _page(flag_id)


def _page(flag_id: str, problem: Conflict | None = None, note: str = "") -> ResponseReturnValue:
    with collaborators().sessions.begin() as ledger:
        shown = flags.get(ledger, flag_id)
        rows = flags.history(ledger, flag_id)
        decision = flags.standing(ledger, flag_id)
        people = names(ledger, [*(row.actor for row in rows), *([decision.person_id] if decision else [])])
        page = render_template(
            "dashboard/flag.html",
            flag=shown,
            history=rows,
            decision=decision,
            appeals=appeals.of(ledger, shown),
            people=people,
            problem=problem,
            note=note,
            seconds=_seconds_left(shown),
            mine=shown.claimed_by == current_user.id,
            longest_note=decisions.LONGEST_NOTE,
            claim_seconds=collaborators().settings.claim_seconds,
            preview=has_preview(shown.submission.media_sha256),
            strip=has_strip(shown.submission.media_sha256),
        )
    return make_response(page, 409 if problem else 200)


def _seconds_left(shown: Flag) -> int:
    """Returns how many seconds the claim on a flag has left; 0 when nobody holds it."""
    ends = shown.claim_expires_at
    return max(0, round((ends - datetime.now(UTC)).total_seconds())) if ends else 0


@blueprint.post("/queue/next")
def begin() -> ResponseReturnValue:
    """Claims the best flag that is free and goes there."""
    return _follow(None)


def _follow(after: str | None) -> ResponseReturnValue:
    """Claims the next flag, passing over ``after``, and goes there; to the queue when nothing is left."""
    with collaborators().sessions.begin() as ledger:
        found = flags.upcoming(ledger, current_user.id, after=after)
        if found is not None:
            flags.claim(ledger, found.id, current_user.id, collaborators().settings.claim_seconds)
    if found is None:
        say("Nothing is left for you to review.")
        return redirect(url_for(".queue"), 303)
    return redirect(url_for(".flag", flag_id=found.id), 303)


@blueprint.post("/flags/<id:flag_id>/claim")
def claim(flag_id: str) -> ResponseReturnValue:
    """Gives the flag to whoever asks, unless somebody else holds it."""
    try:
        with collaborators().sessions.begin() as ledger:
            flags.claim(ledger, flag_id, current_user.id, collaborators().settings.claim_seconds)
    except Conflict as error:
        return _page(flag_id, error)
    return redirect(url_for(".flag", flag_id=flag_id), 303)


@blueprint.post("/flags/<id:flag_id>/heartbeat")
def heartbeat(flag_id: str) -> ResponseReturnValue:
    """Keeps a claim alive and answers how many seconds it has; 409 when it is lost."""
    seconds = collaborators().settings.claim_seconds
    with collaborators().sessions.begin() as ledger:
        flags.heartbeat(ledger, flag_id, current_user.id, seconds)
    return jsonify(seconds=seconds)


@blueprint.post("/flags/<id:flag_id>/release")
def release(flag_id: str) -> ResponseReturnValue:
    """Gives the flag back and goes to the queue."""
    with collaborators().sessions.begin() as ledger:
        flags.release(ledger, flag_id, current_user.id)
    return redirect(url_for(".queue"), 303)


@blueprint.post("/flags/<id:flag_id>/skip")
def skip(flag_id: str) -> ResponseReturnValue:
    """Gives the flag back and goes on with the next one."""
    with collaborators().sessions.begin() as ledger:
        flags.release(ledger, flag_id, current_user.id)
    return _follow(flag_id)


@blueprint.post("/flags/<id:flag_id>/decision")
def decide(flag_id: str) -> ResponseReturnValue:
    """Answers a flag and goes on with the next one; the way back stands on the page that follows."""
    answer, note = request.form.get("answer", ""), field("note", decisions.LONGEST_NOTE)
    settings = collaborators().settings
    try:
        with collaborators().sessions.begin() as ledger:
            undo_seconds, seen = settings.undo_seconds, request.form.get("appeals", 0, type=int)
            decisions.decide(ledger, flag_id, current_user.id, answer, note, undo_seconds, seen)
    except Conflict as error:
        return _page(flag_id, error, note)
    collaborators().bell.deliveries()
    say("Left to a lead" if answer == "unsure" else f"Marked as {answer}", undo=flag_id)
    return _follow(flag_id)


@blueprint.post("/flags/<id:flag_id>/undo")
def undo(flag_id: str) -> ResponseReturnValue:
    """Takes an answer back and returns to its flag, claimed again, so that the better answer is one key away."""
    try:
        with collaborators().sessions.begin() as ledger:
            decisions.undo(ledger, flag_id, current_user.id)
            flags.claim(ledger, flag_id, current_user.id, collaborators().settings.claim_seconds)
    except Conflict as error:
        return _page(flag_id, error)
    collaborators().bell.deliveries()
    say("Taken back: this flag is open again, and yours.")
    return redirect(url_for(".flag", flag_id=flag_id), 303)
