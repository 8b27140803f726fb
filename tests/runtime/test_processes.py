"""Child processes: time limits, groups, fate shared with the parent, what is kept of their output."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from support.processes import still_running
from support.waiting import PATIENCE

from runtime.errors import MachineError
from runtime.processes import ProcessFailed, ProcessTimeout, ffmpeg_binary, kill, run, start

SH = "/bin/sh"


def _stopped(script: str, pid_file: Path) -> list[psutil.Process]:
    """Run a shell script that writes a process id and does not end in time; that process, where it still runs.

    A busy machine may take longer than the first limit until the script has written: then it is given more.
    """
    for seconds in (0.5, 5.0, 50.0):
        with pytest.raises(ProcessTimeout):
            run([SH, "-c", script.format(pid_file)], timeout=seconds)
        if pid_file.exists() and (pid := pid_file.read_text().strip()):
            return [process for process in psutil.process_iter() if process.pid == int(pid)]
    pytest.fail("the script never got as far as writing its process id")


def test_output_and_the_end_of_the_errors_are_returned() -> None:
    done = run([SH, "-c", "echo out; echo err >&2"], timeout=PATIENCE)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"out\n", "err\n")


def test_arguments_are_not_read_by_a_shell() -> None:
    assert run(["/bin/echo", "$(id); *"], timeout=PATIENCE).stdout == b"$(id); *\n"


def test_there_is_no_standard_input() -> None:
    assert run(["/bin/cat"], timeout=PATIENCE).stdout == b""


def test_a_failure_carries_status_and_last_line() -> None:
    with pytest.raises(ProcessFailed, match="sh ended with status 3: why") as caught:
        run([SH, "-c", "echo because >&2; echo why >&2; exit 3"], timeout=PATIENCE)
    assert caught.value.returncode == 3
    assert caught.value.stderr_tail == "because\nwhy\n"


def test_a_failure_is_returned_if_it_is_not_checked() -> None:
    assert run([SH, "-c", "exit 3"], timeout=PATIENCE, check=False).returncode == 3


def test_a_full_disk_is_the_machines_fault() -> None:
    with pytest.raises(MachineError, match="No space left on device"):
        run([SH, "-c", "echo 'x.mp4: No space left on device' >&2; exit 1"], timeout=PATIENCE)


def test_a_missing_program_is_the_machines_fault() -> None:
    with pytest.raises(MachineError, match="no-such-program can't be started: No such file"):
        run(["/no-such-program"], timeout=PATIENCE)


def test_only_the_end_of_long_errors_is_kept() -> None:
    done = run([SH, "-c", "yes error | head -c 1000000 >&2; echo last >&2"], timeout=PATIENCE)
    assert done.stderr.endswith("last\n")
    assert len(done.stderr) <= 16 * 1024


def test_too_much_output_ends_the_process() -> None:
    with pytest.raises(ProcessFailed, match="wrote more than 1000 bytes"):
        run(["yes"], timeout=PATIENCE, max_output=1000)


def test_the_whole_group_is_killed_when_time_is_up(tmp_path: Path) -> None:
    assert still_running(_stopped("sleep 600 & echo $! > {}; wait", tmp_path / "pid")) == []


def test_a_grandchild_that_holds_the_pipes_can_not_hold_up_the_caller(tmp_path: Path) -> None:
    assert still_running(_stopped("sleep 600 & echo $! > {}", tmp_path / "pid")) == []


def test_kill_ends_a_started_process() -> None:
    process = start(["sleep", "600"])
    kill(process)
    assert process.returncode == -signal.SIGKILL
    kill(process)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a child die with its parent")
def test_a_child_dies_when_its_parent_is_killed() -> None:
    code = (
        "from runtime.processes import start; import time\n"
        "print(start(['sleep', '600']).pid, flush=True); time.sleep(600)"
    )
    root = Path(__file__).parent.parent.parent
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(root)}
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert still_running([child]) == []


def test_the_ffmpeg_found_has_libx264() -> None:
    assert b"libx264" in run([ffmpeg_binary(), "-hide_banner", "-encoders"], timeout=PATIENCE).stdout
