package manifest

import (
	"cmp"
	"encoding/hex"
	"math/bits"
	"slices"
	"strings"

	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
	"omphalos.invalid/agents/go/omphalos-verify/internal/ids"
	"omphalos.invalid/agents/go/omphalos-verify/internal/merkle"
	"omphalos.invalid/agents/go/omphalos-verify/internal/msgpack"
	"omphalos.invalid/agents/go/omphalos-verify/internal/paths"
	"omphalos.invalid/agents/go/omphalos-verify/internal/tree"
)

// Check recomputes everything a manifest says about itself and passes on what does not hold. A finding may be passed on
// more than once.
func (m *Manifest) Check(emit paths.Emit) {
	m.checkIdentity(emit)
	m.checkFiles(emit)
	m.checkReferences(emit)
}

func compareInputs(a, b Input) int {
	return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Source, b.Source), cmp.Compare(a.BLAKE3, b.BLAKE3))
}

func (m *Manifest) checkIdentity(emit paths.Emit) {
	if !isCreated(m.Created) || m.Release != nil && !isCreated(m.Release.Created) {
		emit(findings.CreatedInvalid, FileName, "expected YYYY-MM-DDThh:mm:ss[.ffffff]Z")
	}
	inputs := m.Plan.Inputs
	if !slices.IsSortedFunc(inputs, compareInputs) {
		emit(findings.Unsorted, FileName, "plan.inputs are not in order of role, source, blake3")
		inputs = slices.Clone(inputs)
		slices.SortFunc(inputs, compareInputs)
	}
	for i := 1; i < len(inputs); i++ {
		if compareInputs(inputs[i-1], inputs[i]) == 0 {
			emit(findings.DuplicateEntry, FileName, "plan.inputs hold the same input twice")
			break
		}
	}
	if !isName(m.Name) {
		emit(findings.NameInvalid, FileName, "the name is not of its form")
		return
	}
	if id := m.PlanID(); id != m.Plan.ID {
		emit(findings.PlanMismatch, FileName, "computed "+id[:12]+", recorded "+m.Plan.ID[:12])
	}
	if want := m.Name + "-" + m.Plan.ID[:12]; m.RunID != want {
		emit(findings.RunIDMismatch, FileName, "expected "+want)
	}
}

// PlanBytes returns the bytes whose BLAKE3 is the id of the plan.
func (m *Manifest) PlanBytes() []byte {
	inputs := slices.Clone(m.Plan.Inputs)
	slices.SortFunc(inputs, compareInputs)
	b := msgpack.AppendString(msgpack.AppendArray(nil, 4), m.Name)
	b = msgpack.AppendArray(b, len(inputs))
	for _, in := range inputs {
		b = msgpack.AppendString(msgpack.AppendArray(b, 3), in.Role)
		b = msgpack.AppendBin(msgpack.AppendString(b, in.Source), raw(in.BLAKE3))
	}
	return msgpack.AppendBin(msgpack.AppendBin(b, raw(m.Plan.Config)), raw(m.Plan.Method))
}

// PlanID returns the id of the plan as text.
func (m *Manifest) PlanID() string { return ids.Blob(m.PlanBytes()).String() }

// raw returns the bytes of a digest that the decoder has checked.
func raw(digest string) []byte {
	b, _ := hex.DecodeString(digest)
	return b
}

// OwnDir says whether a path begins with a name that the run directory keeps for itself.
func OwnDir(path string) bool {
	head, _, _ := strings.Cut(path, "/")
	if len(head) > 255 {
		return false
	}
	head = paths.Fold(head)
	return head == FileName || head == Attestations
}

// Usable says whether a file may be looked for under the path of its record.
func (f *File) Usable() bool {
	return len(paths.Refusing(paths.Check(f.Path))) == 0 && !OwnDir(f.Path)
}

func (m *Manifest) checkFiles(emit paths.Emit) {
	files := m.Files()
	all := make([]string, len(files))
	for i, f := range files {
		all[i] = f.Path
	}
	badPath := false
	paths.CheckSet(all, func(id findings.ID, path, detail string) {
		badPath = badPath || id.Refuses()
		emit(id, path, detail)
	})
	for _, list := range [][]File{m.Artifacts, m.Control} {
		if !slices.IsSortedFunc(list, func(a, b File) int { return cmp.Compare(a.Path, b.Path) }) {
			emit(findings.Unsorted, FileName, "artifacts or control files are not in byte order of path")
		}
	}
	twins := make(map[string]*File, len(files))
	for _, f := range files {
		if OwnDir(f.Path) {
			emit(findings.PathOwnDir, f.Path, "the run keeps this name for itself")
		}
		if t := f.Table; t != nil {
			if t.Rows == nil || t.Key == nil || t.Fingerprint == "" {
				emit(findings.ManifestSchema, f.Path, "rows, key and fingerprint go together or not at all")
			}
			columns := slices.Sorted(slices.Values(t.Key))
			if len(slices.Compact(columns)) < len(t.Key) {
				emit(findings.ManifestSchema, f.Path, "a column stands twice in the key")
			}
		}
		twin, known := twins[f.BLAKE3]
		if !known {
			twins[f.BLAKE3] = f
		} else if twin.SHA256 != f.SHA256 || twin.Size != f.Size {
			emit(findings.HashDisagree, f.Path, "another file has the same blake3, and another sha256 or size")
		}
	}
	m.checkRoots(badPath, emit)
}

func (m *Manifest) checkRoots(badPath bool, emit paths.Emit) {
	sorted := make([]*File, len(m.Artifacts))
	for i := range m.Artifacts {
		sorted[i] = &m.Artifacts[i]
	}
	slices.SortStableFunc(sorted, func(a, b *File) int { return cmp.Compare(a.Path, b.Path) })
	var head merkle.Head
	var leaf []byte
	var low, high, carry uint64
	for _, f := range sorted {
		leaf = merkle.Leaf(leaf[:0], f.Path, f.Size, raw(f.SHA256), raw(f.BLAKE3))
		head.Add(merkle.LeafHash(leaf))
		low, carry = bits.Add64(low, f.Size, 0)
		high += carry
	}
	root := head.Root()
	if text := hex.EncodeToString(root[:]); text != m.MerkleRoot {
		emit(findings.MerkleMismatch, FileName, "computed "+text[:12]+", recorded "+m.MerkleRoot[:12])
	}
	if high > 0 || low > tree.MaxSize {
		emit(findings.TreeTooLarge, FileName, "the sizes of the artifacts add up to more than 2^53-1")
		return
	}
	if badPath { // perhaps only among control files, or between the two lists
		badPath = false
		all := make([]string, len(sorted))
		for i, f := range sorted {
			all[i] = f.Path
		}
		paths.CheckSet(all, func(id findings.ID, _, _ string) { badPath = badPath || id.Refuses() })
	}
	if badPath {
		emit(findings.TreeMismatch, FileName, "no tree can be built of these paths")
		return
	}
	files := make([]tree.File, len(sorted))
	for i, f := range sorted {
		id, _ := ids.Parse(f.BLAKE3)
		files[i] = tree.File{Path: f.Path, Size: f.Size, ID: id}
	}
	if id := tree.Root(files).String(); id != m.Tree {
		emit(findings.TreeMismatch, FileName, "computed "+id[:12]+", recorded "+m.Tree[:12])
	}
}

func (m *Manifest) checkReferences(emit paths.Emit) {
	type record struct {
		path, sha256, blake3 string
		size                 uint64
	}
	records := make(map[record]struct{}, len(m.Artifacts))
	listed := make(map[string]struct{}, len(m.Artifacts))
	config := false
	for i := range m.Artifacts {
		f := &m.Artifacts[i]
		records[record{f.Path, f.SHA256, f.BLAKE3, f.Size}] = struct{}{}
		listed[f.Path] = struct{}{}
		config = config || f.BLAKE3 == m.Plan.Config
	}
	for _, in := range m.Plan.Inputs {
		if _, there := records[record{in.Path, in.SHA256, in.BLAKE3, in.Size}]; !there {
			emit(findings.InputMismatch, in.Path, "no artifact of this path, size and digests")
		}
		if strings.ContainsAny(in.Source, `/\`) {
			emit(findings.InputSource, in.Path, "the source is not a base name")
		}
	}
	if !config {
		emit(findings.ConfigMissing, FileName, "no artifact is "+m.Plan.Config[:12])
	}
	for _, path := range []*string{m.Reports.Validation, m.Reports.Matching, m.Reports.Scoring, m.Reports.Policy} {
		if path == nil {
			continue
		}
		if _, there := listed[*path]; !there {
			emit(findings.ReportMissing, *path, "named under reports")
		}
	}
}
