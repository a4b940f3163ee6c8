/* What both toys need from a page: elements, labelled controls, a random generator that starts the same for everybody. */
"use strict";

const parts = (() => {
  function make(tag, attributes = {}, ...children) {
    const inDrawing = ["svg", "g", "path", "line", "circle", "text", "rect", "clipPath", "title"].includes(tag);
    const element = inDrawing ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  function slider(words, [min, max, step], value, changed, shown = x => x) {
    const output = make("output", {}, shown(value));
    const input = make("input", {type: "range", min, max, step, value});
    input.addEventListener("input", () => { output.textContent = shown(+input.value); changed(+input.value); });
    const set = (next, most) => {
      if (most !== undefined) input.max = most;
      input.value = next;
      output.textContent = shown(+input.value);
    };
    return {element: make("label", {class: "live-slider"}, `${words} `, input, " ", output), set};
  }

  const button = (words, pressed) => make("button", {type: "button", onclick: pressed}, words);

  function generator(seed) {  // numbers from 0 to 1: mulberry32
    return () => {
      seed = (seed + 0x6D2B79F5) | 0;
      let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
  }

  function shuffled(items, random) {
    const mixed = [...items];
    for (let i = mixed.length - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [mixed[i], mixed[j]] = [mixed[j], mixed[i]];
    }
    return mixed;
  }

  const number = (x, digits = 2) => x.toFixed(digits).replace(/^-(?=.*[1-9])/, "\u2212").replace(/^-/, "");

  function onTheme(redraw) {
    new MutationObserver(redraw).observe(document.documentElement, {attributeFilter: ["data-theme"]});
  }

  return {make, slider, button, generator, shuffled, number, onTheme};
})();
