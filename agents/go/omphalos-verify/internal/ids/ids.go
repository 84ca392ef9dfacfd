// Package ids computes the ids of docs/format/ids.md: 32 bytes that name bytes of one kind.
package ids

import (
	"encoding/hex"

	"lukechampine.com/blake3"
)

// ID names a sequence of bytes of one kind.
type ID [32]byte

const (
	treeContext = "omphalos 2026-11-22 tree node v1"
	runContext  = "omphalos 2026-11-22 run manifest v1"
)

// Blob returns the id of bytes as a file: BLAKE3 in its plain mode.
func Blob(data []byte) ID { return blake3.Sum256(data) }

// Tree returns the id of the bytes of a tree node.
func Tree(data []byte) ID { return derive(treeContext, data) }

// Run returns the id of the bytes of a manifest.
func Run(data []byte) ID { return derive(runContext, data) }

func derive(context string, data []byte) (id ID) {
	blake3.DeriveKey(id[:], context, data)
	return id
}

// String returns the 64 lower-case hex digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// IsHex says whether text is 64 lower-case hex digits.
func IsHex(text string) bool {
	if len(text) != 64 {
		return false
	}
	for i := range len(text) {
		c := text[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Parse reads 64 lower-case hex digits; ok is false for anything else.
func Parse(text string) (id ID, ok bool) {
	if !IsHex(text) {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(text))
	return id, err == nil
}
