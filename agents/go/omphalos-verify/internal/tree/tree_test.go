package tree

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
	"omphalos.invalid/agents/go/omphalos-verify/internal/ids"
	"omphalos.invalid/agents/go/omphalos-verify/internal/vectors"
)

func parseFile(t *testing.T, line string) (name string, words []string) {
	t.Helper()
	end := strings.LastIndexByte(line, '"')
	return vectors.Text(t, line[:end+1]), strings.Fields(line[end+1:])
}

func number(t *testing.T, text string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The nodes of the page are read, have their ids, and are written as they stand.
func TestNodes(t *testing.T) {
	for _, v := range vectors.Read(t, "tree.md", "tree") {
		data := vectors.Bytes(t, v.Get("bytes"))
		entries, finding := Decode(data)
		if finding != "" {
			t.Fatalf("%s: %s", v.Get("bytes"), finding)
		}
		if got := ids.Tree(data).String(); got != v.Get("id") {
			t.Errorf("id %s, not %s", got, v.Get("id"))
		}
		if !bytes.Equal(Encode(entries), data) {
			t.Errorf("%s is written otherwise", v.Get("bytes"))
		}
		if len(entries) != len(v.All("entry")) {
			t.Errorf("%d entries, not %d", len(entries), len(v.All("entry")))
		}
		for i, line := range v.All("entry") {
			name, words := parseFile(t, line)
			kind := map[string]uint64{"blob": 0, "tree": 1}[words[0]]
			id, _ := ids.Parse(words[2])
			if want := (Entry{name, kind, number(t, words[1]), id}); entries[i] != want {
				t.Errorf("entry %v, not %v", entries[i], want)
			}
		}
	}
}

// The nodes that the page refuses are refused, with its finding.
func TestRefused(t *testing.T) {
	for _, v := range vectors.Read(t, "tree.md", "tree-refused") {
		if _, got := Decode(vectors.Bytes(t, v.Get("bytes"))); string(got) != v.Get("finding") {
			t.Errorf("%s: %q, not %s", v.Get("bytes"), got, v.Get("finding"))
		}
	}
}

// The tree of files of the page has its root.
func TestRoot(t *testing.T) {
	for _, v := range vectors.Read(t, "tree.md", "tree-of-files") {
		var files []File
		for _, line := range v.All("file") {
			path, words := parseFile(t, line)
			id, _ := ids.Parse(words[1])
			files = append([]File{{path, number(t, words[0]), id}}, files...) // in another order than it is built in
		}
		if got := Root(files).String(); got != v.Get("id") {
			t.Errorf("root %s, not %s", got, v.Get("id"))
		}
	}
	if Root(nil) != empty {
		t.Error("the tree of no files is not the empty node")
	}
}

// A sum of sizes beyond 2^53-1 is refused, also where it is beyond 64 bits.
func TestSum(t *testing.T) {
	id := ids.Blob(nil)
	for _, sizes := range [][]uint64{{MaxSize, 1}, {1 << 63, 1 << 63}, {1<<64 - 1, 1}, {1<<64 - 1}} {
		var entries []Entry
		for i, size := range sizes {
			entries = append(entries, Entry{string(rune('a' + i)), 0, size, id})
		}
		if _, got := Decode(Encode(entries)); got != findings.TreeTooLarge {
			t.Errorf("%v: %q", sizes, got)
		}
	}
}

// The conformance cases about nodes hold.
func TestConformance(t *testing.T) {
	for _, row := range vectors.Rows(t, "node/table.tsv") {
		want := row[1]
		if want == "ok" {
			want = ""
		}
		if _, got := Decode(vectors.Bytes(t, row[0])); string(got) != want {
			t.Errorf("%.80s: %q, not %q", row[0], got, row[1])
		}
	}
}

// No bytes make the decoder panic, and what it takes it writes as it was.
func FuzzDecode(f *testing.F) {
	for _, kind := range []string{"tree", "tree-refused"} {
		for _, v := range vectors.Read(f, "tree.md", kind) {
			f.Add(vectors.Bytes(f, v.Get("bytes")))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, finding := Decode(data)
		if finding == "" && !bytes.Equal(Encode(entries), data) {
			t.Errorf("%x is taken and written as %x", data, Encode(entries))
		}
	})
}
