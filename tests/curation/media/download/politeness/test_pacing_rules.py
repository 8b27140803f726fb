"""The decisions of pacing, on a simulated clock: budgets, slots, back-off, circuits, cookies and proxies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from curation.media.download.politeness.pace_limits import (
    LEASE_SECONDS,
    Answer,
    Granted,
    PaceLimits,
    Postponed,
    Verdict,
    VisitEnd,
    Visitor,
    Wait,
)
from curation.media.download.politeness.pacing_rules import Pacing
from curation.media.download.politeness.pacing_state import PacingState
from runtime.retry_limits import CIRCUIT_PAUSE, PROXY_REST

LIMITS = PaceLimits(interval=0.0, concurrency=100, backoff=2.0)


class Site:
    """A site `a` and its pacing, on a clock that the test moves."""

    def __init__(self, limits: PaceLimits = LIMITS, name: str = "a", node: str = "node") -> None:
        self.now = 1000.0
        self.pacing = Pacing(limits, PacingState())
        self.name, self.node = name, node
        self._numbers: Iterator[int] = iter(range(1_000_000))

    def ask(self, site: str | None = None, node: str | None = None) -> tuple[Visitor, Answer]:
        visitor = Visitor(site or self.name, f"x:1:{next(self._numbers)}", node or self.node)
        return visitor, self.pacing.ask(visitor, self.now)

    def attempt(self, verdict: Verdict, site: str | None = None, **end: object) -> str | None:
        """Wait for a slot, and end the attempt at once."""
        visitor, answer = self.ask(site)
        while isinstance(answer, Wait):
            self.now += answer.seconds
            answer = self.pacing.ask(visitor, self.now)
        assert isinstance(answer, Granted), answer
        return self.pacing.end(visitor, replace(VisitEnd(verdict, answer.access), **end), self.now)  # type: ignore[arg-type]

    def is_postponed(self, site: str | None = None, node: str | None = None) -> bool:
        return isinstance(self.ask(site, node)[1], Postponed)


def _starts(limits: PaceLimits, clients: int, seconds: float) -> list[float]:
    """Return the starts, over `seconds`, of clients of which each ends its attempt at once and asks again."""
    site, starts = Site(limits), []
    visitors = [site.ask()[0] for _ in range(clients)]
    due = dict.fromkeys(range(clients), site.now)
    while site.now < 1000.0 + seconds:
        client = min(due, key=lambda n: due[n])
        site.now = due[client]
        answer = site.pacing.ask(visitors[client], site.now)
        if isinstance(answer, Granted):
            starts.append(site.now + answer.start_in)
            site.pacing.end(visitors[client], VisitEnd("answered", answer.access), site.now)
        due[client] = site.now + (max(answer.seconds, 0.05) if isinstance(answer, Wait) else 0.0)
    return sorted(starts)


@pytest.mark.parametrize("clients", [1, 2, 40])
def test_the_starts_of_any_number_of_clients_stay_within_the_budget_of_each_minute(clients: int) -> None:
    starts = _starts(replace(LIMITS, per_minute=30.0), clients, 300.0)
    assert max(sum(first <= start < first + 60 for start in starts) for first in starts) <= 30
    assert len(starts) >= 145, "the budget is used"


def test_requests_beyond_the_start_are_taken_from_the_budget() -> None:
    site = Site(replace(LIMITS, per_minute=60.0))
    site.attempt("answered", requests=11)
    _, answer = site.ask()
    assert isinstance(answer, Wait)
    began = site.now
    site.attempt("answered")
    assert site.now - began == pytest.approx(10.2, abs=0.2), "ten further requests and the start take eleven seconds"


def test_starts_are_apart_by_the_interval() -> None:
    site = Site(replace(LIMITS, interval=0.5))
    answers = [site.ask()[1] for _ in range(3)]
    assert [answer.start_in for answer in answers if isinstance(answer, Granted)] == [0.0, 0.5, 1.0]


def test_no_more_clients_than_slots_are_at_a_site_and_other_sites_do_not_wait() -> None:
    site = Site(replace(LIMITS, concurrency=2))
    (first, one), (_, two), (_, three) = site.ask(), site.ask(), site.ask()
    assert [type(answer) for answer in (one, two, three)] == [Granted, Granted, Wait]
    assert isinstance(site.ask("b")[1], Granted)
    site.pacing.end(first, VisitEnd("answered"), site.now)
    assert isinstance(site.ask()[1], Granted)


def test_the_slot_of_a_killed_client_is_free_when_its_lease_ends_and_that_of_a_living_one_is_not() -> None:
    site = Site(replace(LIMITS, concurrency=1))
    visitor, _ = site.ask()
    for _ in range(5):
        site.now += LEASE_SECONDS - 1
        site.pacing.beat([(visitor, 0)], site.now)
        assert isinstance(site.ask()[1], Wait)
    site.now += LEASE_SECONDS + 1
    assert isinstance(site.ask()[1], Granted)


def test_a_client_known_to_be_dead_frees_its_slot_at_once() -> None:
    state, dead = PacingState(), set[str]()
    pacing = Pacing(replace(LIMITS, concurrency=1), state, is_alive=lambda lease: lease not in dead)
    assert isinstance(pacing.ask(Visitor("a", "x:1:1", "x"), 0.0), Granted)
    assert isinstance(pacing.ask(Visitor("a", "x:2:1", "x"), 0.0), Wait)
    dead.add("x:1:1")
    assert isinstance(pacing.ask(Visitor("a", "x:2:1", "x"), 0.0), Granted)


def test_slots_that_a_lost_pacer_had_granted_are_taken_in_again() -> None:
    site = Site(replace(LIMITS, concurrency=1))
    site.pacing.beat([(Visitor("a", "x:9:9", "x"), 0)], site.now)
    assert isinstance(site.ask()[1], Wait)


def test_a_rest_doubles_with_each_refusal_and_ends_with_an_answer() -> None:
    site, waits = Site(), []
    for verdict in ("refused", "refused", "refused", "answered", "refused", "other"):
        began = site.now
        site.attempt(verdict)
        waits.append(round(site.now - began))
    assert waits == [0, 2, 4, 8, 0, 2]


def test_attempts_that_meet_one_wall_together_count_once() -> None:
    site = Site()
    together = [site.ask()[0] for _ in range(4)]
    for visitor in together:
        site.pacing.end(visitor, VisitEnd("refused"), site.now)
    _, answer = site.ask()
    assert answer == Wait(2.0)


def test_a_site_that_asks_for_time_gets_it_within_the_limit() -> None:
    site = Site(replace(LIMITS, longest_wait=300.0))
    for asked, waited in ((40.0, 40), (7200.0, 300)):
        began = site.now
        site.attempt("refused", retry_after=asked)
        site.attempt("answered")
        assert round(site.now - began) == waited


POSTPONING = replace(LIMITS, postpone_after=3, backoff=0.0)


def test_after_the_limit_of_refusals_the_site_is_postponed_and_other_sites_are_not() -> None:
    site = Site(POSTPONING)
    lines = [site.attempt("refused") for _ in range(3)]
    assert lines[:2] == [None, None]
    assert lines[2] is not None and lines[2].startswith("a refused 3 sources in a row (media.download.postpone_after)")
    assert site.is_postponed() and not site.is_postponed("b")


def test_one_probe_is_admitted_after_the_pause_and_its_answer_opens_the_site() -> None:
    site = Site(POSTPONING)
    for _ in range(3):
        site.attempt("refused")
    site.now += CIRCUIT_PAUSE.seconds + 1
    probe, answer = site.ask()
    assert isinstance(answer, Granted) and site.is_postponed()
    site.pacing.end(probe, VisitEnd("answered"), site.now)
    assert not site.is_postponed()


def test_a_refused_probe_doubles_the_pause() -> None:
    site = Site(POSTPONING)
    for _ in range(3):
        site.attempt("refused")
    site.now += CIRCUIT_PAUSE.seconds + 1
    assert site.attempt("refused", is_last=False) is not None
    site.now += CIRCUIT_PAUSE.seconds + 1
    assert site.is_postponed()
    site.now += CIRCUIT_PAUSE.seconds
    assert not site.is_postponed()


def test_the_probe_of_a_killed_client_is_replaced() -> None:
    site = Site(POSTPONING)
    for _ in range(3):
        site.attempt("refused")
    site.now += CIRCUIT_PAUSE.seconds + 1
    site.ask()
    assert site.is_postponed()
    site.now += LEASE_SECONDS + 1
    assert not site.is_postponed()


def test_attempts_that_are_repeated_and_other_failures_are_no_refused_sources() -> None:
    site = Site(POSTPONING)
    for _ in range(5):
        site.attempt("refused", is_last=False)
        site.attempt("other")
    assert not site.is_postponed()


def test_an_answer_ends_the_row() -> None:
    site = Site(POSTPONING)
    for _ in range(5):
        site.attempt("refused")
        site.attempt("refused")
        site.attempt("answered")
    assert not site.is_postponed()


def test_as_many_sites_in_a_row_as_the_limit_postpone_every_site() -> None:
    site = Site(POSTPONING)
    for name in ("b", "c"):
        site.attempt("refused", name)
        site.attempt("refused", name)
    assert not site.is_postponed("z")
    site.attempt("refused", "d")
    _, answer = site.ask("z")
    assert isinstance(answer, Postponed) and answer.message.startswith("3 hosts in a row refused every source")


def test_refusals_of_one_machine_do_not_postpone_the_sources_of_another() -> None:
    site = Site(POSTPONING)
    for _ in range(3):
        site.attempt("refused")
    assert site.is_postponed(node="node") and not site.is_postponed(node="another")


def test_runs_that_share_a_state_share_the_pace_and_not_the_circuits() -> None:
    state = PacingState()
    one = Pacing(replace(POSTPONING, interval=9.0, postpone_after=1), state, "one")
    visitor = Visitor("a", "x:1:1", "x")
    assert isinstance(one.ask(visitor, 0.0), Granted)
    one.end(visitor, VisitEnd("refused"), 0.0)
    assert isinstance(one.ask(visitor, 20.0), Postponed)
    assert isinstance(Pacing(POSTPONING, state, "two").ask(visitor, 0.0), Wait)


def test_without_a_limit_nothing_is_postponed() -> None:
    site = Site(replace(LIMITS, postpone_after=0, backoff=0.0))
    for _ in range(100):
        site.attempt("refused")
    assert not site.is_postponed()


POOL = replace(LIMITS, accesses=3, by_proxy=True)


def _accesses(site: Site, times: int, name: str = "a") -> list[int]:
    answers = [site.ask(name)[1] for _ in range(times)]
    return [answer.access for answer in answers if isinstance(answer, Granted)]


def test_accesses_are_used_in_turn_or_one_for_each_site() -> None:
    assert _accesses(Site(POOL), 6) == [0, 1, 2, 0, 1, 2]
    by_site = Site(replace(POOL, rotation="by_site"))
    assert len(set(_accesses(by_site, 6))) == 1
    assert {_accesses(by_site, 1, f"site{n}")[0] for n in range(30)} == {0, 1, 2}


def test_a_refused_access_rests_at_that_site_and_the_others_go_on() -> None:
    site = Site(POOL)
    site.attempt("refused")
    assert _accesses(site, 4) == [1, 2, 1, 2]
    assert 0 in _accesses(site, 3, "b")
    site.now += LIMITS.backoff + 0.1
    assert 0 in _accesses(site, 3)


def test_an_access_that_can_not_be_reached_is_left_out_everywhere_for_a_while() -> None:
    site = Site(POOL)
    site.attempt("unreachable")
    assert set(_accesses(site, 6)) == set(_accesses(site, 6, "b")) == {1, 2}
    site.now += PROXY_REST.seconds + 1
    assert set(_accesses(site, 6)) == {0, 1, 2}


def test_sources_are_postponed_if_no_proxy_can_be_reached() -> None:
    site = Site(POOL)
    for _ in range(3):
        site.attempt("unreachable")
    _, answer = site.ask()
    assert answer == Postponed("none of 3 proxies can be reached (media.download.proxies)")


def test_a_proxy_whose_circuit_is_open_is_passed_over() -> None:
    site = Site(replace(POOL, accesses=2, postpone_after=1, backoff=0.0))
    site.attempt("refused")
    assert set(_accesses(site, 4)) == {1}
    site.attempt("refused")
    assert site.is_postponed()


def test_idle_sites_and_old_circuits_are_forgotten() -> None:
    state = PacingState()
    pacing = Pacing(POSTPONING, state)
    for n in range(50):
        visitor = Visitor(f"site{n}", f"x:1:{n}", "x")
        pacing.ask(visitor, 0.0)
        pacing.end(visitor, VisitEnd("answered" if n else "refused"), 0.0)
    pacing.forget_idle(10.0)
    assert list(state.sites) == ["site0"]
    pacing.forget_idle(100_000.0)
    assert not state.sites and not state.circuits
