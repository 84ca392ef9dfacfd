// Package verify judges a run directory by the rules of docs/format/verify.md.
//
// Nothing is followed, files.Changed, or opened unless it is a regular file with a usable record, a folder, or manifest.json.
// Memory is bounded by the manifest, not by the folder.
package verify

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"omphalos.invalid/agents/go/omphalos-verify/internal/attest"
	"omphalos.invalid/agents/go/omphalos-verify/internal/files"
	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
	"omphalos.invalid/agents/go/omphalos-verify/internal/manifest"
	"omphalos.invalid/agents/go/omphalos-verify/internal/paths"
	"omphalos.invalid/agents/go/omphalos-verify/internal/report"
	"omphalos.invalid/agents/go/omphalos-verify/internal/target"
)

const workers = 2

// Directory verifies the run directory at a path; with keys, each of them must have vouched for it.
func Directory(path string, keys *attest.Keys) (*report.Verdict, error) {
	r, root, err := target.Folder(path)
	if err != nil {
		return nil, err
	}
	r.Verdict.Keys = keys.IDs()
	if root < 0 {
		return r.Close(), nil
	}
	defer unix.Close(root)
	c := &check{Report: r, root: root}
	text, ok := c.readManifest()
	if !ok {
		return r.Close(), nil
	}
	if c.manifest = manifest.Decode(text, r.Found.Add); c.manifest == nil {
		return r.Close(), nil
	}
	r.Verdict.RunID = &c.manifest.RunID
	c.manifest.Check(r.Found.Add)
	c.survey()
	c.contents()
	if keys.Given() {
		c.attestations(keys, attest.About(c.manifest, text))
	}
	return r.Close(), nil
}

// check is the state of one verification.
type check struct {
	*report.Report
	root     int
	manifest *manifest.Manifest

	files   map[string]*place // usable records by path
	order   []*place          // the same, as listed
	folders map[string]*place // their proper ancestors
	rootBad bool              // the top folder could not be listed

	envelopes []string // names of files in attestations, at most one more than are opened
}

// place is a recorded file or folder, and what was seen of it on disk.
type place struct {
	record     *manifest.File
	onDisk     string
	seen       int
	unreadable bool
}

// readManifest is step 2.
func (c *check) readManifest() (string, bool) {
	say := func(id findings.ID, detail string) (string, bool) {
		c.Found.Add(id, manifest.FileName, detail)
		return "", false
	}
	unreadable := func() (string, bool) {
		c.Unreadable.Add(manifest.FileName)
		return "", false
	}
	var about unix.Stat_t
	err := files.Retry(func() error { return unix.Fstatat(c.root, manifest.FileName, &about, unix.AT_SYMLINK_NOFOLLOW) })
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
	text, outcome := files.ReadWhole(c.root, manifest.FileName, manifest.MaxBytes)
	switch outcome {
	case files.Changing:
		return say(findings.Toctou, "it changed while it was looked at")
	case files.TooLarge:
		return say(findings.JSONTooLarge, "")
	case files.Unreadable:
		return unreadable()
	}
	return text, true
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
			c.Found.Add(findings.PathNormCollision, path, "several folders on disk have this name")
		}
	}
	for _, p := range c.order {
		path := p.record.Path
		switch {
		case p.seen == 0:
			if !c.outOfSight(p) {
				c.Found.Add(findings.FileMissing, path, "recorded in the manifest")
			}
			continue
		case p.seen > 1:
			c.Found.Add(findings.PathNormCollision, path, "several files on disk have this name")
		}
		if p.onDisk != path {
			c.Found.Add(findings.PathNormChanged, path, "the name on disk is spelled in another normalization")
		}
		c.Count(p.record.Size)
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
	c.Unreadable.Add(path)
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
	err := files.List(fd, func(name string) {
		if !c.entry(fd, prefix, name, components+1) {
			return
		}
		inner, err := files.Open(fd, name, files.FolderFlags)
		switch {
		case files.IsGone(err):
			c.Found.Add(findings.Toctou, prefix+name, "the folder was gone, or of another kind, when it was opened")
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
		c.Unreadable.Add(".")
	default:
		c.cannotSee(path)
	}
}

// entry judges one entry by the first rule that applies, and says whether it is a folder to be entered.
func (c *check) entry(fd int, prefix, name string, components int) bool {
	path := prefix + name
	if !utf8.ValidString(name) {
		c.Found.Add(findings.NotUTF8, files.Show(path), "")
		return false
	}
	var about unix.Stat_t
	if err := files.Retry(func() error { return unix.Fstatat(fd, name, &about, unix.AT_SYMLINK_NOFOLLOW) }); err != nil {
		c.cannotSee(path)
		return false
	}
	kind := about.Mode & unix.S_IFMT
	attested := path == manifest.Attestations && kind == unix.S_IFDIR || strings.HasPrefix(path, manifest.Attestations+"/")
	switch {
	case path == manifest.FileName:
	case kind == unix.S_IFLNK:
		c.Found.Add(findings.SymlinkEntry, path, "")
	case kind != unix.S_IFDIR && kind != unix.S_IFREG:
		c.Found.Add(findings.SpecialFile, path, "")
	case kind == unix.S_IFDIR && components >= paths.MaxComponents:
		c.Found.Add(findings.PathTooDeep, path, "")
	case attested:
		if kind == unix.S_IFREG && components == 2 && strings.HasSuffix(name, ".json") && len(c.envelopes) <= attest.MaxEnvelopes {
			c.envelopes = append(c.envelopes, name)
		}
		return kind == unix.S_IFDIR
	case kind == unix.S_IFDIR:
		if p := recorded(c.folders, path); p != nil {
			p.seen++
		} else {
			c.Found.Add(findings.DirExtra, path, "")
		}
		return true
	default:
		p := recorded(c.files, path)
		if p == nil {
			c.Found.Add(findings.FileExtra, path, "")
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

// contents is step 6: every file that was found is read once.
func (c *check) contents() {
	queue := make(chan *place)
	var lock sync.Mutex
	var done sync.WaitGroup
	for range workers {
		done.Go(func() {
			h := files.NewHasher()
			for p := range queue {
				a := c.content(h, p)
				lock.Lock()
				switch {
				case a.Unreadable:
					c.Unreadable.Add(p.record.Path)
				case a.ID != "":
					c.Found.Add(a.ID, p.record.Path, a.Detail)
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

func (c *check) content(h *files.Hasher, p *place) files.Answer {
	fd, err := c.openBelow(p.onDisk)
	switch {
	case files.IsGone(err):
		return files.Answer{ID: findings.Toctou, Detail: "it was gone, or of another kind, when it was opened"}
	case err != nil:
		return files.Answer{Unreadable: true}
	}
	defer unix.Close(fd)
	return files.Compare(h, fd, files.Record{Size: p.record.Size, BLAKE3: p.record.BLAKE3, SHA256: p.record.SHA256})
}

// openBelow opens a file, each component of its path without following links.
func (c *check) openBelow(path string) (int, error) {
	at := c.root
	for {
		name, rest, more := strings.Cut(path, "/")
		flags := files.FileFlags
		if more {
			flags = files.FolderFlags
		}
		fd, err := files.Open(at, name, flags)
		if at != c.root {
			unix.Close(at)
		}
		if err != nil || !more {
			return fd, err
		}
		at, path = fd, rest
	}
}

// attestations judges what lies in the folder of attestations.
func (c *check) attestations(keys *attest.Keys, about *attest.Run) {
	tally := keys.Tally()
	if len(c.envelopes) > attest.MaxEnvelopes {
		c.Found.Add(findings.OversizeLength, manifest.Attestations, "more than 256 files")
		c.envelopes = nil
	}
	if len(c.envelopes) > 0 {
		fd, err := files.Open(c.root, manifest.Attestations, files.FolderFlags)
		if err == nil {
			defer unix.Close(fd)
		}
		for _, name := range c.envelopes {
			path := manifest.Attestations + "/" + name
			say := func(id findings.ID, detail string) { c.Found.Add(id, path, detail) }
			switch {
			case files.IsGone(err):
				say(findings.Toctou, "the folder was gone, or of another kind, when it was opened")
				continue
			case err != nil:
				c.Unreadable.Add(path)
				continue
			}
			text, outcome := files.ReadWhole(fd, name, attest.MaxEnvelope)
			switch outcome {
			case files.Changing:
				say(findings.Toctou, "it changed while it was looked at")
			case files.TooLarge:
				say(findings.JSONTooLarge, "")
			case files.Unreadable:
				c.Unreadable.Add(path)
			case files.Whole:
				if s := keys.Open(text, say); s != nil && about.Judge(s, say) {
					tally.Add(s)
				}
			}
		}
	}
	if missing := tally.Missing(); missing != "" {
		c.Found.Add(findings.SignatureMissing, manifest.Attestations, missing)
	}
	c.Verdict.SignedBy = tally.SignedBy()
}
