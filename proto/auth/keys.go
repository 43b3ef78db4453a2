package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
)

// Keys are the secrets of which one is needed to publish. Only their hashes are kept. The zero value has none.
type Keys struct {
	hashes [][sha256.Size]byte
}

// ParseKeys hashes the keys of a list; see SplitKeys.
func ParseKeys(list string) (Keys, error) {
	keys, err := SplitKeys(list)
	if err != nil {
		return Keys{}, err
	}
	var k Keys
	for _, key := range keys {
		k.hashes = append(k.hashes, sha256.Sum256([]byte(key)))
	}
	return k, nil
}

// SplitKeys reads a list of keys, separated by commas or line ends. Lines that begin with # are comments. A key is visible ASCII: that
// is what fits into an Authorization header, and white space inside one is an error rather than a second key. A list that is not
// empty must hold a key. Errors do not tell a key.
func SplitKeys(list string) (keys []string, err error) {
	for line := range strings.Lines(list) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "#") {
			continue
		}
		for key := range strings.SplitSeq(line, ",") {
			if key = strings.TrimSpace(key); key == "" {
				continue
			}
			for i := range len(key) {
				if key[i] <= ' ' || key[i] > '~' {
					return nil, fmt.Errorf("publish key %d: a key is visible ASCII without spaces; keys are separated by commas or line ends", len(keys)+1)
				}
			}
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 && list != "" {
		return nil, errors.New("no publish key in the list")
	}
	return keys, nil
}

// Len is the number of keys.
func (k Keys) Len() int { return len(k.hashes) }

// Has reports whether key is one of the keys, in a time that depends neither on which one nor on how much of it is right.
func (k Keys) Has(key string) bool {
	hash := sha256.Sum256([]byte(key))
	found := 0
	for i := range k.hashes {
		found |= subtle.ConstantTimeCompare(hash[:], k.hashes[i][:])
	}
	return found == 1
}
