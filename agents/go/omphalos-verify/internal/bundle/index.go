package bundle

import (
	"slices"
	"strings"

	"omphalos.invalid/agents/go/omphalos-verify/internal/attest"
	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
	"omphalos.invalid/agents/go/omphalos-verify/internal/ids"
	"omphalos.invalid/agents/go/omphalos-verify/internal/paths"
	"omphalos.invalid/agents/go/omphalos-verify/internal/schema"
	"omphalos.invalid/agents/go/omphalos-verify/internal/strictjson"
	"omphalos.invalid/agents/go/omphalos-verify/internal/tree"
)

const (
	indexName  = "bundle.json"
	schemaName = "omphalos.bundle/1"

	maxIndex       = 1 << 26
	maxMember      = 1<<33 - 1
	maxManifests   = 1 << 28 // together
	maxNodes       = 1 << 26 // together
	maxName        = 255     // code points of the name of an attestation
	folderRuns     = "manifests/"
	folderNodes    = "nodes/"
	folderPayload  = "payload/"
	folderEnvelope = "statements/"
)

var folders = []string{folderRuns, folderNodes, folderPayload, folderEnvelope}

// Index is the content of bundle.json.
type Index struct {
	Runs    []Run
	Members []Member
}

// Run is a run of a bundle.
type Run struct {
	RunID, Object string
	Attestations  []Attestation
}

// Attestation is the name of one in the run directory, and the id of its bytes.
type Attestation struct{ Name, ID string }

// Member is a file of the archive; asked says whether anything asks for it.
type Member struct {
	Name, SHA256 string
	Size         uint64
	asked        bool
}

// kind returns the folder of a member, with its slash.
func (m *Member) kind() string { return m.Name[:strings.IndexByte(m.Name, '/')+1] }

// id returns the 64 digits of a member.
func (m *Member) id() string { return m.Name[len(m.kind()):] }

// find returns the place of a member, or false.
func (x *Index) find(name string) (int, bool) {
	return slices.BinarySearchFunc(x.Members, name, func(m Member, name string) int { return strings.Compare(m.Name, name) })
}

// member returns a member by its name, or nil.
func (x *Index) member(name string) *Member {
	at, there := x.find(name)
	if !there {
		return nil
	}
	return &x.Members[at]
}

var indexKeys = []string{"members", "runs", "schema"}
var runKeys = []string{"attestations", "run", "run_id"}
var attestationKeys = []string{"id", "name"}
var memberKeys = []string{"name", "sha256", "size"}

// DecodeIndex reads an index and judges it by itself; where that says anything the index is nil.
func DecodeIndex(text string, emit paths.Emit) *Index {
	said := false
	say := func(id findings.ID, detail string) {
		said = true
		emit(id, indexName, detail)
	}
	if fault := strictjson.Check(text); fault != nil {
		say(fault.ID, fault.Detail)
		return nil
	}
	d := schema.NewDecoder(text)
	x := &Index{}
	d.Object("the index", indexKeys, len(indexKeys), func(key string) {
		switch key {
		case "members":
			d.List(key, func() {
				var m Member
				d.Object(key, memberKeys, len(memberKeys), func(key string) {
					switch key {
					case "name":
						m.Name = d.Str("members.name", nil)
					case "sha256":
						m.SHA256 = d.Digest("members.sha256")
					case "size":
						m.Size = d.Count("members.size")
					}
				})
				if d.Malformed == "" {
					x.Members = append(x.Members, m)
				}
			})
		case "runs":
			some := false
			d.List(key, func() {
				some = true
				if run := decodeRun(&d); d.Malformed == "" {
					x.Runs = append(x.Runs, run)
				}
			})
			if !some {
				d.Wrong(key)
			}
		case "schema":
			d.Version(schemaName)
		}
	})
	switch {
	case d.Report(schemaName, findings.ManifestSchema, say):
	case !strictjson.Spelled(text):
		say(findings.ManifestNotCanonical, "not the one spelling of its content")
	default:
		x.check(func(id findings.ID, path, detail string) {
			said = true
			emit(id, path, detail)
		})
	}
	if said {
		return nil
	}
	return x
}

func decodeRun(d *schema.Decoder) (run Run) {
	d.Object("runs", runKeys, len(runKeys), func(key string) {
		switch key {
		case "attestations":
			d.List(key, func() {
				var a Attestation
				d.Object(key, attestationKeys, len(attestationKeys), func(key string) {
					switch key {
					case "id":
						a.ID = d.Digest("attestations.id")
					case "name":
						a.Name = d.Str("attestations.name", func(s string) bool { return schema.IsTextUpTo(s, maxName) })
					}
				})
				if d.Malformed == "" {
					run.Attestations = append(run.Attestations, a)
				}
			})
		case "run":
			run.Object = d.Digest("runs.run")
		case "run_id":
			run.RunID = d.Str("runs.run_id", schema.IsText)
		}
	})
	return run
}

// check is step 6.
func (x *Index) check(emit paths.Emit) {
	say := func(id findings.ID, detail string) { emit(id, indexName, detail) }
	ordered := func(list string, n int, name func(i int) string) {
		twice, out := false, false
		for i := 1; i < n; i++ {
			order := strings.Compare(name(i-1), name(i))
			twice, out = twice || order == 0, out || order > 0
		}
		switch {
		case twice:
			say(findings.DuplicateEntry, list+" hold the same twice")
		case out:
			say(findings.Unsorted, list+" are out of order")
		}
	}
	ordered("members", len(x.Members), func(i int) string { return x.Members[i].Name })
	ordered("runs", len(x.Runs), func(i int) string { return x.Runs[i].RunID })
	var all, manifests, nodes uint64
	tooLarge := false
	names := make(map[string]struct{}, len(x.Members))
	for i := range x.Members {
		m := &x.Members[i]
		names[m.Name] = struct{}{}
		all += m.Size
		tooLarge = tooLarge || m.Size > maxMember || all > tree.MaxSize
		all = min(all, tree.MaxSize+1)
		if !slices.Contains(folders, m.kind()) || !ids.IsHex(m.id()) {
			say(findings.ArchiveEscape, "a member is not named like one")
		}
		switch m.kind() {
		case folderRuns:
			manifests = min(manifests+m.Size, tree.MaxSize)
		case folderNodes:
			nodes = min(nodes+m.Size, tree.MaxSize)
		case folderEnvelope:
			tooLarge = tooLarge || m.Size > attest.MaxEnvelope
		}
	}
	for i := range x.Runs {
		run := &x.Runs[i]
		tooLarge = tooLarge || len(run.Attestations) > attest.MaxEnvelopes
		ordered("attestations", len(run.Attestations), func(i int) string { return run.Attestations[i].Name })
		for _, a := range run.Attestations {
			if !strings.HasSuffix(a.Name, ".json") {
				say(findings.ManifestSchema, "the name of an attestation does not end in .json")
			}
			if id := badName(a.Name); id != "" {
				say(id, "the name of an attestation")
			}
		}
	}
	if tooLarge || manifests > maxManifests || nodes > maxNodes {
		say(findings.OversizeLength, "a size or number is beyond what a bundle can have")
	}
	missing := func(name string) {
		if _, there := names[name]; !there {
			emit(findings.ObjectMissing, name, "a run of the index needs it")
		}
	}
	for i := range x.Runs {
		missing(folderRuns + x.Runs[i].Object)
		for _, a := range x.Runs[i].Attestations {
			missing(folderEnvelope + a.ID)
		}
	}
}

// badName returns what is wrong with the name of an attestation as a path, or nothing.
func badName(name string) findings.ID {
	if broken := paths.Refusing(paths.Check(name)); len(broken) > 0 {
		return broken[0]
	}
	if strings.Contains(name, "/") {
		return findings.PathSlash
	}
	return ""
}
