"""The queue: which flags wait, since when, and who is looking at them. It changes nothing but how a person looks."""

from dataclasses import dataclass, replace
from typing import Any

from flask import Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from api.collaborators import collaborators
from api.dashboard.pages import SWITCHES, blueprint, local_path, switched
from moderation import appeals, flags, platforms
from moderation.tables import BANDS

PAGE = 50
LAST_PAGE = 2_000
YEAR = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class View:
    """What of the queue is asked for. ``page`` counts from 1."""

    band: str = ""
    platform: str = ""
    sort: str = "score"
    mine: bool = False
    page: int = 1

    def query(self, **changes: Any) -> dict[str, str | int]:
        """Returns the query parameters of this view with ``changes``; what is at its default is left out."""
        view = replace(self, **changes)
        found = {name: getattr(view, name) for name in self.__slots__}
        return {
            name: int(value) if isinstance(value, bool) else value
            for name, value in found.items()
            if value != getattr(View(), name)
        }


def asked() -> View:
    """Returns the view that the present request asks for; what makes no sense is left at its default."""
    band, sort = request.args.get("band", ""), request.args.get("sort", "")
    page = request.args.get("page", default=1, type=int)
    return View(
        band=band if band in BANDS else "",
        platform=request.args.get("platform", "").replace("\0", ""),
        sort=sort if sort in ("score", "age") else "score",
        mine=request.args.get("mine") == "1",
        page=min(max(page, 1), LAST_PAGE),
    )


@blueprint.get("/")
def home() -> ResponseReturnValue:
    """Leads to the queue."""
    return redirect(url_for(".queue"), 303)


@blueprint.get("/queue")
def queue() -> ResponseReturnValue:
    """Lists open flags, one page at a time."""
    view = asked()
    with collaborators().sessions.begin() as ledger:
        found = flags.queue(
            ledger,
            person_id=current_user.id,
            band=view.band or None,
            platform_id=view.platform or None,
            sort=view.sort,
            mine=view.mine,
            limit=PAGE + 1,
            offset=(view.page - 1) * PAGE,
        )
        return render_template(
            "dashboard/queue.html",
            view=view,
            blank=View(),
            flags=found[:PAGE],
            appealed=appeals.counts(ledger, found[:PAGE]),
            more=len(found) > PAGE,
            counts=flags.counts(ledger),
            platforms=platforms.every(ledger),
        )


@blueprint.post("/look")
def look() -> ResponseReturnValue:
    """Turns a switch for a browser without JavaScript (with it, a script sets the same cookie)."""
    name = request.form.get("switch", "")
    back: Response = redirect(local_path(request.form.get("next")), 303)  # type: ignore[assignment]
    if name in SWITCHES:
        back.set_cookie(
            f"unmask_{name}", "off" if switched(name) else "on", max_age=YEAR, samesite="Lax", secure=request.is_secure
        )
    return back
