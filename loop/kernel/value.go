package kernel

import (
	"math"
	"strconv"
	"strings"
)

// Value is a limit or a count, never negative but for Unknown.
type Value int64

// What is no number.
const (
	Unknown   Value = -1
	Unlimited Value = math.MaxInt64
)

// endless is where a number means that there is no limit: control groups of version 1 and fs.file-max have such.
const endless = 1 << 62

// String gives the digits, or a word.
func (v Value) String() string {
	switch v {
	case Unknown:
		return "unknown"
	case Unlimited:
		return "unlimited"
	}
	return strconv.FormatInt(int64(v), 10)
}

// MarshalJSON gives the digits, also of Unlimited; null is Unknown.
func (v Value) MarshalJSON() ([]byte, error) {
	if v == Unknown {
		return []byte("null"), nil
	}
	return strconv.AppendInt(nil, int64(v), 10), nil
}

// number reads one value: digits, or the words of a control group (max) and of /proc/self/limits (unlimited).
func number(text string) Value {
	text = strings.TrimSpace(text)
	if text == "max" || text == "unlimited" {
		return Unlimited
	}
	n, err := strconv.ParseUint(text, 10, 64)
	switch {
	case err != nil:
		return Unknown
	case n >= endless:
		return Unlimited
	}
	return Value(n)
}

// numbers reads the n values of a line; all are Unknown if it has fewer.
func numbers(text string, n int) []Value {
	values := make([]Value, n)
	fields := strings.Fields(text)
	for i := range values {
		values[i] = Unknown
		if len(fields) >= n {
			values[i] = number(fields[i])
		}
	}
	return values
}

// plus adds; a limit that is not there stays so.
func (v Value) plus(o Value) Value {
	switch {
	case v == Unknown || o == Unknown:
		return Unknown
	case v >= Unlimited-o:
		return Unlimited
	}
	return v + o
}

// less subtracts, down to 0; a limit that is not there stays so.
func (v Value) less(o Value) Value {
	if v == Unknown || v == Unlimited {
		return v
	}
	return max(v-max(o, 0), 0)
}

// times multiplies.
func (v Value) times(n Value) Value {
	if v > 0 && n > Unlimited/v {
		return Unlimited
	}
	return v * n
}
