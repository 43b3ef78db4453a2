// What both scripts share: where the server is, who may publish, and the sizes of the run, all from the environment.
import http from 'k6/http';

export const url = (__ENV.FANFARE_URL || 'http://127.0.0.1:8080').replace(/\/+$/, '');
export const socketURL = url.replace(/^http/, 'ws');
export const vus = positive('VUS', 20);
export const duration = seconds(__ENV.DURATION || '10s');

const key = __ENV.FANFARE_PUBLISH_KEY;
const headers = key ? { Authorization: `Bearer ${key}` } : {};

// positive reads a number above zero.
export function positive(name, otherwise) {
  const n = Number(__ENV[name] || otherwise);
  if (!(n > 0)) {
    throw new Error(`${name} is no number above 0: ${__ENV[name]}`);
  }
  return n;
}

// seconds reads 90s, 1m30s or 500ms.
function seconds(text) {
  const units = { h: 3600, m: 60, s: 1, ms: 0.001 };
  if (!/^(\d+(\.\d+)?(h|ms|m|s))+$/.test(text)) {
    throw new Error(`DURATION is no duration such as 90s or 1m30s: ${text}`);
  }
  return [...text.matchAll(/([\d.]+)(h|ms|m|s)/g)].reduce((sum, [, n, unit]) => sum + Number(n) * units[unit], 0);
}

// ownTopic is a topic that no other run has. It fails if no server is ready, which ends the run.
export function ownTopic() {
  const answer = http.get(`${url}/readyz`);
  if (answer.status !== 200) {
    throw new Error(`no server is ready at ${url}: ${answer.error || `HTTP ${answer.status}`}`);
  }
  return `k6-${Date.now()}-${Math.random().toString(36).slice(2)}`;
}

// publish sends one text and gives the answer: {topic, position, receivers}, or null unless it was accepted.
export function publish(topic, text) {
  const answer = http.post(`${url}/broadcast?topic=${encodeURIComponent(topic)}`, text, { headers });
  return answer.status === 202 ? answer.json() : null;
}
