"""Ask the daemon of this container whether it lives: exit code 0 where it does, 1 where it does not.

usage: health.py [PORT]
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Iterator
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection

_HOST, _PORT = "127.0.0.1", 9464
_TIMEOUT_S = 2.0


def lives(port: int) -> bool:
    """Whether a daemon on this port says that it is well, in plain HTTP or over TLS."""
    for connection in _ways(port):
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == HTTPStatus.OK
        except (OSError, HTTPException):
            continue
        finally:
            connection.close()
    return False


def _ways(port: int) -> Iterator[HTTPConnection]:
    yield HTTPConnection(_HOST, port, timeout=_TIMEOUT_S)
    context = ssl.create_default_context()
    context.check_hostname = False  # a certificate for the Service's name, asked for over loopback
    context.verify_mode = ssl.CERT_NONE
    yield HTTPSConnection(_HOST, port, timeout=_TIMEOUT_S, context=context)


if __name__ == "__main__":
    sys.exit(0 if lives(int(sys.argv[1]) if len(sys.argv) > 1 else _PORT) else 1)
