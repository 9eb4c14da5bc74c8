"""The page in a real headless browser: a session is played to its end, a new user adapts, names stay text."""

from collections.abc import Iterator

import pytest

from tests.server.browser import Browser, installed
from tests.server.conftest import Running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = installed()
    if path is None:
        pytest.skip("the page needs a Chromium: apt-get install chromium-headless-shell, or name one in DARLR_BROWSER")
    found = Browser(path)
    yield found
    found.close()


def test_a_session_is_played_until_the_user_leaves(server: Running, browser: Browser) -> None:
    browser.open(f"http://127.0.0.1:{server.port}/")
    browser.until("document.querySelector('#new-user')")
    browser.run("document.querySelector('#new-user').click()")
    browser.until("document.activeElement.matches('.card')")
    first = browser.run("[...document.querySelectorAll('.card')].map((one) => one.dataset.item)")
    browser.press("5")
    browser.until("document.querySelectorAll('.past li').length === 1 && document.activeElement.matches('.card')")
    second = browser.run("[...document.querySelectorAll('.card')].map((one) => one.dataset.item)")
    assert first[0] not in second
    browser.run("document.querySelector('#leave').click()")
    assert "You left. 1 turn, reward 5." in browser.run("document.querySelector('.over').textContent")
    assert browser.said == []
