// One split with a single key set for all its server segments, composed as cryptml/profiler/plan/sharing.py does.

/** The figures of a segment with some key parameters; null where it cannot be run with them. */
function figuresWith(server, keyParameters) {
  const own = !server.bootstraps || server.key_parameters === keyParameters;
  const found = own ? server : server.shared.find((one) => one.key_parameters === keyParameters);
  return found && found.status !== "infeasible" ? found : null;
}

function composeWith(model, parts, keyParameters, bandwidth, rtt) {
  const { baselines } = model.report;
  const total = { client: model.frontEndMs, server: 0, keys: 0, up: 0, down: 0, keyBytes: 0, trips: 0, keyUploads: 0 };
  let keyed = 0;
  let estimated = false;
  let making = 0;
  let clientExtra = 0;
  let serverExtra = 0;
  const own = { client: 0, server: 0 };
  const shared = { client: 0, server: 0 };
  for (const { server, segment } of parts) {
    if (!server) {
      total.client += segment.clientMs;
      continue;
    }
    const one = figuresWith(segment.server, keyParameters);
    if (!one) return null;
    const { cost } = one;
    const shares = segment.server.bootstraps > 0;
    estimated ||= one.status === "estimated";
    total.client += cost.encrypt_ms + cost.decrypt_ms;
    total.server += cost.evaluate_ms;
    total.up += one.upload_bytes;
    total.down += one.download_bytes;
    total.trips += 1;
    if (!shares || keyed === 0) {
      total.keys += cost.keygen_ms + cost.load_keys_ms;
      total.keyBytes += one.evaluation_key_bytes;
      total.keyUploads += 1;
      making = Math.max(making, own.client + shared.client + cost.client_keygen_peak_bytes);
    }
    if (shares) {
      keyed += 1;
      shared.client = Math.max(shared.client, cost.client_retained_bytes);
      shared.server = Math.max(shared.server, cost.server_retained_bytes);
    } else {
      own.client += cost.client_retained_bytes;
      own.server += cost.server_retained_bytes;
    }
    clientExtra = Math.max(clientExtra, cost.client_peak_bytes - cost.client_retained_bytes);
    serverExtra = Math.max(serverExtra, cost.server_peak_bytes - cost.server_retained_bytes);
  }
  if (keyed < 2) return null;
  const network = total.trips * rtt + transferMs(total.up + total.down, bandwidth);
  return {
    key_parameters: keyParameters,
    estimated,
    latency_ms: total.client + total.server + network,
    client_ms: total.client,
    server_ms: total.server,
    network_ms: network,
    upload_bytes: total.up,
    download_bytes: total.down,
    client_peak_bytes: baselines.client_bytes + Math.max(making, own.client + shared.client + clientExtra),
    server_peak_bytes: baselines.server_bytes + own.server + shared.server + serverExtra,
    evaluation_key_bytes: total.keyBytes,
    setup_ms: total.keys + KEY_TRIPS * total.keyUploads * rtt + transferMs(total.keyBytes, bandwidth),
  };
}

/** With the largest key parameters that its segments have alone; null where they do not suffice for all. */
function composeShared(model, letters, bandwidth, rtt) {
  const parts = segmentsOf(model, letters);
  const own = parts.filter(({ server, segment }) => server && segment.server.bootstraps && segment.server.status !== "infeasible")
    .map(({ segment: { server } }) => server);
  own.sort((a, b) => a.expanded_key_bytes - b.expanded_key_bytes || compareKeys(a.key_parameters, b.key_parameters));
  for (const { key_parameters: name } of own) {
    const form = composeWith(model, parts, name, bandwidth, rtt);
    if (form) return form;
  }
  return null;
}

/** For how many answers, {least, most}, one key set takes less time than one for each, setup included; null for none. */
function answersWon(split, shared) {
  const saved = split.setup_ms - shared.setup_ms;
  const lost = shared.latency_ms - split.latency_ms;
  if (saved > 0) return { least: 0, most: lost > 0 ? saved / lost : Infinity };
  return lost < 0 ? { least: saved / lost, most: Infinity } : null;
}
