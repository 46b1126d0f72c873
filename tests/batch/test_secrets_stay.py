"""A real run with keys, tokens and passwords in its environment: if it fails, they are handed on with the results."""

from __future__ import annotations

from api_server import Server
from hub import Hub
from small_course import Course

KEY, TOKEN, PROXY, ENDPOINT, ADDRESS = "sk-KEYKEY1", "hf_TOKENTOKENTOKEN", "pw-proxy", "pw-endpoint", "pw-address"

CELLS = [
    """
import os, traceback
from huggingface_hub import constants
from labkit.doctor import examine
from labkit.evaluation import api
from labkit.evaluation.api import ApiModel, configured
from labkit.fetch.transfer import look_up
from labkit.hub import REPOSITORIES, download
from labkit.profile import cache_dir, resolve
from labkit.report import Record

lab = resolve(PROFILE, SOURCE, SEED)
record = Record("01_secrets", lab)
api.FIRST_DELAY = 0.001

def told(function, *arguments):
    try:
        print(function(*arguments))
    except Exception:
        traceback.print_exc()
""",
    "examine()",
    # The server repeats the key.
    "reply = configured(cache_dir() / 'api').complete('p')\nprint(reply)\nrecord.metric('error', reply.error)",
    # Through a proxy that isn't there, and one that is misspelt.
    "print(ApiModel('https://nowhere.invalid/v1', 'm', cache_dir()).complete('p'))",
    "os.environ['http_proxy'] = os.environ['https_proxy'].replace('//', '/')\n"
    "print(ApiModel('http://nowhere.invalid/v1', 'm', cache_dir()).complete('p'))\ndel os.environ['http_proxy']",
    "os.environ['LABKIT_API_URL'] = os.environ['ODD']\ntold(configured, cache_dir())",
    # An address with a password, then a Hub that repeats the token.
    "told(download, 'mrpc', 'missing.txt')",
    "constants.ENDPOINT = os.environ['PLAIN']\n"
    "constants.HUGGINGFACE_CO_URL_TEMPLATE = constants.ENDPOINT + '/{repo_id}/resolve/{revision}/{filename}'\n"
    "told(download, 'mrpc', 'missing.txt')",
    "look_up(REPOSITORIES['mrpc'], ['missing.txt'])",
]


def repeats(handler) -> bool:
    if asked := "mrpc" in handler.path or "glue" in handler.path:
        handler._reply(403, b"", {"X-Error-Message": f"you sent {handler.headers.get('Authorization')}"})
    return asked


def test_no_secret_is_in_any_file_of_a_run(course: Course, tmp_path):
    course.add("01_secrets", *CELLS)
    with Server((400, {}, f"wrong key: {KEY}".encode())) as server, Hub(tmp_path / "hub") as hub:
        hub.fault = repeats
        variables = hub.env(tmp_path / "home") | {
            "HF_ENDPOINT": f"http://me:{ENDPOINT}@{hub.url.removeprefix('http://')}",
            "PLAIN": hub.url,
            "ODD": f"http://:{ADDRESS}@127.0.0.1:9/v1",
            "HF_HUB_OFFLINE": "",
            "HF_TOKEN": TOKEN,
            "LABKIT_API_URL": server.url,
            "LABKIT_API_MODEL": "m",
            "LABKIT_API_KEY": KEY,
            "LABKIT_CACHE": str(tmp_path / "cache"),
            "https_proxy": f"http://me:{PROXY}@127.0.0.1:9",
        }
        done = course.run("--source", "hub", **variables)
    assert server.asked[0]["headers"]["Authorization"] == f"Bearer {KEY}"
    files = [path for path in course.out.rglob("*") if path.is_file()]
    names = {path.name.removeprefix("01_secrets.") for path in files}
    assert names >= {"ipynb", "html", "log", "run.json", "junit.xml", "metrics.json", "index.html"}
    texts = {path.name: path.read_bytes().decode("utf-8", "replace") for path in files} | {
        "": done.stdout + done.stderr
    }
    for said in ("wrong key: [key]", "nowhere", "no plain address", "HF_ENDPOINT holds", "you sent Bearer [key]"):
        assert said in texts["01_secrets.log"] + texts["01_secrets.ipynb"], f"{said}: it didn't come to that"
    assert "you sent Bearer [key]" in texts["junit.xml"] and "wrong key: [key]" in texts["metrics.json"]
    for secret in (KEY, TOKEN, PROXY, ENDPOINT, ADDRESS):
        assert not [name for name, text in texts.items() if secret in text], secret
