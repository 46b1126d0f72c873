"""`junit.xml`: the outcome in the words that every continuous-integration service understands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from labkit.batch.outcome import Row
from labkit.files import write_bytes_atomic

_ELEMENT = {
    "failed": "failure",
    "incomplete": "failure",
    "timeout": "error",
    "killed": "error",
    "skipped": "skipped",
}
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(path: Path, profile: str, rows: Sequence[Row]) -> None:
    """One test case a notebook."""
    counts = {word: sum(_ELEMENT.get(row.status) == word for row in rows) for word in ("failure", "error", "skipped")}
    suite = ET.Element(
        "testsuite",
        name=f"notebooks.{profile}",
        tests=str(len(rows)),
        failures=str(counts["failure"]),
        errors=str(counts["error"]),
        skipped=str(counts["skipped"]),
        time=f"{sum(row.seconds for row in rows):.1f}",
    )
    for row in rows:
        case = ET.SubElement(suite, "testcase", classname="notebooks", name=row.id, time=f"{row.seconds:.1f}")
        if row.status in _ELEMENT:
            message, _, details = _NOT_XML.sub("", row.error or "").partition("\n")
            where = f" (cell {row.cell}, {row.heading!r})" if row.cell else ""
            told = ET.SubElement(case, _ELEMENT[row.status], message=f"{row.status}: {message}{where}")
            told.text = details
    suites = ET.Element("testsuites")
    suites.append(suite)
    write_bytes_atomic(path, ET.tostring(suites, encoding="utf-8", xml_declaration=True))
