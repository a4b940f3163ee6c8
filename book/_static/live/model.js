/* The forward passes of the book's two smallest models, and two regressions to compare with, in float64 and without any library.
   Matrices are flat arrays, row after row. Weights come from weights-*.js, which hold a checkpoint's own file (tools/live_toys.py). */
"use strict";

const live = (() => {
  // ---- Reading a safetensors file: eight bytes with the length of a JSON header, the header, the numbers ----

  function half(bits) {  // a float16 as a number
    const exponent = (bits >> 10) & 31, fraction = bits & 1023, sign = bits & 32768 ? -1 : 1;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24);
  }

  function readTensors(base64) {
    const bytes = Uint8Array.from(atob(base64), letter => letter.charCodeAt(0));
    const view = new DataView(bytes.buffer), start = 8 + view.getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start))), tensors = {};
    delete header.__metadata__;
    for (const [name, {dtype, shape, data_offsets: [from, to]}] of Object.entries(header)) {
      if (dtype !== "F16" && dtype !== "F32") throw new Error(`${name}: expected F16 or F32, found ${dtype}`);
      const size = dtype === "F16" ? 2 : 4, data = new Float64Array((to - from) / size);
      for (let i = 0; i < data.length; i++) {
        const at = start + from + size * i;
        data[i] = size === 2 ? half(view.getUint16(at, true)) : view.getFloat32(at, true);
      }
      tensors[name] = {shape, data};
    }
    return tensors;
  }

  function transposed({shape: [rows, columns], data}) {  // torch's linear layers keep [out, in]; here it is [in, out]
    const turned = new Float64Array(data.length);
    for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) turned[j * rows + i] = data[i * columns + j];
    return {shape: [columns, rows], data: turned};
  }

  // ---- The parts of a transformer ----

  function linear(x, weight, bias) {  // x [rows, in] times weight [in, out], plus bias [out]; four inputs at a time, which is faster
    const [width, out] = weight.shape, w = weight.data, rows = x.length / width, y = new Float64Array(rows * out);
    for (let r = 0; r < rows; r++) {
      const target = y.subarray(r * out, (r + 1) * out);
      if (bias) target.set(bias.data);
      let i = 0;
      for (; i + 3 < width; i += 4) {
        const from = r * width + i, a = x[from], b = x[from + 1], c = x[from + 2], d = x[from + 3];
        const first = i * out, second = first + out, third = second + out, fourth = third + out;
        for (let j = 0; j < out; j++) target[j] += a * w[first + j] + b * w[second + j] + c * w[third + j] + d * w[fourth + j];
      }
      for (; i < width; i++) for (let j = 0; j < out; j++) target[j] += x[r * width + i] * w[i * out + j];
    }
    return y;
  }

  function plus(a, b) {
    return a.map((value, i) => value + b[i]);
  }

  /* Attention of several heads. q, k, v are [token, width]; reads[i] lists the tokens that token i may attend to.
     Gives the heads' outputs side by side, [token, width], and patterns[head][token], one weight for each token in reads. */
  function attention(q, k, v, width, heads, reads) {
    const size = width / heads, mixed = new Float64Array(q.length), patterns = [];
    for (let head = 0; head < heads; head++) {
      patterns.push(reads.map((keys, query) => {
        const at = query * width + head * size, row = new Float64Array(keys.length);
        let largest = -Infinity, total = 0;
        for (let n = 0; n < row.length; n++) {
          let score = 0;
          for (let i = 0, from = keys[n] * width + head * size; i < size; i++) score += q[at + i] * k[from + i];
          row[n] = score / Math.sqrt(size);
          largest = Math.max(largest, row[n]);
        }
        for (let n = 0; n < row.length; n++) total += row[n] = Math.exp(row[n] - largest);
        for (let n = 0; n < row.length; n++) {
          row[n] /= total;
          for (let i = 0, from = keys[n] * width + head * size; i < size; i++) mixed[at + i] += row[n] * v[from + i];
        }
        return row;
      }));
    }
    return {mixed, patterns};
  }

  function layerNorm(x, gain, bias, epsilon) {
    const width = gain.data.length, y = new Float64Array(x.length);
    for (let at = 0; at < x.length; at += width) {
      let mean = 0, variance = 0;
      for (let i = 0; i < width; i++) mean += x[at + i] / width;
      for (let i = 0; i < width; i++) variance += (x[at + i] - mean) ** 2 / width;
      for (let i = 0; i < width; i++) y[at + i] = (x[at + i] - mean) / Math.sqrt(variance + epsilon) * gain.data[i] + bias.data[i];
    }
    return y;
  }

  function gelu(x) {  // GPT-2's own approximation
    return x.map(value => 0.5 * value * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (value + 0.044715 * value * value * value))));
  }

  function thirds(x, width) {  // [token, 3 * width] as three times [token, width]
    return [0, 1, 2].map(n => {
      const part = new Float64Array(x.length / 3);
      for (let at = 0; at < part.length; at += width) part.set(x.subarray(3 * at + n * width, 3 * at + (n + 1) * width), at);
      return part;
    });
  }

  const causal = n => Array.from({length: n}, (_, i) => Array.from({length: i + 1}, (_, j) => j));

  // ---- The attention-only model: analysis_lib/models/minigpt.py ----

  function miniGPT(saved) {
    const given = readTensors(saved.safetensors), {d_model: width, n_heads: heads, n_layers: layers, vocab_size: vocabulary} = saved.config;
    const matrix = name => transposed(given[name]);
    const blocks = Array.from({length: layers}, (_, i) =>
      Object.fromEntries(["query", "key", "value", "output"].map(name => [name, matrix(`blocks.${i}.attn.${name}.weight`)])));
    const unembed = matrix(saved.config.tie_word_embeddings ? "embed.weight" : "unembed.weight");

    /* ids: tokens, BEGIN first. off: a set of "layer,head"; the output of such a head is replaced by zeros.
       Gives logits [token, vocabulary] and patterns[layer][head][query][key]. */
    function forward(ids, off = new Set()) {
      const positions = given["positions.weight"].data, reads = causal(ids.length), patterns = [];
      let x = new Float64Array(ids.length * width);
      ids.forEach((id, i) => x.set(given["embed.weight"].data.subarray(id * width, (id + 1) * width), i * width));
      blocks.forEach((block, layer) => {
        const placed = plus(x, positions);  // positions reach queries and keys alone
        const found = attention(linear(placed, block.query), linear(placed, block.key), linear(x, block.value), width, heads, reads);
        patterns.push(found.patterns);
        const size = width / heads;
        for (let head = 0; head < heads; head++) {
          if (off.has(`${layer},${head}`))
            for (let at = head * size; at < x.length; at += width) found.mixed.fill(0, at, at + size);
        }
        x = plus(x, linear(found.mixed, block.output));
      });
      return {logits: linear(x, unembed), patterns};
    }

    function losses(ids, logits) {  // in nats, of each token after the first
      return ids.slice(1).map((id, i) => {
        const row = logits.subarray(i * vocabulary, (i + 1) * vocabulary), largest = Math.max(...row);
        return largest + Math.log(row.reduce((total, logit) => total + Math.exp(logit - largest), 0)) - row[id];
      });
    }

    return {forward, losses, heads, layers, vocabulary, longest: saved.config.n_positions};
  }

  // ---- The regressor: analysis_lib/models/regressor.py, interleaved layout ----

  function regressor(saved) {
    const given = readTensors(saved.safetensors), config = saved.config, width = config.n_embd, dims = config.n_dims;
    if (config.layout !== "interleaved") throw new Error(`layout: expected interleaved, found ${config.layout}`);
    const readIn = transposed(given["read_in.weight"]), readOut = transposed(given["read_out.weight"]);
    const part = name => given[`backbone.${name}`];
    const norm = (x, name) => layerNorm(x, part(`${name}.weight`), part(`${name}.bias`), config.layer_norm_epsilon);
    const layer = (x, name) => linear(x, part(`${name}.weight`), part(`${name}.bias`));

    /* tokens: rows of `dims` numbers; positions and reads: of each token. Gives the read-out at every token. */
    function run(tokens, positions, reads) {
      const wpe = part("wpe.weight").data;
      let x = linear(Float64Array.from(tokens.flat()), readIn, given["read_in.bias"]);
      positions.forEach((position, i) => { for (let j = 0; j < width; j++) x[i * width + j] += wpe[position * width + j]; });
      for (let i = 0; i < config.n_layer; i++) {
        const [q, k, v] = thirds(layer(norm(x, `h.${i}.ln_1`), `h.${i}.attn.c_attn`), width);
        x = plus(x, layer(attention(q, k, v, width, config.n_head, reads).mixed, `h.${i}.attn.c_proj`));
        x = plus(x, layer(gelu(layer(norm(x, `h.${i}.ln_2`), `h.${i}.mlp.c_fc`)), `h.${i}.mlp.c_proj`));
      }
      return linear(norm(x, "ln_f"), readOut, given["read_out.bias"]);
    }

    const answer = y => [y, ...Array(dims - 1).fill(0)];

    function predict(xs, ys) {  // each y from the points before it
      const tokens = xs.flatMap((x, i) => [x, answer(ys[i])]);
      return Array.from(run(tokens, tokens.map((_, i) => i), causal(tokens.length))).filter((_, i) => i % 2 === 0);
    }

    /* What the model answers to each of many questions after the same examples: each question reads the examples and itself. */
    function ask(xs, ys, questions) {
      const shown = xs.flatMap((x, i) => [x, answer(ys[i])]), n = shown.length, before = causal(n);
      const all = Array.from({length: n}, (_, i) => i);
      const positions = [...all, ...questions.map(() => n)], reads = [...before, ...questions.map((_, i) => [...all, n + i])];
      return Array.from(run([...shown, ...questions], positions, reads).subarray(n));
    }

    return {predict, ask, dims, points: config.n_points};
  }

  // ---- Least squares and ridge ----

  /* Weights of ridge regression; with penalty 0, least squares of least norm. One-sided Jacobi rotations make the columns of
     the design orthogonal, which is its singular value decomposition. */
  function linearWeights(xs, ys, penalty = 0) {
    const dims = xs[0].length, columns = Array.from({length: dims}, (_, j) => xs.map(x => x[j]));
    const turned = Array.from({length: dims}, (_, j) => Array.from({length: dims}, (_, i) => +(i === j)));
    const dot = (a, b) => a.reduce((total, value, i) => total + value * b[i], 0);
    for (let sweep = 0; sweep < 30; sweep++)
      for (let i = 0; i < dims; i++)
        for (let j = i + 1; j < dims; j++) {
          const a = dot(columns[i], columns[i]), b = dot(columns[j], columns[j]), c = dot(columns[i], columns[j]);
          if (Math.abs(c) <= 1e-16 * Math.sqrt(a * b)) continue;
          const zeta = (b - a) / (2 * c), tangent = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.hypot(1, zeta));
          const cos = 1 / Math.hypot(1, tangent), sin = cos * tangent;
          for (const rows of [columns, turned]) {
            const [left, right] = [rows[i], rows[j]];
            rows[i] = left.map((value, n) => cos * value - sin * right[n]);
            rows[j] = left.map((value, n) => sin * value + cos * right[n]);
          }
        }
    const squares = columns.map(column => dot(column, column));
    const least = (Math.max(xs.length, dims) * Number.EPSILON) ** 2 * Math.max(...squares);
    const weights = Array(dims).fill(0);
    columns.forEach((column, j) => {
      if (squares[j] <= least) return;
      const along = dot(column, ys) / (squares[j] + penalty);
      for (let i = 0; i < dims; i++) weights[i] += along * turned[j][i];
    });
    return weights;
  }

  return {miniGPT, regressor, linearWeights};
})();
