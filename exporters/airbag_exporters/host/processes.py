"""The part `processes`: the servers' own processes, followed across their restarts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import psutil

from airbag.exposition import Samples
from airbag_exporters.config import Host, WatchedProcess
from airbag_exporters.host import families, finding
from airbag_exporters.host.part import Look
from airbag_exporters.host.reading import Reading, read, runs

log = logging.getLogger("airbag.exporter.host")


class Follower:
    """One entry of the configuration, and the process that it stands for at the moment.

    CPU time is added up over the processes, so that the counter never falls while the exporter runs; what a process
    used between the last look and its end is lost.
    """

    def __init__(self, entry: WatchedProcess) -> None:
        self.entry = entry
        self.process: psutil.Process | None = None
        self.restarts = 0
        self.cpu = {"user": 0.0, "system": 0.0}
        self._before = {"user": 0.0, "system": 0.0}
        self._told: set[str] = set()

    def is_there(self) -> bool:
        """Whether the process of the last look still runs."""
        return self.process is not None and runs(self.process)

    def take(self, found: Sequence[psutil.Process]) -> None:
        """Go over to the first of the processes that fit; without one stay with the last."""
        if len(found) > 1:
            self._say(
                "several processes fit, the oldest is shown",
                pids=" ".join(str(process.pid) for process in found[:5]),
                remedy="say more of which one is meant, its `name` for example",
            )
        if found and found[0] != self.process:
            if self.process is not None:
                self.restarts += 1
                log.info("another process is there", extra={**self._names, "pid": found[0].pid})
            self.process, self._before = found[0], dict(self.cpu)

    def read(self, cgroups: Path) -> Reading | None:
        """What the kernel tells of it now; None when it is gone."""
        reading = read(self.process, cgroups) if self.process else None
        if reading is None:
            return None
        self.cpu = {"user": self._before["user"] + reading.user, "system": self._before["system"] + reading.system}
        if reading.descriptors is None:
            self._say("the kernel hides its descriptors", remedy="run the exporter as the server's user")
        if reading.memory_limit is None:
            self._say(
                "its control group cannot be seen, so its memory limit is not known",
                remedy="share the host's control group namespace, or set rss_max",
            )
        return reading

    @property
    def _names(self) -> dict[str, str]:
        return {"serving": self.entry.serving, "target": self.entry.target}

    def _say(self, what: str, **more: object) -> None:
        """Say what is worth one line for as long as the exporter runs."""
        if what not in self._told:
            self._told.add(what)
            log.warning(what, extra={**self._names, **more})


class Processes:
    """All of them. `cgroups` is what is mounted at /sys/fs/cgroup."""

    def __init__(self, config: Host, cgroups: Path) -> None:
        self._cgroups = cgroups
        self._followers: dict[tuple[str, str], Follower] = {}
        self.adopt(config)

    def adopt(self, config: Host) -> None:
        """Watch what this says. Counters of a process that is found as before go on."""
        followers: dict[tuple[str, str], Follower] = {}
        for entry in config.processes:
            known = self._followers.get((entry.serving, entry.target))
            same = known is not None and known.entry.how == entry.how
            follower = known if known and same else Follower(entry)
            follower.entry = entry
            followers[entry.serving, entry.target] = follower
        self._ratio = config.rss_ratio_max
        self._runtime = config.container_socket
        self._followers = followers

    def owners(self) -> dict[int, tuple[str, str]]:
        """Serving and target of each process by its pid, as of the last look."""
        followers = self._followers
        return {each.process.pid: names for names, each in followers.items() if each.process}

    def look(self) -> Look:
        """Find and read every process."""
        samples, problems = Samples(families.OF_PROCESSES), dict[str, str]()
        followers = self._followers
        lost = [each for each in followers.values() if not each.is_there()]
        running = finding.running() if lost else []
        for names, each in followers.items():
            if each in lost:
                try:
                    each.take(finding.find(each.entry, running, self._runtime))
                except finding.CannotTell as error:
                    problems["/".join(names)] = str(error)
                    continue
            self._show(samples, names, each)
        return Look(samples, problems)

    def _show(self, samples: Samples, names: tuple[str, str], follower: Follower) -> None:
        reading = follower.read(self._cgroups)
        samples.add(families.UP, names, int(reading is not None))
        samples.add(families.RESTARTS, names, follower.restarts)
        for mode, seconds in follower.cpu.items():
            samples.add(families.CPU, (*names, mode), seconds)
        if reading is None:
            return
        samples.add(families.STARTED, names, reading.started)
        samples.add(families.RESIDENT, names, reading.resident)
        samples.add(families.THREADS, names, reading.threads)
        limit = reading.memory_limit
        most = follower.entry.rss_max or (None if limit is None else int(limit * self._ratio))
        for family, value in (
            (families.DESCRIPTORS, reading.descriptors),
            (families.DESCRIPTORS_MAX, reading.descriptors_max),
            (families.LIMIT, limit),
            (families.RESIDENT_MAX, most),
        ):
            if value is not None:
                samples.add(family, names, value)
