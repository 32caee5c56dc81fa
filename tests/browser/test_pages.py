"""Each page in each look: accessible by axe and by computed contrast, quiet, narrow, named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.driving import Watch
from tests.browser.tour import PHONE_SIZE, PLACES, Place, Tour

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CONTRAST = (Path(__file__).parent / "contrast.js").read_text("utf-8")
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
#: The narrowest page that must not scroll sideways: 1280 px at 400 % zoom.
NARROWEST = 320


@pytest.mark.parametrize("place", PLACES, ids=[place.name for place in PLACES])
def test_page(place: Place, tour: Tour, watch: Watch) -> None:
    page = tour.open(place, "desktop", watch)
    try:
        _has_a_name_and_one_heading(page)
        _is_accessible(page)
        if "dark" in place.looks:
            page.emulate_media(color_scheme="dark")
            _is_accessible(page)
        page.set_viewport_size(PHONE_SIZE)
        _is_accessible(page)
        _fits(page)
    finally:
        page.context.close()


def _has_a_name_and_one_heading(page: Page) -> None:
    assert page.locator("html").get_attribute("lang") == "it"
    assert re.fullmatch(r"(\(\d+\) )?\S.* - \S.*", page.title()), page.title()
    assert page.locator("h1").count() == 1
    assert page.locator("main").count() == 1


def _is_accessible(page: Page) -> None:
    found = Axe().run(page, options=WCAG).response
    assert len(found["passes"]) > 10, "axe saw next to nothing"
    assert not found["violations"], _told(found["violations"])
    open_questions = [one for one in found["incomplete"] if one["id"] == "color-contrast"]
    selectors = [node["target"][0] for one in open_questions for node in one["nodes"]]
    weak = {selector: answer for selector in selectors if (answer := _weak(page, selector))}
    assert not weak, f"too little contrast: {weak}"


def _weak(page: Page, selector: str) -> dict[str, float] | None:
    """Return the contrast of an element where it is too weak."""
    answer: dict[str, float] = page.evaluate(f"({CONTRAST})({selector!r})")
    return None if answer.get("ratio", 0) >= answer.get("needed", 1) else answer


def _fits(page: Page) -> None:
    page.set_viewport_size({"width": NARROWEST, "height": 640})
    width = page.evaluate("document.scrollingElement.scrollWidth")
    assert width <= NARROWEST, f"{width} px wide"


def _told(violations: list[dict[str, Any]]) -> str:
    return "\n".join(
        f"{one['id']}: {one['help']}: " + "; ".join(node["html"][:200] for node in one["nodes"])
        for one in violations
    )
