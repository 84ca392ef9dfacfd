package files

import (
	"fmt"

	"golang.org/x/sys/unix"

	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
)

// Record is what is recorded of the bytes of a file; the digests are in lower-case hex.
type Record struct {
	Size           uint64
	BLAKE3, SHA256 string
}

// Answer is what step 6 of docs/format/verify.md says of an open file; ID is empty where it says nothing. Read says
// whether it was read to its end with the recorded size.
type Answer struct {
	ID         findings.ID
	Detail     string
	Unreadable bool
	Read       bool
}

// Compare reads an open file once and compares it with its record.
func Compare(h *Hasher, fd int, want Record) Answer {
	var before, after unix.Stat_t
	if unix.Fstat(fd, &before) != nil {
		return Answer{Unreadable: true}
	}
	switch {
	case before.Mode&unix.S_IFMT != unix.S_IFREG:
		return Answer{ID: findings.Toctou, Detail: "it was of another kind when it was opened"}
	case uint64(before.Size) != want.Size:
		return Answer{ID: findings.SizeMismatch, Detail: fmt.Sprintf("%d bytes, recorded %d", before.Size, want.Size)}
	}
	length, blake, sha, err := h.File(fd, want.Size)
	if err != nil || unix.Fstat(fd, &after) != nil {
		return Answer{Unreadable: true}
	}
	id, detail := Judge(want, blake, sha)
	if length != want.Size || Changed(&before, &after) {
		id, detail = findings.Toctou, "it changed while it was read"
	}
	return Answer{ID: id, Detail: detail, Read: length == want.Size}
}

// Judge compares two digests with what is recorded.
func Judge(want Record, blake, sha string) (findings.ID, string) {
	switch {
	case (blake == want.BLAKE3) != (sha == want.SHA256):
		return findings.HashDisagree, "one of blake3 and sha256 matches, the other does not"
	case blake != want.BLAKE3:
		return findings.HashMismatch, "blake3 " + blake[:12] + ", recorded " + want.BLAKE3[:12]
	}
	return "", ""
}
