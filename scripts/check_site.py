"""Check the built site: every link and picture of every page leads to a file and an anchor that are there.

    sphinx-build -W docs build/site
    python scripts/check_site.py build/site

Nothing outside the site is asked for; pages that load anything from elsewhere are named too.
"""

from __future__ import annotations

import argparse
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["main", "problems"]

LOADED = {"img", "link", "script", "iframe", "source"}  # what a browser fetches without a click
NOT_LOADED = {"canonical", "author", "license", "next", "prev", "search", "index"}  # kinds of <link> that it does not


class _Page(HTMLParser):
    """The anchors of a page, and the addresses that it links to or loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors = {"", "top"}
        self.targets: list[tuple[str, bool]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.anchors |= {value for name in ("id", "name") if (value := values.get(name))}
        loaded = tag in LOADED and values.get("rel") not in NOT_LOADED
        self.targets += [(value, loaded) for name in ("href", "src") if (value := values.get(name))]


def problems(site: Path) -> Iterator[str]:
    """Yield a line for each address that leads nowhere, or that is loaded from elsewhere."""
    pages = {path.resolve(): _Page(path) for path in sorted(site.rglob("*.html")) if "_static" not in path.parts}
    if not pages:
        yield f"{site}: no page"
    for path, page in pages.items():
        name = path.relative_to(site.resolve())
        for address, loaded in page.targets:
            parts = urlsplit(address)
            if parts.scheme == "data":
                continue
            if parts.scheme or parts.netloc:
                if loaded:
                    yield f"{name}: {address} is loaded from elsewhere"
                continue
            found = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not found.exists():
                yield f"{name}: {address} leads to no file"
            elif found in pages and unquote(parts.fragment) not in pages[found].anchors:
                yield f"{name}: {address} leads to no anchor"


def main(arguments: list[str] | None = None) -> int:
    """Print what is wrong with a site, and say by the exit code whether anything is."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("site", type=Path, help="the folder that sphinx-build has written")
    site = parser.parse_args(arguments).site
    found = sorted(set(problems(site)))
    print(*found, f"{len(found)} problems", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
