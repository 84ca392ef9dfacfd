package paths

import (
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Normalization is written here over the character data of x/text, because x/text's own functions implement the
// stream-safe text format: they put U+034F between more than 30 marks, which the Unicode normalization forms do not.

const (
	hangulBase, hangulEnd      = 0xac00, 0xd7a4
	leadBase, leadCount        = 0x1100, 19
	vowelBase, vowelCount      = 0x1161, 21
	trailBase, trailCount      = 0x11a7, 28
	syllablesPerLead      rune = vowelCount * trailCount
)

type char struct {
	r   rune
	ccc uint8
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// decompose returns the full canonical decomposition of s, marks in canonical order.
func decompose(s string) []char {
	out := make([]char, 0, len(s))
	var buf [utf8.UTFMax]byte
	for _, r := range s {
		if r < utf8.RuneSelf {
			out = append(out, char{r, 0})
			continue
		}
		if r >= hangulBase && r < hangulEnd {
			at := r - hangulBase
			out = append(out, char{leadBase + at/syllablesPerLead, 0}, char{vowelBase + at%syllablesPerLead/trailCount, 0})
			if trail := at % trailCount; trail != 0 {
				out = append(out, char{trailBase + trail, 0})
			}
			continue
		}
		properties := norm.NFD.Properties(utf8.AppendRune(buf[:0], r))
		parts := properties.Decomposition()
		if len(parts) == 0 {
			out = append(out, char{r, properties.CCC()})
			continue
		}
		for len(parts) > 0 {
			part, size := utf8.DecodeRune(parts)
			out = append(out, char{part, norm.NFD.Properties(parts[:size]).CCC()})
			parts = parts[size:]
		}
	}
	for start := 0; start < len(out); start++ {
		end := start
		for end < len(out) && out[end].ccc != 0 {
			end++
		}
		if end-start > 1 {
			slices.SortStableFunc(out[start:end], func(a, b char) int { return int(a.ccc) - int(b.ccc) })
		}
		if end > start {
			start = end
		}
	}
	return out
}

// pair returns the primary composite of two characters, or false.
func pair(a, b rune) (rune, bool) {
	switch {
	case a >= leadBase && a < leadBase+leadCount && b >= vowelBase && b < vowelBase+vowelCount:
		return hangulBase + (a-leadBase)*syllablesPerLead + (b-vowelBase)*trailCount, true
	case a >= hangulBase && a < hangulEnd && (a-hangulBase)%trailCount == 0 && b > trailBase && b < trailBase+trailCount:
		return a + b - trailBase, true
	}
	var buf [4 * utf8.UTFMax]byte
	text := utf8.AppendRune(utf8.AppendRune(buf[:0], a), b)
	both := norm.NFC.Append(nil, text...)
	r, size := utf8.DecodeRune(both)
	return r, size == len(both)
}

func compose(in []char) []char {
	out := in[:0]
	starter := -1
	for _, c := range in {
		if starter >= 0 {
			last := out[len(out)-1]
			blocked := len(out)-1 > starter && last.ccc >= c.ccc // also when what stands between is a starter
			if !blocked {
				if r, ok := pair(out[starter].r, c.r); ok {
					out[starter].r = r
					continue
				}
			}
		}
		if c.ccc == 0 {
			starter = len(out)
		}
		out = append(out, c)
	}
	return out
}

func write(chars []char) string {
	var b strings.Builder
	b.Grow(2 * len(chars))
	for _, c := range chars {
		b.WriteRune(c.r)
	}
	return b.String()
}

// NFC returns s in normalization form C.
func NFC(s string) string {
	if isASCII(s) {
		return s
	}
	return write(compose(decompose(s)))
}

// CaseFold returns the full case folding of s (CaseFolding.txt, statuses C and F).
func CaseFold(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	fold := cases.Fold()
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		switch {
		case r < utf8.RuneSelf:
			if r >= 'A' && r <= 'Z' {
				r += 'a' - 'A'
			}
			b.WriteRune(r)
		case r >= 0x13a0 && r <= 0x13f5: // x/text folds these Cherokee letters, CaseFolding.txt does not
			b.WriteRune(r)
		default:
			b.WriteString(fold.String(string(r)))
		}
	}
	return b.String()
}

// Fold returns the form in which two names are equal when some file system cannot keep them apart: canonical caseless
// matching, The Unicode Standard, section 3.13, D145.
func Fold(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	return write(decompose(CaseFold(write(decompose(s)))))
}
