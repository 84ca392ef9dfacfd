package store

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"

	"omphalos.invalid/agents/go/omphalos-verify/internal/ids"
)

const (
	firstLine  = "omphalos pack 1\n"
	magic      = "\xf1omp"
	headerSize = 48
	maxRecord  = 1 << 20
	maxZeros   = 1 << 20
	windowSize = 4 << 20
)

// header is the beginning of a record.
type header struct {
	kind   ids.Kind
	length int64
	id     ids.ID
}

// parseHeader reads 48 bytes; the kind may be one that nobody knows.
func parseHeader(b []byte) (h header, ok bool) {
	if len(b) < headerSize || string(b[:4]) != magic || b[4] != 1 || b[6] != 0 || b[7] != 0 {
		return h, false
	}
	length := binary.LittleEndian.Uint32(b[8:])
	if length > maxRecord || binary.LittleEndian.Uint32(b[44:]) != crc32.ChecksumIEEE(b[:44]) {
		return h, false
	}
	return header{ids.Kind(b[5]), int64(length), ids.ID(b[12:44])}, true
}

// segment reads a segment through a window, front to back.
type segment struct {
	in     io.ReaderAt
	size   int64
	open   bool // it may be appended to
	window []byte
	start  int64 // of the window
}

// at returns bytes of the segment; the range lies within it, and is at most as long as a record.
func (s *segment) at(offset, n int64) ([]byte, error) {
	if offset < s.start || offset+n > s.start+int64(len(s.window)) {
		want := min(windowSize, s.size-offset)
		if int64(cap(s.window)) < want {
			s.window = make([]byte, want)
		}
		s.window, s.start = s.window[:want], offset
		if read, err := s.in.ReadAt(s.window, offset); int64(read) < want {
			s.window = s.window[:0]
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF // it is shorter than it was
			}
			return nil, err
		}
	}
	return s.window[offset-s.start:][:n], nil
}

// header returns the header at an offset, if there is one.
func (s *segment) header(offset int64) (header, bool, error) {
	if s.size-offset < headerSize {
		return header{}, false, nil
	}
	b, err := s.at(offset, headerSize)
	if err != nil {
		return header{}, false, err
	}
	h, ok := parseHeader(b)
	return h, ok, nil
}

// within says whether the bytes behind a header at an offset end in the segment.
func (s *segment) within(offset int64, h header) bool { return h.length <= s.size-offset-headerSize }

// intact says whether the bytes behind a header have its id.
func (s *segment) intact(offset int64, h header) (bool, error) {
	b, err := s.at(offset+headerSize, h.length)
	return err == nil && ids.Of(h.kind, b) == h.id, err
}

// visitor is told what stands in a segment.
type visitor interface {
	record(offset int64, h header, intact bool)
	unknown(offset int64)
	damaged(offset int64)
}

// scan goes through a segment. It returns an error where it cannot be read.
func (s *segment) scan(v visitor) error {
	var offset int64
	if s.size > 0 {
		b, err := s.at(0, min(int64(len(firstLine)), s.size))
		if err != nil {
			return err
		}
		offset = int64(len(b))
		if string(b) != firstLine {
			if torn := s.open && offset == s.size && string(b) == firstLine[:offset]; !torn {
				v.damaged(0)
			}
		}
	}
	for offset < s.size {
		h, ok, err := s.header(offset)
		switch {
		case err != nil:
			return err
		case ok && h.kind >= ids.Kinds && s.within(offset, h):
			v.unknown(offset)
			offset += headerSize + h.length
		case ok && h.kind < ids.Kinds && s.within(offset, h):
			intact, err := s.intact(offset, h)
			if err != nil {
				return err
			}
			v.record(offset, h, intact)
			offset += headerSize + h.length
		default:
			end, err := s.next(offset + 1)
			if err != nil {
				return err
			}
			if err := s.gap(offset, end, v); err != nil {
				return err
			}
			offset = end
		}
	}
	return nil
}

// next returns the offset of the next record of a known kind that is intact, or the size.
func (s *segment) next(offset int64) (int64, error) {
	for s.size-offset >= headerSize {
		n := min(s.size-offset, maxRecord)
		b, err := s.at(offset, n)
		if err != nil {
			return 0, err
		}
		found := bytes.Index(b, []byte(magic))
		if found < 0 {
			offset += n - int64(len(magic)) + 1
			continue
		}
		offset += int64(found)
		h, ok, err := s.header(offset)
		if err == nil && ok && h.kind < ids.Kinds && s.within(offset, h) {
			ok, err = s.intact(offset, h)
			if ok {
				return offset, nil
			}
		}
		if err != nil {
			return 0, err
		}
		offset++
	}
	return s.size, nil
}

// gap reports what is no record, unless a writer that was killed can have left it.
func (s *segment) gap(offset, end int64, v visitor) error {
	if s.open && end == s.size {
		torn, err := s.torn(offset)
		if err != nil || torn {
			return err
		}
	}
	v.damaged(offset)
	return nil
}

func (s *segment) torn(offset int64) (bool, error) {
	h, ok, err := s.header(offset)
	if err != nil || ok && h.kind < ids.Kinds && !s.within(offset, h) {
		return err == nil, err
	}
	rest := s.size - offset
	if rest > maxZeros {
		return false, nil
	}
	b, err := s.at(offset, rest)
	if err != nil {
		return false, err
	}
	return rest < headerSize && string(b[:min(4, rest)]) == magic[:min(4, rest)] ||
		len(bytes.Trim(b, "\x00")) == 0, nil
}
