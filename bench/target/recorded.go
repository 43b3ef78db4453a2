package target

import "time"

// RecordedWhen and RecordedWhere tell what the figures of Recorded hold for. They were not run beside any report that quotes them.
const (
	RecordedWhen  = "2026-11"
	RecordedWhere = "2 cores of an AMD EPYC, Linux 6.18, loopback, generator and server on the same cores, no compression, no pings; " +
		"medians of 3 interleaved rounds"
)

// Recorded is what was measured once of a server. Differences below 5 % are noise; zero was not measured.
type Recorded struct {
	Server string
	Once   Once
	Burst  Burst
}

// Once is one 128-byte message at a time to 15,000 subscribers, the next when all have it.
type Once struct {
	Bytes   int           // resident memory for an idle subscribed connection
	CPU     time.Duration // of the server, for a delivery
	Ratio   float64       // CPU against floor's
	Connect time.Duration // CPU of the server, for a connect
	Last    time.Duration // until the last receiver has it
}

// Burst is 32 messages back to back to 10,000 subscribers; each publish waits only for the server's answer.
type Burst struct {
	CPU   time.Duration
	Ratio float64
	P50   time.Duration
	P99   time.Duration
}

// RecordedPeers are all that were measured, the cheapest first.
func RecordedPeers() []Recorded {
	const us, ms = time.Microsecond, time.Millisecond
	tenth := us / 10
	return []Recorded{
		{"floor", Once{10, 111 * tenth, 1, 41 * us, 126 * ms}, Burst{89 * tenth, 1, 53 * ms, 130 * ms}},
		{"floor, io_uring batches", Once{10, 105 * tenth, 0.94, 51 * us, 120 * ms}, Burst{}},
		{"uWebSockets v20.79", Once{470, 132 * tenth, 1.19, 58 * us, 159 * ms}, Burst{101 * tenth, 1.13, 157 * ms, 275 * ms}},
		{"nchan 1.3.6", Once{10_400, 133 * tenth, 1.20, 81 * us, 147 * ms}, Burst{125 * tenth, 1.40, 71 * ms, 189 * ms}},
		{"nbio 1.6.12", Once{1_330, 161 * tenth, 1.45, 164 * us, 252 * ms}, Burst{126 * tenth, 1.41, 64 * ms, 157 * ms}},
		{"gorilla 1.5.3", Once{10_000, 176 * tenth, 1.58, 186 * us, 172 * ms}, Burst{147 * tenth, 1.64, 159 * ms, 344 * ms}},
		{"gws 1.8.9", Once{6_700, 180 * tenth, 1.61, 177 * us, 176 * ms}, Burst{136 * tenth, 1.52, 118 * ms, 287 * ms}},
		{"notiflux", Once{14_900, 184 * tenth, 1.65, 232 * us, 185 * ms}, Burst{83 * tenth, 0.93, 814 * ms, 1560 * ms}},
		{"Sockudo 5.2.0", Once{153_000, 187 * tenth, 1.68, 301 * us, 222 * ms}, Burst{}},
		{"Castify", Once{17_300, 204 * tenth, 1.83, 137 * us, 231 * ms}, Burst{169 * tenth, 1.89, 252 * ms, 516 * ms}},
		{"Centrifugo 6.9.1", Once{48_700, 229 * tenth, 2.05, 283 * us, 222 * ms}, Burst{225 * tenth, 2.51, 155 * ms, 357 * ms}},
		{"wsify 3", Once{37_500, 263 * tenth, 2.36, 225 * us, 277 * ms}, Burst{}},
	}
}
