package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"sync"

	"golang.org/x/sys/unix"
	"lukechampine.com/blake3"
)

const (
	bufferSize  = 1 << 18
	bufferCount = 4 // per file being read
	// A file longer than this has its two digests computed side by side.
	largeFile = 1 << 20
)

// hasher reads files and computes both digests; its buffers and states are used again for the next file.
type hasher struct {
	sha interface {
		io.Writer
		Sum([]byte) []byte
		Reset()
	}
	blake   *blake3.Hasher
	buffers [bufferCount][]byte
}

func newHasher() *hasher {
	h := &hasher{sha: sha256.New(), blake: blake3.New(32, nil)}
	for i := range h.buffers {
		h.buffers[i] = make([]byte, bufferSize)
	}
	return h
}

// read fills a buffer from a descriptor as far as the data goes.
func read(fd int, buffer []byte) (int, error) {
	for {
		n, err := unix.Read(fd, buffer)
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// file returns how many bytes a descriptor gave, at most one more than size, and both digests of them as hex.
func (h *hasher) file(fd int, size uint64) (length uint64, blake, sha string, err error) {
	h.sha.Reset()
	h.blake.Reset()
	left := size + 1
	if size <= largeFile {
		buffer := h.buffers[0]
		for left > 0 && err == nil {
			var n int
			if n, err = read(fd, buffer[:min(left, bufferSize)]); n <= 0 {
				break
			}
			left -= uint64(n)
			h.blake.Write(buffer[:n])
			h.sha.Write(buffer[:n])
		}
	} else {
		left, err = h.sideBySide(fd, left)
	}
	return size + 1 - left, hex.EncodeToString(h.blake.Sum(nil)), hex.EncodeToString(h.sha.Sum(nil)), err
}

// sideBySide computes SHA-256 in another goroutine; a buffer is free again when both have read it.
func (h *hasher) sideBySide(fd int, left uint64) (uint64, error) {
	free, full := make(chan []byte, bufferCount), make(chan []byte, bufferCount)
	for _, buffer := range h.buffers {
		free <- buffer
	}
	var done sync.WaitGroup
	done.Go(func() {
		for chunk := range full {
			h.sha.Write(chunk)
			free <- chunk
		}
	})
	var err error
	for left > 0 && err == nil {
		buffer := (<-free)[:bufferSize]
		var n int
		if n, err = read(fd, buffer[:min(left, bufferSize)]); n <= 0 {
			break
		}
		left -= uint64(n)
		// A writer into a chunk is only ever this goroutine, and it takes the chunk again only from free.
		full <- buffer[:n]
		h.blake.Write(buffer[:n])
	}
	close(full)
	done.Wait()
	return left, err
}
