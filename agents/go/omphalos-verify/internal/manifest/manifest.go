// Package manifest reads manifest.json (docs/format/manifest.md) in its closed schema and its one spelling, and
// recomputes what it says about itself (docs/format/verify.md, steps 3 and 4).
package manifest

import (
	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
	"omphalos.invalid/agents/go/omphalos-verify/internal/paths"
	"omphalos.invalid/agents/go/omphalos-verify/internal/schema"
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
	Packages                           string // JSON, checked; nothing is asked of it
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
	Contents, Signers     string // JSON, checked
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
	d := decoder{Decoder: schema.NewDecoder(text)}
	m := d.manifest()
	switch {
	case d.Report(schemaName, findings.ManifestSchema, say):
	case d.nulls || !strictjson.Spelled(text):
		say(findings.ManifestNotCanonical, "not the one spelling of its content")
	default:
		return m
	}
	return nil
}

// decoder reads a manifest by its schema.
type decoder struct {
	schema.Decoder
	nulls bool // a member that may be missing was null, which the one spelling leaves out
}

// absent reads null in place of a member that may be missing, and says whether it was that.
func (d *decoder) absent() bool {
	null := d.Null()
	d.nulls = d.nulls || null
	return null
}

var manifestKeys = []string{
	"artifacts", "control", "created", "environment", "merkle_root", "name", "plan", "release", "reports", "run_id",
	"schema", "tool", "tree",
}

func (d *decoder) manifest() *Manifest {
	m := &Manifest{}
	d.Object("the manifest", manifestKeys, len(manifestKeys), func(key string) {
		switch key {
		case "artifacts":
			m.Artifacts = d.files(key)
		case "control":
			m.Control = d.files(key)
		case "created":
			m.Created = d.Str(key, nil)
		case "environment":
			d.environment(&m.Environment)
		case "merkle_root":
			m.MerkleRoot = d.Digest(key)
		case "name":
			m.Name = d.Str(key, nil)
		case "plan":
			d.plan(&m.Plan)
		case "release":
			if !d.Null() {
				m.Release = d.release()
			}
		case "reports":
			d.reports(&m.Reports)
		case "run_id":
			m.RunID = d.Str(key, nil)
		case "schema":
			d.Version(schemaName)
		case "tool":
			d.Object(key, []string{"name", "version"}, 2, func(key string) {
				if key == "name" {
					m.ToolName = d.Str("tool.name", schema.IsText)
				} else {
					m.ToolVersion = d.Str("tool.version", schema.IsText)
				}
			})
		case "tree":
			m.Tree = d.Digest(key)
		}
	})
	return m
}

var planKeys = []string{"config", "id", "inputs", "method"}
var inputKeys = []string{"blake3", "format", "path", "records", "role", "sha256", "size", "source"}

func (d *decoder) plan(p *Plan) {
	d.Object("plan", planKeys, len(planKeys), func(key string) {
		switch key {
		case "config":
			p.Config = d.Digest(key)
		case "id":
			p.ID = d.Digest(key)
		case "method":
			p.Method = d.Digest(key)
		case "inputs":
			d.List(key, func() {
				if in := d.input(); d.Malformed == "" {
					p.Inputs = append(p.Inputs, in)
				}
			})
		}
	})
}

func (d *decoder) input() (in Input) {
	d.Object("plan.inputs", inputKeys, len(inputKeys), func(key string) {
		switch key {
		case "blake3":
			in.BLAKE3 = d.Digest(key)
		case "format":
			in.Format = d.Str(key, isRole)
		case "path":
			in.Path = d.Str(key, nil)
		case "records":
			in.Records = d.Count(key)
		case "role":
			in.Role = d.Str(key, isRole)
		case "sha256":
			in.SHA256 = d.Digest(key)
		case "size":
			in.Size = d.Count(key)
		case "source":
			in.Source = d.Str(key, schema.IsText)
		}
	})
	return in
}

var environmentKeys = []string{"cpu_count", "locale", "packages", "platform", "python", "timezone"}

func (d *decoder) environment(e *Environment) {
	d.Object("environment", environmentKeys, len(environmentKeys), func(key string) {
		switch key {
		case "cpu_count":
			e.CPUCount = d.Count(key)
		case "locale":
			e.Locale = d.Str(key, schema.IsText)
		case "platform":
			e.Platform = d.Str(key, schema.IsText)
		case "python":
			e.Python = d.Str(key, schema.IsText)
		case "timezone":
			e.Timezone = d.Str(key, schema.IsText)
		case "packages":
			if d.R.Kind() != strictjson.Object {
				d.Wrong(key)
				d.R.Skip()
				return
			}
			e.Packages = d.Again(func() {
				d.R.Object(func(name string) {
					d.Str("packages", schema.IsText)
					if !schema.IsText(name) {
						d.Wrong("packages")
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
	d.List(where, func() {
		var f File
		table := func() *Table {
			if f.Table == nil {
				f.Table = &Table{}
			}
			return f.Table
		}
		d.Object(where, fileKeys, 6, func(key string) {
			switch key {
			case "blake3":
				f.BLAKE3 = d.Digest(key)
			case "media_type":
				f.MediaType = d.Str(key, isMediaType)
			case "path":
				f.Path = d.Str(key, nil)
			case "role":
				f.Role = d.Str(key, isRole)
			case "sha256":
				f.SHA256 = d.Digest(key)
			case "size":
				f.Size = d.Count(key)
			case "fingerprint":
				if !d.absent() {
					table().Fingerprint = d.Digest(key)
				}
			case "rows":
				if !d.absent() {
					rows := d.Count(key)
					table().Rows = &rows
				}
			case "key":
				if !d.absent() {
					table().Key = d.columns()
				}
			}
		})
		if d.Malformed == "" {
			files = append(files, f)
		}
	})
	return files
}

const maxKey = 64

func (d *decoder) columns() (columns []string) {
	d.List("key", func() {
		column := d.Str("key", schema.IsText)
		if len(columns) == maxKey {
			d.Wrong("key")
			return
		}
		columns = append(columns, column)
	})
	if len(columns) == 0 {
		d.Wrong("key")
	}
	return columns
}

var reportKeys = []string{"matching", "policy", "scoring", "validation"}

func (d *decoder) reports(r *Reports) {
	d.Object("reports", reportKeys, len(reportKeys), func(key string) {
		switch path := d.StrOrNull(key); key {
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
		return d.Again(func() { d.List(where, func() { d.Str(where, form) }) })
	}
	d.Object("release", releaseKeys, len(releaseKeys), func(key string) {
		switch key {
		case "bundle_id":
			r.BundleID = d.Str(key, schema.IsText)
		case "contents":
			r.Contents = texts(key, nil)
		case "created":
			r.Created = d.Str(key, nil)
		case "of":
			r.Of = d.Digest(key)
		case "policy":
			r.Policy = d.StrOrNull(key)
		case "signers":
			r.Signers = texts(key, schema.IsText)
		}
	})
	return r
}
