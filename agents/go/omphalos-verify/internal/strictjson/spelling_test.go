package strictjson

import (
	"strings"
	"testing"
)

// A text is the one spelling or it is not, in each of the ways it may differ.
func TestSpelled(t *testing.T) {
	good := "{\n  \"a\": [\n    1,\n    {},\n    []\n  ],\n  \"b\": {\n    \"\\u0001\\\"\\\\\\n\": \"é\",\n    \"c\": null\n  },\n  \"d\": true\n}\n"
	if Check(good) != nil || !Spelled(good) {
		t.Fatal("the good one is not taken")
	}
	for _, edit := range [][2]string{
		{"\n  \"a\"", "\n   \"a\""}, {": [", ":["}, {"\\u0001", "\\u0001\\/"}, {"é", "\\u00e9"}, {"{}", "{ }"}, {"true\n}\n", "true\n}"},
		{"}\n", "}\n\n"}, {"\"b\"", "\"A\""}, {"\\n", "\\u000a"}, {"1,\n", "1, \n"}, {"null", "null "}, {"  \"d\"", "\t\"d\""},
	} {
		text := strings.Replace(good, edit[0], edit[1], 1)
		if text == good || Check(text) != nil {
			t.Fatalf("%q: no such edit", edit)
		}
		if Spelled(text) {
			t.Errorf("%q is taken", edit)
		}
	}
}

// What is spelled as it should be is so again, and Quote writes what reads as the same text.
func FuzzSpelled(f *testing.F) {
	f.Add("{\n  \"a\": 1\n}\n")
	f.Add("[]\n")
	f.Add("\"\\u0001\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		if Check(text) != nil {
			return
		}
		if Spelled(text) && Spelled(text+"\n") {
			t.Error("two spellings of one value")
		}
		if r := NewReader(text); r.Kind() == String {
			value := r.Str()
			if quoted := Quote(value); Check(quoted) != nil || NewReader(quoted).Str() != value || !Spelled(quoted+"\n") {
				t.Errorf("%q is quoted as %s", value, quoted)
			}
		}
	})
}
