"""Pages that mkdocs makes from the code: the API reference, the settings, the bounds on failures, the measurements.

mkdocs loads this file as a hook (`mkdocs.yml`). Nothing here is written into `docs/`, so nothing can go out of date.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

REPOSITORY = Path(__file__).parent.parent
PACKAGES = ("shards", "runtime", "curation", "training")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the reference pages to the navigation, a section for each package."""
    sections = [{package: [{name: path} for name, path, _ in _rooms(package)]} for package in PACKAGES]
    nav: list[Any] = config.nav or []
    nav.append({"API reference": sections})
    config.nav = nav
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Generate the pages."""
    for package in PACKAGES:
        for name, path, modules in _rooms(package):
            files.append(File.generated(config, path, content=_reference_page(name, modules)))
    files.append(File.generated(config, "settings.md", content=_settings_page()))
    for page, source in (("measurements.md", "bench/RESULTS.md"), ("extending.md", "CONTRIBUTING.md")):
        files.append(File.generated(config, page, content=(REPOSITORY / source).read_text(encoding="utf-8")))
    errors = (REPOSITORY / "docs/errors.md").read_text()
    files.remove(files.get_file_from_path("errors.md"))  # type: ignore[arg-type]
    files.append(File.generated(config, "errors.md", content=errors.replace("<!-- bounds -->", _bounds_table())))
    return files


def _rooms(package: str) -> list[tuple[str, str, list[str]]]:
    """Folders of a package in order: dotted name, page, and its modules that have something public."""
    rooms = []
    for folder in sorted([REPOSITORY / package, *(REPOSITORY / package).rglob("*/")]):
        modules = [path for path in sorted(folder.glob("*.py")) if path.stem != "__main__" and _has_docstring(path)]
        name = ".".join(folder.relative_to(REPOSITORY).parts)
        if modules:
            rooms.append((name, f"reference/{name}.md", [_module(path) for path in modules]))
    return rooms


def _module(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _has_docstring(path: Path) -> bool:
    return ast.get_docstring(ast.parse(path.read_text())) is not None


def _reference_page(name: str, modules: list[str]) -> str:
    options = "    options:\n      show_submodules: false\n"
    return f"# {name}\n\n" + "\n".join(f"::: {module}\n{options}" for module in modules)


def _settings_page() -> str:
    from curation.pipeline import settings_class
    from runtime.settings_page import settings_markdown
    from training.vidla.vidla_settings import VidlaSettings
    from training.vidlankd.vidlankd_settings import StudentSettings, TeacherSettings

    commands = {
        "curate run": settings_class(),
        "train-vidla": VidlaSettings,
        "train-vidlankd teacher": TeacherSettings,
        "train-vidlankd student": StudentSettings,
    }
    intro = (
        "# Settings\n\nEvery setting is changed with `--set NAME=VALUE`. `--print-config` prints the values that a "
        "command would use, with the same descriptions.\n"
    )
    return intro + "".join(f"\n## `{command}`\n\n{settings_markdown(cls)}\n" for command, cls in commands.items())


def _bounds_table() -> str:
    from runtime.retry_limits import as_markdown

    return as_markdown()
