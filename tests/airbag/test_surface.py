"""What a process tells of its configuration files, when there are two."""

from __future__ import annotations

from pathlib import Path

import pytest

from airbag.errors import ConfigError, Problem
from airbag.surface import Surface
from airbag.web_file import WebFile
from tests.fakes.clock import SetClock

BROKEN = "basic_auth_users: {alice: plain}"
METRIC = "airbag_config_last_reload_successful"


class Pair:
    """A process with a configuration that can be broken and a web configuration."""

    def __init__(self, folder: Path) -> None:
        self.is_broken = False
        self.path = folder / "web.yml"
        self.path.write_text("")
        self.clock = SetClock()
        self.file = WebFile(self.path, self.clock)
        self.surface = Surface("pair", reload=self._reload)
        self.surface.watch(self.file)

    def _reload(self) -> None:
        if self.is_broken:
            raise ConfigError("main.yml", [Problem("a", "is wrong")])

    def successful(self) -> float | None:
        return self.surface.registry.get_sample_value(METRIC)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def test_a_good_file_does_not_hide_that_the_other_is_refused(pair: Pair) -> None:
    pair.is_broken = True
    assert "a: is wrong" in str(pair.surface.try_reload())
    pair.path.write_text("rate_limit: {interval: 1s}")
    assert pair.file.current().rate_limit.interval == 1
    assert pair.successful() == 0
    pair.is_broken = False
    assert pair.surface.try_reload() is None
    assert pair.successful() == 1


def test_a_reload_tells_every_refusal(pair: Pair) -> None:
    pair.is_broken = True
    pair.path.write_text(BROKEN)
    told = str(pair.surface.try_reload())
    assert "main.yml: 1 problem" in told
    assert "web.yml: 1 problem" in told
    assert pair.successful() == 0


def test_a_refusal_is_logged_once_until_somebody_asks_again(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    pair.path.write_text(BROKEN)
    for _ in range(3):
        pair.file.current()
        pair.clock.sleep(6)
    assert _refused(caplog) == 1
    pair.surface.try_reload()
    assert _refused(caplog) == 2


def _refused(caplog: pytest.LogCaptureFixture) -> int:
    return sum("configuration refused" in record.message for record in caplog.records)
