package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
	"omphalos.invalid/agents/go/omphalos-verify/internal/manifest"
	"omphalos.invalid/agents/go/omphalos-verify/internal/paths"
	"omphalos.invalid/agents/go/omphalos-verify/internal/strictjson"
)

// checkPath reads one name a line and prints for each the findings about it, or "-". In a line \n \t \r \\ \0 and \xhh
// stand for bytes, \uhhhh and \Uhhhhhhhh for characters.
func checkPath(in io.Reader, out, errs io.Writer) int {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, err := unescape(lines.Text())
		if err != nil {
			fmt.Fprintf(errs, "omphalos-verify: %v\n", err)
			return exitUsage
		}
		ids := paths.Check(name)
		if len(ids) == 0 {
			fmt.Fprintln(out, "-")
			continue
		}
		words := make([]string, len(ids))
		for i, id := range ids {
			words[i] = string(id)
		}
		fmt.Fprintln(out, strings.Join(words, " "))
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintf(errs, "omphalos-verify: %v\n", err)
		return exitInternal
	}
	return exitVerified
}

func unescape(line string) (string, error) {
	var b strings.Builder
	for {
		at := strings.IndexByte(line, '\\')
		if at < 0 {
			b.WriteString(line)
			return b.String(), nil
		}
		b.WriteString(line[:at])
		line = line[at+1:]
		if line == "" {
			return "", fmt.Errorf("a backslash at the end of a line")
		}
		letter := line[0]
		line = line[1:]
		width := map[byte]int{'x': 2, 'u': 4, 'U': 8}[letter]
		if plain, ok := map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', '0': 0, '\\': '\\'}[letter]; ok {
			b.WriteByte(plain)
			continue
		}
		if width == 0 || len(line) < width {
			return "", fmt.Errorf("an escape that is not known: \\%c", letter)
		}
		n, err := strconv.ParseUint(line[:width], 16, 32)
		if err != nil {
			return "", fmt.Errorf("an escape that is not known: \\%c%s", letter, line[:width])
		}
		line = line[width:]
		if letter == 'x' {
			b.WriteByte(byte(n))
		} else {
			b.WriteRune(rune(n))
		}
	}
}

// checkJSON prints what strict JSON says of a file: a finding, or "-".
func checkJSON(words []string, out, errs io.Writer) int {
	if len(words) != 1 {
		fmt.Fprintln(errs, "usage: omphalos-verify check-json FILE")
		return exitUsage
	}
	file, err := os.Open(words[0])
	if err != nil {
		fmt.Fprintf(errs, "omphalos-verify: %v\n", err)
		return exitNoFolder
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
	fmt.Fprintln(out, "-")
	return exitVerified
}
