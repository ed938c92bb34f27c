// Two or more reports: what differs, and which splits and segments got faster or slower than in the first.

const CHANGES_PER_PAGE = 20;

const shortDigest = (digest) => `${digest.slice(0, 12)}\u2026`;

function comparedFields(report) {
  const { machine, network, configuration } = report;
  const fields = new Map([
    ["created", report.created], ["cpu", machine.cpu], ["cores", whole(machine.cores)],
    ["memory", size(machine.memory_bytes)], ["os", machine.os], ["python", machine.python],
  ]);
  for (const [name, version] of Object.entries(machine.versions)) fields.set(`version of ${name}`, version);
  fields.set("network", network.name);
  fields.set("network digest", shortDigest(network.digest));
  fields.set("layers", network.layers.map((layer) => layer.name).join(" "));
  for (const [name, value] of Object.entries(configuration)) {
    const text = value === null ? "none" : name.endsWith("_bytes") ? size(value) : String(value);
    fields.set(name.replaceAll("_", " "), text);
  }
  return fields;
}

function drawDifferences(table, reports) {
  const columns = reports.map(comparedFields);
  const names = [...new Set(columns.flatMap((fields) => [...fields.keys()]))];
  const body = el("tbody");
  for (const name of names) {
    const values = columns.map((fields) => fields.get(name) ?? NONE);
    const differs = new Set(values).size > 1;
    body.append(el("tr", { class: differs ? "differs" : null }, cell(name), cell(differs ? "\u2260" : "="),
      ...values.map((value) => cell(value))));
  }
  table.replaceChildren(head([["", null], ["", null], ...reports.map((_, index) =>
    [index ? `report ${index + 1}` : "report 1 (base)", null])]), body);
}

/** A change as {before, after, ratio, note}: by how much, or what became possible. */
function change(before, after, wasOpen, isOpen) {
  if (wasOpen && isOpen) return { before, after, ratio: before > 0 ? after / before : 1, weight: before > 0 && after > 0 ? Math.abs(Math.log(after / before)) : 0 };
  return { before, after, ratio: null, weight: wasOpen === isOpen ? -1 : Infinity, note: wasOpen === isOpen ? "infeasible in both" : isOpen ? "became feasible" : "became infeasible" };
}

function changeCell(one) {
  if (one.ratio === null) {
    return cell(one.note, one.note === "became feasible" ? "better" : one.note === "became infeasible" ? "worse" : "blank");
  }
  if (one.ratio === 1) return cell("no change", "number");
  return one.ratio > 1 ? cell(`${percent(one.ratio - 1)} slower`, "number worse") : cell(`${percent(1 - one.ratio)} faster`, "number better");
}

function drawChanges(table, pages, rows, first, page, select) {
  const count = Math.max(1, Math.ceil(rows.length / CHANGES_PER_PAGE));
  const body = el("tbody");
  for (const row of rows.slice(page * CHANGES_PER_PAGE, (page + 1) * CHANGES_PER_PAGE)) {
    const line = el("tr", {}, el("td", { class: "name", title: row.title ?? null }, row.label()), number(time(row.before)), number(time(row.after)), changeCell(row));
    if (select) line.addEventListener("click", () => select(row));
    body.append(line);
  }
  table.replaceChildren(head([[first, null], ["before", "number"], ["after", "number"], ["change", "number"]]), body);
  pager(pages, page, count, rows.length, CHANGES_PER_PAGE, (next) => drawChanges(table, pages, rows, first, next, select));
}

function splitChanges(base, other) {
  const open = (split) => split.origin !== "infeasible";
  const { bandwidth, rtt } = view;
  return base.splits.map((split) => {
    let after = other.byLetters.get(split.split);
    if (!after) { // a long network's report lists its frontier alone
      after = composeStatic(other, split.split, null);
      setNetwork(after, bandwidth, rtt);
    }
    return { ...change(split.latency_ms, after.latency_ms, open(split), open(after)), split,
      label: () => cells(split.split, base.layers) };
  }).sort((a, b) => b.weight - a.weight);
}

function segmentChanges(base, other) {
  return [...base.segments].filter(([key]) => other.segments.has(key)).map(([key, segment]) => {
    const after = other.segments.get(key);
    const cost = (one) => (one.ready ? one.server.cost.evaluate_ms : null);
    return { ...change(cost(segment), cost(after), segment.ready, after.ready), title: segment.name,
      label: () => segment.name };
  }).sort((a, b) => b.weight - a.weight);
}

function drawComparison(base, other, select) {
  const sameLayers = base.layers.length === other.layers.length;
  const note = byId("comparison-note");
  const tables = ["split-changes", "segment-changes"];
  if (!sameLayers) {
    note.textContent = `The networks have ${base.layers.length} and ${other.layers.length} layers, so neither splits nor `
      + "segments can be matched; only machines, versions and networks are compared.";
    for (const id of tables) {
      byId(id).replaceChildren(el("tbody", {}, el("tr", {}, cell("not comparable", "blank"))));
      byId(`${id}-pages`).replaceChildren();
    }
    return;
  }
  const splits = splitChanges(base, other);
  const count = (test) => whole(splits.filter(test).length);
  note.textContent = `Both at the bandwidth and round-trip time chosen above. Of ${whole(splits.length)} splits `
    + `${count((one) => one.ratio !== null && one.ratio > 1)} are slower, ${count((one) => one.ratio !== null && one.ratio < 1)} faster, `
    + `${count((one) => one.note === "became feasible")} became feasible and ${count((one) => one.note === "became infeasible")} infeasible.`
    + (base.report.network.digest === other.report.network.digest ? "" : " The networks differ; splits are matched by their letters.");
  drawChanges(byId("split-changes"), byId("split-changes-pages"), splits, "split", 0, (row) => select(row.split));
  drawChanges(byId("segment-changes"), byId("segment-changes-pages"), segmentChanges(base, other), "segment", 0, null);
}
