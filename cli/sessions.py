"""`unmask person sessions`, `end` and `password`: where people are logged in, and how an operator ends that.

With this module imported, the group of people has those commands too.
"""

import sys

import click

from cli.ledger import as_json, listed, opened, person, show
from moderation import logins, people

__all__ = ["end", "password", "person", "sessions"]

ACTOR = "operator"


@person.command("sessions")
@click.argument("who", metavar="[EMAIL]", required=False)
@as_json
def sessions(who: str | None, in_json: bool) -> None:
    """List sessions that have not ended, of one person or of all, latest first."""
    with opened() as session:
        owner = people.find(session, who).id if who else None
        rows = [
            {
                "id": row.id,
                "email": row.person.email,
                "began_at": row.began_at,
                "last_seen_at": row.last_seen_at,
                "ends_at": row.ends_at,
                "address": row.address,
                "agent": row.agent,
            }
            for row in logins.every(session, owner)
        ]
    listed(rows, in_json)


@person.command("end")
@click.argument("which", metavar="SESSION|EMAIL")
@as_json
def end(which: str, in_json: bool) -> None:
    """End one session, by its id, or all of a person's, by e-mail address."""
    with opened() as session:
        if "@" in which:
            ended = logins.end_all(session, people.find(session, which).id, ACTOR)
        else:
            logins.end(session, which, ACTOR)
            ended = 1
    show({"ended": ended}, in_json)


@person.command("password")
@click.argument("who", metavar="EMAIL")
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of standard input.")
@as_json
def password(who: str, password_stdin: bool, in_json: bool) -> None:
    """Give a person another password, which ends all their sessions."""
    given = (
        sys.stdin.readline().rstrip("\r\n")
        if password_stdin
        else click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    )
    with opened() as session:
        row = people.set_password(session, who, given)
        shown = {"id": row.id, "email": row.email}
    show(shown, in_json)
