"""What the README tells a newcomer to type must exist, in both languages; so must what CONTRIBUTING names."""

from __future__ import annotations

import difflib
import re
import shlex
import subprocess
import sys

import pytest

from labkit.profile import PROFILES, ROOT, SOURCES

NAMES = ("README.md", "README.zh-CN.md", "CONTRIBUTING.md")
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in NAMES}
README, CHINESE = PAGES["README.md"], PAGES["README.zh-CN.md"]
ALL = "\n".join(PAGES.values())
COMMANDS = sorted(
    {
        line.partition("  #")[0].strip()
        for block in re.findall(r"```sh\n(.*?)```", ALL, flags=re.S)
        for line in block.splitlines()
        if line.strip()
    }
)


def run(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_there_are_commands():
    assert len(COMMANDS) >= 8


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z-]+)(?=[`\s])", ALL)) - {"without"}))
def test_make_targets_exist(target):
    done = run("make", "--dry-run", target)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", sorted(set(re.findall(r"-m (labkit[\w.]+)", ALL))))
def test_modules_explain_themselves(module):
    done = run(sys.executable, "-m", module, "--help")
    assert done.returncode == 0 and "usage:" in done.stdout and "--help" in done.stdout


@pytest.mark.parametrize("command", [c for c in COMMANDS if "run_all.py" in c])
def test_batch_commands_are_understood(command, tmp_path):
    """With --explain added, so that everything is parsed and checked but nothing runs."""
    words = shlex.split(command)[1:]
    done = run(sys.executable, *words, "--out", str(tmp_path), *([] if "--list" in words else ["--explain"]))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("torchrun")])
def test_torchrun_commands_have_options_that_exist(command):
    from torch.distributed.run import get_args_parser

    from labkit.training.pretrain import parse_args

    arguments = get_args_parser().parse_args(shlex.split(command)[1:])
    assert arguments.module and arguments.training_script == "labkit.training.pretrain"
    assert parse_args(arguments.training_script_args).profile in PROFILES


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_are_there(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGES[page]):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page):
    """Paths in backticks that begin in a folder of the repository; `NN` stands for a number."""
    folders = "labkit|tests|data|notebooks|benchmarks|docs|scripts"
    named = re.findall(rf"`((?:{folders})/[\w./-]+)`", PAGES[page])
    lost = [name for name in named if "NN" not in name and not (ROOT / name).exists()]
    assert not lost


def test_every_profile_source_and_notebook_is_in_the_tables():
    names = [*PROFILES, *SOURCES, *(p.name for p in (ROOT / "notebooks").glob("[0-9]*.ipynb"))]
    assert [name for name in names if name not in README] == []


def parts(text: str) -> dict[str, list[str]]:
    """What must be the same in every language, in the order in which it stands there."""
    blocks = re.findall(r"```.*?```", text, flags=re.S)
    rest = re.sub(r"```.*?```", "", text, flags=re.S)
    links = [t for t in re.findall(r"\]\(([^)]+)\)", rest) if not t.startswith("README")]
    prose = re.sub(r"\]\([^)]+\)|`[^`]*`", "", rest)
    return {
        "headings": [mark + " …" for mark in re.findall(r"^(#+) ", rest, flags=re.M)],
        "code blocks": [_without_comments(line) for block in blocks for line in block.splitlines()],
        "tables": [f"a row of {row.count('|') - 1} cells" for row in re.findall(r"^\|.*\|$", rest, flags=re.M)],
        "links": links,
        "code in the text": sorted(set(re.findall(r"`([^`\n]+)`", rest))),
        "numbers": sorted(f"{_value(*found):,}" for found in re.findall(r"(\d[\d,]*(?:\.\d+)?) ?(billion|亿)?", prose)),
    }


def _value(digits: str, unit: str) -> float:
    return float(digits.replace(",", "")) * {"": 1, "billion": 1e9, "亿": 1e8}[unit]


def _without_comments(line: str) -> str:
    """A command without what is said of it, a file of the library's map without its description."""
    command = line.partition("  #")[0].rstrip()
    return command.split("  ")[0] if command.startswith("labkit/") else command


@pytest.mark.parametrize("part", list(parts("")))
def test_the_chinese_readme_is_in_step(part):
    """Says which headings, commands, rows, links, code or numbers only one of the two has."""
    english, chinese = parts(README)[part], parts(CHINESE)[part]
    lines = difflib.unified_diff(english, chinese, "README.md", "README.zh-CN.md", lineterm="", n=1)
    assert english == chinese, f"{part} differ:\n" + "\n".join(lines)


def test_each_readme_leads_to_the_other():
    assert "(README.zh-CN.md)" in README.partition("\n## ")[0] and "(README.md)" in CHINESE.partition("\n## ")[0]
