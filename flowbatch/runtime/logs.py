"""Logging of the programs: lines for people on a terminal, JSON everywhere else. Libraries log by stdlib alone."""

import logging
import sys
from typing import Literal

import structlog

LogFormat = Literal["auto", "console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]


def set_up_logs(level: LogLevel = "info", form: LogFormat = "auto") -> None:
    """Send structlog and stdlib records to stderr, unless somebody has set up logging already."""
    if structlog.is_configured():
        return
    console = sys.stderr.isatty() if form == "auto" else form == "console"
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[_drop_meta, *last]))
    # Without `force`: where records go already (a test, an embedding program), they go on going.
    logging.basicConfig(level=level.upper(), handlers=[handler])


def _drop_meta(logger: logging.Logger, name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return structlog.stdlib.ProcessorFormatter.remove_processors_meta(logger, name, event)
