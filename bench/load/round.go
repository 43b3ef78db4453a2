package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"fanfare/bench/result"
)

// sums is an account under way.
type sums struct{ result.Account }

// round is what came since the last doArm.
type round struct {
	count, total int64
	published    int64 // messages, at its end
	topics       int
	origin       int64 // begin of the earliest publish
	latest       int64 // last receipt
	times, reach *hdrhistogram.Histogram
	await        *Order
	since        int64
}

func newRound(topics int) round {
	return round{topics: topics, times: NewHist(), reach: NewHist()}
}

// arm begins a round.
func (r *round) arm(o *Order) {
	r.count, r.total, r.published, r.origin, r.latest = 0, o.Total, o.Published, 0, 0
	r.times.Reset()
	r.reach.Reset()
}

func (r *round) receive(now int64, s Stamp) {
	r.count++
	r.latest = now
	if r.origin == 0 || s.At < r.origin {
		r.origin = s.At
	}
	note(r.times, now-s.At)
	if s.Seq >= Last(r.published, r.topics, int(s.Topic)) {
		note(r.reach, now-r.origin)
	}
}

// over says whether the round that is awaited is complete, or has been quiet for too long.
func (r *round) over(now int64) bool {
	return r.await != nil && (r.count >= r.total || now-max(r.since, r.latest) > int64(r.await.Quiet))
}

func (r *round) answer() (*Round, error) {
	times, err := encode(r.times)
	if err != nil {
		return nil, err
	}
	reach, err := encode(r.reach)
	return &Round{Count: r.count, Times: times, Reach: reach}, err
}

// closer is a doClose under way.
type closer struct {
	order *Order
	left  int
	until int64 // moves on with every answer
}

// patience is how long a server may take to answer one more close frame.
const patience = 5 * time.Second
