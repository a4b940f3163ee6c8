/* The induction toy: a sequence of symbols, two heads' attention on it, all heads as switches, and the loss at each symbol. */
"use strict";

(() => {
  const box = document.getElementById("live-induction");
  if (!box) return;
  const {make, slider, button, generator, shuffled, number, onTheme} = parts;
  const model = live.miniGPT(minigptWeights), roles = minigptWeights.roles, random = generator(7);
  const SYMBOLS = "abcdefghijklmnopqrstuvwxyz12345", LONGEST = model.longest - 1, CHANCE = Math.log(SYMBOLS.length), HIGHEST = 8;
  const name = (layer, head) => `L${layer}H${head}`;
  const strongest = layer => roles[layer].findIndex(role => role.endsWith("strongest"));
  const role = (layer, head) => roles[layer][head].split(",")[0];
  const symbol = id => id ? SYMBOLS[id - 1] : "start";

  const state = {ids: [], off: new Set(), shown: [strongest(0), strongest(1)], place: 1};
  let found = {}, whole = [];  // what the model computed last: patterns, logits and losses; losses with all heads on

  // ---- Sequences ----

  const anySymbol = () => SYMBOLS[Math.floor(random() * SYMBOLS.length)];
  const randomText = length => Array.from({length}, anySymbol).join("");

  function repeatedBlock() {  // no symbol stands in two places of the block and what lies between, so that each repeat is clear
    const drawn = shuffled(SYMBOLS, random).join(""), block = drawn.slice(0, 10);
    return block + drawn.slice(10, 13) + block + drawn.slice(13, 18) + block;
  }

  function read(text) {
    state.ids = [0, ...[...text.toLowerCase()].map(letter => SYMBOLS.indexOf(letter) + 1).filter(id => id).slice(0, LONGEST)];
    state.place = Math.min(state.place, state.ids.length - 1);
    place.set(state.place, state.ids.length - 1);
    whole = [];
    compute();
  }

  function write(text) {
    field.value = text;
    state.place = Math.max(0, text.length - 5);
    read(text);
  }

  // ---- Controls ----

  const field = make("input", {type: "text", maxlength: LONGEST, spellcheck: "false", autocapitalize: "off", autocomplete: "off"});
  field.addEventListener("input", () => read(field.value));
  const mix = () => write(shuffled(field.value, random).join(""));

  const switches = roles.map((row, layer) => row.map((_, head) => {
    const element = button(name(layer, head), () => {
      const key = `${layer},${head}`;
      if (!state.off.delete(key)) state.off.add(key);
      compute();
    });
    element.append(make("small", {}, role(layer, head)));
    return element;
  }));

  function switchOff(layers) {  // all heads of these layers that have a role, and no others
    state.off = new Set(layers.flatMap(layer => roles[layer].flatMap((words, head) => words ? [`${layer},${head}`] : [])));
    compute();
  }

  const maps = [0, 1].map(layer => {
    const canvas = make("canvas", {role: "img", class: `live-map live-ink-${layer}`});
    canvas.addEventListener("click", event => moveTo(Math.floor(event.offsetY / canvas.clientHeight * state.ids.length)));
    const choice = make("select", {}, ...roles[layer].map((_, head) =>
      make("option", {value: head}, name(layer, head) + (role(layer, head) ? `: ${role(layer, head)}` : ""))));
    choice.value = state.shown[layer];
    choice.addEventListener("change", () => { state.shown[layer] = +choice.value; draw(); });
    return {canvas, element: make("div", {}, make("label", {class: `live-ink-${layer}`}, `Head of layer ${layer} `, choice), canvas)};
  });

  const place = slider("Read at place", [0, 1, 1], 1, moveTo);
  const words = make("p", {class: "live-words", "aria-live": "polite"});
  const strip = make("div", {class: "live-strip", role: "img"});
  const mean = make("p", {class: "live-mean", "aria-live": "polite"});

  function moveTo(next) {
    state.place = Math.max(0, Math.min(next, state.ids.length - 1));
    place.set(state.place);
    draw();
  }

  // ---- Computing and drawing ----

  function compute() {
    found = model.forward(state.ids, state.off);
    found.losses = model.losses(state.ids, found.logits);
    if (!state.off.size) whole = found.losses;
    else if (!whole.length) whole = model.losses(state.ids, model.forward(state.ids).logits);
    draw();
  }

  const shownRow = (layer, query = state.place) => found.patterns[layer][state.shown[layer]][query];

  function drawMap(layer) {
    const {canvas} = maps[layer], n = state.ids.length, cell = Math.max(4, Math.floor(640 / n)), pen = canvas.getContext("2d");
    canvas.width = canvas.height = n * cell;
    pen.fillStyle = getComputedStyle(canvas).color;
    for (let query = 0; query < n; query++)
      shownRow(layer, query).forEach((weight, key) => {
        pen.globalAlpha = weight;
        pen.fillRect(key * cell, query * cell, cell, cell);
      });
    pen.globalAlpha = 1;
    pen.strokeStyle = pen.fillStyle;
    pen.lineWidth = 2;
    pen.strokeRect(1, state.place * cell + 1, (state.place + 1) * cell - 2, cell - 2);
    canvas.setAttribute("aria-label", `Attention of ${name(layer, state.shown[layer])}: rows read, columns are read; ` +
      `the outlined row is that of place ${state.place}. ${sight(layer)}`);
  }

  function sight(layer) {
    const row = shownRow(layer), key = row.indexOf(Math.max(...row));
    return `${name(layer, state.shown[layer])} looks at place ${key} (${symbol(state.ids[key])}) with ${Math.round(100 * row[key])}% of its attention.`;
  }

  function guess() {
    const row = [...found.logits.subarray(state.place * model.vocabulary, (state.place + 1) * model.vocabulary)];
    const largest = Math.max(...row), total = row.reduce((sum, logit) => sum + Math.exp(logit - largest), 0);
    const next = found.losses[state.place];
    const comes = next === undefined ? "" : ` What comes is ${symbol(state.ids[state.place + 1])}: loss ${number(next)} nats.`;
    return `The model's guess is ${symbol(row.indexOf(largest))}, with ${Math.round(100 / total)}%.${comes}`;
  }

  function drawStrip() {
    const bars = state.ids.map((id, i) => {
      const tile = make("span", {class: "live-tile"}), letter = make("b", {}, id ? symbol(id) : "·");
      if (i) {
        const loss = make("i"), line = make("u");
        loss.style.height = `${100 * Math.min(1, found.losses[i - 1] / HIGHEST)}%`;
        line.style.bottom = `${100 * Math.min(1, whole[i - 1] / HIGHEST)}%`;
        tile.append(make("span", {class: "live-bar"}, loss, line));
      } else tile.append(make("span", {class: "live-bar"}));
      [0, 1].forEach(layer => tile.style.setProperty(`--seen-${layer}`, `${Math.round(100 * (shownRow(layer)[i] ?? 0))}%`));
      if (i === state.place) tile.classList.add("live-here");
      tile.addEventListener("click", () => moveTo(i));
      tile.append(letter);
      return tile;
    });
    strip.replaceChildren(...bars);
    strip.style.setProperty("--chance", `${100 * CHANCE / HIGHEST}%`);
    strip.setAttribute("aria-label", "Loss at each symbol in nats: " +
      found.losses.map((loss, i) => `${symbol(state.ids[i + 1])} ${number(loss, 1)}`).join(", "));
  }

  function draw() {
    const average = losses => losses.length ? `${number(losses.reduce((sum, loss) => sum + loss, 0) / losses.length)} nats` : "undefined without symbols";
    switches.forEach((row, layer) => row.forEach((element, head) => element.setAttribute("aria-pressed", state.off.has(`${layer},${head}`))));
    [0, 1].forEach(drawMap);
    drawStrip();
    words.textContent = `At place ${state.place} the model reads ${symbol(state.ids[state.place])}. ${sight(0)} ${sight(1)} ${guess()}`;
    mean.textContent = `Mean loss: ${average(found.losses)}` + (state.off.size ? `; with all heads on ${average(whole)}` : "") + ".";
  }

  const row = (...children) => make("div", {class: "live-row"}, ...children);
  box.replaceChildren(
    make("label", {class: "live-field"}, "Symbols: a to z and 1 to 5, at most 63 ", field),
    row(button("New block, three times", () => write(repeatedBlock())), button("Shuffle", mix), button("Random symbols", () => write(randomText(38)))),
    make("div", {class: "live-heads", role: "group", "aria-label": "Heads: a pressed one is switched off"}, ...switches.flat()),
    row(button("All heads on", () => switchOff([])), button("Shift heads off", () => switchOff([0])), button("Induction heads off", () => switchOff([1]))),
    strip, mean, place.element, words,
    make("div", {class: "live-maps"}, ...maps.map(map => map.element)),
  );
  onTheme(draw);
  write(repeatedBlock());
})();
