// Package target looks up what a command line names, without following it (docs/format/verify.md, step 1, and the
// tables of bundle.md and proof.md).
package target

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"omphalos.invalid/agents/go/omphalos-verify/internal/files"
	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
	"omphalos.invalid/agents/go/omphalos-verify/internal/report"
)

// ErrNothing says that there is nothing of the kind to verify.
var ErrNothing = errors.New("there is nothing of this kind to verify")

// BeforeOpen is for tests: it is called between the lookup of a folder and its opening.
var BeforeOpen = func(string) {}

// Subject returns the last component of a path.
func Subject(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// isNothing says whether an error of a lookup means that nothing can be there.
func isNothing(err error) bool {
	return files.IsGone(err) || errors.Is(err, unix.ENAMETOOLONG) || errors.Is(err, unix.EINVAL)
}

// Folder opens a folder, and begins a report about it. The descriptor is negative where there is nothing more to look
// at than the report says.
func Folder(path string) (*report.Report, int, error) {
	if trimmed := strings.TrimRight(path, "/"); trimmed != "" {
		path = trimmed
	}
	r := report.New(Subject(path))
	for opened := false; ; opened = true {
		var about unix.Stat_t
		switch err := files.Retry(func() error { return unix.Lstat(path, &about) }); {
		case isNothing(err):
			return nil, -1, ErrNothing
		case err != nil: // whether there is a folder cannot be seen
			r.Unreadable.Add(".")
			return r, -1, nil
		}
		switch about.Mode & unix.S_IFMT {
		case unix.S_IFLNK:
			r.Found.Add(findings.SymlinkEntry, ".", "the folder itself is a symbolic link")
			return r, -1, nil
		case unix.S_IFDIR:
		default:
			return nil, -1, ErrNothing
		}
		if opened { // it was no folder a moment ago, and is one again
			return nil, -1, ErrNothing
		}
		BeforeOpen(path)
		fd, err := files.Open(unix.AT_FDCWD, path, files.FolderFlags)
		switch {
		case err == nil:
			return r, fd, nil
		case !files.IsGone(err):
			r.Unreadable.Add(".")
			return r, -1, nil
		}
		// It has changed since: a link in its place is told as one.
	}
}

// Kind is what stands under a name.
type Kind int

// What may stand under a name.
const (
	Nothing Kind = iota // or a folder
	Regular
	Link
	Special
	Unseen // it cannot be looked up
)

// Look says what stands under a name where a file is wanted.
func Look(path string) Kind {
	var about unix.Stat_t
	switch err := files.Retry(func() error { return unix.Lstat(path, &about) }); {
	case isNothing(err):
		return Nothing
	case err != nil:
		return Unseen
	}
	switch about.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return Nothing
	case unix.S_IFREG:
		return Regular
	case unix.S_IFLNK:
		return Link
	}
	return Special
}

// Usual says what is to be said of a name that is no regular file, at a path of findings, and returns whether it is one.
func (k Kind) Usual(r *report.Report, path string) bool {
	switch k {
	case Link:
		r.Found.Add(findings.SymlinkEntry, path, "")
	case Special:
		r.Found.Add(findings.SpecialFile, path, "")
	case Unseen:
		r.Unreadable.Add(path)
	}
	return k == Regular
}
