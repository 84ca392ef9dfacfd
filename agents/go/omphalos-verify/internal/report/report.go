// Package report holds what a verification found, whatever was verified.
package report

import (
	"math/big"
	"slices"

	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
)

// Verdict is what a verification found.
type Verdict struct {
	Subject    string
	RunID      *string
	Files      int
	Bytes      *big.Int
	Findings   []findings.Finding
	Suppressed int
	Unreadable []string
	Refused    bool
	NoRoot     bool     // of a proof: nothing says that its root is that of a run
	Keys       []string // the keyids given
	SignedBy   []string // those for which something counts
}

// Word returns the verdict in a word.
func (v *Verdict) Word() string {
	switch {
	case v.Refused:
		return "refused"
	case len(v.Unreadable) > 0 || v.NoRoot:
		return "incomplete"
	}
	return "verified"
}

// Report collects what is found while something is verified.
type Report struct {
	Verdict    Verdict
	Found      findings.List
	Unreadable PathList
}

// New returns an empty report about a subject.
func New(subject string) *Report {
	return &Report{Verdict: Verdict{Subject: subject, Bytes: new(big.Int)}}
}

// Count adds a file of so many bytes to what was verified.
func (r *Report) Count(size uint64) {
	r.Verdict.Files++
	r.Verdict.Bytes.Add(r.Verdict.Bytes, new(big.Int).SetUint64(size))
}

// Close returns the verdict.
func (r *Report) Close() *Verdict {
	v := &r.Verdict
	v.Findings, v.Suppressed = r.Found.Close()
	v.Refused = r.Found.Refused()
	v.Unreadable = r.Unreadable.Close()
	return v
}

// PathList keeps the first paths in order, in bounded memory.
type PathList struct{ kept []string }

// Add takes a path.
func (l *PathList) Add(path string) {
	l.kept = append(l.kept, path)
	if len(l.kept) >= 2*findings.Max {
		l.Close()
	}
}

// Close returns the paths in order.
func (l *PathList) Close() []string {
	slices.Sort(l.kept)
	l.kept = slices.Compact(l.kept)
	l.kept = l.kept[:min(len(l.kept), findings.Max)]
	return l.kept
}
