"""Where the signals of a policy are asked for, and as whom."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr
from pydantic_core import PydanticCustomError

from autoscaler.config import ScalingPolicy
from autoscaler.config.connection import HttpUrl, Prometheus
from autoscaler.config.problems import Problem
from autoscaler.config.wording import shorten
from autoscaler.daemon.surroundings import AssemblyError
from autoscaler.sources.http import Connection


def prometheus_connection(policy: ScalingPolicy, url: str | None) -> Connection:
    """Where to ask for the signals of a policy, and as whom.

    Raises:
        AssemblyError: Neither the policy nor the command line names a server, or the latter's address is none.
    """
    server = policy.spec.prometheus or Prometheus()
    address = _checked(url) if url is not None else server.url
    if address is None:
        raise AssemblyError("no Prometheus is named: set spec.prometheus.url or pass --prometheus")
    user = server.basic_auth
    return Connection(
        url=address,
        timeout_s=server.timeout_s,
        bearer_token=_text(server.bearer_token),
        bearer_token_file=_path(server.bearer_token_file),
        username=user.username if user is not None else None,
        password=_text(user.password) if user is not None else None,
        password_file=_path(user.password_file) if user is not None else None,
        ca_file=_path(server.tls.ca_file),
        cert_file=_path(server.tls.cert_file),
        key_file=_path(server.tls.key_file),
        verify=server.tls.verify,
        server_name=server.tls.server_name,
        headers={name: value.get_secret_value() for name, value in server.headers.items()},
    )


def _checked(url: str) -> str:
    """An address of the command line, held to the rules of `spec.prometheus.url`."""
    try:
        return HttpUrl().check(url)
    except PydanticCustomError as error:
        why = error.context or {}
        problem = Problem("--prometheus", why["message"], shorten(url), why["allowed"], why["nearest"])
        raise AssemblyError(str(problem)) from None


def _text(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None


def _path(name: str | None) -> Path | None:
    return Path(name) if name is not None else None
