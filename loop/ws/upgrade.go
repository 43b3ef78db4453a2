package ws

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	gobwas "github.com/gobwas/ws"
)

const (
	// What the Upgrader is shown: a request that says what the checked head says. Host and path do not enter into the answer.
	requestStart    = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
	requestProtocol = "\r\nSec-WebSocket-Protocol: p"
	requestEnd      = "\r\n\r\n"

	keyName = "sec-websocket-key"
	keySize = 24 // 16 bytes in base64

	upgradeBuffer = 512 // more than request and answer need
)

// upgrade stands for the connection while gobwas/ws reads the request and writes the answer.
type upgrade struct {
	upgrader gobwas.Upgrader
	request  []byte
	pos      int
	answer   []byte
	protocol string
}

func newUpgrade() any {
	u := &upgrade{request: make([]byte, 0, upgradeBuffer)}
	u.upgrader = gobwas.Upgrader{
		ReadBufferSize:  upgradeBuffer,
		WriteBufferSize: upgradeBuffer,
		ProtocolCustom:  func([]byte) (string, bool) { return u.protocol, true },
	}
	return u
}

// Read gives the request to the Upgrader.
func (u *upgrade) Read(p []byte) (int, error) {
	n := copy(p, u.request[u.pos:])
	if u.pos += n; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Write takes the answer from the Upgrader.
func (u *upgrade) Write(p []byte) (int, error) {
	u.answer = append(u.answer, p...)
	return len(p), nil
}

// AppendUpgrade appends the 101 answer to an upgrade request (RFC 6455, section 4.2.2). head is the request head with its
// blank line, and must have passed the checks of section 4.2.1: only the key is taken from it. protocol is the
// subprotocol that was chosen among those the client offered, or "". No extension is accepted. On an error dst is returned
// as it was.
//
// The Upgrader of gobwas/ws writes the answer, but sees the client's key in a request of our own: it refuses what RFC 9110
// allows (other members in the list of Upgrade, a Connection header in two lines) and would copy long header lines.
func AppendUpgrade(dst, head []byte, protocol string) ([]byte, error) {
	key, err := findKey(head)
	if err != nil {
		return dst, err
	}
	if !isToken(protocol) {
		return dst, errors.New("websocket: subprotocol is not a token")
	}
	u, ok := upgrades.Get().(*upgrade)
	if !ok {
		return dst, errors.New("websocket: no upgrader")
	}
	u.request = append(append(u.request[:0], requestStart...), key...)
	if protocol != "" {
		u.request = append(u.request, requestProtocol...)
	}
	u.request = append(u.request, requestEnd...)
	u.pos, u.answer, u.protocol = 0, dst, protocol
	_, err = u.upgrader.Upgrade(u)
	answer := u.answer
	clear(u.request)
	u.request, u.answer, u.protocol = u.request[:0], nil, ""
	upgrades.Put(u)
	if err != nil {
		return dst, fmt.Errorf("websocket: upgrade: %w", err)
	}
	return answer, nil
}

// findKey returns the value of the one Sec-WebSocket-Key line in head.
func findKey(head []byte) (key []byte, err error) {
	for line := range bytes.Lines(head) {
		if len(line) <= len(keyName) || line[len(keyName)] != ':' || !bytes.EqualFold(line[:len(keyName)], []byte(keyName)) {
			continue
		}
		if key != nil {
			return nil, errors.New("websocket: two keys in the request")
		}
		key = bytes.Trim(line[len(keyName)+1:], " \t\r\n")
	}
	if len(key) != keySize {
		return nil, errors.New("websocket: no key in the request")
	}
	return key, nil
}

// isToken reports whether s may be written as a subprotocol: visible ASCII without separators (RFC 6455, section 4.1).
func isToken(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ', c >= 0x7f:
			return false
		case bytes.IndexByte([]byte(`()<>@,;:\"/[]?={}`), c) >= 0:
			return false
		}
	}
	return true
}
