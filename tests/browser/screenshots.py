"""`python -m tests.browser.screenshots [NAME ...]`: pictures of the pages into var/screenshots."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.acceptance.product import Product
from tests.browser.driving import Watch, launch_arguments
from tests.browser.tour import PLACES, Tour

FOLDER = Path(__file__).parents[2] / "var" / "screenshots"


def main(names: list[str]) -> None:
    """Take the pictures of the pages named, or of all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        product = Product(Path(folder))
        product.demo()
        try:
            tour = Tour(product, playwright.chromium.launch(**launch_arguments()))
            for place in PLACES:
                if names and place.name not in names:
                    continue
                for look in place.looks:
                    page = tour.open(place, look, Watch(product))
                    page.screenshot(path=FOLDER / f"{place.name}-{look}.png", full_page=True)
                    page.context.close()
        finally:
            product.stop()
    sys.stdout.write(f"{FOLDER}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
