// Small parts that all views share. Text from a report enters the page through textContent alone.

const NONE = "\u2013";

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") node.textContent = value;
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const byId = (id) => document.getElementById(id);

function digits(value) {
  if (value === 0) return "0";
  const decimals = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value) * 1.0005)));
  return value.toLocaleString("en-US", { minimumFractionDigits: Math.min(decimals, 3), maximumFractionDigits: Math.min(decimals, 3) });
}

const whole = (value) => (value === null || value === undefined ? NONE : value.toLocaleString("en-US"));

/** Milliseconds with a fitting unit. */
function time(value) {
  if (value === null || value === undefined) return NONE;
  return value >= 999.5 ? `${digits(value / 1000)} s` : `${digits(value)} ms`;
}

/** Bytes with a fitting unit, powers of 1000. */
function size(value) {
  if (value === null || value === undefined) return NONE;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return unit ? `${digits(value)} ${units[unit]}` : `${whole(value)} B`;
}

/** The least and the largest of durations, with one unit where both have the same. */
function spread(samples) {
  const [low, high] = [time(Math.min(...samples)), time(Math.max(...samples))];
  const [number, unit] = low.split(" ");
  return high.endsWith(` ${unit}`) ? `${number}\u2013${high}` : `${low}\u2013${high}`;
}

const percent = (share) => `${digits(share * 100)} %`;
const small = (value) => (value === 0 ? "0" : value.toExponential(2).replace("e-", "e\u2212").replace("e+", "e"));
const rate = (mbps) => (mbps >= 999.5 ? `${digits(mbps / 1000)} Gbit/s` : `${digits(mbps)} Mbit/s`);

function cells(letters, layers) {
  const row = el("span", { class: "cells", role: "img", "aria-label": letters });
  [...letters].forEach((letter, index) => {
    row.append(el("span", { class: `cell ${letter}`, title: layers[index].name, text: letter }));
  });
  return row;
}

function stageBar(split) {
  const bar = el("div", { class: "bar" });
  const parts = [["client", split.client_ms], ["server", split.server_ms], ["network", split.network_ms]];
  bar.title = parts.map(([name, value]) => `${name} ${time(value)}`).join(", ");
  for (const [name, value] of parts) {
    const part = el("span", { class: name });
    part.style.width = `${split.latency_ms > 0 ? (100 * value) / split.latency_ms : 0}%`;
    bar.append(part);
  }
  return bar;
}

function factList(pairs) {
  return pairs.map(([name, value]) => el("div", {}, el("dt", { text: name }), el("dd", { text: value })));
}

function cell(text, className = null) {
  return el("td", { class: className, text });
}

const number = (text) => cell(text, text === NONE ? "number blank" : "number");

/** A plain head: [[heading, class], ...]. */
function head(columns) {
  const row = el("tr");
  for (const [text, className] of columns) row.append(el("th", { scope: "col", class: className, text }));
  return el("thead", {}, row);
}

/** Previous, next and "rows 1 to 25 of 4096"; calls `turn` with the new page. */
function pager(holder, page, pages, total, perPage, turn) {
  if (pages < 2) return holder.replaceChildren();
  const button = (text, target) => {
    const one = el("button", { type: "button", text });
    one.disabled = target < 0 || target >= pages || target === page;
    one.addEventListener("click", () => turn(target));
    return one;
  };
  const from = page * perPage + 1;
  const to = Math.min(total, from + perPage - 1);
  return holder.replaceChildren(
    button("First", 0), button("Previous", page - 1), button("Next", page + 1), button("Last", pages - 1),
    el("span", { class: "quiet", text: `rows ${whole(from)} to ${whole(to)} of ${whole(total)}` }),
  );
}
