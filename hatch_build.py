"""The parts of the package's metadata that need the repository's address, which the workflow that releases knows.

Links of the README are relative, as they are read in a checkout too; on the page of the index they need the address.
Without one, in a checkout or a source archive, the README stays as it is and no address is named.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

PAGES = {"Documentation": "docs/index.md", "Changelog": "CHANGELOG.md"}


def with_addresses(text: str, repository: str, version: str) -> str:
    """Give a README whose relative links and pictures lead into the repository, at the tag of a version."""
    text = re.sub(r"\]\((?!\w+:|#)", f"]({repository}/blob/v{version}/", text)
    return re.sub(r'(src|srcset)="(?!\w+:)', rf'\1="{repository}/raw/v{version}/', text)


class RepositoryMetadata(MetadataHookInterface):
    """What hatchling asks for the long description and the addresses."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Fill in the README, and the addresses where there is one."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        name = os.environ.get("GITHUB_REPOSITORY")
        urls = {}
        if name:
            repository = f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{name}"
            text = with_addresses(text, repository, metadata["version"])
            urls = {"Source": repository, "Issues": f"{repository}/issues"}
            urls |= {label: f"{repository}/blob/v{metadata['version']}/{page}" for label, page in PAGES.items()}
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
        metadata["urls"] = urls
