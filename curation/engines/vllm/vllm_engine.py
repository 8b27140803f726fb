"""vLLM in this process: its asynchronous engine behind `TextEngine`, with requests of several shards at once.

vLLM batches the requests of all callers continuously; the coroutine of each request stores its answer, so answers are
matched by key. An engine that dies is started again, and the requests without an answer are sent again.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.util
import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation.engines import process_lifetime, request_frames, request_images
from curation.engines.chat_messages import (
    PLAIN_TEMPLATE,
    ChatMessage,
    ContentPart,
    PilImagePart,
    answer_text,
    chat,
    has_chat_template,
    video_options,
)
from curation.engines.decisions import TOP_TOKENS, TokenProbability, decision
from curation.engines.engine_interface import Answer, Request, TokenUsage, refuse_shared_keys
from curation.engines.event_loop_thread import BackgroundLoop
from curation.engines.vllm.vllm_pooling import vector_answer
from curation.engines.vllm.vllm_settings import VllmSettings, check_arguments, engine_arguments, environment
from runtime.errors import MachineError, UserError, is_machine_fault, one_line
from runtime.log import get_logger
from runtime.models.model_uri import resolve
from runtime.retry_limits import ENGINE_RESTART_WAIT, ENGINE_RESTARTS

if TYPE_CHECKING:
    from PIL import Image
    from vllm.outputs import RequestOutput
    from vllm.sampling_params import SamplingParams

log = get_logger(__name__)


class _EngineLost(Exception):
    """The engine died, or could not be started again."""


class VllmEngine:
    """A `TextEngine` over vLLM's asynchronous engine; the constructor returns when the model is loaded.

    Raises:
        UserError: vLLM is not installed, an argument is unknown to it, or it can't serve the model.
        MachineError: the engine did not start (memory, GPU).
    """

    def __init__(self, settings: VllmSettings) -> None:
        check_installed()
        self._settings = settings
        self._path = str(resolve(settings.model).path)
        self._template = _template(settings, Path(self._path))
        self._usage = TokenUsage()
        self._numbers = itertools.count()
        self._engine: Any = None
        self._system_role = True
        self._background = BackgroundLoop("vllm-engine")
        try:
            self._background.wait(self._open())
        except BaseException:
            self._background.close(_nothing())
            raise

    async def generate(self, requests: Sequence[Request]) -> dict[str, Answer]:
        """Answer every request; may be awaited by many callers at once, from any event loop.

        `Answer.error` is ``too_long`` (prompt and `max_tokens` exceed the model's length), ``length`` (an answer with a
        schema was cut), ``timeout``, ``image: …`` or ``refused: …``.

        Raises:
            ValueError: two requests with the same key.
            MachineError: the engine died and could not be started again.
        """
        refuse_shared_keys(requests)
        return await self._background.run(self._generate(requests))

    def stats(self) -> TokenUsage:
        """Return the tokens and errors of all answers so far."""
        return self._usage

    def close(self) -> None:
        """Stop the engine and its processes; requests in flight are cancelled."""
        self._background.close(self._shut())

    async def _open(self) -> None:
        self._lock = asyncio.Lock()
        self._engine = _start(self._settings, self._path)
        decoded_together = self._engine.vllm_config.scheduler_config.max_num_seqs
        self._slots = asyncio.Semaphore(self._settings.in_flight or decoded_together * 5 // 4 + 1)
        self._max_len: int = self._engine.model_config.max_model_len
        self._system_role = await self._takes_system_role()

    async def _shut(self) -> None:
        engine, self._engine = self._engine, None  # vLLM's own __del__ fails once Python is ending
        if engine is not None:
            engine.shutdown()

    async def _generate(self, requests: Sequence[Request]) -> dict[str, Answer]:
        answers: dict[str, Answer] = {}
        reason = ""
        for _ in range(1 + ENGINE_RESTARTS.count):
            try:
                engine = await self._running()
                await self._answer_all(engine, [r for r in requests if r.key not in answers], answers)
                self._usage += TokenUsage.of(answers.values())
                return {request.key: answers[request.key] for request in requests}
            except _EngineLost as lost:
                reason = str(lost)
        raise MachineError(
            f"model {self._settings.model}: the engine died {1 + ENGINE_RESTARTS.count} times on the same requests "
            f"({reason})"
        )

    async def _running(self) -> Any:
        """Return the engine; start it again first if it has died (one caller does so, the others wait)."""
        async with self._lock:
            if self._engine.errored:
                log.warning("model %s: the engine died, starting it again", self._settings.model)
                self._engine.shutdown()
                await asyncio.sleep(ENGINE_RESTART_WAIT.seconds)
                try:
                    self._engine = _start(self._settings, self._path)
                except MachineError as error:
                    raise _EngineLost(str(error)) from error
            return self._engine

    async def _answer_all(self, engine: Any, requests: Sequence[Request], answers: dict[str, Answer]) -> None:
        """Fill `answers`; raise the first error, an error of the machine before a lost engine."""

        async def answer_one(request: Request) -> None:
            async with self._slots:
                answers[request.key] = await self._answer(engine, request)

        outcomes = await asyncio.gather(*(answer_one(request) for request in requests), return_exceptions=True)
        errors = [outcome for outcome in outcomes if outcome is not None]
        for error in sorted(errors, key=lambda error: isinstance(error, _EngineLost)):
            raise error

    async def _answer(self, engine: Any, request: Request) -> Answer:
        """Answer one request; raise only if the engine or the machine failed."""
        from vllm.exceptions import VLLMClientError
        from vllm.v1.engine.exceptions import EngineDeadError

        try:
            async with asyncio.timeout(self._settings.timeout):
                return await self._complete(engine, request)
        except TimeoutError:
            return Answer(request.key, error="timeout")
        except request_images.UnreadableImage as error:
            return Answer(request.key, error=f"image: {error}")
        except EngineDeadError as error:
            raise _EngineLost("its process ended") from error
        except VLLMClientError as error:
            too_long = getattr(error, "parameter", None) in ("input_tokens", "input_text")
            return Answer(request.key, error="too_long" if too_long else f"refused: {one_line(error)}")
        except Exception as error:
            if engine.errored:
                raise _EngineLost(one_line(error)) from error
            if is_machine_fault(error):
                raise
            return Answer(request.key, error=f"refused: {one_line(error)}")

    async def _complete(self, engine: Any, request: Request) -> Answer:
        images = [await asyncio.to_thread(request_images.load, image) for image in request.images]
        parts: list[ContentPart] = [_pil_part(image) for image in images]
        parts += await request_frames.frame_parts(request.frames, _pil_part)
        messages = chat(request, parts, system_role=self._system_role)
        prompt = await self._render(engine, messages, video_options(request.frames))
        length, makes_vectors = len(prompt["prompt_token_ids"]), self._settings.does == "makes vectors"
        if length + (0 if makes_vectors else request.max_tokens) > self._max_len:
            return Answer(request.key, error="too_long", prompt_tokens=length)
        if makes_vectors:
            return await vector_answer(engine, request.key, prompt, f"r{next(self._numbers)}")
        outputs = [
            output async for output in engine.generate(prompt, self._sampling(request), f"r{next(self._numbers)}")
        ]
        return _to_answer(request, outputs[-1])

    async def _render(
        self, engine: Any, messages: list[ChatMessage], video: dict[str, dict[str, Any]] | None = None
    ) -> Any:
        """Apply the chat template, tokenize and process the images; return the engine's own form of a prompt.

        Args:
            engine: vLLM's.
            messages: of the chat.
            video: options for reading a video in them.
        """
        from vllm.renderers.params import ChatParams

        template, adds_special_tokens = self._template
        params = ChatParams(
            chat_template=template,
            chat_template_kwargs={
                "add_generation_prompt": True,
                "tokenize": False,
                **self._settings.chat_template_kwargs,
            },
            media_io_kwargs=video,
        )
        tokens = engine.renderer.default_chat_tok_params.with_kwargs(add_special_tokens=not adds_special_tokens)
        _, (prompt,) = await engine.renderer.render_chat_async([messages], params, tokens)
        return prompt

    def _sampling(self, request: Request) -> SamplingParams:
        from vllm.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams

        return SamplingParams(
            temperature=request.temperature,
            max_tokens=1 if request.options else request.max_tokens,
            logprobs=TOP_TOKENS if request.options else None,
            seed=self._settings.seed if request.temperature > 0 else None,
            output_kind=RequestOutputKind.FINAL_ONLY,
            structured_outputs=StructuredOutputsParams(json=dict(request.schema)) if request.schema else None,
        )

    async def _takes_system_role(self) -> bool:
        """Return True if the chat template accepts a system message (Gemma's raises).

        Raises:
            UserError: the template fails without a system message too.
        """
        probe = Request("probe", system="a", user="b")
        try:
            await self._render(self._engine, chat(probe, []))
            return True
        except Exception as error:
            log.debug("no system role: %s", one_line(error))
        try:
            await self._render(self._engine, chat(probe, [], system_role=False))
            return False
        except Exception as error:
            self._engine.shutdown()
            raise UserError(
                f"model={self._settings.model!r}: its chat template fails ({one_line(error)}); set chat_template"
            ) from error


def check_installed() -> None:
    """Refuse to continue without vLLM.

    Raises:
        UserError: vLLM is not installed; names the command that installs it.
    """
    if importlib.util.find_spec("vllm") is None:
        raise UserError(
            "kind='vllm': the Python module vllm is not installed; without a GPU run: uv pip install -e '.[cpu]' "
            "--override requirements/cpu.override; with one: uv pip install -e '.[gpu]'"
        )


def _start(settings: VllmSettings, path: str) -> Any:
    """Start the engine's processes and load the model; called in the event loop that will use the engine.

    Raises:
        UserError: an argument is unknown to vLLM, or it can't serve the model.
        MachineError: the engine did not start.
    """
    for name, value in environment(settings, os.sched_getaffinity(0)).items():  # Linux is required
        os.environ.setdefault(name, value)
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.platforms import current_platform
    from vllm.usage.usage_lib import UsageContext
    from vllm.v1.engine.async_llm import AsyncLLM

    check_arguments(settings.engine, (field.name for field in dataclasses.fields(AsyncEngineArgs)))
    arguments = engine_arguments(settings, path, on_cpu=current_platform.is_cpu())
    with process_lifetime.owner():
        try:
            # With the defaults of offline use, vLLM favours throughput over the time to a first token.
            return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments), usage_context=UsageContext.LLM_CLASS)
        except (ValueError, TypeError, NotImplementedError) as error:
            raise UserError(f"model={settings.model!r}: vLLM can't serve it: {one_line(error)}") from error
        except (RuntimeError, OSError) as error:
            raise MachineError(
                f"model {settings.model}: vLLM did not start ({one_line(error)}); its own lines above say why"
            ) from error


def _template(settings: VllmSettings, folder: Path) -> tuple[str | None, bool]:
    """Return the chat template to use (None: the model's own), and True if it adds special tokens such as BOS."""
    if settings.chat_template is not None:
        return settings.chat_template, True
    own = has_chat_template(folder)
    return (None, True) if own else (PLAIN_TEMPLATE, False)


def _pil_part(image: Image.Image) -> PilImagePart:
    return PilImagePart(type="image_pil", image_pil=image)


def _to_answer(request: Request, output: RequestOutput) -> Answer:
    first = output.outputs[0]
    tokens = len(output.prompt_token_ids or ()), len(first.token_ids)
    if request.options:
        top = first.logprobs[0].values() if first.logprobs else ()
        return decision(request, [TokenProbability(each.decoded_token or "", each.logprob) for each in top], *tokens)
    text = answer_text(first.text, is_json=request.schema is not None)
    error = None
    if first.finish_reason not in ("stop", "length"):
        error = f"refused: {first.finish_reason}"
    elif first.finish_reason == "length" and request.schema:
        error = "length"
    return Answer(request.key, text, error, *tokens, ended_at_limit=first.finish_reason == "length")


async def _nothing() -> None:
    """Close an engine that never started."""
