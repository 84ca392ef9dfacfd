package ids

import (
	"encoding/binary"
	"math/bits"

	"lukechampine.com/blake3/guts"
)

// Kind is what an object is.
type Kind byte

// The kinds of objects, by their numbers in a record of a store.
const (
	KindBlob Kind = iota
	KindTree
	KindRun
	Kinds // how many there are
)

// String names a kind.
func (k Kind) String() string { return [...]string{"blob", "tree", "run"}[k] }

// Of returns the id of bytes as a kind.
func Of(k Kind, data []byte) ID {
	switch k {
	case KindTree:
		return Tree(data)
	case KindRun:
		return Run(data)
	}
	return Blob(data)
}

// Stream computes an id piece by piece, which the library offers for blobs alone.
type Stream struct {
	key     [8]uint32
	flags   uint32
	buffer  [guts.MaxSIMD * guts.ChunkSize]byte
	filled  int
	stack   [50][8]uint32 // roots of perfect subtrees of full buffers, by height
	buffers uint64        // how many were full; its bits say which heights are taken
}

// NewStream begins an id of a kind.
func NewStream(k Kind) *Stream {
	s := &Stream{key: guts.IV}
	if k == KindBlob {
		return s
	}
	context := Stream{key: guts.IV, flags: guts.FlagDeriveKeyContext}
	if k == KindTree {
		context.Write([]byte(treeContext))
	} else {
		context.Write([]byte(runContext))
	}
	for i, id := 0, context.ID(); i < len(s.key); i++ {
		s.key[i] = binary.LittleEndian.Uint32(id[4*i:])
	}
	s.flags = guts.FlagDeriveKeyMaterial
	return s
}

// Write takes more bytes.
func (s *Stream) Write(p []byte) {
	for len(p) > 0 {
		if s.filled == len(s.buffer) { // and not the last bytes
			n := guts.CompressBuffer(&s.buffer, s.filled, &s.key, s.buffers*guts.MaxSIMD, s.flags)
			value, height := guts.ChainingValue(n), 0
			for ; s.buffers>>height&1 == 1; height++ {
				value = guts.ChainingValue(guts.ParentNode(s.stack[height], value, &s.key, s.flags))
			}
			s.stack[height] = value
			s.buffers++
			s.filled = 0
		}
		n := copy(s.buffer[s.filled:], p)
		s.filled += n
		p = p[n:]
	}
}

// ID returns the id of the bytes taken.
func (s *Stream) ID() (id ID) {
	n := guts.CompressBuffer(&s.buffer, s.filled, &s.key, s.buffers*guts.MaxSIMD, s.flags)
	for height := bits.TrailingZeros64(s.buffers); height < bits.Len64(s.buffers); height++ {
		if s.buffers>>height&1 == 1 {
			n = guts.ParentNode(s.stack[height], guts.ChainingValue(n), &s.key, s.flags)
		}
	}
	n.Flags |= guts.FlagRoot
	out := guts.WordsToBytes(guts.CompressNode(n))
	copy(id[:], out[:])
	return id
}
