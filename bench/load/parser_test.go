package load

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"
	"unsafe"
)

// script writes down what a parser finds.
type script struct {
	lines []string
	texts []byte
}

func (s *script) stamped(_ int32, st Stamp) { s.add("stamp %d %d %d", st.Topic, st.Seq, st.At) }
func (s *script) text(_ int32, piece []byte) {
	s.texts = append(s.texts, piece...)
}

func (s *script) message(_ int32, stamped, ping bool) {
	s.add("message %t %t %q", stamped, ping, s.texts)
	s.texts = nil
}
func (s *script) control(_ int32, op byte, payload []byte) { s.add("control %d %q", op, payload) }
func (s *script) add(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

// read feeds data in pieces whose lengths are cuts, over and over; no cuts: in one piece.
func read(data, cuts []byte) []string {
	s := &script{}
	p := parser{run: [runLen]byte([]byte("abcd")), ping: 4, spill: map[int32][]byte{}, to: s}
	r := record{state: subscribed}
	for k := 0; len(data) > 0; k++ {
		n := len(data)
		if len(cuts) > 0 {
			n = min(n, 1+int(cuts[k%len(cuts)]))
		}
		if err := p.feed(0, &r, append([]byte(nil), data[:n]...)); err != nil {
			s.add("error %s", err)
			break
		}
		data = data[n:]
	}
	s.add("spill %d", len(p.spill))
	return s.lines
}

func frame(first byte, payload string) []byte {
	b := appendFrame(nil, first&15, []byte(payload)) // as a client would
	b[0] = first
	b[1] &^= 0x80
	n := 2
	switch b[1] {
	case 126:
		n = 4
	case 127:
		n = 10
	}
	return append(b[:n], b[n+4:]...)
}

// example has a bit of everything; long is the size of its longest payload.
func example(long int) []byte {
	stamp := func(seq uint32, size int) string {
		return string(AppendPayload(nil, "abcd", Stamp{Topic: 7, Seq: seq, At: 1<<60 + 12345}, size))
	}
	return bytes.Join([][]byte{
		frame(0x81, stamp(1, 128)),
		frame(0x82, `{"data":"~~ab~abcdx`+stamp(2, 40)+`"}`),
		frame(0x81, stamp(3, long)),
		frame(0x89, "ping me"),
		frame(0x01, "~abc"), frame(0x8a, ""), frame(0x00, "d000007"), frame(0x80, stamp(4, StampLen)[11:]),
		frame(0x81, stamp(5, 50)+stamp(6, 50)),
		frame(0x81, "~bcd nothing"), frame(0x81, ""), frame(0x81, "ping"),
		frame(0x88, "\x03\xe9bye"),
	}, nil)
}

func TestParserFindsWhatWasSent(t *testing.T) {
	got := read(example(70000), nil)
	short := make([]string, 0, len(got))
	for _, line := range got {
		if len(line) > 60 {
			line = line[:60]
		}
		short = append(short, line)
	}
	stamps := 0
	for seq := 1; seq <= 6; seq++ {
		want := fmt.Sprintf("stamp 7 %d %d", seq, 1<<60+12345)
		for _, line := range got {
			if line == want {
				stamps++
			}
		}
	}
	if stamps != 6 || len(got) != 6+1+3+8 {
		t.Errorf("%d stamps, %d lines: %q", stamps, len(got), short)
	}
}

func FuzzAnyCutIsTheSame(f *testing.F) {
	f.Add(example(130), []byte{0})
	f.Add(example(130), []byte{1, 6, 2})
	f.Add(example(130), []byte{35, 200})
	f.Add(frame(0x81, "~abc~abcd"), []byte{2})
	f.Add([]byte{0x81, 127, 0, 0, 0, 1, 0, 0, 0, 0}, []byte{3})
	f.Fuzz(func(t *testing.T, data, cuts []byte) {
		whole, pieces := read(data, nil), read(data, cuts)
		if !reflect.DeepEqual(whole, pieces) {
			t.Errorf("in one piece %q\nin pieces    %q", whole, pieces)
		}
	})
}

func TestACutInALongMessage(t *testing.T) {
	if whole, pieces := read(example(70000), nil), read(example(70000), []byte{250, 3}); !reflect.DeepEqual(whole, pieces) {
		t.Errorf("%d lines and %d", len(whole), len(pieces))
	}
}

func TestGarbageIsAnError(t *testing.T) {
	for name, b := range map[string][]byte{
		"reserved bits":  {0xc1, 0},
		"opcode":         {0x83, 0},
		"masked":         {0x81, 0x80},
		"long ping":      {0x89, 126},
		"ping in pieces": {0x09, 0},
		"no beginning":   {0x80, 0},
		"two beginnings": {0x01, 0, 0x81, 0},
		"too long":       {0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0},
	} {
		lines := read(b, nil)
		if len(lines) < 2 || lines[len(lines)-2][:5] != "error" {
			t.Errorf("%s: %q", name, lines)
		}
	}
}

func TestARecordIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(record{}); size != 32 {
		t.Errorf("%d bytes", size)
	}
}
