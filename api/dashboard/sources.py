"""Sources for leads and administrators: who tells of media, when last, and a dry run of a message. It stores nothing.

The form works without JavaScript, and what is pasted into it is forgotten with the answer: a payload may hold personal
data, which is why it is neither kept nor logged.
"""

from flask import abort, render_template, request
from flask.typing import ResponseReturnValue
from flask_login import current_user

from api.collaborators import collaborators
from api.dashboard.pages import FORM_BYTES, blueprint, field
from moderation import sources
from moderation.errors import Refused
from moderation.sources import DryRun


@blueprint.route("/sources", methods=["GET", "POST"])
def senders() -> ResponseReturnValue:
    """Lists sources, oldest first, with a form for dry runs; posted, it shows what the message would bring.

    Raises:
        NotFound: when there is no such source.
    """
    if not current_user.oversees:
        abort(403)
    if request.method != "POST":
        return _page()
    chosen, headers, payload = (field(name, FORM_BYTES) for name in ("source", "headers", "payload"))
    result, problem = None, None
    try:
        sent = sources.headers_of(headers)
        with collaborators().sessions.begin() as ledger:
            result = sources.examine(ledger, sources.get(ledger, chosen), sent, payload.encode(errors="replace"))
    except Refused as error:
        problem = error.detail
    return _page(chosen, headers, payload, result, problem), 422 if problem else 200


def _page(
    chosen: str = "", headers: str = "", payload: str = "", result: DryRun | None = None, problem: str | None = None
) -> str:
    with collaborators().sessions.begin() as ledger:
        return render_template(
            "dashboard/sources.html",
            sources=sources.every(ledger),
            kinds={kind: sources.find(kind) for kind in sources.kinds()},
            chosen=chosen,
            headers=headers,
            payload=payload,
            result=result,
            problem=problem,
        )
