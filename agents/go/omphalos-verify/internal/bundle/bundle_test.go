package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"omphalos.invalid/agents/go/omphalos-verify/internal/attest"
	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
	"omphalos.invalid/agents/go/omphalos-verify/internal/ids"
	"omphalos.invalid/agents/go/omphalos-verify/internal/report"
	"omphalos.invalid/agents/go/omphalos-verify/internal/sample"
	"omphalos.invalid/agents/go/omphalos-verify/internal/tree"
)

// content is a bundle while it is made: the data of members by name.
type content struct {
	runID, object string
	members       map[string][]byte
}

func add(c *content, folder string, id ids.ID, data []byte) string {
	c.members[folder+id.String()] = data
	return id.String()
}

// good is a run of two files with a method of one node and one file.
func good() *content {
	c := &content{members: map[string][]byte{}}
	files := map[string]string{"a.csv": "abc", "b/c": ""}
	for _, text := range files {
		add(c, folderPayload, ids.Blob([]byte(text)), []byte(text))
	}
	method := ids.Blob([]byte("pass\n"))
	add(c, folderPayload, method, []byte("pass\n"))
	node := tree.Encode([]tree.Entry{{Name: "m.py", Kind: tree.Blob, Size: 5, ID: method}})
	m := sample.Run(files, add(c, folderNodes, ids.Tree(node), node))
	text := []byte(sample.Text(m))
	c.runID, c.object = m.RunID, add(c, folderRuns, ids.Run(text), text)
	return c
}

func (c *content) names() []string {
	var names []string
	for name := range c.members {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// index returns the index in its one spelling.
func (c *content) index() string {
	var b strings.Builder
	b.WriteString("{\n  \"members\": [")
	for i, name := range c.names() {
		sum := sha256.Sum256(c.members[name])
		fmt.Fprintf(&b, "%s\n    {\n      \"name\": %q,\n      \"sha256\": %q,\n      \"size\": %d\n    }",
			[]string{",", ""}[min(1, max(0, 1-i))], name, hex.EncodeToString(sum[:]), len(c.members[name]))
	}
	fmt.Fprintf(&b, "\n  ],\n  \"runs\": [\n    {\n      \"attestations\": [],\n      \"run\": %q,\n      \"run_id\": %q\n    }\n  ],\n"+
		"  \"schema\": \"omphalos.bundle/1\"\n}\n", c.object, c.runID)
	return b.String()
}

func pad(data []byte) []byte {
	return append(bytes.Clone(data), make([]byte, (block-len(data)%block)%block)...)
}

// bytes returns the archive with this index.
func (c *content) bytes(index string) []byte {
	out := slices.Concat(header(indexName, uint64(len(index))), pad([]byte(index)))
	for _, name := range c.names() {
		out = slices.Concat(out, header(name, uint64(len(c.members[name]))), pad(c.members[name]))
	}
	return append(out, make([]byte, 2*block)...)
}

func judge(data []byte) string {
	r := report.New("x")
	Read(r, bytes.NewReader(data), nil)
	v := r.Close()
	out := []string{v.Word()}
	for _, f := range v.Findings {
		out = append(out, string(f.ID)+" "+f.Path)
	}
	return strings.Join(append(out, v.Unreadable...), "|")
}

// Each rule about a header, the bytes of a member, and the end of the archive.
func TestArchive(t *testing.T) {
	c := good()
	data := c.bytes(c.index())
	first := block + len(pad([]byte(c.index()))) // the header of the first member
	name := c.names()[0]
	second := c.names()[1]
	next := first + block + len(pad(c.members[name]))
	seal := func(d []byte, at int) { copy(d[at+148:], fmt.Sprintf("%06o\x00 ", sum(d[at:at+block]))) }
	at := func(offset int, text string) func(d []byte) []byte {
		return func(d []byte) []byte {
			copy(d[first+offset:], text)
			seal(d, first)
			return d
		}
	}
	for what, e := range map[string]struct {
		edit func(d []byte) []byte
		want string
	}{
		"nothing":         {func(d []byte) []byte { return d }, "verified"},
		"empty":           {func([]byte) []byte { return nil }, "refused|truncated bundle.json"},
		"zeros":           {func([]byte) []byte { return make([]byte, block) }, "refused|fileMissing bundle.json"},
		"other first":     {func(d []byte) []byte { return d[first:] }, "refused|manifestMissing bundle.json"},
		"bad sum":         {func(d []byte) []byte { d[first+148] ^= 1; return d }, "refused|archiveMalformed " + name},
		"no ustar":        {at(257, "USTAR"), "refused|archiveMalformed " + name},
		"hard link":       {at(156, "1"), "refused|hardlinkEntry " + name},
		"link":            {at(156, "2"), "refused|symlinkEntry " + name},
		"pax":             {at(156, "x"), "refused|archiveEscape " + name},
		"prefix":          {at(345, "x"), "refused|archiveEscape " + name},
		"folder":          {at(156, "5"), "refused|dirExtra " + name},
		"device":          {at(156, "3"), "refused|specialFile " + name},
		"old type":        {at(156, "\x00"), "refused|specialFile " + name},
		"dotdot":          {at(0, "../x\x00"), "refused|archiveEscape " + name},
		"bytes":           {at(0, "\xff\x00"), "refused|archiveEscape " + name},
		"extra":           {at(0, "x\x00"), "refused|fileExtra x"},
		"index again":     {at(0, "bundle.json\x00"), "refused|duplicateEntry bundle.json"},
		"later one":       {at(0, second+strings.Repeat("\x00", len(name)-len(second))), "refused|fileMissing " + name},
		"other size":      {at(124, "00000000001"), "refused|sizeMismatch " + name},
		"other mode":      {at(100, "0000755"), "refused|archiveMalformed " + name},
		"after the name":  {at(len(name)+1, "x"), "refused|archiveMalformed " + name},
		"cut in bytes":    {func(d []byte) []byte { return d[:first+block+1] }, "refused|truncated " + name},
		"cut in padding":  {func(d []byte) []byte { return d[:next-1] }, "refused|truncated " + name},
		"padding":         {func(d []byte) []byte { d[next-1] = 1; return d }, "refused|trailingGarbage " + name},
		"again":           {func(d []byte) []byte { return slices.Concat(d[:next], d[first:]) }, "refused|duplicateEntry " + name},
		"end cut":         {func(d []byte) []byte { return d[:len(d)-1] }, "refused|truncated ."},
		"no end":          {func(d []byte) []byte { return d[:len(d)-2*block] }, "refused|truncated ."},
		"one more":        {func(d []byte) []byte { return append(d, 0) }, "refused|trailingGarbage ."},
		"member more":     {func(d []byte) []byte { return slices.Concat(d[:len(d)-2*block], d[first:]) }, "refused|endlessData ."},
		"behind the zero": {func(d []byte) []byte { d[len(d)-1] = 1; return d }, "refused|trailingGarbage ."},
		"large index":     {func(d []byte) []byte { copy(d[124:], "00400000001"); seal(d, 0); return d }, "refused|jsonTooLarge bundle.json"},
	} {
		if got := judge(e.edit(bytes.Clone(data))); got != e.want {
			t.Errorf("%s: %s, not %s", what, got, e.want)
		}
	}
}

// Each rule about the index, by itself.
func TestIndex(t *testing.T) {
	c := good()
	text := c.index()
	digits := strings.Repeat("0", 64)
	for what, e := range map[string][3]string{
		"syntax":        {"{", "[", "jsonSyntax"},
		"version":       {"bundle/1", "bundle/2", "manifestVersion"},
		"unknown":       {`"run_id": `, "\"a\": 1,\n      \"run_id\": ", "jsonUnknownField"},
		"case":          {`"run_id"`, `"Run_id"`, "jsonKeyCase"},
		"type":          {`"size": 5`, `"size": "5"`, "manifestSchema"},
		"no runs":       {text[strings.Index(text, `"runs"`):strings.Index(text, `  "schema"`)], "\"runs\": [],\n", "manifestSchema"},
		"spelling":      {`"size": 5`, `"size":  5`, "manifestNotCanonical"},
		"other folder":  {folderNodes, "notes/", "archiveEscape"},
		"twice":         {c.names()[1], c.names()[0], "duplicateEntry"},
		"out of order":  {folderRuns, "statements/", "unsorted"},
		"huge":          {`"size": 5`, `"size": 8589934592`, "oversizeLength"},
		"run not there": {`"run": "` + c.object, `"run": "` + digits, "objectMissing"},
	} {
		changed := strings.Replace(text, e[0], e[1], 1)
		if changed == text {
			t.Fatalf("%s: nothing to replace", what)
		}
		if got := judge(c.bytes(changed)); !strings.Contains(got, "|"+e[2]+" ") {
			t.Errorf("%s: %s, not %s", what, got, e[2])
		}
	}
}

// What is in the members: manifests, nodes, files, and what nothing asks for.
func TestMembers(t *testing.T) {
	abc, pass := ids.Blob([]byte("abc")).String(), ids.Blob([]byte("pass\n")).String()
	for what, e := range map[string]struct {
		edit func(c *content) string // returns what is expected
	}{
		"flipped": {func(c *content) string {
			return "refused|hashMismatch " + folderPayload + abc
		}},
		"not listed": {func(c *content) string {
			delete(c.members, folderPayload+abc)
			return "refused|fileMissing " + folderRuns + c.object + "/a.csv"
		}},
		"method file": {func(c *content) string {
			delete(c.members, folderPayload+pass)
			return "refused|objectMissing " + folderPayload + pass
		}},
		"extra file": {func(c *content) string {
			return "refused|fileExtra " + folderPayload + add(c, folderPayload, ids.Blob([]byte("x")), []byte("x"))
		}},
		"extra node": {func(c *content) string {
			return "refused|fileExtra " + folderNodes + add(c, folderNodes, ids.Tree([]byte{0x90}), []byte{0x90})
		}},
		"bad node": {func(c *content) string {
			return "refused|trailingGarbage " + folderNodes + add(c, folderNodes, ids.Tree([]byte{0x90, 0}), []byte{0x90, 0})
		}},
		"foreign manifest": {func(c *content) string {
			return "refused|fileExtra " + folderRuns + add(c, folderRuns, ids.Run([]byte("x")), []byte("x"))
		}},
		"bad manifest": {func(c *content) string {
			delete(c.members, folderRuns+c.object)
			c.object = add(c, folderRuns, ids.Run([]byte("x")), []byte("x"))
			return "refused|jsonSyntax " + folderRuns + c.object
		}},
		"other run_id": {func(c *content) string {
			c.runID = "x"
			return "refused|refMismatch " + folderRuns + c.object
		}},
	} {
		c := good()
		want := e.edit(c)
		data := c.bytes(c.index())
		if what == "flipped" {
			data = bytes.Replace(data, []byte("abc\x00\x00"), []byte("abd\x00\x00"), 1)
		}
		if got := judge(data); got != want {
			t.Errorf("%s: %s, not %s", what, got, want)
		}
	}
}

// A bundle is read as a file that is not followed, and where there is none there is no verdict.
func TestPlaces(t *testing.T) {
	c := good()
	folder := t.TempDir()
	file, link := filepath.Join(folder, "f"), filepath.Join(folder, "l")
	if os.WriteFile(file, c.bytes(c.index()), 0o644) != nil || os.Symlink(file, link) != nil {
		t.Fatal("cannot write")
	}
	keys, err := attest.ReadKeys(nil)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := Verify(file, keys); err != nil || v.Word() != "verified" || *v.RunID != c.runID || v.Files != len(c.members) {
		t.Errorf("%+v, %v", v, err)
	}
	if v, err := Verify(link, keys); err != nil || v.Findings[0].ID != findings.SymlinkEntry {
		t.Errorf("%+v, %v", v, err)
	}
	for _, none := range []string{"", folder, file + "/x", file + "x"} {
		if _, err := Verify(none, keys); err == nil {
			t.Errorf("%q is judged", none)
		}
	}
}

// No bytes make the reader fall over, and only what is spelled as a bundle must be is taken.
func FuzzRead(f *testing.F) {
	c := good()
	f.Add(c.bytes(c.index()))
	f.Add(c.bytes(c.index())[:block])
	f.Fuzz(func(t *testing.T, data []byte) {
		if got := judge(data); got == "verified" && (len(data)%block != 0 || !bytes.Contains(data, []byte(schemaName))) {
			t.Error("it is taken")
		}
	})
}

// Edits of a good bundle, its index spelled anew where that is asked for, never make the reader fall over.
func FuzzEdits(f *testing.F) {
	f.Add(uint32(600), []byte("x"), false)
	f.Add(uint32(100), []byte("\"size\": 9"), true)
	f.Fuzz(func(t *testing.T, at uint32, piece []byte, inIndex bool) {
		c := good()
		index := []byte(c.index())
		if inIndex {
			copy(index[int(at)%len(index):], piece)
		}
		data := c.bytes(string(index))
		if !inIndex {
			copy(data[int(at)%len(data):], piece)
		}
		whole := c.bytes(c.index())
		if got := judge(data); (got == "verified") != bytes.Equal(data, whole) {
			t.Errorf("%s", got)
		}
	})
}

// No text makes the reader of indexes fall over; what it takes keeps the bounds that memory depends on.
func FuzzIndex(f *testing.F) {
	f.Add(good().index())
	f.Fuzz(func(t *testing.T, text string) {
		said := 0
		x := DecodeIndex(text, func(findings.ID, string, string) { said++ })
		if (x == nil) != (said > 0) {
			t.Fatalf("%d findings, and an index: %v", said, x != nil)
		}
		if x == nil {
			return
		}
		for i := range x.Members {
			m := &x.Members[i]
			if x.member(m.Name) != m || !ids.IsHex(m.id()) || m.Size > maxMember {
				t.Errorf("%s of %d bytes is taken", m.Name, m.Size)
			}
		}
	})
}
