// Package attest judges attestations (docs/format/attestation.md): in-toto statements in DSSE envelopes, signed with
// Ed25519.
package attest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"omphalos.invalid/agents/go/omphalos-verify/internal/ids"
)

const (
	// MaxKeys is how often --key may be given.
	MaxKeys    = 16
	maxKeyFile = 4096

	pemHead  = "-----BEGIN PUBLIC KEY-----\n"
	pemTail  = "\n-----END PUBLIC KEY-----"
	derStart = "\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"
)

type key struct {
	id     string
	public ed25519.PublicKey
}

// Keys are those that must have vouched; none if it is nil or empty. They are in order of keyid, each once.
type Keys struct{ all []key }

// ErrKey says that a file is not a public key.
var ErrKey = errors.New("not a public key")

// ParseKey reads the content of a file of a public key, and returns its 32 bytes.
func ParseKey(content string) ([]byte, error) {
	if len(content) > maxKeyFile {
		return nil, ErrKey
	}
	content = strings.TrimSuffix(content, "\n")
	if raw, ok := ids.Parse(content); ok {
		return raw[:], nil
	}
	body, head := strings.CutPrefix(content, pemHead)
	body, tail := strings.CutSuffix(body, pemTail)
	der, ok := decode(body)
	if !head || !tail || !ok || len(body) != 60 || strings.ContainsAny(body, "-_") || len(der) != len(derStart)+ed25519.PublicKeySize || string(der[:len(derStart)]) != derStart {
		return nil, ErrKey
	}
	return der[len(derStart):], nil
}

// ReadKeys reads files of public keys.
func ReadKeys(names []string) (*Keys, error) {
	k := &Keys{}
	for _, name := range names {
		file, err := os.OpenFile(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
		file.Close()
		if err != nil {
			return nil, err
		}
		raw, err := ParseKey(string(content))
		if err != nil {
			return nil, err
		}
		k.add(raw)
	}
	return k, nil
}

func (k *Keys) add(raw []byte) {
	sum := sha256.Sum256(append([]byte(derStart), raw...))
	id := hex.EncodeToString(sum[:])
	at, there := slices.BinarySearchFunc(k.all, id, func(one key, id string) int { return strings.Compare(one.id, id) })
	if !there {
		k.all = slices.Insert(k.all, at, key{id, ed25519.PublicKey(raw)})
	}
}

// Given says whether any key was given.
func (k *Keys) Given() bool { return k != nil && len(k.all) > 0 }

// IDs returns the keyids, sorted.
func (k *Keys) IDs() []string {
	out := []string{}
	if k != nil {
		for _, one := range k.all {
			out = append(out, one.id)
		}
	}
	return out
}

// decode reads strict base64 of one of the two alphabets.
func decode(text string) ([]byte, bool) {
	if strings.ContainsAny(text, "\r\n") { // which encoding/base64 passes over
		return nil, false
	}
	form := base64.StdEncoding
	if strings.ContainsAny(text, "-_") {
		form = base64.URLEncoding
	}
	out, err := form.Strict().DecodeString(text)
	return out, err == nil
}

// Tally counts for which of the given keys something counts.
type Tally struct {
	keys   *Keys
	counts []bool
}

// Tally returns a new count.
func (k *Keys) Tally() *Tally { return &Tally{k, make([]bool, len(k.all))} }

// Add notes that a statement counts for all who signed it.
func (t *Tally) Add(s *Statement) {
	for i, signed := range s.signers {
		t.counts[i] = t.counts[i] || signed
	}
}

// Missing names the given keys for which nothing counts; the text is empty if there are none.
func (t *Tally) Missing() string {
	var out []string
	for i, counts := range t.counts {
		if !counts {
			out = append(out, t.keys.all[i].id)
		}
	}
	return strings.Join(out, ", ")
}

// SignedBy returns the keyids for which something counts, sorted.
func (t *Tally) SignedBy() []string {
	out := []string{}
	for i, counts := range t.counts {
		if counts {
			out = append(out, t.keys.all[i].id)
		}
	}
	return out
}

// Both leaves in t what counts in another tally, too.
func (t *Tally) Both(other *Tally) {
	for i := range t.counts {
		t.counts[i] = t.counts[i] && other.counts[i]
	}
}
