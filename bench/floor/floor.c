//go:build ignore
/*
 * floor PORT [--threads 2] [--ping SECONDS]: the least a WebSocket broadcast server can do, the limit that reports compare with.
 *
 * It keeps one bit per descriptor and nothing else of a connection. A delivery is one send() and no other system call. What the
 * kernel does not take at once is lost, and the connection with it.
 *
 *   GET  any path, with Upgrade  the socket is a subscriber; all it sends is thrown away, only a close is answered
 *   POST /broadcast              the body, as one text frame, to every subscriber; {"receivers":N} comes before the sends
 *   POST /plain?n=K              the same frame, K times, to the subscribers of one thread in a bare loop: what a send costs
 *   GET  /healthz                {"subscribers":N,"sent":N,"dropped":N}, pings included
 *
 * Sockets are edge-triggered. A request is peeked at until it is whole, so that half a request waits in the kernel and needs no
 * memory of ours; that bounds it to 60 kB. Answers go out by write(), deliveries by send(), so that strace tells them apart.
 * Only the event of a socket closes it, so no event ever meets a stranger that was given the same number. The first line of this
 * file keeps Go from compiling it; build.go embeds it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FD = 1 << 21, MAX_THREADS = 64, BUFFER = 64 << 10, TICK_MS = 250 };

struct frame {
	atomic_int users; /* threads that still have to send it; the last one frees it */
	size_t len;
	unsigned char data[];
};

struct thread {
	int epoll, listener, queue[2], top, ticks; /* queue: a pipe of frame pointers; top: the highest descriptor so far */
	atomic_long subscribers, sent, dropped;
	uint64_t bits[MAX_FD / 64]; /* who subscribes; a page that is never touched costs nothing */
	char buffer[BUFFER + 1];
};

static struct thread threads[MAX_THREADS];
static int thread_count = 2, ping_seconds;

static int subscribed(struct thread *t, int fd) { return t->bits[fd / 64] >> (fd % 64) & 1; }

static void forget(struct thread *t, int fd) {
	if (subscribed(t, fd)) t->subscribers--;
	t->bits[fd / 64] &= ~(1ULL << (fd % 64));
}

/* deliver_word sends to the subscribers among 64 descriptors: one send() each. */
static void deliver_word(struct thread *t, int word, const void *data, size_t len) {
	for (uint64_t bits = t->bits[word]; bits; bits &= bits - 1) {
		int fd = word * 64 + __builtin_ctzll(bits);
		if (send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len) t->sent++;
		else shutdown(fd, SHUT_RDWR), forget(t, fd), t->dropped++;
	}
}

static void release(struct frame *f) { if (atomic_fetch_sub(&f->users, 1) == 1) free(f); }

/* send_next sends the next frame of the queue. A null one is a tick: time to ping another share of the words. */
static void send_next(struct thread *t) {
	struct frame *f;
	if (read(t->queue[0], &f, sizeof f) != sizeof f) return;
	int step = f ? 1 : ping_seconds * 1000 / TICK_MS, first = f ? 0 : t->ticks++ % step;
	for (int word = first; word <= t->top / 64; word += step) deliver_word(t, word, f ? (void *)f->data : "\x89", f ? f->len : 2);
	if (f) release(f);
}

static struct frame *new_frame(const char *body, size_t len) {
	struct frame *f = malloc(sizeof *f + 10 + len);
	int extra = len < 126 ? 0 : len < 65536 ? 2 : 8; /* bytes of the length after the second byte */
	f->data[0] = 0x81;                               /* final, text */
	f->data[1] = extra == 0 ? len : extra == 2 ? 126 : 127;
	for (int i = 0; i < extra; i++) f->data[2 + i] = len >> 8 * (extra - 1 - i);
	memcpy(f->data + 2 + extra, body, len);
	f->len = 2 + extra + len;
	return f;
}

/* broadcast queues the frame for every thread. A full queue, at 8,192, loses it, as floor loses whatever it cannot send. */
static long broadcast(struct frame *f) {
	long receivers = 0;
	f->users = thread_count;
	for (struct thread *t = threads; t < threads + thread_count; t++)
		if (write(t->queue[1], &f, sizeof f) == sizeof f) receivers += t->subscribers;
		else release(f);
	return receivers;
}

/* plain measures a send on these very sockets with nothing of a server around it. */
static int plain(struct thread *t, struct frame *f, long rounds, char *json, size_t size) {
	int *fds = malloc(sizeof *fds * (t->subscribers + 1)), count = 0;
	for (int fd = 0; fd <= t->top; fd++)
		if (subscribed(t, fd)) fds[count++] = fd;
	long failed = 0, sends = rounds * count;
	struct timespec from, to;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	for (long i = 0; i < sends; i++)
		failed += send(fds[i % count], f->data, f->len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)f->len;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	double ns = (to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec);
	free(fds), free(f);
	return snprintf(json, size, "{\"sends\":%ld,\"failed\":%ld,\"ns_per_send\":%.0f}", sends, failed, sends ? ns / sends : 0);
}

/* accept_key is base64(SHA-1(key + GUID)). A key has 24 characters, so the padded message is always two blocks of 64 bytes. */
static void accept_key(const char *key, char *out) {
	uint32_t h[6] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0, 0}, w[80];
	uint32_t constants[4] = {0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6};
	char m[129] = {0};
#define rol(x, n) ((x) << (n) | (x) >> (32 - (n)))
	sprintf(m, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11\x80", key);
	m[126] = 60 * 8 >> 8, m[127] = (char)(60 * 8);
	for (char *block = m; block < m + 128; block += 64) {
		uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
		for (int i = 0; i < 80; i++) {
			if (i < 16) memcpy(w + i, block + 4 * i, 4), w[i] = ntohl(w[i]);
			else w[i] = rol(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
			uint32_t mix[4] = {(b & c) | (~b & d), b ^ c ^ d, (b & c) | (b & d) | (c & d), b ^ c ^ d};
			uint32_t sum = rol(a, 5) + e + w[i] + mix[i / 20] + constants[i / 20];
			e = d, d = c, c = rol(b, 30), b = a, a = sum;
		}
		h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
	}
	for (int i = 0; i < 27; i++) { /* 160 bits are 27 characters of 6 bits and one '=' */
		uint64_t window = (uint64_t)h[6 * i / 32] << 32 | h[6 * i / 32 + 1];
		out[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[window >> (58 - 6 * i % 32) & 63];
	}
	strcpy(out + 27, "=");
}

/* answer serves one request and is -1 when the connection shall end. */
static int answer(struct thread *t, int fd, const char *head, const char *body, size_t len) {
	char accept[29], json[160], out[400];
	const char *key = strcasestr(head, "\r\nSec-WebSocket-Key: "), *offer = strcasestr(head, "\r\nSec-WebSocket-Protocol: ");
	const char *rounds = strstr(head, "?n=");
	int n;
	if (key && strcspn(key += 21, "\r") == 24) {
		accept_key(key, accept);
		n = snprintf(out, sizeof out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		             "Sec-WebSocket-Accept: %s%.*s\r\n\r\n", accept, offer ? 26 + (int)strcspn(offer + 26, ",\r") % 128 : 0, offer);
		t->bits[fd / 64] |= 1ULL << (fd % 64);
		t->subscribers++;
		return write(fd, out, n) == n ? 0 : -1;
	}
	if (!strncmp(head, "POST /broadcast ", 16)) {
		n = snprintf(json, sizeof json, "{\"receivers\":%ld}", broadcast(new_frame(body, len)));
	} else if (!strncmp(head, "POST /plain", 11)) {
		n = plain(t, new_frame(body, len), rounds ? atol(rounds + 3) : 1, json, sizeof json);
	} else {
		long sum[3] = {0, 0, 0};
		for (struct thread *o = threads; o < threads + thread_count; o++)
			sum[0] += o->subscribers, sum[1] += o->sent, sum[2] += o->dropped;
		n = snprintf(json, sizeof json, "{\"subscribers\":%ld,\"sent\":%ld,\"dropped\":%ld}", sum[0], sum[1], sum[2]);
	}
	n = snprintf(out, sizeof out, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", n, json);
	return write(fd, out, n) == n && !strcasestr(head, "\r\nConnection: close") ? 0 : -1;
}

/* read_request serves what is whole; -1 ends the connection. ended: the peer will send no more. */
static int read_request(struct thread *t, int fd, int ended) {
	while (!subscribed(t, fd)) {
		ssize_t n = recv(fd, t->buffer, BUFFER, MSG_PEEK);
		if (n <= 0) return n < 0 && errno == EAGAIN ? 0 : -1;
		t->buffer[n] = 0;
		char *end = strstr(t->buffer, "\r\n\r\n");
		if (!end) return ended || n > 8192 ? -1 : 0;
		end[2] = 0;
		char *length = strcasestr(t->buffer, "\r\nContent-Length: ");
		long body = length ? atol(length + 18) : 0, whole = end + 4 - t->buffer + body;
		if (body < 0 || whole > 60000) return -1;
		if (whole > n) return ended ? -1 : 0;
		if (recv(fd, NULL, whole, MSG_TRUNC) != whole || answer(t, fd, t->buffer, end + 4, body) < 0) return -1;
	}
	return 0;
}

/* read_subscriber throws away what came; -1 ends the connection, as does a close frame at the beginning of it. */
static int read_subscriber(struct thread *t, int fd) {
	ssize_t n;
	while ((n = recv(fd, t->buffer, BUFFER, 0)) > 0)
		if ((t->buffer[0] & 15) == 8) return write(fd, "\x88", 2), -1;
	return n < 0 && errno == EAGAIN ? 0 : -1;
}

static void watch(struct thread *t, int fd, int events) {
	struct epoll_event event = {.events = EPOLLIN | events, .data.fd = fd};
	if (fd >= MAX_FD || epoll_ctl(t->epoll, EPOLL_CTL_ADD, fd, &event)) close(fd);
	else if (fd > t->top) t->top = fd;
}

static void handle(struct thread *t, int fd, int events) {
	if (fd == t->queue[0]) return send_next(t);
	if (fd == t->listener)
		while ((fd = accept4(t->listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) watch(t, fd, EPOLLRDHUP | EPOLLET);
	else if (read_request(t, fd, events & EPOLLRDHUP) < 0 || (subscribed(t, fd) && read_subscriber(t, fd) < 0))
		forget(t, fd), close(fd);
}

static void *run(void *arg) {
	struct epoll_event events[256];
	for (struct thread *t = arg;;)
		for (int i = 0, n = epoll_wait(t->epoll, events, 256, -1); i < n; i++) handle(t, events[i].data.fd, events[i].events);
	return NULL;
}

static void prepare(struct thread *t, int port) {
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
	t->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(t->listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	setsockopt(t->listener, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int));
	setsockopt(t->listener, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)); /* what it accepts inherits this */
	if (bind(t->listener, (struct sockaddr *)&any, sizeof any) || listen(t->listener, 65535) || pipe2(t->queue, O_NONBLOCK) ||
	    (t->epoll = epoll_create1(0)) < 0) perror("floor"), exit(1);
	watch(t, t->queue[0], 0);
	watch(t, t->listener, EPOLLET);
}

int main(int argc, char **argv) {
	int port = argc > 1 ? atoi(argv[1]) : 0;
	for (int i = 2; i < argc; i += 2)
		if (!strcmp(argv[i], "--threads") && argv[i + 1]) thread_count = atoi(argv[i + 1]);
		else if (!strcmp(argv[i], "--ping") && argv[i + 1]) ping_seconds = atoi(argv[i + 1]);
		else port = 0;
	if (port < 1 || thread_count < 1 || thread_count > MAX_THREADS || ping_seconds < 0)
		return fputs("usage: floor PORT [--threads 1..64] [--ping SECONDS]\n", stderr), 2;
	struct rlimit files;
	if (!getrlimit(RLIMIT_NOFILE, &files)) files.rlim_cur = files.rlim_max, setrlimit(RLIMIT_NOFILE, &files);
	sigset_t stop;
	sigemptyset(&stop), sigaddset(&stop, SIGTERM), sigaddset(&stop, SIGINT);
	pthread_sigmask(SIG_BLOCK, &stop, NULL);
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < thread_count; i++) prepare(&threads[i], port);
	for (int i = 0; i < thread_count; i++) pthread_create(&(pthread_t){0}, NULL, run, &threads[i]);
	if (!ping_seconds) return sigwait(&stop, &(int){0});
	while (sigtimedwait(&stop, NULL, &(struct timespec){.tv_nsec = TICK_MS * 1000000}) < 0)
		for (int i = 0; i < thread_count; i++) (void)!write(threads[i].queue[1], &(struct frame *){NULL}, sizeof(void *));
}
