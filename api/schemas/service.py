"""What every service answers: whether it lives, and what went wrong."""

from pydantic import BaseModel, Field


class Liveness(BaseModel):
    """The process answers."""

    status: str


class Health(Liveness):
    """Whether requests can be served, and what each part of the world answered."""

    checks: dict[str, str] = Field(description="`ok`, or what is wrong, for each part")


class Problem(BaseModel):
    """RFC 9457: what went wrong. Programs decide by `type`, people read `detail`."""

    type: str = Field(description="stable; also the address of a page about it")
    title: str
    status: int
    detail: str
    instance: str
    request_id: str = Field(description="names this request in the operator's log")
    errors: dict[str, list[str]] | None = Field(None, description="faults by field, for `invalid-request`")
