// The scatter plot. Points of one sort are one path of dots, so that 4096 of them move without lag.

const MARGIN = { left: 76, right: 16, top: 10, bottom: 46 };

function svg(chart, tag, attributes, text) {
  const node = document.createElementNS(chart.namespaceURI, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function timeTicks(low, high) {
  const wide = Math.log10(high / low) > 2.2;
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const step of wide ? [1] : [1, 2, 5]) {
      const tick = step * 10 ** power;
      if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
    }
  }
  return ticks;
}

const tickTime = (tick) => (tick >= 1000 ? `${whole(tick / 1000)} s` : `${Number(tick.toPrecision(3))} ms`);

function memoryTicks(high) {
  const rough = high / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough);
  const ticks = [];
  for (let index = 0; index * step < high + step; index += 1) ticks.push(index * step);
  return ticks;
}

function drawChart(view) {
  const { chart, model, selected } = view;
  const shown = model.splits.filter((split) => split.origin !== "infeasible");
  const width = chart.clientWidth || 600;
  const height = chart.clientHeight || 400;
  chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const parts = [];
  view.points = [];
  byId("left-out").textContent = shown.length === model.splits.length ? ""
    : `${whole(model.splits.length - shown.length)} infeasible not drawn`;
  if (!shown.length) {
    chart.replaceChildren(svg(chart, "text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, "No feasible split"));
    return;
  }
  let low = Infinity;
  let high = 0;
  let most = 0;
  for (const split of shown) {
    low = Math.min(low, split.latency_ms);
    high = Math.max(high, split.latency_ms);
    most = Math.max(most, split.server_peak_bytes);
  }
  low = Math.max(low, 0.001) / 1.15;
  high = Math.max(high, low) * 1.15;
  const memories = memoryTicks(most || 1e6);
  const top = memories[memories.length - 1];
  const x = (ms) => MARGIN.left + (Math.log(Math.max(ms, low) / low) / Math.log(high / low)) * (width - MARGIN.left - MARGIN.right);
  const y = (bytes) => height - MARGIN.bottom - (bytes / top) * (height - MARGIN.bottom - MARGIN.top);
  const floor = height - MARGIN.bottom;
  for (const tick of memories) {
    parts.push(svg(chart, "line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(tick), y2: y(tick) }));
    const label = tick ? size(tick).replace(/\.0+(?= )/, "").replace(/(\.\d*?)0+(?= )/, "$1") : "0";
    parts.push(svg(chart, "text", { x: MARGIN.left - 7, y: y(tick) + 4, "text-anchor": "end" }, label));
  }
  for (const tick of timeTicks(low, high)) {
    parts.push(svg(chart, "line", { class: "grid", x1: x(tick), x2: x(tick), y1: MARGIN.top, y2: floor }));
    parts.push(svg(chart, "text", { x: x(tick), y: floor + 17, "text-anchor": "middle" }, tickTime(tick)));
  }
  parts.push(svg(chart, "text", { class: "axis-title", x: (MARGIN.left + width - MARGIN.right) / 2, y: height - 8,
    "text-anchor": "middle" }, "Latency of one inference (log scale)"));
  parts.push(svg(chart, "text", { class: "axis-title", "text-anchor": "middle",
    transform: `translate(13 ${(MARGIN.top + floor) / 2}) rotate(-90)` }, "Server peak memory"));
  const paths = { composed: [], estimated: [], frontier: [] };
  for (const split of shown) {
    const point = { split, x: x(split.latency_ms), y: y(split.server_peak_bytes) };
    view.points.push(point);
    const kind = split.on_frontier ? "frontier" : split.origin === "estimated" ? "estimated" : "composed";
    paths[kind].push(`M${point.x.toFixed(1)} ${point.y.toFixed(1)}h0`);
    if (split === selected) view.ring = point;
  }
  for (const [kind, dots] of Object.entries(paths)) {
    parts.push(svg(chart, "path", { class: `points ${kind}`, d: dots.join("") }));
  }
  const chosen = view.points.find((point) => point.split === selected);
  if (chosen) parts.push(svg(chart, "circle", { cx: chosen.x, cy: chosen.y, r: 8 }));
  view.mark = svg(chart, "circle", { class: "hover", r: 7, visibility: "hidden" });
  parts.push(view.mark);
  chart.replaceChildren(...parts);
}

function showTip(view, point) {
  const tip = byId("tip");
  tip.hidden = !point;
  if (view.mark) view.mark.setAttribute("visibility", point ? "visible" : "hidden");
  if (!point) return;
  const { split } = point;
  view.mark.setAttribute("cx", point.x);
  view.mark.setAttribute("cy", point.y);
  tip.replaceChildren(
    el("p", {}, cells(split.split, view.model.layers)),
    el("p", { text: `latency ${time(split.latency_ms)} (${split.origin})` }),
    el("p", { text: `server memory ${size(split.server_peak_bytes)}` }),
    el("p", { text: `exposed ${whole(split.exposed)} parameters` }),
    el("p", { text: split.on_frontier ? "on the frontier" : "not on the frontier" }),
  );
  const room = view.chart.clientWidth - tip.offsetWidth;
  tip.style.left = `${Math.max(0, Math.min(room, point.x + (point.x > room - 14 ? -tip.offsetWidth - 14 : 14)))}px`;
  tip.style.top = `${Math.max(0, Math.min(point.y - 20, view.chart.clientHeight - tip.offsetHeight))}px`;
}

function nearestPoint(view, event) {
  const box = view.chart.getBoundingClientRect();
  const [left, top] = [event.clientX - box.left, event.clientY - box.top];
  let best = null;
  let nearest = 24 ** 2;
  for (const point of view.points) {
    // A frontier point wins over one of the cloud that lies on it.
    const distance = (point.x - left) ** 2 + (point.y - top) ** 2 - (point.split.on_frontier ? 4 : 0);
    if (distance < nearest) [best, nearest] = [point, distance];
  }
  return best;
}

function listenToChart(view, select) {
  const { chart } = view;
  chart.addEventListener("pointermove", (event) => showTip(view, nearestPoint(view, event)));
  chart.addEventListener("pointerleave", () => showTip(view, null));
  chart.addEventListener("blur", () => showTip(view, null));
  chart.addEventListener("click", (event) => {
    const point = nearestPoint(view, event);
    if (point) select(point.split);
  });
  chart.addEventListener("focus", () => {
    if (chart.matches(":focus-visible")) showTip(view, view.points.find((point) => point.split === view.selected));
  });
  chart.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const walk = view.points.filter((point) => point.split.on_frontier)
      .sort((a, b) => a.split.latency_ms - b.split.latency_ms);
    const at = walk.findIndex((point) => point.split === view.selected);
    const next = walk[at < 0 ? 0 : Math.min(walk.length - 1, Math.max(0, at + step))];
    if (!next) return;
    select(next.split);
    showTip(view, view.points.find((point) => point.split === next.split));
  });
}
