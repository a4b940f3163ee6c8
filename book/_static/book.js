// Small helps for the reader. Every page works without them.
"use strict";

// Excerpts of the pages found are fetched, which a browser refuses to pages opened from disk. The list of pages needs no fetching.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

document.addEventListener("DOMContentLoaded", () => {
  markScrolling();
  addEventListener("resize", markScrolling);
  enlargeFigures();
});

// What is wider than its box can be scrolled with the keyboard, too.
function markScrolling() {
  for (const box of document.querySelectorAll(".bd-article :is(.text_html, .pst-scrollable-table-container, .table-wrapper, pre, div.math)")) {
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
