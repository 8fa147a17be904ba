"""The shapes that requests and answers have: what is validated here is what /openapi.json promises.

One module a subject; handlers import this package and name the shape.
"""

from api.schemas.service import Health, Liveness, Problem
from api.schemas.submissions import (
    Accepted,
    Face,
    Failure,
    IdempotencyHeader,
    JudgedMedia,
    Links,
    Release,
    Submission,
    SubmissionFilter,
    SubmissionForm,
    SubmissionPage,
    Verdict,
    Wait,
)
from api.schemas.webhooks import (
    Delivery,
    DeliveryAttempt,
    DeliveryFilter,
    DeliveryPage,
    DeliveryRecord,
    Endpoint,
    EndpointChange,
    EndpointForm,
    EndpointList,
    NewEndpoint,
    Rotation,
)

__all__ = [
    "Accepted",
    "Delivery",
    "DeliveryAttempt",
    "DeliveryFilter",
    "DeliveryPage",
    "DeliveryRecord",
    "Endpoint",
    "EndpointChange",
    "EndpointForm",
    "EndpointList",
    "Face",
    "Failure",
    "Health",
    "IdempotencyHeader",
    "JudgedMedia",
    "Links",
    "Liveness",
    "NewEndpoint",
    "Problem",
    "Release",
    "Rotation",
    "Submission",
    "SubmissionFilter",
    "SubmissionForm",
    "SubmissionPage",
    "Verdict",
    "Wait",
]
