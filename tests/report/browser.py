"""A page in headless Chromium: what a script finds in it after it has been used."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
    "--virtual-time-budget=20000",
)  # fmt: skip
_HOOK = """
<script>
window.problems = [];
window.addEventListener("error", (event) => { window.problems.push(String(event.message)); });
</script>
"""
_RUN = """
<script>
window.addEventListener("load", async () => {
  const later = () => new Promise((done) => { setTimeout(done, 60); });
  let found;
  try { found = await (async () => { %s })(); } catch (error) { found = { thrown: String(error) }; }
  const told = document.createElement("pre");
  told.id = "found-by-test";
  told.textContent = JSON.stringify({ found, problems: window.problems });
  document.body.append(told);
});
</script>
"""


def browser() -> str:
    """Return the browser's path, or skip the test."""
    for name in _NAMES:
        path = shutil.which(name)
        if path:
            return path
    pytest.skip(f"no browser found: {', '.join(_NAMES)}")
    return ""


def drive(page: Path, script: str, *, size: str = "1366,900") -> Any:
    """Run the body of an async function in a page and return what it returns.

    Fails if the page raises, or writes to the console.
    """
    command = browser()
    text = page.read_text(encoding="utf-8")
    assert "</head>" in text
    hooked = text.replace("</head>", _HOOK + "</head>", 1).replace(
        "</body>", _RUN % script + "</body>", 1
    )
    copy = page.with_name("driven.html")
    copy.write_text(hooked, encoding="utf-8")
    profile = page.with_name("profile")
    done = subprocess.run(
        [
            command, *_QUIET, f"--window-size={size}", f"--user-data-dir={profile}",
            "--enable-logging=stderr", "--dump-dom", copy.as_uri(),
        ],
        capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip
    shutil.rmtree(profile, ignore_errors=True)
    assert "CONSOLE" not in done.stderr, done.stderr
    match = re.search(r'<pre id="found-by-test">(.*?)</pre>', done.stdout, re.DOTALL)
    assert match, done.stderr[-2000:] or "the script did not end"
    content = json.loads(unescape(match.group(1)))
    assert content["problems"] == []
    assert "thrown" not in (content["found"] or {}), content["found"]
    return content["found"]
