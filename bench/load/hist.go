package load

import (
	"fmt"

	"github.com/HdrHistogram/hdrhistogram-go"

	"fanfare/bench/result"
)

// longest is the longest time that a histogram can hold; what is over it is put there.
const longest = int64(10 * 60 * 1e9)

// NewHist is a histogram of nanoseconds with three digits.
func NewHist() *hdrhistogram.Histogram { return hdrhistogram.New(1, longest, 3) }

// record allocates nothing.
func note(h *hdrhistogram.Histogram, ns int64) {
	_ = h.RecordValue(max(0, min(ns, longest))) // cannot fail within these bounds
}

func encode(h *hdrhistogram.Histogram) (string, error) {
	if h.TotalCount() == 0 {
		return "", nil
	}
	b, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	return string(b), err
}

// merge adds what encode made.
func merge(into *hdrhistogram.Histogram, text string) error {
	if text == "" {
		return nil
	}
	h, err := hdrhistogram.Decode([]byte(text))
	if err != nil {
		return fmt.Errorf("a worker's histogram: %w", err)
	}
	if dropped := into.Merge(h); dropped > 0 {
		return fmt.Errorf("a worker's histogram does not fit: %d values", dropped)
	}
	return nil
}

// Times sums a histogram up.
func Times(h *hdrhistogram.Histogram) result.Times {
	if h.TotalCount() == 0 {
		return result.Times{}
	}
	text, err := encode(h)
	if err != nil {
		text = ""
	}
	return result.Times{
		Count: h.TotalCount(),
		P50:   h.ValueAtQuantile(50), P90: h.ValueAtQuantile(90), P99: h.ValueAtQuantile(99), P999: h.ValueAtQuantile(99.9),
		Max: h.Max(), Histogram: text,
	}
}
