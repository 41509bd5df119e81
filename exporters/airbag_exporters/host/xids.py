"""Errors that the NVIDIA driver reports as events: counted from the moment on that they are listened for."""

from __future__ import annotations

import logging

from airbag_exporters.host.nvml import XID_EVENT, Device, Nvml

log = logging.getLogger("airbag.exporter.host")

_AT_ONCE = 1000  # a GPU that dies may report for as long as one listens


class Xids:
    """`seen` has, by the GPU's UUID, how many there were and the number of the last one."""

    def __init__(self) -> None:
        self.seen: dict[str, tuple[int, int | None]] = {}
        self._watched: set[str] = set()
        self._events: object = None

    def anew(self) -> Xids:
        """For a library that was started anew; counters go on."""
        other = Xids()
        other.seen = self.seen
        return other

    def watch(self, library: Nvml, uuid: str, device: Device) -> None:
        """Listen to this GPU too, if it can be listened to."""
        if uuid in self._watched:
            return
        self._watched.add(uuid)
        try:
            self._events = self._events or library.nvmlEventSetCreate()
            library.nvmlDeviceRegisterEvents(device, XID_EVENT, self._events)
        except library.NVMLError as error:
            log.info("the driver's errors cannot be listened for", extra={"gpu": uuid, "reason": str(error)})
            return
        self.seen.setdefault(uuid, (0, None))

    def look(self, library: Nvml) -> None:
        """Count what came since the last look."""
        if not self.seen:
            return
        for _ in range(_AT_ONCE):
            try:
                event = library.nvmlEventSetWait_v2(self._events, 0)
                uuid = library.nvmlDeviceGetUUID(event.device)
            except library.NVMLError:
                return  # nothing more to hear, or not from this GPU any more
            number = self.seen.get(uuid, (0, None))[0]
            self.seen[uuid] = (number + 1, event.eventData)
            log.warning("the driver reported an error of a GPU", extra={"gpu": uuid, "xid": event.eventData})
