"""What an index is told of the package: hatch_build.py, and the version, which is written once."""

from __future__ import annotations

import re

import pytest
from links import ROOT

import xpmlp

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def metadata(monkeypatch):
    """What hatchling builds of pyproject.toml, as in a checkout or as in the workflow of a repository."""
    core = pytest.importorskip("hatchling.metadata.core")
    manager = pytest.importorskip("hatchling.plugin.manager")

    def build(repository=None):
        monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
        monkeypatch.delenv("GITHUB_SERVER_URL", raising=False)
        if repository:
            monkeypatch.setenv("GITHUB_REPOSITORY", repository)
        return core.ProjectMetadata(str(ROOT), manager.PluginManager()).core

    return build


def test_in_a_checkout_the_readme_stays_as_it_is_and_no_address_is_made_up(metadata):
    built = metadata()
    assert built.readme == README
    assert built.urls == {}


def test_in_a_repository_every_link_and_picture_of_the_readme_leads_to_its_release(metadata):
    built = metadata("someone/xpmlp")
    targets = re.findall(r"\]\(([^)]+)\)", built.readme) + re.findall(r'(?:src|srcset)="([^"]+)"', built.readme)
    assert len(targets) > 15
    assert all(target.startswith("https://") for target in targets)
    tag = f"https://github.com/someone/xpmlp/blob/v{xpmlp.__version__}"
    assert f"{tag}/docs/estimators.md#on-a-gpu" in targets
    assert built.urls["Source"] == "https://github.com/someone/xpmlp"
    assert built.urls["Changelog"] == f"{tag}/CHANGELOG.md"
    for label, address in built.urls.items():
        path = address.removeprefix(tag).lstrip("/")
        assert not address.startswith(tag) or (ROOT / path).exists(), label


def test_the_version_is_that_of_the_package(metadata):
    assert metadata().name == "xpmlp"
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"{xpmlp.__version__}"' not in pyproject
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[{re.escape(xpmlp.__version__)}\] - \d{{4}}-\d\d-\d\d$", changelog, flags=re.MULTILINE)
