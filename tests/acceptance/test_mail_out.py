"""Answers leave through a mail server that demands STARTTLS and a login, by mail and by command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.post import letter, post
from tests.acceptance.product import OPERATOR, Product, installed
from tests.acceptance.sink import Sink, guarded_sink
from tests.browser.driving import Watch, sign_in_operator

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def far_end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sink]:
    with guarded_sink(tmp_path_factory.mktemp("authority")) as sink:
        yield sink


@pytest.fixture(scope="module")
def product(far_end: Sink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with installed(tmp_path_factory.mktemp("product"), far_end.settings) as product:
        yield product


def test_an_answer_goes_out_encrypted_and_signed_in(
    page: Page, product: Product, far_end: Sink, watch: Watch
) -> None:
    post(product.smtp, letter("bea@ente.example", "Rinnovo", "Come si rinnova?"))
    sign_in_operator(watch.over(page), product, OPERATOR)
    page.locator(".row", has_text="Rinnovo").get_by_role("link").click()
    page.get_by_label("Testo", exact=True).fill("Dal menu Rinnovi.")
    page.get_by_role("button", name="Invia risposta").click()
    answer = far_end.wait("bea@ente.example", 2)[1]
    assert "Dal menu Rinnovi." in answer.text
    assert all(one.encrypted and one.signed_in for one in far_end.mails)
    expect(page.locator(".msg-operator .delivery-sent")).to_be_visible()


def test_the_command_says_what_the_server_said(
    product: Product, far_end: Sink, tmp_path: Path
) -> None:
    assert "sent" in product.run("mail", "test", "capo@ente.example")
    assert far_end.wait("capo@ente.example")[0].signed_in
    product_with_wrong_password = Product(
        tmp_path,
        environment=product.environment | {"SPORTELLO_MAIL_PASSWORD": "sbagliata"},
    )
    product_with_wrong_password.data = product.data
    with pytest.raises(AssertionError, match="refused the login"):
        product_with_wrong_password.run("mail", "test", "capo@ente.example")
