// The page: state, tables and controls. Runs last, after model.js, sharing.js, widgets.js, chart.js and comparison.js.

const ROWS_PER_PAGE = 25;
const reports = JSON.parse(byId("reports").textContent);
const models = reports.map(buildModel);
const view = { chart: byId("chart"), model: models[0], selected: null, points: [], page: 0, sort: "latency", descending: false,
  bandwidth: reports[0].configuration.bandwidth_mbps, rtt: reports[0].configuration.rtt_ms };
const frontiers = {};

const SPLIT_COLUMNS = [
  { key: "split", heading: "split", value: (split) => split.split },
  { key: "origin", heading: "origin", value: (split) => split.origin },
  { key: "latency", heading: "latency", number: true, value: (split) => split.latency_ms, text: time },
  { key: "stages", heading: "stages", value: (split) => (split.latency_ms === null ? null : split.server_ms / split.latency_ms) },
  { key: "up", heading: "up", number: true, value: (split) => split.upload_bytes, text: size },
  { key: "down", heading: "down", number: true, value: (split) => split.download_bytes, text: size },
  { key: "client-peak", heading: "client peak", number: true, value: (split) => split.client_peak_bytes, text: size },
  { key: "server-peak", heading: "server peak", number: true, value: (split) => split.server_peak_bytes, text: size },
  { key: "keys", heading: "keys", number: true, value: (split) => split.evaluation_key_bytes, text: size },
  { key: "setup", heading: "setup", number: true, value: (split) => split.setup_ms, text: time },
  { key: "trips", heading: "round trips", number: true, value: (split) => split.round_trips, text: whole },
  { key: "exposed", heading: "exposed", number: true, value: (split) => split.exposed, text: whole },
];

/** A test for the search text: letters as a substring, `server:NAME` and `client:NAME`; null with a name nobody has. */
function searchTest(text, layers) {
  const tests = [];
  for (const word of text.trim().split(/\s+/).filter(Boolean)) {
    const form = /^(client|server):(.+)$/i.exec(word);
    if (form) {
      const index = layers.findIndex((layer) => layer.name.toLowerCase() === form[2].toLowerCase());
      if (index < 0) return null;
      const letter = form[1][0].toUpperCase() === "S" ? "S" : "C";
      tests.push((letters) => letters[index] === letter);
    } else if (/^[cs]+$/i.test(word)) {
      const part = word.toUpperCase();
      tests.push((letters) => letters.includes(part));
    } else return null;
  }
  return (letters) => tests.every((test) => test(letters));
}

function compareKeys(a, b) {
  if (a === null || b === null) return (a === null) - (b === null);
  return a < b ? -1 : a > b ? 1 : 0;
}

function shownSplits() {
  const test = searchTest(byId("search").value, view.model.layers);
  const only = byId("only-frontier").checked;
  const column = SPLIT_COLUMNS.find((one) => one.key === view.sort);
  const sign = view.descending ? -1 : 1;
  const kept = test ? view.model.splits.filter((split) => (!only || split.on_frontier) && test(split.split)) : [];
  const keyed = kept.map((split) => [column.value(split), split]);
  // Splits without a figure stay last in both directions.
  keyed.sort(([a], [b]) => (a === null || b === null ? compareKeys(a, b) : sign * compareKeys(a, b)));
  return { known: test !== null, rows: keyed.map(([, split]) => split) };
}

function splitRow(split) {
  const chosen = split === view.selected;
  const row = el("tr", { tabindex: "0", "aria-selected": String(chosen) });
  const first = el("td", {}, el("span", { class: "star", text: split.on_frontier ? "\u2605" : "",
    title: split.on_frontier ? "on the frontier" : null }), cells(split.split, view.model.layers));
  row.append(first, cell(split.origin, split.origin === "infeasible" ? "infeasible" : null));
  if (split.origin === "infeasible") {
    row.append(el("td", { class: "text infeasible", colspan: "8", text: split.reason }));
  }
  for (const column of SPLIT_COLUMNS.slice(split.origin === "infeasible" ? 10 : 2)) {
    if (column.key === "stages") row.append(el("td", {}, stageBar(split)));
    else row.append(number(column.text(column.value(split))));
  }
  row.addEventListener("click", () => select(split));
  row.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    select(split);
    byId("splits").querySelector("[aria-selected='true']")?.focus();
  });
  return row;
}

function drawSplitHead() {
  const row = el("tr");
  for (const column of SPLIT_COLUMNS) {
    const direction = view.sort !== column.key ? "none" : view.descending ? "descending" : "ascending";
    const button = el("button", { type: "button", text: column.heading });
    button.addEventListener("click", () => {
      view.descending = view.sort === column.key && !view.descending;
      view.sort = column.key;
      view.page = 0;
      drawSplitHead();
      drawSplits();
      byId("splits").querySelector(`th[data-key="${column.key}"] button`).focus();
    });
    row.append(el("th", { scope: "col", "aria-sort": direction, "data-key": column.key,
      class: column.number ? "number" : null }, button));
  }
  const table = byId("splits");
  table.tHead?.remove();
  table.prepend(el("thead", {}, row));
}

function drawSplits() {
  const { known, rows } = shownSplits();
  const pages = Math.max(1, Math.ceil(rows.length / ROWS_PER_PAGE));
  view.page = Math.min(view.page, pages - 1);
  const table = byId("splits");
  table.tBodies[0]?.remove();
  table.append(el("tbody", {}, ...rows.slice(view.page * ROWS_PER_PAGE, (view.page + 1) * ROWS_PER_PAGE).map(splitRow)));
  const total = view.model.splits.length;
  byId("count").textContent = known ? `${whole(rows.length)} of ${whole(total)} splits`
    : "Search for letters such as CCS, or for client:LAYER and server:LAYER with a layer of this network";
  pager(byId("splits-pages"), view.page, pages, rows.length, ROWS_PER_PAGE, (page) => {
    view.page = page;
    drawSplits();
  });
}

function drawSelected() {
  const split = view.selected;
  const { layers } = view.model;
  if (!split) {
    byId("selected").replaceChildren(el("p", { text: "No split" }));
    byId("exposure").replaceChildren();
    return;
  }
  const named = el("div", { class: "cells", role: "img", "aria-label": split.split });
  [...split.split].forEach((letter, index) => {
    named.append(el("span", { class: `cell ${letter}`, text: `${letter} ${layers[index].name}` }));
  });
  const state = `${split.split}, ${split.origin}${split.on_frontier ? ", on the frontier" : ""}`;
  const children = [named, el("p", { class: "quiet", text: state })];
  if (split.reason) children.push(el("p", { class: split.origin === "infeasible" ? "infeasible" : "quiet", text: split.reason }));
  if (split.origin !== "infeasible") {
    children.push(stageBar(split), el("dl", { class: "facts" }, ...factList([
      ["latency", time(split.latency_ms)], ["client", time(split.client_ms)], ["server", time(split.server_ms)],
      ["network", time(split.network_ms)], ["upload", size(split.upload_bytes)], ["download", size(split.download_bytes)],
      ["client peak memory", size(split.client_peak_bytes)], ["server peak memory", size(split.server_peak_bytes)],
      ["evaluation keys", size(split.evaluation_key_bytes)], ["setup, once", time(split.setup_ms)],
      ["round trips", whole(split.round_trips)],
    ])));
  }
  const shared = split.origin === "infeasible" ? null : composeShared(view.model, split.split, view.bandwidth, view.rtt);
  if (shared) children.push(keySetsTable(split, shared));
  byId("selected").replaceChildren(...children);
  drawExposure(split);
}

function keySetsTable(split, shared) {
  const rows = [["latency", "latency_ms", time], ["setup, once", "setup_ms", time], ["evaluation keys", "evaluation_key_bytes", size],
    ["client peak memory", "client_peak_bytes", size], ["server peak memory", "server_peak_bytes", size]];
  const body = el("tbody", {}, ...rows.map(([name, key, text]) => el("tr", {}, el("td", { text: name }),
    number(text(split[key])), number(text(shared[key])))));
  const table = el("table", { class: "data", id: "key-sets" },
    head([["keys of the server segments", null], ["one set each", "number"], ["one set for all", "number"]]), body);
  const words = answersText(answersWon(split, shared));
  return el("div", { class: "scroll" }, table, el("p", { class: "quiet", text: shared.estimated ? `${words} Estimated.` : words }));
}

function answersText(won) {
  if (!won || won.most < 1) return "One set each takes less time.";
  if (won.most !== Infinity) return `One set for all takes less time in total up to ${whole(Math.floor(won.most))} answers, setup included.`;
  return won.least === 0 ? "One set for all takes less setup, and no answer takes longer."
    : `One set for all takes less time in total from ${whole(Math.floor(won.least) + 1)} answers, setup included.`;
}

function drawExposure(split) {
  const { exposure } = split;
  const list = el("dl", { class: "facts" }, ...factList([
    ["parameters that the client holds", `${whole(exposure.client_parameters)} (${percent(exposure.client_parameter_share)})`],
    ["parameters that a known number of queries recovers", whole(exposure.recoverable_parameters)],
    ["boundaries the client decrypts", whole(exposure.decrypted_boundaries)],
    ["fewest queries for exact recovery", whole(exposure.queries)],
    ["probability of a wrong bootstrap in one inference", small(exposure.failure_probability)],
  ]));
  const server = segmentsOf(view.model, split.split).filter((part) => part.server);
  if (!server.length) {
    return byId("exposure").replaceChildren(list, el("p", { class: "quiet", text: "No server segment: the client holds the whole network." }));
  }
  const body = el("tbody", {}, ...server.map(({ segment: { name, exposure: one } }) => el("tr", {},
    el("td", { class: "name", title: name, text: name }), cell(one.linear ? "linear" : "not linear"), number(whole(one.inputs)),
    number(whole(one.outputs)), number(whole(one.parameters)), number(whole(one.queries)), cell(one.attack, "text attack"))));
  const table = el("table", { class: "data" }, head([["server segment", null], ["function", null], ["inputs", "number"],
    ["outputs", "number"], ["parameters", "number"], ["queries", "number"], ["known attack", null]]), body);
  return byId("exposure").replaceChildren(list, el("div", { class: "scroll" }, table));
}

/** Median of samples with their spread below; an estimate where there are none. */
function spreadCell(samples, fallback) {
  if (!samples.length) return number(time(fallback));
  const node = number(time(median(samples)));
  if (samples.length > 1) node.append(el("small", { text: spread(samples) }));
  return node;
}

/** A segment with the larger keys of another, which both could then share. */
function variantRow(segment, variant) {
  const cost = variant.cost ?? {};
  const { samples } = variant;
  const name = `${segment.name}, keys ${variant.key_parameters.slice(0, 4)}\u2026`;
  return el("tr", { class: "quiet" }, el("td", { class: "name", title: `${segment.name} with key parameters ${variant.key_parameters}`,
    text: name }), el("td", { class: variant.status === "infeasible" ? "infeasible" : null, title: variant.reason, text: variant.status }),
    number(whole(segment.server.bootstraps)), number(NONE), number(variant.complexity === null ? NONE : small(variant.complexity)),
    number(time(variant.compile_ms)), spreadCell(samples.keygen_ms, cost.keygen_ms), spreadCell(samples.encrypt_ms, cost.encrypt_ms),
    spreadCell(samples.first_evaluate_ms, null), spreadCell(samples.evaluate_ms, cost.evaluate_ms),
    spreadCell(samples.decrypt_ms, cost.decrypt_ms), number(size(variant.evaluation_key_bytes)), number(size(variant.expanded_key_bytes)),
    number(size(cost.client_peak_bytes)), number(size(cost.server_peak_bytes)), number(NONE));
}

function drawSegments() {
  const columns = ["PBS", "bits", "complexity", "compile", "keygen", "encrypt", "first evalu\u00adation", "later evalu\u00adations",
    "decrypt", "keys on the wire", "keys expanded", "client peak", "server peak", "client in the clear"];
  const body = el("tbody");
  for (const segment of view.model.segments.values()) {
    const { server } = segment;
    const cost = server.cost ?? {};
    const { samples } = server;
    const row = el("tr", { class: server.reason ? "joined" : null }, el("td", { class: "name", title: segment.name, text: segment.name }),
      cell(server.status, server.status === "infeasible" ? "infeasible" : null),
      number(whole(server.bootstraps)), number(server.lookup_bits ? whole(server.lookup_bits) : NONE),
      number(server.complexity === null ? NONE : small(server.complexity)), number(time(server.compile_ms)),
      spreadCell(samples.keygen_ms, cost.keygen_ms), spreadCell(samples.encrypt_ms, cost.encrypt_ms),
      spreadCell(samples.first_evaluate_ms, null), spreadCell(samples.evaluate_ms, cost.evaluate_ms),
      spreadCell(samples.decrypt_ms, cost.decrypt_ms), number(size(server.evaluation_key_bytes)),
      number(size(server.expanded_key_bytes)), number(size(cost.client_peak_bytes)), number(size(cost.server_peak_bytes)),
      spreadCell(segment.client.run_ms, null));
    body.append(row);
    if (server.reason) {
      body.append(el("tr", {}, el("td", { class: `text ${server.status === "infeasible" ? "infeasible" : "blank"}`,
        colspan: String(columns.length + 2), text: `${server.status}: ${server.reason}` })));
    }
    for (const variant of server.shared) body.append(variantRow(segment, variant));
  }
  byId("segments").replaceChildren(head([["layers", null], ["status", null], ...columns.map((name) => [name, "number"])]), body);
}

function drawVerification() {
  const { verification } = view.model.report;
  byId("verification-section").hidden = verification === null;
  if (verification === null) return;
  byId("verification-note").textContent = `Measured ${verification.created}, ${verification.repeats} repeats, at ${rate(verification.bandwidth_mbps)} `
    + `and ${time(verification.rtt_ms)} round-trip time. Error: predicted against measured, in percent of measured.`;
  const pair = (predicted, measured, text) => {
    const error = measured > 0 ? (100 * (predicted - measured)) / measured : null;
    const shown = error === null ? NONE : `${error > 0 ? "+" : error < 0 ? "\u2212" : ""}${Math.abs(error).toFixed(1)} %`;
    return [number(text(predicted)), number(text(measured)), number(shown)];
  };
  const body = el("tbody", {}, ...verification.splits.map(({ split, predicted, measured }) => {
    const latency = pair(predicted.latency_ms, median(measured.latency_ms), time);
    latency[1].append(el("small", { text: spread(measured.latency_ms) }));
    return el("tr", {}, el("td", {}, cells(split, view.model.layers)), ...latency,
      ...pair(predicted.client_peak_bytes, measured.client_peak_bytes, size),
      ...pair(predicted.server_peak_bytes, measured.server_peak_bytes, size));
  }));
  byId("verification").replaceChildren(head([["split", null], ...["latency", "client peak", "server peak"].flatMap((name) =>
    [[`${name}, predicted`, "number"], ["measured", "number"], ["error", "number"]])]), body);
}

function drawHeader() {
  const { report } = view.model;
  const { machine, network, configuration: chosen } = report;
  byId("title").textContent = `Splits of network ${network.name}`;
  document.title = `CRYPTML: ${network.name}`;
  byId("facts").replaceChildren(...factList([
    ["network", `${network.layers.length} layers, ${whole(view.model.parameters)} parameters, digest ${shortDigest(network.digest)}`],
    ["machine", `${machine.cpu}, ${machine.cores} cores, ${size(machine.memory_bytes)}`],
    ["system", `${machine.os}, Python ${machine.python}`],
    ["versions", Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`).join(", ")],
    ["probability of error of one bootstrap", small(chosen.p_error)],
    ["security", `${chosen.security_bits} bits`],
    ["threads, repeats", `${chosen.threads} threads, ${chosen.repeats} repeats`],
    ["limits of a segment", `${time(chosen.segment_timeout_s * 1000)}, ${chosen.segment_memory_bytes === null ? "memory unbounded" : size(chosen.segment_memory_bytes)}`],
    ["measured network", `${rate(chosen.bandwidth_mbps)}, ${time(chosen.rtt_ms)} round-trip time`],
    ["profiled", report.elapsed ? `${report.created}, in ${time(report.elapsed.total_s * 1000)}` : report.created],
  ]));
  const fit = report.fit === null ? "" : ` Estimates: ${report.fit.model.replace(/\.$/, "")} (${report.fit.points} points, median error `
    + `${percent(report.fit.errors.evaluate_ms.median)}, worst ${percent(report.fit.errors.evaluate_ms.worst)}).`;
  byId("notes").textContent = `Latency of a split is composed from its segments.${fit} Peak memory counts the baseline of the process: `
    + `client ${size(report.baselines.client_bytes)}, server ${size(report.baselines.server_bytes)}.`
    + spreadNote(report)
    + (network.layers.length > 12 ? " More than 12 layers: only the splits that the report lists are shown." : "");
}

// As cryptml/profiler/plan/spread.py has it, numbers too.
function spreadNote(report) {
  const middle = (values) => {
    const sorted = [...values].sort((one, other) => one - other), half = sorted.length >> 1;
    return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  };
  const measured = report.segments.map((segment) => segment.server.samples.evaluate_ms).filter((each) => each.length > 1 && middle(each) >= 20);
  if (!measured.length) return "";
  const spread = middle(measured.map((each) => (Math.max(...each) - Math.min(...each)) / middle(each)));
  return spread < 0.25 ? "" : ` Warning: evaluations of one segment differ by ${percent(spread)} of their median: the machine did other work `
    + "meanwhile; measure again while it is idle.";
}

function select(split) {
  view.selected = view.model.byLetters.get(split.split) ?? split;
  drawChart(view);
  drawSelected();
  drawSplits();
}

function update() {
  const began = performance.now();
  recompute(view.model, view.bandwidth, view.rtt);
  window.cryptml.recomputeMs = performance.now() - began;
  byId("bandwidth-value").textContent = rate(view.bandwidth);
  byId("rtt-value").textContent = time(view.rtt);
  drawChart(view);
  drawSelected();
  drawSplits();
  if (models.length > 1) updateComparison();
}

function updateComparison() {
  const other = models[Number(byId("other").value)];
  for (const model of [models[0], other]) {
    if (model !== view.model) recompute(model, view.bandwidth, view.rtt);
  }
  drawComparison(models[0], other, select);
}

let waiting = false;
function updateSoon() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    update();
  });
}

function setSliders() {
  byId("bandwidth").value = String(Math.log10(view.bandwidth));
  byId("rtt").value = String(view.rtt);
}

function show(index) {
  view.model = models[index];
  const { configuration } = view.model.report;
  view.bandwidth = configuration.bandwidth_mbps;
  view.rtt = configuration.rtt_ms;
  view.page = 0;
  recompute(view.model, view.bandwidth, view.rtt);
  const open = view.model.splits.filter((split) => split.round_trips > 0 && split.origin !== "infeasible")
    .sort((a, b) => a.latency_ms - b.latency_ms);
  view.selected = open.find((split) => split.on_frontier) ?? open[0] ?? view.model.splits[0] ?? null;
  setSliders();
  drawHeader();
  drawSplitHead();
  drawSegments();
  drawVerification();
  update();
}

function listen() {
  byId("bandwidth").addEventListener("input", (event) => {
    view.bandwidth = 10 ** Number(event.target.value);
    updateSoon();
  });
  byId("rtt").addEventListener("input", (event) => {
    view.rtt = Number(event.target.value);
    updateSoon();
  });
  byId("reset").addEventListener("click", () => {
    const { configuration } = view.model.report;
    view.bandwidth = configuration.bandwidth_mbps;
    view.rtt = configuration.rtt_ms;
    setSliders();
    update();
  });
  for (const id of ["search", "only-frontier"]) {
    byId(id).addEventListener("input", () => {
      view.page = 0;
      drawSplits();
    });
  }
  byId("report").addEventListener("change", (event) => show(Number(event.target.value)));
  byId("other").addEventListener("change", updateComparison);
  listenToChart(view, select);
  new ResizeObserver(() => drawChart(view)).observe(view.chart);
}

function start() {
  window.cryptml = {
    compose: (letters, bandwidth, rtt) => composeOne(view.model, letters, bandwidth, rtt, frontiers),
    recomputeMs: 0,
  };
  if (reports.length > 1) {
    const label = (report, index) => `${index + 1}: ${report.network.name}, ${report.machine.cpu}, ${report.created}`;
    reports.forEach((report, index) => {
      byId("report").append(el("option", { value: String(index), text: label(report, index) }));
      if (index) byId("other").append(el("option", { value: String(index), text: label(report, index) }));
    });
    byId("chooser").hidden = false;
    byId("comparison-section").hidden = false;
    byId("other-label").hidden = reports.length === 2;
    drawDifferences(byId("differences"), reports);
  }
  listen();
  show(0);
  document.documentElement.dataset.ready = "yes";
}

start();
