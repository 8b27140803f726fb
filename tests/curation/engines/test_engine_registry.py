"""The registered kinds of engine: which settings and which engine belong to each `kind`."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fake_llm import FakeLLM

from curation.engines.endpoint.openai_endpoint import EndpointEngine, EndpointSettings
from curation.engines.engine_registry import ENGINE_KINDS, AnyEngineSettings, engine_for
from curation.engines.engine_settings import EngineSettings
from curation.engines.vllm.vllm_settings import VllmSettings
from runtime.errors import UserError
from runtime.settings import Settings, build


class OneEngine(Settings):
    engine: AnyEngineSettings


def read(**values: object) -> EngineSettings:
    return build(OneEngine, {"engine": values}, "").engine


def test_the_kind_decides_on_the_class_of_the_settings() -> None:
    assert isinstance(read(kind="vllm", model="path:///m"), VllmSettings)
    assert isinstance(read(kind="endpoint", model="m", base_url="http://h/v1"), EndpointSettings)


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"engine.*'vlm'.*'vllm', 'endpoint'"):
        read(kind="vlm", model="m")


def test_a_misspelt_setting_is_refused_with_the_nearest_of_its_kind() -> None:
    with pytest.raises(UserError, match=r"^engine\.base_ur: no such setting \(did you mean 'base_url'\?\)"):
        read(kind="endpoint", model="m", base_url="http://h/v1", base_ur="x")


def test_every_kind_has_a_name_of_its_own() -> None:
    names = [kind.settings.model_fields["kind"].default for kind in ENGINE_KINDS]
    assert names == ["vllm", "endpoint", "detector"]
    assert len(set(names)) == len(names)


def test_the_engine_of_the_kind_is_started() -> None:
    with FakeLLM() as server:
        engine = engine_for(read(kind="endpoint", model="m", base_url=server.url))
        assert isinstance(engine, EndpointEngine)
        engine.close()


def test_a_local_model_is_named_and_hashed_by_its_uri_and_a_served_one_by_its_name(tmp_path: Path) -> None:
    local, served = read(kind="vllm", model=f"path://{tmp_path}"), read(kind="endpoint", model="m", base_url="http://h")
    assert (local.model_name, local.local_model) == (tmp_path.name, f"path://{tmp_path}")
    assert (served.model_name, served.local_model) == ("m", None)
    assert local.identity()[1] is not None
    assert served.identity()[1] is None
