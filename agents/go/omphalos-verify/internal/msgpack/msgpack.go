// Package msgpack writes and checks canonical msgpack as docs/format/tree.md defines it: arrays, text, unsigned
// integers and bytes, each in the one shortest form.
package msgpack

import (
	"encoding/binary"
	"unicode/utf8"

	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
)

// AppendUint appends an unsigned integer.
func AppendUint(b []byte, n uint64) []byte {
	switch {
	case n < 1<<7:
		return append(b, byte(n))
	case n < 1<<8:
		return append(b, 0xcc, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, 0xcd), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xcf), n)
}

// AppendString appends text; the caller has checked that it is UTF-8.
func AppendString(b []byte, s string) []byte {
	n := len(s)
	switch {
	case n < 32:
		b = append(b, 0xa0|byte(n))
	case n < 1<<8:
		b = append(b, 0xd9, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0xda), uint16(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, 0xdb), uint32(n))
	}
	return append(b, s...)
}

// AppendBin appends bytes.
func AppendBin(b, data []byte) []byte {
	n := len(data)
	switch {
	case n < 1<<8:
		b = append(b, 0xc4, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0xc5), uint16(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, 0xc6), uint32(n))
	}
	return append(b, data...)
}

// AppendArray appends the header of an array of n items.
func AppendArray(b []byte, n int) []byte {
	switch {
	case n < 16:
		return append(b, 0x90|byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, 0xdc), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, 0xdd), uint32(n))
}

// Kind is the kind of a value.
type Kind int

// The kinds of value that occur.
const (
	Uint Kind = iota
	String
	Bin
	Array
)

// Token is one value, or the header of an array.
type Token struct {
	Kind Kind
	N    uint64 // the integer, or the number of items
	Data []byte // of text and bytes
}

// form is a header with a length field: how wide it is, and the smallest number it may be used for.
type form struct {
	kind  Kind
	width int
	least uint64
}

var forms = map[byte]form{
	0xcc: {Uint, 1, 1 << 7}, 0xcd: {Uint, 2, 1 << 8}, 0xce: {Uint, 4, 1 << 16}, 0xcf: {Uint, 8, 1 << 32},
	0xd9: {String, 1, 32}, 0xda: {String, 2, 1 << 8}, 0xdb: {String, 4, 1 << 16},
	0xc4: {Bin, 1, 0}, 0xc5: {Bin, 2, 1 << 8}, 0xc6: {Bin, 4, 1 << 16},
	0xdc: {Array, 2, 16}, 0xdd: {Array, 4, 1 << 16},
}

// Next reads one token and returns what follows it; the finding is empty where it is canonical. Arrays are judged by
// the bytes that are left, so that no claim of a length is ever believed.
func Next(data []byte) (Token, []byte, findings.ID) {
	if len(data) == 0 {
		return Token{}, nil, findings.Truncated
	}
	head, rest := data[0], data[1:]
	token := Token{}
	switch {
	case head < 0x80:
		return Token{Kind: Uint, N: uint64(head)}, rest, ""
	case head >= 0x90 && head <= 0x9f:
		token.Kind, token.N = Array, uint64(head&0x0f)
	case head >= 0xa0 && head <= 0xbf:
		token.Kind, token.N = String, uint64(head&0x1f)
	default:
		f, known := forms[head]
		if !known {
			return Token{}, nil, findings.MsgpackSyntax
		}
		if len(rest) < f.width {
			return Token{}, nil, findings.Truncated
		}
		token.Kind = f.kind
		for _, b := range rest[:f.width] {
			token.N = token.N<<8 | uint64(b)
		}
		rest = rest[f.width:]
		if token.N < f.least {
			return Token{}, nil, findings.MsgpackNotCanonical
		}
	}
	if token.Kind == Uint {
		return token, rest, ""
	}
	if token.N > uint64(len(rest)) {
		return Token{}, nil, findings.OversizeLength
	}
	if token.Kind == Array {
		return token, rest, ""
	}
	token.Data, rest = rest[:token.N], rest[token.N:]
	if token.Kind == String && !utf8.Valid(token.Data) {
		return Token{}, nil, findings.NotUTF8
	}
	return token, rest, ""
}

// Check says whether data is exactly one canonical value with at most maxDepth arrays inside each other and at most
// maxItems values in all; the finding is empty where it is.
func Check(data []byte, maxDepth, maxItems int) findings.ID {
	open := make([]uint64, 1, maxDepth+1) // items still to come, of the whole and of every array being read
	open[0] = 1
	left := uint64(maxItems)
	for len(open) > 0 {
		top := len(open) - 1
		if open[top] == 0 {
			open = open[:top]
			continue
		}
		if len(data) > 0 && left == 0 {
			return findings.OversizeLength
		}
		token, rest, id := Next(data)
		if id != "" {
			return id
		}
		data = rest
		left--
		open[top]--
		if token.Kind == Array {
			if token.N > left || len(open) > maxDepth {
				return findings.OversizeLength
			}
			open = append(open, token.N)
		}
	}
	if len(data) > 0 {
		return findings.TrailingGarbage
	}
	return ""
}
