// Package files looks things up, opens, lists and reads them without following links.
package files

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// How folders and files are opened.
const (
	FolderFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	FileFlags   = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC | unix.O_NOCTTY
)

// Retry calls again what a signal interrupted.
func Retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// Open opens a name in an open folder.
func Open(at int, name string, flags int) (fd int, err error) {
	err = Retry(func() (err error) {
		fd, err = unix.Openat(at, name, flags, 0)
		return err
	})
	return fd, err
}

// IsGone says whether an error of opening means that what was there is gone, or of another kind now.
func IsGone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO)
}

// Changed says whether length, mtime or ctime differ.
func Changed(a, b *unix.Stat_t) bool { return a.Size != b.Size || a.Mtim != b.Mtim || a.Ctim != b.Ctim }

// Show writes a name that is not UTF-8 as text.
func Show(name string) string {
	var b strings.Builder
	for len(name) > 0 {
		r, size := utf8.DecodeRuneInString(name)
		if r == utf8.RuneError && size == 1 {
			fmt.Fprintf(&b, `\x%02x`, name[0])
		} else {
			b.WriteString(name[:size])
		}
		name = name[size:]
	}
	return b.String()
}

// Outcome says how reading went.
type Outcome int

// How reading may go.
const (
	Whole      Outcome = iota
	Changing           // it is gone, of another kind, or changed while it was read
	TooLarge           // longer than allowed, and not read
	Unreadable         // for another reason
)

// ReadWhole opens a name in an open folder and reads all of it, which is at most so many bytes.
func ReadWhole(at int, name string, most int64) (string, Outcome) {
	fd, err := Open(at, name, FileFlags)
	switch {
	case IsGone(err):
		return "", Changing
	case err != nil:
		return "", Unreadable
	}
	defer unix.Close(fd)
	var before, after unix.Stat_t
	if unix.Fstat(fd, &before) != nil {
		return "", Unreadable
	}
	switch {
	case before.Mode&unix.S_IFMT != unix.S_IFREG:
		return "", Changing
	case before.Size > most:
		return "", TooLarge
	}
	var text strings.Builder
	text.Grow(int(before.Size))
	buffer := make([]byte, min(BufferSize, before.Size+1))
	for int64(text.Len()) <= before.Size {
		n, err := Read(fd, buffer[:min(BufferSize, before.Size+1-int64(text.Len()))])
		if err != nil {
			return "", Unreadable
		}
		if n == 0 {
			break
		}
		text.Write(buffer[:n])
	}
	if unix.Fstat(fd, &after) != nil {
		return "", Unreadable
	}
	if int64(text.Len()) != before.Size || Changed(&before, &after) {
		return "", Changing
	}
	return text.String(), Whole
}
