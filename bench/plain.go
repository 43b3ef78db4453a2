package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"fanfare/bench/load"
	"fanfare/bench/result"
	"fanfare/bench/target"
)

// plainRounds is how often a floor sends its frame to all from the bare loop.
const plainRounds = 20

// plain asks a floor what a bare send loop costs on the same sockets. The account is taken before: those frames are repetitions.
func (st *stage) plain(ctx context.Context) error {
	if st.target.Plain.Path == "" || st.run.Scenario != "fanout" {
		return nil
	}
	if err := st.tell(ctx); err != nil {
		return err
	}
	path := target.Fill(st.target.Plain.Path, "n", strconv.Itoa(plainRounds), "topic", topicPrefix+"0")
	payload := string(load.AppendPayload(nil, st.runName, load.Stamp{Seq: 1}, st.Size))
	request, err := http.NewRequestWithContext(ctx, st.target.Plain.Method, "http://"+st.servers[0].Address+path, strings.NewReader(target.Fill(st.target.Plain.Body, "payload", payload)))
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("plain loop: %w", err)
	}
	defer func() { _ = answer.Body.Close() }() // read only
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	var told struct {
		PerSend float64 `json:"ns_per_send"`
		Sends   int64   `json:"sends"`
	}
	if err == nil {
		err = json.Unmarshal(body, &told)
	}
	if err != nil || told.PerSend <= 0 || told.Sends <= 0 {
		return fmt.Errorf("plain loop: it answered %s %.100q: %w", answer.Status, body, err)
	}
	st.run.Floor = &result.Floor{Plain: told.PerSend, Ratio: st.run.CPU.PerDelivery / told.PerSend}
	return nil
}
