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

// ParseKeys reads a list of keys, separated by commas or white space. Errors do not tell a key.
func ParseKeys(list string) (Keys, error) {
	var k Keys
	fields := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\r' || r == '\n' })
	for i, key := range fields {
		for j := range len(key) {
			if key[j] <= ' ' || key[j] > '~' {
				return Keys{}, fmt.Errorf("publish key %d: only visible ASCII fits into an Authorization header", i+1)
			}
		}
		k.hashes = append(k.hashes, sha256.Sum256([]byte(key)))
	}
	if len(fields) == 0 && list != "" {
		return Keys{}, errors.New("no publish key in the list")
	}
	return k, nil
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
