"""The built pages in a browser: no errors in the console, and no page wider than a phone."""

import functools
import re
import shutil
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytestmark = [pytest.mark.site, pytest.mark.browser]

PHONE = 390

# The page is loaded in a frame of a phone's width: a browser window without a screen has a least width of its own.
PROBE = """<!doctype html><title>probe</title><body><script>
const frame = document.createElement("iframe");
frame.width = %d; frame.height = 800; frame.src = location.hash.slice(1);
frame.onload = () => setTimeout(() => {
  const page = frame.contentDocument.documentElement;
  const wide = [...frame.contentDocument.querySelectorAll(".bd-article *")]
    .filter(node => node.getBoundingClientRect().right > frame.clientWidth + 1 && !inside(node, frame.contentWindow)).slice(0, 3);
  const said = document.createElement("pre");
  said.textContent = `WIDTH ${page.scrollWidth} ` + wide.map(node => node.tagName + "." + node.className).join(" ");
  document.body.append(said);
}, 1500);
function inside(node, view) {  // inside something that scrolls, or that hides what does not fit
  for (let box = node.parentElement; box; box = box.parentElement)
    if (box.matches(".bd-article")) return false;
    else if (view.getComputedStyle(box).overflowX !== "visible") return true;
}
document.body.append(frame);
</script>"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        if not self.path.startswith("/_probe.html"):
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write((PROBE % PHONE).encode())


@pytest.fixture(scope="module")
def address(site):
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site.folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def chromium():
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    return found or pytest.skip("no chromium on this machine")


@pytest.fixture(scope="module")
def visits(site, address, chromium, tmp_path_factory):
    """Each chapter as the browser saw it: what it wrote to the console, and the document it ended with."""
    seen = {}
    for page in site.chapters:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
        options += ["--enable-logging=stderr", "--v=0", "--virtual-time-budget=8000", "--dump-dom"]
        options += [f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]
        command = [chromium, *options, f"{address}/_probe.html#/book/{page.name}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        seen[page.name] = done.stderr, done.stdout
    return seen


def test_the_console_is_silent(visits):
    for page, (log, _) in visits.items():
        spoken = [line for line in re.findall(r"CONSOLE[^\n]*", log) if re.search("error|refused|failed", line, re.I)]
        assert spoken == [], page


def test_no_page_is_wider_than_a_phone(visits):
    for page, (_, document) in visits.items():
        measured = re.search(r"WIDTH (\d+) ?([^<]*)", document)
        assert measured, f"{page} did not load"
        assert int(measured[1]) <= PHONE, f"{page}: {measured[0]}"
        assert measured[2].strip() == "", f"{page}: {measured[0]}"
