package http1

import (
	"net/http"
	"strings"
)

const (
	keySize    = 24 // 16 bytes in base64
	keyPadding = "=="

	// What a client with another version is told (RFC 6455, section 4.4; RFC 9110, sections 7.8 and 15.5.22).
	versionHeader = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
)

// WantsUpgrade reports whether the client asks for WebSocket on this connection. If so CheckUpgrade decides; if not the
// request is plain HTTP.
func (r *Request) WantsUpgrade() bool {
	return r.HasToken("Upgrade", "websocket")
}

// CheckUpgrade checks the client's opening handshake (RFC 6455, section 4.2.1) in linear time. An error is an *Error: 405
// for methods other than GET, 426 for versions other than 13, 400 for the rest. Subprotocols and extensions are checked
// for their syntax only: see Tokens for the offers.
func (r *Request) CheckUpgrade() error {
	switch {
	case r.Method != http.MethodGet:
		return &Error{Status: http.StatusMethodNotAllowed, Field: "method", Text: "an upgrade must be a GET", Header: "Allow: GET\r\n"}
	case !r.since11():
		return bad("version", "an upgrade needs HTTP/1.1")
	case r.Host == "":
		return bad("Host", "missing")
	case !r.WantsUpgrade():
		return bad("Upgrade", "not websocket")
	case !r.HasToken("Connection", "Upgrade"):
		return bad("Connection", "not Upgrade")
	case r.critical(criticalVersion) != "13":
		return &Error{Status: http.StatusUpgradeRequired, Field: critical[criticalVersion], Text: "only version 13 is served here", Header: versionHeader}
	case !isKey(r.critical(criticalKey)):
		return bad(critical[criticalKey], "not 16 bytes in base64")
	case r.at[criticalCoding] != 0 || strings.Trim(r.critical(criticalLength), "0") != "":
		return bad(critical[criticalLength], "an upgrade has no body")
	}
	for offer := range r.Tokens("Sec-WebSocket-Protocol") {
		if !isToken(offer) {
			return bad("Sec-WebSocket-Protocol", "malformed")
		}
	}
	for offers := range r.Values("Sec-WebSocket-Extensions") {
		if !isExtensionList(offers) {
			return bad("Sec-WebSocket-Extensions", "malformed")
		}
	}
	return nil
}

func (r *Request) critical(i int) string {
	if r.at[i] == 0 {
		return ""
	}
	return r.fields[r.at[i]-1].value
}

// isKey reports whether s is base64 for 16 bytes. The four bits that encode nothing may be set: some clients draw 22 letters.
func isKey(s string) bool {
	return len(s) == keySize && s[keySize-len(keyPadding):] == keyPadding && all(s[:keySize-len(keyPadding)], inBase64)
}

// isExtensionList checks the syntax of Sec-WebSocket-Extensions (RFC 6455, section 9.1). Each step consumes what it reads.
func isExtensionList(s string) bool {
	for {
		if s = trimLeft(s); s == "" {
			return true
		}
		if s[0] == ',' { // an empty member (RFC 9110, section 5.6.1)
			s = s[1:]
			continue
		}
		var ok bool
		if s, ok = cutExtension(s); !ok || s != "" && s[0] != ',' {
			return false
		}
	}
}

// cutExtension takes one extension with its parameters off s.
func cutExtension(s string) (rest string, ok bool) {
	name, s := cutToken(s)
	if name == "" {
		return s, false
	}
	for s = trimLeft(s); s != "" && s[0] == ';'; s = trimLeft(s) {
		if name, s = cutToken(trimLeft(s[1:])); name == "" {
			return s, false
		}
		if s = trimLeft(s); s == "" || s[0] != '=' {
			continue
		}
		if s, ok = cutParameter(trimLeft(s[1:])); !ok {
			return s, false
		}
	}
	return s, true
}

// cutParameter takes a token, or a quoted string that holds a token, off s.
func cutParameter(s string) (rest string, ok bool) {
	if s == "" || s[0] != '"' {
		value, rest := cutToken(s)
		return rest, value != ""
	}
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return s[i+1:], i > 1
		case s[i] == '\\':
			if i++; i == len(s) || classes[s[i]]&inToken == 0 {
				return "", false
			}
		case classes[s[i]]&inToken == 0:
			return "", false
		}
	}
	return "", false
}

func cutToken(s string) (token, rest string) {
	i := 0
	for i < len(s) && classes[s[i]]&inToken != 0 {
		i++
	}
	return s[:i], s[i:]
}

func trimLeft(s string) string {
	return strings.TrimLeft(s, " \t")
}
