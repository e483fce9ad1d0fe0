"""Who may read what the daemon serves, and whether others can listen in."""

from __future__ import annotations

import hmac
import ssl
from dataclasses import dataclass
from pathlib import Path

_SCHEME = "bearer "


class EndpointGuardError(ValueError):
    """A certificate, key or token file that cannot be used; says which and why."""


@dataclass(frozen=True, slots=True)
class EndpointGuard:
    """TLS and a bearer token; neither unless it is asked for.

    Attributes:
        cert_file: The certificate, with its chain; None serves plain HTTP.
        key_file: Its key.
        token_file: The token that whoever reads more than the health checks must show; None lets everybody. Read at
            each request, so a rotated one is in force at once.
    """

    cert_file: Path | None = None
    key_file: Path | None = None
    token_file: Path | None = None

    def context(self) -> ssl.SSLContext | None:
        """What to serve TLS with; None for plain HTTP.

        Raises:
            EndpointGuardError: Certificate and key cannot be used.
        """
        if self.cert_file is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.cert_file, self.key_file)
        except OSError as error:  # an SSLError is one
            why = error.strerror or type(error).__name__
            raise EndpointGuardError(f"certificate {self.cert_file} with key {self.key_file}: {why}") from None
        return context

    def stamp(self) -> tuple[int, ...]:
        """Changes when the files of certificate and key do."""
        files = (file for file in (self.cert_file, self.key_file) if file is not None)
        try:
            return tuple(file.stat().st_mtime_ns for file in files)
        except OSError:
            return ()

    def admits(self, authorization: str) -> bool:
        """Whether a request with this Authorization header may read; nobody may while the token cannot be read."""
        if self.token_file is None:
            return True
        try:
            wanted = self.token_file.read_bytes().strip()
        except OSError:
            return False
        shown = authorization[len(_SCHEME) :].strip() if authorization.lower().startswith(_SCHEME) else ""
        return bool(wanted) and hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), wanted)
