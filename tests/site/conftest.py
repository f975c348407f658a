"""The built site on a local server, and a browser that opens it."""

from __future__ import annotations

import os
import shutil
import threading
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tests.site.windows import NARROW, WIDE

SITE = Path(__file__).parents[2] / "site"
PATIENCE = 120_000  # milliseconds, to catch hangs only
# As root, without a screen, and without requests of the browser's own.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# What a page shows, and what of its text is to the right of the window, outside of boxes that scroll.
LOOK = """() => {
  const scrolls = element => {
    for (let box = element; box; box = box.parentElement)
      if (["auto", "scroll"].includes(getComputedStyle(box).overflowX)) return true
    return false
  }
  const all = selector => [...document.querySelectorAll(selector)]
  const shown = all("article *").filter(element => element.checkVisibility() && element.getClientRects().length)
  const right = document.documentElement.clientWidth + 1
  return {
    links: all("a[href]").map(link => link.href),
    ids: all("[id]").map(element => element.id),
    broken_images: all("img").filter(image => !image.naturalWidth).map(image => image.src),
    outside: shown.filter(element => element.getBoundingClientRect().right > right && !scrolls(element))
      .map(element => element.outerHTML.slice(0, 200)),
    broken_names: all("td code, th code")
      .filter(code => /^\\w+$/.test(code.textContent) && code.getClientRects().length > 1)
      .map(code => code.textContent),
    signatures: all("article .doc-signature, article .doc-heading").map(element => element.innerText).join("\\n"),
    scroll_width: document.documentElement.scrollWidth,
  }
}"""


@dataclass
class Visit:
    """What a page showed in a narrow window, and what it did: messages in the console, and requests."""

    messages: list[str]
    requests: list[str]
    failed: list[str]
    seen: dict


class QuietHandler(SimpleHTTPRequestHandler):
    """Serve files without a log."""

    def log_message(self, *_):
        """Write nothing."""


@pytest.fixture(scope="session")
def base():
    """The address of the site, which ends with a slash."""
    assert (SITE / "index.html").exists(), f"{SITE} is not built: run `make docs`"
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(SITE))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def chromium():
    """Return the path of the browser, and the environment that it runs in."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    path = Path(found or "chromium").absolute()
    if not path.exists():
        reason = "No Chromium: install it, or set CHROMIUM to its path."
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    # Debian's packages, unpacked into a folder, have their libraries there.
    libraries = [str(folder) for part in ("", "/pulseaudio") for folder in path.parents[1].glob(f"*-linux-gnu{part}")]
    return path, {**os.environ, **({"LD_LIBRARY_PATH": ":".join(libraries)} if libraries else {})}


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium."""
    path, environment = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS, env=environment)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, base):
    """Open a page of the site in a window of its own."""
    contexts = []

    def open_page(path, size=WIDE, scheme="light"):
        contexts.append(browser.new_context(viewport=size, color_scheme=scheme))
        contexts[-1].set_default_timeout(PATIENCE)
        page = contexts[-1].new_page()
        page.goto(base + path)
        return page

    yield open_page
    for context in contexts:
        context.close()


def addresses():
    """Return the paths of all pages."""
    pages = [page.relative_to(SITE).as_posix() for page in SITE.rglob("*.html") if page.name != "404.html"]
    return sorted(page.removesuffix("index.html") for page in pages)


@pytest.fixture(scope="session")
def visits(browser, base):
    """All pages, each opened once in a narrow window."""
    found = {}
    with browser.new_context(viewport=NARROW) as context:
        context.set_default_timeout(PATIENCE)
        for address in addresses():
            page = context.new_page()
            visit = found[address] = Visit([], [], [], {})
            page.on("console", lambda message, visit=visit: visit.messages.append(message.text))
            page.on("pageerror", lambda error, visit=visit: visit.messages.append(str(error)))
            page.on("request", lambda request, visit=visit: visit.requests.append(request.url))
            page.on("requestfailed", lambda request, visit=visit: visit.failed.append(request.url))
            page.goto(base + address)
            visit.seen.update(page.evaluate(LOOK))
            page.close()
    return found
