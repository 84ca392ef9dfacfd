package files

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
	// BufferSize is how much is read at once.
	BufferSize  = 1 << 18
	bufferCount = 4 // per file being read
	// LargeFile is beyond which length a file has its two digests computed side by side.
	LargeFile = 1 << 20
)

// Hasher reads files and computes both digests; its buffers and states are used again for the next file.
type Hasher struct {
	sha interface {
		io.Writer
		Sum([]byte) []byte
		Reset()
	}
	blake   *blake3.Hasher
	buffers [bufferCount][]byte
}

// NewHasher returns one with its buffers.
func NewHasher() *Hasher {
	h := &Hasher{sha: sha256.New(), blake: blake3.New(32, nil)}
	for i := range h.buffers {
		h.buffers[i] = make([]byte, BufferSize)
	}
	return h
}

// Read fills a buffer from a descriptor as far as the data goes.
func Read(fd int, buffer []byte) (int, error) {
	for {
		n, err := unix.Read(fd, buffer)
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// File returns how many bytes a descriptor gave, at most one more than size, and both digests of them as hex.
func (h *Hasher) File(fd int, size uint64) (length uint64, blake, sha string, err error) {
	h.sha.Reset()
	h.blake.Reset()
	left := size + 1
	if size <= LargeFile {
		buffer := h.buffers[0]
		for left > 0 && err == nil {
			var n int
			if n, err = Read(fd, buffer[:min(left, BufferSize)]); n <= 0 {
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

// sideBySide computes SHA-256 in another goroutine; a buffer is free again when both have Read it.
func (h *Hasher) sideBySide(fd int, left uint64) (uint64, error) {
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
		buffer := (<-free)[:BufferSize]
		var n int
		if n, err = Read(fd, buffer[:min(left, BufferSize)]); n <= 0 {
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
