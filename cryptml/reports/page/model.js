// The numbers of a report: splits composed from segments, and the frontier. No drawing here.

const SEGMENT_COSTS = ["keygen_ms", "load_keys_ms", "encrypt_ms", "evaluate_ms", "decrypt_ms", "client_keygen_peak_bytes",
  "client_peak_bytes", "client_retained_bytes", "server_peak_bytes", "server_retained_bytes"];
const KEY_TRIPS = 2; // for one key set: whether it is there, then the upload

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function spanName(layers, start, stop) {
  return stop - start === 1 ? layers[start].name : `${layers[start].name}..${layers[stop - 1].name}`;
}

function buildModel(report) {
  const layers = report.network.layers;
  const segments = new Map();
  for (const segment of report.segments) {
    const { status, cost } = segment.server;
    const ready = status !== "infeasible" && cost !== null && SEGMENT_COSTS.every((name) => cost[name] !== null);
    segments.set(`${segment.start}-${segment.stop}`, {
      ...segment,
      ready,
      name: spanName(layers, segment.start, segment.stop),
      clientMs: segment.client.run_ms.length ? median(segment.client.run_ms) : null,
    });
  }
  const model = {
    report,
    layers,
    segments,
    parameters: layers.reduce((sum, layer) => sum + layer.parameters, 0),
    frontEndMs: report.front_end_ms.length ? median(report.front_end_ms) : 0,
  };
  model.splits = report.splits.map((listed) => composeStatic(model, listed.split, listed.reason));
  model.byLetters = new Map(model.splits.map((split) => [split.split, split]));
  return model;
}

/** Runs of equal letters: [{server, segment}], first layer first. */
function segmentsOf(model, letters) {
  const parts = [];
  for (let start = 0; start < letters.length;) {
    let stop = start + 1;
    while (stop < letters.length && letters[stop] === letters[start]) stop += 1;
    parts.push({ server: letters[start] === "S", segment: model.segments.get(`${start}-${stop}`) });
    start = stop;
  }
  return parts;
}

/** All of a split that no network changes; `setNetwork` completes it. */
function composeStatic(model, letters, reason) {
  const { report } = model;
  const parts = segmentsOf(model, letters);
  const server = parts.filter((part) => part.server).map((part) => part.segment);
  const clientParameters = model.layers.reduce((sum, layer, i) => sum + (letters[i] === "C" ? layer.parameters : 0), 0);
  const lost = server.filter((segment) => segment.exposure.queries !== null && segment.exposure.parameters > 0);
  const queries = lost.map((segment) => segment.exposure.queries);
  const recoverable = lost.reduce((sum, segment) => sum + segment.exposure.parameters, 0);
  const bootstraps = server.reduce((sum, segment) => sum + segment.server.bootstraps, 0);
  const split = {
    split: letters, origin: "composed", latency_ms: null, client_ms: null, server_ms: null, network_ms: null,
    upload_bytes: null, download_bytes: null, client_peak_bytes: null, server_peak_bytes: null,
    evaluation_key_bytes: null, setup_ms: null, round_trips: server.length,
    exposure: {
      client_parameters: clientParameters,
      client_parameter_share: model.parameters ? clientParameters / model.parameters : 0,
      recoverable_parameters: recoverable,
      decrypted_boundaries: server.length,
      queries: queries.length ? Math.min(...queries) : null,
      failure_probability: -Math.expm1(bootstraps * Math.log1p(-report.configuration.p_error)),
    },
    on_frontier: false,
    reason: reason ?? null,
  };
  const exposed = clientParameters + recoverable;
  const missing = server.filter((segment) => !segment.ready);
  if (missing.length) {
    split.origin = "infeasible";
    split.reason ??= missing.map((segment) => `${segment.name}: ${segment.server.reason ?? "not measured"}`).join("; ");
    return { ...split, exposed, keysMs: null };
  }
  if (server.length === 0) split.origin = "measured";
  else if (server.some((segment) => segment.server.status === "estimated")) split.origin = "estimated";
  let clientMs = model.frontEndMs;
  for (const part of parts) {
    const { cost } = part.segment.server;
    clientMs += part.server ? cost.encrypt_ms + cost.decrypt_ms : part.segment.clientMs;
  }
  const sum = (pick) => server.reduce((total, segment) => total + pick(segment.server), 0);
  let retained = 0;
  let making = 0;
  let clientExtra = 0;
  let serverPeak = 0;
  for (const { server: { cost } } of server) {
    making = Math.max(making, retained + cost.client_keygen_peak_bytes);
    retained += cost.client_retained_bytes;
    clientExtra = Math.max(clientExtra, cost.client_peak_bytes - cost.client_retained_bytes);
    serverPeak = Math.max(serverPeak, cost.server_peak_bytes - cost.server_retained_bytes);
  }
  split.client_ms = clientMs;
  split.server_ms = sum((one) => one.cost.evaluate_ms);
  split.upload_bytes = sum((one) => one.upload_bytes);
  split.download_bytes = sum((one) => one.download_bytes);
  split.evaluation_key_bytes = sum((one) => one.evaluation_key_bytes);
  split.client_peak_bytes = report.baselines.client_bytes + Math.max(making, retained + clientExtra);
  split.server_peak_bytes = server.length
    ? report.baselines.server_bytes + sum((one) => one.cost.server_retained_bytes) + serverPeak : 0;
  return { ...split, exposed, keysMs: sum((one) => one.cost.keygen_ms + one.cost.load_keys_ms) };
}

/** Milliseconds that `bytes` take at `bandwidth` Mbit/s. */
function transferMs(bytes, bandwidth) {
  return (bytes * 8) / (bandwidth * 1000);
}

function setNetwork(split, bandwidth, rtt) {
  if (split.origin === "infeasible") return;
  split.network_ms = split.round_trips * rtt + transferMs(split.upload_bytes + split.download_bytes, bandwidth);
  split.latency_ms = split.client_ms + split.server_ms + split.network_ms;
  split.setup_ms = split.keysMs + KEY_TRIPS * split.round_trips * rtt + transferMs(split.evaluation_key_bytes, bandwidth);
}

/**
 * Mark the splits that none beats in latency, server peak memory and exposed parameters.
 *
 * Sorted by all three, what may beat a split stands before it; a staircase of (memory, fewest exposed) answers each
 * question by bisection. Equal splits share one verdict.
 */
function markFrontier(splits) {
  const order = splits.filter((split) => split.origin !== "infeasible").sort((a, b) =>
    a.latency_ms - b.latency_ms || a.server_peak_bytes - b.server_peak_bytes || a.exposed - b.exposed);
  for (const split of splits) split.on_frontier = false;
  const memories = [];
  const fewest = [];
  let last = null;
  for (const split of order) {
    if (last && last.latency_ms === split.latency_ms && last.server_peak_bytes === split.server_peak_bytes
        && last.exposed === split.exposed) {
      split.on_frontier = last.on_frontier;
      continue;
    }
    last = split;
    let low = 0;
    let high = memories.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (memories[middle] <= split.server_peak_bytes) low = middle + 1;
      else high = middle;
    }
    if (low > 0 && fewest[low - 1] <= split.exposed) continue;
    split.on_frontier = true;
    const from = low > 0 && memories[low - 1] === split.server_peak_bytes ? low - 1 : low;
    let to = from;
    while (to < memories.length && fewest[to] >= split.exposed) to += 1;
    memories.splice(from, to - from, split.server_peak_bytes);
    fewest.splice(from, to - from, split.exposed);
  }
}

function recompute(model, bandwidth, rtt) {
  for (const split of model.splits) setNetwork(split, bandwidth, rtt);
  markFrontier(model.splits);
}

function beats(a, b) {
  const pairs = [[a.latency_ms, b.latency_ms], [a.server_peak_bytes, b.server_peak_bytes], [a.exposed, b.exposed]];
  return pairs.every(([x, y]) => x <= y) && pairs.some(([x, y]) => x < y);
}

/** One split as a report holds it, at any network; `frontiers` remembers the last network asked for. */
function composeOne(model, letters, bandwidth, rtt, frontiers) {
  const count = model.layers.length;
  if (letters.length !== count || /[^CS]/.test(letters)) throw new RangeError(`a split has ${count} letters C or S`);
  if (!(bandwidth > 0) || !(rtt >= 0)) throw new RangeError("bandwidth is above 0 Mbit/s, round-trip time 0 ms or more");
  if (frontiers.bandwidth !== bandwidth || frontiers.rtt !== rtt || frontiers.model !== model) {
    const copies = model.splits.map((split) => ({ ...split }));
    recompute({ splits: copies }, bandwidth, rtt);
    Object.assign(frontiers, { bandwidth, rtt, model, splits: new Map(copies.map((copy) => [copy.split, copy])) });
  }
  let full = frontiers.splits.get(letters);
  if (!full) {
    full = composeStatic(model, letters, null);
    setNetwork(full, bandwidth, rtt);
    full.on_frontier = full.origin !== "infeasible"
      && ![...frontiers.splits.values()].some((other) => other.origin !== "infeasible" && beats(other, full));
  }
  const { exposed: _exposed, keysMs: _keysMs, ...split } = full;
  const shared = split.origin === "infeasible" ? null : composeShared(model, letters, bandwidth, rtt);
  return { ...split, shared_keys: shared, exposure: { ...split.exposure } };
}
