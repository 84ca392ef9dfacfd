// Package manifest reads manifest.json (docs/format/manifest.md) in its closed schema and its one spelling, and
// recomputes what it says about itself (docs/format/verify.md, steps 3 and 4).
package manifest

import (
	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
	"omphalos.invalid/agents/go/omphalos-verify/internal/ids"
	"omphalos.invalid/agents/go/omphalos-verify/internal/paths"
	"omphalos.invalid/agents/go/omphalos-verify/internal/strictjson"
)

const (
	// FileName is where the manifest lies in a run directory; it is the path of findings about the manifest itself.
	FileName = "manifest.json"
	// Attestations is the folder that a run directory may have beside what the manifest lists.
	Attestations = "attestations"
	// MaxBytes is the longest manifest.
	MaxBytes = 1 << 28

	schemaName = "omphalos.manifest/1"
)

// Manifest is the content of manifest.json.
type Manifest struct {
	RunID, Name, Created  string
	ToolName, ToolVersion string
	Plan                  Plan
	Environment           Environment
	Tree, MerkleRoot      string
	Artifacts, Control    []File
	Reports               Reports
	Release               *Release
}

// Plan is what determines a run.
type Plan struct {
	ID, Config, Method string
	Inputs             []Input
}

// Input is one input of a plan.
type Input struct {
	Role, Source, Path, Format string
	Size, Records              uint64
	SHA256, BLAKE3             string
}

// Environment is where a run was computed.
type Environment struct {
	Python, Platform, Locale, Timezone string
	CPUCount                           uint64
	Packages                           string // JSON, checked: what is only spelled again is not kept in memory
}

// File is one file of the run; Table is nil where it is none.
type File struct {
	Path, Role, MediaType string
	Size                  uint64
	SHA256, BLAKE3        string
	Table                 *Table
}

// Table holds what is recorded of a table; each part may be missing.
type Table struct {
	Rows        *uint64
	Key         []string
	Fingerprint string
}

// Reports are the paths of reports; nil where there is none.
type Reports struct{ Matching, Policy, Scoring, Validation *string }

// Release stands in the manifest of a release bundle only.
type Release struct {
	BundleID, Created, Of string
	Contents, Signers     string // JSON, checked, as of packages
	Policy                *string
}

// Files returns artifacts and control files, as listed.
func (m *Manifest) Files() []*File {
	files := make([]*File, 0, len(m.Artifacts)+len(m.Control))
	for i := range m.Artifacts {
		files = append(files, &m.Artifacts[i])
	}
	for i := range m.Control {
		files = append(files, &m.Control[i])
	}
	return files
}

// Decode reads a manifest; where it cannot, the manifest is nil and the findings have been passed on.
func Decode(text string, emit paths.Emit) *Manifest {
	say := func(id findings.ID, detail string) { emit(id, FileName, detail) }
	if len(text) > MaxBytes {
		say(findings.JSONTooLarge, "the manifest is longer than 2^28 bytes")
		return nil
	}
	if fault := strictjson.Check(text); fault != nil {
		say(fault.ID, fault.Detail)
		return nil
	}
	d := decoder{r: strictjson.NewReader(text)}
	m := d.manifest()
	switch {
	case d.otherSchema:
		say(findings.ManifestVersion, "this reader knows "+schemaName)
	case d.keyCase != "" || d.unknown != "":
		if d.keyCase != "" {
			say(findings.JSONKeyCase, d.keyCase)
		}
		if d.unknown != "" {
			say(findings.JSONUnknownField, d.unknown)
		}
	case d.malformed != "":
		say(findings.ManifestSchema, d.malformed)
	case !spells(m, text):
		say(findings.ManifestNotCanonical, "not the one spelling of its content")
	default:
		return m
	}
	return nil
}

// decoder reads by the schema and goes on after faults, because what is reported depends on which of them there are.
// It keeps one example of each; the strings are empty where there is none.
type decoder struct {
	r           *strictjson.Reader
	otherSchema bool
	keyCase     string
	unknown     string
	malformed   string
}

const shown = 80 // bytes of a foreign key that a finding repeats

func (d *decoder) wrong(where string) {
	if d.malformed == "" {
		d.malformed = where + " is missing, or not of its type or form"
	}
}

// object reads an object of the schema: member is called with each known key, and must read the value. The first
// required of the known keys must all be there.
func (d *decoder) object(where string, known []string, required int, member func(key string)) {
	if d.r.Kind() != strictjson.Object {
		d.wrong(where)
		d.r.Skip()
		return
	}
	var seen uint32
	d.r.Object(func(key string) {
		for i, name := range known {
			if name == key {
				seen |= 1 << i
				member(key)
				return
			}
		}
		short := key[:min(len(key), shown)]
		folded := ""
		if len(key) <= shown { // no known key folds from anything longer
			folded = paths.CaseFold(key)
		}
		miscased := false
		for _, name := range known {
			miscased = miscased || name == folded
		}
		if miscased && d.keyCase == "" {
			d.keyCase = where + ": " + short
		}
		if !miscased && d.unknown == "" {
			d.unknown = where + ": " + short
		}
		d.r.Skip()
	})
	for i, name := range known[:required] {
		if seen&(1<<i) == 0 && d.malformed == "" {
			d.wrong(where + ": " + name)
		}
	}
}

// list reads a list: item is called for each value and must read it.
func (d *decoder) list(where string, item func()) {
	if d.r.Kind() != strictjson.Array {
		d.wrong(where)
		d.r.Skip()
		return
	}
	d.r.Array(func(int) { item() })
}

// str reads text of a form; nil means any text.
func (d *decoder) str(where string, form func(string) bool) string {
	if d.r.Kind() != strictjson.String {
		d.wrong(where)
		d.r.Skip()
		return ""
	}
	text := d.r.Str()
	if form != nil && !form(text) {
		d.wrong(where)
	}
	return text
}

// again reads a value and returns its text.
func (d *decoder) again(read func()) string {
	before := *d.r
	read()
	return before.Raw()
}

func (d *decoder) null() bool {
	if d.r.Kind() != strictjson.Null {
		return false
	}
	d.r.Skip()
	return true
}

func (d *decoder) strOrNull(where string) *string {
	if d.null() {
		return nil
	}
	text := d.str(where, nil)
	return &text
}

func (d *decoder) count(where string) uint64 {
	if d.r.Kind() != strictjson.Int {
		d.wrong(where)
		d.r.Skip()
		return 0
	}
	return d.r.Int()
}

func (d *decoder) digest(where string) string { return d.str(where, ids.IsHex) }

var manifestKeys = []string{
	"artifacts", "control", "created", "environment", "merkle_root", "name", "plan", "release", "reports", "run_id",
	"schema", "tool", "tree",
}

func (d *decoder) manifest() *Manifest {
	m := &Manifest{}
	d.object("the manifest", manifestKeys, len(manifestKeys), func(key string) {
		switch key {
		case "artifacts":
			m.Artifacts = d.files(key)
		case "control":
			m.Control = d.files(key)
		case "created":
			m.Created = d.str(key, nil)
		case "environment":
			d.environment(&m.Environment)
		case "merkle_root":
			m.MerkleRoot = d.digest(key)
		case "name":
			m.Name = d.str(key, nil)
		case "plan":
			d.plan(&m.Plan)
		case "release":
			if !d.null() {
				m.Release = d.release()
			}
		case "reports":
			d.reports(&m.Reports)
		case "run_id":
			m.RunID = d.str(key, nil)
		case "schema":
			isText := d.r.Kind() == strictjson.String
			if text := d.str(key, nil); isText && text != schemaName {
				d.otherSchema = true
			}
		case "tool":
			d.object(key, []string{"name", "version"}, 2, func(key string) {
				if key == "name" {
					m.ToolName = d.str("tool.name", isText)
				} else {
					m.ToolVersion = d.str("tool.version", isText)
				}
			})
		case "tree":
			m.Tree = d.digest(key)
		}
	})
	return m
}

var planKeys = []string{"config", "id", "inputs", "method"}
var inputKeys = []string{"blake3", "format", "path", "records", "role", "sha256", "size", "source"}

func (d *decoder) plan(p *Plan) {
	d.object("plan", planKeys, len(planKeys), func(key string) {
		switch key {
		case "config":
			p.Config = d.digest(key)
		case "id":
			p.ID = d.digest(key)
		case "method":
			p.Method = d.digest(key)
		case "inputs":
			d.list(key, func() {
				if in := d.input(); d.malformed == "" {
					p.Inputs = append(p.Inputs, in)
				}
			})
		}
	})
}

func (d *decoder) input() (in Input) {
	d.object("plan.inputs", inputKeys, len(inputKeys), func(key string) {
		switch key {
		case "blake3":
			in.BLAKE3 = d.digest(key)
		case "format":
			in.Format = d.str(key, isRole)
		case "path":
			in.Path = d.str(key, nil)
		case "records":
			in.Records = d.count(key)
		case "role":
			in.Role = d.str(key, isRole)
		case "sha256":
			in.SHA256 = d.digest(key)
		case "size":
			in.Size = d.count(key)
		case "source":
			in.Source = d.str(key, isText)
		}
	})
	return in
}

var environmentKeys = []string{"cpu_count", "locale", "packages", "platform", "python", "timezone"}

func (d *decoder) environment(e *Environment) {
	d.object("environment", environmentKeys, len(environmentKeys), func(key string) {
		switch key {
		case "cpu_count":
			e.CPUCount = d.count(key)
		case "locale":
			e.Locale = d.str(key, isText)
		case "platform":
			e.Platform = d.str(key, isText)
		case "python":
			e.Python = d.str(key, isText)
		case "timezone":
			e.Timezone = d.str(key, isText)
		case "packages":
			if d.r.Kind() != strictjson.Object {
				d.wrong(key)
				d.r.Skip()
				return
			}
			e.Packages = d.again(func() {
				d.r.Object(func(name string) {
					d.str("packages", isText)
					if !isText(name) {
						d.wrong("packages")
					}
				})
			})
		}
	})
}

// The last three may be missing.
var fileKeys = []string{"blake3", "media_type", "path", "role", "sha256", "size", "fingerprint", "key", "rows"}

func (d *decoder) files(where string) []File {
	var files []File
	d.list(where, func() {
		var f File
		table := func() *Table {
			if f.Table == nil {
				f.Table = &Table{}
			}
			return f.Table
		}
		d.object(where, fileKeys, 6, func(key string) {
			switch key {
			case "blake3":
				f.BLAKE3 = d.digest(key)
			case "media_type":
				f.MediaType = d.str(key, isMediaType)
			case "path":
				f.Path = d.str(key, nil)
			case "role":
				f.Role = d.str(key, isRole)
			case "sha256":
				f.SHA256 = d.digest(key)
			case "size":
				f.Size = d.count(key)
			case "fingerprint":
				if !d.null() {
					table().Fingerprint = d.digest(key)
				}
			case "rows":
				if !d.null() {
					rows := d.count(key)
					table().Rows = &rows
				}
			case "key":
				if !d.null() {
					table().Key = d.columns()
				}
			}
		})
		if d.malformed == "" {
			files = append(files, f)
		}
	})
	return files
}

const maxKey = 64

func (d *decoder) columns() (columns []string) {
	d.list("key", func() {
		column := d.str("key", isText)
		if len(columns) == maxKey {
			d.wrong("key")
			return
		}
		columns = append(columns, column)
	})
	if len(columns) == 0 {
		d.wrong("key")
	}
	return columns
}

var reportKeys = []string{"matching", "policy", "scoring", "validation"}

func (d *decoder) reports(r *Reports) {
	d.object("reports", reportKeys, len(reportKeys), func(key string) {
		switch path := d.strOrNull(key); key {
		case "matching":
			r.Matching = path
		case "policy":
			r.Policy = path
		case "scoring":
			r.Scoring = path
		case "validation":
			r.Validation = path
		}
	})
}

var releaseKeys = []string{"bundle_id", "contents", "created", "of", "policy", "signers"}

func (d *decoder) release() *Release {
	r := &Release{}
	texts := func(where string, form func(string) bool) string {
		return d.again(func() { d.list(where, func() { d.str(where, form) }) })
	}
	d.object("release", releaseKeys, len(releaseKeys), func(key string) {
		switch key {
		case "bundle_id":
			r.BundleID = d.str(key, isText)
		case "contents":
			r.Contents = texts(key, nil)
		case "created":
			r.Created = d.str(key, nil)
		case "of":
			r.Of = d.digest(key)
		case "policy":
			r.Policy = d.strOrNull(key)
		case "signers":
			r.Signers = texts(key, isText)
		}
	})
	return r
}
