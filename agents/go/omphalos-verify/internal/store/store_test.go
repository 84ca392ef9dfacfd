package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"omphalos.invalid/agents/go/omphalos-verify/internal/ids"
	"omphalos.invalid/agents/go/omphalos-verify/internal/sample"
	"omphalos.invalid/agents/go/omphalos-verify/internal/tree"
)

// entry returns a record, after a change to its header; the check is right for what it says then.
func entry(kind ids.Kind, data []byte, edit func(h []byte)) []byte {
	h := make([]byte, headerSize, headerSize+len(data))
	copy(h, magic)
	h[4], h[5] = 1, byte(kind)
	binary.LittleEndian.PutUint32(h[8:], uint32(len(data)))
	id := ids.Of(kind%ids.Kinds, data)
	copy(h[12:], id[:])
	if edit != nil {
		edit(h)
	}
	binary.LittleEndian.PutUint32(h[44:], crc32.ChecksumIEEE(h[:44]))
	return append(h, data...)
}

func blob(text string) []byte { return entry(ids.KindBlob, []byte(text), nil) }

// notes are what a visitor was told, as text.
type notes struct {
	said  []string
	count int
}

func (n *notes) record(offset int64, h header, intact bool) {
	n.count++
	if !intact {
		n.damaged(offset)
	}
}
func (n *notes) unknown(offset int64) { n.said = append(n.said, fmt.Sprintf("unknown@%d", offset)) }
func (n *notes) damaged(offset int64) { n.said = append(n.said, fmt.Sprintf("damaged@%d", offset)) }

func scan(t testing.TB, data []byte, open bool) string {
	t.Helper()
	n := &notes{}
	s := &segment{in: bytes.NewReader(data), size: int64(len(data)), open: open}
	if err := s.scan(n); err != nil {
		t.Fatal(err)
	}
	return strings.Join(append([]string{fmt.Sprint(n.count)}, n.said...), " ")
}

// Each rule about a segment: records, gaps, and what a killed writer may leave at the end of an open one.
func TestSegments(t *testing.T) {
	one, two := blob("one"), blob("three")
	join := func(parts ...[]byte) []byte { return bytes.Join(append([][]byte{[]byte(firstLine)}, parts...), nil) }
	flipped := bytes.Clone(one)
	flipped[headerSize] ^= 1
	badCheck := bytes.Clone(one)
	badCheck[44] ^= 1
	header := func(at int, to byte) []byte {
		return entry(ids.KindBlob, []byte("one"), func(h []byte) { h[at] = to })
	}
	for name, c := range map[string]struct {
		data         []byte
		sealed, open string
	}{
		"nothing":              {nil, "0", "0"},
		"first line":           {[]byte(firstLine), "0", "0"},
		"part of it":           {[]byte(firstLine[:7]), "0 damaged@0", "0"},
		"other first line":     {append([]byte("omphalos pack 2\n"), one...), "1 damaged@0", "1 damaged@0"},
		"zeros alone":          {make([]byte, 9), "0 damaged@0", "0 damaged@0"},
		"two":                  {join(one, two), "2", "2"},
		"flipped":              {join(flipped, two), "2 damaged@16", "2 damaged@16"},
		"bad check":            {join(badCheck, two), "1 damaged@16", "1 damaged@16"},
		"other version":        {join(header(4, 2), two), "1 damaged@16", "1 damaged@16"},
		"unknown kind":         {join(header(5, 3), two), "1 unknown@16", "1 unknown@16"},
		"unknown kind, cut":    {join(header(5, 200)[:50]), "0 damaged@16", "0 damaged@16"},
		"too long":             {join(header(10, 0x17), two), "1 damaged@16", "1 damaged@16"},
		"reaches behind":       {join(header(9, 1), two), "1 damaged@16", "1 damaged@16"},
		"gap":                  {join(one, []byte("xyz"), two), "2 damaged@67", "2 damaged@67"},
		"gap of magic":         {join(one, []byte(strings.Repeat(magic, 9)), two), "2 damaged@67", "2 damaged@67"},
		"cut record":           {join(one, two[:50]), "1 damaged@67", "1"},
		"cut header":           {join(one, two[:30]), "1 damaged@67", "1"},
		"cut magic":            {join(one, two[:2]), "1 damaged@67", "1"},
		"zeros":                {join(one, make([]byte, maxZeros)), "1 damaged@67", "1"},
		"too many zeros":       {join(one, make([]byte, maxZeros+1)), "1 damaged@67", "1 damaged@67"},
		"zeros, then more":     {join(one, make([]byte, 99), []byte("x")), "1 damaged@67", "1 damaged@67"},
		"garbage":              {join(one, []byte("garbage")), "1 damaged@67", "1 damaged@67"},
		"record in a long gap": {join(bytes.Repeat([]byte("x"), 3*maxRecord), two), "1 damaged@16", "1 damaged@16"},
	} {
		if got := scan(t, c.data, false); got != c.sealed {
			t.Errorf("%s, sealed: %s, not %s", name, got, c.sealed)
		}
		if got := scan(t, c.data, true); got != c.open {
			t.Errorf("%s, open: %s, not %s", name, got, c.open)
		}
	}
}

// layout is a store while it is made.
type layout struct {
	t    testing.TB
	root string
}

func (l layout) write(path string, data []byte) {
	l.t.Helper()
	full := filepath.Join(l.root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(full, data, 0o644); err != nil {
		l.t.Fatal(err)
	}
}

func newStore(t testing.TB) layout {
	l := layout{t, filepath.Join(t.TempDir(), "s")}
	for _, folder := range []string{largePath, packsPath, refsPath} {
		if err := os.MkdirAll(filepath.Join(l.root, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func (l layout) judge() string {
	l.t.Helper()
	v, err := Verify(l.root)
	if err != nil {
		return "nothing"
	}
	out := []string{v.Word()}
	for _, f := range v.Findings {
		out = append(out, string(f.ID)+" "+f.Path)
	}
	return strings.Join(append(out, v.Unreadable...), "|")
}

// From refs to runs, trees and blobs: what is missing, of another kind or size, or named otherwise is found at its id.
func TestRefs(t *testing.T) {
	const segment = packsPath + "/0000000000000000.open"
	abc, none := ids.Blob([]byte("abc")), ids.Blob([]byte("none"))
	node := func(kind, size uint64, id ids.ID) []byte {
		return tree.Encode([]tree.Entry{{Name: "a", Kind: kind, Size: size, ID: id}})
	}
	good := node(0, 3, abc)
	inner := ids.Tree(good)
	run := sample.Run(map[string]string{"a": "abc"}, ids.Tree([]byte{0x90}).String())
	text := []byte(sample.Text(run))
	for name, c := range map[string]struct {
		trees [][]byte // the first is named by tags/t
		runs  [][]byte
		ref   string // of the run
		want  string
	}{
		"good":           {[][]byte{good}, nil, "", "verified"},
		"inner":          {[][]byte{node(1, 3, inner), good}, nil, "", "verified"},
		"missing blob":   {[][]byte{node(0, 3, none)}, nil, "", "refused|objectMissing " + none.String()},
		"missing tree":   {[][]byte{node(1, 3, none)}, nil, "", "refused|objectMissing " + none.String()},
		"size of blob":   {[][]byte{node(0, 4, abc)}, nil, "", "refused|sizeMismatch " + abc.String()},
		"size of tree":   {[][]byte{node(1, 4, inner), good}, nil, "", "refused|sizeMismatch " + inner.String()},
		"blob as tree":   {[][]byte{node(1, 3, abc)}, nil, "", "refused|typeMismatch " + abc.String()},
		"tree as blob":   {[][]byte{node(0, 3, inner), good}, nil, "", "refused|typeMismatch " + inner.String()},
		"no tree node":   {[][]byte{{0x91}}, nil, "", "refused|oversizeLength " + ids.Tree([]byte{0x91}).String()},
		"run":            {[][]byte{good}, [][]byte{text}, "runs/" + run.RunID, "verified"},
		"run elsewhere":  {[][]byte{good}, [][]byte{text}, "remotes/x/runs/y", "verified"},
		"run misnamed":   {[][]byte{good}, [][]byte{text}, "runs/y", "refused|refMismatch refs/runs/y"},
		"no manifest":    {[][]byte{good}, [][]byte{[]byte("x")}, "tags/r", "refused|jsonSyntax " + ids.Run([]byte("x")).String()},
		"tree of no run": {[][]byte{good}, nil, "runs/y", "refused|typeMismatch refs/runs/y"},
	} {
		l := newStore(t)
		parts := [][]byte{[]byte(firstLine), blob("abc")}
		target := ids.Tree(c.trees[0])
		l.write("refs/tags/t", []byte(target.String()+"\n"))
		for _, data := range c.trees {
			parts = append(parts, entry(ids.KindTree, data, nil))
		}
		for _, data := range c.runs {
			parts = append(parts, entry(ids.KindRun, data, nil))
			target = ids.Run(data)
		}
		if c.ref != "" {
			l.write("refs/"+c.ref, []byte(target.String()+"\n"))
		}
		l.write(segment, bytes.Join(parts, nil))
		if got := l.judge(); got != c.want {
			t.Errorf("%s: %s, not %s", name, got, c.want)
		}
	}
}

// Names, links and special files in a store, and what is no store.
func TestPlaces(t *testing.T) {
	line := []byte(ids.Blob([]byte("abc")).String() + "\n")
	large := "objects/large/" + string(line[:2]) + "/" + string(line[2:64])
	for name, c := range map[string]struct {
		make func(l layout, at func(string) string) error
		want string
	}{
		"empty":         {func(layout, func(string) string) error { return nil }, "verified"},
		"no packs":      {func(_ layout, at func(string) string) error { return os.Remove(at(packsPath)) }, "verified"},
		"no refs":       {func(_ layout, at func(string) string) error { return os.Remove(at(refsPath)) }, "nothing"},
		"large":         {func(l layout, _ func(string) string) error { l.write(large, []byte("abc")); return nil }, "verified"},
		"large flipped": {func(l layout, _ func(string) string) error { l.write(large, []byte("abd")); return nil }, "refused|objectDamaged " + large},
		"dangling":      {func(l layout, _ func(string) string) error { l.write("refs/x", line); return nil }, "refused|refDangling refs/x"},
		"short ref":     {func(l layout, _ func(string) string) error { l.write("refs/x", line[1:]); return nil }, "refused|refMalformed refs/x"},
		"two lines":     {func(l layout, _ func(string) string) error { l.write("refs/x", append(line, '\n')); return nil }, "refused|refMalformed refs/x"},
		"bad name":      {func(l layout, _ func(string) string) error { l.write("refs/con", line); return nil }, "refused|refMalformed refs/con"},
		"dotted":        {func(l layout, _ func(string) string) error { l.write("refs/.x", line); return nil }, "verified"},
		"link of a ref": {func(_ layout, at func(string) string) error { return os.Symlink("x", at("refs/x")) }, "refused|refMalformed refs/x"},
		"link of a pack": {func(_ layout, at func(string) string) error {
			return os.Symlink("x", at(packsPath+"/0000000000000000.open"))
		}, "refused|symlinkEntry objects/packs/0000000000000000.open"},
		"link of a folder": {func(_ layout, at func(string) string) error { return os.Symlink(".", at("objects/large/ab")) }, "refused|symlinkEntry objects/large/ab"},
		"link of packs": {func(_ layout, at func(string) string) error {
			return errors.Join(os.Remove(at(packsPath)), os.Symlink("x", at(packsPath)))
		}, "incomplete|objects/packs"},
		"blind": {func(l layout, at func(string) string) error {
			l.write("refs/x", line)
			return errors.Join(os.Remove(at(packsPath)), os.Symlink("x", at(packsPath)))
		}, "incomplete|objects/packs"},
	} {
		l := newStore(t)
		if err := c.make(l, func(path string) string { return filepath.Join(l.root, path) }); err != nil {
			t.Fatal(err)
		}
		if got := l.judge(); got != c.want {
			t.Errorf("%s: %s, not %s", name, got, c.want)
		}
	}
}

// No bytes of a segment make the reader fall over; records, gaps and unknown kinds come in order, and a sealed segment
// is never judged milder than an open one.
func FuzzSegment(f *testing.F) {
	f.Add([]byte(firstLine))
	f.Add(slices.Concat([]byte(firstLine), blob("one"), []byte("x"), blob("two"), make([]byte, 50)))
	f.Add(slices.Concat([]byte(firstLine), entry(3, []byte("one"), nil), blob("two")[:49]))
	f.Fuzz(func(t *testing.T, data []byte) {
		last := int64(-1)
		o := &order{t, &last}
		s := &segment{in: bytes.NewReader(data), size: int64(len(data))}
		if err := s.scan(o); err != nil {
			t.Fatal(err)
		}
		sealed, open := scan(t, data, false), scan(t, data, true)
		if !strings.HasPrefix(sealed, open) {
			t.Errorf("sealed %s, open %s", sealed, open)
		}
	})
}

type order struct {
	t    *testing.T
	last *int64
}

func (o *order) next(offset int64) {
	if offset <= *o.last {
		o.t.Fatalf("%d after %d", offset, *o.last)
	}
	*o.last = offset
}
func (o *order) record(offset int64, _ header, _ bool) { o.next(offset) }
func (o *order) unknown(offset int64)                  { o.next(offset) }
func (o *order) damaged(offset int64)                  { o.next(offset) }
