// Package store judges a whole store from its files, without its index (docs/format/store.md, "Verifying a store").
// Memory is bounded by the number of objects and refs, one manifest, tree node or list of chunks, and a window on a segment.
package store

import (
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"omphalos.invalid/agents/go/omphalos-verify/internal/files"
	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
	"omphalos.invalid/agents/go/omphalos-verify/internal/ids"
	"omphalos.invalid/agents/go/omphalos-verify/internal/manifest"
	"omphalos.invalid/agents/go/omphalos-verify/internal/paths"
	"omphalos.invalid/agents/go/omphalos-verify/internal/report"
	"omphalos.invalid/agents/go/omphalos-verify/internal/target"
	"omphalos.invalid/agents/go/omphalos-verify/internal/tree"
)

const (
	maxNode = 1 << 28

	objectsPath = "objects"
	packsPath   = "objects/packs"
	largePath   = "objects/large"
	chunkedPath = "objects/chunked"
	refsPath    = "refs"
)

// object is one that is there, and what is known of it.
type object struct {
	kind           ids.Kind
	visited, sized bool // it was read; something said its size
	disagree       bool // two said different sizes
	summed         bool // of a tree that could be read: sum holds
	length         int64
	said, sum      uint64
	file           int32 // where it can be read again
	offset         int64
}

// ref is a name and the object it names.
type ref struct {
	name string
	id   ids.ID
}

// check is the state of one verification.
type check struct {
	*report.Report
	root    int
	objects map[ids.ID]*object
	names   []string // of files that hold objects
	refs    []ref
	blind   bool // something below objects could not be read

	runs    map[ids.ID]*string // the run_id of the runs that could be read
	waiting []ids.ID           // trees to be read
}

// Verify judges the store in a folder.
func Verify(name string) (*report.Verdict, error) {
	r, root, err := target.Folder(name)
	if err != nil {
		return nil, err
	}
	if root < 0 {
		return r.Close(), nil
	}
	defer unix.Close(root)
	c := &check{Report: r, root: root, objects: map[ids.ID]*object{}, runs: map[ids.ID]*string{}}
	objects, err := c.folder(root, objectsPath, objectsPath)
	if err != nil {
		return nil, err
	}
	defer closeFolder(objects)
	large := -1
	if objects >= 0 {
		if large, err = c.folder(objects, "large", largePath); err != nil {
			return nil, err
		}
		defer closeFolder(large)
	}
	refs, err := c.folder(root, refsPath, refsPath)
	if err != nil {
		return nil, err
	}
	defer closeFolder(refs)
	c.within(objects, "packs", packsPath, c.packs)
	c.large(large)
	c.within(objects, "chunked", chunkedPath, c.lists)
	c.readRefs(refs, "", 0)
	c.follow()
	return r.Close(), nil
}

// within passes on a folder of objects that may be absent.
func (c *check) within(objects int, name, path string, use func(folder int)) {
	if objects < 0 {
		return
	}
	if _, there := c.look(objects, name, path); !there {
		return
	}
	folder, err := c.folder(objects, name, path)
	if err != nil { // something else stands there
		c.unseen(path)
	}
	use(folder)
	closeFolder(folder)
}

func closeFolder(fd int) {
	if fd >= 0 {
		unix.Close(fd)
	}
}

// unseen notes what could not be looked up, opened, listed or read.
func (c *check) unseen(path string) {
	c.Unreadable.Add(path)
	c.blind = c.blind || path == objectsPath || strings.HasPrefix(path, objectsPath+"/")
}

// look returns the type bits of a name in an open folder; there is false where it is gone or cannot be looked up.
func (c *check) look(at int, name, path string) (kind uint32, there bool) {
	var about unix.Stat_t
	switch err := files.Retry(func() error { return unix.Fstatat(at, name, &about, unix.AT_SYMLINK_NOFOLLOW) }); {
	case files.IsGone(err):
		return 0, false
	case err != nil:
		c.unseen(path)
		return 0, false
	}
	return about.Mode & unix.S_IFMT, true
}

// folder opens a folder that must be there. The descriptor is negative where it cannot be opened.
func (c *check) folder(at int, name, path string) (int, error) {
	var about unix.Stat_t
	switch err := files.Retry(func() error { return unix.Fstatat(at, name, &about, unix.AT_SYMLINK_NOFOLLOW) }); {
	case files.IsGone(err):
		return -1, target.ErrNothing
	case err != nil:
		c.unseen(path)
		return -1, nil
	case about.Mode&unix.S_IFMT != unix.S_IFDIR:
		return -1, target.ErrNothing
	}
	fd, err := files.Open(at, name, files.FolderFlags)
	switch {
	case files.IsGone(err):
		return -1, target.ErrNothing
	case err != nil:
		c.unseen(path)
		return -1, nil
	}
	return fd, nil
}

// file opens a regular file; what is none is reported as what it is. It returns nil where there is nothing to read.
func (c *check) file(at int, name, path string) (*os.File, int64) {
	kind, there := c.look(at, name, path)
	switch {
	case !there:
		return nil, 0
	case kind == unix.S_IFLNK:
		c.Found.Add(findings.SymlinkEntry, path, "")
		return nil, 0
	case kind != unix.S_IFREG:
		c.Found.Add(findings.SpecialFile, path, "")
		return nil, 0
	}
	return c.reopen(at, name, path)
}

func (c *check) reopen(at int, name, path string) (*os.File, int64) {
	fd, err := files.Open(at, name, files.FileFlags)
	switch {
	case files.IsGone(err):
		return nil, 0
	case err != nil:
		c.unseen(path)
		return nil, 0
	}
	file := os.NewFile(uintptr(fd), path)
	about, err := file.Stat()
	if err != nil || !about.Mode().IsRegular() {
		file.Close()
		c.unseen(path)
		return nil, 0
	}
	return file, about.Size()
}

// list passes on the names in an open folder.
func (c *check) list(fd int, path string, name func(string)) {
	if fd < 0 {
		return
	}
	if err := files.List(fd, name); err != nil {
		c.unseen(path)
	}
}

func isHex(s string, n int) bool { return len(s) == n && strings.Trim(s, "0123456789abcdef") == "" }

func isSegment(name string) bool {
	if head, ok := strings.CutSuffix(name, ".open"); ok {
		return isHex(head, 16)
	}
	head, ok := strings.CutSuffix(name, ".pack")
	return ok && isHex(head, 64)
}

// packs is step 1.
func (c *check) packs(folder int) {
	c.list(folder, packsPath, func(name string) {
		path := packsPath + "/" + name
		if !isSegment(name) {
			return
		}
		file, size := c.file(folder, name, path)
		if file == nil {
			return
		}
		defer file.Close()
		c.names = append(c.names, path)
		s := &segment{in: file, size: size, open: strings.HasSuffix(name, ".open")}
		if err := s.scan(&records{c, path, int32(len(c.names) - 1)}); err != nil {
			c.unseen(path)
		}
	})
}

// records takes what is in a segment.
type records struct {
	*check
	path string
	file int32
}

func (r *records) record(offset int64, h header, intact bool) {
	r.Count(uint64(h.length))
	if !intact {
		r.damaged(offset)
		return
	}
	r.there(h.id, object{kind: h.kind, length: h.length, file: r.file, offset: offset + headerSize})
}

func (r *records) unknown(offset int64) {
	r.Found.Add(findings.KindUnknown, fmt.Sprintf("%s@%d", r.path, offset), "")
}

func (r *records) damaged(offset int64) {
	r.Found.Add(findings.ObjectDamaged, fmt.Sprintf("%s@%d", r.path, offset), "")
}

// there notes an object; one of several copies is enough.
func (c *check) there(id ids.ID, o object) {
	if _, known := c.objects[id]; !known {
		c.objects[id] = &o
	}
}

// large is step 2.
func (c *check) large(folder int) {
	buffer := make([]byte, files.BufferSize)
	c.shards(folder, largePath, func(inner int, name, path string, id ids.ID) {
		c.largeFile(inner, name, path, id, buffer)
	})
}

// shards passes on what is named like an object, two digits of folder and 62 of name.
func (c *check) shards(folder int, above string, use func(inner int, name, path string, id ids.ID)) {
	c.list(folder, above, func(name string) {
		path := above + "/" + name
		if !isHex(name, 2) {
			return
		}
		kind, there := c.look(folder, name, path)
		switch {
		case !there:
			return
		case kind == unix.S_IFLNK:
			c.Found.Add(findings.SymlinkEntry, path, "")
			return
		case kind != unix.S_IFDIR:
			return
		}
		inner, err := files.Open(folder, name, files.FolderFlags)
		switch {
		case files.IsGone(err):
			return
		case err != nil:
			c.unseen(path)
			return
		}
		defer unix.Close(inner)
		c.list(inner, path, func(rest string) {
			if isHex(rest, 62) {
				id, _ := ids.Parse(name + rest)
				use(inner, rest, path+"/"+rest, id)
			}
		})
	})
}

func (c *check) largeFile(folder int, name, path string, id ids.ID, buffer []byte) {
	file, size := c.file(folder, name, path)
	if file == nil {
		return
	}
	defer file.Close()
	var streams [ids.Kinds]*ids.Stream
	for k := range streams {
		streams[k] = ids.NewStream(ids.Kind(k))
	}
	var length int64
	for length < size {
		n, err := files.Read(int(file.Fd()), buffer[:min(int64(len(buffer)), size-length)])
		if err != nil {
			c.unseen(path)
			return
		}
		if n == 0 {
			break
		}
		for _, s := range streams {
			s.Write(buffer[:n])
		}
		length += int64(n)
	}
	c.Count(uint64(length))
	for k, s := range streams {
		if s.ID() == id {
			c.names = append(c.names, path)
			c.there(id, object{kind: ids.Kind(k), length: length, file: int32(len(c.names) - 1)})
			return
		}
	}
	c.Found.Add(findings.ObjectDamaged, path, "")
}

// readRefs is step 3, for an open folder of so many components.
func (c *check) readRefs(folder int, prefix string, components int) {
	c.list(folder, strings.TrimSuffix(refsPath+"/"+files.Show(prefix), "/"), func(name string) {
		if strings.HasPrefix(name, ".") {
			return
		}
		whole := prefix + name
		path := refsPath + "/" + files.Show(whole)
		malformed := func(detail string) { c.Found.Add(findings.RefMalformed, path, detail) }
		kind, there := c.look(folder, name, path)
		switch {
		case !there:
		case kind == unix.S_IFDIR && components+1 >= paths.MaxComponents:
			malformed("too deep")
		case kind == unix.S_IFDIR:
			inner, err := files.Open(folder, name, files.FolderFlags)
			switch {
			case files.IsGone(err):
			case err != nil:
				c.unseen(path)
			default:
				c.readRefs(inner, whole+"/", components+1)
				unix.Close(inner)
			}
		case kind != unix.S_IFREG:
			malformed("neither file nor folder")
		case !utf8.ValidString(whole) || len(paths.Refusing(paths.Check(whole))) > 0:
			malformed("the name breaks a rule")
		default:
			c.readRef(folder, name, whole, path)
		}
	})
}

func (c *check) readRef(folder int, name, whole, path string) {
	file, _ := c.reopen(folder, name, path)
	if file == nil {
		return
	}
	defer file.Close()
	content := make([]byte, 66)
	length := 0
	for length < len(content) {
		n, err := files.Read(int(file.Fd()), content[length:])
		if err != nil {
			c.unseen(path)
			return
		}
		if n == 0 {
			break
		}
		length += n
	}
	digits, line := strings.CutSuffix(string(content[:length]), "\n")
	id, ok := ids.Parse(digits)
	if !ok || !line {
		c.Found.Add(findings.RefMalformed, path, "not 64 lower-case hex digits and a newline")
		return
	}
	c.refs = append(c.refs, ref{whole, id})
}

// follow is step 4.
func (c *check) follow() {
	for _, r := range c.refs {
		path := refsPath + "/" + r.name
		o := c.objects[r.id]
		if o == nil {
			if !c.blind {
				c.Found.Add(findings.RefDangling, path, "")
			}
			continue
		}
		c.visit(r.id, o)
		run, isRun := strings.CutPrefix(r.name, "runs/")
		switch {
		case !isRun || strings.Contains(run, "/"):
		case o.kind != ids.KindRun:
			c.Found.Add(findings.TypeMismatch, path, "it names a "+o.kind.String())
		case c.runs[r.id] != nil && *c.runs[r.id] != run:
			c.Found.Add(findings.RefMismatch, path, "the manifest has another run_id")
		}
	}
	for len(c.waiting) > 0 {
		id := c.waiting[len(c.waiting)-1]
		c.waiting = c.waiting[:len(c.waiting)-1]
		c.tree(id, c.objects[id])
	}
	for id, o := range c.objects {
		if o.summed && o.sized && (o.disagree || o.said != o.sum) {
			c.Found.Add(findings.SizeMismatch, id.String(), "what leads to this tree says another size")
		}
	}
}

// visit sees to it that an object is read once, if it is one that leads further.
func (c *check) visit(id ids.ID, o *object) {
	if o.visited {
		return
	}
	o.visited = true
	switch o.kind {
	case ids.KindTree:
		c.waiting = append(c.waiting, id)
	case ids.KindRun:
		c.run(id, o)
	}
}

// want follows a name of an object; size is nil where nothing says it.
func (c *check) want(id ids.ID, kind ids.Kind, size *uint64) {
	o := c.objects[id]
	switch {
	case o == nil:
		if !c.blind {
			c.Found.Add(findings.ObjectMissing, id.String(), "")
		}
		return
	case o.kind != kind:
		c.Found.Add(findings.TypeMismatch, id.String(), "it is a "+o.kind.String()+", and wanted as a "+kind.String())
		return
	}
	switch {
	case size == nil:
	case kind == ids.KindBlob:
		if *size != uint64(o.length) {
			c.Found.Add(findings.SizeMismatch, id.String(), "what leads to this blob says another size")
		}
	default: // the sum is known when the tree was read
		o.disagree = o.disagree || o.sized && o.said != *size
		o.sized, o.said = true, *size
	}
	c.visit(id, o)
}

// read returns the bytes of an object that is there.
func (c *check) read(id ids.ID, o *object) ([]byte, bool) {
	path := c.names[o.file]
	file, _ := c.below(path)
	if file == nil {
		c.unseen(path)
		return nil, false
	}
	defer file.Close()
	data := make([]byte, o.length)
	if _, err := file.ReadAt(data, o.offset); err != nil || ids.Of(o.kind, data) != id { // it was intact a moment ago
		c.unseen(path)
		return nil, false
	}
	return data, true
}

// below opens a file below the store, each component of its path without following links.
func (c *check) below(path string) (*os.File, int64) {
	at := c.root
	for {
		name, rest, more := strings.Cut(path, "/")
		if !more {
			file, size := c.reopen(at, name, path)
			if at != c.root {
				unix.Close(at)
			}
			return file, size
		}
		fd, err := files.Open(at, name, files.FolderFlags)
		if at != c.root {
			unix.Close(at)
		}
		if err != nil {
			return nil, 0
		}
		at, path = fd, rest
	}
}

// run reads a manifest.
func (c *check) run(id ids.ID, o *object) {
	if o.length > manifest.MaxBytes {
		c.Found.Add(findings.JSONTooLarge, id.String(), "")
		return
	}
	data, ok := c.read(id, o)
	if !ok {
		return
	}
	m := manifest.Decode(string(data), func(f findings.ID, _, detail string) { c.Found.Add(f, id.String(), detail) })
	if m == nil {
		return
	}
	runID := strings.Clone(m.RunID)
	c.runs[id] = &runID
	root, _ := ids.Parse(m.Tree)
	c.want(root, ids.KindTree, nil)
	for i := range m.Control {
		blob, _ := ids.Parse(m.Control[i].BLAKE3)
		c.want(blob, ids.KindBlob, &m.Control[i].Size)
	}
	method, _ := ids.Parse(m.Plan.Method)
	if c.objects[method] != nil {
		c.want(method, ids.KindTree, nil)
	}
}

// tree reads a tree node.
func (c *check) tree(id ids.ID, o *object) {
	if o.length > maxNode {
		c.Found.Add(findings.OversizeLength, id.String(), "")
		return
	}
	data, ok := c.read(id, o)
	if !ok {
		return
	}
	entries, wrong := tree.Decode(data)
	if wrong != "" {
		c.Found.Add(wrong, id.String(), "")
		return
	}
	o.summed, o.sum = true, tree.Sum(entries)
	for i := range entries {
		e := &entries[i]
		c.want(e.ID, ids.Kind(e.Kind), &e.Size)
	}
}
