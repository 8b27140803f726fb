"""The check that an engine takes as many pictures in one request as a stage puts into it. Pure."""

from __future__ import annotations

from curation.stages.pipeline_settings import PipelineSettings


def check_pictures(settings: PipelineSettings, user: str, engine: str | None, asked: tuple[int, int]) -> None:
    """Refuse requests that hold more pictures than their engine takes.

    Args:
        settings: of the pipeline.
        user: setting that names the engine.
        engine: its name; None if there is none.
        asked: most images and most videos in one request.

    Raises:
        ValueError: names both settings and the remedy.
    """
    taken = None if engine is None else settings.engines[engine].pictures_per_prompt
    for name, wanted, most in zip(("images", "videos"), asked, taken or (), strict=False):
        if wanted > most:
            setting = f"engines.{engine}.{name}_per_prompt"
            raise ValueError(f"{setting}={most}: {user}={engine!r} asks for {wanted}; set {setting}={wanted}")
