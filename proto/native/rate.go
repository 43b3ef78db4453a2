package native

import (
	"time"

	"fanfare/proto"
)

// take lets one command of the connection pass, or not: at most Rate a second, Burst of them at once. The word keeps the microsecond at
// which the connection will have earned what it has used (a token bucket turned round, which needs one number, 48 bits, and lasts 8 years).
func (d *Dialect) take(p proto.Peer) error {
	cfg := d.cfg.Load()
	if cfg.Rate < 0 {
		return nil
	}
	word := p.Word()
	now := uint64(time.Since(d.start) / time.Microsecond) //nolint:gosec // G115: not before the start
	each := uint64(time.Second/time.Microsecond) / uint64(cfg.Rate)
	paid := max(*word>>wordClock, now) + each
	if paid > now+each*uint64(cfg.Burst) { //nolint:gosec // G115: above 0
		return errRate
	}
	*word = paid<<wordClock | *word&(1<<wordClock-1)
	return nil
}
