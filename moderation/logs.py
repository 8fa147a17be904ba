"""Structured logs: one JSON object a line on standard error, or colours for a person at a terminal.

Standard `logging` records (Celery, SQLAlchemy, gunicorn) go through the same formatter, so that an operator reads one
format. Secrets are never passed to a logger.
"""

import logging
import sys
from collections.abc import Mapping
from typing import Any

import structlog


def _shared(context: Mapping[str, str]) -> list[structlog.typing.Processor]:
    def stamp(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {**context, **event}  # not a context variable: those are empty in every new thread

    return [
        structlog.contextvars.merge_contextvars,
        stamp,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]


def formatter(style: str, context: Mapping[str, str]) -> logging.Formatter:
    """Returns the formatter for ``style``, `json` or `console`; ``context`` is on every line."""
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if style == "console" else structlog.processors.JSONRenderer()
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared(context),
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )


def configure(style: str, level: str, **context: str) -> None:
    """Sends every record of this program to standard error; ``context`` (such as `process`) is on every line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(style, context))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)  # it announces each of its parts at import
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(context),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def get(name: str) -> structlog.stdlib.BoundLogger:
    """Returns the logger of a module."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger
