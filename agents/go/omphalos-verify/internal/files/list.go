package files

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

const namesAtOnce = 4096

// List passes on the names in an open folder, a bounded number at a time.
func List(fd int, name func(string)) error {
	// The os package wants a descriptor of its own to close.
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	folder := os.NewFile(uintptr(own), "folder")
	defer folder.Close()
	for {
		names, err := folder.Readdirnames(namesAtOnce)
		for _, n := range names {
			name(n)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}
