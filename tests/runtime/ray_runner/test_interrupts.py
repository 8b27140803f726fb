"""SIGTERM ends a command as Ctrl-C does, whoever else sets a handler meanwhile."""

from __future__ import annotations

import os
import signal
import time

import pytest

from curation import cli
from runtime.ray_runner.interrupts import InterruptFlag, own_sigterm_handler, sigterm_as_ctrl_c

NUMBERS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@NUMBERS
def test_a_command_ends_with_status_130_and_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    def waits(_: object) -> int:
        os.kill(os.getpid(), number)
        time.sleep(20)
        return 0

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setitem(cli._COMMANDS, "status", waits)
    assert cli.main(["status", "nowhere"]) == 130
    assert capsys.readouterr().err.startswith("curate: interrupted; ")
    assert signal.getsignal(signal.SIGTERM) == before


@NUMBERS
def test_an_interrupt_in_a_run_waits_for_the_next_poll_and_later_ones_do_nothing(number: signal.Signals) -> None:
    flag = InterruptFlag()
    with flag.caught():
        flag.check()
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        with pytest.raises(KeyboardInterrupt):
            flag.check()


def test_a_handler_that_ray_sets_is_replaced_by_the_program_s_own() -> None:
    with sigterm_as_ctrl_c():
        with own_sigterm_handler():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)


def test_without_a_handler_of_its_own_ray_s_is_kept() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with own_sigterm_handler():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
