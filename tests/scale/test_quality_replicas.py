"""Two quality exporters behind nginx with the join in Redis: whatever is killed, each event counts once."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from airbag_exporters.quality.client import QualityClient
from tests.fakes.wait import until
from tests.scale.quality_fleet import BALANCER, REPLICAS, Fleet, agrees, fleet

MODEL = "digits"
LABEL_DELAY = 0.7
STEP = 300  # events between two faults


class Load:
    """An application that predicts some hundred times a second and hears a little later what was true."""

    def __init__(self, url: str, version: str) -> None:
        self.version = version
        self.client = QualityClient(url, interval=0.05, batch_rows=40, backoff=(0.05, 0.5))
        self.predicted: Counter[tuple[str, ...]] = Counter()
        self.outcomes: Counter[tuple[str, ...]] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        chance, waiting = random.Random(7), deque[tuple[float, str, str, str]]()  # noqa: S311 - a test's numbers
        while not self._stop.wait(0.02) or waiting:
            for _ in range(0 if self._stop.is_set() else 4):
                said, true = str(chance.randrange(10)), str(chance.randrange(10))
                true = said if chance.random() < 0.9 else true
                key = self.client.predicted(MODEL, self.version, said)
                self.predicted[MODEL, self.version, said] += 1
                waiting.append((time.monotonic() + LABEL_DELAY, key, said, true))
            while waiting and waiting[0][0] < time.monotonic():
                _, key, said, true = waiting.popleft()
                self.client.labelled(key, true)
                self.outcomes[true, str(said == true).lower(), MODEL, self.version, said] += 1

    def goes_on(self, what: str) -> None:
        """Wait until so many events more were taken."""
        before = self.client.stats().accepted
        until(lambda: self.client.stats().accepted > before + STEP, timeout=90, what=f"events that are taken {what}")

    def is_refused(self, what: str) -> None:
        """Wait until a request had to be sent again."""
        before = self.client.stats().retried
        until(lambda: self.client.stats().retried > before, timeout=60, what=f"a batch that is sent again {what}")

    def end(self) -> None:
        """All labels are sent, and everything was answered."""
        self._stop.set()
        self._thread.join(60)
        assert self.client.close(90), self.client.stats()
        assert not self.client.stats().dropped

    @contextmanager
    def running(self) -> Iterator[Load]:
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join(60)
            self.client.close(0)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet(tmp_path_factory.mktemp("fleet")) as found:
        yield found


def counts_each_once(here: Fleet, load: Load) -> None:
    """To the last event: on the pages, and in what Prometheus made of them."""
    load.end()
    of = {"model_version": load.version}
    assert here.counted("airbag_quality_predictions_total", **of) == load.predicted
    assert here.counted("airbag_quality_outcomes_total", **of) == load.outcomes
    total = sum(load.outcomes.values())
    right = sum(n for key, n in load.outcomes.items() if key[1] == "true")
    for outcome in ("unmatched", "expired"):
        assert not here.counted("airbag_quality_labels_total", result=outcome)
    by = f'model_version="{load.version}"'
    agrees(here, f"sum by (correct) (airbag_quality_labelled_total{{{by}}})",
           Counter({("true",): right, ("false",): total - right}))  # fmt: skip
    agrees(here, f"sum(airbag_quality_predictions_total{{{by}}})", Counter({(): sum(load.predicted.values())}))
    assert not here.asked("sum(resets(airbag_quality_predictions_total[30m])) > 0"), "a counter went down"


def took(here: Fleet, replica: str) -> int:
    """Rows that a process took since it started, second deliveries included."""
    return int(sum(here.counted("airbag_quality_events_total", replica=replica).values()))


def test_replicas_nginx_and_redis_die_under_load_and_each_event_counts_once(here: Fleet) -> None:
    one, other = REPLICAS
    with Load(here.url(BALANCER), "3").running() as load:
        load.goes_on("by both")
        assert all(took(here, each) for each in REPLICAS), "nginx sends everything to one replica"

        here.kill(one)
        load.goes_on("by the replica that is left")
        here.restart(one)
        until(lambda: took(here, one), timeout=60, what="events for the replica that is back")

        here.stop(other)
        load.goes_on("while one replica is upgraded")
        here.restart(other)
        here.signal(BALANCER, signal.SIGHUP)
        load.goes_on("after nginx' reload")
        assert not load.client.stats().retried, "nginx let its clients see that a replica died"

        here.kill(BALANCER)
        load.is_refused("while there is no nginx")
        here.restart(BALANCER)
        load.goes_on("by the new nginx")

        here.redis.stop()
        load.is_refused("while Redis is away")
        here.redis.start()
        load.goes_on("after Redis was stopped")

        here.redis.kill()
        load.is_refused("while Redis is dead")
        here.redis.start()
        load.goes_on("after Redis was killed")

        here.kill(other)
        here.restart(other)
        load.goes_on("in the end")
        counts_each_once(here, load)


def test_a_replica_that_hangs_or_does_not_reach_redis_counts_nothing_that_nginx_gave_to_the_other(here: Fleet) -> None:
    one, other = REPLICAS
    with Load(here.url(BALANCER), "4").running() as load:
        load.goes_on("by both")
        here.signal(one, signal.SIGSTOP)
        try:
            before = took(here, other)
            until(lambda: took(here, other) > before + STEP, timeout=60, what="events for the other replica")
        finally:
            here.signal(one, signal.SIGCONT)
        load.goes_on("by both again")

        here.cable.cut("silent")
        load.goes_on("while one replica does not reach Redis")
        here.cable.mend()
        taken = took(here, one)
        until(lambda: took(here, one) > taken, timeout=60, what="events for the replica that is back")
        assert not load.client.stats().retried, "nginx let its clients see what a replica cannot do"
        counts_each_once(here, load)


def test_counters_are_not_shown_through_the_balancer(here: Fleet) -> None:
    """They would jump between those of one replica and those of another."""
    answer = requests.get(f"{here.url(BALANCER)}/metrics", timeout=10)
    assert (answer.status_code, answer.text) == (404, "not here: scrape each replica\n")


@pytest.mark.parametrize("ask", ["/-/healthy", "/-/ready", "/openapi.json"])
def test_the_balancer_answers_for_itself_and_for_the_replicas(here: Fleet, ask: str) -> None:
    assert requests.get(here.url(BALANCER) + ask, timeout=10).ok
