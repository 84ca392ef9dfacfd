package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"testing"

	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
	"omphalos.invalid/agents/go/omphalos-verify/internal/ids"
	"omphalos.invalid/agents/go/omphalos-verify/internal/vectors"
)

// example is the whole manifest that stands in the page.
func example(t testing.TB) string {
	_, text, _ := strings.Cut(vectors.Page(t, "manifest.md"), "```json\n")
	text, _, _ = strings.Cut(text, "```")
	return text
}

// judge decodes and checks a text and returns the pairs found, in order.
func judge(text string) []string {
	var found findings.List
	if m := Decode(text, found.Add); m != nil {
		m.Check(found.Add)
	}
	list, _ := found.Close()
	var out []string
	for _, f := range list {
		out = append(out, string(f.ID)+" "+f.Path)
	}
	return out
}

// The manifest of the page has nothing against it, and its ids are those of the page.
func TestExample(t *testing.T) {
	text := example(t)
	if got := judge(text); got != nil {
		t.Fatalf("%q", got)
	}
	v := vectors.Read(t, "manifest.md", "manifest")[0]
	m := Decode(text, func(id findings.ID, _, _ string) { t.Error(id) })
	sum := sha256.Sum256([]byte(text))
	for word, got := range map[string]string{
		"length": strconv.Itoa(len(text)), "sha256": hex.EncodeToString(sum[:]), "id": ids.Run([]byte(text)).String(),
		"plan": hex.EncodeToString(m.PlanBytes()), "plan_id": m.PlanID(), "run_id": m.RunID,
	} {
		if got != v.Get(word) {
			t.Errorf("%s is %s, not %s", word, got, v.Get(word))
		}
	}
}

// Each edit of the manifest of the page is found, with everything that follows from it.
func TestEdits(t *testing.T) {
	release := "\"release\": {\n    \"bundle_id\": \"b\",\n    \"contents\": [],\n    \"created\": \"2026-01-01T00:00:00Z\",\n    \"of\": \"" +
		strings.Repeat("0", 64) + "\",\n    \"policy\": null,\n    \"signers\": [\n      \"s\"\n    ]\n  }"
	const shipment = "inputs/feed/shipments.csv"
	const digest = "\"a7c4d54776fcb179f048728766a52d75dc450cc2a5072b7e2c238aa9b2cff3b6\",\n      \"media_type\""
	for _, c := range []struct{ from, to, want string }{
		{"omphalos.manifest/1", "omphalos.manifest/2", "manifestVersion manifest.json"},
		{`"omphalos.manifest/1"`, `1`, "manifestSchema manifest.json"},
		{"\"schema\"", "\"schema \"", "jsonUnknownField manifest.json"},
		{"\"schema\"", "\"\u017fchema\"", "jsonKeyCase manifest.json"},
		{"\"sha256\"", "\"SHA256\"", "jsonKeyCase manifest.json"},
		{"\"fingerprint\"", "\"\ufb01ngerprint\"", "jsonKeyCase manifest.json"},
		{"\"size\": 3\n", "\"Size\": 3, \"x\": 1\n", "jsonKeyCase manifest.json|jsonUnknownField manifest.json"},
		{"\"duckdb\"", "\"Size\"", ""},
		{"  \"tool\": {\n    \"name\": \"omphalos\",\n    \"version\": \"0.1.0\"\n  },\n", "", "manifestSchema manifest.json"},
		{"\"size\": 3\n", "\"size\": true\n", "manifestSchema manifest.json"},
		{"\"size\": 3\n", "\"size\": \"3\"\n", "manifestSchema manifest.json"},
		{"\"size\": 3\n", "\"size\": 3.0\n", "jsonNumber manifest.json"},
		{"\"size\": 3\n", "\"size\": 3 \n", "manifestNotCanonical manifest.json"},
		{"\"size\": 3\n", "\"size\": 3,\n\"size\": 3\n", "jsonDuplicateKey manifest.json"},
		{"\"rows\": 1", "\"rows\": null", "manifestNotCanonical manifest.json"},
		{"\"name\": \"daily\"", "\"name\": \"d\\u0061ily\"", "manifestNotCanonical manifest.json"},
		{"      \"rows\": 1,\n", "", "manifestSchema tables/matches.csv"},
		{"\"k\"\n", "\"k\",\n        \"k\"\n", "manifestSchema tables/matches.csv"},
		{"\"rows\": 1", "\"rows\": 2", ""},
		{"application/jsonl", "application/x; charset=utf-8", ""},
		{"application/jsonl", "application/x; \u00e9", "manifestSchema manifest.json"},
		{"\"log\"", "\"Log\"", "manifestSchema manifest.json"},
		{"\"duckdb\": \"1.5.5\",\n      \"sqlite\": \"3.45.1\"", "\"sqlite\": \"3.45.1\",\n      \"duckdb\": \"1.5.5\"", "manifestNotCanonical manifest.json"},
		{"{\n      \"duckdb\": \"1.5.5\",\n      \"sqlite\": \"3.45.1\"\n    }", "{}", ""},
		{"\"duckdb\"", "\"\"", "manifestSchema manifest.json"},
		{"\"release\": null", release, ""},
		{"\"release\": null", strings.Replace(release, "\"s\"", "\"s\\u0041\"", 1), "manifestNotCanonical manifest.json"},
		{"\"release\": null", strings.Replace(release, "\"s\"", "\"\"", 1), "manifestSchema manifest.json"},
		{"\"release\": null", strings.Replace(release, "2026", "2O26", 1), "createdInvalid manifest.json"},
		{"\"3.11.7\"", "\"\"", "manifestSchema manifest.json"},
		{"\"3.11.7\"", "\"" + strings.Repeat("\u00e9", 1024) + "\"", ""},
		{"\"3.11.7\"", "\"" + strings.Repeat("\u00e9", 1025) + "\"", "manifestSchema manifest.json"},
		{"2026-11-22T10:00:00Z", "2026-02-29T10:00:00Z", "createdInvalid manifest.json"},
		{"2026-11-22T10:00:00Z", "2024-02-29T23:59:59.000000Z", ""},
		{"2026-11-22T10:00:00Z", "2026-11-22T10:00:60Z", "createdInvalid manifest.json"},
		{"2026-11-22T10:00:00Z", "2026-11-22T10:00:00.00000Z", "createdInvalid manifest.json"},
		{"2026-11-22T10:00:00Z", "0000-11-22T10:00:00Z", "createdInvalid manifest.json"},
		{"2026-11-22T10:00:00Z", "", "createdInvalid manifest.json"},
		{"\"run_id\": \"daily-488219ea26c9\"", "\"run_id\": \"daily-488219ea26c0\"", "runIdMismatch manifest.json"},
		{"\"name\": \"daily\"", "\"name\": \"-daily\"", "nameInvalid manifest.json"},
		{"\"name\": \"daily\"", "\"name\": \"dailx\"", "planMismatch manifest.json|runIdMismatch manifest.json"},
		{"2222", "3222", "planMismatch manifest.json"},
		{"e8342b", "e8342c", "merkleMismatch manifest.json"},
		{"852ea1", "852ea2", "treeMismatch manifest.json"},
		{"\"validation\": \"reports/validation.json\"", "\"validation\": \"reports/x\"", "reportMissing reports/x"},
		{"\"source\": \"shipments.csv\"", "\"source\": \"a/b\"", "inputSource " + shipment + "|planMismatch manifest.json"},
		{"\"source\": \"shipments.csv\"", "\"source\": \"a\\\\b\"", "inputSource " + shipment + "|planMismatch manifest.json"},
		{"\"records\": 1", "\"records\": 9", ""},
		{"      \"path\": \"inputs/feed/shipments.csv\",\n        \"records\"", "      \"path\": \"..\",\n        \"records\"", "inputMismatch .."},
		{"\"path\": \"control/log.jsonl\"", "\"path\": \"config.json\"", "duplicateEntry config.json"},
		{"\"path\": \"control/log.jsonl\"", "\"path\": \"CONFIG.json\"", "pathCaseCollision config.json"},
		{"\"path\": \"control/log.jsonl\"", "\"path\": \"Manifest.json\"", "pathOwnDir Manifest.json"},
		{"\"path\": \"control/log.jsonl\"", "\"path\": \"/control/log.jsonl\"", "pathAbsolute /control/log.jsonl"},
		{"\"path\": \"control/log.jsonl\"", "\"path\": \"config.json/x\"", "pathFileDir config.json"},
		{"\"path\": \"tables/matches.csv\"", "\"path\": \"tables/../x\"", "merkleMismatch manifest.json|pathDotdot tables/../x|treeMismatch manifest.json"},
		{"\"path\": \"tables/matches.csv\"", "\"path\": \"attestations/x\"", "merkleMismatch manifest.json|pathOwnDir attestations/x|treeMismatch manifest.json|unsorted manifest.json"},
		{"\"size\": 0", "\"size\": 9007199254740991", ""},
		{"\"size\": 3\n    },\n    {\n      \"blake3\": \"c4", "\"size\": 9007199254740991\n    },\n    {\n      \"blake3\": \"c4",
			"hashDisagree reports/validation.json|merkleMismatch manifest.json|treeTooLarge manifest.json"},
		{"\"config\": \"a7", "\"config\": \"b7", "configMissing manifest.json|planMismatch manifest.json"},
		{digest, strings.Replace(digest, "a7", "b7", 1), "merkleMismatch manifest.json|treeMismatch manifest.json"},
	} {
		text := example(t)
		if !strings.Contains(text, c.from) {
			t.Errorf("the page holds no %s", c.from)
		}
		got := strings.Join(judge(strings.Replace(text, c.from, c.to, 1)), "|")
		if got != c.want {
			t.Errorf("%.50q for %.50q:\n got %s\nwant %s", c.to, c.from, got, c.want)
		}
	}
}

// Only an object is a manifest, and what is left out of it or stands in for it is told apart.
func TestShapes(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "jsonSyntax manifest.json",
		"[]\n":                              "manifestSchema manifest.json",
		"{}\n":                              "manifestSchema manifest.json",
		"null":                              "manifestSchema manifest.json",
		`{"schema":"x","Schema":1}`:         "manifestVersion manifest.json",
		`{"artifacts":[{"x":1}],"plan":7}`:  "jsonUnknownField manifest.json",
		`{"artifacts":{"x":1},"plan":[{}]}`: "manifestSchema manifest.json",
		`{"release":{"OF":1}}`:              "jsonKeyCase manifest.json",
	} {
		if got := judge(text); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q, not %s", text, got, want)
		}
	}
}

// The conformance cases about JSON texts, read as manifests, hold.
func TestConformance(t *testing.T) {
	for _, row := range vectors.Rows(t, "json/table.tsv") {
		want := row[2]
		if want == "ok" {
			want = row[3]
		}
		if got := judge(vectors.Cell(t, row[0], row[1])); !slices.Equal(got, []string{want + " manifest.json"}) {
			t.Errorf("%.80s: %q, not %s", row[1], got, want)
		}
	}
}
