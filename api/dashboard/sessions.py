"""Sessions as a page: where somebody is logged in, and a button that ends it. Administrators see everybody's."""

from flask import redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from api.collaborators import collaborators
from api.dashboard.pages import blueprint, say
from moderation import logins


@blueprint.get("/sessions")
def sessions() -> ResponseReturnValue:
    """Lists the sessions that have not ended, latest first."""
    with collaborators().sessions.begin() as ledger:
        rows = logins.every(ledger, None if _administers() else current_user.id)
        return render_template("dashboard/sessions.html", rows=rows, everybody=_administers())


@blueprint.post("/sessions/<id:session_id>/end")
def end_session(session_id: str) -> ResponseReturnValue:
    """Ends one session now.

    Raises:
        NotFound: when there is none, or it is somebody else's and the visitor is no administrator.
    """
    with collaborators().sessions.begin() as ledger:
        logins.end(ledger, session_id, current_user.id, of=None if _administers() else current_user.id)
    say("The session has ended.")
    return redirect(url_for("dashboard.sessions"), 303)


@blueprint.post("/sessions/end")
def end_other_sessions() -> ResponseReturnValue:
    """Ends all of the visitor's sessions but the present one."""
    with collaborators().sessions.begin() as ledger:
        ended = logins.end_all(ledger, current_user.id, current_user.id, but=current_user.session_id)
    say(f"{ended} session{'' if ended == 1 else 's'} ended.")
    return redirect(url_for("dashboard.sessions"), 303)


def _administers() -> bool:
    return bool(current_user.role == "admin")
