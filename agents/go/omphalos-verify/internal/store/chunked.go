package store

import (
	"encoding/binary"
	"io"
	"os"

	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
	"omphalos.invalid/agents/go/omphalos-verify/internal/ids"
)

const (
	listMagic = "omphalos list 1\n"
	listStart = len(listMagic) + 8 // where the chunks begin
	chunkSize = len(ids.ID{}) + 4
	sumSize   = len(ids.ID{})
	maxList   = 1 << 26
)

// chunkList is a list of chunks whose check holds: the size of the blob, and the rows as they stand in the file.
type chunkList struct {
	size int64
	rows []byte
}

// parseList reads the bytes of a list; ok is false for anything else.
func parseList(data []byte) (l chunkList, ok bool) {
	end := len(data) - sumSize
	if len(data) > maxList || end < listStart+chunkSize || (end-listStart)%chunkSize != 0 {
		return l, false
	}
	if string(data[:len(listMagic)]) != listMagic || ids.Blob(data[:end]) != ids.ID(data[end:]) {
		return l, false
	}
	l.rows = data[listStart:end]
	for i := range l.len() {
		_, length := l.chunk(i)
		if length < 1 || length > maxRecord {
			return l, false
		}
		l.size += length // of at most 2^21 rows, so that it does not overflow
	}
	return l, binary.LittleEndian.Uint64(data[len(listMagic):]) == uint64(l.size)
}

// len returns how many chunks there are.
func (l chunkList) len() int { return len(l.rows) / chunkSize }

// chunk returns the id and the length of one chunk.
func (l chunkList) chunk(i int) (ids.ID, int64) {
	row := l.rows[i*chunkSize:][:chunkSize]
	return ids.ID(row[:sumSize]), int64(binary.LittleEndian.Uint32(row[sumSize:]))
}

// lists comes between steps 2 and 3. What a list makes is there only afterwards, since a list is no chunk of another.
func (c *check) lists(folder int) {
	r := chunkReader{check: c, buffer: make([]byte, maxRecord)}
	defer r.close()
	var ready []ids.ID
	made := map[ids.ID]object{}
	c.shards(folder, chunkedPath, func(inner int, name, path string, id ids.ID) {
		l, whole := c.readList(inner, name, path)
		if !whole || !r.there(l) {
			return
		}
		switch got, ok := r.join(l); {
		case !ok:
		case got != id:
			c.Found.Add(findings.ObjectDamaged, path, "its chunks make another blob")
		default:
			c.names = append(c.names, path)
			ready = append(ready, id)
			made[id] = object{kind: ids.KindBlob, length: l.size, file: int32(len(c.names) - 1)}
		}
	})
	for _, id := range ready {
		c.there(id, made[id])
	}
}

// readList reads a list whole; what is none is reported.
func (c *check) readList(folder int, name, path string) (l chunkList, ok bool) {
	file, size := c.file(folder, name, path)
	if file == nil {
		return l, false
	}
	defer file.Close()
	if size <= maxList {
		data := make([]byte, size)
		n, err := file.ReadAt(data, 0)
		if err != nil && err != io.EOF {
			c.unseen(path)
			return l, false
		}
		l, ok = parseList(data[:n])
	}
	c.Count(uint64(size))
	if !ok {
		c.Found.Add(findings.ObjectDamaged, path, "no list of chunks")
	}
	return l, ok
}

// chunkReader reads chunks one after the other into one buffer, and keeps the file open that the last one was in.
type chunkReader struct {
	*check
	buffer []byte
	file   *os.File
	number int32 // of the open file
}

// there says whether every chunk is there as a blob of its length.
func (r *chunkReader) there(l chunkList) bool {
	for i := range l.len() {
		id, length := l.chunk(i)
		if o := r.objects[id]; o == nil || o.kind != ids.KindBlob || o.length != length {
			return false
		}
	}
	return true
}

// join returns the id of the chunks' bytes one after the other; ok is false where one could not be read.
func (r *chunkReader) join(l chunkList) (id ids.ID, ok bool) {
	stream := ids.NewStream(ids.KindBlob)
	for i := range l.len() {
		chunk, length := l.chunk(i)
		if !r.read(r.objects[chunk], r.buffer[:length]) {
			return id, false
		}
		stream.Write(r.buffer[:length])
	}
	return stream.ID(), true
}

func (r *chunkReader) read(o *object, data []byte) bool {
	path := r.names[o.file]
	if r.file == nil || r.number != o.file {
		r.close()
		if r.file, _ = r.below(path); r.file == nil {
			r.unseen(path)
			return false
		}
		r.number = o.file
	}
	if _, err := r.file.ReadAt(data, o.offset); err != nil { // also where it is shorter than a moment ago
		r.unseen(path)
		return false
	}
	return true
}

func (r *chunkReader) close() {
	if r.file != nil {
		r.file.Close()
		r.file = nil
	}
}
