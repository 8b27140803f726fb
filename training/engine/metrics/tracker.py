"""A run's metrics in a service beside the files of its folder; today Weights & Biases (`tracking.service=wandb`).

The service's own package is imported only if a run asks for it. Its key comes from its own configuration (`wandb
login`, or the variable WANDB_API_KEY) and passes through nothing here; messages that might repeat it are cleared of it.
"""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from uuid import uuid4

from runtime.errors import UserError, one_line
from training.engine.engine_settings import TrackingSettings

if TYPE_CHECKING:
    import wandb

_RUN_ID: Final = "wandb-run-id"
"""File in a run's folder with the name of its run at the service, which a resumed run continues."""
_KEY: Final = "WANDB_API_KEY"


class Tracker(Protocol):
    """A service that shows the metrics of a run."""

    def write(self, step: int, values: Mapping[str, float], kind: str) -> None:
        """Add the values of a step, named ``kind/name``."""
        ...

    def close(self) -> None:
        """Send what is left, and end."""
        ...


def check_tracking(settings: TrackingSettings) -> None:
    """Refuse a service whose package is missing, before a run starts.

    Raises:
        UserError: it is not installed.
    """
    if settings.service is not None and importlib.util.find_spec(settings.service) is None:
        raise UserError(
            f"tracking.service={settings.service}: the package {settings.service} is not installed; "
            f"pip install {settings.service}, or leave the setting out"
        )


def open_tracker(folder: Path, settings: TrackingSettings, values: Mapping[str, Any]) -> Tracker | None:
    """Return the tracker of a run, or None if its settings name no service.

    Args:
        folder: the run's folder.
        settings: the service.
        values: all settings of the run, to show beside its metrics.

    Raises:
        UserError: the service's package is missing, or it does not let us in.
    """
    if settings.service is None:
        return None
    check_tracking(settings)
    return _WandbTracker(folder, settings, values)


class _WandbTracker:
    """A run at Weights & Biases, or in offline mode a folder `wandb` that `wandb sync` sends later."""

    def __init__(self, folder: Path, settings: TrackingSettings, values: Mapping[str, Any]) -> None:
        import wandb

        kept = folder / _RUN_ID
        if not kept.exists():
            kept.write_text(uuid4().hex, encoding="utf-8")
        try:
            self._run: wandb.Run = wandb.init(
                project=settings.project,
                name=settings.name or folder.name,
                id=kept.read_text(encoding="utf-8").strip(),
                resume="allow",
                dir=str(folder),
                mode=settings.mode,
                config=dict(values),
                settings=wandb.Settings(console="off", silent=True, disable_git=True, save_code=False),
            )
        except wandb.Error as error:
            raise UserError(
                f"tracking.service=wandb: {_without_key(one_line(error))}; log in with `wandb login`, set {_KEY}, "
                "or take tracking.mode=offline"
            ) from None
        self._run.define_metric("*", step_metric="step")  # a resumed run may go back some steps

    def write(self, step: int, values: Mapping[str, float], kind: str) -> None:
        finite = {f"{kind}/{name}": value for name, value in values.items() if math.isfinite(value)}
        self._run.log({"step": step, **finite})

    def close(self) -> None:
        self._run.finish()


def _without_key(text: str) -> str:
    key = os.environ.get(_KEY)
    return text.replace(key, "***") if key else text
