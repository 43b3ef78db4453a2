// VUS sockets subscribe to one topic; one more VU publishes numbered messages to it by HTTP for DURATION. Every socket must get every
// message, in order, once, and soon.
//
//   FANFARE_URL=http://127.0.0.1:8080 VUS=500 DURATION=30s k6 run bench/k6/subscribe_publish.js
//
// Also from the environment: RATE, messages a second (10); SIZE, the least bytes of one (128); P95 and P99, the most milliseconds of
// delivery_time (250, 1000); FANFARE_PUBLISH_KEY where the server wants one. The time of a delivery is from before the POST to when the
// script sees the message, in whole milliseconds of one clock, and what k6 itself takes is in it.
import { check, sleep } from 'k6';
import { Counter, Trend } from 'k6/metrics';
import { WebSocket } from 'k6/websockets';
import { duration, ownTopic, positive, publish, socketURL, vus } from './fanfare.js';

const rate = positive('RATE', 10);
const size = positive('SIZE', 128);
const patience = 30; // seconds, for all to have subscribed, and for the last message

const deliveryTime = new Trend('delivery_time', true);
const received = new Counter('messages_received');
const published = new Counter('messages_published');
const missing = new Counter('messages_missing');
const disordered = new Counter('messages_out_of_order'); // repeated ones are, too

export const options = {
  scenarios: {
    subscribers: scenario('subscribe', vus),
    publisher: scenario('publishAll', 1),
  },
  thresholds: {
    checks: ['rate==1'],
    delivery_time: [`p(95)<${positive('P95', 250)}`, `p(99)<${positive('P99', 1000)}`],
    messages_received: ['count>0'],
    messages_missing: ['count==0'],
    messages_out_of_order: ['count==0'],
    http_req_failed: ['rate==0'],
  },
};

// scenario runs exec once in each of n VUs.
function scenario(exec, n) {
  return { executor: 'per-vu-iterations', exec, vus: n, iterations: 1, maxDuration: `${Math.ceil(duration + 3 * patience)}s`, gracefulStop: '0s' };
}

export function setup() {
  return ownTopic();
}

export function subscribe(topic) {
  const socket = new WebSocket(`${socketURL}/ws?topic=${topic}`);
  const seen = { next: 1, count: 0, back: 0, total: -1 };
  const late = setTimeout(() => socket.close(), (duration + 2 * patience) * 1000);
  socket.addEventListener('message', (event) => take(JSON.parse(event.data), seen, socket));
  socket.addEventListener('error', (event) => console.error(event.error));
  socket.addEventListener('close', () => {
    clearTimeout(late);
    missing.add(Math.max(0, seen.total - seen.count));
    check(seen, {
      'the socket was open until the end': (s) => s.total >= 0,
      'every message came once': (s) => s.total > 0 && s.count === s.total,
      'they came in order': (s) => s.back === 0,
    });
  });
}

// take counts a message; the one that tells the total is the last.
function take(message, seen, socket) {
  if (message.total !== undefined) {
    seen.total = message.total;
    socket.close();
  } else if (message.n !== undefined) {
    deliveryTime.add(Date.now() - message.sent);
    received.add(1);
    seen.count += 1;
    if (message.n < seen.next) {
      disordered.add(1);
      seen.back += 1;
    }
    seen.next = Math.max(seen.next, message.n + 1);
  }
}

export function publishAll(topic) {
  const accepted = { everySocket: all(topic), posts: true };
  let n = 0;
  if (accepted.everySocket) {
    for (const start = Date.now(); Date.now() < start + duration * 1000; pause(start, n)) {
      n += 1;
      accepted.posts = post(topic, n) && accepted.posts;
    }
  }
  check(accepted, {
    'every socket subscribed': (a) => a.everySocket,
    'every message was accepted': (a) => a.posts && publish(topic, JSON.stringify({ total: n })) !== null,
  });
}

// all waits until as many sockets as there should be have subscribed: a publish tells how many it reaches.
function all(topic) {
  for (const end = Date.now() + patience * 1000; Date.now() < end; sleep(0.1)) {
    const answer = publish(topic, '{"ready":true}');
    if (answer && answer.receivers >= vus) {
      return true;
    }
  }
  return false;
}

function post(topic, n) {
  const message = { n, sent: Date.now(), fill: '' };
  message.fill = 'x'.repeat(Math.max(0, size - JSON.stringify(message).length));
  published.add(1);
  return publish(topic, JSON.stringify(message)) !== null;
}

// pause waits until message n+1 is due, so that a slow POST does not lower the rate.
function pause(start, n) {
  sleep(Math.max(0, (start + (n * 1000) / rate - Date.now()) / 1000));
}
