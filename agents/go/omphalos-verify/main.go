// Command omphalos-verify checks runs of omphalOS without omphalOS: it is written from docs/format/ and shares no code
// with the program that makes runs.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"omphalos.invalid/agents/go/omphalos-verify/internal/verify"
)

const usage = `usage: omphalos-verify verify-run [--json] DIR

Verifies a run directory: recomputes everything that manifest.json claims, from the files that lie there.

  --json   print one document instead of text
  DIR      the run directory, a folder that holds manifest.json

exit codes: 0 verified, 1 refused, 2 wrong usage, 3 something could not be read, 10 no such folder
`

const (
	exitVerified   = 0
	exitRefused    = 1
	exitUsage      = 2
	exitIncomplete = 3
	exitInternal   = 5
	exitNoFolder   = 10
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
	case "verify-run":
		return verifyRun(words[1:], out, errs)
	case "check-path": // for the conformance cases, as is check-json
		return checkPath(stdin, out, errs)
	case "check-json":
		return checkJSON(words[1:], out, errs)
	}
	fmt.Fprintf(errs, "omphalos-verify: no command %q\n\n%s", words[0], usage)
	return exitUsage
}

func verifyRun(words []string, out, errs io.Writer) int {
	asJSON, literal := false, false
	var names []string
	for _, word := range words {
		switch {
		case !literal && word == "--":
			literal = true
		case !literal && word == "--json":
			asJSON = true
		case !literal && (word == "-h" || word == "--help"):
			fmt.Fprint(out, usage)
			return exitVerified
		case !literal && strings.HasPrefix(word, "-"):
			fmt.Fprintf(errs, "omphalos-verify: no option %q\n\n%s", word, usage)
			return exitUsage
		default:
			names = append(names, word)
		}
	}
	if len(names) != 1 {
		fmt.Fprintf(errs, "omphalos-verify: verify-run takes one folder\n\n%s", usage)
		return exitUsage
	}
	verdict, err := verify.Directory(names[0])
	if err != nil {
		fmt.Fprintf(errs, "omphalos-verify: %v: %s\n", err, escape(names[0]))
		return exitNoFolder
	}
	if asJSON {
		if err := printJSON(out, verdict); err != nil {
			fmt.Fprintln(errs, "omphalos-verify:", err)
			return exitInternal
		}
	} else {
		printText(out, verdict)
	}
	return map[string]int{"verified": exitVerified, "refused": exitRefused, "incomplete": exitIncomplete}[verdict.Word()]
}

// notChecked are the words of docs/findings.md for what no verification of a run directory covers.
var notChecked = []word{
	{"signatures", "No key was given, so no signature was checked."},
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
}

type document struct {
	Schema  string              `json:"schema"`
	Verdict string              `json:"verdict"`
	Checks  []checkJSONDocument `json:"checks"`
}

func printJSON(out io.Writer, v *verify.Verdict) error {
	found := make([]findingJSON, 0, len(v.Findings))
	for _, f := range v.Findings {
		found = append(found, findingJSON{string(f.ID), f.ID.Severity(), f.Path, f.Detail})
	}
	unreadable := v.Unreadable
	if unreadable == nil {
		unreadable = []string{}
	}
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(document{"omphalos.verify/1", v.Word(), []checkJSONDocument{{
		Subject: v.Subject, RunID: v.RunID, Verdict: v.Word(), Files: v.Files, Bytes: json.Number(v.Bytes.String()),
		Findings: found, Suppressed: v.Suppressed, Unreadable: unreadable, NotChecked: notChecked,
	}}})
	if err != nil {
		return err
	}
	_, err = out.Write(buffer.Bytes())
	return err
}

func printText(out io.Writer, v *verify.Verdict) {
	fmt.Fprintf(out, "%s %s: %d files, %s bytes\n", strings.ToUpper(v.Word()), escape(v.Subject), v.Files, v.Bytes)
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
	fmt.Fprintln(out, "NOT CHECKED")
	for _, w := range notChecked {
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
