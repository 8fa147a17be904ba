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
    DeliveryFilter,
    DeliveryPage,
    Endpoint,
    EndpointForm,
    EndpointList,
    NewEndpoint,
)

__all__ = [
    "Accepted",
    "Delivery",
    "DeliveryFilter",
    "DeliveryPage",
    "Endpoint",
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
    "Submission",
    "SubmissionFilter",
    "SubmissionForm",
    "SubmissionPage",
    "Verdict",
    "Wait",
]
