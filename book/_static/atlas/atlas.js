// The atlas: a table, a map and a card for the heads or the neurons of one model. Its scripts of data are made by tools/atlas.py.
"use strict";

const atlas = (() => {
  const element = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name in node && typeof value !== "string") node[name] = value;
      else node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  };
  const number = (x, digits = 2) => x == null ? "" : x.toFixed(digits).replace("-", "−");
  const chance = p => p == null ? "" : p < 0.001 ? `< 0.001` : String(Number(p.toPrecision(2)));
  const safe = text => String(text).replace(/[&<>"]/g, sign => `&#${sign.charCodeAt(0)};`);
  // Polish words show their English gloss, and are found by it.
  let glosses = {};
  const WORD = /(?<![\p{L}\d-])\p{L}+(?![\p{L}\d-])/gu;  // not "za-", a piece of a word
  const glossOf = word => Object.hasOwn(glosses, word.toLowerCase()) ? glosses[word.toLowerCase()] : "";
  const glossed = text => safe(text).replace(WORD, word => glossOf(word) ? `<abbr title="${safe(glossOf(word))}">${word}</abbr>` : word);
  const meanings = text => (text.match(WORD) ?? []).map(glossOf).join(" ");
  const BUCKETS = 32;  // cells of the map in a layer with more neurons

  // Rows: {name, layer, number, scores, lists: [{words, tests: [[what, value, chance, p, corrected p, passes], ...]}, ...]}.
  function rowsOf(part, kind) {
    const unpack = part.packed && unpacker(part.packed);
    return Array.from({length: part.layers * part.size}, (_, place) => {
      const named = part.numbers ? part.numbers[place] : place % part.size, layer = Math.floor(place / part.size);
      const lists = unpack ? unpack(place) : part.rows[place] ?? [];
      for (const list of lists) list.best = list.tests.reduce((a, b) => a && (a[3] < b[3] || (a[3] === b[3] && a[1] - a[2] >= b[1] - b[2])) ? a : b, null);
      return {name: `L${layer}${kind === "heads" ? "H" : "N"}${named}`, layer, number: named, place, scores: part.values.map(column => column[place]), lists};
    });
  }

  // Each neuron is a string of fixed length: see pack_neurons of tools/atlas.py.
  function unpacker({alphabet, tokens, tests, per_list, rows}) {
    const digit = new Map([...alphabet].map((sign, place) => [sign, place]));
    const width = n => Math.max(1, Math.ceil(Math.log(Math.max(n, 2)) / Math.log(alphabet.length)));
    const [wide, narrow] = [width(tokens.length), width(tests.length)];
    const length = per_list * wide + narrow;
    const read = (start, size) => { let x = 0; for (let i = 0; i < size; i++) x = x * alphabet.length + digit.get(rows[start + i]); return x; };
    const list = start => {
      const words = Array.from({length: per_list}, (_, i) => tokens[read(start + i * wide, wide)]);
      const [what, count, expected, p, passes] = tests[read(start + per_list * wide, narrow)];
      return {words, tests: what ? [[what, count, expected, p, null, passes]] : []};
    };
    return place => [list(2 * length * place), list(2 * length * place + length)];
  }

  // ---- what is shown -----------------------------------------------------------------------------------------------------------------
  const view = {model: null, kind: "heads", measure: 0, table: null, rows: [], chosen: null};
  const part = () => view.model[view.kind];

  function measures() {
    const found = part().scores.map((score, i) => ({name: score.name, about: score.about, of: row => row.scores[i]}));
    part().lists.forEach((title, i) => {
      const listed = view.kind === "neurons" ? "list" : title;
      found.push({name: `${view.kind === "neurons" ? title : title + " list"}: −log p`, about: `how little chance explains the ${title} ${listed === "list" ? "list" : "pairs"}: −log10 p, of all cells of the map 10 at most`,
        of: row => row.lists[i].best ? Math.min(10, -Math.log10(Math.max(row.lists[i].best[3], 1e-10))) : 0});
    });
    return found;
  }

  function columns() {
    const measure = measures()[view.measure];
    const found = [{title: view.kind === "heads" ? "head" : "neuron", data: (row, type) => type === "display" ? `<a href="#${view.model.name}-${row.name}">${row.name}</a>`
      : type === "sort" ? row.place : row.name, type: "num", className: "atlas-name"}];
    part().lists.forEach((title, i) => {
      const heads = view.kind === "heads";
      found.push({title, orderable: false, className: "atlas-words", data: (row, type) => type === "display"
        ? `<span lang="pl">${glossed(row.lists[i].words.slice(0, heads ? 4 : 8).join(heads ? "\n" : ", "))}</span>` : safe(`${row.lists[i].words.join(" ")} ${meanings(row.lists[i].words.join(" "))}`)});
      found.push({title: `${title}: alike in`, type: "num", data: (row, type) => {
        const best = row.lists[i].best;
        if (type === "sort") return best ? best[3] : 1;
        if (!best || type !== "display") return best ? safe(best[0]) : "";
        const told = `${amount(best[1])}, p ${chance(best[3])}`;
        return `${safe(best[0])}<br><small>${best[5] ? `<b>${told}</b>` : told}</small>`;
      }});
    });
    found.push({title: measure.name, type: "num", className: "atlas-number", data: (row, type) => type === "display" ? number(measure.of(row)) : measure.of(row)});
    return found;
  }

  const amount = value => view.kind === "heads" ? `${Math.round(100 * value)}%` : `${value} of 20`;

  function fill() {
    view.table?.destroy();
    const area = document.getElementById("atlas-table");
    area.replaceChildren(element("table", {id: "atlas-rows", class: "atlas-rows"}, element("caption", {}, `${view.model.title}: ${view.kind} (${view.model.source})`)));
    view.table = new DataTable("#atlas-rows", {
      data: view.rows, columns: columns(), deferRender: true, autoWidth: false, order: [[0, "asc"]], pageLength: 10, lengthChange: false,
      layout: {topStart: null, topEnd: null, bottomStart: "info", bottomEnd: "paging"}, typeDetect: false,
      createdRow: (node, row) => { node.id = `${view.model.name}-${row.name}`; node.classList.toggle("atlas-chosen", row === view.chosen); },
    });
    view.table.search.fixed("layer", (_, row) => fields.layer.value === "" || row.layer === +fields.layer.value);
    view.table.search.fixed("passes", (_, row) => !fields.passes.checked || row.lists.some(list => list.tests.some(test => test[5])));
    view.table.search(fields.search.value).draw();
  }

  // ---- the map -----------------------------------------------------------------------------------------------------------------------
  function drawMap() {
    const measure = measures()[view.measure], size = Math.min(part().size, view.kind === "heads" ? 64 : BUCKETS), layers = part().layers;
    const cells = Array.from({length: layers}, () => Array.from({length: size}, () => []));
    for (const row of view.rows) cells[row.layer][Math.floor((row.place % part().size) * size / part().size)].push(row);
    const values = cells.map(line => line.map(rows => rows.reduce((best, row) => Math.abs(measure.of(row)) > Math.abs(measure.of(best)) ? row : best)));
    const most = Math.max(...values.flat().map(row => Math.abs(measure.of(row))), 1e-9);
    const grid = element("div", {class: "atlas-map", role: "group", "aria-label": `Map of ${measure.name}: a row for each layer`});
    grid.style.setProperty("--size", size);
    for (const [layer, line] of values.entries()) {
      grid.append(element("span", {class: "atlas-layer"}, `${layer}`));
      for (const [place, row] of line.entries()) {
        const value = measure.of(row), share = Math.abs(value) / most;
        const cell = element("button", {type: "button", tabIndex: layer || place ? -1 : 0, class: value < 0 ? "atlas-cell atlas-below" : "atlas-cell",
          "aria-label": `${row.name}: ${number(value)}`, title: `${row.name}: ${number(value)}`});
        cell.style.setProperty("--share", `${Math.round(100 * share)}%`);
        cell.addEventListener("click", () => show(row));
        grid.append(cell);
      }
    }
    grid.addEventListener("keydown", event => step(event, grid, size));
    const many = part().size > size;
    document.getElementById("atlas-map").replaceChildren(grid, element("p", {class: "atlas-legend"},
      `${measure.name}: ${measure.about}. A row for each layer, ${many ? `a cell for ${Math.ceil(part().size / size)} neurons with the strongest of them` : `a cell for each ${view.kind.slice(0, -1)}`}. The strongest colour is ${number(most)}; orange is below zero.`));
  }

  function step(event, grid, size) {
    const move = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -size, ArrowDown: size}[event.key];
    const cells = [...grid.querySelectorAll("button")], next = cells[cells.indexOf(document.activeElement) + move];
    if (!move || !next) return;
    event.preventDefault();
    cells.forEach(cell => { cell.tabIndex = -1; });
    next.tabIndex = 0;
    next.focus();
  }

  // ---- one row -----------------------------------------------------------------------------------------------------------------------
  function card(row) {
    const anchor = `#${view.model.name}-${row.name}`;
    const parts = [element("h2", {}, `${view.model.title} ${row.name} `, element("a", {href: anchor, class: "atlas-link"}, "link to this row"))];
    row.lists.forEach((list, i) => {
      const heads = view.kind === "heads";
      const words = element("span", {lang: "pl"});
      words.innerHTML = glossed(list.words.join(", "));
      parts.push(element("p", {}, element("b", {}, `${part().lists[i]}: `), words));
      if (!list.tests.length) return;
      const body = list.tests.map(([what, value, expected, p, corrected, passes]) => element("tr", {},
        element("th", {scope: "row"}, what), ...[amount(value), heads ? amount(expected) : number(expected, 1), chance(p), ...(heads ? [chance(corrected)] : []), passes ? "yes" : "no"].map(text => element("td", {}, text))));
      const names = ["alike in", heads ? "share" : "count", "by chance", "p", ...(heads ? ["corrected p"] : []), "passes"];
      parts.push(element("div", {class: "atlas-wide", tabIndex: 0}, element("table", {}, element("thead", {}, element("tr", {}, ...names.map(name => element("th", {scope: "col"}, name)))), element("tbody", {}, ...body))));
    });
    const told = part().scores.map((score, i) => `${score.name} ${number(row.scores[i], 3)}${score.untrained == null ? "" : ` (untrained: ${number(score.untrained, 3)} at most)`}`);
    if (told.length) parts.push(element("p", {}, element("b", {}, "Scores: "), told.join("; ")));
    document.getElementById("atlas-card").replaceChildren(...parts);
  }

  function show(row) {
    history.replaceState(null, "", `#${view.model.name}-${row.name}`);
    view.chosen = row;
    card(row);
    const order = view.table.rows({search: "applied"}).data().toArray(), place = order.indexOf(row);
    if (place < 0) return clearFilters() || show(row);
    view.table.page(Math.floor(place / view.table.page.len())).draw(false);
    for (const node of document.querySelectorAll("#atlas-rows tbody tr")) node.classList.toggle("atlas-chosen", node.id === `${view.model.name}-${row.name}`);
  }

  function clearFilters() {
    fields.search.value = fields.layer.value = "";
    fields.passes.checked = false;
    view.table.search("").draw();
  }

  // ---- choices -----------------------------------------------------------------------------------------------------------------------
  const fields = {};
  const labelled = (text, field) => element("label", {}, `${text} `, field);

  function build(root) {
    fields.model = element("select", {}, ...window.atlasModels.map(model => element("option", {value: model.name}, model.title)));
    fields.kind = element("select");
    fields.measure = element("select");
    fields.layer = element("select");
    fields.search = element("input", {type: "search", placeholder: "word, meaning, L2H7"});
    fields.passes = element("input", {type: "checkbox"});
    const save = element("button", {type: "button"}, "Download as CSV");
    root.replaceChildren(...root.querySelectorAll(".atlas-off"),  // for paper
      element("div", {class: "atlas-choices"}, labelled("Model", fields.model), labelled("Show", fields.kind), labelled("Map and last column", fields.measure)),
      element("div", {id: "atlas-map"}),
      element("div", {id: "atlas-card", tabIndex: -1, "aria-live": "polite"}),
      element("div", {class: "atlas-choices"}, labelled("Search", fields.search), labelled("Layer", fields.layer), labelled("Only lists that pass", fields.passes), save),
      element("div", {id: "atlas-table", class: "atlas-wide"}));
    const chooseAnew = kind => { history.replaceState(null, "", "#"); choose(fields.model.value, kind); };  // the address named a row of what was shown
    fields.model.addEventListener("change", () => chooseAnew());
    fields.kind.addEventListener("change", () => chooseAnew(fields.kind.value));
    fields.measure.addEventListener("change", () => { view.measure = +fields.measure.value; drawMap(); fill(); });
    fields.search.addEventListener("input", () => view.table.search(fields.search.value).draw());
    for (const field of [fields.layer, fields.passes]) field.addEventListener("change", () => view.table.draw());
    save.addEventListener("click", download);
    addEventListener("hashchange", follow);
    follow();
  }

  // The script of a model is loaded when it is first asked for.
  function loaded(name) {
    if (window.atlasData?.[name]) return Promise.resolve();
    return new Promise((done, failed) => {
      const here = document.querySelector('script[src$="atlas/atlas.js"]').src;
      document.head.append(element("script", {src: here.replace("atlas.js", `data-${name}.js`), onload: done, onerror: failed}));
    });
  }

  const models = {};
  let turn = 0;  // a choice that is made later ends the wait for an earlier one
  async function unzipped(name) {
    const bytes = Uint8Array.from(atob(window.atlasData[name]), sign => sign.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  }

  async function choose(name, kind) {
    const mine = ++turn;
    await Promise.all([loaded(name), loaded("glosses")]);
    const model = models[name] ??= await unzipped(name);
    glosses = models.glosses ??= await unzipped("glosses");
    if (mine !== turn) return;
    const kinds = ["heads", "neurons"].filter(one => model[one]);
    Object.assign(view, {model, kind: kinds.includes(kind) ? kind : kinds.includes(view.kind) ? view.kind : kinds[0], measure: 0, chosen: null});
    view.rows = rowsOf(part(), view.kind);
    const options = (field, names) => field.replaceChildren(...names.map(([value, text]) => element("option", {value: `${value}`}, text)));
    options(fields.kind, kinds.map(one => [one, one]));
    options(fields.measure, measures().map((measure, i) => [i, measure.name]));
    options(fields.layer, [["", "all"], ...Array.from({length: part().layers}, (_, i) => [i, `${i}`])]);
    [fields.model.value, fields.kind.value, fields.search.value, fields.passes.checked] = [name, view.kind, "", false];
    fields.passes.disabled = !part().lists.length;
    document.getElementById("atlas-card").replaceChildren();
    drawMap();
    fill();
  }

  // An address such as #e5-L2H7 leads to a row. Its card takes the focus, since the link that was pressed may have left the table.
  async function follow(event) {
    const [, name, layer, letter, place] = /^#(.+)-L(\d+)([HN])(\d+)$/.exec(location.hash) ?? [];
    if (!window.atlasModels.some(model => model.name === name)) return view.model ? undefined : choose(window.atlasModels[0].name);
    const kind = letter === "N" ? "neurons" : "heads";
    const there = () => view.model?.name === name && view.kind === kind;
    if (!there()) await choose(name, kind);
    const row = there() && view.rows.find(one => one.layer === +layer && one.number === +place);  // a later choice came first, or the model has no neurons
    if (!row) return undefined;
    show(row);
    const shown = document.getElementById("atlas-card");
    if (event) shown.focus({preventScroll: true});  // a page that opens is read from its beginning
    shown.scrollIntoView({block: "nearest"});
    return undefined;
  }

  // ---- CSV: the rows that are shown now, with all that their cards say -----------------------------------------------------------------
  function csv(rows) {
    const quote = cell => /[",\n]/.test(cell) ? `"${String(cell).replaceAll('"', '""')}"` : cell ?? "";
    const relations = [...new Set(rows.flatMap(row => row.lists.flatMap(list => list.tests.map(test => test[0]))))];
    const asked = view.kind === "heads" ? relations : [""];  // of a neuron's list only the feature that chance explains least is known
    const values = view.kind === "heads" ? ["share", "by chance", "p", "corrected p", "passes"] : ["alike in", "count", "by chance", "p", "passes"];
    const tested = (list, relation) => {
      const test = list.tests.find(one => !relation || one[0] === relation);
      if (!test) return Array(5).fill("");
      const [what, value, expected, p, corrected, passes] = test;
      return relation ? [value, expected, p, corrected, passes] : [what, value, expected, p.toPrecision(2), passes];
    };
    const heads = ["model", view.kind.slice(0, -1), "layer", "number", ...part().scores.map(score => score.name),
      ...part().lists.flatMap(title => [`${title} list`, ...asked.flatMap(relation => values.map(value => [title, relation, value].filter(Boolean).join(", ")))])];
    const lines = rows.map(row => [view.model.name, row.name, row.layer, row.number, ...row.scores,
      ...row.lists.flatMap(list => [list.words.join("; "), ...asked.flatMap(relation => tested(list, relation))])]);
    return [heads, ...lines].map(line => line.map(quote).join(",")).join("\n") + "\n";
  }

  function download() {
    const text = csv(view.table.rows({search: "applied"}).data().toArray());
    const link = element("a", {href: URL.createObjectURL(new Blob([text], {type: "text/csv"})), download: `atlas-${view.model.name}-${view.kind}.csv`});
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  document.addEventListener("DOMContentLoaded", () => {
    const root = document.getElementById("atlas-browser");
    if (root && window.atlasModels) build(root);
  });
  return {view, csv, choose, rowsOf, build};
})();
