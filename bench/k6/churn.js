// VUS clients come and go for DURATION: each connects, subscribes, gets what is published, leaves the topic, gets nothing more,
// closes, and begins again.
//
//   FANFARE_URL=http://127.0.0.1:8080 VUS=100 DURATION=1m k6 run bench/k6/churn.js
//
// Also from the environment: P95, the most milliseconds of subscribe_time (500); FANFARE_PUBLISH_KEY where the server wants one.
// subscribe_time is from connecting to the answer of the subscribe command, in whole milliseconds.
import { check } from 'k6';
import exec from 'k6/execution';
import { Counter, Trend } from 'k6/metrics';
import { WebSocket } from 'k6/websockets';
import { duration, ownTopic, positive, publish, socketURL, vus } from './fanfare.js';

const patience = 10; // seconds that one client may take

const subscribeTime = new Trend('subscribe_time', true);
const sessions = new Counter('sessions');
const received = new Counter('messages_received');

export const options = {
  scenarios: {
    churn: { executor: 'constant-vus', vus, duration: `${duration}s`, gracefulStop: `${2 * patience}s` },
  },
  thresholds: {
    checks: ['rate==1'],
    subscribe_time: [`p(95)<${positive('P95', 500)}`],
    sessions: ['count>0'],
    messages_received: ['count>0'],
    http_req_failed: ['rate==0'],
  },
};

export function setup() {
  return ownTopic();
}

export default function (prefix) {
  const topic = `${prefix}-${exec.vu.idInTest}-${exec.vu.iterationInInstance}`;
  const client = { topic, began: Date.now(), steps: [] };
  const socket = new WebSocket(`${socketURL}/ws`);
  const late = setTimeout(() => socket.close(), patience * 1000);
  socket.addEventListener('open', () => socket.send(JSON.stringify({ subscribe: [topic], id: 1 })));
  socket.addEventListener('message', (event) => step(client, socket, event.data));
  socket.addEventListener('error', (event) => console.error(event.error));
  socket.addEventListener('close', () => {
    clearTimeout(late);
    check(client, {
      'subscribed, got one message, left, got no other': (c) => c.steps.join() === 'subscribed,hello,unsubscribed,none',
    });
    sessions.add(1);
  });
}

// step does what comes after a message of the server.
function step(client, socket, data) {
  if (data === 'hello' || data === 'nobody hears') {
    received.add(1);
    client.steps.push(data);
    socket.send(JSON.stringify({ unsubscribe: [client.topic], id: 2 }));
    return;
  }
  const answer = JSON.parse(data);
  client.steps.push(answer.error ? answer.error.code : Object.keys(answer).find((k) => k !== 'id'));
  if (answer.subscribed) {
    subscribeTime.add(Date.now() - client.began);
    if (!publish(client.topic, 'hello')) {
      socket.close();
    }
  } else {
    const nobody = publish(client.topic, 'nobody hears');
    client.steps.push(nobody && nobody.receivers === 0 ? 'none' : 'somebody');
    socket.close();
  }
}
