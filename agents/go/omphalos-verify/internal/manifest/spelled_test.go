package manifest_test

import (
	"strings"
	"testing"

	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
	"omphalos.invalid/agents/go/omphalos-verify/internal/manifest"
	"omphalos.invalid/agents/go/omphalos-verify/internal/sample"
	"omphalos.invalid/agents/go/omphalos-verify/internal/vectors"
)

// example is the whole manifest that stands in the page.
func example(t testing.TB) string {
	_, text, _ := strings.Cut(vectors.Page(t, "manifest.md"), "```json\n")
	text, _, _ = strings.Cut(text, "```")
	return text
}

// The manifest of the page is what its content is written as, so the reader lost nothing of it.
func TestExampleIsWrittenTheSame(t *testing.T) {
	text := example(t)
	m := manifest.Decode(text, func(id findings.ID, _, _ string) { t.Error(id) })
	if sample.Text(m) != text {
		t.Error("it is written otherwise")
	}
}

// No text makes the reader panic; what it takes is spelled as it is.
func FuzzManifest(f *testing.F) {
	text := example(f)
	f.Add(text)
	f.Add(strings.Replace(text, "\"release\": null", "\"release\": {\n    \"bundle_id\": \"b\",\n    \"contents\": [],\n    \"created\": \"\",\n    \"of\": \""+strings.Repeat("0", 64)+"\",\n    \"policy\": null,\n    \"signers\": [\n      \"s\"\n    ]\n  }", 1))
	f.Add(`{"schema":"omphalos.manifest/1"}`)
	f.Fuzz(func(t *testing.T, text string) {
		silent := func(findings.ID, string, string) {}
		m := manifest.Decode(text, silent)
		if m == nil {
			return
		}
		m.Check(silent)
		if sample.Text(m) != text {
			t.Error("taken, and spelled otherwise")
		}
	})
}

// No edit of a good manifest makes the reader panic; what it takes is spelled as it is.
func FuzzEdits(f *testing.F) {
	text := example(f)
	f.Add(uint(0), uint(0), "")
	for _, word := range []string{"config.json", "null", "daily", "sha256", "[\n"} {
		f.Add(uint(strings.Index(text, word)), uint(len(word)), word+"x")
	}
	f.Fuzz(func(t *testing.T, at, cut uint, put string) {
		at %= uint(len(text))
		edited := text[:at] + put + text[at+min(cut, uint(len(text))-at):]
		silent := func(findings.ID, string, string) {}
		m := manifest.Decode(edited, silent)
		if m == nil {
			return
		}
		m.Check(silent)
		if sample.Text(m) != edited {
			t.Error("taken, and spelled otherwise")
		}
	})
}
