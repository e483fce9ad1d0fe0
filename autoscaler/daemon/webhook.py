"""One message to one webhook: its form, and posting it. Its address is a secret, so no error says it."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence

import requests

from autoscaler import __version__
from autoscaler.daemon.settings_file import SettingsError, Webhook, WebhookKind, address_of
from autoscaler.targets.kubernetes.refs import JsonObject

_TIMEOUT_S = 5.0
_CARD = "http://adaptivecards.io/schemas/adaptive-card.json"
_MOST_TEXT = 1000


class WebhookError(Exception):
    """A message that did not arrive; says which webhook and why, without its address."""


def body_for(kind: WebhookKind, service: str, texts: Sequence[str], record: JsonObject) -> JsonObject:
    """The body of a message.

    Args:
        kind: The form that the receiver wants.
        service: Whom it is about.
        texts: What there is to say, one line each.
        record: The decision behind it; in the JSON form alone.
    """
    lines = [text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}…" for text in texts]
    if kind is WebhookKind.SLACK:
        return {"text": "\n".join([f"*{_escaped(service)}*", *(f"• {_escaped(line)}" for line in lines)])}
    if kind is WebhookKind.TEAMS:
        title = {"type": "TextBlock", "text": service, "weight": "Bolder", "wrap": True}
        blocks = [title, *({"type": "TextBlock", "text": line, "wrap": True} for line in lines)]
        card = {"$schema": _CARD, "type": "AdaptiveCard", "version": "1.4", "body": blocks}
        return {
            "type": "message",
            "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}],
        }
    return {"service": service, "messages": lines, "decision": record}


def post(webhook: Webhook, body: JsonObject) -> None:
    """Post a message; a redirect is a refusal, for it could lead anywhere.

    Raises:
        WebhookError: It did not arrive, as far as one can tell.
    """
    try:
        address = address_of(webhook)
    except SettingsError as error:
        raise WebhookError(str(error)) from None
    agent = f"pd-autoscaler/{__version__}"
    headers = {"Content-Type": "application/json", "User-Agent": agent, "Connection": "close"}
    try:
        # no body is read: what a receiver says may quote the address
        with (
            _Session() as session,
            session.post(address, json.dumps(body), headers=headers, timeout=_TIMEOUT_S, stream=True) as answer,
        ):
            code = answer.status_code
    except (requests.RequestException, ValueError) as error:
        raise WebhookError(f"webhook {webhook.name} cannot be reached: {_kind_of(error)}") from None
    if not 200 <= code < 300:  # noqa: PLR2004 - HTTP's own classes
        raise WebhookError(f"webhook {webhook.name} answers HTTP {code}: check its address and what it expects")


class _Session(requests.Session):
    """Sees no redirects: merely being told not to follow one, the base class still prepares for it and leaks."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 - none, whatever it says
        return None


def _kind_of(error: Exception) -> str:
    if isinstance(error, requests.Timeout):
        return f"no answer within {_TIMEOUT_S:g} s"
    if isinstance(error, requests.exceptions.SSLError):
        return "no TLS, check its certificate"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return "its address is not one"


def _escaped(text: str) -> str:
    return html.escape(text, quote=False)
