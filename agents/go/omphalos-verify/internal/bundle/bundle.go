// Package bundle judges a bundle (docs/format/bundle.md) in one pass from its first byte to its last. Nothing is
// extracted, and memory is bounded by the index, the manifests and the nodes.
package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
	"lukechampine.com/blake3"

	"omphalos.invalid/agents/go/omphalos-verify/internal/attest"
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
	self       = "." // the path of findings about the whole file
	block      = 512
	bufferSize = 1 << 20
)

// errEnd ends the reading: a structural fault was reported.
var errEnd = errors.New("structural fault")

// Verify judges the bundle in a file; with keys, each of them must have vouched for every run in it.
func Verify(name string, keys *attest.Keys) (*report.Verdict, error) {
	kind := target.Look(name)
	if kind == target.Nothing {
		return nil, target.ErrNothing
	}
	r := report.New(target.Subject(name))
	r.Verdict.Keys = keys.IDs()
	if !kind.Usual(r, self) {
		return r.Close(), nil
	}
	fd, err := files.Open(unix.AT_FDCWD, name, files.FileFlags)
	switch {
	case files.IsGone(err):
		r.Found.Add(findings.Toctou, self, "it was gone, or of another kind, when it was opened")
		return r.Close(), nil
	case err != nil:
		r.Unreadable.Add(self)
		return r.Close(), nil
	}
	defer unix.Close(fd)
	var before, after unix.Stat_t
	if unix.Fstat(fd, &before) != nil {
		r.Unreadable.Add(self)
		return r.Close(), nil
	}
	if before.Mode&unix.S_IFMT != unix.S_IFREG {
		r.Found.Add(findings.Toctou, self, "it was of another kind when it was opened")
		return r.Close(), nil
	}
	Read(r, descriptor(fd), keys)
	switch {
	case unix.Fstat(fd, &after) != nil:
		r.Unreadable.Add(self)
	case files.Changed(&before, &after):
		r.Found.Add(findings.Toctou, self, "it changed while it was read")
	}
	return r.Close(), nil
}

// descriptor reads from an open file.
type descriptor int

func (d descriptor) Read(p []byte) (int, error) {
	n, err := files.Read(int(d), p)
	switch {
	case err != nil:
		return 0, err
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// Read judges the bytes of a bundle.
func Read(r *report.Report, in io.Reader, keys *attest.Keys) {
	c := &check{Report: r, in: in, keys: keys, buffer: make([]byte, bufferSize)}
	switch err := c.archive(); {
	case err == nil:
		c.end()
	case !errors.Is(err, errEnd):
		r.Unreadable.Add(self)
	}
}

// judged is a run of the index whose manifest could be used.
type judged struct {
	place int // in the index
	about *attest.Run
	tally *attest.Tally
}

// check is the state of one reading.
type check struct {
	*report.Report
	in     io.Reader
	keys   *attest.Keys
	buffer []byte
	index  *Index

	methods []string             // of the manifests that could be used
	nodes   map[string][]byte    // those that could be used, by id
	unused  bool                 // a manifest or node could not be used
	all     []*judged            // the runs of the index
	runs    map[string][]*judged // the same, by the id of the run object
	signed  map[string][]*judged // by the id of a statement that the run has
	verdict findings.List        // of statements; they count only if there is no structural fault
}

// fill reads exactly so many bytes, or says how many there were.
func (c *check) fill(p []byte) (int, error) {
	n, err := io.ReadFull(c.in, p)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return n, err
}

func (c *check) fault(id findings.ID, path, detail string) error {
	c.Found.Add(id, path, detail)
	return errEnd
}

// header returns the one header of a member.
func header(name string, size uint64) []byte {
	h := make([]byte, block)
	copy(h, name)
	copy(h[100:], "0000644")
	copy(h[108:], "0000000")
	copy(h[116:], "0000000")
	copy(h[124:], fmt.Sprintf("%011o", size))
	copy(h[136:], "00000000000")
	h[156] = '0'
	copy(h[257:], "ustar")
	copy(h[263:], "00")
	copy(h[329:], "0000000")
	copy(h[337:], "0000000")
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum(h)))
	return h
}

// sum adds up a header, its checksum taken as spaces.
func sum(h []byte) (total int) {
	for i, b := range h {
		if i >= 148 && i < 156 {
			b = ' '
		}
		total += int(b)
	}
	return total
}

// octal reads octal digits.
func octal(digits []byte) (n uint64, ok bool) {
	for _, d := range digits {
		if d < '0' || d > '7' {
			return 0, false
		}
		n = n<<3 | uint64(d-'0')
	}
	return n, len(digits) > 0
}

func isZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}

// next reads a header where a member is due, and returns its size.
func (c *check) next(expected *Member) (uint64, error) {
	want := indexName
	if expected != nil {
		want = expected.Name
	}
	h := make([]byte, block)
	n, err := c.fill(h)
	if err != nil {
		return 0, err
	}
	if n < block {
		return 0, c.fault(findings.Truncated, want, "a header is cut short")
	}
	id, path := c.judge(h, expected, want)
	if id != "" {
		return 0, c.fault(id, path, "the header where this member is due")
	}
	size, _ := octal(h[124:135])
	return size, nil
}

// judge says what is wrong with a header by the first row that applies.
func (c *check) judge(h []byte, expected *Member, want string) (findings.ID, string) {
	recorded, isSum := octal(h[148:154])
	switch {
	case isZero(h):
		return findings.FileMissing, want
	case string(h[257:262]) != "ustar" || !isSum || recorded != uint64(sum(h)):
		return findings.ArchiveMalformed, want
	}
	switch kind := h[156]; {
	case kind == '1':
		return findings.HardlinkEntry, want
	case kind == '2':
		return findings.SymlinkEntry, want
	case strings.IndexByte("xgLK", kind) >= 0 || h[345] != 0:
		return findings.ArchiveEscape, want
	case kind == '5':
		return findings.DirExtra, want
	case kind != '0':
		return findings.SpecialFile, want
	}
	name, _, _ := strings.Cut(string(h[:100]), "\x00")
	if !utf8.ValidString(name) || len(paths.Refusing(paths.Check(name))) > 0 {
		return findings.ArchiveEscape, want
	}
	size, isSize := octal(h[124:135])
	if name != want {
		if expected == nil {
			return findings.ManifestMissing, want
		}
		at, there := c.index.find(name)
		due, _ := c.index.find(want)
		switch {
		case name == indexName || there && at < due:
			return findings.DuplicateEntry, name
		case there:
			return findings.FileMissing, want
		}
		return findings.FileExtra, name
	}
	switch {
	case expected == nil && isSize && size > maxIndex:
		return findings.JSONTooLarge, want
	case expected != nil && string(h[124:136]) != fmt.Sprintf("%011o\x00", expected.Size):
		return findings.SizeMismatch, want
	case string(h) != string(header(want, size)):
		return findings.ArchiveMalformed, want
	}
	return "", ""
}

// body reads the bytes of a member and passes them on.
func (c *check) body(name string, size uint64, take func([]byte)) error {
	for left := size; left > 0; {
		part := c.buffer[:min(left, bufferSize)]
		n, err := c.fill(part)
		if err != nil {
			return err
		}
		take(part[:n])
		if n < len(part) {
			return c.fault(findings.Truncated, name, "the member is cut short")
		}
		left -= uint64(n)
	}
	return nil
}

// padding reads what fills the last block of a member.
func (c *check) padding(name string, size uint64) error {
	part := c.buffer[:(block-size%block)%block]
	n, err := c.fill(part)
	switch {
	case err != nil:
		return err
	case n < len(part):
		return c.fault(findings.Truncated, name, "the padding is cut short")
	case !isZero(part):
		return c.fault(findings.TrailingGarbage, name, "the padding is not zero")
	}
	return nil
}

// archive reads everything.
func (c *check) archive() error {
	size, err := c.next(nil)
	if err != nil {
		return err
	}
	var text strings.Builder
	if err := c.body(indexName, size, func(p []byte) { text.Write(p) }); err != nil {
		return err
	}
	if c.index = DecodeIndex(text.String(), c.Found.Add); c.index == nil {
		return errEnd
	}
	if len(c.index.Runs) == 1 {
		c.Verdict.RunID = &c.index.Runs[0].RunID
	}
	if err := c.padding(indexName, size); err != nil {
		return err
	}
	c.nodes, c.runs, c.signed = map[string][]byte{}, map[string][]*judged{}, map[string][]*judged{}
	for i := range c.index.Runs {
		run, j := &c.index.Runs[i], &judged{place: i}
		c.all = append(c.all, j)
		c.runs[run.Object] = append(c.runs[run.Object], j)
		for _, a := range run.Attestations {
			c.signed[a.ID] = append(c.signed[a.ID], j)
		}
	}
	for i := range c.index.Members {
		m := &c.index.Members[i]
		if _, err := c.next(m); err != nil {
			return err
		}
		if err := c.member(m); err != nil {
			return err
		}
		if err := c.padding(m.Name, m.Size); err != nil {
			return err
		}
	}
	return c.trailer()
}

// trailer reads what ends an archive.
func (c *check) trailer() error {
	for _, id := range []findings.ID{findings.EndlessData, findings.TrailingGarbage} {
		n, err := c.fill(c.buffer[:block])
		switch {
		case err != nil:
			return err
		case n < block:
			return c.fault(findings.Truncated, self, "the end of the archive is cut short")
		case !isZero(c.buffer[:block]):
			return c.fault(id, self, "something stands where the archive should end")
		}
	}
	n, err := c.fill(c.buffer[:1])
	if err == nil && n > 0 {
		return c.fault(findings.TrailingGarbage, self, "the file goes on after the archive")
	}
	return err
}

// member reads the bytes of a member and judges them.
func (c *check) member(m *Member) error {
	sha := sha256.New()
	var blob hash.Hash
	var whole []byte // of what is judged as more than bytes
	keep := m.kind() == folderRuns || m.kind() == folderNodes
	if keep {
		whole = make([]byte, 0, min(m.Size, bufferSize))
	} else {
		blob = blake3.New(32, nil)
	}
	isStatement := m.kind() == folderEnvelope
	err := c.body(m.Name, m.Size, func(p []byte) {
		sha.Write(p)
		if blob != nil {
			blob.Write(p)
		}
		if keep || isStatement {
			whole = append(whole, p...)
		}
	})
	if err != nil {
		return err
	}
	c.Count(m.Size)
	var id string
	switch m.kind() {
	case folderRuns:
		id = ids.Run(whole).String()
	case folderNodes:
		id = ids.Tree(whole).String()
	default:
		id = hex.EncodeToString(blob.Sum(nil))
	}
	digest := hex.EncodeToString(sha.Sum(nil))
	if wrong, detail := files.Judge(files.Record{BLAKE3: m.id(), SHA256: m.SHA256}, id, digest); wrong != "" {
		c.Found.Add(wrong, m.Name, detail)
		c.unused = c.unused || keep
		return nil
	}
	switch m.kind() {
	case folderRuns:
		if _, asked := c.runs[m.id()]; asked { // otherwise it is one file too many, whatever it is
			c.manifest(m, string(whole))
		}
	case folderNodes:
		c.node(m, whole)
	case folderEnvelope:
		c.statement(m, string(whole))
	}
	return nil
}

// manifest judges a manifest that was read.
func (c *check) manifest(m *Member, text string) {
	decoded := manifest.Decode(text, func(id findings.ID, _, detail string) { c.Found.Add(id, m.Name, detail) })
	if decoded == nil {
		c.unused = true
		return
	}
	decoded.Check(func(id findings.ID, path, detail string) { c.Found.Add(id, m.Name+"/"+path, detail) })
	about := attest.About(decoded, text)
	for _, run := range c.runs[m.id()] {
		run.about = about
		if c.keys.Given() {
			run.tally = c.keys.Tally()
		}
		if c.index.Runs[run.place].RunID != decoded.RunID {
			c.Found.Add(findings.RefMismatch, m.Name, "the index says another run_id")
		}
	}
	for _, f := range decoded.Files() {
		path := m.Name + "/" + f.Path
		payload := c.index.member(folderPayload + f.BLAKE3)
		switch {
		case payload == nil:
			c.Found.Add(findings.FileMissing, path, "the index does not have it")
			continue
		case payload.Size != f.Size:
			c.Found.Add(findings.SizeMismatch, path, fmt.Sprintf("%d bytes in the index, recorded %d", payload.Size, f.Size))
		case payload.SHA256 != f.SHA256:
			c.Found.Add(findings.HashDisagree, path, "the index has another sha256 for this blake3")
		}
		payload.asked = true
	}
	c.methods = append(c.methods, decoded.Plan.Method)
}

// node judges a tree node that was read.
func (c *check) node(m *Member, data []byte) {
	if _, wrong := tree.Decode(data); wrong != "" {
		c.Found.Add(wrong, m.Name, "")
		c.unused = true
		return
	}
	c.nodes[m.id()] = data
}

// statement judges an attestation for every run that has it.
func (c *check) statement(m *Member, text string) {
	if !c.keys.Given() {
		return
	}
	say := func(id findings.ID, detail string) { c.verdict.Add(id, m.Name, detail) }
	var s *attest.Statement
	opened := false
	for _, run := range c.signed[m.id()] {
		if run.about == nil {
			continue
		}
		if !opened {
			s, opened = c.keys.Open(text, say), true
		}
		if s != nil && run.about.Judge(s, say) {
			run.tally.Add(s)
		}
	}
}

// end is what can be said only where the whole archive was read.
func (c *check) end() {
	if !c.unused {
		c.walk()
		c.asked()
	}
	if !c.keys.Given() {
		return
	}
	said, _ := c.verdict.Close()
	for _, f := range said {
		c.Found.Add(f.ID, f.Path, f.Detail)
	}
	var every *attest.Tally
	for _, run := range c.all {
		tally := run.tally
		if tally == nil { // its manifest could not be used
			tally = c.keys.Tally()
		} else if missing := tally.Missing(); missing != "" {
			c.Found.Add(findings.SignatureMissing, folderRuns+c.index.Runs[run.place].Object, missing)
		}
		if every == nil {
			every = tally
		} else {
			every.Both(tally)
		}
	}
	c.Verdict.SignedBy = every.SignedBy()
}

// walk follows the methods, each node once.
func (c *check) walk() {
	sums := make(map[string]uint64, len(c.nodes))
	for id, data := range c.nodes {
		entries, _ := tree.Decode(data)
		sums[id] = tree.Sum(entries)
	}
	seen := map[string]struct{}{}
	for waiting := c.methods; len(waiting) > 0; {
		id := waiting[len(waiting)-1]
		waiting = waiting[:len(waiting)-1]
		if _, known := seen[id]; known {
			continue
		}
		seen[id] = struct{}{}
		name := folderNodes + id
		m := c.index.member(name)
		if m == nil {
			c.Found.Add(findings.ObjectMissing, name, "a method needs it")
			continue
		}
		m.asked = true
		entries, _ := tree.Decode(c.nodes[id])
		for _, e := range entries {
			below := e.ID.String()
			size, known := sums[below]
			if e.Kind == tree.Blob {
				payload := c.index.member(folderPayload + below)
				if known = payload != nil; known {
					payload.asked = true
					size = payload.Size
				} else {
					c.Found.Add(findings.ObjectMissing, folderPayload+below, "a method needs it")
				}
			} else {
				waiting = append(waiting, below)
			}
			if known && size != e.Size {
				c.Found.Add(findings.SizeMismatch, name, "an entry says another size")
			}
		}
	}
}

// asked says which members nothing asks for.
func (c *check) asked() {
	for i := range c.index.Runs {
		run := &c.index.Runs[i]
		c.index.member(folderRuns + run.Object).asked = true
		for _, a := range run.Attestations {
			c.index.member(folderEnvelope + a.ID).asked = true
		}
	}
	for i := range c.index.Members {
		if m := &c.index.Members[i]; !m.asked {
			c.Found.Add(findings.FileExtra, m.Name, "nothing asks for it")
		}
	}
}
