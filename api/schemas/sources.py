"""What a sender is told of a message."""

from pydantic import BaseModel, Field


class Taken(BaseModel):
    """What came of a message."""

    accepted: list[str] = Field(description="ids of the submissions that it made")
    duplicate: bool = Field(description="everything that it tells of was known before")
    ignored: str | None = Field(description="why something of it was not taken")
