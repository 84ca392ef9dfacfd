package msgpack

import (
	"bytes"
	"testing"

	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
)

// Each number has the one shortest header, and every longer one is refused.
func TestHeaders(t *testing.T) {
	for _, c := range []struct {
		data []byte
		want findings.ID
	}{
		{AppendUint(nil, 127), ""}, {AppendUint(nil, 128), ""}, {AppendUint(nil, 255), ""}, {AppendUint(nil, 256), ""},
		{AppendUint(nil, 65535), ""}, {AppendUint(nil, 65536), ""}, {AppendUint(nil, 1<<32-1), ""}, {AppendUint(nil, 1<<32), ""},
		{AppendString(nil, string(make([]byte, 31))), ""}, {AppendString(nil, string(make([]byte, 32))), ""},
		{AppendString(nil, string(make([]byte, 256))), ""}, {AppendString(nil, string(make([]byte, 65536))), ""},
		{AppendBin(nil, make([]byte, 255)), ""}, {AppendBin(nil, make([]byte, 256)), ""}, {AppendBin(nil, make([]byte, 65536)), ""},
		{append(AppendArray(nil, 15), make([]byte, 15)...), ""}, {append(AppendArray(nil, 16), make([]byte, 16)...), ""},
		{append(AppendArray(nil, 65536), make([]byte, 65536)...), ""},
		{[]byte{0xcc, 127}, findings.MsgpackNotCanonical}, {[]byte{0xcd, 0, 255}, findings.MsgpackNotCanonical},
		{[]byte{0xce, 0, 0, 255, 255}, findings.MsgpackNotCanonical}, {[]byte{0xcf, 0, 0, 0, 0, 255, 255, 255, 255}, findings.MsgpackNotCanonical},
		{[]byte{0xd9, 31}, findings.MsgpackNotCanonical}, {[]byte{0xc5, 0, 255}, findings.MsgpackNotCanonical}, {[]byte{0xdc, 0, 15}, findings.MsgpackNotCanonical},
		{[]byte{0xc0}, findings.MsgpackSyntax}, {[]byte{0xff}, findings.MsgpackSyntax}, {[]byte{0x80}, findings.MsgpackSyntax},
		{[]byte{0xcd, 1}, findings.Truncated}, {[]byte{0x91}, findings.OversizeLength}, {[]byte{0xa2, 'a'}, findings.OversizeLength},
		{[]byte{0xa1, 0xff}, findings.NotUTF8}, {[]byte{0, 0}, findings.TrailingGarbage}, {nil, findings.Truncated},
	} {
		if got := Check(c.data, 4, 1<<20); got != c.want {
			t.Errorf("%.16x: %q, not %q", c.data, got, c.want)
		}
	}
}

// Nesting and the number of values are bounded.
func TestBounds(t *testing.T) {
	nested := append(bytes.Repeat([]byte{0x91}, 4), 0)
	if got := Check(nested, 4, 100); got != "" {
		t.Errorf("four arrays: %q", got)
	}
	if got := Check(nested, 3, 100); got != findings.OversizeLength {
		t.Errorf("one array too deep: %q", got)
	}
	if got := Check(nested, 4, 4); got != findings.OversizeLength {
		t.Errorf("one value too many: %q", got)
	}
}

// Whatever the canonical decoder takes has exactly one spelling.
func FuzzCheck(f *testing.F) {
	for _, data := range [][]byte{{0x00}, {0xcc, 0x80}, {0xcf, 0, 0, 0, 1, 0, 0, 0, 0}, {0xa1, 'a'}, {0x91, 0x91, 0x90}, {0xc4, 0}, {0xdd, 255, 255, 255, 255}} {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if Check(data, 64, 1<<20) != "" {
			return
		}
		var again []byte
		for rest := data; len(rest) > 0; {
			var token Token
			token, rest, _ = Next(rest)
			switch token.Kind {
			case Uint:
				again = AppendUint(again, token.N)
			case String:
				again = AppendString(again, string(token.Data))
			case Bin:
				again = AppendBin(again, token.Data)
			case Array:
				again = AppendArray(again, int(token.N))
			}
		}
		if !bytes.Equal(again, data) {
			t.Errorf("%x is taken and written as %x", data, again)
		}
	})
}
