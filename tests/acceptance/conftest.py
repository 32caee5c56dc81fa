"""One product a binding for a whole module, with a far end for its mail, and Chromium."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.acceptance.product import Product, add_errors, installed
from tests.acceptance.services import scaled
from tests.acceptance.sink import Sink, open_sink
from tests.browser.driving import CONTEXT, Watch, launch_arguments, watching

EMBEDDED = pytest.param("embedded", id="embedded")
SCALED = pytest.param("scaled", id="scaled", marks=[pytest.mark.postgres, pytest.mark.rabbitmq])


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    return browser_type_launch_args | launch_arguments()


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_context_args, **CONTEXT}


@pytest.fixture(scope="module", params=[EMBEDDED, SCALED])
def installation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Product, Sink]]:
    """A running installation with one Operator and its far end, on each of the two bindings."""
    folder = tmp_path_factory.mktemp("product")
    with ExitStack() as stack:
        bound = stack.enter_context(scaled()) if request.param == "scaled" else None
        sink = stack.enter_context(open_sink())
        yield stack.enter_context(installed(folder, sink.settings, bound)), sink


@pytest.fixture(scope="module")
def product(installation: tuple[Product, Sink]) -> Product:
    return installation[0]


@pytest.fixture(scope="module")
def sink(installation: tuple[Product, Sink]) -> Sink:
    """Where this module's product sends its mail."""
    return installation[1]


@pytest.fixture
def watch(product: Product) -> Iterator[Watch]:
    yield from watching(product)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    add_errors(item, report)
    return report
