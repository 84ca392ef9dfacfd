package findings

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// Of many findings, in any order and some of them twice, the first in order are kept.
func TestBound(t *testing.T) {
	var l List
	const all = 3 * Max
	for _, i := range rand.New(rand.NewPCG(1, 1)).Perm(all) {
		l.Add(FileExtra, fmt.Sprintf("%06d", i), "")
		if i < Max {
			l.Add(FileExtra, fmt.Sprintf("%06d", i), "again")
		}
	}
	kept, more := l.Close()
	if len(kept) != Max || more != all-Max {
		t.Fatalf("%d kept, %d more", len(kept), more)
	}
	for i, f := range kept {
		if f.Path != fmt.Sprintf("%06d", i) {
			t.Fatalf("%s stands at place %d", f.Path, i)
		}
	}
}

// A finding that is not listed counts for the verdict, and a warning does not.
func TestRefused(t *testing.T) {
	var l List
	for i := range 3 * Max {
		l.Add(PathNormChanged, fmt.Sprint(i), "")
	}
	if l.Refused() {
		t.Error("warnings refuse")
	}
	l.Add(Unsorted, "x", "") // sorts behind every warning
	if l.Close(); !l.Refused() {
		t.Error("an error does not refuse")
	}
}
