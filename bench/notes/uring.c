/*
 * uring [CONNECTIONS [ROUNDS [live]]]: what a write costs with system calls and with io_uring (Linux 6.1 or later).
 *
 * One thread writes 128-byte frames to N loopback connections; a forked child reads them. Every way to write is a row of ways[].
 * A pass is one write to every connection; a round is one pass of every way, in an order drawn anew. After a pass the child
 * reads until every byte has come. During a pass it sleeps, so that no figure holds the waking of a reader; live lets it read.
 *
 * ns/frame is the CPU time of the writing thread, median and quartiles of the rounds; the ratio is to the row's reference in the
 * same round. Completions are read in the pass. ksoftirqd, a mean, is what those threads used during the pass: on a busy machine
 * the kernel moves the receiving half of a write there, most often from long batches, and it has to be added.
 *
 *   cc -O2 -o /tmp/uring bench/notes/uring.c && /tmp/uring && /tmp/uring 4000 99 live
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { FRAME = 128, MAX_CONNS = 19000, MAX_ROUNDS = 999, MAX_FRAMES = 32, SQ = 256, CQ = 1 << 15, SYSCALL = -1 };
enum { PLAIN, TUNED, RINGS }; /* TUNED: registered files, SINGLE_ISSUER and DEFER_TASKRUN */
enum { SEND, WRITEV, SENDMSG, ZEROCOPY };

#define MANY(n, row) \
	{"sendmsg()", SENDMSG, n, SYSCALL, 0, 0, row}, {"writev()", WRITEV, n, SYSCALL, 0, 0, row}, \
	{"ring, tuned, 64, sendmsg", SENDMSG, n, TUNED, 64, 0, row}, {"ring, tuned, 64, writev", WRITEV, n, TUNED, 64, 0, row}

/* Without a batch it is a system call; else so many operations enter the kernel in one call. */
static const struct way {
	const char *name;
	int op, frames, ring, batch, silent, reference; /* silent: no completion unless it fails; reference: a row */
} ways[] = {
	{"send()", SEND, 1, SYSCALL, 0, 0, 0},
	{"ring, 64 a call", SEND, 1, PLAIN, 64, 0, 0},
	{"ring, 256 a call", SEND, 1, PLAIN, 256, 0, 0},
	{"ring, tuned, 1 a call", SEND, 1, TUNED, 1, 0, 0},
	{"ring, tuned, 64 a call", SEND, 1, TUNED, 64, 0, 0},
	{"ring, tuned, 256 a call", SEND, 1, TUNED, 256, 0, 0},
	{"ring, tuned, 256, silent", SEND, 1, TUNED, 256, 1, 0},
	{"ring, tuned, 64, zero copy", ZEROCOPY, 1, TUNED, 64, 0, 0},
	MANY(4, 8), MANY(16, 12), MANY(32, 16),
};
enum { WAYS = sizeof ways / sizeof *ways };

struct ring {
	int fd;
	unsigned *sq_tail, *sq_mask, *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
	long owed; /* notices that a zero-copy buffer is free again */
};

static int conns = 4000, rounds = 99, live, fds[MAX_CONNS], order[WAYS], helpers, pids[256];
static struct ring rings[RINGS];
static char frame[4096] __attribute__((aligned(4096)));
static struct iovec iov[MAX_FRAMES + 1];
static struct msghdr msgs[MAX_FRAMES + 1]; /* by number of frames */
static double cost[WAYS][MAX_ROUNDS], aside[WAYS];

static void die(const char *what) {
	fprintf(stderr, "uring: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double seconds(clockid_t clock) {
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void *map(int fd, size_t size, off_t what) {
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, what);
	if (p == MAP_FAILED) die("mmap");
	return p;
}

static void open_ring(struct ring *r, unsigned flags) {
	struct io_uring_params p = {.flags = flags | IORING_SETUP_CQSIZE, .cq_entries = CQ};
	r->fd = syscall(SYS_io_uring_setup, SQ, &p);
	if (r->fd < 0) die("io_uring_setup (ENOSYS or EPERM: the kernel does not have it or forbids it)");
	char *sq = map(r->fd, p.sq_off.array + SQ * sizeof(unsigned), IORING_OFF_SQ_RING);
	char *cq = map(r->fd, p.cq_off.cqes + CQ * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);
	r->sqes = map(r->fd, SQ * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
	r->sq_tail = (unsigned *)(sq + p.sq_off.tail), r->sq_mask = (unsigned *)(sq + p.sq_off.ring_mask);
	r->cq_head = (unsigned *)(cq + p.cq_off.head), r->cq_tail = (unsigned *)(cq + p.cq_off.tail);
	r->cq_mask = (unsigned *)(cq + p.cq_off.ring_mask), r->cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
	for (unsigned i = 0; i < SQ; i++) ((unsigned *)(sq + p.sq_off.array))[i] = i;
}

static void add(struct ring *r, const struct way *w, int conn) {
	static const int ops[] = {IORING_OP_SEND, IORING_OP_WRITEV, IORING_OP_SENDMSG, IORING_OP_SEND_ZC};
	int one = w->op == SEND || w->op == ZEROCOPY;
	struct io_uring_sqe *s = &r->sqes[*r->sq_tail & *r->sq_mask];
	memset(s, 0, sizeof *s);
	s->opcode = ops[w->op];
	s->fd = w->ring == TUNED ? conn : fds[conn];
	s->flags = (w->ring == TUNED ? IOSQE_FIXED_FILE : 0) | (w->silent ? IOSQE_CQE_SKIP_SUCCESS : 0);
	s->addr = one ? (uintptr_t)frame : w->op == WRITEV ? (uintptr_t)iov : (uintptr_t)&msgs[w->frames];
	s->len = one ? FRAME : w->op == WRITEV ? w->frames : 1;
	if (w->op != WRITEV) s->msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL;
	if (w->op == ZEROCOPY) s->ioprio = IORING_RECVSEND_FIXED_BUF; /* buffer 0 */
	s->user_data = conn;
	__atomic_store_n(r->sq_tail, *r->sq_tail + 1, __ATOMIC_RELEASE);
}

/* enter submits count operations, waits for so many completions and reads what has come. */
static void enter(struct ring *r, int count, int wait, int want) {
	if (syscall(SYS_io_uring_enter, r->fd, count, wait, IORING_ENTER_GETEVENTS, NULL, 0) != count) die("io_uring_enter");
	unsigned head = *r->cq_head, tail = __atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE);
	for (; head != tail; head++) {
		struct io_uring_cqe *c = &r->cqes[head & *r->cq_mask];
		if (c->flags & IORING_CQE_F_NOTIF) r->owed--;
		else if (c->res != want) errno = c->res < 0 ? -c->res : EMSGSIZE, die("a write through the ring");
		if (c->flags & IORING_CQE_F_MORE) r->owed++;
	}
	__atomic_store_n(r->cq_head, head, __ATOMIC_RELEASE);
}

static int call(const struct way *w, int fd) {
	if (w->op == WRITEV) return writev(fd, iov, w->frames);
	if (w->op == SENDMSG) return sendmsg(fd, &msgs[w->frames], MSG_DONTWAIT | MSG_NOSIGNAL);
	return send(fd, frame, FRAME, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void pass(const struct way *w) {
	for (int i = 0, want = w->frames * FRAME; i < conns;) {
		if (w->ring == SYSCALL) {
			if (call(w, fds[i++]) != want) die(w->name);
			continue;
		}
		int n = 0;
		while (n < w->batch && i < conns) add(&rings[w->ring], w, i++), n++;
		enter(&rings[w->ring], n, w->silent ? 0 : n, want);
	}
}

/* reader is the child: it connects, then reads so many bytes as it is told over the pipe, and says when it has them. */
static void reader(const struct sockaddr_in *to, int in, int out) {
	static char buffer[1 << 16];
	struct epoll_event events[512], e = {.events = EPOLLIN, .data.fd = in};
	int ep = epoll_create1(0);
	long got = 0, due = 0;
	epoll_ctl(ep, EPOLL_CTL_ADD, in, &e);
	for (int i = 0; i < conns; i++) {
		e.data.fd = socket(AF_INET, SOCK_STREAM, 0);
		if (e.data.fd < 0 || connect(e.data.fd, (const void *)to, sizeof *to)) die("connect");
		epoll_ctl(ep, EPOLL_CTL_ADD, e.data.fd, &e);
	}
	for (;;) {
		if (!live && !due && read(in, &due, sizeof due) != sizeof due) exit(0);
		int n = epoll_wait(ep, events, 512, -1);
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			long k = fd == in ? read(in, &due, sizeof due) : recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
			if (fd == in && k != sizeof due) exit(0);
			if (fd != in && k > 0) got += k;
		}
		if (due && got == due) {
			if (write(out, &got, sizeof got) != sizeof got) exit(1);
			got = due = 0;
		}
	}
}

/* softirqs is the CPU time of the ksoftirqd threads, in ns. */
static double softirqs(void) {
	double sum = 0, ns;
	for (int i = 0; i < helpers; i++) {
		char name[64];
		snprintf(name, sizeof name, "/proc/%d/schedstat", pids[i]);
		FILE *f = fopen(name, "r");
		if (f && fscanf(f, "%lf", &ns) == 1) sum += ns;
		if (f) fclose(f);
	}
	return sum;
}

static int ascending(const void *a, const void *b) { return (*(double *)a > *(double *)b) - (*(double *)a < *(double *)b); }

static void report(void) {
	double v[2][MAX_ROUNDS];
	printf("%-26s %6s %8s %12s %6s %13s %9s\n", "", "frames", "ns/frame", "quartiles", "ratio", "quartiles", "ksoftirqd");
	for (int w = 0; w < WAYS; w++) {
		for (int r = 0; r < rounds; r++) v[0][r] = cost[w][r], v[1][r] = cost[w][r] / cost[ways[w].reference][r];
		printf("%-26s %6d", ways[w].name, ways[w].frames);
		for (int i = 0; i < 2; i++) {
			qsort(v[i], rounds, sizeof(double), ascending);
			printf(i ? " %6.3f %6.3f..%5.3f" : " %8.0f %6.0f..%4.0f", v[i][rounds / 2], v[i][rounds / 4], v[i][rounds * 3 / 4]);
		}
		printf(" %9.0f\n", aside[w]);
	}
}

int main(int argc, char **argv) {
	if (argc > 1) conns = atoi(argv[1]);
	if (argc > 2) rounds = atoi(argv[2]);
	live = argc > 3;
	if (conns < 1 || conns > MAX_CONNS || rounds < 1 || rounds > MAX_ROUNDS) return 2;
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof at;
	int l = socket(AF_INET, SOCK_STREAM, 0), one = 1, down[2], up[2];
	if (bind(l, (void *)&at, size) || listen(l, 4096) || getsockname(l, (void *)&at, &size) || pipe(down) || pipe(up)) die("listen");
	if (!fork()) {
		close(down[1]); /* now reading tells that the parent is gone */
		reader(&at, down[0], up[1]);
	}
	close(up[1]); /* if the child dies, read tells */
	for (int i = 0; i < conns; i++) {
		if ((fds[i] = accept4(l, NULL, NULL, SOCK_NONBLOCK)) < 0) die("accept (ulimit -n?)");
		setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	}
	for (int i = 0; i <= MAX_FRAMES; i++) iov[i] = (struct iovec){frame, FRAME}, msgs[i] = (struct msghdr){.msg_iov = iov, .msg_iovlen = i};
	open_ring(&rings[PLAIN], 0);
	open_ring(&rings[TUNED], IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	int fd = rings[TUNED].fd;
	if (syscall(SYS_io_uring_register, fd, IORING_REGISTER_FILES, fds, conns)) die("register files");
	if (syscall(SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS, &(struct iovec){frame, sizeof frame}, 1)) die("register buffer");
	FILE *list = popen("pgrep ksoftirqd", "r");
	while (list && helpers < 256 && fscanf(list, "%d", &pids[helpers]) == 1) helpers++;
	for (int w = 0; w < WAYS; w++) order[w] = w;
	for (int r = -1; r < rounds; r++) { /* round -1 warms up */
		for (int left = WAYS; left > 0; left--) {
			int pick = rand() % left, w = order[pick]; /* the same sequence in every run */
			order[pick] = order[left - 1], order[left - 1] = w;
			double frames = (double)conns * ways[w].frames, k = softirqs(), t = seconds(CLOCK_THREAD_CPUTIME_ID);
			pass(&ways[w]);
			k = softirqs() - k;
			long due = frames * FRAME, got;
			if (write(down[1], &due, sizeof due) != sizeof due || read(up[0], &got, sizeof got) != sizeof got) die("the child");
			while (rings[TUNED].owed) enter(&rings[TUNED], 0, rings[TUNED].owed, 0); /* they come when the peer has acknowledged */
			t = seconds(CLOCK_THREAD_CPUTIME_ID) - t;
			if (r >= 0) cost[w][r] = t * 1e9 / frames, aside[w] += k / frames / rounds;
		}
	}
	report();
	double more = seconds(CLOCK_PROCESS_CPUTIME_ID) / seconds(CLOCK_THREAD_CPUTIME_ID) - 1;
	printf("helper threads: %.1f %% of the writing thread\n", more * 100);
	return 0;
}
