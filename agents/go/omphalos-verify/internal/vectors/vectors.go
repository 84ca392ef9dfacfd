// Package vectors reads the test vectors that stand in the pages of docs/format, for the tests of this module.
package vectors

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Vector is one fenced block: its lines as (word, rest), in order.
type Vector struct {
	Kind  string
	Lines [][2]string
}

// Get returns the first line of a word, and whether there is one.
func (v Vector) Get(word string) string {
	for _, line := range v.Lines {
		if line[0] == word {
			return line[1]
		}
	}
	return ""
}

// All returns the lines of a word.
func (v Vector) All(word string) (out []string) {
	for _, line := range v.Lines {
		if line[0] == word {
			out = append(out, line[1])
		}
	}
	return out
}

// Bytes reads hex.
func Bytes(t testing.TB, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Text reads a JSON string.
func Text(t testing.TB, text string) (s string) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

// root is the folder that holds agents/ and docs/.
var root = filepath.Join("..", "..", "..", "..", "..")

// File returns the text of a file of the project.
func File(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Rows returns the rows of a table of the conformance cases.
func Rows(t testing.TB, name string) (rows [][]string) {
	t.Helper()
	for line := range strings.Lines(File(t, "conformance/"+name)) {
		if line = strings.TrimSuffix(line, "\n"); line != "" && line[0] != '#' {
			rows = append(rows, strings.Split(line, "\t"))
		}
	}
	if len(rows) == 0 {
		t.Fatalf("no rows in %s", name)
	}
	return rows
}

// Cell returns the bytes that a cell stands for in a form: the inside of a JSON string, or hex.
func Cell(t testing.TB, form, cell string) string {
	t.Helper()
	if form == "hex" {
		return string(Bytes(t, cell))
	}
	return Text(t, `"`+cell+`"`)
}

// Page returns the text of a page of docs/format.
func Page(t testing.TB, name string) string {
	t.Helper()
	return File(t, "docs/format/"+name)
}

// Read returns the vectors of one kind in a page; there must be some.
func Read(t testing.TB, page, kind string) (out []Vector) {
	t.Helper()
	_, text, more := strings.Cut(Page(t, page), "```vector ")
	for more {
		var block string
		block, text, _ = strings.Cut(text, "\n```")
		head, body, _ := strings.Cut(block, "\n")
		if head == kind {
			v := Vector{Kind: head}
			for line := range strings.SplitSeq(body, "\n") {
				word, rest, _ := strings.Cut(line, ":")
				v.Lines = append(v.Lines, [2]string{word, strings.TrimSpace(rest)})
			}
			out = append(out, v)
		}
		_, text, more = strings.Cut(text, "```vector ")
	}
	if len(out) == 0 {
		t.Fatalf("no vector of kind %s in %s", kind, page)
	}
	return out
}
