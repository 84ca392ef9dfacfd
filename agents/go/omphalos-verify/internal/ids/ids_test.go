package ids

import (
	"testing"

	"omphalos.invalid/agents/go/omphalos-verify/internal/vectors"
)

// The ids of the page hold.
func TestVectors(t *testing.T) {
	kinds := map[string]func([]byte) ID{"blob": Blob, "tree": Tree, "run": Run}
	for _, v := range vectors.Read(t, "ids.md", "id") {
		if got := kinds[v.Get("kind")](vectors.Bytes(t, v.Get("bytes"))).String(); got != v.Get("id") {
			t.Errorf("%s of %q is %s, not %s", v.Get("kind"), v.Get("bytes"), got, v.Get("id"))
		}
	}
}

// Only 64 lower-case hex digits are an id.
func TestParse(t *testing.T) {
	good := "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
	if id, ok := Parse(good); !ok || id.String() != good {
		t.Errorf("%s is refused", good)
	}
	for _, bad := range []string{"", good[1:], good + "0", "A" + good[1:], " " + good[1:], good[:63] + "g", good[:63] + "\n"} {
		if _, ok := Parse(bad); ok {
			t.Errorf("%q is taken", bad)
		}
	}
}
