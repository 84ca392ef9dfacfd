package strictjson

import (
	"strconv"
	"strings"
)

// Spelled says whether a text that Check let through is in the one spelling of docs/format/manifest.md: keys in order,
// two spaces of indent, escapes only where they must be, a newline at the end.
func Spelled(text string) bool {
	w := speller{Reader: NewReader(text), rest: text, indent: "\n"}
	w.value()
	w.put("\n")
	return !w.other && w.rest == ""
}

// speller reads values and compares the text with what a writer would have written for them.
type speller struct {
	*Reader
	rest   string // what is still to be compared
	indent string
	other  bool // it is spelled otherwise
}

func (w *speller) put(piece string) {
	rest, same := strings.CutPrefix(w.rest, piece)
	w.other = w.other || !same
	if same {
		w.rest = rest
	}
}

func (w *speller) value() {
	switch w.Kind() {
	case Object:
		last, some := "", false
		w.items("{}", func(next func()) {
			w.Object(func(key string) {
				w.other = w.other || some && key <= last
				last, some = key, true
				next()
				w.put(Quote(key))
				w.put(": ")
				w.value()
			})
		})
	case Array:
		w.items("[]", func(next func()) {
			w.Array(func(int) {
				next()
				w.value()
			})
		})
	case String:
		w.put(Quote(w.Str()))
	case Int:
		w.put(strconv.FormatUint(w.Int(), 10))
	default: // a word
		w.put(w.Raw())
	}
}

func (w *speller) items(brackets string, all func(next func())) {
	w.put(brackets[:1])
	outer := w.indent
	w.indent += "  "
	some := false
	all(func() {
		if some {
			w.put(",")
		}
		some = true
		w.put(w.indent)
	})
	w.indent = outer
	if some {
		w.put(outer)
	}
	w.put(brackets[1:])
}

// Quote writes a text as a writer of this project would.
func Quote(s string) string {
	const hex = "0123456789abcdef"
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte('"')
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('\\')
		switch c {
		case '"', '\\':
			b.WriteByte(c)
		case '\b':
			b.WriteByte('b')
		case '\f':
			b.WriteByte('f')
		case '\n':
			b.WriteByte('n')
		case '\r':
			b.WriteByte('r')
		case '\t':
			b.WriteByte('t')
		default:
			b.WriteString("u00" + string([]byte{hex[c>>4], hex[c&15]}))
		}
	}
	b.WriteByte('"')
	return b.String()
}
