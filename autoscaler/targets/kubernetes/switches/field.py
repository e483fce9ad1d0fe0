"""A switch that is a field of an object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoscaler.targets.base import Outcome, WriteResult
from autoscaler.targets.kubernetes.errors import KubeError, RejectedError
from autoscaler.targets.kubernetes.managers import last_writer
from autoscaler.targets.kubernetes.object_role import OUTCOMES
from autoscaler.targets.kubernetes.paths import MissingFieldError, Path, Place, guarded_patch
from autoscaler.targets.kubernetes.refs import ObjectRef
from autoscaler.targets.kubernetes.served import ServedObject
from autoscaler.targets.kubernetes.switches.dials import Dial, RefusedError, written_as
from autoscaler.targets.role import UnreadableError
from autoscaler.targets.switch import Position, Setting, SwitchReading

if TYPE_CHECKING:
    from autoscaler.targets.kubernetes.client import KubeClient  # importing it costs half a second


class FieldSwitch:
    """Reads and sets one field. Implements `targets.switch.Switch`.

    A write is a JSON patch that tests the field's old value, and the names of list entries that it goes through.

    Args:
        client: Connection to the cluster.
        refs: The object under each version to try.
        path: The field.
        dial: What its values mean.
        absent: The value that an absent field stands for; None where it stands for nothing.
    """

    def __init__(
        self, client: KubeClient, refs: tuple[ObjectRef, ...], path: Path, dial: Dial, absent: int | str | None = None
    ) -> None:
        self._client = client
        self._object = ServedObject(client, refs)
        self._path = path
        self._dial = dial
        self._absent = absent

    def read(self) -> SwitchReading:
        """See `Switch.read`."""
        try:
            document = self._object.get()
            value = self._value(self._path.locate(document))
        except (KubeError, UnreadableError) as error:
            return SwitchReading(Position.UNKNOWN, None, str(error))
        except MissingFieldError as error:
            return SwitchReading(Position.UNKNOWN, None, f"{self._object.ref} {error}")
        position, threshold_tokens = self._dial.meaning(value)
        written, writer = written_as(position, threshold_tokens), last_writer(document, self._path)
        shown = f"{self._object.ref}: {self._path} is {value}"
        return SwitchReading(position, threshold_tokens, shown, written=written, writer=writer)

    def set(self, setting: Setting, *, dry_run: bool) -> WriteResult:
        """See `Switch.set`."""
        try:
            wanted = self._dial.value(setting)
            document = self._object.get()
            place = self._path.locate(document)
        except RefusedError as error:
            return WriteResult(Outcome.REFUSED, str(error))
        except KubeError as error:
            return WriteResult(OUTCOMES[type(error)], str(error))
        except (MissingFieldError, UnreadableError) as error:
            return WriteResult(Outcome.MISSING, f"{self._object.ref} {error}")
        subject = f"{self._object.ref}: {self._path}"
        if place.value == wanted:
            return WriteResult(Outcome.APPLIED, f"{subject} is {wanted} already")
        before = self._value(place)
        try:
            change = guarded_patch(document["metadata"]["uid"], [(place.pointer, place.value)], place.guards, wanted)
            self._client.patch(self._object.ref, change, dry_run=dry_run)
        except RejectedError as error:
            return self._rejected(place, error)
        except KubeError as error:
            return WriteResult(OUTCOMES[type(error)], str(error))
        if dry_run:
            return WriteResult(Outcome.DRY_RUN, f"{subject}: the server would take {wanted} for {before}")
        return WriteResult(Outcome.APPLIED, f"{subject}: {before} to {wanted}")

    def _rejected(self, place: Place, error: RejectedError) -> WriteResult:
        """Tell a failed test from a refusal: the server words them alike, so look at the object again."""
        try:
            now = self._path.locate(self._object.get())
        except (KubeError, MissingFieldError, UnreadableError) as second:
            return WriteResult(Outcome.CONFLICT, f"{error}; and then {second}")
        if now == place:
            return WriteResult(Outcome.REJECTED, str(error))
        return WriteResult(Outcome.CONFLICT, f"{self._object.ref}: {self._path} changed meanwhile, to {now.value}")

    def _value(self, place: Place) -> object:
        return self._absent if place.value is None else place.value
