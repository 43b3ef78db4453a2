package target

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// FreePort finds a port that nobody listens on, below the range from which Linux takes the ports of outgoing connections: thousands
// of clients on loopback use that range up, and leave it in TIME-WAIT for a minute.
func FreePort() (int, error) {
	const low, high, tries = 20_000, 32_000, 1000
	for range tries {
		port := low + rand.IntN(high-low)
		var config net.ListenConfig
		listener, err := config.Listen(context.Background(), "tcp", ":"+strconv.Itoa(port))
		if err == nil {
			return port, listener.Close()
		}
	}
	return 0, errors.New("no free port found")
}
