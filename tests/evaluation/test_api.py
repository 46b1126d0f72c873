"""Replies over a network that fails in every way, from a real server on this machine. It takes some seconds."""

from __future__ import annotations

import signal
import threading
import time

import pytest
from api_server import Server, drip, hang, right

from labkit.evaluation import api, request
from labkit.evaluation.api import ApiModel, Reply, configured
from labkit.profile import LabError

KEY = "sk-TOPSECRET0123456789"
FAMILY = [f"LABKIT_API_{name}" for name in ("URL", "KEY", "MODEL", "PRICE_IN", "PRICE_OUT")]


def ctrl_c():
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


@pytest.fixture(autouse=True)
def small_and_clean(monkeypatch):
    """Tiny delays, the key in the environment, nothing else of the family, and a proxy that leads nowhere."""
    for name in FAMILY:
        monkeypatch.delenv(name, raising=False)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("LABKIT_API_KEY", KEY)
    monkeypatch.setattr(api, "FIRST_DELAY", 0.005)
    monkeypatch.setattr(api, "TIMEOUT", 2.0)


def model(server, tmp_path, **more):
    return ApiModel(server.url, "small-1", tmp_path / "api", **more)


def test_a_right_answer_is_asked_for_rightly_and_cached(tmp_path):
    """A wrong path, header or field fails at every service; a reply that isn't cached is paid for twice."""
    with Server(right(" A summary.\n")) as server:
        first = model(server, tmp_path).complete("Summarise: naïve text")
        again = model(server, tmp_path).complete("Summarise: naïve text")
    (request,) = server.asked
    assert request["path"] == "/v1/chat/completions"
    assert request["headers"]["Authorization"] == f"Bearer {KEY}"
    assert request["body"]["messages"] == [{"role": "user", "content": "Summarise: naïve text"}]
    assert (request["body"]["model"], request["body"]["temperature"]) == ("small-1", 0)
    assert (first.text, first.prompt_tokens, first.completion_tokens) == ("A summary.", 100, 10)
    assert not first.error and not first.cached and not first.cut_short and first.seconds > 0
    assert again == Reply("A summary.", 100, 10, first.seconds, cached=True)


def test_another_model_prompt_address_or_length_is_another_reply(tmp_path):
    """Else a table would show one model's summaries as another's."""
    folder = tmp_path / "api"
    variants = [ApiModel("http://a/v1", "m", folder), ApiModel("http://b/v1", "m", folder)]
    variants += [ApiModel("http://a/v1", "n", folder), ApiModel("http://a/v1", "m", folder, max_tokens=9)]
    assert len({v._file(prompt) for v in variants for prompt in ("p", "q")}) == 8


def test_429_is_waited_out_as_long_as_it_says(tmp_path):
    with Server((429, {"Retry-After": "0.3"}, b""), (503, {}, b""), right()) as server:
        begun = time.monotonic()
        reply = model(server, tmp_path).complete("p")
    assert reply.text == "A summary." and len(server.asked) == 3
    assert 0.3 < time.monotonic() - begun < 2
    assert reply.seconds < 0.25, "waiting is not the model's time"


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("7", 7), ("-3", 0), ("soon", 0), ("nan", 0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("", 0)],
)
def test_retry_after_is_read_with_suspicion(said, seconds):
    """A date in the past or a word must not crash the table, nor send it to sleep."""
    assert request.retry_after({"Retry-After": said}) == seconds


def test_a_server_that_wants_an_hour_is_given_up_and_says_so(tmp_path):
    with Server((429, {"Retry-After": "3600"}, b"")) as server:
        reply = model(server, tmp_path).complete("p")
    assert reply.text == "" and "3600 s" in reply.error and len(server.asked) == 1


def test_500_forever_ends_as_an_error_row_that_is_not_cached(tmp_path):
    """An error in the cache would be shown for good, long after the server has recovered."""
    with Server((500, {}, b"oops")) as server:
        (reply,) = model(server, tmp_path).complete_all(["p"])
        assert "HTTP 500" in reply.error and len(server.asked) == api.ATTEMPTS
        server.script[:] = [right()]
        assert model(server, tmp_path).complete("p").text == "A summary."


BAD = {
    "no JSON": (200, {}, b"<html>Welcome to the hotel's Wi-Fi</html>"),
    "nothing": (200, {}, b""),
    "no choices": (200, {}, b'{"choices": []}'),
    "an error that says 200": (200, {}, b'{"error": {"message": "overloaded"}}'),
    "a list": (200, {}, b"[]"),
    "deep": (200, {}, b"[" * 100_000),
    "no content": right(None),
    "blank content": right(" \n"),
    "content of another type": right(["a"]),
}


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD)
def test_garbage_is_an_error_row_at_once(tmp_path, answer):
    with Server(answer) as server:
        reply = model(server, tmp_path).complete("p")
    assert reply.text == "" and reply.error and len(server.asked) == 1 and len(reply.error) < 400
    assert not list(tmp_path.rglob("*.json"))


def test_a_body_cut_off_midway_is_asked_for_again(tmp_path):
    """Half a body may still be read as a whole one by a client that doesn't count."""
    whole = right()
    cut = (200, {"Content-Length": str(len(whole[2]))}, whole[2][:-20])
    with Server(cut, whole) as server:
        assert model(server, tmp_path).complete("p").text == "A summary."
    with Server(cut) as server:
        reply = model(server, tmp_path).complete("q")
    assert "IncompleteRead" in reply.error and len(server.asked) == api.ATTEMPTS


@pytest.mark.parametrize("silence", [hang, drip])
def test_a_server_that_never_finishes_costs_a_bounded_time(tmp_path, monkeypatch, silence):
    """A timeout of the socket alone would let a slow drip hold the notebook for ever."""
    monkeypatch.setattr(api, "TIMEOUT", 0.15)
    monkeypatch.setattr(api, "ATTEMPTS", 2)
    with Server(silence) as server:
        begun = time.monotonic()
        (reply,) = model(server, tmp_path).complete_all(["p"])
        assert "no answer in time" in reply.error and time.monotonic() - begun < 2
        assert len(server.asked) == 2


def test_the_whole_table_has_a_time_limit(tmp_path):
    """A hundred prompts at a server that hangs would otherwise take hours."""
    with Server(hang) as server:
        begun = time.monotonic()
        replies = model(server, tmp_path).complete_all([f"{i}" for i in range(20)], limit_seconds=0.3)
    assert time.monotonic() - begun < 2 and len(replies) == 20 and all(reply.error for reply in replies)
    assert "time limit" in replies[-1].error and len(server.asked) <= api.THREADS


@pytest.mark.parametrize(("status", "remedy"), [(401, "LABKIT_API_KEY"), (404, "LABKIT_API_MODEL"), (302, "_URL")])
def test_a_wrong_setting_is_said_once_and_not_hammered(tmp_path, status, remedy):
    """Forty wrong keys in a row get an account locked; a redirect that is followed gives the key to a stranger."""
    elsewhere = {"Location": "http://127.0.0.1:9/v1"}
    with Server((status, elsewhere, f"bad key {KEY}".encode())) as server:
        replies = model(server, tmp_path).complete_all([f"{i}" for i in range(40)])
    assert all(f"HTTP {status}" in reply.error and remedy in reply.error for reply in replies)
    assert len(server.asked) <= 2 * api.THREADS


def test_a_prompt_that_is_refused_leaves_the_others_alone(tmp_path):
    """One article too long for the model must not cost the other rows."""

    def picky(handler, body):
        return (400, {}, b'{"error": "too long"}') if body["messages"][0]["content"] == "1" else right()

    with Server(picky) as server:
        replies = model(server, tmp_path).complete_all(["0", "1", "2", "1"])
    assert [reply.text for reply in replies] == ["A summary.", "", "A summary.", ""]
    assert "too long" in replies[1].error and len(server.asked) == 3, "equal prompts are asked once"


def test_no_server_at_all(tmp_path):
    with Server(right()) as server:
        pass
    replies = model(server, tmp_path).complete_all([f"{i}" for i in range(30)])
    assert all("LABKIT_API_URL" in reply.error for reply in replies)


def test_the_key_is_nowhere_but_in_the_request(tmp_path, capfd):
    """It would be published with the results. Servers repeat it in their errors, also right at our cut."""
    echoes = [(400, {}, f"{pad}{KEY} is wrong".encode()) for pad in ("", "x" * 190)]
    echoes += [(200, {}, f"no JSON {KEY}".encode()), (500, {}, KEY.encode()), (401, {}, KEY.encode())]
    for n, echo in enumerate([*echoes, right()]):
        with Server(echo) as server:
            asked = model(server, tmp_path, prices=(1, 1))
            replies = asked.complete_all([f"{n}"])
            shown = [repr(asked), str(vars(asked)), repr(replies), capfd.readouterr(), asked.estimate(["p"])]
            assert KEY[:8] not in str(shown) and server.asked[0]["headers"]["Authorization"].endswith(KEY)
    kept = list(tmp_path.rglob("*.json"))
    assert len(kept) == 1 and KEY[:8] not in kept[0].read_text()


def test_a_malformed_key_is_refused_without_being_quoted(tmp_path, monkeypatch):
    """http.client quotes a header that it refuses, and the notebook would show it."""
    monkeypatch.setenv("LABKIT_API_URL", "http://127.0.0.1/v1")
    monkeypatch.setenv("LABKIT_API_MODEL", "m")
    monkeypatch.setenv("LABKIT_API_KEY", "sk-SECRET\nsk-OTHER")
    with pytest.raises(LabError, match="LABKIT_API_KEY") as caught:
        configured(tmp_path)
    assert "SECRET" not in str(caught.value)


def test_a_server_without_a_key_gets_none(tmp_path, monkeypatch):
    monkeypatch.delenv("LABKIT_API_KEY")
    with Server(right()) as server:
        assert model(server, tmp_path).complete("p").text
    assert "Authorization" not in server.asked[0]["headers"]


@pytest.mark.parametrize("damage", [b"", b'{"text": "A summ', b"\xff\xfe", b"null", b'{"text": ""}', b'{"a": 1}'])
def test_a_damaged_cache_file_counts_as_absent(tmp_path, damage):
    with Server(right()) as server:
        asked = model(server, tmp_path)
        asked.complete("p")
        (path,) = asked.cache.iterdir()
        path.write_bytes(damage)
        assert asked.complete("p").text == "A summary." and len(server.asked) == 2
        assert asked.complete("p").cached


def test_a_cache_that_cannot_be_written_loses_no_reply(tmp_path):
    (tmp_path / "api").write_text("a file where the folder should be")
    with Server(right()) as server, pytest.warns(UserWarning, match="not be cached"):
        assert model(server, tmp_path).complete_all(["p"])[0].text == "A summary."


def test_an_interrupt_keeps_what_came(tmp_path, monkeypatch):
    """Ctrl-C must end the table soon and lose no reply, not even those that were on their way."""
    monkeypatch.setattr(api, "THREADS", 2)

    def slow_then_interrupted(handler, body):
        if body["messages"][0]["content"] == "3":
            ctrl_c()
            time.sleep(0.2)
        return right()

    with Server(slow_then_interrupted) as server:
        asked, prompts = model(server, tmp_path), [f"{i}" for i in range(50)]
        with pytest.raises(KeyboardInterrupt):
            asked.complete_all(prompts)
        time.sleep(0.5)
        made = len(server.asked)
        assert 4 <= made < 10 and len(list(asked.cache.glob("*.json"))) == made
        replies = asked.complete_all(prompts)
        assert sum(reply.cached for reply in replies) == made and len(server.asked) == 50


def test_an_interrupt_ends_the_retries_too(tmp_path, monkeypatch):
    """Threads that go on asking after Ctrl-C spend money that nobody meant to spend."""
    monkeypatch.setattr(api, "FIRST_DELAY", 0.2)

    def interrupted(handler, body):
        ctrl_c()
        return 503, {}, b""

    with Server(interrupted) as server:
        with pytest.raises(KeyboardInterrupt):
            model(server, tmp_path).complete_all(["p"])
        time.sleep(0.5)
        assert len(server.asked) == 1


def test_a_reply_that_reached_its_limit_says_so(tmp_path):
    """Its length is the limit's, not the model's: a table of lengths must be able to leave it out."""
    choice = {"message": {"content": "Half a"}, "finish_reason": "length"}
    with Server(right(choices=[choice])) as server:
        assert all(model(server, tmp_path).complete("p").cut_short for _ in range(2))


def test_a_lone_surrogate_can_be_kept(tmp_path):
    """JSON may hold what no UTF-8 file can."""
    with Server((200, {}, b'{"choices": [{"message": {"content": "a\\ud800b"}}]}')) as server:
        assert [model(server, tmp_path).complete("p").text for _ in range(2)] == ["a?b", "a?b"]


def test_costs_before_and_after(tmp_path):
    with Server(right()) as server:
        asked = model(server, tmp_path, prices=(2.0, 10.0), max_tokens=50)
        first = asked.complete("x" * 400)
        before = asked.estimate(["x" * 400, "y" * 4000, "y" * 4000])
    assert before == (1, 1, 1000, 50, pytest.approx((1000 * 2 + 50 * 10) / 1e6))
    assert asked.cost([first, Reply("", error="lost")]) == pytest.approx((100 * 2 + 10 * 10) / 1e6)
    assert asked.cost([first, Reply("text")]) is None, "a server that doesn't count leaves the cost unknown, not 0"
    assert model(server, tmp_path).estimate(["p"]).cost is None


def test_the_environment_says_which_model(tmp_path, monkeypatch):
    """Half a configuration that passes for none would leave a column empty, and nobody would know why."""
    monkeypatch.delenv("LABKIT_API_KEY")
    assert configured(tmp_path) is None
    monkeypatch.setenv("LABKIT_API_KEY", KEY)
    with pytest.raises(LabError, match="LABKIT_API_URL is not set"):
        configured(tmp_path)
    monkeypatch.setenv("LABKIT_API_URL", "https://api.example.com/v1/")
    with pytest.raises(LabError, match="LABKIT_API_MODEL is not set"):
        configured(tmp_path)
    monkeypatch.setenv("LABKIT_API_MODEL", "m")
    assert configured(tmp_path) == ApiModel("https://api.example.com/v1", "m", tmp_path)
    monkeypatch.setenv("LABKIT_API_PRICE_IN", "0.27")
    with pytest.raises(LabError, match="both be numbers"):
        configured(tmp_path)
    monkeypatch.setenv("LABKIT_API_PRICE_OUT", "1.1")
    assert configured(tmp_path).prices == (0.27, 1.1)


@pytest.mark.parametrize(
    "url",
    [
        "api.example.com/v1",
        "file:///etc/passwd",
        "https://me:pw@a.com/v1",
        "https://a/v1?k=1",
        "http://:pw@a.com/v1",
        "https://me:pw/x@a.com/v1",
        "https://me:pw\u2100@a.com/v1",
    ],
)
def test_an_address_that_is_none_is_refused_unquoted(tmp_path, monkeypatch, url):
    monkeypatch.setenv("LABKIT_API_URL", url)
    monkeypatch.setenv("LABKIT_API_MODEL", "m")
    with pytest.raises(LabError, match="no plain address") as caught:
        configured(tmp_path)
    assert "pw" not in str(caught.value)
