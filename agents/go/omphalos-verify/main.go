// Command omphalos-verify checks runs of omphalOS without omphalOS: it is written from docs/format/ and shares no code
// with the program that makes runs.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"

	"omphalos.invalid/agents/go/omphalos-verify/internal/attest"
	"omphalos.invalid/agents/go/omphalos-verify/internal/bundle"
	"omphalos.invalid/agents/go/omphalos-verify/internal/ids"
	"omphalos.invalid/agents/go/omphalos-verify/internal/proof"
	"omphalos.invalid/agents/go/omphalos-verify/internal/report"
	"omphalos.invalid/agents/go/omphalos-verify/internal/store"
	"omphalos.invalid/agents/go/omphalos-verify/internal/verify"
)

const usage = `usage: omphalos-verify verify-run    [--json] [--key PUB]... DIR
       omphalos-verify verify-bundle [--json] [--key PUB]... FILE
       omphalos-verify verify-proof  [--json] [--root HEX] [--key PUB]... PROOF FILE
       omphalos-verify verify-store  [--json] DIR

verify-run     a run directory: everything that manifest.json claims is computed again from the files that lie there
verify-bundle  a bundle of runs in one file, in one pass, without unpacking it
verify-proof   whether FILE is an artifact of the run with this Merkle root
verify-store   a whole store, from its files, without its index

  --json      print one document instead of text
  --key PUB   the holder of this Ed25519 key must have vouched; up to 16 times
  --root HEX  the Merkle root of the run, from somebody you trust

exit codes: 0 verified, 1 refused, 2 wrong usage, 3 something could not be read or nothing bears out the root of a
proof, 10 there is nothing to verify, 12 a key cannot be read
`

const (
	exitVerified   = 0
	exitRefused    = 1
	exitUsage      = 2
	exitIncomplete = 3
	exitInternal   = 5
	exitNothing    = 10
	exitNoKey      = 12
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	code := run(os.Args[1:], os.Stdin, out, os.Stderr)
	if err := out.Flush(); err != nil {
		fmt.Fprintln(os.Stderr, "omphalos-verify: cannot write the result:", err)
		code = exitInternal
	}
	os.Exit(code)
}

func run(words []string, stdin io.Reader, out io.Writer, errs io.Writer) int {
	if len(words) == 0 {
		fmt.Fprint(errs, usage)
		return exitUsage
	}
	switch words[0] {
	case "-h", "--help", "help":
		fmt.Fprint(out, usage)
		return exitVerified
	case "verify-run", "verify-bundle", "verify-proof", "verify-store":
		return judge(words[0], words[1:], out, errs)
	case "check-path": // for the conformance cases, as is check-json
		return checkPath(stdin, out, errs)
	case "check-json":
		return checkJSON(words[1:], out, errs)
	}
	fmt.Fprintf(errs, "omphalos-verify: no command %q\n\n%s", words[0], usage)
	return exitUsage
}

// verb is what a command takes: names, and which options beside --json.
type verb struct {
	names     int
	key, root bool
	run       func(names []string, root string, keys *attest.Keys) (*report.Verdict, error)
}

var verbs = map[string]verb{
	"verify-run": {1, true, false, func(names []string, _ string, keys *attest.Keys) (*report.Verdict, error) {
		return verify.Directory(names[0], keys)
	}},
	"verify-bundle": {1, true, false, func(names []string, _ string, keys *attest.Keys) (*report.Verdict, error) {
		return bundle.Verify(names[0], keys)
	}},
	"verify-proof": {2, true, true, func(names []string, root string, keys *attest.Keys) (*report.Verdict, error) {
		return proof.Verify(names[0], names[1], root, keys)
	}},
	"verify-store": {1, false, false, func(names []string, _ string, _ *attest.Keys) (*report.Verdict, error) {
		return store.Verify(names[0])
	}},
}

// command is a command line that was understood.
type command struct {
	json, help  bool
	keys, names []string
	root        string
}

// parse reads the words behind the name of a command.
func (v verb) parse(words []string) (c command, err error) {
	literal := false
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		value := func() (text string) {
			if len(words) == 0 {
				err = fmt.Errorf("%s takes a value", word)
				return ""
			}
			text, words = words[0], words[1:]
			return text
		}
		switch {
		case literal || !strings.HasPrefix(word, "-"):
			c.names = append(c.names, word)
		case word == "--":
			literal = true
		case word == "--json":
			c.json = true
		case word == "-h" || word == "--help":
			return command{help: true}, nil
		case word == "--key" && v.key:
			c.keys = append(c.keys, value())
		case word == "--root" && v.root:
			if c.root != "" {
				return c, errors.New("--root is given twice")
			}
			if c.root = value(); err == nil && !ids.IsHex(c.root) {
				return c, errors.New("--root takes 64 lower-case hex digits")
			}
		default:
			return c, fmt.Errorf("no option %q", word)
		}
		if err != nil {
			return c, err
		}
	}
	switch {
	case len(c.names) != v.names:
		return c, fmt.Errorf("%d names are expected, and %d are given", v.names, len(c.names))
	case len(c.keys) > attest.MaxKeys:
		return c, fmt.Errorf("--key is given more than %d times", attest.MaxKeys)
	}
	return c, nil
}

func judge(name string, words []string, out, errs io.Writer) int {
	v := verbs[name]
	c, err := v.parse(words)
	if err != nil {
		fmt.Fprintf(errs, "omphalos-verify: %s: %v\n\n%s", name, err, usage)
		return exitUsage
	}
	if c.help {
		fmt.Fprint(out, usage)
		return exitVerified
	}
	keys, err := attest.ReadKeys(c.keys)
	if err != nil {
		fmt.Fprintf(errs, "omphalos-verify: a key cannot be used: %s\n", escape(err.Error()))
		return exitNoKey
	}
	verdict, err := v.run(c.names, c.root, keys)
	if err != nil {
		fmt.Fprintf(errs, "omphalos-verify: %v: %s\n", err, escape(strings.Join(c.names, " ")))
		return exitNothing
	}
	if c.json {
		if err := printJSON(out, verdict); err != nil {
			fmt.Fprintln(errs, "omphalos-verify:", err)
			return exitInternal
		}
	} else {
		printText(out, verdict)
	}
	return map[string]int{"verified": exitVerified, "refused": exitRefused, "incomplete": exitIncomplete}[verdict.Word()]
}

// notChecked are the words of docs/findings.md for what no verification covers.
func notChecked(v *report.Verdict) []word {
	words := slices.Clone(uncovered)
	if len(v.Keys) == 0 {
		words = slices.Insert(words, 0, word{"signatures", "No key was given, so no signature was checked."})
	}
	if v.NoRoot {
		reason := "No root was given and no key, so whether the root is that of a real run was not checked."
		words = slices.Insert(words, 0, word{"root", reason})
	}
	return words
}

var uncovered = []word{
	{"ledger", "No ledger was given, so whether this run was made public at its time was not checked."},
	{"recomputation", "The results were not computed again; `omphalos certify` does that."},
	{"meaning", "Whether the data is true and the matches are right is not for this check to say."},
	{"inputsAuthenticity", "Whether the inputs are what their publishers issued was not checked."},
	{"policy", "No policy was evaluated again; recorded policy results were checked as bytes only."},
	{"fingerprints", "Tables were checked as bytes; fingerprints need deep mode."},
}

type word struct {
	Word   string `json:"word"`
	Reason string `json:"reason"`
}

type findingJSON struct {
	ID       string `json:"id"`
	Severity string `json:"severity"`
	Path     string `json:"path"`
	Detail   string `json:"detail"`
}

type checkJSONDocument struct {
	Subject    string        `json:"subject"`
	RunID      *string       `json:"run_id"`
	Verdict    string        `json:"verdict"`
	Files      int           `json:"files"`
	Bytes      json.Number   `json:"bytes"`
	Findings   []findingJSON `json:"findings"`
	Suppressed int           `json:"suppressed"`
	Unreadable []string      `json:"unreadable"`
	NotChecked []word        `json:"not_checked"`
	Keys       []string      `json:"keys"`
	SignedBy   []string      `json:"signed_by"`
}

type document struct {
	Schema  string              `json:"schema"`
	Verdict string              `json:"verdict"`
	Checks  []checkJSONDocument `json:"checks"`
}

func printJSON(out io.Writer, v *report.Verdict) error {
	found := make([]findingJSON, 0, len(v.Findings))
	for _, f := range v.Findings {
		found = append(found, findingJSON{string(f.ID), f.ID.Severity(), f.Path, f.Detail})
	}
	list := func(all []string) []string { return append([]string{}, all...) } // never null
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(document{"omphalos.verify/1", v.Word(), []checkJSONDocument{{
		Subject: v.Subject, RunID: v.RunID, Verdict: v.Word(), Files: v.Files, Bytes: json.Number(v.Bytes.String()),
		Findings: found, Suppressed: v.Suppressed, Unreadable: list(v.Unreadable), NotChecked: notChecked(v),
		Keys: list(v.Keys), SignedBy: list(v.SignedBy),
	}}})
	if err != nil {
		return err
	}
	_, err = out.Write(buffer.Bytes())
	return err
}

func printText(out io.Writer, v *report.Verdict) {
	what := v.Subject
	if v.RunID != nil {
		what = *v.RunID
	}
	fmt.Fprintf(out, "%s %s: %d files, %s bytes\n", strings.ToUpper(v.Word()), escape(what), v.Files, v.Bytes)
	for _, f := range v.Findings {
		fmt.Fprintf(out, "  %s %s %s", f.ID.Severity(), f.ID, escape(f.Path))
		if f.Detail != "" {
			fmt.Fprintf(out, ": %s", escape(f.Detail))
		}
		fmt.Fprintln(out)
	}
	if v.Suppressed > 0 {
		fmt.Fprintf(out, "  and %d findings more\n", v.Suppressed)
	}
	for _, path := range v.Unreadable {
		fmt.Fprintf(out, "  could not be read: %s\n", escape(path))
	}
	for _, id := range v.SignedBy {
		fmt.Fprintf(out, "  signed by %s\n", id)
	}
	fmt.Fprintln(out, "NOT CHECKED")
	for _, w := range notChecked(v) {
		fmt.Fprintf(out, "  %s: %s\n", w.Word, w.Reason)
	}
}

// escape makes foreign text safe for a terminal: what is not printable, and what reorders text, is written as an escape.
func escape(text string) string {
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == unicode.ReplacementChar && !strings.HasPrefix(text[i:], string(unicode.ReplacementChar)):
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}
