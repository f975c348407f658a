"""Every page of the site, as a browser shows it in a narrow window."""

from __future__ import annotations

from urllib.parse import unquote, urldefrag

PAGES = 50


def collected(visits, look):
    """Return what `look` finds on each page where it finds something."""
    return {address: found for address, visit in visits.items() if (found := look(visit))}


def test_all_pages_are_there(visits):
    assert len(visits) >= PAGES
    assert {"", "getting-started/", "faq/", "guide/", "api/readers/", "benchmarks/", "design/"} <= set(visits)


def test_no_link_is_broken(visits, base):
    def broken(visit):
        links = {link for link in visit.seen["links"] if link.startswith(base)}
        return sorted(link for link in links if not leads_somewhere(*urldefrag(link)))

    def leads_somewhere(url, fragment):
        target = visits.get(url.removeprefix(base))
        return target is not None and (not fragment or unquote(fragment) in target.seen["ids"])

    assert collected(visits, broken) == {}


def test_a_broken_link_would_be_found(visits):
    assert "no-such-page/" not in visits
    assert "which-reader" in visits["guide/"].seen["ids"]
    assert "no-such-heading" not in visits["guide/"].seen["ids"]


def test_no_page_writes_to_the_console(visits):
    assert collected(visits, lambda visit: visit.messages) == {}


def test_nothing_comes_from_another_host(visits, base):
    def elsewhere(visit):
        return [url for url in visit.requests if not url.startswith((base, "data:", "blob:"))] + visit.failed

    assert collected(visits, elsewhere) == {}


def test_all_images_load(visits):
    assert collected(visits, lambda visit: visit.seen["broken_images"]) == {}


def test_nothing_is_cut_off_at_the_right(visits):
    assert collected(visits, lambda visit: visit.seen["outside"]) == {}
    assert {visit.seen["scroll_width"] for visit in visits.values()} == {500}


def test_no_name_in_a_table_is_broken(visits):
    assert collected(visits, lambda visit: visit.seen["broken_names"]) == {}
