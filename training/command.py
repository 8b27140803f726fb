"""How the commands of this package end: one line for a mistake, one for a fault, the exit status that scripts expect.

Nothing heavy is imported before an error has to be told apart: ``--help`` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable


def ended(program: str, action: Callable[[], int], *, resumable: bool = True) -> int:
    """Run `action`; its exit status, or that of the error it ended with.

    Args:
        program: name for messages.
        action: the work; returns an exit status.
        resumable: whether an interrupted run is told how to go on.

    Returns:
        What `action` returned; 1 the machine gave up, or a loss is no number; 2 a mistake in what was asked; 130
        interrupted.
    """
    from runtime.errors import MachineError, UserError, is_machine_fault
    from shards.errors import ShardError
    from training.engine.task import NonFiniteLoss

    try:
        return action()
    except (UserError, ShardError) as mistake:
        print(f"{program}: {mistake}", file=sys.stderr)
        return 2
    except (MachineError, NonFiniteLoss) as fault:
        print(f"{program}: stopped: {fault}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone (`… | head`)
        return 0
    except OSError as fault:
        if not is_machine_fault(fault):
            raise
        print(f"{program}: stopped: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        hint = "; --resume auto goes on from the last checkpoint" if resumable else ""
        print(f"{program}: interrupted{hint}", file=sys.stderr)
        return 130
