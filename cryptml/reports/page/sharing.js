// One split with a single key set for all its server segments, composed as cryptml/profiler/sharing.py does.

/** The figures of a segment with some key parameters; null where it cannot be run with them. */
function figuresWith(server, keyParameters) {
  const own = !server.bootstraps || server.key_parameters === keyParameters;
  const found = own ? server : server.shared.find((one) => one.key_parameters === keyParameters);
  return found && found.status !== "infeasible" ? found : null;
}

function composeWith(model, parts, keyParameters, bandwidth, rtt) {
  const { baselines } = model.report;
  let clientMs = model.frontEndMs;
  let serverMs = 0;
  let keygenMs = 0;
  let sent = 0;
  let keys = 0;
  let trips = 0;
  let keyUploads = 0;
  let keyed = 0;
  let estimated = false;
  let clientPeak = 0;
  let serverExtra = 0;
  const retained = { client: 0, server: 0, sharedClient: 0, sharedServer: 0 };
  for (const { server, segment } of parts) {
    if (!server) {
      clientMs += segment.clientMs;
      continue;
    }
    const one = figuresWith(segment.server, keyParameters);
    if (!one) return null;
    const { cost } = one;
    const shares = segment.server.bootstraps > 0;
    estimated ||= one.status === "estimated";
    clientMs += cost.encrypt_ms + cost.decrypt_ms;
    serverMs += cost.evaluate_ms;
    sent += one.upload_bytes + one.download_bytes;
    trips += 1;
    if (!shares || keyed === 0) {
      keygenMs += cost.keygen_ms;
      keys += one.evaluation_key_bytes;
      keyUploads += 1;
    }
    clientPeak = Math.max(clientPeak, retained.client + (shares ? 0 : retained.sharedClient) + cost.client_peak_bytes);
    if (shares) {
      keyed += 1;
      retained.sharedClient = Math.max(retained.sharedClient, cost.client_retained_bytes);
      retained.sharedServer = Math.max(retained.sharedServer, cost.server_retained_bytes);
    } else {
      retained.client += cost.client_retained_bytes;
      retained.server += cost.server_retained_bytes;
    }
    serverExtra = Math.max(serverExtra, cost.server_peak_bytes - cost.server_retained_bytes);
  }
  if (keyed < 2) return null;
  return {
    key_parameters: keyParameters,
    estimated,
    latency_ms: clientMs + serverMs + trips * rtt + transferMs(sent, bandwidth),
    setup_ms: keygenMs + keyUploads * rtt + transferMs(keys, bandwidth),
    evaluation_key_bytes: keys,
    client_peak_bytes: baselines.client_bytes + clientPeak,
    server_peak_bytes: baselines.server_bytes + retained.server + retained.sharedServer + serverExtra,
  };
}

/** The fastest way to share one key set; null below two segments with lookups, or where no key parameters suit all. */
function composeShared(model, letters, bandwidth, rtt) {
  const parts = segmentsOf(model, letters);
  const sets = new Set([...model.segments.values()].filter(({ server }) => server.bootstraps && server.status !== "infeasible")
    .map(({ server }) => server.key_parameters));
  const forms = [...sets].sort().map((name) => composeWith(model, parts, name, bandwidth, rtt)).filter(Boolean);
  return forms.reduce((best, form) => (best && best.latency_ms <= form.latency_ms ? best : form), null);
}

/** Answers after which the time that one key set saves at setup is lost again. */
function breakEven(split, shared) {
  const lost = shared.latency_ms - split.latency_ms;
  const saved = split.setup_ms - shared.setup_ms;
  if (lost <= 0) return saved >= 0 ? Infinity : 0;
  return Math.max(0, saved / lost);
}
