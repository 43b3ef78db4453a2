package target

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Key signs the requests of publishers as Pusher servers want it.
type Key struct {
	Key    string
	Secret string
}

// Sign returns the path, which has no query, with the query that signs this request. A signature holds for ten minutes and for
// this body only.
func (k Key) Sign(method, path string, body []byte, at time.Time) string {
	sum := md5.Sum(body) // the protocol asks for it
	query := fmt.Sprintf("auth_key=%s&auth_timestamp=%s&auth_version=1.0&body_md5=%s",
		k.Key, strconv.FormatInt(at.Unix(), 10), hex.EncodeToString(sum[:]))
	mac := hmac.New(sha256.New, []byte(k.Secret))
	mac.Write([]byte(strings.Join([]string{method, path, query}, "\n")))
	return path + "?" + query + "&auth_signature=" + hex.EncodeToString(mac.Sum(nil))
}
