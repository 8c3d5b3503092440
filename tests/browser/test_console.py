"""An operator's night in a real browser: sign in, write a policy, watch it heal, cancel an action, pause Vigil."""

import os
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser import scene, shooting

pytestmark = [pytest.mark.alone, pytest.mark.browser, pytest.mark.django_db(transaction=True)]

type SignIn = Callable[..., Page]


@pytest.fixture(autouse=True)
def _threads_share(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Playwright's own loop runs in this thread, and Django would not touch the database beside one."""
    from policies import book  # Django is ready only now

    monkeypatch.setitem(os.environ, "DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    book.forget()
    yield
    book.forget()


@pytest.fixture
def sign_in(live_server: LiveServer) -> Iterator[SignIn]:
    """Opens a browser as somebody. At the end no request may have left for another site, and no script have failed."""
    wrong: list[str] = []
    with shooting.browser() as chromium:

        def enter(name: str, *groups: str, superuser: bool = False, width: int = 1280) -> Page:
            scene.person(name, *groups, superuser=superuser)
            page = chromium.new_context(viewport={"width": width, "height": 900}).new_page()
            shooting.watch(page, live_server.url, wrong)
            shooting.sign_in(page, live_server.url, name)
            return page

        yield enter
    assert wrong == []


def test_a_wrong_password_stays_outside(live_server: LiveServer, sign_in: SignIn) -> None:
    page = sign_in("ana", "operator")
    page.context.clear_cookies()
    page.goto(f"{live_server.url}/admin/")
    page.fill("input[name=username]", "ana")
    page.fill("input[name=password]", "not this one")
    page.click("button[type=submit]")
    expect(page.get_by_text("Please enter the correct username and password")).to_be_visible()


def test_a_policy_is_written_tried_and_kept(live_server: LiveServer, sign_in: SignIn) -> None:
    from policies import authoring

    scene.send("cpu_percent", 97, "web-01")
    scene.send("cpu_percent", 20, "web-02")
    page = sign_in("eve", "editor")
    page.get_by_role("link", name="Policies").click()
    page.goto(f"{live_server.url}/admin/policies/policy/add/")
    page.get_by_label("Name").fill("high-cpu")
    page.get_by_label("Targets", exact=True).fill("web-*")
    page.get_by_label("Metric").fill("cpu_percent")
    page.get_by_label("Threshold").fill("90")
    expect(page.locator("#said")).to_have_text("Reads as: cpu_percent > 90")
    page.get_by_label("For at least").fill("2m")
    expect(page.locator("#said")).to_have_text("Reads as: cpu_percent > 90 for 2m")

    page.get_by_text("A sentence", exact=True).click()
    box = page.get_by_label("The condition as a sentence")
    expect(box).to_have_value("cpu_percent > 90 for 2m")
    box.fill("cpu_percent > > 90")
    expect(page.locator("#said.vg-wrong")).to_be_visible()
    box.fill("cpu_percent > 85")
    expect(page.locator("#said")).to_have_text("Reads as: cpu_percent > 85")
    page.get_by_text("Fields", exact=True).click()
    expect(page.get_by_label("Threshold")).to_have_value("85")
    expect(page.get_by_label("For at least")).to_have_value("")

    page.get_by_role("button", name="Test against recent data").click()
    expect(page.locator("#tried")).to_contain_text("1 of 2 targets")
    expect(page.locator("#tried tbody tr").first).to_contain_text("web-01")

    page.get_by_text("Act: order the remedy by itself").click()
    page.get_by_label("Remedy", exact=True).select_option("scale-up")
    expect(page.locator("#action-says")).to_contain_text("replicas")
    page.get_by_label("Its parameters").fill('{"replicas": 2}')
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Policy high-cpu is kept as version 1")).to_be_visible()
    assert authoring.get("high-cpu").mode == "auto"


def test_a_wrong_sentence_is_pointed_at_once_and_where(live_server: LiveServer, sign_in: SignIn) -> None:
    page = sign_in("eve", "editor")
    page.goto(f"{live_server.url}/admin/policies/policy/add/")
    page.get_by_text("A sentence", exact=True).click()
    page.get_by_label("The condition as a sentence").fill("cpu_percent > > 90")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Not saved")).to_be_visible()
    expect(page.locator("#said.vg-wrong")).to_contain_text("at character 15")
    expect(page.locator("[data-way] .vg-problem")).to_have_count(0)
    expect(page.get_by_text("Choose a remedy;")).to_be_visible()


def test_an_incident_opens_and_heals_before_the_operators_eyes(sign_in: SignIn) -> None:
    scene.policy("web-cpu-high", "cpu_percent > 90", action="scale-up", settle="0s")
    page = sign_in("ana", "operator")
    expect(page.locator("#answer")).to_contain_text("Nothing is broken.")
    scene.send("cpu_percent", 97, "web-01")
    expect(page.locator("#answer")).to_contain_text("1 open incident", timeout=12_000)
    expect(page.locator("#incidents")).to_contain_text("scale-up is ordered and about to start")
    scene.work()
    scene.send("cpu_percent", 20, "web-01")
    expect(page.locator("#answer")).to_contain_text("Nothing is broken.", timeout=12_000)
    expect(page.locator("#healed")).to_contain_text("web-01")
    page.locator("#healed").get_by_role("link", name="web-01").click()
    expect(page.get_by_text("Incident resolved")).to_be_visible()
    expect(page.get_by_text("effective", exact=True)).to_be_visible()


def test_an_action_is_cancelled(sign_in: SignIn) -> None:
    from actions.models import Action

    scene.policy("web-cpu-high", "cpu_percent > 90", action="scale-up")
    scene.send("cpu_percent", 97, "web-01")
    page = sign_in("ana", "operator")
    page.locator("#actions").get_by_role("link", name="scale-up on web-01").click()
    page.get_by_label("Why").fill("The load is planned.")
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_text("is cancelled.")).to_be_visible()
    expect(page.get_by_text("The load is planned.")).to_be_visible()
    assert Action.objects.get().state == "cancelled"


def test_vigil_is_paused_in_two_steps_and_says_so_everywhere(sign_in: SignIn) -> None:
    from actions import control

    page = sign_in("ana", "operator")
    page.get_by_role("link", name="Control").click()
    page.get_by_text("Pause Vigil").click()
    page.get_by_label("Why").fill("Failover under way")
    page.get_by_role("button", name="Go on").click()
    assert control.state().mode == "active"
    page.get_by_role("button", name="Yes: pause vigil").click()
    expect(page.get_by_role("alert").filter(has_text="VIGIL IS PAUSED")).to_be_visible()
    page.get_by_role("link", name="Now").click()
    expect(page.get_by_role("alert").filter(has_text="Failover under way")).to_be_visible()
    assert control.state().mode == "paused"


def test_an_operator_lets_go_of_what_guards_hold_and_a_viewer_only_looks(sign_in: SignIn) -> None:
    with scene.remediator():
        scene.hold_back()
    page = sign_in("vic", "viewer")
    page.get_by_role("link", name="Control").click()
    held = page.locator("section").filter(has_text="What guards hold")
    expect(held).to_contain_text("policy cache-cold proposed 3 actions within 60 s")
    expect(held).to_contain_text("mail-01: 1 repair within 3600 s")
    expect(held.get_by_role("button")).to_have_count(0)

    page = sign_in("ana", "operator")
    page.get_by_role("link", name="Control").click()
    held = page.locator("section").filter(has_text="What guards hold")
    storm = held.locator("li").filter(has_text="cache-cold")
    storm.get_by_role("button", name="Reset").click()
    expect(storm).to_be_visible()  # without a reason nothing is let go
    storm.get_by_label("Why policy:cache-cold may act again").fill("The cache is warm again.")
    storm.get_by_role("button", name="Reset").click()
    expect(page.get_by_text("policy:cache-cold may act again.")).to_be_visible()
    expect(storm).to_have_count(0)
    held.get_by_label("Why mail-01 may be acted on again").fill("The spool was cleared by hand.")
    held.get_by_role("button", name="Lift").click()
    expect(page.get_by_text("mail-01 is out of quarantine.")).to_be_visible()
    expect(held).to_have_count(0)

    page.get_by_role("link", name="Audit").click()
    for said in ("storm.reset", "The cache is warm again.", "quarantine.lifted", "The spool was cleared by hand."):
        expect(page.get_by_text(said).first).to_be_visible()


def test_an_operator_lifts_a_freeze_and_a_viewer_only_looks(sign_in: SignIn) -> None:
    with scene.remediator():
        scene.hold_back()
    page = sign_in("vic", "viewer")
    page.locator("#incidents").get_by_role("link", name="pool-01").first.click()
    expect(page.get_by_text("undid each other's work").first).to_be_visible()
    expect(page.get_by_role("button", name="Lift the freeze")).to_have_count(0)

    page = sign_in("ana", "operator")
    page.locator("#incidents").get_by_role("link", name="pool-01").first.click()
    page.get_by_label("Why they may act again").fill("pool-low is to be removed.")
    page.get_by_role("button", name="Lift the freeze").click()
    expect(page.get_by_text("The freeze of pool-01 is lifted.")).to_be_visible()
    expect(page.get_by_role("button", name="Lift the freeze")).to_have_count(0)
    page.get_by_role("link", name="Audit").click()
    expect(page.get_by_text("pool-low is to be removed.").first).to_be_visible()


def test_a_key_is_shown_once(sign_in: SignIn) -> None:
    page = sign_in("root", superuser=True)
    page.get_by_role("link", name="API keys").click()
    page.locator("a[href$='/access/apikey/add/']").first.click()
    page.get_by_label("Who uses it").fill("agent-1")
    page.get_by_text("ingest: send metrics").click()
    page.get_by_role("button", name="Make the key").click()
    expect(page.locator("#plain-key")).to_contain_text("vgl_")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Begins with")).to_be_visible()
    expect(page.locator("#plain-key")).to_have_count(0)


def test_a_viewer_is_offered_nothing_to_press(sign_in: SignIn) -> None:
    scene.policy("web-cpu-high", "cpu_percent > 90", action="scale-up")
    scene.send("cpu_percent", 97, "web-01")
    page = sign_in("vic", "viewer")
    page.locator("#incidents").get_by_role("link", name="web-01").click()
    expect(page.get_by_text("What happened")).to_be_visible()
    assert page.locator("#content button").count() == 0
    assert page.get_by_role("link", name="API keys").count() == 0


def test_the_front_page_says_when_it_is_stale(live_server: LiveServer, sign_in: SignIn) -> None:
    page = sign_in("ana", "operator")
    page.route("**/admin/now/", lambda route: route.abort())
    expect(page.get_by_text("This page has not been refreshed since")).to_be_visible(timeout=12_000)
    page.unroute("**/admin/now/")
    expect(page.get_by_text("This page has not been refreshed since")).to_have_count(0, timeout=12_000)


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_scrolls_sideways(live_server: LiveServer, sign_in: SignIn, width: int) -> None:
    scene.build()
    scene.policy("p-" + "x" * 90, "avg(" + "m" * 120 + ", 5m) > 1", target="t" * 120)
    scene.send("cpu_percent", 99, "web-" + "y" * 200)
    page = sign_in("root", superuser=True, width=width)
    for address in shooting.pages().values():
        page.goto(live_server.url + address)
        over = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert over <= 0, f"{address} is {over} px too wide at {width}"


def test_without_scripts_the_front_page_is_read_all_the_same(live_server: LiveServer) -> None:
    scene.person("ana", "operator")
    with shooting.browser() as chromium:
        page = chromium.new_context(java_script_enabled=False).new_page()
        shooting.sign_in(page, live_server.url, "ana")
        expect(page.get_by_text("Nothing is broken.")).to_be_visible()
        expect(page.get_by_role("link", name="Incidents", exact=False).first).to_be_visible()
