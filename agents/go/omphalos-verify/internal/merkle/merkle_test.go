package merkle

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/bits"
	"strconv"
	"testing"

	"omphalos.invalid/agents/go/omphalos-verify/internal/vectors"
)

// The heads of the page hold.
func TestHeads(t *testing.T) {
	for _, v := range vectors.Read(t, "merkle.md", "tree-head") {
		var head Head
		for _, leaf := range v.All("leaf") {
			head.Add(LeafHash(vectors.Bytes(t, leaf)))
		}
		root := head.Root()
		if got := hex.EncodeToString(root[:]); got != v.Get("head") {
			t.Errorf("head of %d leaves is %s, not %s", len(v.All("leaf")), got, v.Get("head"))
		}
	}
}

// The leaves of the page hold.
func TestLeaves(t *testing.T) {
	for _, v := range vectors.Read(t, "merkle.md", "artifact-leaf") {
		size, err := strconv.ParseUint(v.Get("size"), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		leaf := Leaf(nil, vectors.Text(t, v.Get("path")), size, vectors.Bytes(t, v.Get("sha256")), vectors.Bytes(t, v.Get("blake3")))
		if got := hex.EncodeToString(leaf); got != v.Get("leaf") {
			t.Errorf("leaf is %s, not %s", got, v.Get("leaf"))
		}
		hash := LeafHash(leaf)
		if got := hex.EncodeToString(hash[:]); got != v.Get("hash") {
			t.Errorf("hash of the leaf is %s, not %s", got, v.Get("hash"))
		}
	}
}

// naive is RFC 6962 as it is written.
func naive(leaves []Hash) Hash {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	}
	k := 1 << (bits.Len(uint(len(leaves)-1)) - 1)
	return node(naive(leaves[:k]), naive(leaves[k:]))
}

// Heads computed leaf by leaf are those of the definition, for every number of leaves to 130.
func TestIncremental(t *testing.T) {
	var head Head
	var leaves []Hash
	for n := range 130 {
		if got, want := head.Root(), naive(leaves); got != want {
			t.Fatalf("%d leaves: %x, not %x", n, got, want)
		}
		leaf := LeafHash([]byte{byte(n)})
		leaves = append(leaves, leaf)
		head.Add(leaf)
	}
}

// The conformance cases about heads hold.
func TestConformance(t *testing.T) {
	var cases []struct {
		Name, Head string
		Leaves     []string
	}
	if err := json.Unmarshal([]byte(vectors.File(t, "conformance/merkle/heads.json")), &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		var head Head
		for _, leaf := range c.Leaves {
			head.Add(LeafHash(vectors.Bytes(t, leaf)))
		}
		root := head.Root()
		if got := hex.EncodeToString(root[:]); got != c.Head {
			t.Errorf("%s: %s, not %s", c.Name, got, c.Head)
		}
	}
}

// The probes of inclusion hold or not, as they say; what is not 32 bytes never holds, and cannot be asked here.
func TestInclusion(t *testing.T) {
	var probes []struct {
		Name              string
		Holds             bool
		Index, Size, Root string
		LeafHash          string `json:"leaf_hash"`
		Proof             []string
	}
	if err := json.Unmarshal([]byte(vectors.File(t, "conformance/merkle/inclusion.json")), &probes); err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, p := range probes {
		whole := true
		hash := func(text string) (h Hash) {
			b, err := hex.DecodeString(text)
			whole = whole && err == nil && copy(h[:], b) == len(h) && len(b) == len(h)
			return h
		}
		number := func(text string) uint64 {
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				t.Fatal(p.Name, err)
			}
			return n
		}
		leaf, root := hash(p.LeafHash), hash(p.Root)
		siblings := []Hash{}
		for _, s := range p.Proof {
			siblings = append(siblings, hash(s))
		}
		if !whole {
			if p.Holds {
				t.Errorf("%s holds", p.Name)
			}
			continue
		}
		asked++
		if Included(leaf, number(p.Index), number(p.Size), siblings, root) != p.Holds {
			t.Errorf("%s: not %v", p.Name, p.Holds)
		}
	}
	if asked < 100 {
		t.Errorf("only %d probes", asked)
	}
}
