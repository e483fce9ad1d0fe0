"""The settings file: what the operator of a daemon says that no single policy can. GPUs that services share, webhooks.

The address of a webhook is a secret, for whoever knows it may post. It is in no message, no `repr` and no log line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from autoscaler.config.document import Document, read_documents
from autoscaler.config.fields import field_at, inner_model, keys_of
from autoscaler.config.problems import meant
from autoscaler.config.wording import path_of

_NAME = r"^[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?$"
_A_POLICY = "a policy (keys apiVersion, kind, metadata, spec)"  # what the reader of documents expects
Name = Annotated[str, StringConstraints(pattern=_NAME)]


class SettingsError(ValueError):
    """Settings that cannot be used; says where, what is wrong, and what to write instead."""


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True, alias_generator=to_camel
    )


class Budget(_Strict):
    """GPUs that services share.

    Attributes:
        name: What to call it.
        gpus: The most that they may hold together.
        services: Who shares it, each with its priority, higher first; nobody named is everybody.
    """

    name: Name
    gpus: float = Field(gt=0)
    services: dict[str, int] = Field(default_factory=dict)


class WebhookKind(StrEnum):
    """In which form a receiver wants its messages."""

    JSON = "json"
    SLACK = "slack"
    TEAMS = "teams"


class Webhook(_Strict):
    """A receiver of messages.

    Attributes:
        name: What to call it.
        kind: The form it wants.
        url: Its address; a secret.
        url_file: The file that holds its address, read for each message.
    """

    name: Name
    kind: WebhookKind = WebhookKind.JSON
    url: SecretStr | None = None
    url_file: Path | None = None

    @model_validator(mode="after")
    def _has_one_address(self) -> Self:
        if (self.url is None) == (self.url_file is None):
            raise ValueError("needs one address; allowed: exactly one of url, urlFile")
        return self


class Endpoint(_Strict):
    """How /metrics and the status page are protected; the health checks need no token.

    Attributes:
        cert_file: Certificate to serve TLS with; needs `key_file`.
        key_file: Its key.
        token_file: The bearer token that a reader must show.
    """

    cert_file: Path | None = None
    key_file: Path | None = None
    token_file: Path | None = None

    @model_validator(mode="after")
    def _has_both(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("needs both of certFile and keyFile, or neither")
        return self


class FileSettings(_Strict):
    """What a settings file says.

    Attributes:
        budgets: GPUs that services share; a service is in one budget at most.
        webhooks: Whom to tell.
        endpoint: How what the daemon serves is protected.
        policy_files: Folder of the stack files and profiles that policies in the cluster may name.
    """

    budgets: tuple[Budget, ...] = ()
    webhooks: tuple[Webhook, ...] = ()
    endpoint: Endpoint = Field(default_factory=Endpoint)
    policy_files: Path | None = None

    @model_validator(mode="after")
    def _names_are_clear(self) -> Self:
        for words, names in (
            ("two budgets of the name", [budget.name for budget in self.budgets]),
            ("two webhooks of the name", [webhook.name for webhook in self.webhooks]),
            ("in two budgets stands the service", [service for budget in self.budgets for service in budget.services]),
        ):
            for name, times in Counter(names).items():
                if times > 1:
                    raise ValueError(f"{words} {name}")
        if len(self.budgets) > 1 and not all(budget.services for budget in self.budgets):
            raise ValueError("a budget for all services beside others: name the services of each")
        return self


def load_settings(path: Path) -> FileSettings:
    """Read a settings file.

    Raises:
        SettingsError: It cannot be read or used; names every problem.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    documents, problems = read_documents(raw, str(path))
    if not documents and len(problems) == 1 and problems[0].message.startswith("is empty"):
        return FileSettings()
    if len(documents) > 1:
        raise SettingsError(f"{path}: holds {len(documents)} documents, where one is wanted")
    if problems:
        words = "\n".join(str(problem) for problem in problems)
        raise SettingsError(words.replace(_A_POLICY, f"settings (keys {', '.join(_keys_at(()))})"))
    (document,) = documents
    try:
        return FileSettings.model_validate(document.data)
    except ValidationError as error:
        raise SettingsError("\n".join(_problems(error, document))) from None


def address_of(webhook: Webhook) -> str:
    """The address of a receiver as it is now.

    Raises:
        SettingsError: Its file cannot be read, or holds no address; does not say what it holds.
    """
    text = webhook.url.get_secret_value() if webhook.url is not None else _read(webhook)
    parts = None if any(letter.isspace() for letter in text) else _split(text)
    if parts is None or parts[0] not in ("http", "https") or not parts[1]:
        place = f"its urlFile {webhook.url_file}" if webhook.url_file is not None else "its url"
        raise SettingsError(f"webhook {webhook.name}: {place} holds no address such as https://host/path")
    return text


def _read(webhook: Webhook) -> str:
    try:
        return Path(webhook.url_file or "").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(f"webhook {webhook.name}: its urlFile {webhook.url_file} cannot be read: {why}") from None


def _split(text: str) -> tuple[str, str] | None:
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    return parts.scheme, parts.hostname or ""


def _problems(error: ValidationError, document: Document) -> Iterator[str]:
    for detail in error.errors(include_url=False, include_context=False, include_input=False):
        loc = tuple(part for part in detail["loc"] if part != "[key]")
        yield f"{document.file}:{document.line_of(loc)}: {_place(loc)}{_words(detail['type'], detail['msg'], loc)}"


def _place(loc: tuple[Any, ...]) -> str:
    return f"{path_of(loc)}: " if loc else ""


def _words(kind: str, message: str, loc: tuple[Any, ...]) -> str:
    if kind == "extra_forbidden":
        allowed = _keys_at(loc[:-1])
        return f"is no key of this place; allowed: {', '.join(allowed)}{meant(str(loc[-1]), allowed)}"
    if kind == "string_pattern_mismatch":
        return "does not have the right form; allowed: lower-case letters, digits and -, 52 at most"
    text = message.removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


def _keys_at(loc: tuple[Any, ...]) -> list[str]:
    model: type[BaseModel] = FileSettings
    for part in loc:
        info = field_at(model, part) if isinstance(part, str) else None
        model = (inner_model(info.annotation) if info is not None else None) or model
    return keys_of(model)
