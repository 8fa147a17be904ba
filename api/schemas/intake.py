"""Media that is still elsewhere: at a URL or in an upload, one by one or many at once; and appeals."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from api.schemas.service import Problem
from api.schemas.submissions import Accepted, SubmissionForm
from api.schemas.values import IdempotencyKey, Name, Size, Storable, Strict, Url

MOST_ITEMS = 100


class ByUrl(SubmissionForm):
    """Media that a worker fetches."""

    url: Url = Field(description="http(s), public; a worker fetches it, following at most 3 redirects")


class ByUpload(SubmissionForm):
    """Media that was put in place before."""

    upload_id: str = Field(
        pattern=r"^upl_[0-9a-z]{26}$", description="of an upload whose bytes were put to its address"
    )


class BatchUrl(ByUrl):
    """One item of a batch."""

    idempotency_key: IdempotencyKey | None = Field(None, description="as the header, for this item alone")


class BatchUpload(ByUpload):
    """One item of a batch."""

    idempotency_key: IdempotencyKey | None = Field(None, description="as the header, for this item alone")


class BatchItem(BaseModel):
    """What became of one item: a submission, or the problem it has."""

    status: int = Field(description="what the item alone would have been answered, such as 202")
    submission: Accepted | None
    replayed: bool = Field(description="an earlier request with this key had made the submission")
    problem: Problem | None


class Batch(BaseModel):
    """Every item's answer, in the order of the items."""

    items: list[BatchItem]


class UploadForm(Strict):
    """A file that is to come."""

    bytes: Size = Field(description="the file's exact size")
    content_type: str = Field(
        pattern=r"^[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}$", description="to be sent with the file"
    )
    filename: Name | None = Field(None, description="for your own logs; it is not kept")


class UploadAddress(BaseModel):
    """Where the file goes, by one PUT with these headers and without the API key."""

    upload_id: str
    url: str
    headers: dict[str, str]
    expires_at: datetime = Field(description="put the file and submit it before")


class UploadSignature(Strict):
    """What an address of our own carries."""

    expires: int = Field(ge=0, le=2**53, description="seconds since 1970")
    signature: str = Field(pattern=r"^[0-9a-f]{64}$")


class AppealForm(Strict):
    """An objection to what became of a submission."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000), Storable] = Field(
        description="what moderators read, in the words of whoever objects",
        json_schema_extra={"pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$"},
    )


class Appeal(BaseModel):
    """An appeal, and the flag that people will look at."""

    id: str
    submission_id: str
    flag_id: str
    reason: str
    made_at: datetime
