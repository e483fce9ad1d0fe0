"""The settings file: what it takes, and how it says no without saying secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoscaler.daemon.settings_file import SettingsError, WebhookKind, address_of, load_settings

GOOD = """
budgets:
  - name: h100
    gpus: 64
    services: {llama-70b: 10, qwen: 0}
webhooks:
  - name: oncall
    kind: slack
    urlFile: /etc/pd-autoscaler/slack
  - {name: log, url: "http://127.0.0.1:1/x"}
"""


def load_text(folder: Path, text: str) -> str:
    path = folder / "settings.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as raised:
        load_settings(path)
    return str(raised.value)


def test_budgets_and_webhooks_are_read(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(GOOD)

    found = load_settings(path)

    assert (found.budgets[0].gpus, found.budgets[0].services) == (64.0, {"llama-70b": 10, "qwen": 0})
    assert [webhook.kind for webhook in found.webhooks] == [WebhookKind.SLACK, WebhookKind.JSON]


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("# nothing yet\n")

    assert load_settings(path).budgets == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "budget: []",
            "budget: is no key of this place; allowed: budgets, webhooks, endpoint, policyFiles; did you mean budgets?",
        ),
        (
            "budgets: [{name: a, gpu: 3}]",
            "budgets[0].gpu: is no key of this place; allowed: name, gpus, services; did you",
        ),
        ("budgets: [{name: a}]", "budgets[0].gpus: field required"),
        ("budgets: [{name: a, gpus: 0}]", "budgets[0].gpus: input should be greater than 0"),
        ("budgets: [{name: A b, gpus: 1}]", "budgets[0].name: does not have the right form; allowed: lower-case"),
        ("budgets: [{name: a, gpus: 1}, {name: a, gpus: 1}]", "two budgets of the name a"),
        ("budgets: [{name: a, gpus: 1}, {name: b, gpus: 1}]", "a budget for all services beside others"),
        (
            "budgets: [{name: a, gpus: 1, services: {x: 1}}, {name: b, gpus: 1, services: {x: 1}}]",
            "in two budgets stands the service x",
        ),
        ("webhooks: [{name: a}]", "webhooks[0]: needs one address; allowed: exactly one of url, urlFile"),
        ("webhooks: [{name: a, kind: irc, url: http://h/s3cret}]", "webhooks[0].kind: input should be 'json', 'slack'"),
        ("webhooks: [{name: a, url: 'http://h/s3cret', urlFile: x}]", "needs one address"),
        ("webhooks: [{name: a, url: [s3cret]}]", "webhooks[0].url"),
        ("endpoint: {certFile: /tls.crt}", "endpoint: needs both of certFile and keyFile"),
        (
            "endpoint: {certfile: /tls.crt}",
            "endpoint.certfile: is no key of this place; allowed: certFile, keyFile, tok",
        ),
        ("budgets: [", ":1: is no valid YAML"),
        ("- 3", "is a list, where settings (keys budgets, webhooks, endpoint, policyFiles) is wanted"),
    ],
)
def test_what_makes_no_sense_is_refused_with_place_and_remedy(tmp_path: Path, text: str, words: str) -> None:
    message = load_text(tmp_path, text)

    assert words in message
    assert "s3cret" not in message


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        load_settings(tmp_path / "nothing.yaml")


@pytest.mark.parametrize(
    ("content", "fine"), [("https://h/s3cret\n", True), ("s3cret", False), ("http://h s3cret", False)]
)
def test_an_address_comes_from_its_file_and_never_into_a_message(tmp_path: Path, content: str, *, fine: bool) -> None:
    address, settings = tmp_path / "address", tmp_path / "settings.yaml"
    address.write_text(content)
    settings.write_text(f"webhooks: [{{name: oncall, urlFile: {address}}}]")
    (webhook,) = load_settings(settings).webhooks

    if fine:
        assert address_of(webhook) == content.strip()
        return
    with pytest.raises(SettingsError) as raised:
        address_of(webhook)
    assert "s3cret" not in str(raised.value)


def test_an_address_file_that_is_missing_is_named(tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"webhooks: [{{name: oncall, urlFile: {tmp_path}/nothing}}]")
    (webhook,) = load_settings(settings).webhooks

    with pytest.raises(SettingsError, match=r"webhook oncall: .*nothing cannot be read"):
        address_of(webhook)
