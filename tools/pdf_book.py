"""The whole book as one PDF: Sphinx's single page of all chapters, printed by Chromium.

Usage: ``python tools/pdf_book.py``, in the folder of ``_config.yml``, after `make book`. Writes ``_build/pdf/book.pdf``.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pikepdf
from build_book import one_at_a_time
from PIL import Image
from playwright.sync_api import sync_playwright
from whole_files import write_whole

FOOTER = '<div style="width:100%;text-align:center;font-size:8px"><span class="pageNumber"></span></div>'
MARGINS: Any = {"top": "18mm", "bottom": "18mm", "left": "16mm", "right": "16mm"}

# Before printing: formulas are set, figures are loaded, glosses go, which paper cannot show, and links stay inside the document or lead
# to the web, never to this machine.
READY = """async () => {
  await window.MathJax?.startup.promise;
  await Promise.all([...document.images].map(image => { image.loading = "eager"; return image.decode(); }));
  for (const word of document.querySelectorAll("abbr[title]")) word.replaceWith(...word.childNodes);
  for (const link of document.querySelectorAll("a[href]")) {
    if (link.protocol !== "file:") continue;
    if (link.hash && document.getElementById(decodeURIComponent(link.hash.slice(1)))) link.setAttribute("href", link.hash);
    else link.removeAttribute("href");
  }
}"""


def chromium() -> str | None:
    """The browser's program, where there is one."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def single_page(root: Path) -> Path:
    """Let Sphinx put all pages into one; chapters that `make book` has executed are not executed again."""
    program = "from jupyter_book.cli.main import main; main()"
    subprocess.run([sys.executable, "-c", program, "build", str(root), "--builder", "singlehtml"], cwd=root, check=True)
    folder = root / "_build" / "singlehtml"
    for picture in (folder / "_images").glob("*.png"):
        write_whole(picture, on_paper(picture.read_bytes()))
    # Sphinx writes the addresses of images and scripts for a page at the top of the folder, wherever it puts the page.
    return Path(shutil.copy(folder / "book" / "index.html", folder / "book.html"))


def on_paper(png: bytes) -> bytes:
    """A picture on white ground: a transparent one takes two images in a PDF, and more colours than a palette has."""
    picture = Image.open(io.BytesIO(png)).convert("RGBA")
    ground = Image.new("RGBA", picture.size, "white")
    ground.alpha_composite(picture)
    out = io.BytesIO()
    ground.convert("RGB").quantize(256).save(out, "PNG", optimize=True)
    return out.getvalue()


def print_page(page: Path, target: Path, program: str) -> None:
    """Print a page on A4, with tags for screen readers and an outline of its headings."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        tab = browser.new_page(color_scheme="light")
        tab.set_default_timeout(600_000)
        tab.goto(page.as_uri())
        tab.evaluate(READY)
        footer: dict[str, Any] = {"display_header_footer": True, "header_template": "<span></span>", "footer_template": FOOTER}
        tab.pdf(path=target, format="A4", margin=MARGINS, outline=True, tagged=True, **footer)
        browser.close()


def use_palettes(book: pikepdf.Pdf) -> int:
    """Store pictures of at most 256 colours as numbers of colours, a byte a pixel and not three; returns how many."""
    count = 0
    for picture in book.objects:
        if not isinstance(picture, pikepdf.Stream) or picture.get("/Subtype") != "/Image" or picture.get("/BitsPerComponent") != 8:
            continue
        space = picture.get("/ColorSpace")
        profile = isinstance(space, pikepdf.Array) and space[0] == "/ICCBased" and space[1].get("/N") == 3
        if space != "/DeviceRGB" and not profile:
            continue
        channels = np.frombuffer(picture.read_bytes(), np.uint8).reshape(-1, 3).astype(np.uint32)
        colours, places = np.unique(channels @ np.array([1 << 16, 1 << 8, 1], np.uint32), return_inverse=True)
        if len(colours) > 256:
            continue
        palette = np.stack([colours >> 16, colours >> 8, colours], axis=1).astype(np.uint8).tobytes()  # the last byte of each
        picture.write(places.astype(np.uint8).tobytes())
        picture.ColorSpace = pikepdf.Array([pikepdf.Name.Indexed, space, len(colours) - 1, pikepdf.String(palette)])
        count += 1
    return count


def pack(target: Path, title: str) -> int:
    """Give the file a title and pack it tightly; returns the number of pages."""
    pikepdf.settings.set_flate_compression_level(9)  # a twelfth less than as Chromium writes it
    with pikepdf.open(target, allow_overwriting_input=True) as book:
        book.docinfo["/Title"] = title
        use_palettes(book)
        book.save(target, object_stream_mode=pikepdf.ObjectStreamMode.generate, recompress_flate=True)
        return len(book.pages)


def main() -> int:
    root, program = Path.cwd(), chromium()
    if program is None:
        print("make pdf needs Chromium: apt-get install chromium", file=sys.stderr)
        return 1
    target = root / "_build" / "pdf" / "book.pdf"
    part = target.with_suffix(".part")
    with one_at_a_time(root):
        print_page(single_page(root), part, program)
    pages = pack(part, "Polish transformers, taken apart")
    os.replace(part, target)
    print(f"{target}: {pages} pages, {target.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
