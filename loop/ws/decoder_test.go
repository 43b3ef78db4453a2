package ws

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"

	gobwas "github.com/gobwas/ws"
)

func TestStreams(t *testing.T) {
	long, longer := strings.Repeat("x", 126), strings.Repeat("y", 1<<16)
	for name, tt := range map[string]struct {
		in       []byte
		lim      Limits
		messages []string
		code     uint16
	}{
		"empty":                   {},
		"text":                    {in: stream(frame{op: OpText, payload: "hello"}), messages: []string{"1hello"}},
		"binary, any bytes":       {in: stream(frame{op: OpBinary, payload: "\xff\xfe"}), messages: []string{"2\xff\xfe"}},
		"empty text":              {in: stream(frame{op: OpText}), messages: []string{"1"}},
		"RFC 6455 5.7":            {in: []byte{0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}, messages: []string{"1Hello"}},
		"16-bit length":           {in: stream(frame{op: OpText, payload: long}), messages: []string{"1" + long}},
		"64-bit length":           {in: stream(frame{op: OpText, payload: longer}), lim: Limits{1 << 17, 1}, messages: []string{"1" + longer}},
		"fragments":               {in: stream(frame{op: OpText, payload: "he", more: true}, frame{payload: "l", more: true}, frame{payload: "lo"}), messages: []string{"1hello"}},
		"empty fragments":         {in: stream(frame{op: OpText, more: true}, frame{more: true}, frame{}), messages: []string{"1"}},
		"ping between fragments":  {in: stream(frame{op: OpText, payload: "a", more: true}, frame{op: OpPing, payload: "p"}, frame{payload: "b"}), messages: []string{"9p", "1ab"}},
		"two messages":            {in: stream(frame{op: OpText, payload: "a"}, frame{op: OpBinary, payload: "b"}), messages: []string{"1a", "2b"}},
		"rune across frames":      {in: stream(frame{op: OpText, payload: "\xce", more: true}, frame{payload: "\xba"}), messages: []string{"1κ"}},
		"close, empty":            {in: stream(frame{op: OpClose}), messages: []string{"8"}},
		"ping of 125":             {in: stream(frame{op: OpPing, payload: long[:125]}), messages: []string{"9" + long[:125]}},
		"not masked":              {in: stream(frame{op: OpText, payload: "a", bare: true}), code: 1002},
		"RSV1":                    {in: stream(frame{op: OpText, payload: "a", rsv: 4}), code: 1002},
		"RSV2":                    {in: stream(frame{op: OpText, payload: "a", rsv: 2}), code: 1002},
		"RSV3 on a ping":          {in: stream(frame{op: OpPing, rsv: 1}), code: 1002},
		"opcode 3":                {in: stream(frame{op: 3}), code: 1002},
		"opcode 7":                {in: stream(frame{op: 7}), code: 1002},
		"opcode 11":               {in: stream(frame{op: 11}), code: 1002},
		"opcode 15":               {in: stream(frame{op: 15}), code: 1002},
		"ping in two":             {in: stream(frame{op: OpPing, more: true}), code: 1002},
		"ping of 126":             {in: stream(frame{op: OpPing, payload: long}), code: 1002},
		"continuation of nothing": {in: stream(frame{payload: "a"}), code: 1002},
		"after a whole message":   {in: stream(frame{op: OpText, payload: "a"}, frame{payload: "b"}), messages: []string{"1a"}, code: 1002},
		"message inside message":  {in: stream(frame{op: OpText, payload: "a", more: true}, frame{op: OpText, payload: "b"}), code: 1002},
		"text not UTF-8":          {in: stream(frame{op: OpText, payload: "\xff"}), code: 1007},
		"text cut in a rune":      {in: stream(frame{op: OpText, payload: "a\xe2\x82"}), code: 1007},
		"surrogate":               {in: stream(frame{op: OpText, payload: "\xed\xa0\x80"}), code: 1007},
		"overlong":                {in: stream(frame{op: OpText, payload: "\xc0\xaf"}), code: 1007},
		"fragments not UTF-8":     {in: stream(frame{op: OpText, payload: "\xe2\x82", more: true}, frame{payload: ""}), code: 1007},
		"too big":                 {in: stream(frame{op: OpText, payload: "abcde"}), lim: Limits{4, 1}, code: 1009},
		"just not too big":        {in: stream(frame{op: OpText, payload: "abcd"}), lim: Limits{4, 1}, messages: []string{"1abcd"}},
		"too big in sum":          {in: stream(frame{op: OpText, payload: "abc", more: true}, frame{payload: "de"}), lim: Limits{4, 9}, code: 1009},
		"too many frames":         {in: stream(frame{op: OpText, payload: "a", more: true}, frame{payload: "b", more: true}, frame{payload: "c"}), lim: Limits{9, 2}, code: 1008},
		"zero limits":             {in: stream(frame{op: OpPing}, frame{op: OpText}), lim: Limits{-1, 0}, messages: []string{"9"}, code: 1008},
		"short length in 16 bits": {in: append(rawHeader(0x82, length16, 125), make([]byte, 125)...), code: 1002},
		"short length in 64 bits": {in: append(rawHeader(0x82, length64, 65535), make([]byte, 65535)...), code: 1002},
	} {
		t.Run(name, func(t *testing.T) {
			lim := tt.lim
			if lim == (Limits{}) {
				lim = normal
			}
			want := outcome{tt.messages, tt.code}
			if got := model(tt.in, lim); !got.equal(want) {
				t.Errorf("the model says %+v, the test %+v", got, want)
			}
			checkSplits(t, tt.in, lim, want)
		})
	}
}

// checkSplits wants the same from the stream as a whole, byte by byte, and cut in two at every place.
func checkSplits(t *testing.T, in []byte, lim Limits, want outcome) {
	t.Helper()
	var d Decoder
	if got := feed(t, &d, lim, in); !got.equal(want) {
		t.Fatalf("whole: got %+v, want %+v", got, want)
	}
	d.Reset()
	if got := feed(t, &d, lim, single(in)...); !got.equal(want) {
		t.Fatalf("byte by byte: got %+v, want %+v", got, want)
	}
	step := 1 + len(in)/512
	for i := 0; i < len(in); i += step {
		d.Reset()
		if got := feed(t, &d, lim, in[:i], in[i:]); !got.equal(want) {
			t.Fatalf("cut at %d: got %+v, want %+v", i, got, want)
		}
	}
}

func single(in []byte) (chunks [][]byte) {
	for i := range in {
		chunks = append(chunks, in[i:i+1])
	}
	return chunks
}

func TestRandomStreams(t *testing.T) {
	for seed := range uint64(400) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		in := randomStream(rnd)
		lim := Limits{Message: 100 + rnd.IntN(900), Frames: 1 + rnd.IntN(6)}
		checkSplits(t, in, lim, model(in, lim))
	}
}

// CVE-2020-27813 and CVE-2026-27889: lengths that overflow a counter or have the sign bit set.
func TestHugeLengths(t *testing.T) {
	start := stream(frame{op: OpText, payload: "a", more: true})
	for _, length := range []uint64{1 << 16, 1<<32 + 1, 1<<63 - 1, 1 << 63, 1<<63 + 1, 1<<64 - 1} {
		for op := range byte(16) {
			for _, fin := range []byte{0, bitFin} {
				in := rawHeader(fin|op, length64, length)
				want := uint16(1002)
				if (op == OpText || op == OpBinary) && length < 1<<63 {
					want = 1009
				}
				checkSplits(t, in, Limits{1<<16 - 1, 9}, outcome{code: want})
				if want = 1002; op == OpContinuation && length < 1<<63 {
					want = 1009
				}
				checkSplits(t, append(bytes.Clone(start), in...), Limits{1 << 16, 9}, outcome{code: want})
			}
		}
	}
}

func TestCloseFrames(t *testing.T) {
	good := []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999}
	evil := []uint16{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535}
	check := func(code uint16, reason string, want outcome) {
		t.Helper()
		p := string(binary.BigEndian.AppendUint16(nil, code)) + reason
		if want.code == 0 {
			want.messages = []string{"8" + p}
		}
		checkSplits(t, stream(frame{op: OpClose, payload: p}), normal, want)
	}
	for _, code := range good {
		check(code, "", outcome{})
		check(code, "reason κ", outcome{})
		check(code, "\xce", outcome{code: 1007})
	}
	for _, code := range evil {
		check(code, "", outcome{code: 1002})
		check(code, "\xff", outcome{code: 1002})
	}
	check(1000, strings.Repeat("x", 123), outcome{})
	checkSplits(t, stream(frame{op: OpClose, payload: "\x03"}), normal, outcome{code: 1002})
	checkSplits(t, stream(frame{op: OpClose, payload: strings.Repeat("x", 126)}), normal, outcome{code: 1002})
}

// CVE-2026-42786 and the tiny, then empty, fragments of 2026: what a message without end may cost is bounded.
func TestEndlessFragments(t *testing.T) {
	for payload, want := range map[string]uint16{"": 1008, "x": 1008, strings.Repeat("x", 100): 1009} {
		var d Decoder
		lim := Limits{Message: 1000, Frames: 50}
		chunk := stream(frame{op: OpBinary, payload: payload, more: true})
		for n := 1; ; n++ {
			_, ok, _, err := d.Next(bytes.Clone(chunk), lim)
			if ok || d.Held() > 2*lim.Message+firstCap {
				t.Fatalf("message %v, held %d", ok, d.Held())
			}
			if e, failed := errors.AsType[*Error](err); failed {
				if e.Code != want || n != 51 && n != 11 {
					t.Fatalf("%d bytes: code %d after %d frames", len(payload), e.Code, n)
				}
				break
			}
			chunk = stream(frame{payload: payload, more: true})
		}
	}
}

// A declared length costs nothing: only bytes that have arrived are held.
func TestDeclaredLength(t *testing.T) {
	lim := Limits{Message: 1 << 30, Frames: 9}
	var d Decoder
	in := rawHeader(bitFin|OpBinary, length64, 1<<30)
	if o := feed(t, &d, lim, in); o.code != 0 || d.Held() > firstCap {
		t.Fatalf("header alone: code %d, %d bytes held", o.code, d.Held())
	}
	for n := 0; n < 1<<20; n += 1000 {
		if o := feed(t, &d, lim, make([]byte, 1000)); o.code != 0 {
			t.Fatal(o)
		}
		if got := d.Held(); got > 2*(n+1000)+firstCap {
			t.Fatalf("%d bytes held for %d received", got, n+1000)
		}
	}
	if cap(d.buf) < 1<<20 || d.Idle() {
		t.Fatal("the bytes are not there")
	}
	d.Reset()
	if d.Held() != 0 || !d.Idle() || cap(d.buf) != 0 {
		t.Fatal("a big buffer is kept")
	}
}

// A message that is known to end soon gets no more than it needs.
func TestExactGrowth(t *testing.T) {
	var d Decoder
	in := stream(frame{op: OpBinary, payload: strings.Repeat("x", 3000)})
	feed(t, &d, normal, in[:1800], in[1800:2800])
	if got := cap(d.buf); got != 3000 {
		t.Errorf("%d bytes allocated for a message of 3000", got)
	}
}

func TestIdle(t *testing.T) {
	in := stream(frame{op: OpText, payload: "ab", more: true}, frame{op: OpPing, payload: "p"}, frame{payload: "c"})
	var d Decoder
	if !d.Idle() || d.Held() != 0 {
		t.Error("zero value")
	}
	for i, c := range single(in) {
		feed(t, &d, normal, c)
		if last := i == len(in)-1; d.Idle() != last || last && d.Held() != 0 {
			t.Errorf("after %d of %d bytes: idle %v, held %d", i+1, len(in), d.Idle(), d.Held())
		}
	}
	feed(t, &d, normal, stream(frame{op: OpPing, payload: "p"}))
	if !d.Idle() {
		t.Error("not idle after a ping")
	}
}

// Autobahn 6.4: text fails at the first byte that cannot be right, not at the end of the frame or message.
func TestUTF8FailsFast(t *testing.T) {
	const start = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
	for _, tt := range []struct {
		text string
		at   int // index of the byte that fails
	}{
		{start + "\xf4\x90\x80\x80edited", len(start) + 1},
		{start + "\xf5\x80", len(start)},
		{start + "\xed\xa0\x80", len(start) + 1},
		{start + "\xe0\x80\x80", len(start) + 1},
		{start + "\xc0\xaf", len(start)},
		{start + "\xe2\x82a", len(start) + 2},
		{start + "\xf0\x90\x80a", len(start) + 3},
		{start + "\x80", len(start)},
	} {
		for _, frames := range [][]frame{
			{{op: OpText, payload: tt.text + "more"}},
			{{op: OpText, payload: tt.text[:tt.at], more: true}, {payload: tt.text[tt.at:] + "more"}},
			{{op: OpText, payload: tt.text[:tt.at], more: true}, {op: OpPing}, {payload: tt.text[tt.at:] + "more", more: true}},
		} {
			var d Decoder
			in := stream(frames...)
			header := len(in) - 6 - len(frames[len(frames)-1].payload) // where the last frame begins
			fail := header + 6 + tt.at
			if len(frames) > 1 {
				fail = header + 6
			}
			if o := feed(t, &d, normal, single(in[:fail])...); o.code != 0 {
				t.Errorf("%q in %d frames: code %d too early", tt.text, len(frames), o.code)
			}
			if o := feed(t, &d, normal, in[fail:fail+1]); o.code != 1007 {
				t.Errorf("%q in %d frames: code %d, want 1007", tt.text, len(frames), o.code)
			}
		}
	}
}

func TestUTF8Splits(t *testing.T) {
	rnd := rand.New(rand.NewPCG(6, 4))
	alphabet := []string{"a", "é", "€", "🎺", "\xed\x9f\xbf", "\xee\x80\x80", "\xf4\x8f\xbf\xbf", "\x80", "\xf4\x90", "\xc1"}
	for range 3000 {
		var b strings.Builder
		for range rnd.IntN(12) {
			b.WriteString(alphabet[rnd.IntN(len(alphabet)-3*rnd.IntN(2))]) // every other time only what is valid
		}
		text := b.String()
		if rnd.IntN(3) == 0 && text != "" {
			text = text[:rnd.IntN(len(text))]
		}
		var frames []frame
		for op, rest := OpText, text; ; op = OpContinuation {
			n := rnd.IntN(len(rest) + 1)
			if len(frames) > 20 {
				n = len(rest)
			}
			frames = append(frames, frame{op: op, payload: rest[:n], more: n < len(rest)})
			if rest = rest[n:]; rest == "" {
				break
			}
		}
		want := outcome{code: codeUTF8}
		if utf8.ValidString(text) {
			want = outcome{messages: []string{"1" + text}}
		}
		var d Decoder
		if got := feed(t, &d, normal, stream(frames...)); !got.equal(want) {
			t.Fatalf("%q: got %+v, want %+v", text, got, want)
		}
		d.Reset()
		if got := feed(t, &d, normal, single(stream(frames...))...); !got.equal(want) {
			t.Fatalf("%q: got %+v, want %+v", text, got, want)
		}
	}
}

// CVE of ws 8.20.1: nothing of one client may come back to another.
func TestCanary(t *testing.T) {
	const canary = "CANARY"
	secret := strings.Repeat(canary, 20)
	var d Decoder
	for i, in := range [][]byte{
		stream(frame{op: OpText, payload: secret, more: true}),
		stream(frame{op: OpPing, payload: secret}),
		stream(frame{op: OpText, payload: secret, more: true}, frame{op: OpPing, payload: secret}),
		stream(frame{op: OpText, payload: secret, more: true}, frame{payload: secret}),
		stream(frame{op: OpClose, payload: "\x03\xe8" + secret}),
		append(stream(frame{op: OpText, payload: secret, more: true}), "\x83\xff"...),
	} {
		for cut := range in {
			feed(t, &d, normal, in[:cut/2], in[cut/2:cut])
			d.Reset()
			if bytes.Contains(d.buf[:cap(d.buf)], []byte(canary[:2])) || !emptied(&d) {
				t.Fatalf("stream %d cut at %d: bytes are left", i, cut)
			}
			for n := range 126 {
				want := strings.Repeat("b", n)
				echo := stream(frame{op: OpPing, payload: want})
				if got := feed(t, &d, normal, echo[:3], echo[3:5], echo[5:]); !got.equal(outcome{messages: []string{"9" + want}}) {
					t.Fatalf("ping of %d bytes: %+v", n, got)
				}
				if n > 8 && cut%16 != 0 {
					break
				}
			}
			d.Reset()
		}
	}
}

// emptied reports whether d is zero but for its buffer.
func emptied(d *Decoder) bool {
	zero := *d
	zero.buf = nil
	raw := unsafe.Slice((*byte)(unsafe.Pointer(&zero)), unsafe.Sizeof(zero))
	return len(d.buf) == 0 && len(bytes.Trim(raw, "\x00")) == 0
}

func TestNoCopy(t *testing.T) {
	in := stream(frame{op: OpText, payload: "hello"}, frame{op: OpPing, payload: "ping"})
	var d Decoder
	m, ok, rest, err := d.Next(in, normal)
	if !ok || err != nil || &m.Payload[0] != &in[6] {
		t.Errorf("text copied: %v %v", ok, err)
	}
	m, ok, _, err = d.Next(rest, normal)
	if !ok || err != nil || &m.Payload[0] != &in[17] {
		t.Errorf("ping copied: %v %v", ok, err)
	}
	if d.buf != nil {
		t.Error("buffer allocated")
	}
}

func TestDecodeAllocs(t *testing.T) {
	var d Decoder
	in := stream(frame{op: OpText, payload: strings.Repeat("x", 125)}, frame{op: OpPing}, frame{op: OpBinary, payload: strings.Repeat("x", 1000)})
	work := make([]byte, len(in))
	if n := testing.AllocsPerRun(100, func() {
		copy(work, in)
		for rest, ok := work, true; ok && len(rest) > 0; {
			_, ok, rest, _ = d.Next(rest, normal)
		}
	}); n != 0 {
		t.Errorf("whole frames: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		copy(work, in)
		d.Reset()
		for i := range work {
			_, _, _, _ = d.Next(work[i:i+1], normal)
		}
	}); n != 0 {
		t.Errorf("reused for single bytes: %v allocations", n)
	}
}

func TestError(t *testing.T) {
	if got := (&Error{1002, "x"}).Error(); got != "websocket: 1002 x" {
		t.Error(got)
	}
}

func TestDecoderSize(t *testing.T) {
	if got := unsafe.Sizeof(Decoder{}); got > 112 {
		t.Errorf("%d bytes", got)
	}
}

func FuzzStream(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(randomStream(rand.New(rand.NewPCG(seed, 2))), uint16(200), uint8(4))
	}
	f.Add(rawHeader(0x82, length64, 1<<63), uint16(9), uint8(9))
	f.Add(rawHeader(0x82, length64, 1<<63-1), uint16(9), uint8(9))
	f.Add(rawHeader(0x82, length16, 5), uint16(9), uint8(9))
	f.Add(stream(frame{op: OpText, payload: "\xce", more: true}, frame{op: OpPing, payload: "x"}, frame{payload: "\xba"}), uint16(2), uint8(2))
	f.Add(stream(frame{op: OpClose, payload: "\x03\xe8bye"}, frame{op: OpText, payload: "late"}), uint16(9), uint8(1))
	f.Fuzz(func(t *testing.T, in []byte, message uint16, frames uint8) {
		if len(in) > 2048 {
			return
		}
		lim := Limits{Message: int(message), Frames: int(frames)}
		checkSplits(t, in, lim, model(in, lim))
	})
}

// FuzzHeader compares one header with what gobwas/ws reads.
func FuzzHeader(f *testing.F) {
	f.Add([]byte{0x81, 0x85, 1, 2, 3, 4})
	f.Add(rawHeader(0xf2, length16, 300))
	f.Add(rawHeader(0x02, length64, 1<<40))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		want, err := gobwas.ReadHeader(r)
		size := headerSize(in)
		if size > len(in) {
			if err == nil {
				t.Fatalf("%x is not complete, but gobwas/ws reads %+v", in, want)
			}
			return
		}
		got, e := parseHeader(in[:size])
		switch {
		case err != nil:
			if e != errLengthSign {
				t.Fatalf("gobwas/ws: %v, ours: %v", err, e)
			}
		case size != len(in)-r.Len() || e == nil && got != want:
			t.Fatalf("%d bytes %+v, want %d bytes %+v", size, got, len(in)-r.Len(), want)
		case (e == nil) != (gobwas.HeaderSize(want) == size):
			t.Fatalf("%+v: %v", want, e)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{16, 125, 1024, 16384} {
		for _, op := range []byte{OpText, OpBinary} {
			b.Run(fmt.Sprintf("op=%d/bytes=%d", op, n), func(b *testing.B) {
				// A mask of zeros, so that the frame stays what it is when it is unmasked in place.
				in := frame{op: op, payload: strings.Repeat("x", n)}.append(nil)
				var d Decoder
				b.SetBytes(int64(n))
				b.ReportAllocs()
				for b.Loop() {
					if _, ok, _, _ := d.Next(in, normal); !ok {
						b.Fatal("no message")
					}
				}
			})
		}
	}
}

func BenchmarkDecodeFragments(b *testing.B) {
	in := frame{op: OpText, payload: strings.Repeat("x", 100), more: true}.append(nil)
	in = frame{payload: strings.Repeat("x", 100)}.append(in)
	var d Decoder
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, _, _ := d.Next(in, normal); !ok {
			b.Fatal("no message")
		}
	}
}

func BenchmarkDecodeSingleBytes(b *testing.B) {
	in := frame{op: OpText, payload: strings.Repeat("x", 125)}.append(nil)
	var d Decoder
	b.ReportAllocs()
	for b.Loop() {
		for i := range in {
			_, _, _, _ = d.Next(in[i:i+1], normal)
		}
	}
}
