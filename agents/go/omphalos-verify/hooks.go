package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
	"omphalos.invalid/agents/go/omphalos-verify/internal/manifest"
	"omphalos.invalid/agents/go/omphalos-verify/internal/paths"
	"omphalos.invalid/agents/go/omphalos-verify/internal/strictjson"
)

// checkPath reads rows as of conformance/path/table.tsv and prints for each the findings about the path, separated by
// spaces. A row is a form, a tab and the path; what follows another tab is passed over. The form json means the inside of
// a JSON string, hex means bytes.
func checkPath(in io.Reader, out, errs io.Writer) int {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		form, rest, _ := strings.Cut(line, "\t")
		cell, _, _ := strings.Cut(rest, "\t")
		var name string
		var err error
		switch form {
		case "json":
			err = json.Unmarshal([]byte(`"`+cell+`"`), &name)
		case "hex":
			var raw []byte
			raw, err = hex.DecodeString(cell)
			name = string(raw)
		default:
			err = fmt.Errorf("no form %q", form)
		}
		if err != nil {
			fmt.Fprintf(errs, "omphalos-verify: %v\n", err)
			return exitUsage
		}
		for i, id := range paths.Check(name) {
			if i > 0 {
				fmt.Fprint(out, " ")
			}
			fmt.Fprint(out, id)
		}
		fmt.Fprintln(out)
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintf(errs, "omphalos-verify: %v\n", err)
		return exitInternal
	}
	return exitVerified
}

// checkJSON prints what strict JSON says of a file: a finding, or "ok".
func checkJSON(words []string, out, errs io.Writer) int {
	if len(words) != 1 {
		fmt.Fprintln(errs, "usage: omphalos-verify check-json FILE")
		return exitUsage
	}
	file, err := os.Open(words[0])
	if err != nil {
		fmt.Fprintf(errs, "omphalos-verify: %v\n", err)
		return exitNothing
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, manifest.MaxBytes+1))
	if err != nil {
		fmt.Fprintf(errs, "omphalos-verify: %v\n", err)
		return exitIncomplete
	}
	if len(data) > manifest.MaxBytes {
		fmt.Fprintln(out, findings.JSONTooLarge)
		return exitRefused
	}
	if fault := strictjson.Check(string(data)); fault != nil {
		fmt.Fprintln(out, fault.ID)
		return exitRefused
	}
	fmt.Fprintln(out, "ok")
	return exitVerified
}
