"""What a check answers: an icon *and* words (never colour alone), as text and as HTML."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Literal

Status = Literal["passed", "failed", "not started"]

# icon, words, border colour (Okabe-Ito: told apart by colour-blind readers, and on light and dark pages)
_LOOK: dict[Status, tuple[str, str, str]] = {
    "passed": ("✓", "Passed", "#009E73"),
    "failed": ("✗", "Not yet", "#D55E00"),
    "not started": ("○", "Not started yet", "#999999"),
}


@dataclass(frozen=True, repr=False)
class Verdict:
    """The answer to one check. Shows itself at the end of a cell; `bool(verdict)` says whether it passed."""

    id: str
    status: Status
    says: str  # one line
    details: tuple[tuple[str, str], ...] = ()  # (label, value): the input, what was expected, what came back
    hint: str = ""

    def __bool__(self) -> bool:
        return self.status == "passed"

    def __str__(self) -> str:
        icon, words, _ = _LOOK[self.status]
        width = max((len(label) for label, _ in self.details), default=0) + 2
        lines = [f"{icon} {words} · {self.id}: {self.says}"]
        lines += [f"    {label:{width}}{value}" for label, value in self.details]
        lines += [f"  → {self.hint}"] if self.hint else []
        return "\n".join(lines)

    __repr__ = __str__  # what a terminal or a text-only notebook shows

    def _repr_html_(self) -> str:
        icon, words, colour = _LOOK[self.status]
        left = "text-align:left;vertical-align:top;padding:0 .8em 0 0"
        rows = "".join(
            f"<tr><th scope='row' style='{left}'>{escape(label)}</th>"
            f"<td style='{left}'><code>{escape(value)}</code></td></tr>"
            for label, value in self.details
        )
        table = f"<table style='margin:.4em 0'>{rows}</table>" if rows else ""
        hint = f"<div>→ {escape(self.hint)}</div>" if self.hint else ""
        return (
            f"<div role='status' style='border-left:4px solid {colour};padding:.2em .8em'>"
            f"<div><strong><span aria-hidden='true'>{icon}</span> {words}</strong> · "
            f"<code>{escape(self.id)}</code>: {escape(self.says)}</div>{table}{hint}</div>"
        )
