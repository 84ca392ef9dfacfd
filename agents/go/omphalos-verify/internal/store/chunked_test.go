package store

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"omphalos.invalid/agents/go/omphalos-verify/internal/ids"
	"omphalos.invalid/agents/go/omphalos-verify/internal/tree"
	"omphalos.invalid/agents/go/omphalos-verify/internal/vectors"
)

// row is a chunk of a list, with a length that may be wrong.
func row(text string, length int) []byte {
	id := ids.Blob([]byte(text))
	return binary.LittleEndian.AppendUint32(id[:], uint32(length))
}

// listOf returns a list whose check holds.
func listOf(size uint64, rows ...[]byte) []byte {
	data := binary.LittleEndian.AppendUint64([]byte(listMagic), size)
	data = append(data, bytes.Join(rows, nil)...)
	sum := ids.Blob(data)
	return append(data, sum[:]...)
}

func listPath(text string) string {
	digits := ids.Blob([]byte(text)).String()
	return chunkedPath + "/" + digits[:2] + "/" + digits[2:]
}

// The list of the page is read as the page says, and written the same here; no change of one of its bits is a list.
func TestListVector(t *testing.T) {
	data := vectors.Bytes(t, vectors.Read(t, "store.md", "list")[0].Lines[0][0])
	if made := listOf(4, row("abc", 3), row("d", 1)); !bytes.Equal(made, data) {
		t.Errorf("%x, not %x", made, data)
	}
	l, ok := parseList(data)
	if !ok || l.size != 4 || l.len() != 2 {
		t.Fatalf("%v: %d bytes in %d chunks", ok, l.size, l.len())
	}
	for i, text := range []string{"abc", "d"} {
		if id, length := l.chunk(i); id != ids.Blob([]byte(text)) || length != int64(len(text)) {
			t.Errorf("chunk %d: %s, %d bytes", i, id, length)
		}
	}
	for bit := range 8 * len(data) {
		bad := bytes.Clone(data)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, ok := parseList(bad); ok {
			t.Errorf("bit %d is flipped, and it is a list", bit)
		}
	}
	for n := range data {
		if _, ok := parseList(data[:n]); ok {
			t.Errorf("the first %d bytes are a list", n)
		}
	}
}

// What is no list although its check holds, and the lengths a chunk may have.
func TestListForms(t *testing.T) {
	full := bytes.Repeat([]byte("x"), maxRecord)
	other := []byte("omphalos list 2\n")
	for name, c := range map[string]struct {
		data []byte
		good bool
	}{
		"one chunk":        {listOf(3, row("abc", 3)), true},
		"longest chunk":    {listOf(maxRecord, row(string(full), maxRecord)), true},
		"too long a chunk": {listOf(maxRecord+1, row("abc", maxRecord+1)), false},
		"empty chunk":      {listOf(3, row("abc", 3), row("", 0)), false},
		"no chunk":         {listOf(0), false},
		"size too large":   {listOf(4, row("abc", 3)), false},
		"size beyond all":  {listOf(1<<63+3, row("abc", 3)), false},
		"part of a chunk":  {listOf(3, row("abc", 3), []byte{0}), false},
		"other magic":      {slices.Concat(other, listOf(3, row("abc", 3))[len(other):]), false},
		"a byte behind":    {append(listOf(3, row("abc", 3)), 0), false},
		"too long":         {listOf(3<<21, slices.Repeat([][]byte{row("abc", 3)}, 1<<21)...), false},
	} {
		if name == "other magic" {
			sum := ids.Blob(c.data[:len(c.data)-sumSize])
			copy(c.data[len(c.data)-sumSize:], sum[:])
		}
		if _, ok := parseList(c.data); ok != c.good {
			t.Errorf("%s: %v", name, ok)
		}
	}
}

// Chunked blobs in a store: what makes them there, and what is said of a list that does not.
func TestChunked(t *testing.T) {
	const segment = packsPath + "/0000000000000000.open"
	whole := ids.Blob([]byte("abcd"))
	node := tree.Encode([]tree.Entry{{Name: "w", Size: 4, ID: whole}})
	good := listOf(4, row("abc", 3), row("d", 1))
	missing := "objectMissing " + whole.String()
	damaged := "objectDamaged " + listPath("abcd")
	at := func(l layout, path string) string { return filepath.Join(l.root, path) }
	for name, c := range map[string]struct {
		list []byte
		edit func(l layout) error
		want string
	}{
		"good":            {good, nil, "verified"},
		"none":            {nil, nil, "refused|" + missing},
		"damaged":         {good[1:], nil, "refused|" + damaged + "|" + missing},
		"empty file":      {[]byte{}, nil, "refused|" + damaged + "|" + missing},
		"too long":        {good, func(l layout) error { return os.Truncate(at(l, listPath("abcd")), 1<<40) }, "refused|" + damaged + "|" + missing},
		"other order":     {listOf(4, row("d", 1), row("abc", 3)), nil, "refused|" + damaged + "|" + missing},
		"length of chunk": {listOf(4, row("abc", 2), row("d", 2)), nil, "refused|" + missing},
		"chunk missing":   {listOf(4, row("abc", 3), row("e", 1)), nil, "refused|" + missing},
		"also a file": {good[1:], func(l layout) error {
			l.write(strings.Replace(listPath("abcd"), chunkedPath, largePath, 1), []byte("abcd"))
			return nil
		}, "refused|" + damaged},
		"chunk is a list": {nil, func(l layout) error {
			l.write(listPath("abcd"), listOf(4, row("ab", 2), row("cd", 2)))
			l.write(listPath("ab"), listOf(2, row("a", 1), row("b", 1)))
			l.write(largePath+"/"+listPath("cd")[len(chunkedPath)+1:], []byte("cd"))
			return nil
		}, "refused|" + missing},
		"other size wanted": {good, func(l layout) error {
			wrong := tree.Encode([]tree.Entry{{Name: "w", Size: 5, ID: whole}})
			l.write(segment, slices.Concat([]byte(firstLine), blob("abc"), blob("d"), entry(ids.KindTree, wrong, nil)))
			l.write("refs/tags/t", []byte(ids.Tree(wrong).String()+"\n"))
			return nil
		}, "refused|sizeMismatch " + whole.String()},
		"strays": {good, func(l layout) error {
			l.write(chunkedPath+"/readme", []byte("x"))
			l.write(chunkedPath+"/ab/short", []byte("x"))
			return nil
		}, "verified"},
		"link of a folder": {good, func(l layout) error { return os.Symlink(".", at(l, chunkedPath+"/00")) }, "refused|symlinkEntry " + chunkedPath + "/00"},
		"folder for a list": {nil, func(l layout) error { return os.MkdirAll(at(l, listPath("abcd")), 0o755) },
			"refused|" + missing + "|specialFile " + listPath("abcd")},
		"no folder":      {nil, func(l layout) error { l.write(chunkedPath, nil); return nil }, "incomplete|" + chunkedPath},
		"link of chunks": {nil, func(l layout) error { return os.Symlink("large", at(l, chunkedPath)) }, "incomplete|" + chunkedPath},
	} {
		l := newStore(t)
		l.write(segment, slices.Concat([]byte(firstLine), blob("abc"), blob("d"), blob("a"), blob("b"), entry(ids.KindTree, node, nil)))
		l.write("refs/tags/t", []byte(ids.Tree(node).String()+"\n"))
		if c.list != nil {
			l.write(listPath("abcd"), c.list)
		}
		if c.edit != nil {
			if err := c.edit(l); err != nil {
				t.Fatal(err)
			}
		}
		if got := l.judge(); got != c.want {
			t.Errorf("%s: %s, not %s", name, got, c.want)
		}
	}
}

// A list is no chunk of another, whichever of them is listed first.
func TestNestedLists(t *testing.T) {
	l := newStore(t)
	segment := []byte(firstLine)
	for i := range 16 { // so many that some of each kind come first
		first := string(rune('a' + i))
		segment = append(segment, slices.Concat(blob(first), blob(first+"0"))...)
		l.write(listPath(first+first+"0"), listOf(3, row(first, 1), row(first+"0", 2)))
		l.write(listPath(first+first+"0"+first), listOf(4, row(first+first+"0", 3), row(first, 1)))
	}
	l.write(packsPath+"/0000000000000000.open", segment)
	if got := l.judge(); got != "verified" {
		t.Error(got)
	}
}

// A list counts as one file of its own length, and what it makes as none.
func TestChunkedCounts(t *testing.T) {
	l := newStore(t)
	list := listOf(4, row("abc", 3), row("d", 1))
	l.write(packsPath+"/0000000000000000.open", slices.Concat([]byte(firstLine), blob("abc"), blob("d")))
	l.write(listPath("abcd"), list)
	v, err := Verify(l.root)
	if err != nil || v.Files != 3 || v.Bytes.Uint64() != 4+uint64(len(list)) {
		t.Errorf("%v: %d files, %v bytes", err, v.Files, v.Bytes)
	}
}

// No bytes make the reader of lists fall over; what it takes says of itself what it says here.
func FuzzList(f *testing.F) {
	f.Add(listOf(4, row("abc", 3), row("d", 1)), false)
	f.Add(listOf(0), true)
	f.Fuzz(func(t *testing.T, data []byte, seal bool) {
		if seal { // so that more than the check is looked at
			sum := ids.Blob(data)
			data = slices.Concat(data, sum[:])
		}
		l, ok := parseList(data)
		if !ok {
			return
		}
		rows := make([][]byte, l.len())
		for i := range rows {
			id, length := l.chunk(i)
			rows[i] = binary.LittleEndian.AppendUint32(id[:], uint32(length))
		}
		if !bytes.Equal(listOf(uint64(l.size), rows...), data) {
			t.Errorf("%x", data)
		}
	})
}
