package paths

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
	"omphalos.invalid/agents/go/omphalos-verify/internal/vectors"
)

func words(ids []findings.ID) string {
	var all []string
	for _, id := range ids {
		all = append(all, string(id))
	}
	return strings.Join(all, " ")
}

// Every path of the page has the findings of the page.
func TestPaths(t *testing.T) {
	for _, v := range vectors.Read(t, "paths.md", "path") {
		if got := words(Check(vectors.Text(t, v.Get("path")))); got != v.Get("findings") {
			t.Errorf("%s: %q, not %q", v.Get("path"), got, v.Get("findings"))
		}
	}
	for _, v := range vectors.Read(t, "paths.md", "path-bytes") {
		if got := words(Check(string(vectors.Bytes(t, v.Get("bytes"))))); got != v.Get("findings") {
			t.Errorf("%s: %q, not %q", v.Get("bytes"), got, v.Get("findings"))
		}
	}
}

// Every set of paths of the page has the findings of the page.
func TestSets(t *testing.T) {
	for _, v := range vectors.Read(t, "paths.md", "paths") {
		var all, got, want []string
		for _, line := range v.All("path") {
			all = append(all, vectors.Text(t, line))
		}
		CheckSet(all, func(id findings.ID, path, _ string) { got = append(got, string(id)+" "+path) })
		for _, line := range v.All("finding") {
			id, path, _ := strings.Cut(line, " ")
			want = append(want, id+" "+vectors.Text(t, path))
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(slices.Compact(got), want) {
			t.Errorf("%q: %q, not %q", all, got, want)
		}
	}
}

// Names at the edges of rules that the page's vectors do not touch.
func TestEdges(t *testing.T) {
	for name, want := range map[string]string{
		"con":                              "pathReserved",
		"COM0":                             "",
		"com1  :x":                         "pathReserved pathStream",
		"lpt\u00b3.tar.gz":                 "pathReserved",
		"con1":                             "",
		"conin$ .x":                        "pathReserved",
		"nu\u0131":                         "",
		"\\\\srv\\s":                       "pathAbsolute pathBackslash",
		"~":                                "pathAbsolute",
		"~x":                               "",
		"a/~/b":                            "",
		"//":                               "pathAbsolute pathEmptyComponent",
		"omphal~12.a":                      "pathOwnDir",
		"omphal~12.a.b":                    "",
		"omphal~":                          "",
		".omphalos:x":                      "pathStream pathOwnDir",
		".omphalos::$DATA":                 "pathStream pathOwnDir",
		".omphalos. .":                     "pathTrailing pathOwnDir",
		strings.Repeat("\u00e9", 127):      "",
		strings.Repeat("\u00e9", 128):      "pathTooLong",
		"\u1e9e":                           "",
		"\u13a0":                           "",
		"a\u0085":                          "pathControl",
		"\U000e0041":                       "pathInvisible",
		"a" + strings.Repeat("\u0301", 60): "pathNotNFC",
		"q" + strings.Repeat("\u0301", 60): "",
		"\u1100\u1161\u11a8":               "pathNotNFC",
		"\uac01":                           "",
		"\u0958":                           "pathNotNFC", // excluded from composition
		"\u2126":                           "pathNotNFC",
	} {
		if got := words(Check(name)); got != want {
			t.Errorf("%q: %q, not %q", name, got, want)
		}
	}
	if got := words(CheckComponent("a/b")); got != "pathSlash" {
		t.Errorf("a slash in a component: %q", got)
	}
	if got := words(Check(strings.Repeat("a/", 63) + "a")); got != "" {
		t.Errorf("64 components: %q", got)
	}
}

// Cherokee letters fold to their upper case, as CaseFolding.txt has it.
func TestFold(t *testing.T) {
	for _, pair := range [][2]string{
		{"\u13a0", "\uab70"}, {"\u13f0", "\u13f8"}, {"\u00df", "SS"}, {"\u1e9e", "ss"}, {"\ufb01", "FI"}, {"\u03c2", "\u03a3"},
		{"\u0130", "i\u0307"}, {"\u01c5", "\u01c6"}, {"\u212a", "k"}, {"\u1fb3", "\u03b1\u03b9"}, {"\u0345", "\u03b9"},
	} {
		if Fold(pair[0]) != Fold(pair[1]) {
			t.Errorf("%q and %q fold to %q and %q", pair[0], pair[1], Fold(pair[0]), Fold(pair[1]))
		}
	}
	if got := CaseFold("\u13a0\uab70"); got != "\u13a0\u13a0" {
		t.Errorf("Cherokee folds to %q", got)
	}
}

// Normalization agrees with x/text on every character and on random text with few marks in a row, where the two must.
func TestNFC(t *testing.T) {
	pool := []rune("aeoq\u0300\u0301\u0308\u0323\u0327\u0338\u0345\u1100\u1161\u11a7\u11a8\uac00\u0958\u093c\u0f71\u0f72\u1d15e\U0001d1bc\u2126\u00e9\u1e69\u3099\u304b")
	random := rand.New(rand.NewPCG(1, 2))
	var cases []string
	for r := rune(0x80); r <= utf8.MaxRune; r++ {
		if utf8.ValidRune(r) {
			cases = append(cases, string(r))
		}
	}
	for range 50_000 {
		text := make([]rune, 1+random.IntN(10))
		for i := range text {
			text[i] = pool[random.IntN(len(pool))]
		}
		cases = append(cases, string(text))
	}
	for _, text := range cases {
		if got, want := NFC(text), norm.NFC.String(text); got != want {
			t.Fatalf("NFC of %+q is %+q, not %+q", text, got, want)
		}
		if got, want := write(decompose(text)), norm.NFD.String(text); got != want {
			t.Fatalf("NFD of %+q is %+q, not %+q", text, got, want)
		}
	}
}

// The conformance cases about single paths hold.
func TestConformancePaths(t *testing.T) {
	for _, row := range vectors.Rows(t, "path/table.tsv") {
		if got := words(Check(vectors.Cell(t, row[0], row[1]))); got != row[2] {
			t.Errorf("%s: %q, not %q", row[1], got, row[2])
		}
	}
}

// The conformance cases about sets of paths hold.
func TestConformanceSets(t *testing.T) {
	var cases []struct {
		Paths    []string
		Findings []struct{ ID, Path string }
	}
	if err := json.Unmarshal([]byte(vectors.File(t, "conformance/path/sets.json")), &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		var got, want []string
		CheckSet(c.Paths, func(id findings.ID, path, _ string) { got = append(got, string(id)+" "+path) })
		for _, f := range c.Findings {
			want = append(want, f.ID+" "+f.Path)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(slices.Compact(got), want) {
			t.Errorf("%q: %q, not %q", c.Paths, got, want)
		}
	}
}

// No text makes a rule panic; a normal form is its own normal form, and so is a folded one.
func FuzzPaths(f *testing.F) {
	for _, v := range vectors.Read(f, "paths.md", "path") {
		f.Add(vectors.Text(f, v.Get("path")), "a.csv")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		Check(a)
		CheckComponent(a)
		CheckSet([]string{a, b, a + "/" + b}, func(findings.ID, string, string) {})
		if len(a) > 4096 || !utf8.ValidString(a) {
			return
		}
		if once := NFC(a); NFC(once) != once {
			t.Errorf("NFC(%q) is not stable", a)
		}
		if once := Fold(a); Fold(once) != once {
			t.Errorf("Fold(%q) is not stable", a)
		}
	})
}
