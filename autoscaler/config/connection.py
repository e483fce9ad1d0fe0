"""Where the signals come from: a Prometheus server, or the pods themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, SecretStr, model_validator
from pydantic.config import JsonDict
from pydantic_core import CoreSchema, core_schema

from autoscaler.config.base import Strict
from autoscaler.config.refusal import Conflicts, refuse
from autoscaler.config.values import Duration, Matching, Text

_SECRET: JsonDict = {"writeOnly": True}  # JSON Schema's word for it; messages show no value below such a key
_HEADER = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"


@dataclass(frozen=True, slots=True)
class HttpUrl:
    """Marks a text that is an http or https address without credentials."""

    def check(self, text: str) -> str:
        """Return the address without a trailing slash."""
        allowed = "http://host[:port][/path] or https://…"
        if re.search(r"[\s\x00-\x1f]", text):
            raise refuse("has a space or a line break in it", allowed=allowed)
        try:
            parts = urlsplit(text)
            has_host = bool(parts.hostname) and parts.port != 0
        except ValueError:
            raise refuse("is no address", allowed=allowed) from None
        if parts.scheme not in ("http", "https"):
            colon_lost = re.sub("^(https?)//", r"\1://", text)
            meant = f"http://{text}" if colon_lost == text else colon_lost
            nearest = meant if "://" not in text and "@" not in text else None
            raise refuse("is no http address", allowed=allowed, nearest=nearest)
        if parts.username is not None or parts.password is not None:
            raise refuse("holds credentials: put them into basicAuth or a bearerTokenFile", allowed=allowed)
        if not has_host or "?" in text or "#" in text:
            raise refuse("wants a host, and no query or fragment", allowed=allowed)
        return text.rstrip("/")

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, core_schema.str_schema(strict=True))

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "format": "uri", "pattern": r"^[hH][tT][tT][pP][sS]?://[^\s/?#@]+(/[^\s?#]*)?$"}


def _one_header_line(value: SecretStr) -> SecretStr:
    if re.search(r"[\r\n\x00]", value.get_secret_value()):
        raise refuse("has a line break in it, which a header cannot hold")
    return value


@dataclass(frozen=True, slots=True)
class _OneLine:
    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(_one_header_line, handler(source))


Url = Annotated[str, HttpUrl()]
Secret = Annotated[SecretStr, Field(min_length=1), _OneLine()]
HeaderName = Annotated[str, Matching(_HEADER, "a name of an HTTP header, such as X-Scope-OrgID", 256)]
_RELATIVE = "A relative path starts at the daemon's working directory."


class BasicAuth(Strict):
    """User and password."""

    username: Text = Field(description="User name that the server knows. Required.")
    password: Secret | None = Field(
        default=None,
        description="Password in clear text; passwordFile keeps it out of the policy.",
        json_schema_extra=_SECRET,
    )
    password_file: Text | None = Field(
        default=None,
        alias="passwordFile",
        description=f"File that holds the password, read again when it changes. {_RELATIVE}",
    )

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        conflicts = Conflicts()
        if (self.password is None) == (self.password_file is None):
            conflicts.add(message="needs one password", allowed="exactly one of password, passwordFile")
        conflicts.close()
        return self


class Tls(Strict):
    """How to trust the server, and how to show who asks."""

    ca_file: Text | None = Field(
        default=None,
        alias="caFile",
        description=f"Certificates to trust (PEM). Default: those of the system. {_RELATIVE}",
    )
    cert_file: Text | None = Field(
        default=None,
        alias="certFile",
        description=f"Certificate to show to the server (PEM), with keyFile. {_RELATIVE}",
    )
    key_file: Text | None = Field(
        default=None, alias="keyFile", description=f"Private key of certFile (PEM). {_RELATIVE}"
    )
    verify: bool = Field(
        default=True,
        description=(
            "Whether to check the server's certificate. Default true: without it anyone in between can steer replicas."
        ),
    )
    server_name: Text | None = Field(
        default=None,
        alias="serverName",
        description="Name that the server's certificate must have. Default: the host of the URL.",
    )

    @model_validator(mode="after")
    def _key_with_certificate(self) -> Self:
        conflicts = Conflicts()
        if (self.cert_file is None) != (self.key_file is None):
            there, missing = ("certFile", "keyFile") if self.key_file is None else ("keyFile", "certFile")
            conflicts.add(there, message=f"is of no use without {missing}")
        conflicts.close()
        return self


class Prometheus(Strict):
    """A server that speaks Prometheus' HTTP API: Prometheus, Thanos, Mimir, VictoriaMetrics."""

    url: Url | None = Field(
        default=None,
        description="Address, with any path prefix before /api. Default: what --prometheus says on the command line.",
    )
    bearer_token: Secret | None = Field(
        default=None,
        alias="bearerToken",
        description="Token in clear text; bearerTokenFile keeps it out of the policy.",
        json_schema_extra=_SECRET,
    )
    bearer_token_file: Text | None = Field(
        default=None,
        alias="bearerTokenFile",
        description=f"File that holds a token, read again when it changes, such as a service account's. {_RELATIVE}",
    )
    basic_auth: BasicAuth | None = Field(
        default=None, alias="basicAuth", description="User and password, instead of a token.", json_schema_extra=_SECRET
    )
    tls: Tls = Field(default=Tls(), description="Trust and client certificates for https. Default: the system's trust.")
    headers: dict[HeaderName, Secret] = Field(
        default={},
        description="Further headers of every request, such as X-Scope-OrgID of a multi-tenant server. Default none.",
        json_schema_extra=_SECRET,
    )
    timeout_s: Annotated[float, Duration(0.1, 120, "10s")] = Field(
        default=10.0,
        alias="timeout",
        description="Longest wait for one answer. Default 10s: less than a tick of 15s, so that ticks do not pile up.",
    )

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        conflicts = Conflicts()
        given = {
            "bearerToken": self.bearer_token,
            "bearerTokenFile": self.bearer_token_file,
            "basicAuth": self.basic_auth,
        }
        used = [key for key, value in given.items() if value is not None]
        for key in used[1:]:
            conflicts.add(key, message=f"does not go with {used[0]}", allowed=f"at most one of {', '.join(given)}")
        for name in self.headers:
            if used and name.lower() == "authorization":
                conflicts.add("headers", name, message=f"does not go with {used[0]}, which sets the same header")
        conflicts.close()
        return self


class Endpoints(Strict):
    """Addresses of metrics pages per role."""

    prefill: Annotated[tuple[Url, ...], Field(strict=False, min_length=1)] = Field(
        description="Metrics pages of the prefill replicas. Required."
    )
    decode: Annotated[tuple[Url, ...], Field(strict=False, min_length=1)] = Field(
        description="Metrics pages of the decode replicas. Required."
    )


class Scrape(Strict):
    """Reading the pods' own metrics pages, without a Prometheus server."""

    port: int = Field(
        default=8000, ge=1, le=65_535, description="Port of the pods' metrics page. Default 8000, as vLLM's API server."
    )
    path: Annotated[str, Matching(r"/[^\s?#]*", "a path that starts with /", 1024)] = Field(
        default="/metrics", description="Path of the metrics page. Default /metrics, as nearly everywhere."
    )
    interval_s: Annotated[float, Duration(1, 60, "5s")] = Field(
        default=5.0,
        alias="interval",
        description="Time between two reads of a page. Default 5s: three samples in a tick of 15s, enough for a rate.",
    )
    endpoints: Endpoints | None = Field(
        default=None,
        description="Fixed metrics pages. Default: those of the pods behind each role's target, looked up.",
    )
