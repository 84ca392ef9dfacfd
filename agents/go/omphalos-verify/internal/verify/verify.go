// Package verify judges a run directory by the rules of docs/format/verify.md.
//
// Nothing is followed, changed, or opened unless it is a regular file with a usable record, a folder, or manifest.json.
// Memory is bounded by the manifest, not by the folder.
package verify

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
	"omphalos.invalid/agents/go/omphalos-verify/internal/manifest"
	"omphalos.invalid/agents/go/omphalos-verify/internal/paths"
)

const (
	folderFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fileFlags   = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC | unix.O_NOCTTY
	workers     = 2
)

// ErrNoFolder says that there is no folder to verify.
var ErrNoFolder = errors.New("no run directory")

// Verdict is what a verification found.
type Verdict struct {
	Subject    string
	RunID      *string
	Files      int
	Bytes      *big.Int
	Findings   []findings.Finding
	Suppressed int
	Unreadable []string
	Refused    bool
}

// Word returns the verdict in a word.
func (v *Verdict) Word() string {
	switch {
	case v.Refused:
		return "refused"
	case len(v.Unreadable) > 0:
		return "incomplete"
	}
	return "verified"
}

// Directory verifies the run directory at a path.
func Directory(path string) (*Verdict, error) {
	if trimmed := strings.TrimRight(path, "/"); trimmed != "" {
		path = trimmed
	}
	c := &check{verdict: &Verdict{Subject: path[strings.LastIndexByte(path, '/')+1:], Bytes: new(big.Int)}}
	root, err := c.open(path)
	if err != nil {
		return nil, err
	}
	if root < 0 {
		return c.close(), nil
	}
	defer unix.Close(root)
	c.root = root
	if c.manifest = c.readManifest(); c.manifest == nil {
		return c.close(), nil
	}
	c.verdict.RunID = &c.manifest.RunID
	c.manifest.Check(c.found.Add)
	c.survey()
	c.contents()
	return c.close(), nil
}

// open is step 1: it returns the open folder, a negative number where there is nothing more to look at, or ErrNoFolder.
func (c *check) open(path string) (int, error) {
	for opened := false; ; opened = true {
		var about unix.Stat_t
		switch err := retry(func() error { return unix.Lstat(path, &about) }); {
		case isGone(err) || errors.Is(err, unix.ENAMETOOLONG) || errors.Is(err, unix.EINVAL):
			return -1, ErrNoFolder
		case err != nil: // whether there is a folder cannot be seen
			c.unreadable.add(".")
			return -1, nil
		}
		switch about.Mode & unix.S_IFMT {
		case unix.S_IFLNK:
			c.found.Add(findings.SymlinkEntry, ".", "the run directory itself is a symbolic link")
			return -1, nil
		case unix.S_IFDIR:
		default:
			return -1, ErrNoFolder
		}
		if opened { // it was no folder a moment ago, and is one again
			return -1, ErrNoFolder
		}
		beforeOpen(path)
		root, err := openFile(unix.AT_FDCWD, path, folderFlags)
		switch {
		case err == nil:
			return root, nil
		case !isGone(err):
			c.unreadable.add(".")
			return -1, nil
		}
		// It has changed since: a link in its place is told as one.
	}
}

// beforeOpen is for tests: it is called between the lookup of the run directory and its opening.
var beforeOpen = func(string) {}

// check is the state of one verification.
type check struct {
	root       int
	manifest   *manifest.Manifest
	verdict    *Verdict
	found      findings.List
	unreadable pathList

	files   map[string]*place // usable records by path
	order   []*place          // the same, as listed
	folders map[string]*place // their proper ancestors
	rootBad bool              // the top folder could not be listed
}

// place is a recorded file or folder, and what was seen of it on disk.
type place struct {
	record     *manifest.File
	onDisk     string
	seen       int
	unreadable bool
}

// pathList keeps the first paths in order, in bounded memory.
type pathList struct{ kept []string }

func (l *pathList) add(path string) {
	l.kept = append(l.kept, path)
	if len(l.kept) >= 2*findings.Max {
		l.close()
	}
}

func (l *pathList) close() []string {
	slices.Sort(l.kept)
	l.kept = slices.Compact(l.kept)
	l.kept = l.kept[:min(len(l.kept), findings.Max)]
	return l.kept
}

func (c *check) close() *Verdict {
	v := c.verdict
	v.Findings, v.Suppressed = c.found.Close()
	v.Refused = c.found.Refused()
	v.Unreadable = c.unreadable.close()
	return v
}

func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func openFile(at int, name string, flags int) (fd int, err error) {
	err = retry(func() (err error) {
		fd, err = unix.Openat(at, name, flags, 0)
		return err
	})
	return fd, err
}

// isGone says whether an error of opening means that what was there is gone, or of another kind now.
func isGone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO)
}

func changed(a, b *unix.Stat_t) bool { return a.Size != b.Size || a.Mtim != b.Mtim || a.Ctim != b.Ctim }

// readManifest is steps 2 and 3; it returns nil where either says anything.
func (c *check) readManifest() *manifest.Manifest {
	say := func(id findings.ID, detail string) *manifest.Manifest {
		c.found.Add(id, manifest.FileName, detail)
		return nil
	}
	unreadable := func() *manifest.Manifest {
		c.unreadable.add(manifest.FileName)
		return nil
	}
	var about unix.Stat_t
	err := retry(func() error { return unix.Fstatat(c.root, manifest.FileName, &about, unix.AT_SYMLINK_NOFOLLOW) })
	switch {
	case errors.Is(err, unix.ENOENT):
		return say(findings.ManifestMissing, "")
	case err != nil:
		return unreadable()
	}
	switch about.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return say(findings.ManifestMissing, "there is a folder of this name")
	case unix.S_IFLNK:
		return say(findings.SymlinkEntry, "")
	case unix.S_IFREG:
	default:
		return say(findings.SpecialFile, "")
	}
	if about.Size > manifest.MaxBytes {
		return say(findings.JSONTooLarge, fmt.Sprintf("%d bytes", about.Size))
	}
	fd, err := openFile(c.root, manifest.FileName, fileFlags)
	switch {
	case isGone(err):
		return say(findings.Toctou, "it changed its kind while it was looked at")
	case err != nil:
		return unreadable()
	}
	defer unix.Close(fd)
	var before, after unix.Stat_t
	if unix.Fstat(fd, &before) != nil {
		return unreadable()
	}
	switch {
	case before.Mode&unix.S_IFMT != unix.S_IFREG:
		return say(findings.Toctou, "it changed its kind while it was looked at")
	case before.Size > manifest.MaxBytes:
		return say(findings.JSONTooLarge, fmt.Sprintf("%d bytes", before.Size))
	}
	var text strings.Builder
	text.Grow(int(before.Size))
	buffer := make([]byte, bufferSize)
	for int64(text.Len()) <= before.Size {
		n, err := read(fd, buffer[:min(bufferSize, before.Size+1-int64(text.Len()))])
		if err != nil {
			return unreadable()
		}
		if n == 0 {
			break
		}
		text.Write(buffer[:n])
	}
	if unix.Fstat(fd, &after) != nil {
		return unreadable()
	}
	if int64(text.Len()) != before.Size || changed(&before, &after) {
		return say(findings.Toctou, "it changed while it was read")
	}
	return manifest.Decode(text.String(), c.found.Add)
}

// survey is step 5: it looks at every entry and notes where the recorded files lie.
func (c *check) survey() {
	all := c.manifest.Files()
	c.files, c.folders = make(map[string]*place, len(all)), map[string]*place{}
	for _, f := range all {
		if _, known := c.files[f.Path]; known || !f.Usable() {
			continue
		}
		p := &place{record: f}
		c.files[f.Path] = p
		c.order = append(c.order, p)
		for at, r := range f.Path {
			if r != '/' {
				continue
			}
			if _, known := c.folders[f.Path[:at]]; !known {
				c.folders[f.Path[:at]] = &place{}
			}
		}
	}
	c.folder(c.root, "", 0)
	for path, p := range c.folders {
		if p.seen > 1 {
			c.found.Add(findings.PathNormCollision, path, "several folders on disk have this name")
		}
	}
	for _, p := range c.order {
		path := p.record.Path
		switch {
		case p.seen == 0:
			if !c.outOfSight(p) {
				c.found.Add(findings.FileMissing, path, "recorded in the manifest")
			}
			continue
		case p.seen > 1:
			c.found.Add(findings.PathNormCollision, path, "several files on disk have this name")
		}
		if p.onDisk != path {
			c.found.Add(findings.PathNormChanged, path, "the name on disk is spelled in another normalization")
		}
		c.verdict.Files++
		c.verdict.Bytes.Add(c.verdict.Bytes, new(big.Int).SetUint64(p.record.Size))
	}
}

// outOfSight says whether a file, or a folder above it, could not be looked at.
func (c *check) outOfSight(p *place) bool {
	if c.rootBad || p.unreadable {
		return true
	}
	path := p.record.Path
	for at, r := range path {
		if r == '/' && c.folders[path[:at]].unreadable {
			return true
		}
	}
	return false
}

// recorded returns what is recorded under a path on disk, by name or by normalization.
func recorded(known map[string]*place, path string) *place {
	if p := known[path]; p != nil {
		return p
	}
	return known[paths.NFC(path)]
}

// cannotSee notes a path that could not be looked at, opened or listed.
func (c *check) cannotSee(path string) {
	c.unreadable.add(path)
	if p := recorded(c.files, path); p != nil {
		p.unreadable = true
	}
	if p := recorded(c.folders, path); p != nil {
		p.unreadable = true
	}
}

// folder looks at the entries of an open folder of so many components, and below.
func (c *check) folder(fd int, path string, components int) {
	prefix := path
	if path != "" {
		prefix += "/"
	}
	err := list(fd, func(name string) {
		if !c.entry(fd, prefix, name, components+1) {
			return
		}
		inner, err := openFile(fd, name, folderFlags)
		switch {
		case isGone(err):
			c.found.Add(findings.Toctou, prefix+name, "the folder was gone, or of another kind, when it was opened")
		case err != nil:
			c.cannotSee(prefix + name)
		default:
			c.folder(inner, prefix+name, components+1)
			unix.Close(inner)
		}
	})
	switch {
	case err == nil:
	case path == "":
		c.rootBad = true
		c.unreadable.add(".")
	default:
		c.cannotSee(path)
	}
}

// entry judges one entry by the first rule that applies, and says whether it is a folder to be entered.
func (c *check) entry(fd int, prefix, name string, components int) bool {
	path := prefix + name
	if !utf8.ValidString(name) {
		c.found.Add(findings.NotUTF8, show(path), "")
		return false
	}
	var about unix.Stat_t
	if err := retry(func() error { return unix.Fstatat(fd, name, &about, unix.AT_SYMLINK_NOFOLLOW) }); err != nil {
		c.cannotSee(path)
		return false
	}
	kind := about.Mode & unix.S_IFMT
	attested := path == manifest.Attestations && kind == unix.S_IFDIR || strings.HasPrefix(path, manifest.Attestations+"/")
	switch {
	case path == manifest.FileName:
	case kind == unix.S_IFLNK:
		c.found.Add(findings.SymlinkEntry, path, "")
	case kind != unix.S_IFDIR && kind != unix.S_IFREG:
		c.found.Add(findings.SpecialFile, path, "")
	case kind == unix.S_IFDIR && components >= paths.MaxComponents:
		c.found.Add(findings.PathTooDeep, path, "")
	case attested:
		return kind == unix.S_IFDIR
	case kind == unix.S_IFDIR:
		if p := recorded(c.folders, path); p != nil {
			p.seen++
		} else {
			c.found.Add(findings.DirExtra, path, "")
		}
		return true
	default:
		p := recorded(c.files, path)
		if p == nil {
			c.found.Add(findings.FileExtra, path, "")
			return false
		}
		p.seen++
		// The file by name counts, otherwise the first in byte order.
		if p.seen == 1 || path == p.record.Path || p.onDisk != p.record.Path && path < p.onDisk {
			p.onDisk = path
		}
	}
	return false
}

// show writes a name that is not UTF-8 as text.
func show(name string) string {
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

// answer is what step 6 says of one file; both members are empty where all is well.
type answer struct {
	id         findings.ID
	detail     string
	unreadable bool
}

// contents is step 6: every file that was found is read once.
func (c *check) contents() {
	queue := make(chan *place)
	var lock sync.Mutex
	var done sync.WaitGroup
	for range workers {
		done.Go(func() {
			h := newHasher()
			for p := range queue {
				a := c.content(h, p)
				if a == (answer{}) {
					continue
				}
				lock.Lock()
				if a.unreadable {
					c.unreadable.add(p.record.Path)
				} else {
					c.found.Add(a.id, p.record.Path, a.detail)
				}
				lock.Unlock()
			}
		})
	}
	for _, p := range c.order {
		if p.seen > 0 {
			queue <- p
		}
	}
	close(queue)
	done.Wait()
}

func (c *check) content(h *hasher, p *place) answer {
	fd, err := c.openBelow(p.onDisk)
	switch {
	case isGone(err):
		return answer{id: findings.Toctou, detail: "it was gone, or of another kind, when it was opened"}
	case err != nil:
		return answer{unreadable: true}
	}
	defer unix.Close(fd)
	var before, after unix.Stat_t
	if unix.Fstat(fd, &before) != nil {
		return answer{unreadable: true}
	}
	want := p.record
	switch {
	case before.Mode&unix.S_IFMT != unix.S_IFREG:
		return answer{id: findings.Toctou, detail: "it was of another kind when it was opened"}
	case uint64(before.Size) != want.Size:
		return answer{id: findings.SizeMismatch, detail: fmt.Sprintf("%d bytes, recorded %d", before.Size, want.Size)}
	}
	length, blake, sha, err := h.file(fd, want.Size)
	if err != nil || unix.Fstat(fd, &after) != nil {
		return answer{unreadable: true}
	}
	switch {
	case length != want.Size || changed(&before, &after):
		return answer{id: findings.Toctou, detail: "it changed while it was read"}
	case (blake == want.BLAKE3) != (sha == want.SHA256):
		return answer{id: findings.HashDisagree, detail: "one of blake3 and sha256 matches, the other does not"}
	case blake != want.BLAKE3:
		return answer{id: findings.HashMismatch, detail: "blake3 " + blake[:12] + ", recorded " + want.BLAKE3[:12]}
	}
	return answer{}
}

// openBelow opens a file, each component of its path without following links.
func (c *check) openBelow(path string) (int, error) {
	at := c.root
	for {
		name, rest, more := strings.Cut(path, "/")
		flags := fileFlags
		if more {
			flags = folderFlags
		}
		fd, err := openFile(at, name, flags)
		if at != c.root {
			unix.Close(at)
		}
		if err != nil || !more {
			return fd, err
		}
		at, path = fd, rest
	}
}
