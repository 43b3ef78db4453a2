package proto

import (
	"context"
	"time"

	"fanfare/loop"
)

// DrainOptions say how the server is emptied.
type DrainOptions struct {
	Wait   time.Duration // readiness is off, all else goes on: for balancers to see it
	Window time.Duration // over which the close frames are spread
	Text   string        // of the close frames; "" is the reason's name and a text that asks to come back
}

const closeRestart = 1012 // service restart (IANA registry)

// Drain turns readiness off, waits, closes the sockets with 1012 spread over a window, and at last lets plain HTTP finish what it has
// begun. It returns when all is done or ctx ends; Close must follow. Health and metrics are served until the sockets are gone.
func (s *Server) Drain(ctx context.Context, o DrainOptions) {
	s.SetDraining()
	if o.Text == "" {
		o.Text = loop.Shutdown.String() + ": the server restarts, come back after a random pause"
	}
	s.group.Drain(ctx, loop.Drain{Wait: o.Wait, Window: o.Window, Code: closeRestart, Text: o.Text})
	for _, l := range s.listeners {
		_ = l.http.Shutdown(ctx)
	}
	if s.admin != nil {
		_ = s.admin.http.Shutdown(ctx)
	}
}
