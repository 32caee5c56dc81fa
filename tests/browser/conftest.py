"""The demonstration, once for all page tests, and Chromium as the recipe starts it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.acceptance.product import Product, add_errors
from tests.browser.driving import CONTEXT, Watch, launch_arguments, watching
from tests.browser.tour import Tour


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    return browser_type_launch_args | launch_arguments()


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_context_args, **CONTEXT}


@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    product = Product(Path(tmp_path_factory.mktemp("demo")))
    product.demo()
    yield product
    product.stop()


@pytest.fixture(scope="package")
def tour(demo: Product, browser: Browser) -> Tour:
    return Tour(demo, browser)


@pytest.fixture
def watch(demo: Product) -> Iterator[Watch]:
    yield from watching(demo)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    add_errors(item, report)
    return report
