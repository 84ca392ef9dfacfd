// Package tree reads tree nodes, and builds the root node of a set of files (docs/format/tree.md).
package tree

import (
	"math/bits"
	"slices"
	"strings"

	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
	"omphalos.invalid/agents/go/omphalos-verify/internal/ids"
	"omphalos.invalid/agents/go/omphalos-verify/internal/msgpack"
	"omphalos.invalid/agents/go/omphalos-verify/internal/paths"
)

const (
	// MaxEntries is how many entries a node may have.
	MaxEntries = 1 << 20
	// MaxSize is the largest size, and the largest sum of sizes.
	MaxSize = 1<<53 - 1
)

// Blob and Tree are the kinds of entries.
const (
	Blob = 0
	Tree = 1
)

// Entry is one name in a folder, of kind Blob or Tree.
type Entry struct {
	Name string
	Kind uint64
	Size uint64
	ID   ids.ID
}

// File is a file of a tree to build.
type File struct {
	Path string
	Size uint64
	ID   ids.ID
}

var empty = ids.Tree([]byte{0x90})

// Decode returns the entries of a node, or the first rule that its bytes break.
func Decode(data []byte) ([]Entry, findings.ID) {
	if len(data) >= 5 && data[0] == 0xdd {
		if claim := uint64(data[1])<<24 | uint64(data[2])<<16 | uint64(data[3])<<8 | uint64(data[4]); claim > MaxEntries {
			return nil, findings.OversizeLength
		}
	}
	if id := msgpack.Check(data, 2, 5*MaxEntries+1); id != "" {
		return nil, id
	}
	head, rest, _ := msgpack.Next(data)
	if head.Kind != msgpack.Array {
		return nil, findings.TreeMalformed
	}
	entries := make([]Entry, 0, head.N) // Check has seen that the data holds as many values
	malformed := false                  // an entry's kind or id is out of range: the entries before it are judged first
	for range head.N {
		var parts [4]msgpack.Token
		var row msgpack.Token
		row, rest, _ = msgpack.Next(rest)
		if row.Kind != msgpack.Array || row.N != 4 {
			return nil, findings.TreeMalformed
		}
		for i := range parts {
			parts[i], rest, _ = msgpack.Next(rest)
		}
		name, kind, size, id := parts[0], parts[1], parts[2], parts[3]
		if name.Kind != msgpack.String || kind.Kind != msgpack.Uint || size.Kind != msgpack.Uint || id.Kind != msgpack.Bin {
			return nil, findings.TreeMalformed
		}
		malformed = malformed || kind.N > 1 || len(id.Data) != len(ids.ID{})
		if !malformed {
			entries = append(entries, Entry{string(name.Data), kind.N, size.N, ids.ID(id.Data)})
		}
	}
	return entries, check(entries, malformed)
}

func check(entries []Entry, malformed bool) findings.ID {
	var low, high, carry uint64
	for _, e := range entries {
		low, carry = bits.Add64(low, e.Size, 0)
		high += carry
		if e.Kind == 1 && e.ID == empty {
			return findings.DirExtra
		}
		if broken := paths.Refusing(paths.CheckComponent(e.Name)); len(broken) > 0 {
			return broken[0]
		}
	}
	if malformed {
		return findings.TreeMalformed
	}
	if high > 0 || low > MaxSize {
		return findings.TreeTooLarge
	}
	sorted := true
	names, folded := make(map[string]struct{}, len(entries)), make(map[string]struct{}, len(entries))
	for i, e := range entries {
		sorted = sorted && (i == 0 || entries[i-1].Name < e.Name)
		names[e.Name] = struct{}{}
		folded[paths.Fold(e.Name)] = struct{}{}
	}
	switch {
	case len(names) < len(entries):
		return findings.DuplicateEntry
	case !sorted:
		return findings.Unsorted
	case len(folded) < len(entries):
		return findings.PathCaseCollision
	}
	return ""
}

// Sum adds up the sizes of the entries of a node that Decode let through.
func Sum(entries []Entry) (sum uint64) {
	for _, e := range entries {
		sum += e.Size
	}
	return sum
}

// Encode returns the bytes of a node; the caller has put its entries in order.
func Encode(entries []Entry) []byte {
	b := msgpack.AppendArray(make([]byte, 0, 64*len(entries)+5), len(entries))
	for _, e := range entries {
		b = msgpack.AppendString(msgpack.AppendArray(b, 4), e.Name)
		b = msgpack.AppendUint(msgpack.AppendUint(b, e.Kind), e.Size)
		b = msgpack.AppendBin(b, e.ID[:])
	}
	return b
}

// Root returns the id of the root node of a set of files. The caller has checked the paths, alone and as a set, and
// that the sizes do not add up to more than MaxSize.
func Root(files []File) ids.ID {
	sorted := slices.Clone(files)
	slices.SortFunc(sorted, func(a, b File) int { return paths.CompareByComponent(a.Path, b.Path) })
	type open struct {
		name    string
		entries []Entry
	}
	chain := []open{{}}
	leave := func() ids.ID {
		last := chain[len(chain)-1]
		var sum uint64
		for _, e := range last.entries {
			sum += e.Size
		}
		id := ids.Tree(Encode(last.entries))
		chain = chain[:len(chain)-1]
		if len(chain) > 0 {
			up := &chain[len(chain)-1]
			up.entries = append(up.entries, Entry{last.name, 1, sum, id})
		}
		return id
	}
	for _, file := range sorted {
		parts := strings.Split(file.Path, "/")
		folders, name := parts[:len(parts)-1], parts[len(parts)-1]
		shared := 0
		for shared < min(len(chain)-1, len(folders)) && chain[shared+1].name == folders[shared] {
			shared++
		}
		for len(chain)-1 > shared {
			leave()
		}
		for _, folder := range folders[shared:] {
			chain = append(chain, open{name: folder})
		}
		top := &chain[len(chain)-1]
		top.entries = append(top.entries, Entry{name, 0, file.Size, file.ID})
	}
	for len(chain) > 1 {
		leave()
	}
	return leave()
}
