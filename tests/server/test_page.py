"""The page in a real headless browser: a session is played to its end, a new user adapts, names stay text."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from darlr.options import ServeConfig
from tests.server.browser import Browser, installed
from tests.server.conftest import Running
from tests.server.shop import CATEGORIES, ITEMS, TURNS

SHOWN = "[...document.querySelectorAll('.cards .card')].map((one) => one.dataset.item)"
READY = "document.activeElement.matches('.card') && document.querySelectorAll('.past li').length === %d"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = installed()
    if path is None:
        pytest.skip("the page needs a Chromium: apt-get install chromium-headless-shell, or name one in DARLR_BROWSER")
    found = Browser(path)
    yield found
    assert found.said == []  # no error, and nothing that the policy on content refused
    found.close()


@pytest.fixture(scope="module")
def shop(shop_run: Path) -> Iterator[Running]:
    running = Running(ServeConfig((shop_run,)))
    yield running
    running.end()


def begin(browser: Browser, running: Running) -> None:
    browser.open("about:blank")
    browser.open(f"http://127.0.0.1:{running.port}/")
    browser.until("document.querySelector('#new-user')")


def test_a_new_user_plays_to_the_end_and_the_policy_adapts(shop: Running, browser: Browser) -> None:
    begin(browser, shop)
    browser.run("document.querySelector('#new-user').click()")
    browser.until(READY % 0)
    seen, expected = [], []
    for turn in range(TURNS):
        shown = browser.run(SHOWN)
        assert set(shown) <= set(ITEMS) - set(seen)
        seen.append(shown[0])
        expected.append(browser.run("[...document.querySelectorAll('.expected b')].map((one) => one.textContent)"))
        browser.press("5" if turn % 2 else "1")  # answers the card in focus
        browser.until(f"document.querySelector('.over') || ({READY % (turn + 1)})")
        if browser.run("!!document.querySelector('.over')"):
            break
        assert browser.until("document.querySelector('#why .panel:not(:has(.loading))').textContent").startswith("Why ")
        assert browser.run("document.querySelectorAll('aside .bar').length") > 1  # what the answers changed
    said = browser.run("document.querySelector('.over').textContent")
    assert "has ended" in said
    assert f"{turn + 1} turn" in said
    assert "popularity list" in said
    assert browser.run("document.activeElement.id") == "again"
    assert len({json.dumps(one) for one in expected}) > 1


def test_hostile_names_stay_text_and_fit_a_narrow_screen(shop: Running, browser: Browser) -> None:
    begin(browser, shop)
    browser.run("document.querySelector('#user').focus()")
    for letter in "<u>7":
        browser.press(letter)
    browser.until("[...document.querySelectorAll('.options bdi')].map((one) => one.textContent).includes('<u>7')")
    browser.until("document.querySelectorAll('.options li').length === 1")
    browser.press("ArrowDown")
    browser.press("Enter")
    browser.until(READY % 0)
    assert browser.run("document.querySelector('h1').textContent") == "You are user <u>7"
    seen = []
    for turn in range(3):
        seen += browser.run("[...document.querySelectorAll('.card h3 .name')].map((one) => one.textContent)")
        browser.press("5")
        browser.until(f"document.querySelector('.over') || ({READY % (turn + 1)})")
        if browser.run("!!document.querySelector('.over')"):
            break
    assert set(seen) <= set(ITEMS)
    assert set(seen) & set(ITEMS[:7])
    assert set(browser.run("[...document.querySelectorAll('.card .chips .name')].map((one) => one.textContent)")) <= {
        *CATEGORIES
    }
    browser.call("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
    for tab in ("play", "compare", "run"):
        browser.run(f"document.querySelector('#tab-{tab}').click()")
        browser.until(f"document.querySelector('#{tab} h1')")
        assert browser.run("document.documentElement.scrollWidth") <= 390
    browser.call("Emulation.clearDeviceMetricsOverride")
    assert browser.run("window.hacked") is None
    assert browser.run("document.querySelectorAll('script').length") == 1
    assert browser.run("document.querySelectorAll('main :is(img, b > b, i:not(:empty), u, iframe)').length") == 0


def test_a_key_opens_the_page(run: Path, tmp_path: Path, browser: Browser) -> None:
    (tmp_path / "keys").write_text("a-key-of-enough-letters\n", "utf-8")
    running = Running(ServeConfig((run,), keys=tmp_path / "keys"))
    try:
        browser.open(f"http://127.0.0.1:{running.port}/")
        browser.until("document.activeElement.id === 'key'")
        for key in (*"a-key-of-enough-letters", "Enter"):
            browser.press(key)
        browser.until("document.querySelector('#new-user')")
        assert len(browser.said) == 1  # the browser itself reports the first answer
        assert "401" in browser.said.pop()
    finally:
        running.end()


def test_a_policy_alone_is_played_and_says_what_is_missing(server: Running, browser: Browser) -> None:
    begin(browser, server)
    browser.run("document.querySelector('#new-user').click()")
    browser.until(READY % 0)
    first = browser.run(SHOWN)
    browser.press("5")
    browser.until(READY % 1)
    assert first[0] not in browser.run(SHOWN)
    assert "Only the policy was found in shop" in browser.run("document.querySelector('aside').textContent")
    browser.run("document.querySelector('#leave').click()")
    assert "You left. 1 turn, reward 5." in browser.run("document.querySelector('.over').textContent")
    browser.run("document.querySelector('#tab-compare').click()")
    assert browser.until("document.querySelector('#compare code')?.textContent").startswith("darlr evaluate ")
