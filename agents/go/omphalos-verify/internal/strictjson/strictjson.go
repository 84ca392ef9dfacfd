// Package strictjson reads the JSON of docs/format/manifest.md: UTF-8 without byte order mark and carriage return, no
// key twice, plain integers from 0 to 2^53-1, no lone surrogate, nesting up to 64, one value and nothing behind it.
//
// Check says why a text is refused. A Reader walks a text that Check let through. Neither builds a tree of values, so
// memory is bounded by the keys of the objects that are open at one time.
package strictjson

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
)

const (
	// MaxInt is the largest number.
	MaxInt = 1<<53 - 1
	// MaxDepth is how many arrays and objects may stand inside each other.
	MaxDepth = 64
	// fewKeys is up to how many keys of one object are compared one by one; beyond, they are sorted.
	fewKeys = 32
)

// Fault says which rule a text breaks, and at which byte.
type Fault struct {
	ID     findings.ID
	Detail string
	Offset int
}

// Check returns the first fault of a text, or nil. The length is for the caller to limit.
func Check(text string) *Fault {
	if strings.HasPrefix(text, "\xef\xbb\xbf") {
		return &Fault{findings.JSONEncoding, "the JSON starts with a byte order mark", 0}
	}
	if !utf8.ValidString(text) {
		return &Fault{findings.JSONEncoding, "the JSON is not valid UTF-8", 0}
	}
	if at := strings.IndexByte(text, '\r'); at >= 0 {
		return &Fault{findings.JSONEncoding, "the JSON holds a carriage return", at}
	}
	s := scanner{text: text}
	fault := s.value()
	// Keys of large objects are compared late. One that stood twice before another fault is the first fault.
	for i := range s.depth {
		if s.open[i].isObject && s.open[i].repeats() {
			return &Fault{findings.JSONDuplicateKey, "an object has the same key twice", s.pos}
		}
	}
	if fault != nil {
		return fault
	}
	s.space()
	if s.pos < len(text) {
		return s.fault(findings.JSONEncoding, "there is text after the value")
	}
	return nil
}

// frame is an array or object that is open.
type frame struct {
	isObject bool
	keys     []string
}

func (f *frame) repeats() bool {
	if len(f.keys) <= fewKeys {
		return false // compared when they came
	}
	slices.Sort(f.keys)
	for i := 1; i < len(f.keys); i++ {
		if f.keys[i] == f.keys[i-1] {
			return true
		}
	}
	return false
}

type scanner struct {
	text  string
	pos   int
	depth int
	open  [MaxDepth]frame
}

func (s *scanner) fault(id findings.ID, detail string) *Fault { return &Fault{id, detail, s.pos} }

func (s *scanner) space() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\n':
			s.pos++
		default:
			return
		}
	}
}

func (s *scanner) peek() byte {
	if s.pos < len(s.text) {
		return s.text[s.pos]
	}
	return 0 // not a character of JSON
}

// value reads the first value of the text, without recursion.
func (s *scanner) value() *Fault {
	for {
		s.space()
		rest := s.text[s.pos:]
		switch c := s.peek(); {
		case c == '"':
			if _, fault := s.str(false); fault != nil {
				return fault
			}
		case c >= '0' && c <= '9', c == '-' && len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9':
			if fault := s.number(); fault != nil {
				return fault
			}
		case strings.HasPrefix(rest, "NaN"), strings.HasPrefix(rest, "Infinity"), strings.HasPrefix(rest, "-Infinity"):
			return s.fault(findings.JSONNumber, "a number is not a plain integer")
		case strings.HasPrefix(rest, "true"), strings.HasPrefix(rest, "null"):
			s.pos += 4
		case strings.HasPrefix(rest, "false"):
			s.pos += 5
		case c == '[' || c == '{':
			if s.depth == MaxDepth {
				return s.fault(findings.JSONEncoding, "the JSON is nested deeper than 64")
			}
			s.pos++
			s.space()
			if s.peek() == c+2 { // "]" and "}" stand two after their twins in ASCII
				s.pos++
				break
			}
			s.open[s.depth] = frame{isObject: c == '{', keys: s.open[s.depth].keys[:0]}
			s.depth++
			if c == '{' {
				if fault := s.key(); fault != nil {
					return fault
				}
			}
			continue
		default:
			return s.fault(findings.JSONSyntax, "a value is expected here")
		}
		// A value is complete: close every container that ends here.
		for {
			if s.depth == 0 {
				return nil
			}
			top := &s.open[s.depth-1]
			s.space()
			c := s.peek()
			if c == ',' {
				s.pos++
				if top.isObject {
					if fault := s.key(); fault != nil {
						return fault
					}
				}
				break
			}
			if top.isObject && c != '}' || !top.isObject && c != ']' {
				return s.fault(findings.JSONSyntax, "a comma or closing bracket is expected here")
			}
			if top.isObject && top.repeats() {
				return s.fault(findings.JSONDuplicateKey, "an object has the same key twice")
			}
			s.pos++
			s.depth--
		}
	}
}

func (s *scanner) key() *Fault {
	s.space()
	if s.peek() != '"' {
		return s.fault(findings.JSONSyntax, "a key is expected here")
	}
	key, fault := s.str(true)
	if fault != nil {
		return fault
	}
	top := &s.open[s.depth-1]
	if len(top.keys) < fewKeys && slices.Contains(top.keys, key) {
		return s.fault(findings.JSONDuplicateKey, "an object has the same key twice")
	}
	top.keys = append(top.keys, key)
	s.space()
	if s.peek() != ':' {
		return s.fault(findings.JSONSyntax, "a colon is expected here")
	}
	s.pos++
	return nil
}

// number reads the longest text of a number's characters.
func (s *scanner) number() *Fault {
	start := s.pos
	for s.pos++; s.pos < len(s.text); s.pos++ {
		if c := s.text[s.pos]; (c < '0' || c > '9') && c != '.' && c != 'e' && c != 'E' && c != '+' && c != '-' {
			break
		}
	}
	raw := s.text[start:s.pos]
	plain := len(raw) <= 16 && (raw[0] != '0' || raw == "0")
	for i := range len(raw) {
		plain = plain && raw[i] >= '0' && raw[i] <= '9'
	}
	if plain {
		n, err := strconv.ParseUint(raw, 10, 64)
		plain = err == nil && n <= MaxInt
	}
	if !plain {
		s.pos = start
		return s.fault(findings.JSONNumber, "a number is not a plain integer from 0 to 2^53-1")
	}
	return nil
}

// str reads a string and, where wanted, returns what it says. The form of the whole string is judged before its
// surrogates.
func (s *scanner) str(wanted bool) (string, *Fault) {
	start := s.pos
	escaped := false
	for s.pos++; ; s.pos++ {
		if s.pos >= len(s.text) {
			s.pos = start
			return "", s.fault(findings.JSONSyntax, "a string does not end")
		}
		c := s.text[s.pos]
		if c == '"' {
			break
		}
		if c < 0x20 {
			return "", s.fault(findings.JSONSyntax, "a string holds a control character")
		}
		if c != '\\' {
			continue
		}
		escaped = true
		s.pos++
		switch s.peek() {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		case 'u':
			if _, ok := hex4(s.text[s.pos+1:]); !ok {
				return "", s.fault(findings.JSONSyntax, "an escape is malformed")
			}
			s.pos += 4
		default:
			return "", s.fault(findings.JSONSyntax, "an escape is malformed")
		}
	}
	raw := s.text[start+1 : s.pos]
	s.pos++
	if !escaped {
		return raw, nil
	}
	if !wanted {
		if !surrogatesPair(raw) {
			return "", &Fault{findings.JSONEncoding, "a string holds a lone surrogate", start}
		}
		return "", nil
	}
	text, ok := unescape(raw)
	if !ok {
		return "", &Fault{findings.JSONEncoding, "a string holds a lone surrogate", start}
	}
	return text, nil
}

func hex4(s string) (rune, bool) {
	if len(s) < 4 {
		return 0, false
	}
	var r rune
	for i := range 4 {
		c := s[i]
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// escape reads the well-formed escape behind a backslash and returns the character and how long it was; ok is false for
// a surrogate without its other half.
func escape(s string) (r rune, size int, ok bool) {
	switch s[0] {
	case 'b':
		return '\b', 1, true
	case 'f':
		return '\f', 1, true
	case 'n':
		return '\n', 1, true
	case 'r':
		return '\r', 1, true
	case 't':
		return '\t', 1, true
	case 'u':
	default:
		return rune(s[0]), 1, true
	}
	r, _ = hex4(s[1:])
	if r < 0xd800 || r > 0xdfff {
		return r, 5, true
	}
	if r > 0xdbff || !strings.HasPrefix(s[5:], `\u`) {
		return 0, 0, false
	}
	low, ok := hex4(s[7:])
	if !ok || low < 0xdc00 || low > 0xdfff {
		return 0, 0, false
	}
	return 0x10000 + (r-0xd800)<<10 + (low - 0xdc00), 11, true
}

func surrogatesPair(raw string) bool {
	for {
		at := strings.IndexByte(raw, '\\')
		if at < 0 {
			return true
		}
		_, size, ok := escape(raw[at+1:])
		if !ok {
			return false
		}
		raw = raw[at+1+size:]
	}
}

func unescape(raw string) (string, bool) {
	var b strings.Builder
	b.Grow(len(raw))
	for {
		at := strings.IndexByte(raw, '\\')
		if at < 0 {
			b.WriteString(raw)
			return b.String(), true
		}
		b.WriteString(raw[:at])
		r, size, ok := escape(raw[at+1:])
		if !ok {
			return "", false
		}
		b.WriteRune(r)
		raw = raw[at+1+size:]
	}
}

// Kind is the kind of a value.
type Kind byte

// The kinds of value.
const (
	Null Kind = iota
	Bool
	Int
	String
	Array
	Object
)

// Reader walks a text that Check let through. Every value must be read or skipped, in the order of the text.
type Reader struct{ s scanner }

// NewReader returns a reader of a checked text.
func NewReader(text string) *Reader { return &Reader{scanner{text: text}} }

// Kind returns the kind of the next value.
func (r *Reader) Kind() Kind {
	r.s.space()
	switch r.s.peek() {
	case '{':
		return Object
	case '[':
		return Array
	case '"':
		return String
	case 't', 'f':
		return Bool
	case 'n':
		return Null
	}
	return Int
}

// Str reads a string.
func (r *Reader) Str() string {
	r.s.space()
	text, _ := r.s.str(true)
	return text
}

// Int reads a number.
func (r *Reader) Int() uint64 {
	r.s.space()
	start := r.s.pos
	if r.s.number() != nil {
		return 0
	}
	n, _ := strconv.ParseUint(r.s.text[start:r.s.pos], 10, 64)
	return n
}

// Raw passes over the next value and returns its text.
func (r *Reader) Raw() string {
	r.s.space()
	start := r.s.pos
	r.Skip()
	return r.s.text[start:r.s.pos]
}

// Skip passes over the next value, whatever it is.
func (r *Reader) Skip() {
	// Keys are not compared again: a fresh scanner would, so only brackets and strings are followed here.
	for depth := 0; ; {
		r.s.space()
		switch r.s.peek() {
		case '{', '[':
			depth++
			r.s.pos++
		case '}', ']':
			depth--
			r.s.pos++
		case '"':
			_, _ = r.s.str(false)
		case ',', ':':
			r.s.pos++
			continue
		default:
			if r.s.pos >= len(r.s.text) {
				return
			}
			for r.s.pos < len(r.s.text) && !strings.ContainsRune(" \t\n,:]}", rune(r.s.text[r.s.pos])) {
				r.s.pos++
			}
		}
		if depth == 0 {
			return
		}
	}
}

// Object reads an object: member is called with every key and must read or skip the value.
func (r *Reader) Object(member func(key string)) {
	r.s.space()
	r.s.pos++
	for {
		r.s.space()
		switch r.s.peek() {
		case '"':
			key, _ := r.s.str(true)
			r.s.space()
			r.s.pos++ // the colon
			member(key)
		case ',':
			r.s.pos++
		case '}':
			r.s.pos++
			return
		default: // never in a checked text
			r.s.pos = len(r.s.text)
			return
		}
	}
}

// Array reads an array: item is called before every value and must read or skip it.
func (r *Reader) Array(item func(place int)) {
	r.s.space()
	r.s.pos++
	for place := 0; ; {
		r.s.space()
		switch r.s.peek() {
		case ',':
			r.s.pos++
		case ']':
			r.s.pos++
			return
		default:
			if r.s.pos >= len(r.s.text) {
				return
			}
			item(place)
			place++
		}
	}
}
