package ws

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	gobwas "github.com/gobwas/ws"
)

func TestAppendFrame(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536, 1 << 20} {
		payload := bytes.Repeat([]byte{'x'}, n)
		var want bytes.Buffer
		if err := gobwas.WriteFrame(&want, gobwas.NewBinaryFrame(payload)); err != nil {
			t.Fatal(err)
		}
		got := AppendFrame(nil, OpBinary, payload)
		if !bytes.Equal(got, want.Bytes()) || cap(got) > len(got)+len(got)/4+64 {
			t.Errorf("%d bytes: header % x, want % x, cap %d", n, got[:min(10, len(got))], want.Bytes()[:min(10, want.Len())], cap(got))
		}
		if got = AppendFrame([]byte("before"), OpBinary, payload); !bytes.Equal(got[6:], want.Bytes()) || string(got[:6]) != "before" {
			t.Errorf("%d bytes: not appended", n)
		}
		if allocs := testing.AllocsPerRun(10, func() { got = AppendFrame(nil, OpBinary, payload) }); allocs != 1 {
			t.Errorf("%d bytes: %v allocations", n, allocs)
		}
		if allocs := testing.AllocsPerRun(10, func() { got = AppendFrame(got[:0], OpBinary, payload) }); allocs != 0 {
			t.Errorf("%d bytes: %v allocations with room", n, allocs)
		}
	}
	if got := AppendFrame(nil, OpPong, make([]byte, 200)); len(got) != 127 || got[1] != 125 {
		t.Errorf("pong of %d bytes", len(got))
	}
}

func TestAppendClose(t *testing.T) {
	for _, tt := range []struct {
		code   uint16
		reason string
		want   string
	}{
		{0, "ignored", "\x88\x00"},
		{1005, "", "\x88\x00"},
		{1006, "x", "\x88\x00"},
		{1015, "", "\x88\x00"},
		{1000, "", "\x88\x02\x03\xe8"},
		{1000, "bye", "\x88\x05\x03\xe8bye"},
		{4000, strings.Repeat("x", 123), "\x88\x7d\x0f\xa0" + strings.Repeat("x", 123)},
		{4000, strings.Repeat("x", 124), "\x88\x7d\x0f\xa0" + strings.Repeat("x", 123)},
		{4000, strings.Repeat("€", 42), "\x88\x7d\x0f\xa0" + strings.Repeat("€", 41)},
		{4000, "x" + strings.Repeat("€", 41), "\x88\x7b\x0f\xa0x" + strings.Repeat("€", 40)},
		{4000, strings.Repeat("🎺", 31), "\x88\x7a\x0f\xa0" + strings.Repeat("🎺", 30)},
		{4000, "a\xffb", "\x88\x07\x0f\xa0a\uFFFDb"},
	} {
		if got := string(AppendClose(nil, tt.code, tt.reason)); got != tt.want {
			t.Errorf("%d %q: got % x, want % x", tt.code, tt.reason, got, tt.want)
		}
		if got := string(AppendClose([]byte("before"), tt.code, tt.reason)); got != "before"+tt.want {
			t.Errorf("%d %q: not appended", tt.code, tt.reason)
		}
	}
	if n := testing.AllocsPerRun(100, func() { AppendClose(nil, 4000, strings.Repeat("€", 42)[:126]) }); n > 2 { // one is Repeat's
		t.Errorf("%v allocations", n)
	}
}

func TestParseClose(t *testing.T) {
	for payload, want := range map[string]struct {
		code   uint16
		reason string
	}{
		"":            {1005, ""},
		"\x03":        {1005, ""},
		"\x03\xe8":    {1000, ""},
		"\x03\xe9bye": {1001, "bye"},
	} {
		if code, reason := ParseClose([]byte(payload)); code != want.code || reason != want.reason {
			t.Errorf("%q: %d %q", payload, code, reason)
		}
	}
}

func FuzzClose(f *testing.F) {
	f.Add(uint16(1000), "bye")
	f.Add(uint16(1005), "")
	f.Add(uint16(1004), strings.Repeat("€", 50))
	f.Add(uint16(4999), "\xff")
	f.Add(uint16(1012), strings.Repeat("x", 122)+"é")
	f.Fuzz(func(t *testing.T, code uint16, reason string) {
		// What a client sends: accepted exactly when the model accepts it.
		p := append([]byte{byte(code >> 8), byte(code)}, reason...)
		if len(p) <= gobwas.MaxControlFramePayloadSize {
			in := stream(frame{op: OpClose, payload: string(p)})
			checkSplits(t, in, normal, model(in, normal))
		}
		// What we send: well-formed whatever the arguments, and read back as what was meant.
		out := AppendClose(nil, code, reason)
		if len(out) < 2 || out[0] != 0x88 || int(out[1]) != len(out)-2 || len(out) > 127 {
			t.Fatalf("% x", out)
		}
		gotCode, gotReason := ParseClose(out[2:])
		switch {
		case !utf8.ValidString(gotReason):
			t.Fatalf("reason %q", gotReason)
		case len(out) == 2:
			if gotCode != 1005 || code != 0 && code != 1005 && code != 1006 && code != 1015 {
				t.Fatalf("no body for code %d", code)
			}
		case gotCode != code:
			t.Fatalf("code %d, want %d", gotCode, code)
		case utf8.ValidString(reason) && !strings.HasPrefix(reason, gotReason):
			t.Fatalf("reason %q of %q", gotReason, reason)
		case utf8.ValidString(reason) && len(gotReason) < min(len(reason), reasonMax-utf8.UTFMax+1):
			t.Fatalf("reason cut to %d of %d bytes", len(gotReason), len(reason))
		}
	})
}

// Masks of each length, offset and start in memory against the definition (RFC 6455, section 5.3), through the Decoder.
func TestMasks(t *testing.T) {
	mask := [4]byte{0x11, 0x5a, 0xc3, 0xfe}
	for n := range 200 {
		payload := make([]byte, n)
		for i := range payload {
			payload[i] = byte(i * 7)
		}
		in := frame{op: OpBinary, payload: string(payload), mask: mask}.append(nil)
		for shift := range 17 {
			buf := append(make([]byte, shift, shift+len(in)), in...)
			var d Decoder
			m, ok, _, err := d.Next(buf[shift:], normal)
			if !ok || err != nil || !bytes.Equal(m.Payload, payload) {
				t.Fatalf("%d bytes at %d: %v %v", n, shift, ok, err)
			}
		}
		for cut := range in {
			var d Decoder
			if got := feed(t, &d, normal, in[:cut], in[cut:]); !got.equal(outcome{messages: []string{"2" + string(payload)}}) {
				t.Fatalf("%d bytes cut at %d", n, cut)
			}
		}
	}
}

// Long payloads, where the masking works by wide blocks: each length up to 1,100 and some longer, in one read and in two.
func TestLongMasks(t *testing.T) {
	mask := [4]byte{0x11, 0x5a, 0xc3, 0xfe}
	lengths := []int{4095, 4096, 4097, 16384 + 17, 65535, 65536 + 250, 1<<20 + 33}
	for n := 200; n < 1100; n++ {
		lengths = append(lengths, n)
	}
	for _, n := range lengths {
		payload := make([]byte, n)
		for i := range payload {
			payload[i] = byte(i*7 + i>>8)
		}
		in := frame{op: OpBinary, payload: string(payload), mask: mask}.append(nil)
		lim := Limits{Message: n, Frames: 1}
		for _, cut := range []int{0, 11, 12, 13, 14, 15, 16, 17, 31, len(in) / 2, len(in) - 1} {
			var d Decoder
			if got := feed(t, &d, lim, in[:cut], in[cut:]); !got.equal(outcome{messages: []string{"2" + string(payload)}}) {
				t.Fatalf("%d bytes cut at %d", n, cut)
			}
		}
	}
}

func BenchmarkAppendFrame(b *testing.B) {
	payload := make([]byte, 128)
	b.ReportAllocs()
	for b.Loop() {
		AppendFrame(nil, OpText, payload)
	}
}

func BenchmarkMask(b *testing.B) {
	for _, n := range []int{16, 125, 1024, 65536} {
		b.Run("bytes="+strconv.Itoa(n), func(b *testing.B) {
			p := make([]byte, n)
			b.SetBytes(int64(n))
			for b.Loop() {
				gobwas.Cipher(p, [4]byte{1, 2, 3, 4}, 0)
			}
		})
	}
}
