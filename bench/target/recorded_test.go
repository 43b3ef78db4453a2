package target

import (
	"math"
	"testing"
	"time"
)

// The ratios were rounded from the same figures: one that does not fit them was typed wrong.
func TestRecordedRatios(t *testing.T) {
	floor := RecordedPeers()[0]
	fits := func(server string, cpu, of time.Duration, ratio float64) {
		if got := float64(cpu) / float64(of); math.Abs(got-ratio) > 0.02 {
			t.Errorf("%s: %v is %.3f of floor's %v, not %.2f", server, cpu, got, of, ratio)
		}
	}
	for _, r := range RecordedPeers() {
		fits(r.Server, r.Once.CPU, floor.Once.CPU, r.Once.Ratio)
		fits(r.Server, r.Burst.CPU, floor.Burst.CPU, r.Burst.Ratio)
	}
}

func TestSign(t *testing.T) {
	key := Key{Key: "278d425bdf160c739803", Secret: "7ad3773142a6692b25b8"}
	body := []byte(`{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}`)
	const want = "/apps/3/events?auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0" +
		"&body_md5=ec365a775a4cd0599faeb73354201b6f" +
		"&auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"
	if got := key.Sign("POST", "/apps/3/events", body, time.Unix(1353088179, 0)); got != want {
		t.Errorf("got %s", got) // the example of the protocol's own documentation
	}
}
