package kernel

import (
	"slices"
	"testing"
)

func TestNumber(t *testing.T) {
	for text, want := range map[string]Value{
		"": Unknown, "x": Unknown, "-1": Unknown, "-0": Unknown, "1.5": Unknown, "1 2": Unknown, "18446744073709551616": Unknown,
		"0": 0, " 7\n": 7, "max": Unlimited, "max\n": Unlimited, "unlimited": Unlimited, "maximum": Unknown,
		"9223372036854771712": Unlimited, "18446744073709551615": Unlimited, "4611686018427387903": endless - 1,
	} {
		if got := number(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	if got := numbers("1 2", 3); !slices.Equal(got, []Value{Unknown, Unknown, Unknown}) {
		t.Errorf("too few: %v", got)
	}
	if got := numbers("1\tx 3 4", 3); !slices.Equal(got, []Value{1, Unknown, 3}) {
		t.Errorf("one that is bad: %v", got)
	}
}

func TestValue(t *testing.T) {
	for v, want := range map[Value][2]string{
		Unknown: {"unknown", "null"}, Unlimited: {"unlimited", "9223372036854775807"}, 0: {"0", "0"}, 4096: {"4096", "4096"},
	} {
		b, err := v.MarshalJSON()
		if v.String() != want[0] || string(b) != want[1] || err != nil {
			t.Errorf("%s, %s, %v, want %v", v, b, err, want)
		}
	}
	for i, x := range []struct{ got, want Value }{
		{Value(1).plus(2), 3},
		{Unlimited.plus(1), Unlimited},
		{Unknown.plus(1), Unknown},
		{Value(1).plus(Unknown), Unknown},
		{Value(endless).plus(endless), Unlimited},
		{Value(5).less(3), 2},
		{Value(3).less(5), 0},
		{Value(3).less(Unknown), 3},
		{Unlimited.less(5), Unlimited},
		{Unknown.less(5), Unknown},
		{Value(3).times(4), 12},
		{Value(0).times(4), 0},
		{Value(endless).times(1 << 10), Unlimited},
	} {
		if x.got != x.want {
			t.Errorf("%d: %v, want %v", i, x.got, x.want)
		}
	}
}

func FuzzParsers(f *testing.F) {
	for _, seed := range []string{
		"", "max", "4096\n", "763000\t1017000\t1526000\n", "9223372036854771712", "-1", "10240 65535", "65535 1",
		limitsHead + "Max open files            1024                 unlimited            files\n",
		"MemTotal:       65536000 kB\nMemAvailable:   60000000 kB\n", "MemTotal: 18446744073709551615 kB",
		"0::/a/b\n4:cpu,memory:/../x\n", "0::\x00\n", "4:memory:" + "/../../..\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		root := server()
		for name := range root {
			root[name] = file(text)
		}
		h := Read(root)
		for _, v := range append(h.TCPMem[:], h.Files, h.FilesHard, h.NrOpen, h.FileMax, h.FilesUsed, h.Watches, h.Backlog,
			h.SynBacklog, h.Ports, h.MemTotal, h.MemAvailable, h.Group, h.Tracked, h.TrackedMost) {
			if v < Unknown {
				t.Errorf("%d", v)
			}
		}
		if GroupMemory(root) < 0 {
			t.Error("a limit below nothing")
		}
		for _, n := range []Value{1, 1000, 1_000_000, 16_000_000} {
			r := Examine(&h, n)
			if r.Holds < Unknown || r.Processes < 0 || r.OK != (r.Processes == 1) {
				t.Errorf("%+v", r)
			}
		}
	})
}
