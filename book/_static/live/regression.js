/* The regressor: points that can be moved, and what the transformer, least squares and ridge answer after reading them. */
"use strict";

(() => {
  const box = document.getElementById("live-regression");
  if (!box) return;
  const {make, slider, button, generator, shuffled, number} = parts;
  const model = live.regressor(regressorWeights), random = generator(11), SHOWN = model.points - 1;
  const X = 3, Y = 5, STEPS = 48, MARGIN = {left: 34, right: 8, top: 8, bottom: 34};
  const METHODS = ["transformer", "least squares", "ridge"];
  const state = {points: [], shown: SHOWN, question: 1.5, second: 1, third: 0, penalty: 0.1};
  const clamp = (value, most) => Math.max(-most, Math.min(most, value));

  function gauss() {
    return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  }

  function drawPoints(noise) {  // spread over the axis, in random order, and inside the picture
    const xs = shuffled(Array.from({length: SHOWN}, (_, i) => (i - (SHOWN - 1) / 2 + 0.8 * (random() - 0.5)) * 5 / SHOWN), random);
    do {
      const w = [gauss(), gauss(), gauss()];
      state.points = xs.map(x => ({x, y: w[0] * x + w[1] * state.second + w[2] * state.third + noise * gauss()}));
    } while (state.points.some(point => Math.abs(point.y) > Y - 0.3));
    draw();
  }

  // ---- The three methods ----

  function answers() {
    const input = x => [x, state.second, state.third], shown = state.points.slice(0, state.shown);
    const xs = shown.map(point => input(point.x)), ys = shown.map(point => point.y);
    const questions = Array.from({length: STEPS + 1}, (_, i) => input(-X + 2 * X * i / STEPS)).concat([input(state.question)]);
    const line = penalty => {
      const w = xs.length ? live.linearWeights(xs, ys, penalty) : [0, 0, 0];
      return questions.map(x => x.reduce((sum, value, j) => sum + w[j] * value, 0));
    };
    return [model.ask(xs, ys, questions), line(0), line(state.penalty)];
  }

  // ---- The drawing ----

  const picture = make("svg", {class: "live-plot", role: "group", "aria-label": "Points and predictions: y against the first coordinate of x"});
  const ground = make("g", {"aria-hidden": "true"}), curves = make("g", {"clip-path": "url(#live-clip)", "aria-hidden": "true"});
  const clip = make("rect"), handles = make("g");
  picture.append(make("clipPath", {id: "live-clip"}, clip), ground, curves, handles);

  const size = {width: 600, height: 380};
  const inner = () => ({width: size.width - MARGIN.left - MARGIN.right, height: size.height - MARGIN.top - MARGIN.bottom});
  const across = x => MARGIN.left + (x + X) / (2 * X) * inner().width;
  const down = y => MARGIN.top + (Y - y) / (2 * Y) * inner().height;

  function drawGround() {
    const lines = [], {left, top} = MARGIN, right = across(X), bottom = down(-Y);
    for (let x = -X; x <= X; x++) lines.push(make("line", {x1: across(x), x2: across(x), y1: top, y2: bottom}),
      make("text", {x: across(x), y: bottom + 16, "text-anchor": "middle"}, number(x, 0)));
    for (let y = -4; y <= 4; y += 2) lines.push(make("line", {x1: left, x2: right, y1: down(y), y2: down(y)}),
      make("text", {x: left - 6, y: down(y) + 4, "text-anchor": "end"}, number(y, 0)));
    lines.push(make("text", {x: across(0), y: size.height - 3, "text-anchor": "middle"}, "first coordinate of x"),
      make("text", {x: 4, y: down(Y) + 10}, "y"));
    ground.replaceChildren(...lines);
    picture.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
    for (const [key, value] of Object.entries({x: left, y: top, ...inner()})) clip.setAttribute(key, value);
  }

  /* Something that can be dragged, or moved by arrow keys, in large steps with Shift. */
  function handle(kind, moved) {
    const element = make("g", {class: `live-handle live-${kind}`, role: "slider", tabindex: 0, "aria-valuemin": -Y, "aria-valuemax": Y});
    const where = event => {
      const frame = picture.getBoundingClientRect(), scale = size.width / frame.width;
      return [((event.clientX - frame.left) * scale - MARGIN.left) / inner().width * 2 * X - X,
              Y - ((event.clientY - frame.top) * scale - MARGIN.top) / inner().height * 2 * Y];
    };
    element.addEventListener("pointerdown", event => element.setPointerCapture(event.pointerId));
    element.addEventListener("pointermove", event => { if (element.hasPointerCapture(event.pointerId)) moved(() => where(event)); });
    element.addEventListener("keydown", event => {
      const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]}[event.key];
      if (!step) return;
      event.preventDefault();
      moved((x, y) => step.map((direction, i) => [x, y][i] + direction * (event.shiftKey ? 0.5 : 0.1)));
    });
    return element;
  }

  const dots = Array.from({length: SHOWN}, (_, i) => {
    const element = handle("point", to => {
      const point = state.points[i], [x, y] = to(point.x, point.y);
      Object.assign(point, {x: clamp(x, X), y: clamp(y, Y)});
      draw();
    });
    element.setAttribute("aria-label", `Point ${i + 1}`);
    element.append(make("circle", {r: 11}), make("text", {"text-anchor": "middle", y: 4}, i + 1));
    return element;
  });
  const question = handle("question", to => { state.question = clamp(to(state.question, 0)[0], X); draw(); });
  question.setAttribute("aria-label", "Question: first coordinate of x");
  question.setAttribute("aria-valuemin", -X);
  question.setAttribute("aria-valuemax", X);
  question.append(make("line"), make("circle", {r: 11}), make("text", {"text-anchor": "middle", y: 4}, "?"));
  handles.append(question, ...dots);

  function drawHandles(found) {
    state.points.forEach((point, i) => {
      dots[i].setAttribute("transform", `translate(${across(point.x)} ${down(point.y)})`);
      dots[i].setAttribute("aria-valuenow", point.y.toFixed(1));
      dots[i].setAttribute("aria-valuetext", `x ${number(point.x, 1)}, y ${number(point.y, 1)}${i < state.shown ? "" : ", not shown to the model"}`);
      dots[i].classList.toggle("live-hidden", i >= state.shown);
    });
    question.setAttribute("transform", `translate(${across(state.question)} ${down(-Y) - 12})`);
    question.setAttribute("aria-valuenow", state.question.toFixed(1));
    question.firstChild.setAttribute("y2", MARGIN.top - down(-Y) + 12);
    const path = values => values.slice(0, -1).map((y, i) => `${i ? "L" : "M"}${across(-X + 2 * X * i / STEPS).toFixed(1)} ${down(y).toFixed(1)}`).join("");
    const answer = (values, m) => make("circle", {class: `live-method-${m}`, r: 5, cx: across(state.question), cy: down(values.at(-1))});
    curves.replaceChildren(...[2, 1, 0].map(m => make("path", {class: `live-method-${m}`, d: path(found[m])})), ...[2, 1, 0].map(m => answer(found[m], m)));
  }

  // ---- Words and controls ----

  const cells = METHODS.map(() => make("td"));
  const sample = m => make("svg", {class: "live-sample", viewBox: "0 0 30 8", "aria-hidden": "true"}, make("path", {class: `live-method-${m}`, d: "M0 4L30 4"}));
  const caption = make("caption");
  const table = make("table", {class: "live-answers"}, caption, make("tbody", {},
    ...METHODS.map((words, m) => make("tr", {}, make("th", {scope: "row"}, sample(m), ` ${words}`), cells[m]))));

  function draw() {
    const found = answers();
    drawHandles(found);
    caption.textContent = `Answers at x = (${[state.question, state.second, state.third].map(x => number(x, 1)).join(", ")})`;
    found.forEach((values, m) => { cells[m].textContent = number(values.at(-1)); });
  }

  const set = key => value => { state[key] = value; draw(); };
  const row = (...children) => make("div", {class: "live-row"}, ...children);
  box.replaceChildren(
    row(button("New line", () => drawPoints(0)), button("New line with noise", () => drawPoints(0.7)),
      button("Shuffle the order", () => { state.points = shuffled(state.points, random); draw(); })),
    picture, table,
    row(slider("Points shown", [0, SHOWN, 1], state.shown, set("shown")).element,
      slider("Second coordinate", [-2, 2, 0.1], state.second, set("second"), x => number(x, 1)).element,
      slider("Third coordinate", [-2, 2, 0.1], state.third, set("third"), x => number(x, 1)).element,
      slider("Ridge penalty", [-2, 1, 0.1], -1, power => set("penalty")(10 ** power), power => number(10 ** power)).element),
  );
  new ResizeObserver(() => {
    size.width = Math.max(280, picture.clientWidth);
    size.height = Math.round(Math.min(420, Math.max(320, 0.6 * size.width)));
    drawGround();
    draw();
  }).observe(box);
  drawGround();
  drawPoints(0);
})();
