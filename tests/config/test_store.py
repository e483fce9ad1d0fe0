from __future__ import annotations

import errno
from collections.abc import Generator
from os import stat_result
from pathlib import Path, PosixPath
from typing import Any

import pytest

from autoscaler.config import PolicyStore, ReloadReport
from tests.config.builders import as_yaml, changed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.yaml").write_text(document("a"))
    (tmp_path / "b.yaml").write_text(document("b"))
    return tmp_path


class Volume(PosixPath):
    """A path that its file system refuses to list, or to look at at all, while a test says so."""

    unlisted = ""
    unseen = ""

    def iterdir(self) -> Generator[Volume, None, None]:
        if self.unlisted:
            raise OSError(errno.EMFILE, self.unlisted)
        return super().iterdir()

    def stat(self, *, follow_symlinks: bool = True) -> stat_result:
        if self.unseen:
            raise OSError(errno.EIO, self.unseen)
        return super().stat(follow_symlinks=follow_symlinks)


def document(name: str, **spec: Any) -> str:
    changes = {f"spec.{key}": value for key, value in spec.items()}
    return as_yaml(changed({"metadata": {"name": name, "namespace": name}, **changes}))


def loaded(folder: Path) -> PolicyStore:
    store = PolicyStore([folder])
    assert store.reload().added == ("a", "b")
    return store


def interval_s(store: PolicyStore, service: str) -> float:
    return store.policies[service].policy.spec.interval_s


def test_the_first_reload_adds_everything(folder: Path) -> None:
    assert PolicyStore([folder]).reload() == ReloadReport(added=("a", "b"))


def test_nothing_changed_is_an_empty_report(folder: Path) -> None:
    store = loaded(folder)

    assert not store.reload()


def test_a_file_touched_but_not_edited_is_no_change(folder: Path) -> None:
    store = loaded(folder)
    before = store.policies["a"]
    (folder / "a.yaml").write_text(document("a"))

    assert not store.reload()
    assert store.policies["a"] is before


def test_an_edited_policy_is_taken_over(folder: Path) -> None:
    store = loaded(folder)
    (folder / "a.yaml").write_text(document("a", interval="30s"))

    assert store.reload() == ReloadReport(changed=("a",))
    assert interval_s(store, "a") == 30.0


def test_an_edit_that_keeps_the_size_is_seen(folder: Path) -> None:
    (folder / "a.yaml").write_text(document("a", interval="30s"))
    store = loaded(folder)
    replacement = folder / "replacement"
    replacement.write_text(document("a", interval="40s"))
    replacement.replace(folder / "a.yaml")

    assert store.reload().changed == ("a",)


def test_a_comment_changes_no_policy(folder: Path) -> None:
    store = loaded(folder)
    (folder / "a.yaml").write_text(f"# a remark\n{document('a')}")

    assert not store.reload()
    assert store.policies["a"].line == 2


def test_a_new_file_adds_its_policy(folder: Path) -> None:
    store = loaded(folder)
    (folder / "c.yaml").write_text(document("c"))

    assert store.reload() == ReloadReport(added=("c",))


def test_a_deleted_file_removes_its_policy(folder: Path) -> None:
    store = loaded(folder)
    (folder / "a.yaml").unlink()

    assert store.reload() == ReloadReport(removed=("a",))
    assert list(store.policies) == ["b"]


def test_a_deleted_file_that_was_named_removes_its_policy_and_is_reported_once(folder: Path) -> None:
    store = PolicyStore([folder / "a.yaml"])
    store.reload()
    (folder / "a.yaml").unlink()

    report = store.reload()

    assert report.removed == ("a",)
    assert [error.message for error in report.errors] == ["no such file or folder"]
    assert not store.reload()


def test_a_folder_that_vanishes_removes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "a.yaml").write_text(document("a"))
    store = PolicyStore([folder])
    store.reload()
    folder.rename(tmp_path / "elsewhere")

    report = store.reload()

    assert [error.message for error in report.errors] == ["no such file or folder"]
    assert report.removed == ()
    assert list(store.policies) == ["a"]


@pytest.mark.parametrize("trouble", ["unlisted", "unseen"])
def test_a_folder_that_cannot_be_looked_at_removes_nothing_and_says_so_until_it_can(folder: Path, trouble: str) -> None:
    volume = Volume(folder)
    store = loaded(volume)
    setattr(volume, trouble, "the disk is sick")

    report = store.reload()
    assert (report.removed, list(store.policies)) == ((), ["a", "b"])
    assert [str(error) for error in report.errors] == [f"{folder}: cannot be looked at: the disk is sick"]

    delattr(volume, trouble)
    (folder / "a.yaml").unlink()
    assert store.reload().removed == ("a",)
    assert store.errors == ()


def test_a_named_file_that_cannot_be_looked_at_stays_as_it_was(folder: Path) -> None:
    file = Volume(folder / "a.yaml")
    store = PolicyStore([file])
    store.reload()
    file.unseen = "the disk is sick"

    report = store.reload()

    assert (report.removed, list(store.policies)) == ((), ["a"])
    assert [error.message for error in report.errors] == ["cannot be looked at: the disk is sick"]


def test_a_file_of_a_folder_that_cannot_be_looked_at_holds_up_no_other(folder: Path) -> None:
    store = loaded(folder)
    (folder / "a.yaml").unlink()
    (folder / "a.yaml").symlink_to("n" * 300)  # longer than any name may be: the look at it fails
    (folder / "b.yaml").write_text(document("b", interval="30s"))

    report = store.reload()

    assert (report.kept, report.changed, report.removed) == (("a",), ("b",), ())
    assert [error.message for error in report.errors] == ["cannot be read: File name too long"]


@pytest.mark.parametrize("bad", ["", "a: [", document("a", mode="enforced"), document("a", interval=5)])
def test_a_bad_edit_keeps_the_last_good_policy_and_says_so_once(folder: Path, bad: str) -> None:
    (folder / "a.yaml").write_text(document("a", interval="30s"))
    store = loaded(folder)
    (folder / "a.yaml").write_text(bad)

    report = store.reload()

    assert report.kept == ("a",)
    assert len(report.errors) == 1
    assert (report.added, report.changed, report.removed) == ((), (), ())
    assert interval_s(store, "a") == 30.0
    assert not store.reload()
    assert store.errors == report.errors


def test_one_bad_document_keeps_the_whole_file_as_it_was(folder: Path) -> None:
    (folder / "a.yaml").write_text(f"{document('a')}---\n{document('c')}")
    store = PolicyStore([folder / "a.yaml"])
    store.reload()
    (folder / "a.yaml").write_text(f"{document('a', interval='30s')}---\n{document('c', mode='x')}")

    assert store.reload().kept == ("a", "c")
    assert interval_s(store, "a") == 15.0


def test_a_bad_edit_elsewhere_does_not_hold_up_a_good_one(folder: Path) -> None:
    store = loaded(folder)
    (folder / "a.yaml").write_text("a: [")
    (folder / "b.yaml").write_text(document("b", interval="30s"))

    report = store.reload()

    assert (report.kept, report.changed) == (("a",), ("b",))


def test_a_repaired_file_is_taken_over_and_its_errors_go(folder: Path) -> None:
    store = loaded(folder)
    (folder / "a.yaml").write_text("a: [")
    store.reload()
    (folder / "a.yaml").write_text(document("a", interval="30s"))

    assert store.reload() == ReloadReport(changed=("a",))
    assert store.errors == ()


def test_a_file_bad_from_the_start_gives_no_policy(folder: Path) -> None:
    (folder / "a.yaml").write_text("a: [")
    store = PolicyStore([folder])

    report = store.reload()

    assert (report.added, report.kept) == (("b",), ())
    assert len(report.errors) == 1


def test_a_newcomer_does_not_take_a_name_that_is_in_use(folder: Path) -> None:
    store = loaded(folder)
    (folder / "0.yaml").write_text(document("b", interval="30s"))

    report = store.reload()

    assert [error.file for error in report.errors] == [str(folder / "0.yaml")]
    assert store.policies["b"].file == folder / "b.yaml"


def test_a_name_that_becomes_free_goes_to_the_file_that_waits_for_it(folder: Path) -> None:
    store = loaded(folder)
    (folder / "0.yaml").write_text(document("b", interval="30s"))
    store.reload()
    (folder / "b.yaml").unlink()

    assert store.reload() == ReloadReport(changed=("b",))
    assert store.policies["b"].file == folder / "0.yaml"
    assert store.errors == ()


def test_an_edit_that_claims_another_name_keeps_its_own(folder: Path) -> None:
    store = loaded(folder)
    (folder / "a.yaml").write_text(document("b", interval="30s"))
    (folder / "c.yaml").write_text(document("a", interval="40s"))

    report = store.reload()

    assert {error.file for error in report.errors} == {str(folder / "a.yaml"), str(folder / "c.yaml")}
    assert interval_s(store, "a") == 15.0


def test_two_files_may_swap_names(folder: Path) -> None:
    store = loaded(folder)
    (folder / "a.yaml").write_text(document("b", interval="30s"))
    (folder / "b.yaml").write_text(document("a", interval="40s"))

    report = store.reload()

    assert (sorted(report.changed), report.errors) == (["a", "b"], ())
    assert (interval_s(store, "a"), interval_s(store, "b")) == (40.0, 30.0)


def test_a_file_whose_name_is_a_folder_is_an_error_and_no_crash(folder: Path) -> None:
    store = PolicyStore([folder / "a.yaml"])
    store.reload()
    (folder / "a.yaml").unlink()
    (folder / "a.yaml").mkdir()

    assert [error.message for error in store.reload().errors] == ["holds no policy file (.yaml, .yml, .json)"]


def test_a_mounted_config_map_is_followed_through_its_links(tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    for version, interval in (("v1", "15s"), ("v2", "30s")):
        (mount / f"..{version}").mkdir(parents=True)
        (mount / f"..{version}" / "a.yaml").write_text(document("a", interval=interval))
    (mount / "..data").symlink_to("..v1")
    (mount / "a.yaml").symlink_to("..data/a.yaml")
    store = PolicyStore([mount])
    store.reload()
    (mount / "..next").symlink_to("..v2")
    (mount / "..next").replace(mount / "..data")

    assert store.reload() == ReloadReport(changed=("a",))
    assert interval_s(store, "a") == 30.0
