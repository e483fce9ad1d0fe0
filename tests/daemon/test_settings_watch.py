from __future__ import annotations

import os
from pathlib import Path

import pytest

from autoscaler.daemon.settings_file import FileSettings, load_settings
from autoscaler.daemon.settings_watch import SettingsWatch

BUDGET = "budgets: [{name: h100, gpus: 64}]\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "settings.yaml"
    made.write_text(BUDGET)
    return made


def watch(file: Path) -> SettingsWatch:
    made = SettingsWatch(file, load_settings(file))
    assert made.troubles() == []
    return made


def messages(watch: SettingsWatch) -> list[str]:
    return [trouble.message for trouble in watch.troubles()]


def test_an_edit_is_said_to_take_a_restart_as_long_as_it_is_not_in_force(file: Path) -> None:
    watching = watch(file)

    file.write_text(BUDGET.replace("64", "72"))
    assert ["restart all daemons" in message for message in messages(watching)] == [True]
    assert len(messages(watching)) == 1

    file.write_text(BUDGET)
    assert messages(watching) == []


def test_an_edit_that_changes_nothing_is_no_news(file: Path) -> None:
    watching = watch(file)

    file.write_text(f"# sixty-four\n{BUDGET}")

    assert messages(watching) == []


def test_settings_with_which_it_would_not_start_again_are_named(file: Path) -> None:
    watching = watch(file)

    file.write_text("budget: []\n")

    (message,) = messages(watching)
    assert "did you mean budgets?" in message
    assert "it would not start again" in message


def test_a_file_that_is_gone_is_named(file: Path) -> None:
    watching = watch(file)

    file.unlink()

    assert ["No such file" in message for message in messages(watching)] == [True]


def test_a_volume_that_exchanges_its_link_is_noticed(file: Path) -> None:
    link, other = file.with_name("link.yaml"), file.with_name("other.yaml")
    link.symlink_to(file)
    watching = watch(link)

    other.write_text(BUDGET.replace("64", "72"))
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    link.unlink()
    link.symlink_to(other)

    assert len(messages(watching)) == 1


def test_without_a_file_there_is_nothing_to_notice() -> None:
    assert SettingsWatch(None, FileSettings()).troubles() == []
