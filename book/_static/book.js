// Small helps for the reader. Every page works without them.
"use strict";

// Excerpts of the pages found are fetched, which a browser refuses to pages opened from disk. The list of pages needs no fetching.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

document.addEventListener("DOMContentLoaded", () => {
  markScrolling();
  addEventListener("resize", markScrolling);
  addEventListener("load", () => window.MathJax?.startup?.promise.then(markScrolling));  // a formula has its width once it is set
  enlargeFigures();
  previewLinks();
});

// What is wider than its box can be scrolled with the keyboard, too.
function markScrolling() {
  for (const box of document.querySelectorAll('.bd-article :is(.text_html, .pst-scrollable-table-container, .table-wrapper, pre, mjx-container[display="true"])')) {
    const scrolls = box.scrollWidth > box.clientWidth + 1;
    box.classList.toggle("scrolls", scrolls);
    if (scrolls) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}

// A figure opens at its full size. Without scripts it is a plain image.
function enlargeFigures() {
  const figures = document.querySelectorAll(".bd-article .cell_output img, .bd-article figure img");
  if (!figures.length) return;
  const view = document.createElement("dialog");
  view.className = "figure-view";
  view.setAttribute("aria-label", "Figure at full size");
  view.addEventListener("click", () => view.close());
  document.body.append(view);
  for (const figure of figures) {
    let link = figure.closest("a");  // Sphinx links an image of a given width to its file, and no other
    if (!link) {
      link = document.createElement("a");
      link.href = figure.src;
      figure.replaceWith(link);
      link.append(figure);
    }
    link.classList.add("figure-link");
    link.title = "Open the figure at full size";
    link.addEventListener("click", event => {
      event.preventDefault();
      const large = new Image();
      large.src = figure.src;
      large.alt = figure.alt;
      const close = document.createElement("button");
      close.textContent = "Close";
      close.className = "btn btn-sm";
      view.replaceChildren(close, large);
      view.showModal();
    });
  }
}

// A link inside the book shows, on hover and on focus, what it leads to: a figure of this page, an entry of the glossary, the beginning of a section or page;
// a Polish word with a gloss shows it when it is tapped.
const staticFolder = document.currentScript.src.replace(/book\.js.*/, "");
function previewLinks() {
  const box = document.createElement("div");
  Object.assign(box, {className: "link-preview", id: "link-preview", hidden: true});
  box.setAttribute("role", "tooltip");
  document.body.append(box);
  let timer, from, turn = 0;  // what is asked for later ends the wait for what was asked for before
  const later = (action, wait) => { clearTimeout(timer); timer = setTimeout(action, wait); };
  const hide = () => { turn++; clearTimeout(timer); box.hidden = true; from?.removeAttribute("aria-describedby"); };
  const show = async link => {
    const mine = ++turn, parts = await previewOf(link);
    if (!parts || mine !== turn) return;
    hide();
    from = link;
    box.replaceChildren(...parts);
    link.setAttribute("aria-describedby", box.id);
    box.hidden = false;
    const at = link.getBoundingClientRect(), size = box.getBoundingClientRect(), width = document.documentElement.clientWidth;
    const above = at.bottom + size.height > innerHeight && at.top > size.height;
    box.style.left = `${Math.max(4, Math.min(at.left, width - size.width - 4)) + scrollX}px`;
    box.style.top = `${(above ? at.top - size.height - 4 : at.bottom + 4) + scrollY}px`;
  };
  for (const link of document.querySelectorAll(".bd-article a.reference.internal")) {
    if (link.querySelector("img")) continue;
    link.addEventListener("mouseenter", () => later(() => show(link), 300));
    link.addEventListener("mouseleave", () => later(hide, 200));
    link.addEventListener("focus", () => { if (link.matches(":focus-visible")) show(link); });
    link.addEventListener("blur", hide);
  }
  document.addEventListener("click", event => {  // a browser shows a title on hover, but not where there is a finger only
    const word = event.target.closest?.(".bd-article abbr[title]");
    if (word) show(word);
    else if (from?.matches("abbr")) hide();
  });
  box.addEventListener("mouseenter", () => clearTimeout(timer));
  box.addEventListener("mouseleave", () => later(hide, 200));
  addEventListener("keydown", event => { if (event.key === "Escape") hide(); });
}

// What a preview holds, as nodes; undefined where there is nothing to show.
async function previewOf(link) {
  const words = (tag, text) => { const node = document.createElement(tag); node.textContent = text.length > 300 ? `${text.slice(0, 300)} …` : text; return node; };
  if (link.matches("abbr")) return [words("p", link.title)];
  const address = new URL(link.href), anchor = decodeURIComponent(address.hash.slice(1));
  const target = address.pathname === location.pathname && anchor && document.getElementById(anchor);
  if (target) {
    const figure = target.closest("figure"), image = figure?.querySelector("img");
    if (image) {
      const small = new Image();
      Object.assign(small, {src: image.src, alt: image.alt});
      await small.decode().catch(() => {});  // its size decides where the preview fits
      return [small, words("p", figure.querySelector("figcaption")?.innerText.replace("#", "") ?? "")];
    }
    const section = target.closest("section");
    const first = target.matches("dt") ? target.nextElementSibling : section?.querySelector("p");
    return first ? [words("p", first.innerText)] : undefined;
  }
  if (!window.previews) {
    await new Promise(done => {
      const script = document.createElement("script");
      Object.assign(script, {src: `${staticFolder}previews.js`, onload: done, onerror: done});
      document.head.append(script);
    });
  }
  const page = address.pathname.split("/").pop(), found = window.previews?.[`${page}#${anchor}`] ?? window.previews?.[page];
  return found ? [words("p", found)] : undefined;
}
