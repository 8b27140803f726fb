"""Uploads to a repository of the model hub, by the hub's own client: the target, the token, and plain errors.

The client's environment variables (``HF_ENDPOINT``, ``HF_TOKEN``) choose the hub and the token. An upload that was
interrupted is continued: files that the hub has are not sent again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from runtime.errors import MachineError, UserError, one_line
from runtime.retry_limits import HUB_UPLOAD_ATTEMPTS, HUB_UPLOAD_BACKOFF
from runtime.retry_loop import with_retries

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_TARGET: Final = re.compile(r"hub:([A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})", re.ASCII)


@dataclass(frozen=True)
class HubTarget:
    """A repository to upload to."""

    repository: str
    """``org/name``."""
    kind: Literal["dataset", "model"]
    private: bool = False
    """Create it as a private one, and refuse one that is public."""
    revision: str | None = None
    """Branch to write, created if it is not there; None: the default branch."""

    @classmethod
    def parse(
        cls, text: str, kind: Literal["dataset", "model"], *, private: bool = False, revision: str | None = None
    ) -> HubTarget:
        """Read ``hub:org/name``.

        Raises:
            UserError: it is written in another way, or the hub allows no such name.
        """
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

        if (found := _TARGET.fullmatch(text)) is None:
            raise UserError(f"--push {text}: write hub:ORG/NAME, the {kind} repository on the model hub")
        try:
            validate_repo_id(found[1])
        except HFValidationError as error:
            raise UserError(f"--push {text}: the hub allows no such name ({one_line(error, keep='first')})") from None
        return cls(found[1], kind, private, revision)

    @property
    def flag(self) -> str:
        """The flag as the user wrote it, for messages."""
        return f"--push hub:{self.repository}"

    def page(self, endpoint: str) -> str:
        """Return the address of its page on a hub."""
        return f"{endpoint}/{'datasets/' if self.kind == 'dataset' else ''}{self.repository}"


def check_token(target: HubTarget) -> None:
    """Ask the hub for the owner of the token, before anything is written.

    Raises:
        UserError: there is no token, or the hub refuses it.
        MachineError: the hub can't be reached.
    """
    from huggingface_hub import HfApi, get_token

    token = get_token()
    if token is None:
        raise UserError(f"{target.flag}: no token of the hub; set HF_TOKEN, or log in with `hf auth login`")
    if not (token.isascii() and token.isprintable()):
        raise UserError(f"{target.flag}: the token holds characters that no token of the hub has; set HF_TOKEN anew")
    with plain_errors(target):
        HfApi().whoami()


def upload_with_retries(target: HubTarget, upload_once: Callable[[HfApi], None]) -> str:
    """Run an upload, again after a fault that may pass, and return the address of the repository's page.

    Args:
        target: the repository; it is created if it is not there.
        upload_once: sends the files; it may be called again.

    Raises:
        UserError: the token may not do that, or the repository is public but a private one was asked for.
        MachineError: the hub can't be reached, or fails again and again.
    """
    from huggingface_hub import HfApi

    def attempt() -> str:
        api = HfApi()
        _prepare_repository(api, target)
        upload_once(api)
        return target.page(api.endpoint)

    with plain_errors(target):
        return with_retries(attempt, HUB_UPLOAD_ATTEMPTS, HUB_UPLOAD_BACKOFF, passes=_may_pass)


def _prepare_repository(api: HfApi, target: HubTarget) -> None:
    """Create the repository and the branch if they are not there."""
    name = target.repository
    api.create_repo(name, repo_type=target.kind, private=True if target.private else None, exist_ok=True)
    if target.private and not api.repo_info(name, repo_type=target.kind).private:
        raise UserError(
            f"{target.flag}: is public, and --private was asked for; make it private on the hub, or choose another name"
        )
    if target.revision is not None:
        api.create_branch(name, branch=target.revision, repo_type=target.kind, exist_ok=True)


def _may_pass(error: Exception) -> bool:
    """Return True for a fault of the network or the hub, after which another attempt may succeed."""
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in (408, 409, 429) or error.response.status_code >= 500
    return _is_network_fault(error)


def _is_network_fault(error: Exception) -> bool:
    """Return True for an error of the client's HTTP library (its package changed with each version) or its uploader."""
    named = {kind.__name__ for kind in type(error).__mro__}
    return bool(named & {"TransportError", "ConnectionError", "TimeoutError", "RuntimeError"})


@contextmanager
def plain_errors(target: HubTarget) -> Iterator[None]:
    """Convert errors of the hub's client; of their messages little is shown, as they may quote headers."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except HfHubHTTPError as error:
        raise _http_error(target, error.response.status_code, error) from None
    except (UserError, MachineError):
        raise
    except Exception as error:
        if type(error).__name__ == "XetAuthenticationError":  # of hf_xet, which only the client imports
            raise _http_error(target, 401, error) from None
        if not _is_network_fault(error):
            raise
        raise MachineError(
            f"{target.flag}: the hub can't be reached ({type(error).__name__}); the same command continues the upload"
        ) from None


def _http_error(target: HubTarget, status: int, error: Exception) -> UserError | MachineError:
    """Return the plain form of an answer of the hub."""
    from huggingface_hub import get_token

    match status:
        case 401:
            return UserError(f"{target.flag}: the hub refuses the token; set HF_TOKEN to a valid one with write access")
        case 403 | 404:
            return UserError(
                f"{target.flag}: the token may not write there ({status}); use one with write access to the "
                "repository's owner, and check the name"
            )
        case _ if _may_pass(error):
            return MachineError(
                f"{target.flag}: the hub answers with status {status}; the same command continues the upload"
            )
    words = one_line(error, keep="last").replace(get_token() or "\0", "***")
    return UserError(f"{target.flag}: the hub refuses the upload ({status}: {words})")
