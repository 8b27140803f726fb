"""Language models for judges that are asked outside a run: started in this process, closed at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from curation.engines.engine_registry import engine_for
from curation.grounding.judge import JudgeResources
from curation.stages.pipeline_settings import PipelineSettings
from curation.text.rewrite_settings import RewriteSettings
from runtime.log import get_logger
from runtime.ray_runner.stage import LocalService, Service

log = get_logger(__name__)


@contextmanager
def judge_resources(settings: PipelineSettings) -> Iterator[JudgeResources]:
    """Start the engines that the judges of a pipeline ask, and close them afterwards.

    Raises:
        UserError: a model can't be fetched or served.
        MachineError: an engine did not start.
    """
    rewrite = settings.branch(RewriteSettings)
    wanted = {name or rewrite.engine for name in rewrite.ground.engines().values()}
    started: dict[str, Service] = {}
    with ExitStack() as stack:
        for name in sorted(name for name in wanted if name is not None):
            log.info("starting %s", settings.engines[name].model_name)
            engine = engine_for(settings.engines[name])
            stack.enter_context(closing(engine))  # type: ignore[type-var]
            started[name] = LocalService(engine)
        yield JudgeResources(started, rewrite.engine)
