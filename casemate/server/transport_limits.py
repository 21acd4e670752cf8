"""The transport's bounds and counters."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may take of a worker. Sizes are bytes, times are seconds.

    Times are watched by one sweep every ``sweep`` seconds, so they are exact to that.
    """

    target_bytes: int = 16 * 1024
    """The request target; longer is 414. Presigned URLs with session tokens reach 4 KiB."""
    header_count: int = 100
    header_bytes: int = 16 * 1024
    """One header line; longer is 431."""
    head_bytes: int = 32 * 1024
    """Request line and headers together; more is 431."""
    chunk_overhead_bytes: int = 16 * 1024
    """Chunk extensions and trailers of one chunked body, together."""
    pipelined: int = 32
    """Requests of one connection that may wait for their replies; reading pauses beyond."""
    connections: int = 4096
    """Open connections a worker; those beyond are answered 503."""
    read_ahead_bytes: int = 1024 * 1024
    """What a streamed body may have waiting for the application before reading pauses."""
    write_ahead_bytes: int = 1024 * 1024
    """What may wait for a slow client before ``Exchange.write`` waits, and reading pauses."""
    drain_bytes: int = 64 * 1024
    """An unread rest of a body up to this is read and dropped, so that the connection stays usable."""
    head_time: float = 20.0
    """From a head's first byte (or from the connection's start) to its end; later is 408."""
    idle_time: float = 75.0
    """Between requests."""
    progress_time: float = 30.0
    progress_bytes: int = 8 * 1024
    """A body that comes, or a reply that is taken, must move so many bytes in each ``progress_time``
    (or end in it); else the connection is cut."""
    linger_time: float = 2.0
    """How long a connection that is being closed may take to swallow the last answer."""
    handshake_time: float = 10.0
    """For the TLS handshake."""
    sweep: float = 1.0


@dataclass(slots=True)
class Counters:
    """What a worker's transport has done since its start, for metrics."""

    connections: int = 0
    """Open now."""
    accepted: int = 0
    """Connections taken, in total."""
    requests: int = 0
    """Heads that were well formed."""
    received_bytes: int = 0
    sent_bytes: int = 0
    lost: int = 0
    """Connections that the client left in the middle of an exchange."""
    refused: Counter[str] = field(default_factory=Counter)
    """Refusals of the transport's own, by kind (``BadRequest.kind``, 'connections', 'timeout', ...)."""
