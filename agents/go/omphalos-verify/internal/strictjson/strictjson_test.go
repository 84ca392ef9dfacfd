package strictjson

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"omphalos.invalid/agents/go/omphalos-verify/internal/vectors"
)

func check(text string) string {
	if fault := Check(text); fault != nil {
		return string(fault.ID)
	}
	return ""
}

// What the page refuses is refused, with its finding.
func TestVectors(t *testing.T) {
	for _, v := range vectors.Read(t, "manifest.md", "json-refused") {
		if got := check(string(vectors.Bytes(t, v.Get("bytes")))); got != v.Get("finding") {
			t.Errorf("%s: %q, not %q", v.Get("bytes"), got, v.Get("finding"))
		}
	}
}

// Each rule at its edge, and which of two faults comes first.
func TestRules(t *testing.T) {
	many := func(last string) string {
		var b strings.Builder
		b.WriteString("{")
		for i := range 100 {
			fmt.Fprintf(&b, `"k%d":0,`, i)
		}
		return b.String() + last
	}
	for text, want := range map[string]string{
		`{}`:                               "",
		" \t\n[ ] \n":                      "",
		`[1,"a",true,false,null,{"a":[]}]`: "",
		`9007199254740991`:                 "",
		`9007199254740992`:                 "jsonNumber",
		`99999999999999999999`:             "jsonNumber",
		`-1`:                               "jsonNumber",
		`-`:                                "jsonSyntax",
		`-a`:                               "jsonSyntax",
		`+1`:                               "jsonSyntax",
		`.5`:                               "jsonSyntax",
		`00`:                               "jsonNumber",
		`1-1`:                              "jsonNumber",
		`NaN`:                              "jsonNumber",
		`NaNx`:                             "jsonNumber",
		`-Infinity`:                        "jsonNumber",
		`-NaN`:                             "jsonSyntax",
		`1a`:                               "jsonEncoding",
		`truex`:                            "jsonEncoding",
		`[truex]`:                          "jsonSyntax",
		`tru`:                              "jsonSyntax",
		``:                                 "jsonSyntax",
		"\x00":                             "jsonSyntax",
		"{}\x00":                           "jsonEncoding",
		"\v1":                              "jsonSyntax",
		`[1 2]`:                            "jsonSyntax",
		`[1}`:                              "jsonSyntax",
		`{"a":1]`:                          "jsonSyntax",
		`{"a" 1}`:                          "jsonSyntax",
		`{"a":1,}`:                         "jsonSyntax",
		`{,}`:                              "jsonSyntax",
		`{1:1}`:                            "jsonSyntax",
		`[,]`:                              "jsonSyntax",
		`["a`:                              "jsonSyntax",
		`"\x"`:                             "jsonSyntax",
		`"\u12g4"`:                         "jsonSyntax",
		`"\u123`:                           "jsonSyntax",
		"\"\x1f\"":                         "jsonSyntax",
		"\"\x7f\"":                         "",
		`"\ud83d\ude00"`:                   "",
		`"\ud83d"`:                         "jsonEncoding",
		`"\ude00\ud83d"`:                   "jsonEncoding",
		`"\ud83dx\ude00"`:                  "jsonEncoding",
		`"\ud83d\x"`:                       "jsonSyntax",
		`"\ud83d`:                          "jsonSyntax",
		`["\ud83d",01]`:                    "jsonEncoding",
		`[01,"\ud83d"]`:                    "jsonNumber",
		`{"a":1,"a"`:                       "jsonDuplicateKey",
		`{"a":1,"a":01}`:                   "jsonDuplicateKey",
		`{"a":01,"a":1}`:                   "jsonNumber",
		`{"a":{"b":1,"b":1},"a":1}`:        "jsonDuplicateKey",
		`{"a":{"a":1},"b":{"a":1}}`:        "",
		`[{"a":1},{"a":1}]`:                "",
		many(`"z":0}`):                     "",
		many(`"k7":0}`):                    "jsonDuplicateKey",
		many(`"k99":01}`):                  "jsonDuplicateKey",
		many(`"z":01,"k1":1}`):             "jsonNumber",
		many(`"k1":[{"q":`):                "jsonDuplicateKey",
		many(`"z":0} 1`):                   "jsonEncoding",
		strings.Repeat("[", 64) + strings.Repeat("]", 64):            "",
		strings.Repeat("[", 65) + strings.Repeat("]", 65):            "jsonEncoding",
		strings.Repeat("[", 64) + "{}" + strings.Repeat("]", 64):     "jsonEncoding",
		strings.Repeat(`{"a":`, 63) + "{}" + strings.Repeat("}", 63): "",
		strings.Repeat("[", 100_000):                                 "jsonEncoding",
		"\xef\xbb\xbf{":                                              "jsonEncoding",
		"{\r":                                                        "jsonEncoding",
		"{\xff":                                                      "jsonEncoding",
		"\u00a01":                                                    "jsonSyntax",
	} {
		if got := check(text); got != want {
			t.Errorf("%.60q: %q, not %q", text, got, want)
		}
	}
}

// value reads any value by a Reader.
func value(r *Reader) any {
	switch r.Kind() {
	case Object:
		out := map[string]any{}
		r.Object(func(key string) { out[key] = value(r) })
		return out
	case Array:
		out := []any{}
		r.Array(func(int) { out = append(out, value(r)) })
		return out
	case String:
		return r.Str()
	case Int:
		return float64(r.Int())
	case Bool:
		r.s.space()
		is := r.s.peek() == 't'
		r.Skip()
		return is
	}
	r.Skip()
	return nil
}

// What Check takes, encoding/json takes too; a Reader reads the same value, and passes over it to the same place.
func FuzzCheck(f *testing.F) {
	for _, v := range vectors.Read(f, "manifest.md", "json-refused") {
		f.Add(string(vectors.Bytes(f, v.Get("bytes"))))
	}
	f.Add(`{"a":[1,"\u00e9\ud83d\ude00\n",true,null,{}],"b":false}`)
	f.Fuzz(func(t *testing.T, text string) {
		if Check(text) != nil {
			return
		}
		var want any
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatalf("taken, and encoding/json says: %v", err)
		}
		r := NewReader(text)
		if got := value(r); !reflect.DeepEqual(got, want) {
			t.Errorf("read as %v, and by encoding/json as %v", got, want)
		}
		over := NewReader(text)
		over.Skip()
		if over.s.pos != r.s.pos {
			t.Errorf("read to %d, passed over to %d", r.s.pos, over.s.pos)
		}
	})
}
