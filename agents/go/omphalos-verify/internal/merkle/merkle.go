// Package merkle computes the tree head of RFC 6962, section 2.1 (docs/format/merkle.md).
package merkle

import (
	"crypto/sha256"

	"omphalos.invalid/agents/go/omphalos-verify/internal/msgpack"
)

// Hash is a SHA-256 value.
type Hash = [sha256.Size]byte

// Leaf returns the data of the leaf of one artifact.
func Leaf(b []byte, path string, size uint64, sha, blake []byte) []byte {
	b = msgpack.AppendString(msgpack.AppendArray(b, 4), path)
	b = msgpack.AppendUint(b, size)
	return msgpack.AppendBin(msgpack.AppendBin(b, sha), blake)
}

// LeafHash returns the head of one leaf.
func LeafHash(leaf []byte) Hash {
	h := sha256.New()
	h.Write([]byte{0})
	h.Write(leaf)
	return Hash(h.Sum(nil))
}

func node(left, right Hash) Hash {
	var b [1 + 2*sha256.Size]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

// Head collects leaves and keeps only the heads of the perfect subtrees met so far, largest first.
type Head struct {
	heads []Hash
	count uint64
}

// Add appends a leaf by its hash.
func (t *Head) Add(hash Hash) {
	for n := t.count; n&1 == 1; n >>= 1 {
		last := len(t.heads) - 1
		hash = node(t.heads[last], hash)
		t.heads = t.heads[:last]
	}
	t.heads = append(t.heads, hash)
	t.count++
}

// Root returns the tree head of the leaves added.
func (t *Head) Root() Hash {
	if t.count == 0 {
		return sha256.Sum256(nil)
	}
	at := len(t.heads) - 1
	root := t.heads[at]
	for at--; at >= 0; at-- {
		root = node(t.heads[at], root)
	}
	return root
}

// Included says whether a leaf stands at an index in the tree of so many leaves with this root: RFC 9162, section
// 2.1.3.2. The proof holds the siblings from the leaf up.
func Included(leaf Hash, index, size uint64, proof []Hash, root Hash) bool {
	if index >= size {
		return false
	}
	hash, last := leaf, size-1
	for _, sibling := range proof {
		if last == 0 {
			return false
		}
		if index&1 == 1 || index == last {
			hash = node(sibling, hash)
			for index&1 == 0 && index != 0 {
				index >>= 1
				last >>= 1
			}
		} else {
			hash = node(hash, sibling)
		}
		index >>= 1
		last >>= 1
	}
	return last == 0 && hash == root
}
