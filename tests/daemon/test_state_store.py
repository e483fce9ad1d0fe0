from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoscaler.core.policy import Role
from autoscaler.core.state import RoleState, State, Timed
from autoscaler.daemon.state_store import FileStateStore, MemoryStateStore, StateStoreError, StateTakenError

NOW_S = 1_700_000_000.0
STATE = State(
    started_at_s=NOW_S - 60.0,
    roles={Role.DECODE: RoleState((Timed(NOW_S - 15.0, 4.0),), (Timed(NOW_S - 15.0, 1.0),))},
)


@pytest.fixture
def store(tmp_path: Path) -> FileStateStore:
    return FileStateStore(tmp_path / "state")


def test_what_was_saved_is_loaded_by_the_next_process(store: FileStateStore, tmp_path: Path) -> None:
    store.save("chat", STATE)

    assert FileStateStore(tmp_path / "state").load("chat", NOW_S) == STATE


def test_a_service_without_a_file_has_no_memory(store: FileStateStore) -> None:
    assert store.load("chat", NOW_S) == State()


def test_memory_lives_as_long_as_the_process() -> None:
    store = MemoryStateStore()
    store.save("chat", STATE)

    assert store.load("chat", NOW_S) == STATE
    assert store.load("code", NOW_S) == State()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"version": 99}', '{"version": 1, "roles": 3}', "\ufffd\x00"],
    ids=["empty", "half", "list", "future", "shape", "binary"],
)
def test_a_corrupt_file_is_kept_aside_and_reported_once(store: FileStateStore, text: str) -> None:
    store.path("chat").write_text(text, encoding="utf-8")

    with pytest.raises(StateStoreError, match=r"chat\.json: .*kept as chat\.json\.corrupt"):
        store.load("chat", NOW_S)

    assert store.path("chat").with_suffix(".json.corrupt").read_text(encoding="utf-8") == text
    assert store.load("chat", NOW_S) == State()


def test_bytes_that_are_no_text_are_corrupt_too(store: FileStateStore) -> None:
    store.path("chat").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(StateStoreError, match="kept as"):
        store.load("chat", NOW_S)


def test_a_half_written_draft_is_not_the_state(store: FileStateStore) -> None:
    store.save("chat", STATE)
    store.path("chat").with_suffix(".json.new").write_text('{"version"')

    assert store.load("chat", NOW_S) == STATE


def test_saving_leaves_one_readable_file(store: FileStateStore, tmp_path: Path) -> None:
    store.save("chat", STATE)
    store.save("chat", STATE)

    assert [path.name for path in (tmp_path / "state").iterdir()] == ["chat.json"]
    assert json.loads(store.path("chat").read_text())["version"] == 1


def test_a_name_cannot_leave_the_directory(store: FileStateStore, tmp_path: Path) -> None:
    store.save("../../etc/chat", STATE)

    assert store.path("../../etc/chat").parent == tmp_path / "state"
    assert store.load("../../etc/chat", NOW_S) == STATE


def test_a_file_that_cannot_be_written_says_what_follows(store: FileStateStore) -> None:
    store.path("chat").with_suffix(".json.new").mkdir()

    with pytest.raises(StateStoreError, match="a restart would forget the last changes"):
        store.save("chat", STATE)


def test_a_file_that_cannot_be_read_is_left_where_it_is(store: FileStateStore) -> None:
    store.path("chat").mkdir()

    with pytest.raises(StateStoreError, match=r"cannot read .*chat\.json"):
        store.load("chat", NOW_S)

    assert store.path("chat").is_dir()


def test_who_finds_that_somebody_else_wrote_reads_it_before_writing_again(
    store: FileStateStore, tmp_path: Path
) -> None:
    other, theirs = FileStateStore(tmp_path / "state"), State(started_at_s=NOW_S - 5.0)
    store.save("chat", STATE)
    other.load("chat", NOW_S)
    other.save("chat", theirs)

    with pytest.raises(StateTakenError, match="two daemons act for chat"):
        store.save("chat", STATE)

    assert store.load("chat", NOW_S) == theirs
    store.save("chat", STATE)
    assert other.load("chat", NOW_S) == STATE


@pytest.mark.parametrize("text", ["", "{", "\ufffd\x00"])
def test_a_file_that_was_damaged_meanwhile_is_written_anew(store: FileStateStore, text: str) -> None:
    store.save("chat", STATE)
    store.path("chat").write_text(text, encoding="utf-8")

    store.save("chat", STATE)

    assert store.load("chat", NOW_S) == STATE


def test_a_file_that_was_deleted_meanwhile_is_written_anew(store: FileStateStore) -> None:
    store.save("chat", STATE)
    store.path("chat").unlink()

    store.save("chat", STATE)

    assert store.load("chat", NOW_S) == STATE
