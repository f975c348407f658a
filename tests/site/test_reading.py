"""What a reader does on the site: search, dark mode, navigation, plots, tables, the API."""

from __future__ import annotations

import re

import pytest

from tests.site.windows import NARROW, WIDE

SIZES = pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])


def scheme(page):
    return page.locator("body").get_attribute("data-md-color-scheme")


def background(page):
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


@SIZES
def test_search_finds_evict(open_page, size):
    page = open_page("", size)
    if size == NARROW:
        page.locator("label.md-header__button[for=__search]").click()
    page.locator("input.md-search__input").click()
    page.locator("input.md-search__input").press_sequentially("evict")
    results = page.locator("a.md-search-result__link")
    results.first.wait_for()
    assert any("caching" in (link.get_attribute("href") or "") for link in results.all())
    results.first.click()
    page.wait_for_url("**/*h=*")
    assert "evict" in page.locator("article.md-content__inner").inner_text().lower()


@SIZES
def test_dark_mode_can_be_switched_on_and_stays(open_page, size):
    page = open_page("", size)
    light = background(page)
    assert scheme(page) == "default"
    page.get_by_title("Dark mode").click()
    assert scheme(page) == "slate"
    assert background(page) != light
    page.goto(page.url + "guide/")
    assert scheme(page) == "slate"
    page.get_by_title("Light mode").click()
    assert scheme(page) == "default"
    assert background(page) == light


def test_the_system_chooses_dark_mode_first(open_page):
    assert scheme(open_page("", scheme="dark")) == "slate"


@pytest.mark.parametrize("tab", ["Getting started", "Guide", "FAQ", "API", "Benchmarks", "Design"])
def test_tabs_lead_to_their_pages(open_page, tab):
    page = open_page("")
    page.locator(".md-tabs").get_by_role("link", name=tab, exact=True).click()
    page.get_by_role("heading", level=1, name=tab).wait_for()


def test_the_menu_of_a_narrow_window_leads_to_a_guide(open_page):
    page = open_page("guide/", NARROW)
    page.locator("label.md-header__button[for=__drawer]").click()
    menu = page.locator(".md-sidebar--primary")
    menu.get_by_text("Wrap stores", exact=True).first.click()
    menu.get_by_role("navigation", name="Wrap stores").get_by_role("link", name="Caching", exact=True).click()
    page.get_by_role("heading", level=1, name="Caching").wait_for()


@SIZES
def test_plots_are_shown_as_large_as_the_page_allows(open_page, size):
    page = open_page("benchmarks/", size)
    plot = page.locator("article img").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert plot.get_attribute("src").endswith(".svg")
    assert 440 <= box["width"] <= size["width"]
    assert box["x"] + box["width"] <= size["width"]


def test_the_figures_below_a_plot_can_be_unfolded(open_page):
    page = open_page("benchmarks/", NARROW)
    fold = page.locator("article details").first
    assert not fold.locator("table").is_visible()
    fold.locator("summary").click()
    fold.locator("table").wait_for()


def test_a_table_wider_than_the_page_scrolls(open_page):
    page = open_page("guide/readers/", NARROW)
    box = page.locator("article .md-typeset__scrollwrap").first
    assert box.is_visible()
    last = box.locator("th").last
    assert last.bounding_box()["x"] + last.bounding_box()["width"] > NARROW["width"]
    box.evaluate("box => box.scrollLeft = 10_000")
    assert 0 < last.bounding_box()["x"] + last.bounding_box()["width"] <= NARROW["width"]


def signature_of(page, name):
    """Return the signature below a heading with that id."""
    return (
        page.locator(f'[id="{name}"]')
        .locator("xpath=following::div[contains(@class, 'doc-signature')][1]")
        .inner_text()
    )


def test_open_reader_is_the_first_of_the_readers_and_has_types_and_defaults(open_page):
    page = open_page("api/readers/")
    assert page.locator("article h2").first.inner_text().split()[0] == "open_reader"
    lines = [line.strip() for line in signature_of(page, "obspec_utils.readers.open_reader").splitlines()]
    assert "store: Get," in lines
    assert "memory: int = 64 * 1024 * 1024," in lines
    assert 'check_version: CheckVersion = "auto",' in lines


def test_defaults_are_shown_by_their_values(open_page):
    signature = signature_of(open_page("api/readers/"), "obspec_utils.readers.EagerStoreReader")
    assert "request_size: int = 12 * 1024 * 1024," in signature
    assert "max_concurrent_requests: int = 18," in signature


def test_methods_are_shown_with_the_class_that_inherits_them(visits):
    for name in ("EagerStoreReader", "ParallelStoreReader", "BlockStoreReader", "BufferedStoreReader"):
        for method in ("read", "readinto", "seek", "stats"):
            assert f"obspec_utils.readers.{name}.{method}" in visits["api/readers/"].seen["ids"]
    for name in ("CachingReadableStore", "SplittingReadableStore", "CoalescingReadableStore"):
        for method in ("get", "get_async", "get_range", "get_ranges", "head"):
            assert f"obspec_utils.wrappers.{name}.{method}" in visits["api/wrappers/"].seen["ids"]


def test_the_api_names_nothing_private(visits):
    shown = {address: visit.seen["signatures"] for address, visit in visits.items() if visit.seen["signatures"]}
    assert len(shown) > 10
    private = {
        address: re.findall(r"(?<![\w.])_\w+|\bStoreReader\b|\bStoreWrapper\b", text) for address, text in shown.items()
    }
    assert {address: names for address, names in private.items() if names} == {}
